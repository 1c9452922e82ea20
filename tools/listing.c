/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/listing.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/tool.h"

static bool
add_entry(void *user_data, const StoreEntry *entry)
{
	GPtrArray *entries = user_data;

	g_ptr_array_add(entries,
	                g_memdup2(entry, offsetof(StoreEntry, name) +
	                                         strlen(entry->name) + 1));
	return true;
}

int
tool_listing_read(StoreTxn *txn, StoreNode dir, GPtrArray **ret_entries)
{
	g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(g_free);
	int r;

	r = store_name_list(txn, dir, add_entry, entries);
	if (r < 0)
		return r;
	*ret_entries = g_steal_pointer(&entries);
	return 0;
}

int
tool_listing_find(StoreTxn *txn, const char *store, const char *folder,
                  StoreNode *ret_dir, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(folder, "/", -1);
	StoreEntry entry = { .node = STORE_ROOT, .mode = S_IFDIR };
	size_t i;
	int r = 0;

	for (i = 0; parts[i] != NULL && r == 0; i++)
		if (parts[i][0] != '\0')
			r = store_name_find(txn, entry.node, parts[i], &entry);
	if (r == 0 && !S_ISDIR(entry.mode))
		r = -ENOTDIR;
	if (r < 0)
		return tool_fail(error, r, "%s has no folder %s: %s", store,
		                 folder, g_strerror(-r));
	*ret_dir = entry.node;
	return 0;
}
