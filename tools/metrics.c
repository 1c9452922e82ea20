/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <glib.h>

#include "store/store.h"
#include "tools/access.h"
#include "tools/exposition.h"
#include "tools/live.h"
#include "tools/office_mailbag.h"
#include "tools/target.h"
#include "tools/tool.h"

#define US_PER_S 1e6
#define NS_PER_S 1000000000

/* ---- what there is ------------------------------------------------------- */

/* What the daemon tells under @key, and how it is published. */
typedef struct Metric {
	const char *key;
	ToolFamily family;
	const char *label; /* of what is told by name; or NULL */
} Metric;

static const Metric metrics[] = {
	{ "requests",
	  { "pofs_requests", "counter", NULL, "Requests of the kernel." },
	  "kind" },
	{ "errors",
	  { "pofs_errors", "counter", NULL,
	    "Requests answered with EIO or ENOSPC." },
	  "error" },
	{ "transactions-committed",
	  { "pofs_transactions_committed", "counter", NULL,
	    "Transactions that are on disk and seen by everybody." } },
	{ "transactions-published",
	  { "pofs_transactions_published", "counter", NULL,
	    "Transactions without a mailbag's lock, seen at once and on disk "
	    "with the next commit." } },
	{ "transactions-undone",
	  { "pofs_transactions_undone", "counter", NULL,
	    "Transactions that were undone." },
	  "reason" },
	{ "commit-time",
	  { "pofs_commit_seconds", "histogram", "seconds",
	    "Commits of transactions, from the ask to the answer." } },
	{ "lock-wait-time",
	  { "pofs_lock_wait_seconds", "histogram", "seconds",
	    "Waits that ended with the lock." },
	  "lock" },
	{ "lock-hold-time",
	  { "pofs_lock_hold_seconds", "histogram", "seconds",
	    "Locks held, from the taking until others could have them." },
	  "lock" },
	{ "lock-timeouts",
	  { "pofs_lock_timeouts", "counter", NULL,
	    "Waits for a lock that ended at lock-wait-s." } },
	{ "lock-deadlocks",
	  { "pofs_lock_deadlocks", "counter", NULL,
	    "Waits refused because they would never have ended." } },
	{ "lock-rounds",
	  { "pofs_lock_rounds", "counter", NULL,
	    "Times an smbd that waits was told to ask again." } },
	{ "refusals",
	  { "pofs_refusals", "counter", NULL,
	    "Requests refused because of another session's lock." },
	  "form" },
	{ "sessions",
	  { "pofs_sessions", "gauge", NULL, "Clients of the mount." } },
	{ "handles",
	  { "pofs_handles", "gauge", NULL, "Open files and directories." } },
	{ "locks", { "pofs_locks", "gauge", NULL, "Locks held." } },
	{ "waiters",
	  { "pofs_waiters", "gauge", NULL, "Places in the lines for locks." } },
	{ "staged-bytes",
	  { "pofs_staged_bytes", "gauge", "bytes",
	    "Written by transactions that have not ended." } },
	{ "quarantine-entries",
	  { "pofs_quarantine_entries", "gauge", NULL,
	    "Undone transactions in the quarantine." } },
	{ "quarantine-bytes",
	  { "pofs_quarantine_bytes", "gauge", "bytes", "Their content." } },
	{ "store-commits",
	  { "pofs_store_commits", "counter", NULL,
	    "Groups of changes written since the store was made." } },
	{ "store-used-bytes",
	  { "pofs_store_used_bytes", "gauge", "bytes",
	    "The database on disk." } },
	{ "store-free-bytes",
	  { "pofs_store_free_bytes", "gauge", "bytes",
	    "What the disk and the map still leave." } },
};

static const ToolFamily up = { "pofs_up", "gauge", NULL,
	                       "Whether the daemon answers." };
static const ToolFamily build = { "pofs_build_info", "gauge", NULL,
	                          "The daemon's version." };
