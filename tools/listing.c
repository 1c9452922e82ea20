/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/listing.h"

#include <string.h>

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
