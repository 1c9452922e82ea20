/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/queue.h"

#include <errno.h>
#include <string.h>

#include "tools/live.h"
#include "tools/rows.h"
#include "tools/tool.h"

/* The first is for stores with postoffices in folders only. */
static const ToolColumn mailbag_columns[] = {
	{ "postoffice", "POSTOFFICE" },
	{ "mailbag", "MAILBAG" },
	{ "kind", "KIND" },
	{ "owner", "OWNER" },
	{ "records", "RECORDS" },
	{ "live", "LIVE" },
	{ "oldest", "OLDEST" },
	{ "newest", "NEWEST" },
	{ "size", "SIZE", tool_row_bytes, "t" },
	{ "changed", "CHANGED" },
	{ "lock", "LOCK" },
	{ NULL },
};

static const ToolColumn record_columns[] = {
	{ "record", "RECORD" },
	{ "live", "LIVE" },
	{ "sender", "SENDER" },
	{ "subject", "SUBJECT" },
	{ "date", "DATE" },
	{ "message", "MESSAGE" },
	{ "size", "SIZE", tool_row_bytes, "t" },
	{ "owners", "OWNERS" },
	{ "state", "STATE" },
	{ NULL },
};

/* What the command line asks for. */
typedef struct Queue {
	ToolOptions options;
	ToolOfficeChoice choice;
	ToolQueueFilter filter;
	char *sort; /* a column's key, or NULL */
	gboolean reverse;
	const ToolColumn *columns; /* of what is listed */
} Queue;

static void
queue_clear(Queue *queue)
{
	tool_options_clear(&queue->options);
	g_free(queue->choice.config);
	g_free(queue->choice.folder);
	g_free(queue->filter.kind);
	g_free(queue->sort);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Queue, queue_clear)

/* ---- order --------------------------------------------------------------- */

static int
compare_rows(gconstpointer a, gconstpointer b, void *user_data)
{
	const char *key = user_data;
	g_autoptr(GVariant) x =
		g_variant_lookup_value(*(GVariant *const *)a, key, NULL);
	g_autoptr(GVariant) y =
		g_variant_lookup_value(*(GVariant *const *)b, key, NULL);

	/* What is not known comes first. */
	if (x == NULL || y == NULL)
		return (x != NULL) - (y != NULL);
	return g_variant_compare(x, y);
}

static void
order_rows(const Queue *queue, GPtrArray *rows)
{
	guint i;

	if (queue->sort != NULL)
		g_ptr_array_sort_with_data(rows, compare_rows, queue->sort);
	for (i = 0; queue->reverse && i < rows->len / 2; i++) {
		void *row = rows->pdata[i];

		rows->pdata[i] = rows->pdata[rows->len - 1 - i];
		rows->pdata[rows->len - 1 - i] = row;
	}
}

/* ---- what is asked ------------------------------------------------------- */

static int
check_sort(const Queue *queue, GError **error)
{
	g_autoptr(GString) keys = g_string_new(NULL);
	size_t i;

	if (queue->sort == NULL)
		return 0;
	for (i = 0; queue->columns[i].key != NULL; i++) {
		if (strcmp(queue->columns[i].key, queue->sort) == 0)
			return 0;
		g_string_append_printf(keys, "%s%s", i > 0 ? ", " : "",
		                       queue->columns[i].key);
	}
	return tool_misuse(error, "queue: no column %s to sort by, only %s",
	                   queue->sort, keys->str);
}

/* A kind that is misspelt would be one that there is no mailbag of. */
static int
check_kind(const Queue *queue, GError **error)
{
	int kind;

	if (queue->filter.kind == NULL)
		return 0;
	for (kind = TOOL_MAILBAG_INQUEUE; kind <= TOOL_MAILBAG_OTHER; kind++)
		if (strcmp(tool_mailbag_kind_text(kind), queue->filter.kind) ==
		    0)
			return 0;
	return tool_misuse(error, "queue: no mailbag is of kind %s",
	                   queue->filter.kind);
}

static int
read_command(const ToolCommand *self, char **argv, Queue *queue, GError **error)
{
	const GOptionEntry entries[] = {
		{ "all", 'a', 0, G_OPTION_ARG_NONE, &queue->filter.all,
		  "Show deleted records, too", NULL },
		{ "config", 0, 0, G_OPTION_ARG_FILENAME, &queue->choice.config,
		  "Read the layout of KEY files from FILE, not STORE/pofs.conf",
		  "FILE" },
		{ "iso", 0, 0, G_OPTION_ARG_NONE, &queue->filter.iso,
		  "Print times as ISO 8601", NULL },
		{ "kind", 0, 0, G_OPTION_ARG_STRING, &queue->filter.kind,
		  "Only inqueue, system, external, gateway, user or other",
		  "KIND" },
		{ "postoffice", 0, 0, G_OPTION_ARG_FILENAME,
		  &queue->choice.folder, "Only the one in the folder NAME",
		  "NAME" },
		{ "reverse", 'r', 0, G_OPTION_ARG_NONE, &queue->reverse,
		  "The other way round", NULL },
		{ "sort", 's', 0, G_OPTION_ARG_STRING, &queue->sort,
		  "Order by COLUMN", "COLUMN" },
		{ "waiting", 'w', 0, G_OPTION_ARG_NONE, &queue->filter.waiting,
		  "Only mailbags with live records", NULL },
		{ NULL },
	};
	int r;

	r = tool_options_read(self, entries, argv, &queue->options, error);
	if (r < 0 || queue->options.done)
		return r;
	queue->filter.iso |= queue->options.json;
	queue->columns = queue->options.arguments[1] != NULL ? record_columns
	                                                     : mailbag_columns;
	r = check_kind(queue, error);
	return r < 0 ? r : check_sort(queue, error);
}

