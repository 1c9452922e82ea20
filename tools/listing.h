/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/store.h"

/**
 * Reads directory @dir into an array of StoreEntry, each allocated no longer
 * than its name needs, in the order of folded names.
 *
 * Ownership: the caller frees *@ret_entries, which owns its entries.
 */
int tool_listing_read(StoreTxn *txn, StoreNode dir, GPtrArray **ret_entries);

/**
 * Finds the directory at @folder, a path below the root. @store is what the
 * error calls the store. Errors: -ENOENT, -ENOTDIR.
 */
int tool_listing_find(StoreTxn *txn, const char *store, const char *folder,
                      StoreNode *ret_dir, GError **error);
