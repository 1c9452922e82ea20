/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How an import works
 *
 * - The first walk over the source judges every name and file and writes
 *   nothing, so that a tree that cannot be imported changes nothing. What can
 *   be known of the place and its room by then is judged with it: a rehearsal
 *   ends as the import would.
 * - The second walk copies it to a directory of the store that is no part of
 *   any postoffice (staging.h). The source must still be what the first walk
 *   found.
 * - One transaction publishes what was copied. Whatever fails before that, the
 *   staging directory is removed, or, where the store is new, the store.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <glib.h>

#include "store/layout.h"
#include "store/name.h"
#include "store/store.h"
#include "tools/access.h"
#include "tools/draft.h"
#include "tools/intake.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/owner.h"
#include "tools/progress.h"
#include "tools/report.h"
#include "tools/source.h"
#include "tools/staging.h"
#include "tools/tool.h"

typedef struct Import {
	const char *path;   /* of the store; borrowed */
	const char *source; /* borrowed */
	char *postoffice;   /* the folder to import into, or NULL; owned */
	char *owner_text;   /* owned */
	gboolean is_dry_run;
	gboolean skip_refused;
	gboolean is_quiet;

	ToolOwner owner;
	Store *store;       /* owned; NULL if it does not exist yet */
	ToolReport *report; /* owned: what the first walk found */
	gint64 start_us;    /* monotonic */
} Import;

static void
import_clear(Import *import)
{
	g_free(import->postoffice);
	g_free(import->owner_text);
	g_clear_pointer(&import->report, tool_report_free);
	(void)store_close(g_steal_pointer(&import->store));
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Import, import_clear)

static int
check_command_line(Import *import, GError **error)
{
	int r;

	if (import->postoffice != NULL && name_check(import->postoffice) < 0)
		return tool_misuse(error,
		                   "no DOS or Windows program could use "
		                   "a folder called %s",
		                   import->postoffice);
	if (import->postoffice != NULL &&
	    tool_staging_has_name(import->postoffice))
		return tool_misuse(error,
		                   "no folder can be called %s: imports need "
		                   "that name",
		                   import->postoffice);
	if (import->owner_text != NULL) {
		r = tool_owner_parse(import->owner_text, &import->owner, error);
		if (r < 0)
			return r;
	}
	/* It would grow inside its own source, and never be done. */
	if (tool_source_has(import->source, import->path))
		return tool_misuse(error,
		                   "the store cannot be inside the directory "
		                   "that is imported");
	return 0;
}

/* Opens the store if there is one. */
static int
open_store(Import *import, GError **error)
{
	if (tool_draft_is_possible(import->path))
		return 0;
	return tool_access_open(import->path,
	                        import->is_dry_run ? STORE_READ : STORE_WRITE,
	                        &import->store, error);
}

/* What part the source's top will play, unless it is a postoffice. */
static int
find_role(const Import *import, LayoutDir *ret_role, GError **error)
{
	LayoutDir role = LAYOUT_DIR_FOREIGN;
	int r;

	if (import->store != NULL) {
		r = store_dir_role(store_plain(import->store), STORE_ROOT,
		                   &role);
		if (r < 0)
			return tool_fail(error, r, "cannot read %s: %s",
			                 import->path, g_strerror(-r));
	}
	*ret_role = import->postoffice != NULL
	                    ? layout_child(role, import->postoffice)
	                    : role;
	return 0;
}

/* Whether what an import needs for itself is another's. */
static int
check_staging(const Import *import, GError **error)
{
	if (import->store == NULL || !tool_staging_is_taken(import->store))
		return 0;
	return tool_fail(error, -EEXIST,
	                 "%s has a " TOOL_STAGING_NAME
	                 " that no import has made: nothing was imported "
	                 "(imports need that name: rename it)",
	                 import->path);
}

