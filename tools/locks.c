/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include <glib.h>

#include "tools/live.h"
#include "tools/rows.h"
#include "tools/tool.h"

/* "12 for 3.1 s, 14 for 0.2 s (away)": who waits, in the order of the line. */
static char *
waiters_text(GVariant *waiters)
{
	GString *text = g_string_new(NULL);
	GVariantIter iter;
	GVariant *waiter;

	g_variant_iter_init(&iter, waiters);
	while (g_variant_iter_loop(&iter, "@a{sv}", &waiter)) {
		g_autoptr(GVariant) since = g_variant_lookup_value(
			waiter, "since-us-ago", G_VARIANT_TYPE_INT64);
		g_autofree char *time =
			since != NULL ? tool_row_time(since) : g_strdup("?");
		const char *how = "waits";
		guint64 session = 0;

		(void)g_variant_lookup(waiter, "session", "t", &session);
		(void)g_variant_lookup(waiter, "how", "&s", &how);
		g_string_append_printf(text, "%s%" G_GUINT64_FORMAT " for %s",
		                       text->len > 0 ? ", " : "", session,
		                       time);
		if (strcmp(how, "waits") != 0)
			g_string_append_printf(text, " (%s)", how);
	}
	return g_string_free(text, FALSE);
}

const ToolColumn TOOL_LIVE_LOCKS[] = {
	{ "what", "LOCK" },
	{ "path", "MAILBAG" },
	{ "session", "SESSION" },
	{ "since-us-ago", "HELD FOR" },
	{ "forms", "AS" },
	{ "waiters", "WAITING", waiters_text, "aa{sv}" },
	{ NULL },
};

ToolExit
tool_locks(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	const GOptionEntry entries[] = { { NULL } };
	g_autoptr(GVariant) locks = NULL;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if (tool_live_ask(options.arguments[0], "locks", "", "aa{sv}", &locks,
	                  error) < 0)
		return TOOL_FAILED;
	if (options.json)
		tool_rows_print_json("locks", locks);
	else
		tool_rows_print(locks, TOOL_LIVE_LOCKS);
	return TOOL_OK;
}
