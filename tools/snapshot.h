/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/edit.h"

/**
 * Copies of files as they were before a command changed them, each with its path
 * below a new directory, for whoever runs the command and nobody else.
 */
typedef struct ToolSnapshot ToolSnapshot;

/** One that will be in @dir. Ownership: the caller frees it. */
ToolSnapshot *tool_snapshot_new(const char *dir);

/**
 * Copies the files that @edits are about to change, as @store has them. When this
 * returns 0 the copies are on disk, with all directories on the way to them.
 *
 * Errors: -EEXIST if the directory was there before the first of all files; what
 * was copied for @edits is removed again.
 */
int tool_snapshot_take(ToolSnapshot *snapshot, Store *store,
                       const StoreEdits *edits, GError **error);

/** The files were changed: what was copied stays. */
void tool_snapshot_keep(ToolSnapshot *snapshot);

/** Nothing was changed: removes what was copied since the last was kept. */
void tool_snapshot_discard(ToolSnapshot *snapshot);

/** Leaves the copies alone. NULL is a no-op. */
void tool_snapshot_free(ToolSnapshot *snapshot);