static int
check_name_is_free(const Import *import, const char *name, GError **error)
{
	StoreEntry entry;
	int r;

	if (import->store == NULL)
		return 0;
	r = store_name_find(store_plain(import->store), STORE_ROOT, name,
	                    &entry);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return tool_fail(error, r, "cannot read %s: %s", import->path,
		                 g_strerror(-r));
	return tool_fail(error, -EEXIST,
	                 "%s has a %s already: nothing was "
	                 "imported (--postoffice NAME imports into a new "
	                 "folder)",
	                 import->path, name);
}

/* The first walk: counts, and looks whether a name at the top is taken. */
typedef struct Judge {
	const Import *import;
	GError *error; /* owned: the name that is taken */
} Judge;

static int
judge_item(Judge *judge, const ToolSourceItem *item)
{
	if (item->depth != 1 || judge->import->postoffice != NULL)
		return 0;
	if (tool_staging_has_name(item->name))
		return tool_fail(&judge->error, -EEXIST,
		                 "%s has a %s: nothing was imported (imports "
		                 "need that name: rename it)",
		                 judge->import->source, item->name);
	return check_name_is_free(judge->import, item->name, &judge->error);
}

static int
judge_enter(void *user_data, const ToolSourceItem *dir)
{
	Judge *judge = user_data;
	int r;

	r = judge_item(judge, dir);
	if (r < 0)
		return r;
	return tool_report_visitor.enter(judge->import->report, dir);
}

static int
judge_leave(void *user_data, const ToolSourceItem *dir)
{
	return 0;
}

static int
judge_file(void *user_data, const ToolSourceItem *file)
{
	Judge *judge = user_data;
	int r;

	r = judge_item(judge, file);
	if (r < 0)
		return r;
	return tool_report_visitor.file(judge->import->report, file);
}

static void
judge_refuse(void *user_data, const char *path, const char *reason)
{
	Judge *judge = user_data;

	tool_report_visitor.refuse(judge->import->report, path, reason);
}

static void
judge_skip(void *user_data, const char *path)
{
	Judge *judge = user_data;

	tool_report_visitor.skip(judge->import->report, path);
}

static const ToolSourceVisitor judge_visitor = {
	.enter = judge_enter,
	.leave = judge_leave,
	.file = judge_file,
	.refuse = judge_refuse,
	.skip = judge_skip,
};

/* Sets *@error if a walk ended with @r and nobody has said why. */
static int
end_walk(int r, GError **error)
{
	if (r == -EINTR && *error == NULL)
		return tool_fail(error, r, "interrupted: nothing was imported");
	g_assert(r == 0 || *error != NULL);
	return r;
}

static int
judge(Import *import, LayoutDir role, GError **error)
{
	Judge judge = { .import = import };
	int r;

	if (import->postoffice != NULL) {
		r = check_name_is_free(import, import->postoffice, error);
		if (r < 0)
			return r;
	}
	r = tool_source_walk(import->source, role, &judge_visitor, &judge,
	                     error);
	if (judge.error != NULL)
		g_propagate_error(error, judge.error);
	return end_walk(r, error);
}

/* The second walk, into @top of @store. */
static int
copy(const Import *import, Store *store, StoreNode top, LayoutDir role,
     GError **error)
{
	g_autoptr(ToolProgress) progress =
		tool_progress_new("importing", import->is_quiet);
	g_autoptr(ToolIntake) intake = NULL;
	int r;

	intake = tool_intake_new(
		store, top, import->report,
		import->owner_text != NULL ? &import->owner : NULL, progress);
	r = tool_source_walk(import->source, role, &tool_intake_visitor, intake,
	                     error);
	tool_intake_take_error(intake, error);
	return end_walk(r, error);
}

/* Copies the source into @store and publishes it. */
static int
fill(const Import *import, Store *store, LayoutDir role, GError **error)
{
	StoreNode top;
	int r;

	r = tool_staging_begin(store, &top);
	if (r < 0)
		return tool_fail(error, r, "cannot begin the import: %s",
		                 g_strerror(-r));
	r = copy(import, store, top, role, error);
	if (r < 0)
		return r;
	r = tool_staging_publish(store, top, import->postoffice);
	if (r < 0)
		return tool_fail(error, r, "nothing was imported: %s",
		                 g_strerror(-r));
	return 0;
}

