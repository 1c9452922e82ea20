/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_keys.h"

#include <curses.h>
#include <string.h>

#include "tools/live.h"
#include "tools/tool.h"

const char *const TOOL_TOP_HELP[] = {
	"Tab            the next table",
	"up, k          the row above",
	"down, j        the row below",
	"s              sort by the next column",
	"r              sort the other way round",
	"b              break the session, or the one that has the lock",
	"?, h           this help",
	"q              quit",
	NULL,
};

void
tool_top_view_clear(ToolTopView *view)
{
	ToolTopTable i;

	for (i = 0; i < TOOL_TOP_TABLES; i++)
		g_clear_pointer(&view->row_names[i], g_free);
	g_clear_pointer(&view->message, g_free);
}

static guint
row_count(const ToolTop *top, ToolTopTable table)
{
	return (guint)g_variant_n_children(tool_top_rows(top, table));
}

static void
say(ToolTopView *view, const char *message)
{
	g_free(view->message);
	view->message = tool_show(message);
}

/* ---- rows ---------------------------------------------------------------- */

static void
select_row(const ToolTop *top, ToolTopView *view, ToolTopTable table, guint row)
{
	guint count = row_count(top, table);

	view->selected[table] = count > 0 ? MIN(row, count - 1) : 0;
	g_free(view->row_names[table]);
	view->row_names[table] =
		tool_top_row_name(top, table, view->selected[table]);
}

/* If it is gone, what is now where it was is selected. */
static void
follow(const ToolTop *top, ToolTopView *view, ToolTopTable table)
{
	guint row = view->selected[table];
	guint count = row_count(top, table);
	guint i;

	for (i = 0; view->row_names[table] != NULL && i < count; i++) {
		g_autofree char *name = tool_top_row_name(top, table, i);

		if (g_strcmp0(name, view->row_names[table]) == 0)
			row = i;
	}
	select_row(top, view, table, row);
}

void
tool_top_view_follow(const ToolTop *top, ToolTopView *view)
{
	ToolTopTable table;

	for (table = 0; table < TOOL_TOP_TABLES; table++)
		follow(top, view, table);
}

/* ---- breaking a session -------------------------------------------------- */

static void
break_begin(const ToolTop *top, ToolTopView *view)
{
	view->session = tool_top_row_session(top, view->table,
	                                     view->selected[view->table]);
	if (view->session == 0)
		say(view, "No session is selected.");
	else
		view->mode = TOOL_TOP_ASKS;
}

static void
break_end(ToolTop *top, ToolTopView *view, bool is_sure)
{
	g_autofree char *session =
		g_strdup_printf("%" G_GUINT64_FORMAT, view->session);
	g_autoptr(GVariant) answer = NULL;
	g_autoptr(GError) error = NULL;

	view->mode = TOOL_TOP_LOOKS;
	if (!is_sure)
		return;
	if (tool_live_ask(view->path, "break", session, "s", &answer, &error) <
	    0)
		say(view, error->message);
	else
		say(view, g_variant_get_string(answer, NULL));
	tool_top_refresh(top);
	tool_top_view_follow(top, view);
}

/* ---- keys ---------------------------------------------------------------- */

/* A key while the tables are shown. */
static bool
look_key(ToolTop *top, ToolTopView *view, int key)
{
	guint row = view->selected[view->table];

	switch (key) {
	case 'q':
		return false;
	case '\t':
		view->table = (view->table + 1) % TOOL_TOP_TABLES;
		break;
	case 'k':
	case KEY_UP:
		select_row(top, view, view->table, row > 0 ? row - 1 : 0);
		break;
	case 'j':
	case KEY_DOWN:
		select_row(top, view, view->table, row + 1);
		break;
	case 's':
		tool_top_sort_next(top, view->table);
		follow(top, view, view->table);
		break;
	case 'r':
		tool_top_sort_reverse(top, view->table);
		follow(top, view, view->table);
		break;
	case 'b':
		break_begin(top, view);
		break;
	case 'h':
	case '?':
		view->mode = TOOL_TOP_HELPS;
		break;
	default:
		break;
	}
	return true;
}

bool
tool_top_key(ToolTop *top, ToolTopView *view, int key)
{
	/* The terminal has another size, and that is all. */
	if (key == KEY_RESIZE)
		return true;

	g_clear_pointer(&view->message, g_free);
	switch (view->mode) {
	case TOOL_TOP_ASKS:
		break_end(top, view, key == 'y');
		return true;
	case TOOL_TOP_HELPS:
		view->mode = TOOL_TOP_LOOKS;
		return true;
	case TOOL_TOP_LOOKS:
	default:
		return look_key(top, view, key);
	}
}
