/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <glib.h>

#include "store/format/name.h"
#include "tools/age.h"
#include "tools/apply.h"
#include "tools/listing.h"
#include "tools/named.h"
#include "tools/office_file.h"
#include "tools/office_message.h"
#include "tools/progress.h"
#include "tools/selection.h"
#include "tools/tool.h"

/*
 * What is an orphan
 *
 * - A message (MAI) whose number no record of any mailbag has, and an envelope
 *   (P1) whose number no record of an inqueue has (Q148707). While nobody knows
 *   for certain which records are deleted, all of them count; while a mailbag
 *   has lost its own, or a part of them, nobody knows what it named. INQUEUE3
 *   is not missed: postoffices of 2.x have none.
 * - The number of an attachment stands in its message in a way that is not
 *   public. But an attachment is made before its message, which it belongs to
 *   alone (Q148515, Q77926), with a number not far below (Q127001): so one that
 *   was written before any message that stays was made, and whose number is near
 *   to none of theirs, is of none of them.
 * - A program that stopped may have left its copies of envelopes (P1/<MAI>.Pxx,
 *   Q119642), and that of a mailbag that it compressed (COPY.MBG, Q103850). Each
 *   may be the only one: that of an envelope stays while an inqueue waits for the
 *   envelope; that of a mailbag while one lacks a file, or none has a record
 *   like one of its own, and its records count as long as it is there.
 * - What is named with --only or --file is what a check has found, and no other
 *   orphan: one is beyond doubt where another is not.
 * - All only if it was neither made nor changed for as long as the
 *   administrator says: a program makes the files of a message before it enters
 *   the message in a mailbag. What a program can set is only one of a file's
 *   times; those that it cannot are, after an import, as old as that one.
 * - While a batch waits for a lock, another command may have a record name what
 *   is to go: the inqueues have to stay as they were seen, and, where deleted
 *   records do not count, all mailbags.
 */

/* Files that are removed in one transaction, at most: others wait for it. */
#define BATCH_MAX 512

/* Directories that are looked at: P1, MBG, those of messages, of attachments. */
#define DIRS_OF_MAIL 18
#define DIRS_OF_ALL  34

#define NS_PER_S INT64_C(1000000000)

/* What may be an orphan. */
typedef enum Kind {
	KIND_MESSAGES = 1 << 0,
	KIND_ENVELOPES = 1 << 1, /* whose number is in no record at all */
	KIND_DELIVERED = 1 << 2, /* envelopes whose number is in a mailbag */
	KIND_LEFTOVERS = 1 << 3,
	KIND_ATTACHMENTS = 1 << 4,
} Kind;

typedef struct Purge {
	int64_t age_s;
	unsigned kinds;       /* of Kind, those that go */
	ToolSelection *files; /* those that go; owned */
	bool is_quiet;
	bool is_rehearsal;      /* nothing is removed */
	size_t batch_max;       /* files of one look */
	size_t offset;          /* of those that looks before have listed */
	ToolProgress *progress; /* borrowed */

	/* Of one look. */
	guint64 dirs;  /* that were looked at */
	size_t passed; /* files, of those */
	int64_t before_ns;
	ToolNamed named;   /* of one postoffice; owned */
	int64_t oldest_ns; /* when the first message was made that stays */
	GHashTable *stays; /* set of the numbers of those; owned */
	size_t gone;       /* what is to go */
	StoreEdits *edits; /* borrowed */
} Purge;

