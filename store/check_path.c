/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/check.h"
#include "store/record.h"
#include "store/record_text.h"

/* Deeper than any directory: what is damaged may go in a circle. */
#define DEPTH_MAX (2 * STORE_DEPTH_MAX)

char *
check_path(Check *check, StoreNode dir, const char *name)
{
	g_autoptr(GString) path = g_string_new(name);
	int depth;

	for (depth = 0; dir != STORE_ROOT && depth < DEPTH_MAX; depth++) {
		const CheckNode *node = check_find(check, dir);

		g_string_prepend_c(path, '/');
		g_string_prepend(path, node != NULL ? node->name : "?");
		if (node == NULL)
			break;
		dir = node->parent;
	}
	return g_string_free(g_steal_pointer(&path), FALSE);
}

/* The path of what the record of @key belongs to, or NULL. */
static char *
path_of(Check *check, KvSlice key)
{
	uint8_t table = *(const uint8_t *)key.data;
	g_autofree char *name = NULL;
	const CheckNode *node = NULL;
	uint64_t id;

	if (!record_key_id(key, &id))
		return NULL;
	if (table == RECORD_NAME) {
		name = record_key_text(key);
		return check_path(check, id, name);
	}
	if (table == RECORD_CHUNK)
		node = g_hash_table_lookup(check->data, &id);
	else if (table == RECORD_XATTR)
		node = check_find(check, id);
	return node == NULL ? NULL
	                    : check_path(check, node->parent, node->name);
}

char *
check_text(Check *check, KvSlice key)
{
	g_autofree char *what = record_text(key);
	g_autofree char *path = path_of(check, key);

	return path == NULL ? g_steal_pointer(&what)
	                    : g_strdup_printf("%s, of %s,", what, path);
}
