/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include "store/check.h"
#include "store/record.h"

static void
tell(void *user_data, const char *sentence)
{
	check_found(user_data, "%s", sentence);
}

static void
ignore(void *user_data, const char *sentence)
{
	(void)user_data;
	(void)sentence;
}

int
check_pages(Check *check, Kv *kv, bool is_safe)
{
	uint64_t count = 0;
	int r = kv_verify(kv, is_safe ? tell : ignore, check, &count);

	return r == 0 && count > 0 && !is_safe ? -EUCLEAN : r;
}

/* Whether a chunk of @node may be among what the pages have lost. */
static bool
is_lost(const Check *check, uint64_t data, const CheckNode *node)
{
	uint64_t number;
	KvSlice value;

	for (number = 0; number * node->chunk < node->size; number++) {
		RecordKey key = record_key_chunk(data, number);

		if (kv_get(check->snapshot, record_slice(&key), &value) == -EIO)
			return true;
	}
	return false;
}

void
check_lost(Check *check)
{
	GHashTableIter iter;
	void *key;
	void *value;

	g_hash_table_iter_init(&iter, check->data);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		uint64_t data = *(uint64_t *)key;
		const CheckNode *node = value;
		g_autofree char *path = NULL;

		if (node->chunk == 0 || !is_lost(check, data, node))
			continue;
		path = check_path(check, node->parent, node->name);
		check_found(check,
		            "content %" G_GUINT64_FORMAT
		            ": some of it is lost, of %s",
		            data, path);
	}
}
