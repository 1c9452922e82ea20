/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/store.h"

/** Entries of the quarantine, for the commands that look at one. */

/** The entry's number that @word spells. */
int tool_undone_id(const char *word, uint64_t *ret_id, GError **error);

/** "created", "changed", ... */
const char *tool_undone_what(StoreUndoneWhat what);

/** Sets *@error for what went wrong (@r) with entry @id; returns @r. */
int tool_undone_fail(uint64_t id, int r, GError **error);

/**
 * Reads the list of the files of entry @id, StoreUndoneFile, in the order of
 * the store. Ownership: the caller frees *@ret_files, which owns its elements.
 */
int tool_undone_files(Store *store, uint64_t id, GPtrArray **ret_files,
                      GError **error);
