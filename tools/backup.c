/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/backup.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <glib.h>

#include "tools/access.h"
#include "tools/backup_facts.h"
#include "tools/backup_out.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/target.h"
#include "tools/tool.h"

/* Mail goes first: nobody waits for what a backup holds. */
#define NICENESS 10

typedef struct Backup {
	ToolBackupTarget target;
	ToolBackupOut *out;     /* owned */
	ToolProgress *progress; /* owned */
	guint64 total;          /* bytes that there will be, about */
	StoreBackup facts;
	gint64 start_us;
} Backup;

static void
backup_clear(Backup *backup)
{
	g_clear_pointer(&backup->out, tool_backup_out_free);
	g_clear_pointer(&backup->progress, tool_progress_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Backup, backup_clear)

static bool
is_pipe(const Backup *backup)
{
	return strcmp(backup->target.path, "-") == 0;
}

static int
take(void *user_data, const void *data, size_t size)
{
	Backup *backup = user_data;
	int r;

	r = tool_backup_out_write(backup->out, data, size);
	if (r < 0)
		return r;
	tool_progress_show(backup->progress, tool_backup_out_size(backup->out),
	                   backup->total);
	return 0;
}

static int
write_backup(Backup *backup, Store *store, GError **error)
{
	g_autofree char *reason = NULL;
	StoreRoom room;
	int r;

	if (store_room(store, &room) == 0)
		backup->total = room.total - room.free;
	r = tool_backup_out_begin(&backup->target, &backup->out, error);
	if (r < 0)
		return r;
	r = store_backup(store, take, backup, &backup->facts, &reason);
	if (r < 0)
		return tool_fail(error, r, "%s was not written: %s",
		                 is_pipe(backup) ? "the backup"
		                                 : backup->target.path,
		                 reason);
	return tool_backup_out_commit(&backup->out, error);
}

static void
print_result(const Backup *backup, const ToolOptions *options)
{
	double seconds = (double)(g_get_monotonic_time() - backup->start_us) /
	                 G_USEC_PER_SEC;
	g_autofree char *size = tool_backup_facts_size(&backup->facts);
	g_autoptr(ToolJson) json = NULL;

	if (!options->json) {
		(void)fprintf(is_pipe(backup) ? stderr : stdout,
		              "Backed up %s, in %.1f s.\n", size, seconds);
		return;
	}
	json = tool_json_new();
	tool_json_string(json, "file", backup->target.path);
	tool_backup_facts_json(json, &backup->facts);
	tool_json_real(json, "seconds", seconds);
	tool_json_print(&json);
}

static ToolExit
run(Backup *backup, const ToolOptions *options, GError **error)
{
	g_autoptr(Store) store = NULL;

	backup->target.path = options->arguments[1];
	backup->start_us = g_get_monotonic_time();
	if (options->json && is_pipe(backup)) {
		(void)tool_misuse(error, "--json and the backup cannot both be "
		                         "on the standard output");
		return TOOL_USAGE;
	}
	if (!is_pipe(backup) &&
	    tool_target_check(options->arguments[0], backup->target.path,
	                      error) < 0)
		return TOOL_USAGE;
	tool_interrupt_begin();
	(void)setpriority(PRIO_PROCESS, 0, NICENESS);
	backup->progress = tool_progress_new("backing up", options->quiet);
	if (tool_access_open(options->arguments[0], STORE_READ, &store, error) <
	            0 ||
	    write_backup(backup, store, error) < 0)
		return TOOL_FAILED;
	g_clear_pointer(&backup->progress, tool_progress_free);
	if (options->json || !options->quiet)
		print_result(backup, options);
	return TOOL_OK;
}

ToolExit
tool_backup(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(Backup) backup = { 0 };
	gboolean may_replace = FALSE;
	gboolean is_compressed = FALSE;
	const GOptionEntry entries[] = {
		{ "compress", 0, 0, G_OPTION_ARG_NONE, &is_compressed,
		  "Compress it with zstd", NULL },
		{ "force", 'f', 0, G_OPTION_ARG_NONE, &may_replace,
		  "Replace FILE if it is there", NULL },
		{ NULL },
	};

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;
	backup.target.may_replace = may_replace;
	backup.target.is_compressed = is_compressed;
	return run(&backup, &options, error);
}
