/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <glib.h>

#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/rows.h"
#include "tools/tool.h"
#include "tools/top_keys.h"
#include "tools/top_model.h"
#include "tools/top_screen.h"

#define US_PER_S 1e6

/* Time from one look to the next, in seconds. */
#define DELAY_S     2.0
#define DELAY_MIN_S 0.1
#define DELAY_MAX_S 3600.0

typedef struct Asked {
	const char *path; /* of the store */
	double delay_s;
	int batch; /* so many looks as text; 0: the screen */
	bool is_json;
} Asked;

/* Signals come only while we wait, so that none comes between looking for one
 * and waiting. */
static void
signals_hold(sigset_t *ret_mask)
{
	sigset_t signals;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGHUP);
	(void)sigaddset(&signals, SIGWINCH);
	(void)sigprocmask(SIG_BLOCK, &signals, ret_mask);
	tool_interrupt_begin();
}

/* ---- as text ------------------------------------------------------------- */

static void
print_text(const ToolTop *top)
{
	g_auto(GStrv) head = tool_top_head(top);
	ToolTopTable table;

	(void)printf("%s\n%s\n", head[0], head[1]);
	for (table = 0; table < TOOL_TOP_TABLES; table++) {
		(void)puts("");
		tool_rows_print(tool_top_rows(top, table),
		                tool_top_columns(table));
	}
}

static void
print_json(const ToolTop *top)
{
	g_autoptr(ToolJson) json = tool_json_new();

	tool_rows_json(json, "sessions", tool_top_rows(top, TOOL_TOP_SESSIONS));
	tool_rows_json(json, "locks", tool_top_rows(top, TOOL_TOP_LOCKS));
	tool_rows_json(json, "queues", tool_top_rows(top, TOOL_TOP_QUEUES));
	tool_json_print(&json);
}

static void
run_batch(ToolTop *top, const Asked *asked, const sigset_t *mask)
{
	gint64 delay_us = (gint64)(asked->delay_s * US_PER_S);
	struct timespec delay = {
		.tv_sec = delay_us / (gint64)US_PER_S,
		.tv_nsec = delay_us % (gint64)US_PER_S * 1000,
	};
	int i;

	for (i = 0; i < asked->batch && !tool_interrupt_is_asked(); i++) {
		if (i > 0) {
			(void)ppoll(NULL, 0, &delay, mask);
			tool_top_refresh(top);
			if (!asked->is_json)
				(void)puts("");
		}
		if (asked->is_json)
			print_json(top);
		else
			print_text(top);
		if (fflush(stdout) != 0)
			return;
	}
}

/* ---- on the screen ------------------------------------------------------- */

static int
run_screen(ToolTop *top, const Asked *asked, const sigset_t *mask,
           GError **error)
{
	gint64 delay_us = (gint64)(asked->delay_s * US_PER_S);
	gint64 next_us = g_get_monotonic_time() + delay_us;
	g_autoptr(ToolTopScreen) screen = NULL;
	g_auto(ToolTopView) view = { .path = asked->path };
	bool goes_on = true;
	int key;

	if (tool_top_screen_open(&screen, error) < 0)
		return -ENOTTY;
	while (goes_on) {
		tool_top_screen_draw(top, &view);
		key = tool_top_screen_wait(next_us, mask);
		if (key == TOOL_TOP_GONE)
			break;
		if (key != TOOL_TOP_NO_KEY)
			goes_on = tool_top_key(top, &view, key);
		if (g_get_monotonic_time() >= next_us) {
			tool_top_refresh(top);
			tool_top_view_follow(top, &view);
			next_us = g_get_monotonic_time() + delay_us;
		}
		goes_on = goes_on && !tool_interrupt_is_asked();
	}
	return 0;
}

/* ---- the command --------------------------------------------------------- */

static int
check(const Asked *asked, GError **error)
{
	if (asked->delay_s < DELAY_MIN_S || asked->delay_s > DELAY_MAX_S)
		return tool_misuse(error,
		                   "top: --delay is from %.1f to %.0f seconds",
		                   DELAY_MIN_S, DELAY_MAX_S);
	if (asked->batch < 0)
		return tool_misuse(error, "top: --batch is a number of looks");
	if (asked->batch == 0 && asked->is_json)
		return tool_misuse(error, "top: --json needs --batch");
	if (asked->batch == 0 &&
	    (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0))
		return tool_misuse(error, "top: this is no terminal; --batch "
		                          "prints text instead");
	return 0;
}

static int
run(const Asked *asked, GError **error)
{
	g_autoptr(ToolTop) top = NULL;
	sigset_t mask;

	signals_hold(&mask);
	top = tool_top_new(asked->path);
	if (tool_top_trouble(top) != NULL)
		return tool_fail(error, -EIO, "%s", tool_top_trouble(top));
	if (asked->batch == 0)
		return run_screen(top, asked, &mask, error);
	run_batch(top, asked, &mask);
	return 0;
}

ToolExit
tool_top(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	Asked asked = { .delay_s = DELAY_S };
	const GOptionEntry entries[] = {
		{ "batch", 'b', 0, G_OPTION_ARG_INT, &asked.batch,
		  "Print text N times instead", "N" },
		{ "delay", 'd', 0, G_OPTION_ARG_DOUBLE, &asked.delay_s,
		  "Look each so many seconds (2)", "SECONDS" },
		{ NULL },
	};

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	asked.path = options.arguments[0];
	asked.is_json = options.json;
	if (check(&asked, error) < 0)
		return TOOL_USAGE;
	return run(&asked, error) < 0 ? TOOL_FAILED : TOOL_OK;
}
