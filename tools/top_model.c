/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_model.h"

#include <string.h>

#include "tools/fact.h"
#include "tools/live.h"
#include "tools/office_mailbag.h"
#include "tools/tool.h"
#include "tools/top_figures.h"

#define NS_PER_US 1000

/* ---- the tables ---------------------------------------------------------- */

static char *
growth_text(GVariant *value)
{
	return g_strdup_printf("%+.0f", g_variant_get_double(value));
}

static char *
ago_text(GVariant *value)
{
	g_autofree char *time = tool_row_time(value);

	return g_strconcat(time, " ago", NULL);
}

static const ToolColumn queue_columns[] = {
	{ "mailbag", "QUEUE" },
	{ "records", "RECORDS" },
	{ "growth", "GROWTH", growth_text, "d" },
	{ "size", "SIZE", tool_row_bytes, "t" },
	{ "changed-us-ago", "CHANGED", ago_text, "x" },
	{ "kind", "KIND" },
	{ "owner", "OWNER" },
	{ NULL },
};

/* A table, and how it is sorted at first. */
static const struct {
	const char *name;
	const ToolColumn *columns;
	const char *row_name; /* what a row is called by in all looks */
	unsigned sort;
	bool is_reverse;
} tables[] = {
	[TOOL_TOP_SESSIONS] = { "Sessions", TOOL_LIVE_SESSIONS, "id" },
	[TOOL_TOP_LOCKS] = { "Locks", TOOL_LIVE_LOCKS, "key", 1 },
	[TOOL_TOP_QUEUES] = { "Queues", queue_columns, "mailbag", 1, true },
};

/* One table of one look. */
typedef struct Listing {
	GVariant *rows; /* aa{sv}, owned */
	unsigned sort;  /* column */
	bool is_reverse;
} Listing;

struct ToolTop {
	const char *path; /* of the store; borrowed */
	Listing listings[TOOL_TOP_TABLES];
	GVariant *status;       /* owned; NULL: no daemon */
	GVariant *facts;        /* owned, as the daemon's "metrics"; or NULL */
	GVariant *facts_before; /* of the look before */
	gint64 looked_us;       /* monotonic */
	gint64 before_us;
	GHashTable *records; /* of each queue when it was first seen */
	char *absence;       /* owned: why there is no status */
	char *trouble;       /* owned: why there are no queues */
};

const char *
tool_top_name(ToolTopTable table)
{
	return tables[table].name;
}

const ToolColumn *
tool_top_columns(ToolTopTable table)
{
	return tables[table].columns;
}

GVariant *
tool_top_rows(const ToolTop *top, ToolTopTable table)
{
	return top->listings[table].rows;
}

const ToolColumn *
tool_top_sorted_by(const ToolTop *top, ToolTopTable table)
{
	return &tables[table].columns[top->listings[table].sort];
}

static GVariant *
row_at(const ToolTop *top, ToolTopTable table, guint i)
{
	GVariant *rows = top->listings[table].rows;

	return i < g_variant_n_children(rows)
	               ? g_variant_get_child_value(rows, i)
	               : NULL;
}

char *
tool_top_row_name(const ToolTop *top, ToolTopTable table, guint i)
{
	g_autoptr(GVariant) row = row_at(top, table, i);
	g_autoptr(GVariant) name = NULL;

	if (row != NULL)
		name = g_variant_lookup_value(row, tables[table].row_name,
		                              NULL);
	return name != NULL ? g_variant_print(name, FALSE) : NULL;
}

guint64
tool_top_row_session(const ToolTop *top, ToolTopTable table, guint i)
{
	g_autoptr(GVariant) row = row_at(top, table, i);
	guint64 session = 0;

	if (row != NULL && !g_variant_lookup(row, "id", "t", &session))
		(void)g_variant_lookup(row, "session", "t", &session);
	return session;
}

/* ---- sorting ------------------------------------------------------------- */

/* Rows without a value come last, and those of equal value stay as they are. */
static gint
rows_compare(gconstpointer a, gconstpointer b, gpointer user_data)
{
	const ToolTop *top = ((void **)user_data)[0];
	const Listing *listing = ((void **)user_data)[1];
	ToolTopTable table = (ToolTopTable)(listing - top->listings);
	const char *key = tables[table].columns[listing->sort].key;
	g_autoptr(GVariant) x =
		g_variant_lookup_value(*(GVariant *const *)a, key, NULL);
	g_autoptr(GVariant) y =
		g_variant_lookup_value(*(GVariant *const *)b, key, NULL);
	gint order;

	if (x == NULL || y == NULL)
		return (x == NULL) - (y == NULL);
	if (!g_variant_type_equal(g_variant_get_type(x), g_variant_get_type(y)))
		return 0;
	if (g_variant_is_container(x))
		order = (g_variant_n_children(x) > g_variant_n_children(y)) -
		        (g_variant_n_children(x) < g_variant_n_children(y));
	else
		order = g_variant_compare(x, y);
	return listing->is_reverse ? -order : order;
}

