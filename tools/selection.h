/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "tools/office.h"

/**
 * The files that a command line names by their paths below the root
 * ("LAB/P1/00000062.P1"), with a slash before them or not, in any case. That it
 * names none is NULL, and means all.
 */
typedef struct ToolSelection ToolSelection;

/** Those of @paths; NULL if that is. Ownership: the caller frees it. */
ToolSelection *tool_selection_new(char **paths);

/** Whether the file @path of @office is among them. */
bool tool_selection_has(const ToolSelection *selection,
                        const ToolOffice *office, const char *path);

/** Notes that @path, below the root, has been seen to. */
void tool_selection_finish(ToolSelection *selection, const char *path);

/** One that nobody has seen to, or NULL. Ownership: borrowed. */
const char *tool_selection_left(const ToolSelection *selection);

/** NULL is a no-op. */
void tool_selection_free(ToolSelection *selection);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolSelection, tool_selection_free)