/* ---- rows ---------------------------------------------------------------- */

/* What the daemon says of its locks; NULL if there is no daemon, or none that
 * answers: the mailbags are there without it, too. */
static GVariant *
ask_locks(const char *store)
{
	g_autoptr(GError) problem = NULL;
	GVariant *locks = NULL;
	int r;

	r = tool_live_ask(store, "locks", "", "aa{sv}", &locks, &problem);
	if (r < 0 && r != -ENOTCONN)
		tool_warn("%s", problem->message);
	return locks;
}

static int
list_mailbags(const Queue *queue, const ToolOffices *offices, GPtrArray *rows,
              GError **error)
{
	g_autoptr(GVariant) locks = ask_locks(queue->options.arguments[0]);
	guint i;
	int r = 0;

	for (i = 0; i < offices->list->len && r == 0; i++)
		r = tool_queue_mailbags(offices->list->pdata[i], locks,
		                        &queue->filter, rows);
	if (r < 0)
		return tool_fail(error, r, "cannot read the mailbags: %s",
		                 g_strerror(-r));
	return 0;
}

static int
list_records(const Queue *queue, const ToolOffices *offices, GPtrArray *rows,
             GError **error)
{
	const char *mailbag = queue->options.arguments[1];
	const ToolOffice *office;
	const char *name;
	int r;

	r = tool_offices_choose(offices, mailbag, &office, &name, error);
	if (r < 0)
		return r;
	r = tool_queue_records(office, name, &queue->filter, rows);
	if (r == -ENOENT)
		return tool_fail(error, r, "there is no mailbag %s", mailbag);
	if (r < 0)
		return tool_fail(error, r, "cannot read mailbag %s: %s",
		                 mailbag, g_strerror(-r));
	return 0;
}

/* ---- printing ------------------------------------------------------------ */

static void
print_json(const ToolOffices *offices, const GPtrArray *rows, const char *name)
{
	g_autoptr(ToolJson) json = tool_json_new();
	guint i;

	tool_json_bool(json, "live_is_assumed", !offices->layout.is_confirmed);
	tool_json_list_begin(json, name);
	for (i = 0; i < rows->len; i++) {
		tool_json_object_begin(json, NULL);
		tool_row_json(json, rows->pdata[i]);
		tool_json_object_end(json);
	}
	tool_json_list_end(json);
	tool_json_print(&json);
}

/* @columns with a title that says what is assumed. */
static ToolColumn *
copy_columns(const ToolColumn *columns, const ToolOffices *offices)
{
	GArray *copy = g_array_new(TRUE, TRUE, sizeof(ToolColumn));

	for (; columns->key != NULL; columns++) {
		ToolColumn column = *columns;

		if (strcmp(column.key, "live") == 0 &&
		    !offices->layout.is_confirmed)
			column.title = "LIVE (assumed)";
		g_array_append_val(copy, column);
	}
	return (ToolColumn *)(void *)g_array_free(copy, FALSE);
}

static void
print_table(const Queue *queue, const ToolOffices *offices,
            const GPtrArray *rows)
{
	g_autofree ToolColumn *columns = copy_columns(queue->columns, offices);
	const ToolOffice *first = offices->list->pdata[0];
	bool is_one = offices->list->len == 1 && first->path[0] == '\0';
	bool has_folder = queue->columns == mailbag_columns;
	g_autoptr(GVariant) list = g_variant_ref_sink(
		g_variant_new_array(G_VARIANT_TYPE_VARDICT,
	                            (GVariant *const *)rows->pdata, rows->len));

	tool_rows_print(list, columns + (has_folder && is_one ? 1 : 0));
}

ToolExit
tool_queue(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(Queue) queue = { 0 };
	g_auto(ToolOffices) offices = { 0 };
	g_autoptr(GPtrArray) rows =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	bool is_one;
	int r;

	if (read_command(self, argv, &queue, error) < 0)
		return TOOL_USAGE;
	if (queue.options.done)
		return TOOL_OK;

	is_one = queue.columns == record_columns;
	r = tool_offices_open(queue.options.arguments[0], &queue.choice,
	                      &offices, error);
	if (r == 0)
		r = is_one ? list_records(&queue, &offices, rows, error)
		           : list_mailbags(&queue, &offices, rows, error);
	if (r < 0)
		return TOOL_FAILED;
	order_rows(&queue, rows);
	if (queue.options.json)
		print_json(&offices, rows, is_one ? "records" : "mailbags");
	else
		print_table(&queue, &offices, rows);
	return TOOL_OK;
}
