/* SPDX-License-Identifier: BSD-2-Clause */
#include <glib.h>

#include "store/store.h"
#include "tools/access.h"
#include "tools/comparison.h"
#include "tools/fact.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/listing.h"
#include "tools/progress.h"
#include "tools/rows.h"
#include "tools/source.h"
#include "tools/tool.h"

static const ToolColumn columns[] = {
	{ "what", "DIFFERENT" },
	{ "store", "STORE" },
	{ "directory", "DIRECTORY" },
	{ "path", "PATH" },
	{ NULL },
};

typedef struct Diff {
	GVariantBuilder rows;
	guint64 count; /* of them */
	guint64 files; /* that both have */
} Diff;

static void
found(void *user_data, const ToolDifference *difference)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	Diff *diff = user_data;

	tool_fact_text(&row, "path", difference->path);
	tool_fact_text(&row, "what", difference->what);
	tool_fact_text(&row, "store", difference->in_store);
	tool_fact_text(&row, "directory", difference->in_tree);
	g_variant_builder_add_value(&diff->rows, g_variant_builder_end(&row));
	diff->count++;
}

static int
compare(Diff *diff, const ToolOptions *options, const char *folder,
        GError **error)
{
	g_autoptr(ToolProgress) progress =
		tool_progress_new("comparing", options->quiet);
	g_autoptr(Store) store = NULL;
	StoreNode top = STORE_ROOT;
	int r;

	r = tool_access_open(options->arguments[0], STORE_READ, &store, error);
	if (r == 0 && folder != NULL)
		r = tool_listing_find(store_plain(store), options->arguments[0],
		                      folder, &top, error);
	if (r < 0)
		return r;
	return tool_comparison_run(store, top, options->arguments[1], found,
	                           diff, progress, &diff->files, error);
}

static void
print_result(const Diff *diff, const ToolOptions *options, GVariant *rows)
{
	const char *store = options->arguments[0];
	const char *dir = options->arguments[1];
	g_autofree char *files = tool_count(diff->files, "file", "files");
	g_autofree char *count =
		tool_count(diff->count, "difference", "differences");

	if (options->json) {
		tool_rows_print_json("differences", rows);
		return;
	}
	if (diff->count == 0) {
		if (!options->quiet)
			tool_say("%s and %s have the same %s.", store, dir,
			         files);
		return;
	}
	tool_rows_print(rows, columns);
	tool_warn("%s and %s: %s", store, dir, count);
}

ToolExit
tool_diff(const ToolCommand *self, char **argv, GError **error)
{
	Diff diff = { .rows = G_VARIANT_BUILDER_INIT(
			      G_VARIANT_TYPE("aa{sv}")) };
	g_auto(ToolOptions) options = { 0 };
	g_autoptr(GVariant) rows = NULL;
	g_autofree char *folder = NULL;
	const GOptionEntry entries[] = {
		{ "postoffice", 0, 0, G_OPTION_ARG_FILENAME, &folder,
		  "Compare with what is in folder NAME only", "NAME" },
		{ NULL },
	};
	int r;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;
	if (tool_source_has(options.arguments[1], options.arguments[0])) {
		(void)tool_misuse(
			error, "the store cannot be inside the directory that "
			       "it is compared with");
		return TOOL_USAGE;
	}
	tool_interrupt_begin();
	r = compare(&diff, &options, folder, error);
	rows = g_variant_ref_sink(g_variant_builder_end(&diff.rows));
	if (r < 0)
		return TOOL_FAILED;
	print_result(&diff, &options, rows);
	return diff.count > 0 ? TOOL_FAILED : TOOL_OK;
}
