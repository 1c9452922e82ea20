/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How a store is restored
 *
 * - The backup is verified while it is read into a new store that is not there
 *   yet (draft.h): damage that shows only in the end leaves nothing behind.
 * - Then the new store is checked as "poctl check" does: a backup keeps what
 *   it was given, the faults of its store included.
 * - It is published when both are well.
 */

#include <errno.h>

#include <glib.h>

#include "store/backup.h"
#include "tools/backup_facts.h"
#include "tools/backup_in.h"
#include "tools/draft.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/owner.h"
#include "tools/progress.h"
#include "tools/restore_past.h"
#include "tools/tool.h"

typedef struct Restore {
	const char *path; /* of the store; borrowed */
	const char *file; /* borrowed */
	char *owner_text; /* owned */
	gboolean keeps_uuid;
	gboolean is_forced; /* whatever the check finds */
	gboolean is_quiet;

	ToolDraft *draft;       /* owned */
	ToolProgress *progress; /* owned: of the check */
	StoreBackup facts;
	StoreStat stat; /* of the new store */
	gint64 start_us;
} Restore;

static void
restore_clear(Restore *restore)
{
	g_free(restore->owner_text);
	g_clear_pointer(&restore->draft, tool_draft_free);
	g_clear_pointer(&restore->progress, tool_progress_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Restore, restore_clear)

static int
begin(Restore *restore, GError **error)
{
	ToolOwner owner;
	int r;

	if (restore->owner_text != NULL) {
		r = tool_owner_parse(restore->owner_text, &owner, error);
		if (r < 0)
			return r;
	}
	return tool_draft_begin_empty(
		restore->path, restore->owner_text != NULL ? &owner : NULL,
		&restore->draft, error);
}

static int
load(Restore *restore, GError **error)
{
	g_autoptr(ToolProgress) progress =
		tool_progress_new("restoring", restore->is_quiet);
	g_autoptr(ToolBackupIn) in = NULL;
	g_autofree char *reason = NULL;
	int r;

	r = tool_backup_in_open(restore->file, progress, &in, error);
	if (r < 0)
		return r;
	r = store_backup_restore(
		tool_draft_dir(restore->draft),
		restore->keeps_uuid ? STORE_IDENTITY_SAME : STORE_IDENTITY_NEW,
		tool_backup_in_read, in, &restore->facts, &reason);
	if (r < 0)
		return tool_backup_in_fail(in, r, reason, error);
	return 0;
}

static void
report(void *user_data, const char *sentence)
{
	tool_warn("%s", sentence);
}

static void
show(void *user_data, uint64_t done, uint64_t total)
{
	const Restore *restore = user_data;

	tool_progress_show(restore->progress, done, total);
}

static int
check(Restore *restore, GError **error)
{
	Store *store = tool_draft_store(restore->draft);
	g_autofree char *findings = NULL;
	uint64_t count;
	int r;

	restore->progress = tool_progress_new("checking", restore->is_quiet);
	r = store_check(store, report, show, restore, &count);
	g_clear_pointer(&restore->progress, tool_progress_free);
	if (r == 0 && tool_interrupt_is_asked())
		return tool_fail(error, -EINTR, "interrupted");
	if (r == 0)
		r = store_stat(store, &restore->stat);
	if (r < 0)
		return tool_fail(error, r, "cannot read the new store: %s",
		                 g_strerror(-r));
	if (count == 0 || restore->is_forced)
		return 0;
	findings = tool_count(count, "finding", "findings");
	return tool_fail(error, -EUCLEAN,
	                 "nothing was restored: %s in the store that was "
	                 "backed up (--force restores it as it is)",
	                 findings);
}

static int
restore_store(Restore *restore, GError **error)
{
	int r;

	r = begin(restore, error);
	if (r == 0)
		r = load(restore, error);
	if (r == 0)
		r = tool_draft_open(restore->draft, STORE_READ, error);
	if (r == 0)
		r = check(restore, error);
	return r < 0 ? r : tool_draft_publish(&restore->draft, error);
}

static void
print_result(const Restore *restore, const ToolOptions *options)
{
	double seconds = (double)(g_get_monotonic_time() - restore->start_us) /
	                 G_USEC_PER_SEC;
	g_autofree char *size = tool_backup_facts_size(&restore->facts);
	g_autoptr(ToolJson) json = NULL;

	if (!options->json) {
		tool_say("Restored %s, %s, in %.1f s; its uuid is %s.",
		         restore->path, size, seconds, restore->stat.uuid);
		return;
	}
	json = tool_json_new();
	tool_json_string(json, "store", restore->path);
	tool_json_string(json, "store_uuid", restore->stat.uuid);
	tool_backup_facts_json(json, &restore->facts);
	tool_json_real(json, "seconds", seconds);
	tool_json_print(&json);
}

ToolExit
tool_restore(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(Restore) restore = { 0 };
	g_autofree char *at = NULL;
	const GOptionEntry entries[] = {
		{ "at", 0, 0, G_OPTION_ARG_STRING, &at,
		  "Have each FILE, of the postoffice, be as it was at TIME",
		  "TIME" },
		{ "owner", 0, 0, G_OPTION_ARG_FILENAME, &restore.owner_text,
		  "Whose the store is", "USER[:GROUP]" },
		{ "keep-uuid", 0, 0, G_OPTION_ARG_NONE, &restore.keeps_uuid,
		  "Take the place of the store that was backed up", NULL },
		{ "force", 'f', 0, G_OPTION_ARG_NONE, &restore.is_forced,
		  "Restore it even if its check finds something", NULL },
		{ NULL },
	};

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;
	if (at != NULL)
		return tool_restore_past(&options, at, error);
	if (options.arguments[2] != NULL) {
		(void)tool_misuse(error, "restore needs --at for more than one "
		                         "file");
		return TOOL_USAGE;
	}
	restore.path = options.arguments[0];
	restore.file = options.arguments[1];
	restore.is_quiet = options.quiet;
	restore.start_us = g_get_monotonic_time();
	tool_interrupt_begin();
	if (restore_store(&restore, error) < 0)
		return TOOL_FAILED;
	if (options.json || !options.quiet)
		print_result(&restore, &options);
	return TOOL_OK;
}
