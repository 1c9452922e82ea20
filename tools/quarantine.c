/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking at the quarantine: beside a running daemon, and without its help. */

#include <errno.h>
#include <stdio.h>

#include <glib.h>

#include "store/store.h"
#include "tools/access.h"
#include "tools/fact.h"
#include "tools/json.h"
#include "tools/rows.h"
#include "tools/tool.h"
#include "tools/undone.h"

static const ToolColumn list_columns[] = {
	{ "id", "ENTRY" },
	{ "undone", "UNDONE" },
	{ "files", "FILES" },
	{ "bytes", "BYTES" },
	{ "who", "SESSION" },
	{ "reason", "REASON" },
	{ NULL },
};

static const ToolColumn entry_columns[] = {
	{ "reason", "reason" },
	{ "who", "session" },
	{ "begun", "begun" },
	{ "undone", "undone" },
	{ NULL },
};

static const ToolColumn file_columns[] = {
	{ "what", "WHAT" }, { "size", "SIZE" }, { "staged", "STAGED" },
	{ "path", "FILE" }, { NULL },
};

/* ---- facts --------------------------------------------------------------- */

/* @files is the list of them, or how many there are. */
static GVariant *
entry_row(const StoreUndone *undone, GVariant *files, bool is_iso)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

	tool_fact_number(&row, "id", undone->id);
	tool_fact_text(&row, "reason", undone->reason);
	tool_fact_text(&row, "who", undone->who);
	tool_fact_time(&row, "begun", undone->begun_ns, is_iso);
	tool_fact_time(&row, "undone", undone->undone_ns, is_iso);
	g_variant_builder_add(&row, "{sv}", "files", files);
	tool_fact_number(&row, "bytes", undone->bytes);
	return g_variant_builder_end(&row);
}

static GVariant *
file_row(const StoreUndoneFile *file)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

	tool_fact_text(&row, "path", file->path);
	tool_fact_text(&row, "what", tool_undone_what(file->what));
	tool_fact_number(&row, "size", file->size);
	tool_fact_number(&row, "staged", file->bytes);
	return g_variant_builder_end(&row);
}

/* ---- list ---------------------------------------------------------------- */

typedef struct Listing {
	GVariantBuilder *rows; /* borrowed */
	gboolean is_iso;
} Listing;

static bool
list_entry(void *user_data, const StoreUndone *undone)
{
	const Listing *listing = user_data;

	g_variant_builder_add_value(
		listing->rows,
		entry_row(undone, g_variant_new_uint64(undone->files),
	                  listing->is_iso));
	return true;
}

ToolExit
tool_quarantine_list(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(GVariantBuilder) rows =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	Listing listing = { .rows = &rows };
	const GOptionEntry entries[] = {
		{ "iso", 0, 0, G_OPTION_ARG_NONE, &listing.is_iso,
		  "Show times in ISO 8601", NULL },
		{ NULL },
	};
	g_autoptr(GVariant) list = NULL;
	g_autoptr(Store) store = NULL;
	int r;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if (tool_access_open(options.arguments[0], STORE_READ, &store, error) <
	    0)
		return TOOL_FAILED;
	listing.is_iso |= options.json;
	r = store_quarantine_list(store, list_entry, &listing);
	if (r < 0) {
		(void)tool_fail(error, r, "cannot read the quarantine: %s",
		                g_strerror(-r));
		return TOOL_FAILED;
	}
	list = g_variant_ref_sink(g_variant_builder_end(&rows));
	if (options.json)
		tool_rows_print_json("quarantine", list);
	else
		tool_rows_print(list, list_columns);
	return TOOL_OK;
}

/* ---- show ---------------------------------------------------------------- */

/* The entry that is looked for. */
typedef struct Search {
	uint64_t id;
	GVariant *files; /* borrowed; the list of them */
	bool is_iso;
	GVariant *row; /* owned; NULL until it is found */
} Search;

static bool
match_entry(void *user_data, const StoreUndone *undone)
{
	Search *search = user_data;

	if (undone->id != search->id)
		return true;
	search->row = g_variant_ref_sink(
		entry_row(undone, search->files, search->is_iso));
	return false;
}

static int
read_files(Store *store, uint64_t id, GVariant **ret_rows, GError **error)
{
	GVariantBuilder rows = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	g_autoptr(GPtrArray) files = NULL;
	guint i;
	int r;

	r = tool_undone_files(store, id, &files, error);
	if (r < 0)
		return r;
	for (i = 0; i < files->len; i++)
		g_variant_builder_add_value(&rows, file_row(files->pdata[i]));
	*ret_rows = g_variant_ref_sink(g_variant_builder_end(&rows));
	return 0;
}

/* Reads the row of entry @id, with its files. */
static int
read_entry(Store *store, uint64_t id, bool is_iso, GVariant **ret_row,
           GError **error)
{
	g_autoptr(GVariant) files = NULL;
	Search search = { .id = id, .is_iso = is_iso };
	int r;

	r = read_files(store, id, &files, error);
	if (r < 0)
		return r;
	search.files = files;
	r = store_quarantine_list(store, match_entry, &search);
	if (r == 0 && search.row == NULL)
		r = -ENOENT;
	if (r < 0)
		return tool_undone_fail(id, r, error);
	*ret_row = search.row;
	return 0;
}

static void
print_entry(GVariant *row, bool is_json)
{
	g_autoptr(GVariant) files = NULL;
	g_autoptr(ToolJson) json = NULL;

	if (is_json) {
		json = tool_json_new();
		tool_row_json(json, row);
		tool_json_print(&json);
		return;
	}
	files = g_variant_lookup_value(row, "files", NULL);
	tool_row_print(row, entry_columns);
	(void)putchar('\n');
	tool_rows_print(files, file_columns);
}

ToolExit
tool_quarantine_show(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	gboolean is_iso = FALSE;
	g_autoptr(GVariant) row = NULL;
	g_autoptr(Store) store = NULL;
	uint64_t id;
	const GOptionEntry entries[] = {
		{ "iso", 0, 0, G_OPTION_ARG_NONE, &is_iso,
		  "Show times in ISO 8601", NULL },
		{ NULL },
	};

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if (tool_undone_id(options.arguments[1], &id, error) < 0)
		return TOOL_USAGE;
	if (tool_access_open(options.arguments[0], STORE_READ, &store, error) <
	            0 ||
	    read_entry(store, id, is_iso || options.json, &row, error) < 0)
		return TOOL_FAILED;
	print_entry(row, options.json);
	return TOOL_OK;
}
