/* SPDX-License-Identifier: BSD-2-Clause */
/* Recording what one session does, and looking at it. */

#include "tools/trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "tools/json.h"
#include "tools/live.h"
#include "tools/rows.h"
#include "tools/tool.h"
#include "tools/trace_line.h"

/* How often a trace is looked at that is followed, and the list of sessions
 * while a client is waited for, in microseconds. */
#define LOOK_US 200000

/* ---- start and stop ------------------------------------------------------ */

/* Traces what @command ("trace-start") finds for @argument. */
static int
ask_start(const char *store, const char *command, const char *argument,
          guint64 *ret_session, GError **error)
{
	g_autoptr(GVariant) session = NULL;
	int r;

	r = tool_live_ask(store, command, argument, "t", &session, error);
	if (r == 0)
		*ret_session = g_variant_get_uint64(session);
	return r;
}

/* Traces the newest session of the client at @peer or, if it has none, the next.
 */
static int
start_peer(const char *store, const char *peer, guint64 *ret_session,
           GError **error)
{
	guint64 session = 0;
	bool is_told = false;
	int r;

	do {
		g_autoptr(GVariant) known = NULL;

		/* The daemon finds out where clients are when it is asked. */
		r = tool_live_ask(store, "sessions", "", "aa{sv}", &known,
		                  error);
		if (r == 0)
			r = ask_start(store, "trace-expect", peer, &session,
			              error);
		if (r < 0 || session != 0)
			continue;
		if (!is_told)
			tool_warn("waiting for a client at %s", peer);
		is_told = true;
		g_usleep(LOOK_US);
	} while (r == 0 && session == 0);
	if (r == 0)
		*ret_session = session;
	return r;
}

char *
tool_trace_path(const char *store, guint64 session)
{
	g_autofree char *name =
		g_strdup_printf("trace-%" G_GUINT64_FORMAT ".log", session);

	return g_build_filename(store, name, NULL);
}

/* Whether @word is a session, and no address. */
static bool
is_session(const char *word)
{
	guint64 session;

	return g_ascii_string_to_unsigned(word, 10, 1, G_MAXUINT64, &session,
	                                  NULL);
}

int
tool_trace_begin(const char *store, const char *who, guint64 *ret_session,
                 GError **error)
{
	if (is_session(who))
		return ask_start(store, "trace-start", who, ret_session, error);
	return start_peer(store, who, ret_session, error);
}

int
tool_trace_end(const char *store, const char *session, guint *ret_count,
               GError **error)
{
	g_autoptr(GVariant) count = NULL;
	int r;

	r = tool_live_ask(store, "trace-stop", session, "u", &count, error);
	if (r == 0)
		*ret_count = g_variant_get_uint32(count);
	return r;
}

static void
print_start(const char *store, guint64 session, bool is_json)
{
	g_autofree char *path = tool_trace_path(store, session);
	g_autoptr(ToolJson) json = tool_json_new();

	if (is_json) {
		tool_json_string(json, "trace", path);
		tool_json_print(&json);
	} else {
		tool_say("Session %" G_GUINT64_FORMAT " is traced in %s.",
		         session, path);
	}
}

ToolExit
tool_trace_start(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_autofree char *peer = NULL;
	guint64 session = 0;
	int r;
	const GOptionEntry entries[] = {
		{ "peer", 0, 0, G_OPTION_ARG_STRING, &peer,
		  "The newest session of the client with ADDRESS; wait for it",
		  "ADDRESS" },
		{ NULL },
	};

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if ((options.arguments[1] == NULL) == (peer == NULL)) {
		(void)tool_misuse(error,
		                  "trace start needs a session or --peer");
		return TOOL_USAGE;
	}
	if (peer != NULL)
		r = start_peer(options.arguments[0], peer, &session, error);
	else
		r = ask_start(options.arguments[0], "trace-start",
		              options.arguments[1], &session, error);
	if (r < 0)
		return TOOL_FAILED;
	print_start(options.arguments[0], session, options.json);
	return TOOL_OK;
}