static void
purge_clear(Purge *purge)
{
	tool_selection_free(purge->files);
	tool_named_clear(&purge->named);
	g_clear_pointer(&purge->stays, g_hash_table_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Purge, purge_clear)

/* ---- what is an orphan ---------------------------------------------------- */

/* A file of the postoffice. */
typedef struct File {
	FormatName name;
	StoreAttr attr;
} File;

/* When @attr's file was made: a message is written again with each owner that it
 * loses, and one that was imported is as old as it says. */
static int64_t
time_made(const StoreAttr *attr)
{
	return MIN(attr->btime_ns, attr->mtime_ns);
}

/* Whether a message that stays has a number near @number. */
static bool
has_neighbour(const Purge *purge, uint32_t number)
{
	uint32_t first = number - TOOL_MESSAGE_NEIGHBOURS;

	for (uint32_t i = 0; i <= 2 * TOOL_MESSAGE_NEIGHBOURS; i++)
		if (g_hash_table_contains(purge->stays,
		                          GUINT_TO_POINTER(first + i)))
			return true;
	return false;
}

/* Notes that a message stays: those do before attachments are looked at. */
static void
note_stays(Purge *purge, const File *file)
{
	if (file->name.kind != FORMAT_NAME_MAI)
		return;
	purge->oldest_ns = MIN(purge->oldest_ns, time_made(&file->attr));
	g_hash_table_add(purge->stays, GUINT_TO_POINTER(file->name.number));
}

static bool
goes_of(const Purge *purge, Kind kind)
{
	return (purge->kinds & kind) != 0;
}

/* Whether a header in an inqueue waits for the envelope @stem, which is not
 * there. */
static bool
is_awaited(const Purge *purge, const ToolOffice *office, const char *stem)
{
	g_autofree char *path = format_name_path(FORMAT_NAME_P1, stem);
	StoreAttr attr;

	return g_hash_table_contains(purge->named.waiting, stem) &&
	       tool_office_find(office, path, &attr) != 0;
}

/* Whether @file of @office, which is old, is an orphan that is to go. */
static bool
is_orphan(const Purge *purge, const ToolOffice *office, const File *file)
{
	const FormatName *name = &file->name;
	bool is_named;

	if (name->kind == FORMAT_NAME_ENVELOPE)
		return goes_of(purge, KIND_LEFTOVERS) &&
		       !is_awaited(purge, office, name->stem);
	if (name->kind == FORMAT_NAME_COPY)
		return goes_of(purge, KIND_LEFTOVERS) &&
		       purge->named.is_whole && !purge->named.is_copy_alone;
	if (!name->has_number || !purge->named.is_whole)
		return false;
	is_named = g_hash_table_contains(purge->named.stems, name->stem);
	if (name->kind == FORMAT_NAME_P1)
		return !g_hash_table_contains(purge->named.waiting,
		                              name->stem) &&
		       goes_of(purge,
		               is_named ? KIND_DELIVERED : KIND_ENVELOPES);
	if (name->kind == FORMAT_NAME_ATT)
		return goes_of(purge, KIND_ATTACHMENTS) &&
		       tool_file_touched(&file->attr) < purge->oldest_ns &&
		       !has_neighbour(purge, name->number);
	return name->kind == FORMAT_NAME_MAI && !is_named &&
	       goes_of(purge, KIND_MESSAGES);
}

static bool
goes(Purge *purge, const ToolOffice *office, const char *path, const File *file)
{
	if (tool_file_touched(&file->attr) < purge->before_ns &&
	    tool_selection_has(purge->files, office, path) &&
	    is_orphan(purge, office, file))
		return true;
	note_stays(purge, file);
	return false;
}

static bool
is_full(const Purge *purge)
{
	return purge->gone >= purge->batch_max;
}

/* Whether a look before has listed the next file, which is there still. */
static bool
is_listed(Purge *purge)
{
	if (purge->passed == purge->offset)
		return false;
	purge->passed++;
	return true;
}

static int
dir_purge(Purge *purge, const ToolOffice *office, const char *dir,
          GError **error)
{
	g_autoptr(GPtrArray) entries = NULL;
	StoreNode node;
	int r;

	r = tool_office_find_dir(office, dir, &node);
	if (r == 0)
		r = tool_listing_read(office->txn, node, &entries);
	for (guint i = 0; r == 0 && i < entries->len; i++) {
		const StoreEntry *entry = entries->pdata[i];
		g_autofree char *path =
			g_strdup_printf("%s/%s", dir, entry->name);
		File file;

		format_name_parse(path, &file.name);
		r = store_attr_get(office->txn, entry->node, &file.attr);
		if (r < 0 || !S_ISREG(entry->mode) ||
		    !goes(purge, office, path, &file) || is_listed(purge) ||
		    is_full(purge))
			continue;
		r = tool_apply_add(purge->edits, office, STORE_EDIT_REMOVE,
		                   path, 0, NULL, error);
		if (r < 0)
			return r;
		purge->gone++;
	}
	if (r < 0 && r != -ENOENT)
		return tool_fail(error, r, "cannot read %s: %s", dir,
		                 g_strerror(-r));
	return 0;
}

static unsigned
dir_count(const Purge *purge)
{
	return goes_of(purge, KIND_ATTACHMENTS) ? DIRS_OF_ALL : DIRS_OF_MAIL;
}

/* The directory that is looked at as number @i: whose messages stay must be
 * known before their attachments are looked at. */
static char *
dir_name(unsigned i)
{
	if (i == 0)
		return g_strdup("P1");
	if (i == 1)
		return g_strdup("MBG");
	if (i < DIRS_OF_MAIL)
		return g_strdup_printf("MAI/MA%X", i - 2);
	return g_strdup_printf("ATT/AT%X", i - DIRS_OF_MAIL);
}

/* @office is one of so many. */
static int
office_purge(Purge *purge, const ToolOffice *office, unsigned offices,
             GError **error)
{
	size_t before = purge->gone;
	unsigned i;
	int r;

	purge->oldest_ns = INT64_MAX;
	g_hash_table_remove_all(purge->stays);
	tool_named_clear(&purge->named);
	r = tool_named_read(office, &purge->named);
	if (r < 0)
		return tool_fail(error, r, "cannot read the mailbags: %s",
		                 g_strerror(-r));

	for (i = 0; r == 0 && i < dir_count(purge) && !is_full(purge); i++) {
		g_autofree char *dir = dir_name(i);

		tool_progress_show(purge->progress, purge->dirs + i,
		                   (guint64)dir_count(purge) * offices);
		r = dir_purge(purge, office, dir, error);
	}
	purge->dirs += i;
	return r < 0 || purge->gone == before || purge->is_rehearsal
	               ? r
	               : tool_named_expect(&purge->named, office, purge->edits,
	                                   error);
}

static int
plan_purge(void *user_data, const ToolOffices *offices, StoreEdits *edits,
           GError **error)
{
	Purge *purge = user_data;
	int r = 0;

	purge->edits = edits;
	purge->dirs = 0;
	purge->gone = 0;
	purge->passed = 0;
	for (guint i = 0; r == 0 && i < offices->list->len; i++)
		r = office_purge(purge, offices->list->pdata[i],
		                 offices->list->len, error);
	return r;
}

/* ---- the command line ----------------------------------------------------- */

/* Which orphans go: @only those, or what is certain and what @others add. */
static int
kinds_parse(Purge *purge, const char *only, unsigned others, GError **error)
{
	static const struct {
		const char *name;
		Kind kind;
	} kinds[] = {
		{ "messages", KIND_MESSAGES },
		{ "envelopes", KIND_ENVELOPES },
		{ "delivered", KIND_DELIVERED },
		{ "leftovers", KIND_LEFTOVERS },
		{ "attachments", KIND_ATTACHMENTS },
	};

	purge->kinds = KIND_MESSAGES | KIND_ENVELOPES | KIND_DELIVERED | others;
	if (only == NULL)
		return 0;
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		if (strcmp(only, kinds[i].name) == 0) {
			purge->kinds = kinds[i].kind;
			return 0;
		}
	}
	return tool_misuse(error,
	                   "purge-orphans: --only messages, envelopes, "
	                   "delivered, leftovers or attachments, not %s",
	                   only);
}

