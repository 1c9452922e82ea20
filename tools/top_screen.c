/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the screen is divided
 *
 * - Two lines of head, the tables, and one line for questions and messages.
 * - A table is a line with its name, one with the titles of its columns, and
 *   its rows. Each has a few, and what is left goes to the one that the keys
 *   are for, then to the others. On a small screen there is only that one.
 */
#include "tools/top_screen.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/damaged.h"
#include "tools/tool.h"

#define HEAD_LINES  2
#define LAST_LINES  1
#define TITLE_LINES 2

/* Rows that every table has, if it has so many. */
#define ROWS_FEW 3

/* Rows of the one that the keys are for, if the others are to be seen. */
#define ROWS_MANY 4

/* How long an escape sequence may take to arrive, in milliseconds. */
#define ESCAPE_MS 50

#define US_PER_S  1000000
#define NS_PER_US 1000

struct ToolTopScreen {
	SCREEN *curses; /* owned */
};

static void
screen_give_back(void)
{
	(void)endwin();
}

int
tool_top_screen_open(ToolTopScreen **ret_screen, GError **error)
{
	SCREEN *curses = newterm(NULL, stdout, stdin);

	if (curses == NULL)
		return tool_fail(error, -ENOTTY,
		                 "top cannot use this terminal: TERM is %s",
		                 g_getenv("TERM") != NULL ? g_getenv("TERM")
		                                          : "not set");
	(void)set_escdelay(ESCAPE_MS);
	(void)cbreak();
	(void)noecho();
	(void)keypad(stdscr, TRUE);
	(void)nodelay(stdscr, TRUE);
	(void)curs_set(0);
	tool_damaged_tidy(screen_give_back);
	*ret_screen = g_new0(ToolTopScreen, 1);
	(*ret_screen)->curses = curses;
	return 0;
}

void
tool_top_screen_close(ToolTopScreen *screen)
{
	if (screen == NULL)
		return;
	tool_damaged_tidy(NULL);
	screen_give_back();
	delscreen(screen->curses);
	g_free(screen);
}

/* ---- lines --------------------------------------------------------------- */

/* The cells that @c takes on the screen. */
static int
cell_count(gunichar c)
{
	if (g_unichar_iszerowidth(c))
		return 0;
	return g_unichar_iswide(c) ? 2 : 1;
}

/* Draws as much of @text as fits, and blanks, with @attributes. */
static void
draw_line(int y, const char *text, attr_t attributes)
{
	const char *end = text;
	int cells = 0;

	while (*end != '\0' &&
	       cells + cell_count(g_utf8_get_char(end)) <= COLS) {
		cells += cell_count(g_utf8_get_char(end));
		end = g_utf8_next_char(end);
	}
	(void)attrset((int)attributes);
	(void)mvaddnstr(y, 0, text, (int)(end - text));
	(void)hline(' ' | attributes, COLS - cells);
	(void)attrset((int)A_NORMAL);
}

/* ---- tables -------------------------------------------------------------- */

static void
draw_title(const ToolTop *top, ToolTopTable table, bool is_current, int y)
{
	g_autofree char *title = g_strdup_printf(
		"%s: %u, by %s", tool_top_name(table),
		(unsigned)g_variant_n_children(tool_top_rows(top, table)),
		tool_top_sorted_by(top, table)->title);

	draw_line(y, title, is_current ? A_BOLD : A_NORMAL);
}

/* Draws @table with @rows lines for its rows, of which the selected one is
 * among those that are seen. */
static void
draw_table(const ToolTop *top, const ToolTopView *view, ToolTopTable table,
           int y, int rows)
{
	g_autoptr(GPtrArray) lines = tool_rows_lines(tool_top_rows(top, table),
	                                             tool_top_columns(table));
	bool is_current = table == view->table;
	int selected = is_current ? (int)view->selected[table] : -1;
	int first = MAX(selected - rows + 1, 0);
	int i;

	draw_title(top, table, is_current, y);
	draw_line(y + 1, lines->pdata[0], is_current ? A_REVERSE : A_UNDERLINE);
	for (i = 0; i < rows && first + i + 1 < (int)lines->len; i++)
		draw_line(y + TITLE_LINES + i, lines->pdata[first + i + 1],
		          first + i == selected ? A_STANDOUT : A_NORMAL);
}

