/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include <glib.h>

#include "store/store.h"
#include "tools/access.h"
#include "tools/json.h"
#include "tools/tool.h"

/* What the store is doing, in a few words. */
static char *
state_text(const StoreStat *st)
{
	if (st->writer != 0)
		return g_strdup_printf("open, written by process %d",
		                       (int)st->writer);
	return g_strdup(st->clean ? "closed cleanly"
	                          : "not closed cleanly; the next start "
	                            "recovers it");
}

static void
print_text(const StoreStat *st)
{
	g_autofree char *bytes = g_format_size_full(
		st->bytes, G_FORMAT_SIZE_IEC_UNITS | G_FORMAT_SIZE_LONG_FORMAT);
	g_autofree char *disk = g_format_size_full(
		st->disk_used,
		G_FORMAT_SIZE_IEC_UNITS | G_FORMAT_SIZE_LONG_FORMAT);
	g_autofree char *undone =
		g_format_size_full(st->undone_bytes, G_FORMAT_SIZE_IEC_UNITS);
	g_autofree char *journal =
		g_format_size_full(st->journal_bytes, G_FORMAT_SIZE_IEC_UNITS);
	g_autofree char *state = state_text(st);
	g_autofree char *map =
		g_format_size_full(st->map_size, G_FORMAT_SIZE_IEC_UNITS);

	(void)printf("format       %" G_GUINT64_FORMAT "\n"
	             "uuid         %s\n"
	             "files        %" G_GUINT64_FORMAT "\n"
	             "directories  %" G_GUINT64_FORMAT "\n"
	             "content      %s\n"
	             "on disk      %s\n"
	             "limit        %s\n"
	             "commits      %" G_GUINT64_FORMAT "\n"
	             "to be swept  %" G_GUINT64_FORMAT "\n"
	             "quarantine   %" G_GUINT64_FORMAT " transactions, %s\n"
	             "journal      %" G_GUINT64_FORMAT " transactions, %s\n"
	             "state        %s\n",
	             st->format, st->uuid, st->files, st->directories, bytes,
	             disk, map, st->commits, st->orphans, st->undone, undone,
	             st->journal, journal, state);
}

static void
print_json(const StoreStat *st)
{
	g_autoptr(ToolJson) json = tool_json_new();

	tool_json_number(json, "format", st->format);
	tool_json_string(json, "uuid", st->uuid);
	tool_json_number(json, "files", st->files);
	tool_json_number(json, "directories", st->directories);
	tool_json_number(json, "bytes", st->bytes);
	tool_json_number(json, "disk_used", st->disk_used);
	tool_json_number(json, "map_size", st->map_size);
	tool_json_number(json, "commits", st->commits);
	tool_json_number(json, "orphans", st->orphans);
	tool_json_number(json, "undone", st->undone);
	tool_json_number(json, "undone_bytes", st->undone_bytes);
	tool_json_number(json, "journal", st->journal);
	tool_json_number(json, "journal_bytes", st->journal_bytes);
	tool_json_bool(json, "clean", st->clean);
	tool_json_number(json, "writer", (uint64_t)st->writer);
	tool_json_print(&json);
}

ToolExit
tool_stat(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_autoptr(Store) store = NULL;
	const GOptionEntry entries[] = { { NULL } };
	StoreStat st;
	int r;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	r = tool_access_open(options.arguments[0], STORE_READ, &store, error);
	if (r < 0)
		return TOOL_FAILED;
	r = store_stat(store, &st);
	if (r < 0) {
		(void)tool_fail(error, r, "cannot read the store: %s",
		                g_strerror(-r));
		return TOOL_FAILED;
	}
	if (options.json)
		print_json(&st);
	else
		print_text(&st);
	return TOOL_OK;
}
