/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

/** A progress bar on the standard error, if that is a terminal. */
typedef struct ToolProgress ToolProgress;

/** Begins a bar that says @label; not drawn if @is_quiet.
 * Ownership: @label is borrowed. */
ToolProgress *tool_progress_new(const char *label, bool is_quiet);

/** Shows that @done of @total is done; draws some times a second only. */
void tool_progress_show(ToolProgress *progress, guint64 done, guint64 total);

/** Wipes the bar away. NULL is a no-op. */
void tool_progress_free(ToolProgress *progress);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolProgress, tool_progress_free)
