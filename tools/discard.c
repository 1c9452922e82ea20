/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include <glib.h>

#include "store/store.h"
#include "tools/access.h"
#include "tools/json.h"
#include "tools/live.h"
#include "tools/tool.h"
#include "tools/undone.h"

/* Without a daemon, nobody else writes to the store. */
static int
discard_here(const char *path, uint64_t id, GError **error)
{
	g_autoptr(Store) store = NULL;
	int r;

	r = tool_access_open(path, STORE_WRITE, &store, error);
	if (r < 0)
		return r;
	r = store_quarantine_discard(store, id);
	if (r < 0)
		return tool_undone_fail(id, r, error);
	return tool_access_close(&store, error);
}

static int
discard(const char *path, uint64_t id, GError **error)
{
	g_autofree char *word = g_strdup_printf("%" G_GUINT64_FORMAT, id);
	g_autoptr(GVariant) answer = NULL;
	g_autoptr(GError) problem = NULL;
	int r;

	r = tool_live_ask(path, "quarantine-discard", word, "s", &answer,
	                  &problem);
	if (r == -ENOTCONN)
		return discard_here(path, id, error);
	if (r < 0)
		g_propagate_error(error, g_steal_pointer(&problem));
	return r;
}

ToolExit
tool_quarantine_discard(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	const GOptionEntry entries[] = { { NULL } };
	g_autoptr(ToolJson) json = NULL;
	uint64_t id;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if (tool_undone_id(options.arguments[1], &id, error) < 0)
		return TOOL_USAGE;
	if (discard(options.arguments[0], id, error) < 0)
		return TOOL_FAILED;
	if (options.json) {
		json = tool_json_new();
		tool_json_number(json, "discarded", id);
		tool_json_print(&json);
	} else if (!options.quiet) {
		tool_say("Discarded entry %" G_GUINT64_FORMAT
		         " of the quarantine.",
		         id);
	}
	return TOOL_OK;
}
