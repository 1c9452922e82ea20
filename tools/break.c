/* SPDX-License-Identifier: BSD-2-Clause */
#include <glib.h>

#include "tools/json.h"
#include "tools/live.h"
#include "tools/tool.h"

ToolExit
tool_break(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	const GOptionEntry entries[] = { { NULL } };
	g_autoptr(GVariant) answer = NULL;
	g_autoptr(ToolJson) json = NULL;
	const char *session;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	session = options.arguments[1];
	if (!g_ascii_string_to_unsigned(session, 10, 1, G_MAXUINT64, NULL,
	                                NULL)) {
		(void)tool_misuse(error, "break: %s is no session's number",
		                  session);
		return TOOL_USAGE;
	}
	if (tool_live_ask(options.arguments[0], "break", session, "s", &answer,
	                  error) < 0)
		return TOOL_FAILED;
	if (options.json) {
		json = tool_json_new();
		tool_json_string(json, "result",
		                 g_variant_get_string(answer, NULL));
		tool_json_print(&json);
	} else if (!options.quiet) {
		tool_say("%s", g_variant_get_string(answer, NULL));
	}
	return TOOL_OK;
}