ToolExit
tool_trace_stop(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	const GOptionEntry entries[] = { { NULL } };
	g_autoptr(ToolJson) json = tool_json_new();
	guint count;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if (tool_trace_end(options.arguments[0], options.arguments[1], &count,
	                   error) < 0)
		return TOOL_FAILED;
	if (options.json) {
		tool_json_number(json, "stopped", count);
		tool_json_print(&json);
	} else {
		g_autofree char *text = tool_count(count, "trace", "traces");

		tool_say("Stopped %s.", text);
	}
	return TOOL_OK;
}

/* ---- show ---------------------------------------------------------------- */

typedef struct Show {
	FILE *file;              /* owned */
	ToolTraceReader *reader; /* owned */
	GString *line;           /* owned; the part of it that is there */
	bool is_json;
	gboolean follows;
	GVariantBuilder rows; /* for JSON that does not follow */
} Show;

static void
print_row(GVariant *row)
{
	const char *texts[5] = { "", "", "", "", "" };
	static const char *const keys[] = { "at", "op", "path", "detail",
		                            "result" };
	guint64 took_us = 0;
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(keys); i++)
		(void)g_variant_lookup(row, keys[i], "&s", &texts[i]);
	if (g_variant_lookup(row, "took_us", "t", &took_us))
		tool_say("%12s  %-9s %-24s %s  %s, %.3f ms", texts[0], texts[1],
		         texts[2], texts[3], texts[4], (double)took_us / 1000);
	else
		tool_say("%12s  %-9s %-24s %s  %s", texts[0], texts[1],
		         texts[2], texts[3], texts[4]);
}

/* Shows what is complete; in the end, everything. */
static void
show_rows(Show *show, bool is_last)
{
	GVariant *row;

	while ((row = tool_trace_reader_next(show->reader, is_last)) != NULL) {
		g_autoptr(ToolJson) json = tool_json_new();

		if (!show->is_json) {
			print_row(row);
		} else if (show->follows) {
			tool_row_json(json, row);
			tool_json_print(&json);
		} else {
			g_variant_builder_add_value(&show->rows, row);
		}
		g_variant_unref(row);
	}
	(void)fflush(stdout);
}

/* Reads on until the end of the file as it is now. */
static void
read_on(Show *show)
{
	int c;

	clearerr(show->file);
	while ((c = getc_unlocked(show->file)) != EOF) {
		if (c != '\n') {
			g_string_append_c(show->line, (char)c);
			continue;
		}
		tool_trace_reader_add(show->reader, show->line->str);
		g_string_truncate(show->line, 0);
		show_rows(show, false);
	}
}

static void
show_all(Show *show)
{
	g_autoptr(GVariant) rows = NULL;

	read_on(show);
	while (show->follows && !tool_trace_reader_is_over(show->reader)) {
		g_usleep(LOOK_US);
		read_on(show);
	}
	show_rows(show, true);
	rows = g_variant_ref_sink(g_variant_builder_end(&show->rows));
	if (show->is_json && !show->follows)
		tool_rows_print_json("trace", rows);
}

/* The trace that @word means: a session's in @store, or a file. */
static char *
trace_path(const char *store, const char *word)
{
	if (is_session(word))
		return tool_trace_path(store, g_ascii_strtoull(word, NULL, 10));
	return g_strdup(word);
}

ToolExit
tool_trace_show(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	Show show = { .follows = FALSE };
	g_autofree char *path = NULL;
	const GOptionEntry entries[] = {
		{ "follow", 'f', 0, G_OPTION_ARG_NONE, &show.follows,
		  "Go on until the trace ends", NULL },
		{ NULL },
	};

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	path = trace_path(options.arguments[0], options.arguments[1]);
	show.file = fopen(path, "re");
	if (show.file == NULL) {
		(void)tool_fail(error, -errno, "cannot read %s: %s", path,
		                g_strerror(errno));
		return TOOL_FAILED;
	}
	show.is_json = options.json;
	show.reader = tool_trace_reader_new();
	show.line = g_string_new(NULL);
	show.rows = (GVariantBuilder)G_VARIANT_BUILDER_INIT(
		G_VARIANT_TYPE("aa{sv}"));
	show_all(&show);
	(void)g_string_free(show.line, TRUE);
	tool_trace_reader_free(show.reader);
	(void)fclose(show.file);
	return TOOL_OK;
}