static const ToolFamily start = { "pofs_start_time_seconds", "gauge", "seconds",
	                          "When the mount began, since 1970." };
static const ToolFamily healthy = { "pofs_store_healthy", "gauge", NULL,
	                            "Whether the last commit went well." };
/* ---- one metric ---------------------------------------------------------- */

/* A bound as the format wants it: always with a decimal point. */
static char *
bound_text(guint64 end_us)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];

	if (end_us == G_MAXUINT64)
		return g_strdup("+Inf");
	(void)g_ascii_formatd(text, sizeof text, "%.9g",
	                      (double)end_us / US_PER_S);
	return g_strconcat(text, strchr(text, '.') == NULL ? ".0" : "", NULL);
}

/* In the format a bucket has all that is below its end. */
static void
add_histogram(ToolExposition *exposition, GVariant *histogram,
              const char *label, const char *value)
{
	g_autoptr(GVariantIter) buckets = NULL;
	guint64 total = 0;
	guint64 end_us;
	guint64 count;
	guint64 sum_us;

	g_variant_get(histogram, "(ta(tt))", &sum_us, &buckets);
	while (g_variant_iter_next(buckets, "(tt)", &end_us, &count)) {
		g_autofree char *bound = bound_text(end_us);

		total += count;
		if (label != NULL)
			tool_exposition_label(exposition, label, value);
		tool_exposition_label(exposition, "le", bound);
		tool_exposition_add(exposition, "_bucket", total);
	}
	if (label != NULL)
		tool_exposition_label(exposition, label, value);
	tool_exposition_add(exposition, "_count", total);
	if (label != NULL)
		tool_exposition_label(exposition, label, value);
	tool_exposition_add_real(exposition, "_sum", (double)sum_us / US_PER_S);
}

/* Adds @value, under the name @label of it if it is one of many. */
static void
add_value(ToolExposition *exposition, const Metric *metric, GVariant *value,
          const char *name)
{
	const char *suffix =
		strcmp(metric->family.type, "counter") == 0 ? "_total" : "";

	if (strcmp(metric->family.type, "histogram") == 0) {
		add_histogram(exposition, value, metric->label, name);
		return;
	}
	if (metric->label != NULL)
		tool_exposition_label(exposition, metric->label, name);
	tool_exposition_add(exposition, suffix, g_variant_get_uint64(value));
}

/* As a GVariant. */
static const char *
metric_type(const Metric *metric)
{
	if (strcmp(metric->family.type, "histogram") == 0)
		return metric->label == NULL ? "(ta(tt))" : "a{s(ta(tt))}";
	return metric->label == NULL ? "t" : "a{st}";
}

/* Adds @metric of @facts; a daemon of another version may not tell it. */
static void
add_metric(ToolExposition *exposition, const Metric *metric, GVariant *facts)
{
	g_autoptr(GVariant) value = g_variant_lookup_value(
		facts, metric->key, G_VARIANT_TYPE(metric_type(metric)));
	GVariantIter parts;
	GVariant *part;
	const char *name;

	if (value == NULL)
		return;
	tool_exposition_begin(exposition, &metric->family);
	if (metric->label == NULL) {
		add_value(exposition, metric, value, NULL);
		return;
	}
	g_variant_iter_init(&parts, value);
	while ((part = g_variant_iter_next_value(&parts)) != NULL) {
		g_autoptr(GVariant) number = g_variant_get_child_value(part, 1);

		g_variant_get_child(part, 0, "&s", &name);
		add_value(exposition, metric, number, name);
		g_variant_unref(part);
	}
}

/* ---- where it is from ---------------------------------------------------- */

