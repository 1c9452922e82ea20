/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "tools/top_model.h"

/** What the keys have made of the screen. */
typedef enum ToolTopMode {
	TOOL_TOP_LOOKS,
	TOOL_TOP_ASKS, /* whether to break a session */
	TOOL_TOP_HELPS,
} ToolTopMode;

typedef struct ToolTopView {
	const char *path; /* of the store; borrowed */
	ToolTopMode mode;
	ToolTopTable table;               /* that the keys are for */
	guint selected[TOOL_TOP_TABLES];  /* row */
	char *row_names[TOOL_TOP_TABLES]; /* of it; owned; or NULL */
	guint64 session;                  /* that it asks about */
	char *message; /* for the last line; owned; or NULL */
} ToolTopView;

/** What the keys are, a line each; ends with NULL. */
extern const char *const TOOL_TOP_HELP[];

/**
 * Does what @key (curses') says. Returns false if that is to end.
 */
bool tool_top_key(ToolTop *top, ToolTopView *view, int key);

/** After another look: the same rows are selected, wherever they are now. */
void tool_top_view_follow(const ToolTop *top, ToolTopView *view);

void tool_top_view_clear(ToolTopView *view);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ToolTopView, tool_top_view_clear)