/* Fails if a file that was named has not gone, or would not. */
static int
check_files(const Purge *purge, const ToolApply *apply, GError **error)
{
	const char *path = "";

	for (guint i = 0; i < apply->rows->len; i++) {
		(void)g_variant_lookup(apply->rows->pdata[i], "path", "&s",
		                       &path);
		tool_selection_finish(purge->files, path);
	}
	path = tool_selection_left(purge->files);
	return path == NULL ? 0
	                    : tool_fail(error, -ENOENT,
	                                "%s stays: it is no orphan of that age "
	                                "and kind",
	                                path);
}

/* Removes a batch after the other: *@ret_count files, also on an error. What
 * would only be removed is there when the next is looked for. */
static int
purge_all(ToolApply *apply, Purge *purge, size_t *ret_count, GError **error)
{
	size_t edits;
	int r;

	*ret_count = 0;
	purge->is_rehearsal = apply->is_dry_run;
	purge->batch_max = purge->is_rehearsal ? STORE_EDITS_MAX : BATCH_MAX;
	do {
		purge->offset = purge->is_rehearsal ? *ret_count : 0;
		r = tool_apply(apply, plan_purge, purge, &edits, error);
		if (r < 0 && *ret_count > 0)
			g_prefix_error(error, "after %zu files: ", *ret_count);
		if (r < 0)
			return r;
		*ret_count += purge->gone;
	} while (purge->gone == purge->batch_max);
	return 0;
}