/* What the daemon says of itself. */
static void
add_daemon(ToolExposition *exposition, GVariant *status, GVariant *facts)
{
	const char *version = "";
	const char *error = "";
	gint64 ago_us = 0;

	tool_exposition_begin(exposition, &up);
	tool_exposition_add(exposition, "", status != NULL);
	if (status == NULL)
		return;

	(void)g_variant_lookup(status, "version", "&s", &version);
	(void)g_variant_lookup(status, "since-us-ago", "x", &ago_us);
	(void)g_variant_lookup(facts, "store-error", "&s", &error);
	tool_exposition_begin(exposition, &build);
	tool_exposition_label(exposition, "version", version);
	tool_exposition_add(exposition, "", 1);
	tool_exposition_begin(exposition, &start);
	tool_exposition_add_real(exposition, "",
	                         (double)(g_get_real_time() - ago_us) /
	                                 US_PER_S);
	tool_exposition_begin(exposition, &healthy);
	tool_exposition_add(exposition, "", error[0] == '\0');
}

static int
read_failed(int r, GError **error)
{
	return tool_fail(error, r, "cannot read the store: %s", g_strerror(-r));
}

/* What the store alone can tell, under the daemon's names. */
static int
ask_store(Store *store, GVariant **ret_facts, GError **error)
{
	GVariantDict facts;
	StoreRoom room;
	StoreStat st;
	int r;

	r = store_stat(store, &st);
	if (r == 0)
		r = store_room(store, &room);
	if (r < 0)
		return read_failed(r, error);

	g_variant_dict_init(&facts, NULL);
	g_variant_dict_insert(&facts, "quarantine-entries", "t", st.undone);
	g_variant_dict_insert(&facts, "quarantine-bytes", "t", st.undone_bytes);
	g_variant_dict_insert(&facts, "store-commits", "t", st.commits);
	g_variant_dict_insert(&facts, "store-used-bytes", "t", st.disk_used);
	g_variant_dict_insert(&facts, "store-free-bytes", "t", room.free);
	*ret_facts = g_variant_ref_sink(g_variant_dict_end(&facts));
	return 0;
}

/* What the daemon tells. Errors: -ENOTCONN if there is none. */
static int
ask_daemon(const char *store, GVariant **ret_status, GVariant **ret_facts,
           GError **error)
{
	g_autoptr(GVariant) status = NULL;
	int r;

	r = tool_live_ask(store, "status", "", "a{sv}", &status, error);
	if (r == 0)
		r = tool_live_ask(store, "metrics", "", "a{sv}", ret_facts,
		                  error);
	if (r == 0)
		*ret_status = g_steal_pointer(&status);
	return r;
}

/* ---- mailbags ------------------------------------------------------------ */

/* One number of each mailbag. */
typedef struct MailbagMetric {
	ToolFamily family;
	guint64 (*number)(const ToolMailbag *mailbag);
} MailbagMetric;

static guint64
number_of_records(const ToolMailbag *mailbag)
{
	return mailbag->records;
}

static guint64
number_of_bytes(const ToolMailbag *mailbag)
{
	return mailbag->mbg.size;
}

/* In seconds, which is what the programs keep. */
static guint64
time_of_change(const ToolMailbag *mailbag)
{
	return (guint64)MAX(mailbag->key.mtime_ns, 0) / NS_PER_S;
}

static const MailbagMetric mailbag_metrics[] = {
	{ { "pofs_mailbag_records", "gauge", NULL,
	    "Records of the MBG: at most so many messages." },
	  number_of_records },
	{ { "pofs_mailbag_bytes", "gauge", "bytes", "Size of the MBG." },
	  number_of_bytes },
	{ { "pofs_mailbag_key_changed_timestamp_seconds", "gauge", "seconds",
	    "When the KEY was changed, since 1970." },
	  time_of_change },
};

static void
add_mailbag_metric(ToolExposition *exposition, const MailbagMetric *metric,
                   const GPtrArray *lists)
{
	guint i;
	guint j;

	tool_exposition_begin(exposition, &metric->family);
	for (i = 0; i < lists->len; i++) {
		const GPtrArray *mailbags = lists->pdata[i];

		for (j = 0; j < mailbags->len; j++) {
			const ToolMailbag *mailbag = mailbags->pdata[j];

			tool_exposition_label(exposition, "postoffice",
			                      mailbag->office->path);
			tool_exposition_label(exposition, "mailbag",
			                      mailbag->name);
			tool_exposition_add(exposition, "",
			                    metric->number(mailbag));
		}
	}
}

