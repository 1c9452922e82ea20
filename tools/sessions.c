/* SPDX-License-Identifier: BSD-2-Clause */
#include <glib.h>

#include "tools/live.h"
#include "tools/rows.h"
#include "tools/tool.h"

/* What a client chose itself comes last: it may be long. */
const ToolColumn TOOL_LIVE_SESSIONS[] = {
	{ "id", "SESSION" },
	{ "kind", "KIND" },
	{ "pid", "PROCESS" },
	{ "peer", "CLIENT" },
	{ "state", "STATE" },
	{ "handles", "OPEN" },
	{ "locks", "LOCKS" },
	{ "lock-files", "LOCK FILES" },
	{ "waits", "WAITS" },
	{ "staged-files", "STAGED" },
	{ "staged-bytes", "BYTES", tool_row_bytes, "t" },
	{ "transaction-age-us", "FOR" },
	{ "command", "COMMAND" },
	{ NULL },
};

ToolExit
tool_sessions(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	const GOptionEntry entries[] = { { NULL } };
	g_autoptr(GVariant) sessions = NULL;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if (tool_live_ask(options.arguments[0], "sessions", "", "aa{sv}",
	                  &sessions, error) < 0)
		return TOOL_FAILED;
	if (options.json)
		tool_rows_print_json("sessions", sessions);
	else
		tool_rows_print(sessions, TOOL_LIVE_SESSIONS);
	return TOOL_OK;
}