static int
fill_new(const Import *import, LayoutDir role, GError **error)
{
	g_autoptr(ToolDraft) draft = NULL;

	/* Bigger content than the default holds, and as much again. */
	uint64_t map_size =
		MAX(STORE_MAP_SIZE_DEFAULT, import->report->bytes * 2);
	int r;

	r = tool_draft_begin(import->path, map_size,
	                     import->owner_text != NULL ? &import->owner : NULL,
	                     &draft, error);
	if (r < 0)
		return r;
	r = fill(import, tool_draft_store(draft), role, error);
	if (r < 0)
		return r;
	return tool_draft_publish(&draft, error);
}

static int
fill_existing(Import *import, LayoutDir role, GError **error)
{
	int r;

	r = fill(import, import->store, role, error);
	if (r < 0) {
		if (tool_staging_sweep(import->store) < 0)
			tool_warn("the next import will remove what this one "
			          "left in %s",
			          TOOL_STAGING_NAME);
		return r;
	}
	return tool_access_close(&import->store, error);
}

static int
check_report(const Import *import, GError **error)
{
	g_autofree char *count = NULL;

	if (import->report->refused->len == 0 || import->skip_refused)
		return 0;
	count = tool_count(import->report->refused->len, "file or directory",
	                   "files or directories");
	return tool_fail(error, -EINVAL,
	                 "nothing was imported: %s refused "
	                 "(--skip-refused imports the rest)",
	                 count);
}

/* The directory in which a new store is made. */
static char *
place_of(const Import *import)
{
	g_autofree char *path = g_canonicalize_filename(import->path, NULL);

	return g_file_test(path, G_FILE_TEST_EXISTS) ? g_steal_pointer(&path)
	                                             : g_path_get_dirname(path);
}

static int
check_place(const Import *import, GError **error)
{
	g_autofree char *place = place_of(import);

	if (import->store != NULL)
		return 0;
	if (import->owner_text != NULL && geteuid() != 0 &&
	    import->owner.uid != geteuid())
		return tool_fail(error, -EPERM,
		                 "only root can make a store for another user");
	if (faccessat(AT_FDCWD, place, W_OK | X_OK, AT_EACCESS) == 0)
		return 0;
	return tool_fail(error, -errno, "cannot create %s: %s", import->path,
	                 g_strerror(errno));
}

/* How many bytes may be written where the store is, or will be. */
static int
find_room(const Import *import, uint64_t *ret_free)
{
	g_autofree char *place = place_of(import);
	struct statvfs disk;
	StoreRoom room;
	int r;

	if (import->store != NULL) {
		r = store_room(import->store, &room);
		if (r == 0)
			*ret_free = room.free;
		return r;
	}
	if (statvfs(place, &disk) < 0)
		return -errno;
	*ret_free = (uint64_t)disk.f_bavail * disk.f_frsize;
	return 0;
}

/* Whether the content alone is too much. How much more than that a store takes
 * is known when it is there. */
static int
check_room(const Import *import, GError **error)
{
	uint64_t room = 0;
	int r;

	r = find_room(import, &room);
	if (r < 0)
		return tool_fail(error, r, "cannot read %s: %s", import->path,
		                 g_strerror(-r));
	if (import->report->stored <= room)
		return 0;
	return tool_fail(error, -ENOSPC,
	                 "nothing was imported: %" G_GUINT64_FORMAT
	                 " bytes are more than the %" G_GUINT64_FORMAT
	                 " that are free",
	                 import->report->stored, room);
}

static double
seconds_since(gint64 start_us)
{
	return (double)(g_get_monotonic_time() - start_us) / G_USEC_PER_SEC;
}

