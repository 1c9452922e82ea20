/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "store/internal.h"

#define NAME_MAX_BYTES 255

static bool
name_fits(const char *name)
{
	size_t size = strlen(name);

	return size > 0 && size <= NAME_MAX_BYTES;
}

/* Hands out @size bytes as getxattr(2) does. */
static int
copy_out(const void *from, size_t from_size, void *buf, size_t size,
         size_t *ret_size)
{
	if (size > 0 && size < from_size)
		return -ERANGE;
	if (size > 0 && from_size > 0)
		memcpy(buf, from, from_size);
	*ret_size = from_size;
	return 0;
}

int
store_xattr_get(StoreTxn *txn, StoreNode node, const char *name, void *buf,
                size_t size, size_t *ret_size)
{
	RecordNode record;
	RecordKey key;
	KvSlice value;
	int r;

	if (!name_fits(name))
		return -ENODATA;

	STORE_LOCK(txn->store);
	key = record_key_xattr(node, name);
	r = node_load(txn, node, &record);
	if (r < 0)
		return r;
	r = txn_get(txn, record_slice(&key), &value);
	if (r < 0)
		return r == -ENOENT ? -ENODATA : r;
	return copy_out(value.data, value.size, buf, size, ret_size);
}

/* The keys of @node's attributes. */
static int
list_keys(StoreTxn *txn, StoreNode node, GPtrArray **ret_keys)
{
	RecordKey prefix = record_key_xattr(node, "");

	return txn_keys(txn, &prefix, &prefix, STORE_XATTR_COUNT_MAX + 1,
	                ret_keys);
}

static int
check_set(StoreTxn *txn, StoreNode node, KvSlice key, int flags)
{
	g_autoptr(GPtrArray) keys = NULL;
	KvSlice old;
	int r;

	r = txn_get(txn, key, &old);
	if (r == 0)
		return flags & XATTR_CREATE ? -EEXIST : 0;
	if (r != -ENOENT)
		return r;
	if (flags & XATTR_REPLACE)
		return -ENODATA;
	r = list_keys(txn, node, &keys);
	if (r < 0)
		return r;
	return keys->len >= STORE_XATTR_COUNT_MAX ? -ENOSPC : 0;
}

static void
touch_ctime(StoreTxn *txn, RecordNode *record)
{
	record->attr.ctime_ns = store_now_ns();
	node_save(txn, record);
}

int
store_xattr_set(StoreTxn *txn, StoreNode node, const char *name,
                const void *value, size_t size, int flags)
{
	RecordNode record;
	RecordKey key;
	int r;

	if (!name_fits(name))
		return -ERANGE;
	if (size > STORE_XATTR_SIZE_MAX)
		return -E2BIG;

	STORE_LOCK(txn->store);
	key = record_key_xattr(node, name);
	r = txn_admit_node(txn, node, size + 1);
	if (r == 0)
		r = node_load(txn, node, &record);
	if (r == 0)
		r = check_set(txn, node, record_slice(&key), flags);
	if (r < 0)
		return txn_result(txn, r);

	touch_ctime(txn, &record);
	txn_put(txn, record_slice(&key), (KvSlice){ value, size });
	return 0;
}

int
store_xattr_list(StoreTxn *txn, StoreNode node, char *buf, size_t size,
                 size_t *ret_size)
{
	g_autoptr(GPtrArray) keys = NULL;
	g_autoptr(GByteArray) names = g_byte_array_new();
	RecordNode record;
	guint i;
	int r;

	STORE_LOCK(txn->store);
	r = node_load(txn, node, &record);
	if (r == 0)
		r = list_keys(txn, node, &keys);
	if (r < 0)
		return r;

	for (i = 0; i < keys->len; i++) {
		g_autofree char *name = record_key_text(txn_key_at(keys, i));

		g_byte_array_append(names, (const guint8 *)name,
		                    (guint)strlen(name) + 1);
	}
	return copy_out(names->data, names->len, buf, size, ret_size);
}

int
store_xattr_remove(StoreTxn *txn, StoreNode node, const char *name)
{
	RecordNode record;
	RecordKey key;
	KvSlice old;
	int r;

	if (!name_fits(name))
		return -ENODATA;

	STORE_LOCK(txn->store);
	key = record_key_xattr(node, name);
	r = txn_admit_node(txn, node, 0);
	if (r == 0)
		r = node_load(txn, node, &record);
	if (r == 0)
		r = txn_get(txn, record_slice(&key), &old);
	if (r < 0)
		return txn_result(txn, r == -ENOENT ? -ENODATA : r);

	touch_ctime(txn, &record);
	txn_delete(txn, record_slice(&key));
	return 0;
}
