/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/store.h"

/**
 * Opens the store in @dir. What root makes there by opening it becomes the
 * owner's of @dir, for the daemon must be able to open it afterwards. Who
 * cannot read it later ends with a sentence (damaged.h).
 *
 * Errors: those of store_open(). Ownership: the caller closes *@ret_store.
 */
int tool_access_open(const char *dir, StoreAccess access, Store **ret_store,
                     GError **error);

/** Closes *@store after writing; what was not committed is an error. */
int tool_access_close(Store **store, GError **error);