static int
row_count(const ToolTop *top, ToolTopTable table)
{
	return (int)g_variant_n_children(tool_top_rows(top, table));
}

/* Shares @room lines out among the tables, the one that the keys are for first.
 * Returns whether there is enough for all. */
static bool
share_out(const ToolTop *top, const ToolTopView *view, int room,
          int ret_rows[TOOL_TOP_TABLES])
{
	int wanted = MIN(row_count(top, view->table), ROWS_MANY);
	ToolTopTable table;
	int i;

	for (table = 0; table < TOOL_TOP_TABLES; table++) {
		ret_rows[table] = MIN(row_count(top, table), ROWS_FEW);
		room -= TITLE_LINES + ret_rows[table];
	}
	for (i = 0; room > 0 && i < TOOL_TOP_TABLES; i++) {
		int more;

		table = (view->table + (ToolTopTable)i) % TOOL_TOP_TABLES;
		more = MIN(row_count(top, table) - ret_rows[table], room);
		ret_rows[table] += more;
		room -= more;
	}
	return room >= 0 && ret_rows[view->table] >= wanted;
}

static void
draw_tables(const ToolTop *top, const ToolTopView *view)
{
	int room = LINES - HEAD_LINES - LAST_LINES;
	int rows[TOOL_TOP_TABLES];
	int y = HEAD_LINES;
	ToolTopTable table;

	if (!share_out(top, view, room, rows)) {
		draw_table(top, view, view->table, y, room - TITLE_LINES);
		return;
	}
	for (table = 0; table < TOOL_TOP_TABLES; table++) {
		draw_table(top, view, table, y, rows[table]);
		y += TITLE_LINES + rows[table];
	}
}

/* ---- all of it ----------------------------------------------------------- */

static void
draw_help(void)
{
	int i;

	for (i = 0; TOOL_TOP_HELP[i] != NULL; i++)
		draw_line(HEAD_LINES + 1 + i, TOOL_TOP_HELP[i], A_NORMAL);
}

static void
draw_last(const ToolTopView *view)
{
	g_autofree char *question = g_strdup_printf(
		"Break session %" G_GUINT64_FORMAT "? (y/n)", view->session);

	switch (view->mode) {
	case TOOL_TOP_ASKS:
		draw_line(LINES - 1, question, A_BOLD);
		break;
	case TOOL_TOP_HELPS:
		draw_line(LINES - 1, "Press any key to go on.", A_NORMAL);
		break;
	case TOOL_TOP_LOOKS:
	default:
		draw_line(LINES - 1,
		          view->message != NULL ? view->message
		                                : "q quits, ? helps",
		          A_NORMAL);
		break;
	}
}

void
tool_top_screen_draw(const ToolTop *top, const ToolTopView *view)
{
	g_auto(GStrv) head = tool_top_head(top);

	(void)erase();
	draw_line(0, head[0], A_BOLD);
	draw_line(1, head[1], A_NORMAL);
	if (view->mode == TOOL_TOP_HELPS)
		draw_help();
	else
		draw_tables(top, view);
	draw_last(view);
	(void)refresh();
}

int
tool_top_screen_wait(gint64 until_us, const sigset_t *mask)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	gint64 left_us = MAX(until_us - g_get_monotonic_time(), 0);
	struct timespec left = {
		.tv_sec = left_us / US_PER_S,
		.tv_nsec = left_us % US_PER_S * NS_PER_US,
	};
	int key = getch();

	/* What was read ahead no poll would tell of. */
	if (key == ERR && ppoll(&input, 1, &left, mask) != 0)
		key = getch();
	/* Where there is no terminal any more ppoll() is ready for ever, and
	 * lets no signal through. */
	if (key == ERR && (input.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
		return TOOL_TOP_GONE;
	return key == ERR ? TOOL_TOP_NO_KEY : key;
}
