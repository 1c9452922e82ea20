/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/store.h"

/**
 * What a file is besides its content, as bytes of an edit (STORE_EDIT_ATTR):
 * its permissions, owner, group, times and extended attributes.
 */

/** Reads those that @txn sees at @node. Ownership: *@ret_bytes is the
 * caller's. */
int store_edit_attr_encode(StoreTxn *txn, StoreNode node, GBytes **ret_bytes);

/**
 * Has @node be what @bytes says, and nothing besides; trusts nothing in them.
 *
 * Errors: -EBADMSG, and those of store_xattr_set().
 */
int store_edit_attr_apply(StoreTxn *txn, StoreNode node, GBytes *bytes);