static void
listing_sort(ToolTop *top, Listing *listing)
{
	void *context[] = { top, listing };
	g_autoptr(GPtrArray) rows =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	GVariantIter iter;
	GVariant *row;
	GVariant *sorted;

	g_variant_iter_init(&iter, listing->rows);
	while ((row = g_variant_iter_next_value(&iter)) != NULL)
		g_ptr_array_add(rows, row);
	g_ptr_array_sort_with_data(rows, rows_compare, context);
	sorted = g_variant_new_array(G_VARIANT_TYPE_VARDICT,
	                             (GVariant *const *)rows->pdata, rows->len);
	g_variant_unref(listing->rows);
	listing->rows = g_variant_ref_sink(sorted);
}

void
tool_top_sort_next(ToolTop *top, ToolTopTable table)
{
	Listing *listing = &top->listings[table];

	listing->sort++;
	if (tables[table].columns[listing->sort].key == NULL)
		listing->sort = 0;
	listing_sort(top, listing);
}

void
tool_top_sort_reverse(ToolTop *top, ToolTopTable table)
{
	Listing *listing = &top->listings[table];

	listing->is_reverse = !listing->is_reverse;
	listing_sort(top, listing);
}

/* ---- looking ------------------------------------------------------------- */

/* Takes over @rows; NULL: there are none. */
static void
listing_set(ToolTop *top, ToolTopTable table, GVariant *rows)
{
	Listing *listing = &top->listings[table];

	g_clear_pointer(&listing->rows, g_variant_unref);
	listing->rows = rows != NULL
	                        ? rows
	                        : g_variant_ref_sink(g_variant_new_array(
					  G_VARIANT_TYPE_VARDICT, NULL, 0));
	listing_sort(top, listing);
}

static guint32
status_pid(const ToolTop *top)
{
	guint32 pid = 0;

	if (top->status != NULL)
		(void)g_variant_lookup(top->status, "pid", "u", &pid);
	return pid;
}

/* Asks the daemon everything; it may go away in between. */
static int
ask_daemon(ToolTop *top, GVariant **ret_sessions, GVariant **ret_locks,
           GError **error)
{
	int r;

	r = tool_live_ask(top->path, "status", "", "a{sv}", &top->status,
	                  error);
	if (r == 0)
		r = tool_live_ask(top->path, "metrics", "", "a{sv}",
		                  &top->facts, error);
	if (r == 0)
		r = tool_live_ask(top->path, "sessions", "", "aa{sv}",
		                  ret_sessions, error);
	if (r == 0)
		r = tool_live_ask(top->path, "locks", "", "aa{sv}", ret_locks,
		                  error);
	return r;
}

static void
look_at_daemon(ToolTop *top)
{
	g_autoptr(GError) error = NULL;
	GVariant *sessions = NULL;
	GVariant *locks = NULL;
	guint32 pid = status_pid(top);

	g_clear_pointer(&top->status, g_variant_unref);
	g_clear_pointer(&top->absence, g_free);
	g_clear_pointer(&top->facts_before, g_variant_unref);
	top->facts_before = g_steal_pointer(&top->facts);
	top->before_us = top->looked_us;
	if (ask_daemon(top, &sessions, &locks, &error) < 0) {
		top->absence = g_strdup(error->message);
		g_clear_pointer(&top->status, g_variant_unref);
		g_clear_pointer(&top->facts, g_variant_unref);
	}
	/* Another one begins to count anew. */
	if (status_pid(top) != pid)
		g_clear_pointer(&top->facts_before, g_variant_unref);
	top->looked_us = g_get_monotonic_time();
	listing_set(top, TOOL_TOP_SESSIONS, sessions);
	listing_set(top, TOOL_TOP_LOCKS, locks);
}

/* How many records the queue @name has more than when it was first seen. */
static double
queue_growth(ToolTop *top, const char *name, guint64 records)
{
	guint64 *first = g_hash_table_lookup(top->records, name);

	if (first == NULL) {
		first = g_memdup2(&records, sizeof records);
		g_hash_table_insert(top->records, g_strdup(name), first);
	}
	return (double)records - (double)*first;
}