static int
add_mailbags(ToolExposition *exposition, const ToolOffices *offices,
             GError **error)
{
	g_autoptr(GPtrArray) lists = g_ptr_array_new_with_free_func(
		(GDestroyNotify)g_ptr_array_unref);
	guint i;
	int r = 0;

	for (i = 0; r == 0 && i < offices->list->len; i++) {
		GPtrArray *mailbags;

		r = tool_mailbag_list(offices->list->pdata[i], &mailbags);
		if (r == 0)
			g_ptr_array_add(lists, mailbags);
	}
	if (r < 0)
		return read_failed(r, error);

	for (i = 0; i < G_N_ELEMENTS(mailbag_metrics); i++)
		add_mailbag_metric(exposition, &mailbag_metrics[i], lists);
	return 0;
}

/* ---- the command --------------------------------------------------------- */

/* What the store in @path can tell without a daemon, and its postoffices if
 * they are asked for: it can be opened only once. */
static int
read_store(const char *path, bool has_mailbags, GVariant **facts,
           ToolOffices *ret_offices, GError **error)
{
	const ToolOfficeChoice choice = { NULL };
	g_autoptr(Store) store = NULL;
	int r = 0;

	if (has_mailbags)
		r = tool_offices_open(path, &choice, ret_offices, error);
	else if (*facts == NULL)
		r = tool_access_open(path, STORE_READ, &store, error);
	if (r < 0 || *facts != NULL)
		return r;
	return ask_store(has_mailbags ? ret_offices->store : store, facts,
	                 error);
}

/* Adds all there is to say of the store in @path. */
static int
collect(ToolExposition *exposition, const char *path, bool has_mailbags,
        GError **error)
{
	g_auto(ToolOffices) offices = { NULL };
	g_autoptr(GVariant) status = NULL;
	g_autoptr(GVariant) facts = NULL;
	g_autoptr(GError) absence = NULL;
	size_t i;
	int r;

	r = ask_daemon(path, &status, &facts, &absence);
	if (r < 0 && r != -ENOTCONN) {
		g_propagate_error(error, g_steal_pointer(&absence));
		return r;
	}
	r = read_store(path, has_mailbags, &facts, &offices, error);
	if (r < 0)
		return r;

	add_daemon(exposition, status, facts);
	for (i = 0; i < G_N_ELEMENTS(metrics); i++)
		add_metric(exposition, &metrics[i], facts);
	return has_mailbags ? add_mailbags(exposition, &offices, error) : 0;
}

ToolExit
tool_metrics(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_autoptr(ToolExposition) exposition = NULL;
	g_autofree char *output = NULL;
	gboolean mailbags = FALSE;
	const GOptionEntry entries[] = {
		{ "mailbags", 'm', 0, G_OPTION_ARG_NONE, &mailbags,
		  "Measure every mailbag, too", NULL },
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
		  "Replace FILE instead of printing", "FILE" },
		{ NULL },
	};

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;
	if (output != NULL && options.json) {
		(void)tool_misuse(error, "metrics: --json is printed, not "
		                         "written with --output");
		return TOOL_USAGE;
	}
	if (output != NULL &&
	    tool_target_check(options.arguments[0], output, error) < 0)
		return TOOL_USAGE;

	exposition = tool_exposition_new(options.json);
	if (collect(exposition, options.arguments[0], mailbags, error) < 0)
		return TOOL_FAILED;
	if (output == NULL)
		tool_exposition_print(exposition);
	else if (tool_exposition_write(exposition, output, error) < 0)
		return TOOL_FAILED;
	return TOOL_OK;
}
