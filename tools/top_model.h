/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "tools/rows.h"

/**
 * What `poctl top` shows of a store and its mount: asked anew for each look, and
 * compared with the look before.
 */
typedef struct ToolTop ToolTop;

typedef enum ToolTopTable {
	TOOL_TOP_SESSIONS,
	TOOL_TOP_LOCKS,
	TOOL_TOP_QUEUES,
	TOOL_TOP_TABLES, /* how many there are */
} ToolTopTable;

/** Looks at the store in @path, which is borrowed, for the first time. */
ToolTop *tool_top_new(const char *path);

/** NULL is a no-op. */
void tool_top_free(ToolTop *top);

/** Looks again. What cannot be had is missing, and the head says why. */
void tool_top_refresh(ToolTop *top);

/** Why the store itself cannot be read; NULL: it can. Borrowed. */
const char *tool_top_trouble(const ToolTop *top);

/**
 * What goes on, in two lines: the mount's state, and its figures since the last
 * look. Harmless to a terminal.
 * Ownership: the caller frees the list.
 */
char **tool_top_head(const ToolTop *top);

const char *tool_top_name(ToolTopTable table);
const ToolColumn *tool_top_columns(ToolTopTable table);

/** The rows of @table, sorted, of type aa{sv}. Borrowed until the next look or
 * sort. */
GVariant *tool_top_rows(const ToolTop *top, ToolTopTable table);

/** The column that @table is sorted by. */
const ToolColumn *tool_top_sorted_by(const ToolTop *top, ToolTopTable table);

/** Sorts @table by the next column, or the other way round. */
void tool_top_sort_next(ToolTop *top, ToolTopTable table);
void tool_top_sort_reverse(ToolTop *top, ToolTopTable table);

/** The name of row @i of @table, the same in every look; NULL: no such row.
 * Ownership: the caller frees it. */
char *tool_top_row_name(const ToolTop *top, ToolTopTable table, guint i);

/** The session that row @i of @table is of: itself, or the lock's holder; 0:
 * none. */
guint64 tool_top_row_session(const ToolTop *top, ToolTopTable table, guint i);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolTop, tool_top_free)