static GVariant *
queue_row(ToolTop *top, const ToolMailbag *mailbag)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	g_autofree char *name =
		tool_office_name(mailbag->office, mailbag->name);
	gint64 ago_us = g_get_real_time() - mailbag->key.mtime_ns / NS_PER_US;

	tool_fact_text(&row, "mailbag", name);
	tool_fact_text(&row, "kind", tool_mailbag_kind_text(mailbag->kind));
	tool_fact_text(&row, "owner", mailbag->owner);
	tool_fact_number(&row, "records", mailbag->records);
	g_variant_builder_add(&row, "{sv}", "growth",
	                      g_variant_new_double(queue_growth(
				      top, name, mailbag->records)));
	tool_fact_number(&row, "size", mailbag->mbg.size);
	if (mailbag->key.node != 0)
		g_variant_builder_add(&row, "{sv}", "changed-us-ago",
		                      g_variant_new_int64(ago_us));
	return g_variant_builder_end(&row);
}

/* The store is opened for each look: a reader sees what was there then. */
static int
queues_read(ToolTop *top, GVariantBuilder *rows, GError **error)
{
	const ToolOfficeChoice choice = { NULL };
	g_auto(ToolOffices) offices = { NULL };
	guint i;
	guint j;
	int r;

	r = tool_offices_open(top->path, &choice, &offices, error);
	for (i = 0; r == 0 && i < offices.list->len; i++) {
		g_autoptr(GPtrArray) mailbags = NULL;

		r = tool_mailbag_list(offices.list->pdata[i], &mailbags);
		if (r < 0)
			return tool_fail(error, r, "cannot read the store: %s",
			                 g_strerror(-r));
		for (j = 0; j < mailbags->len; j++)
			g_variant_builder_add_value(
				rows, queue_row(top, mailbags->pdata[j]));
	}
	return r;
}

static void
look_at_queues(ToolTop *top)
{
	GVariantBuilder rows = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	g_autoptr(GError) error = NULL;

	g_clear_pointer(&top->trouble, g_free);
	if (queues_read(top, &rows, &error) < 0)
		top->trouble = g_strdup(error->message);
	listing_set(top, TOOL_TOP_QUEUES,
	            g_variant_ref_sink(g_variant_builder_end(&rows)));
}

void
tool_top_refresh(ToolTop *top)
{
	look_at_daemon(top);
	look_at_queues(top);
}

ToolTop *
tool_top_new(const char *path)
{
	ToolTop *top = g_new0(ToolTop, 1);
	ToolTopTable i;

	top->path = path;
	top->records =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	for (i = 0; i < TOOL_TOP_TABLES; i++) {
		top->listings[i].sort = tables[i].sort;
		top->listings[i].is_reverse = tables[i].is_reverse;
	}
	tool_top_refresh(top);
	return top;
}

void
tool_top_free(ToolTop *top)
{
	ToolTopTable i;

	if (top == NULL)
		return;
	for (i = 0; i < TOOL_TOP_TABLES; i++)
		g_variant_unref(top->listings[i].rows);
	g_clear_pointer(&top->status, g_variant_unref);
	g_clear_pointer(&top->facts, g_variant_unref);
	g_clear_pointer(&top->facts_before, g_variant_unref);
	g_hash_table_unref(top->records);
	g_free(top->absence);
	g_free(top->trouble);
	g_free(top);
}

const char *
tool_top_trouble(const ToolTop *top)
{
	return top->trouble;
}

/* ---- the head ------------------------------------------------------------ */

static char *
state_text(const ToolTop *top)
{
	g_autoptr(GVariant) since = g_variant_lookup_value(
		top->status, "since-us-ago", G_VARIANT_TYPE_INT64);
	g_autofree char *time = since != NULL ? tool_row_time(since) : NULL;
	const char *mount_point = "?";
	const char *version = "?";
	const char *ill = "";

	(void)g_variant_lookup(top->status, "mount-point", "&s", &mount_point);
	(void)g_variant_lookup(top->status, "version", "&s", &version);
	(void)g_variant_lookup(top->facts, "store-error", "&s", &ill);
	return g_strdup_printf("pofs %s serves %s for %s, process %u%s%s",
	                       version, mount_point, time != NULL ? time : "?",
	                       status_pid(top),
	                       ill[0] != '\0' ? "; cannot commit: " : "", ill);
}

/* A store that cannot be read is worse than a daemon that is away. */
char **
tool_top_head(const ToolTop *top)
{
	g_autofree char *state = NULL;
	g_autofree char *figures = NULL;
	char **lines = g_new0(char *, 3);

	if (top->status != NULL) {
		state = state_text(top);
		figures = tool_top_figures(top->facts_before, top->facts,
		                           top->looked_us - top->before_us);
	} else {
		state = g_strdup_printf("%s; waiting for it", top->absence);
		figures = g_strdup("");
	}
	lines[0] = tool_show(state);
	lines[1] = tool_show(top->trouble != NULL ? top->trouble : figures);
	return lines;
}
