/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include <glib.h>

#include "store/journal.h"
#include "tools/access.h"
#include "tools/deed.h"
#include "tools/json.h"
#include "tools/rows.h"
#include "tools/tool.h"
#include "tools/undone.h"

static const ToolColumn columns[] = {
	{ "outcome", "outcome" },
	{ "reason", "reason" },
	{ "quarantine", "quarantine" },
	{ "who", "who" },
	{ "session", "session" },
	{ "mailbags", "mailbags" },
	{ "begun", "begun" },
	{ "ended", "ended" },
	{ "held-us", "held" },
	{ "waited-us", "waited" },
	{ "has-past", "past kept" },
	{ "past-bytes", "past takes", tool_row_bytes, "t" },
	{ NULL },
};

static const ToolColumn file_columns[] = {
	{ "what", "WHAT" },      { "old-size", "SIZE BEFORE" },
	{ "new-size", "AFTER" }, { "old-path", "FILE BEFORE" },
	{ "new-path", "AFTER" }, { NULL },
};

static void
print_deed(const ToolDeed *deed, bool is_json, bool is_iso)
{
	g_autoptr(GVariant) row =
		g_variant_ref_sink(tool_deed_row(deed, is_iso || is_json));
	g_autoptr(GVariant) files = g_variant_lookup_value(row, "files", NULL);
	g_autoptr(ToolJson) json = NULL;

	if (is_json) {
		json = tool_json_new();
		tool_row_json(json, row);
		tool_json_print(&json);
		return;
	}
	tool_row_print(row, columns);
	(void)putchar('\n');
	tool_rows_print(files, file_columns);
}

ToolExit
tool_show_entry(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	gboolean is_iso = FALSE;
	const GOptionEntry entries[] = {
		{ "iso", 0, 0, G_OPTION_ARG_NONE, &is_iso,
		  "Print times in ISO 8601", NULL },
		{ NULL },
	};
	g_autoptr(Store) store = NULL;
	g_autoptr(ToolDeed) deed = NULL;
	uint64_t id;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if (tool_undone_id(options.arguments[1], &id, error) < 0)
		return TOOL_USAGE;
	if (tool_access_open(options.arguments[0], STORE_READ, &store, error) <
	            0 ||
	    tool_deed_read(store, id, &deed, error) < 0)
		return TOOL_FAILED;
	print_deed(deed, options.json, is_iso);
	return TOOL_OK;
}
