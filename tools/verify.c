/* SPDX-License-Identifier: BSD-2-Clause */
#include <glib.h>

#include "store/backup.h"
#include "tools/backup_facts.h"
#include "tools/backup_in.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/tool.h"

static int
verify(const char *path, bool is_quiet, StoreBackup *ret_backup, GError **error)
{
	g_autoptr(ToolProgress) progress =
		tool_progress_new("verifying", is_quiet);
	g_autoptr(ToolBackupIn) in = NULL;
	g_autofree char *reason = NULL;
	int r;

	r = tool_backup_in_open(path, progress, &in, error);
	if (r < 0)
		return r;
	r = store_backup_verify(tool_backup_in_read, in, ret_backup, &reason);
	return r < 0 ? tool_backup_in_fail(in, r, reason, error) : 0;
}

static void
print_result(const StoreBackup *backup, const ToolOptions *options, bool is_iso)
{
	g_autofree char *size = tool_backup_facts_size(backup);
	g_autofree char *taken = tool_backup_facts_time(backup, is_iso);
	g_autoptr(ToolJson) json = NULL;

	if (options->json) {
		json = tool_json_new();
		tool_json_string(json, "file", options->arguments[0]);
		tool_backup_facts_json(json, backup);
		tool_json_print(&json);
	} else if (!options->quiet) {
		tool_say("The backup is whole: store %s as of %s, %s.",
		         backup->uuid, taken, size);
	}
}

ToolExit
tool_verify(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	gboolean is_iso = FALSE;
	const GOptionEntry entries[] = {
		{ "iso", 0, 0, G_OPTION_ARG_NONE, &is_iso,
		  "Show times in ISO 8601", NULL },
		{ NULL },
	};
	StoreBackup backup;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	tool_interrupt_begin();
	if (verify(options.arguments[0], options.quiet, &backup, error) < 0)
		return TOOL_FAILED;
	print_result(&backup, &options, is_iso);
	return TOOL_OK;
}
