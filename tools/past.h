/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/edit.h"
#include "store/journal.h"

/** Files as they were, and how they become that again. */

/** Finds the file or directory @path, from the top. Errors: -ENOENT. */
int tool_past_find(StoreTxn *txn, const char *path, StoreEntry *ret_entry);

/**
 * Reads all of the file @node.
 *
 * Errors: -EFBIG if a list of edits cannot have so much; -ENODATA, see
 * store_past_open(). Ownership: the caller's.
 */
int tool_past_read(StoreTxn *txn, StoreNode node, GBytes **ret_bytes);

/**
 * Finds the file @path as it was before the last transaction that removed it.
 *
 * Errors: -ENOENT if the journal knows of none.
 * Ownership: the caller ends *@ret_past with store_txn_abort().
 */
int tool_past_find_removed(Store *store, const char *path, StoreTxn **ret_past,
                           StoreNode *ret_node);

/**
 * Has the file @path, of @now, become @was, and all that @node was in @past
 * besides. Errors: those of store_edits_add().
 */
int tool_past_add(StoreEdits *edits, StoreTxn *now, const char *path,
                  StoreTxn *past, StoreNode node, GBytes *was);