static int
purge(ToolApply *apply, Purge *purge, size_t *ret_count, GError **error)
{
	g_autoptr(ToolProgress) progress =
		tool_progress_new("purging", purge->is_quiet);

	purge->before_ns = g_get_real_time() * 1000 - purge->age_s * NS_PER_S;
	purge->progress = progress;
	purge->stays = g_hash_table_new(NULL, NULL);
	return purge_all(apply, purge, ret_count, error);
}

/* What the command line asks for. */
typedef struct Wish {
	char *age;    /* owned */
	char *only;   /* owned; or NULL */
	char **files; /* owned; or NULL */
	gboolean has_attachments;
	gboolean has_leftovers;
} Wish;

static void
wish_clear(Wish *wish)
{
	g_free(wish->age);
	g_free(wish->only);
	g_strfreev(wish->files);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Wish, wish_clear)

static int
wish_parse(const Wish *wish, Purge *purge, GError **error)
{
	unsigned others = (wish->has_attachments ? KIND_ATTACHMENTS : 0U) |
	                  (wish->has_leftovers ? KIND_LEFTOVERS : 0U);
	int r;

	r = kinds_parse(purge, wish->only, others, error);
	if (r < 0)
		return r;
	if (tool_age_parse(wish->age, &purge->age_s) < 0)
		return tool_misuse(error,
		                   "purge-orphans needs an age: --older-than "
		                   "30d (m, h, d or w)");
	purge->files = tool_selection_new(wish->files);
	return 0;
}

ToolExit
tool_purge_orphans(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(ToolApply)
		apply = { .what = "purge-orphans", .is_listed = true };
	g_autofree char *files = NULL;
	g_auto(Wish) wish = { 0 };
	g_auto(Purge) orphans = { 0 };
	size_t count;
	int r;
	const GOptionEntry entries[] = {
		{ "postoffice", 0, 0, G_OPTION_ARG_FILENAME,
		  &apply.choice.folder, "Of the postoffice in this folder",
		  "NAME" },
		{ "older-than", 0, 0, G_OPTION_ARG_STRING, &wish.age,
		  "Neither made nor changed for so long: 12h, 30d, 8w", "AGE" },
		{ "attachments", 0, 0, G_OPTION_ARG_NONE, &wish.has_attachments,
		  "Attachments, too, that are older than any message", NULL },
		{ "only", 0, 0, G_OPTION_ARG_STRING, &wish.only,
		  "Messages, envelopes, delivered, leftovers or attachments",
		  "KIND" },
		{ "file", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &wish.files,
		  "This one, like MAI/MA2/00000062.MAI; may be repeated",
		  "FILE" },
		{ "leftovers", 0, 0, G_OPTION_ARG_NONE, &wish.has_leftovers,
		  "What programs that stopped have left in P1 and MBG, too",
		  NULL },
		{ NULL },
	};

	if (tool_apply_options(self, entries, argv, &apply, &options, error) <
	    0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if (wish_parse(&wish, &orphans, error) < 0)
		return TOOL_USAGE;
	orphans.is_quiet = options.quiet;
	r = purge(&apply, &orphans, &count, error);
	files = tool_count(count, "orphan", "orphans");
	if (r == 0 || count > 0)
		tool_apply_print(&apply, &options, "Removed %s.", files);
	if (r == 0)
		r = check_files(&orphans, &apply, error);
	return r < 0 ? TOOL_FAILED : TOOL_OK;
}
