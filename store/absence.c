/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How it is proven that something is not there
 *
 * A record that is damaged fails its checksum; one whose key is damaged is not
 * found at all, and a chunk that is not there would be read as zeros, a name as
 * no file. But it still is where it was, in the order of keys: beside the place
 * where the key that is looked for would be. And where LMDB was led astray, by a
 * key of a branch, it ends between two keys that do not enclose that one. So
 * what is not there has two neighbours that are sound, one before it and one
 * behind it.
 */

#include <errno.h>

#include "store/internal.h"

/* Whether @record, if there is one, is on its side of @key, and sound. One at
 * @key itself is where it should be, and read by who wants it. */
static bool
is_neighbour(const KvRecord *record, KvSlice key, int side)
{
	KvSlice value = record->value;
	int order;

	if (record->key.data == NULL)
		return true;
	order = change_compare_keys(record->key, key);
	if (order == 0)
		return side > 0;
	return (order > 0) == (side > 0) &&
	       record_unseal(record->key, &value) == 0;
}

int
absence_prove(KvSnapshot *snapshot, KvSlice key)
{
	KvRecord before;
	KvRecord after;
	int r = kv_near(snapshot, key, &before, &after);

	if (r < 0)
		return r;
	if (is_neighbour(&before, key, -1) && is_neighbour(&after, key, 1))
		return -ENOENT;
	g_warning("database: a record of table '%c' may be missing, for one "
	          "beside it is damaged",
	          *(const char *)key.data);
	return -EIO;
}
