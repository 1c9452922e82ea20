/* SPDX-License-Identifier: BSD-2-Clause */
#include <glib.h>

#include "tools/live.h"
#include "tools/rows.h"
#include "tools/tool.h"

static const ToolColumn columns[] = {
	{ "state", "the store is" },
	{ "mount-point", "mounted on" },
	{ "pid", "process" },
	{ "version", "version" },
	{ "since-us-ago", "serves for" },
	{ "room-free", "room left", tool_row_bytes, "t" },
	{ "room-total", "of", tool_row_bytes, "t" },
	{ NULL },
};

ToolExit
tool_status(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	const GOptionEntry entries[] = { { NULL } };
	g_autoptr(GVariant) status = NULL;
	g_autoptr(ToolJson) json = NULL;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if (tool_live_ask(options.arguments[0], "status", "", "a{sv}", &status,
	                  error) < 0)
		return TOOL_FAILED;
	if (options.json) {
		json = tool_json_new();
		tool_row_json(json, status);
		tool_json_print(&json);
	} else {
		tool_row_print(status, columns);
	}
	return TOOL_OK;
}
