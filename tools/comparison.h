/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/store.h"
#include "tools/progress.h"

/**
 * A store against a directory tree: whether an import of the one would give
 * the other. Names are compared as a store would call them; lock files that
 * were left behind are no part of either.
 */

/** What is different in one place. */
typedef struct ToolDifference {
	const char *path; /* below both tops */
	const char *what; /* "name", "type", "size", "content", ... */
	const char *in_store;
	const char *in_tree;
} ToolDifference;

/** Ownership: @difference is borrowed until it returns. */
typedef void ToolDifferenceFound(void *user_data,
                                 const ToolDifference *difference);

/**
 * Compares what is below directory @top of @store with the tree @dir, in the
 * order of the tree. *@ret_files is how many files both have.
 *
 * Errors: -EINTR if tool_interrupt_is_asked().
 */
int tool_comparison_run(Store *store, StoreNode top, const char *dir,
                        ToolDifferenceFound *found, void *user_data,
                        ToolProgress *progress, guint64 *ret_files,
                        GError **error);