static void
print_json(const Import *import, bool is_done)
{
	g_autoptr(ToolJson) json = tool_json_new();
	const ToolReport *report = import->report;
	guint i;

	tool_json_string(json, "store", import->path);
	tool_json_bool(json, "imported", is_done && !import->is_dry_run);
	tool_json_number(json, "files", report->files);
	tool_json_number(json, "directories", report->directories);
	tool_json_number(json, "bytes", report->bytes);
	tool_json_number(json, "upper_cased", report->upper_cased);
	tool_json_list_begin(json, "skipped");
	for (i = 0; i < report->skipped->len; i++)
		tool_json_string(json, NULL, report->skipped->pdata[i]);
	tool_json_list_end(json);
	tool_json_list_begin(json, "refused");
	for (i = 0; i < report->refused->len; i++) {
		tool_json_object_begin(json, NULL);
		tool_json_string(json, "path", report->refused->pdata[i]);
		tool_json_string(json, "reason", report->reasons->pdata[i]);
		tool_json_object_end(json);
	}
	tool_json_list_end(json);
	tool_json_real(json, "seconds", seconds_since(import->start_us));
	tool_json_print(&json);
}

static void
print_summary(const Import *import)
{
	const ToolReport *report = import->report;
	g_autofree char *files = tool_count(report->files, "file", "files");
	g_autofree char *directories =
		tool_count(report->directories, "directory", "directories");
	g_autofree char *bytes = tool_count(report->bytes, "byte", "bytes");
	g_autofree char *names =
		tool_count(report->upper_cased, "name", "names");

	(void)printf("%s %s and %s with %s in %.1f s",
	             import->is_dry_run ? "Would import" : "Imported", files,
	             directories, bytes, seconds_since(import->start_us));
	(void)printf("; %s made upper case, %u skipped, %u refused.\n", names,
	             report->skipped->len, report->refused->len);
}

static int
import_tree(Import *import, GError **error)
{
	LayoutDir role = LAYOUT_DIR_FOREIGN;
	int r;

	r = open_store(import, error);
	if (r == 0)
		r = check_staging(import, error);
	if (r == 0)
		r = find_role(import, &role, error);
	if (r == 0)
		r = judge(import, role, error);
	if (r == 0)
		r = check_report(import, error);
	if (r == 0)
		r = check_place(import, error);
	if (r == 0)
		r = check_room(import, error);
	if (r < 0 || import->is_dry_run)
		return r;

	return import->store != NULL ? fill_existing(import, role, error)
	                             : fill_new(import, role, error);
}

static ToolExit
run(Import *import, const ToolOptions *options, GError **error)
{
	int r;

	import->path = options->arguments[0];
	import->source = options->arguments[1];
	import->is_quiet = options->quiet;
	import->report = tool_report_new();
	import->start_us = g_get_monotonic_time();
	if (check_command_line(import, error) < 0)
		return TOOL_USAGE;

	tool_interrupt_begin();
	r = import_tree(import, error);
	if (options->json)
		print_json(import, r == 0);
	else
		tool_report_warn(import->report);
	if (r < 0)
		return TOOL_FAILED;
	if (!options->json && !options->quiet)
		print_summary(import);
	return TOOL_OK;
}

ToolExit
tool_import(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(Import) import = { 0 };
	const GOptionEntry entries[] = {
		{ "postoffice", 0, 0, G_OPTION_ARG_FILENAME, &import.postoffice,
		  "Import into the new folder NAME", "NAME" },
		{ "owner", 0, 0, G_OPTION_ARG_FILENAME, &import.owner_text,
		  "Whose the files, and a new store, are", "USER[:GROUP]" },
		{ "dry-run", 'n', 0, G_OPTION_ARG_NONE, &import.is_dry_run,
		  "Only say what would be imported", NULL },
		{ "skip-refused", 0, 0, G_OPTION_ARG_NONE, &import.skip_refused,
		  "Import the rest if something is refused", NULL },
		{ NULL },
	};

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;
	return run(&import, &options, error);
}
