/* SPDX-License-Identifier: BSD-2-Clause */
/* What the transactions did, a line each: beside a running daemon, and without
 * its help. */

#include <errno.h>
#include <stdio.h>

#include <glib.h>

#include "store/journal.h"
#include "tools/access.h"
#include "tools/deed.h"
#include "tools/json.h"
#include "tools/moment.h"
#include "tools/rows.h"
#include "tools/tool.h"

#define NS_PER_US 1000

/* Who follows looks this often, in microseconds. */
#define FOLLOW_US 500000

typedef struct Log {
	ToolOptions options;
	int64_t since_ns;
	char *mailbag;  /* owned; NULL: of all */
	gint64 session; /* 0: of all */
	gboolean follows;
	gboolean undone;
	gboolean is_iso;
	uint64_t next; /* the first entry that was not looked at */
} Log;

static void
log_clear(Log *log)
{
	tool_options_clear(&log->options);
	g_free(log->mailbag);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Log, log_clear)

static bool
wants(void *user_data, const StoreJournalEntry *entry)
{
	Log *log = user_data;

	log->next = entry->id + 1;
	return entry->ended_ns >= log->since_ns &&
	       (log->session == 0 ||
	        entry->session == (uint64_t)log->session) &&
	       (!log->undone || entry->outcome == STORE_UNDONE);
}

static char *
duration_text(int64_t ns)
{
	g_autoptr(GVariant) us =
		g_variant_ref_sink(g_variant_new_int64(ns / NS_PER_US));

	return ns == 0 ? g_strdup("-") : tool_row_time(us);
}

/* The columns keep their width, for whoever follows sees one line at a time. */
static void
print_line(const ToolDeed *deed, bool is_iso)
{
	const StoreJournalEntry *entry = &deed->entry;
	g_autofree char *time = tool_moment_text(entry->ended_ns, is_iso);
	g_autofree char *held = duration_text(entry->held_ns);
	g_autofree char *waited = duration_text(entry->waited_ns);
	g_autofree char *summary = tool_deed_summary(deed);
	g_autofree char *files = tool_show(summary);
	g_autofree char *who = tool_show(entry->who);
	g_autofree char *reason = tool_show(entry->reason);

	(void)printf("%8" G_GUINT64_FORMAT "  %s  %-9s  %8s  %8s  %s  %s%s%s\n",
	             entry->id, time, tool_deed_outcome(deed), held, waited,
	             who, files, reason[0] != '\0' ? ": " : "", reason);
}

static void
print_deeds(const Log *log, const GPtrArray *deeds)
{
	guint i;

	for (i = 0; i < deeds->len; i++)
		print_line(deeds->pdata[i], log->is_iso);
}

/* Who follows reads an object a line; else it is one of them all. */
static void
print_json(const Log *log, const GPtrArray *deeds)
{
	GVariantBuilder rows = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	g_autoptr(GVariant) all = NULL;
	guint i;

	for (i = 0; i < deeds->len; i++) {
		g_autoptr(GVariant) row = g_variant_ref_sink(
			tool_deed_row(deeds->pdata[i], true));
		g_autoptr(ToolJson) json = NULL;

		if (!log->follows) {
			g_variant_builder_add_value(&rows, row);
			continue;
		}
		json = tool_json_new();
		tool_row_json(json, row);
		tool_json_print(&json);
	}
	all = g_variant_ref_sink(g_variant_builder_end(&rows));
	if (!log->follows)
		tool_rows_print_json("journal", all);
}

static int
read_new(Log *log, GPtrArray **ret_deeds, GError **error)
{
	g_autoptr(Store) store = NULL;
	int r;

	r = tool_access_open(log->options.arguments[0], STORE_READ, &store,
	                     error);
	return r < 0 ? r
	             : tool_deeds_read(store, log->next, wants, log, ret_deeds,
	                               error);
}

/* Prints what is new, with the store closed: a terminal may stand still, too. */
static int
print_new(Log *log, GError **error)
{
	g_autoptr(GPtrArray) deeds = NULL;
	guint i;
	int r;

	r = read_new(log, &deeds, error);
	if (r < 0)
		return r;
	for (i = deeds->len; log->mailbag != NULL && i > 0; i--)
		if (!tool_deed_is_of(deeds->pdata[i - 1], log->mailbag))
			g_ptr_array_remove_index(deeds, i - 1);
	if (log->options.json)
		print_json(log, deeds);
	else
		print_deeds(log, deeds);
	return 0;
}

/* Until somebody ends it, or nobody reads it any more. Meanwhile the store is
 * closed: who reads it may stop for as long as he likes. */
static int
follow(Log *log, GError **error)
{
	int r = 0;

	while (r == 0 && fflush(stdout) == 0) {
		g_usleep(FOLLOW_US);
		r = print_new(log, error);
	}
	return r;
}

static int
read_options(Log *log, const ToolCommand *self, char **argv, GError **error)
{
	g_autofree char *since = NULL;
	const GOptionEntry entries[] = {
		{ "follow", 'f', 0, G_OPTION_ARG_NONE, &log->follows,
		  "Go on, and print each entry when it comes", NULL },
		{ "iso", 0, 0, G_OPTION_ARG_NONE, &log->is_iso,
		  "Print times in ISO 8601", NULL },
		{ "mailbag", 0, 0, G_OPTION_ARG_STRING, &log->mailbag,
		  "Only of those that have to do with MAILBAG", "MAILBAG" },
		{ "session", 0, 0, G_OPTION_ARG_INT64, &log->session,
		  "Only of this session", "SESSION" },
		{ "since", 0, 0, G_OPTION_ARG_STRING, &since,
		  "Only of those that ended after TIME", "TIME" },
		{ "undone", 0, 0, G_OPTION_ARG_NONE, &log->undone,
		  "Only of what was undone", NULL },
		{ NULL },
	};
	int r;

	r = tool_options_read(self, entries, argv, &log->options, error);
	if (r == 0 && since != NULL)
		r = tool_moment_read(since, &log->since_ns, error);
	return r;
}

ToolExit
tool_log(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(Log) log = { .since_ns = INT64_MIN };
	int r;

	if (read_options(&log, self, argv, error) < 0)
		return TOOL_USAGE;
	if (log.options.done)
		return TOOL_OK;

	r = print_new(&log, error);
	if (r == 0 && log.follows)
		r = follow(&log, error);
	return r < 0 ? TOOL_FAILED : TOOL_OK;
}
