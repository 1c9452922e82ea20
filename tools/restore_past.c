/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How files become what they were
 *
 * - All that is named on the command line, with what is below it, is one
 *   transaction: each file gets its content again, and its attributes and times.
 * - A KEY and its MBG are of no use but together: where one is restored, the
 *   other is, too.
 * - A mailbag that is named as one comes back with the messages that were live
 *   in it, and the envelopes of an inqueue, as far as they are gone. Which
 *   attachments are theirs is not public.
 * - Mail that is left as it is, for it is what it was, or still there, has to
 *   stay so until a mailbag has been restored: the headers of that name it.
 */

#include "tools/restore_past.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/edit_attr.h"
#include "store/format/key.h"
#include "store/format/mbg.h"
#include "store/format/name.h"
#include "store/layout.h"
#include "tools/apply.h"
#include "tools/moment.h"
#include "tools/past.h"

#define NS_PER_S 1000000000

typedef struct Looking {
	int64_t at_ns;
	char **words; /* of the command line */

	/* Of one look. */
	size_t files;     /* that were there then */
	size_t changed;   /* that are otherwise now */
	GHashTable *seen; /* set of their paths, owned */
	GHashTable *left; /* set of paths: mail that is left as it is */
	bool has_mailbag; /* among the files */
	StoreTxn *past;   /* borrowed, as all that follow */
	StoreTxn *now;
	StoreEdits *edits;
	const FormatKeyLayout *layout;
} Looking;

/* ---- files ---------------------------------------------------------------- */

/* Whether the content of @path is now what it was. */
static bool
is_same(const Looking *looking, const char *path, GBytes *was)
{
	g_autoptr(GBytes) is = NULL;
	StoreEntry entry;

	return tool_past_find(looking->now, path, &entry) == 0 &&
	       S_ISREG(entry.mode) &&
	       tool_past_read(looking->now, entry.node, &is) == 0 &&
	       g_bytes_equal(is, was);
}

static int
file_fail(const char *path, int r, GError **error)
{
	switch (r) {
	case -ENODATA:
		return tool_fail(error, r,
		                 "%s was changed without a transaction since "
		                 "then: what it was is not known",
		                 path);
	case -EIO:
		return tool_fail(error, r,
		                 "%s was damaged then: what it was cannot be "
		                 "read",
		                 path);
	case -ENOENT:
		return tool_fail(error, r, "%s: its directory is gone", path);
	case -EFBIG:
	case -E2BIG:
		return tool_fail(error, r,
		                 "%s is too much: %zu MiB, and %d files, can "
		                 "be restored at once",
		                 path, STORE_EDITS_BYTES_MAX >> 20,
		                 STORE_EDITS_MAX / 2);
	default:
		return tool_fail(error, r, "%s: %s", path, g_strerror(-r));
	}
}

/* A file as it was. */
typedef struct File {
	StoreNode node;
	char *path; /* as its names were written; owned */
	StoreAttr attr;
	LayoutDir role; /* of its directory */
	LayoutKind kind;
} File;

static void
file_clear(File *file)
{
	g_free(file->path);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(File, file_clear)

/* Reads what there is to know of @file, whose path is known. */
static int
file_look(const Looking *looking, File *file)
{
	int r;

	r = store_attr_get(looking->past, file->node, &file->attr);
	if (r == 0)
		r = store_dir_role(looking->past, file->attr.parent,
		                   &file->role);
	if (r == 0)
		file->kind =
			layout_kind(file->role, strrchr(file->path, '/') + 1);
	return r;
}

/* The journal knows of plain files what transactions did to them, and nothing of
 * what else: one that has changed since then may be otherwise there, too. */
static int
check_known(const Looking *looking, const File *file)
{
	return file->kind == LAYOUT_PLAIN &&
	                       file->attr.ctime_ns > looking->at_ns
	               ? -ENODATA
	               : 0;
}

/* Has @file, whose content is what it was, be so in all else; is left as it is if
 * it is. */
static int
attr_restore(Looking *looking, const File *file)
{
	g_autoptr(GBytes) was = NULL;
	g_autoptr(GBytes) is = NULL;
	StoreEntry entry;
	int r;

	r = tool_past_find(looking->now, file->path, &entry);
	if (r == 0)
		r = store_edit_attr_encode(looking->now, entry.node, &is);
	if (r == 0)
		r = store_edit_attr_encode(looking->past, file->node, &was);
	if (r < 0)
		return r;
	if (!g_bytes_equal(is, was)) {
		looking->changed++;
		return store_edits_add(looking->edits, looking->now,
		                       STORE_EDIT_ATTR, file->path, 0, was);
	}
	if (file->kind != LAYOUT_PLAIN)
		g_hash_table_add(looking->left, g_strdup(file->path));
	return 0;
}

/* Has @file become what it was. */
static int
file_restore(Looking *looking, const File *file)
{
	g_autoptr(GBytes) was = NULL;
	int r;

	r = check_known(looking, file);
	if (r == 0)
		r = tool_past_read(looking->past, file->node, &was);
	if (r < 0)
		return r;
	if (is_same(looking, file->path, was))
		return attr_restore(looking, file);
	looking->changed++;
	return tool_past_add(looking->edits, looking->now, file->path,
	                     looking->past, file->node, was);
}

static int add_partner(Looking *looking, const File *file, GError **error);

static int
add_file(Looking *looking, StoreNode node, GError **error)
{
	g_auto(File) file = { .node = node };
	int r;

	r = store_node_path(looking->past, node, &file.path);
	if (r < 0)
		return tool_fail(error, r, "cannot read the journal: %s",
		                 g_strerror(-r));
	if (!g_hash_table_add(looking->seen, g_strdup(file.path)))
		return 0;
	looking->files++;
	r = file_look(looking, &file);
	if (r == 0)
		r = file_restore(looking, &file);
	looking->has_mailbag |= file.kind == LAYOUT_MAILBAG;
	return r < 0 ? file_fail(file.path, r, error)
	             : add_partner(looking, &file, error);
}

/* Adds the file @path, if it was there. */
static int
add_if_there(Looking *looking, const char *path, GError **error)
{
	StoreEntry entry;
	int r;

	r = tool_past_find(looking->past, path, &entry);
	if (r == 0 && S_ISREG(entry.mode))
		return add_file(looking, entry.node, error);
	return r < 0 && r != -ENOENT ? file_fail(path, r, error) : 0;
}

/* Adds the MBG of the KEY @file, or the KEY of the MBG: of whatever is a mailbag
 * to the file system. */
static int
add_partner(Looking *looking, const File *file, GError **error)
{
	bool is_key = file->role == LAYOUT_DIR_KEY;
	g_autofree char *dir = g_path_get_dirname(file->path);
	g_autofree char *office = g_path_get_dirname(dir);
	g_autofree char *name = g_path_get_basename(file->path);
	g_autofree char *inside = NULL;
	g_autofree char *full = NULL;

	if (file->kind != LAYOUT_MAILBAG)
		return 0;
	*strrchr(name, '.') = '\0';
	inside = format_name_path(is_key ? FORMAT_NAME_MBG : FORMAT_NAME_KEY,
	                          name);
	/* COPY.MBG is no mailbag's. */
	if (layout_kind(is_key ? LAYOUT_DIR_MBG : LAYOUT_DIR_KEY,
	                strchr(inside, '/') + 1) != LAYOUT_MAILBAG)
		return 0;
	full = g_build_filename(office, inside, NULL);
	return add_if_there(looking, full, error);
}

static bool
keep_entry(void *user_data, const StoreEntry *entry)
{
	g_array_append_vals(user_data, entry, 1);
	return true;
}

static int
add_entry(Looking *looking, const StoreEntry *entry, GError **error)
{
	g_autoptr(GArray) entries =
		g_array_new(FALSE, FALSE, sizeof(StoreEntry));
	int r;

	if (S_ISREG(entry->mode))
		return add_file(looking, entry->node, error);
	r = store_name_list(looking->past, entry->node, keep_entry, entries);
	if (r < 0)
		return file_fail(entry->name, r, error);
	for (guint i = 0; r == 0 && i < entries->len; i++)
		r = add_entry(looking, &g_array_index(entries, StoreEntry, i),
		              error);
	return r;
}

/* ---- planning ------------------------------------------------------------- */

static int
past_fail(const Looking *looking, Store *store, int r, GError **error)
{
	g_autofree char *text = NULL;
	int64_t reach_ns;

	if (r != -ENODATA || store_past_reach(store, &reach_ns) < 0)
		return tool_fail(error, r, "cannot read the journal: %s",
		                 g_strerror(-r));
	/* The first full second that it reaches. */
	text = tool_moment_text(reach_ns + NS_PER_S - 1, false);
	return tool_fail(error, r, "the past is kept from %s on", text);
}

/* The path without what does not matter, beginning with a slash. */
static char *
plain_path(const char *path)
{
	g_auto(GStrv) words = g_strsplit(path, "/", -1);
	GString *text = g_string_new(NULL);

	for (guint i = 0; words[i] != NULL; i++)
		if (words[i][0] != '\0')
			g_string_append_printf(text, "/%s", words[i]);
	return g_string_free(text, FALSE);
}

/* ---- mailbags ------------------------------------------------------------- */

/* Adds the file of @kind that @stem names in @office, if it is gone; else it is
 * left as it is. */
static int
add_gone(Looking *looking, const char *office, FormatNameKind kind,
         const char *stem, GError **error)
{
	g_autofree char *inside = format_name_path(kind, stem);
	g_autofree char *path = g_build_filename(office, inside, NULL);
	StoreEntry entry;

	if (tool_past_find(looking->now, path, &entry) < 0)
		return add_if_there(looking, path, error);
	if (S_ISREG(entry.mode))
		g_hash_table_add(looking->left, g_steal_pointer(&path));
	return 0;
}

/* A mailbag as it was; all is owned. */
typedef struct Bag {
	char *office; /* its path */
	char *name;
	GBytes *key;
	GBytes *mbg;
} Bag;

static void
bag_clear(Bag *bag)
{
	g_free(bag->office);
	g_free(bag->name);
	g_clear_pointer(&bag->key, g_bytes_unref);
	g_clear_pointer(&bag->mbg, g_bytes_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Bag, bag_clear)

/* Adds what is gone of the message of record @i, if that was live. */
static int
add_message(Looking *looking, const Bag *bag, uint32_t i, GError **error)
{
	const uint8_t *key = g_bytes_get_data(bag->key, NULL);
	const uint8_t *mbg = g_bytes_get_data(bag->mbg, NULL);
	g_autofree char *stem = NULL;
	FormatMbgRecord record;
	int r;

	if (format_key_is_deleted(key, looking->layout, i))
		return 0;
	format_mbg_decode(mbg + (size_t)i * FORMAT_MBG_RECORD_SIZE, &record);
	stem = format_mbg_stem(&record);
	if (stem == NULL)
		return 0;
	r = add_gone(looking, bag->office, FORMAT_NAME_MAI, stem, error);
	if (r == 0 && layout_is_inqueue(bag->name))
		r = add_gone(looking, bag->office, FORMAT_NAME_P1, stem, error);
	return r;
}

static int
add_messages(Looking *looking, const Bag *bag, GError **error)
{
	uint32_t count = format_mbg_count(g_bytes_get_size(bag->mbg));
	int r = 0;

	if (g_bytes_get_size(bag->key) != FORMAT_KEY_SIZE)
		return 0;
	for (uint32_t i = 0; r == 0 && i < MIN(count, FORMAT_KEY_RECORDS_MAX);
	     i++)
		r = add_message(looking, bag, i, error);
	return r;
}

/* Reads the file of @kind of @bag. */
static int
bag_read(const Looking *looking, const Bag *bag, FormatNameKind kind,
         StoreNode *ret_node, GBytes **ret_bytes)
{
	g_autofree char *inside = format_name_path(kind, bag->name);
	g_autofree char *path = g_build_filename(bag->office, inside, NULL);
	StoreEntry entry;
	int r;

	r = tool_past_find(looking->past, path, &entry);
	if (r == 0)
		*ret_node = entry.node;
	return r < 0 ? r : tool_past_read(looking->past, entry.node, ret_bytes);
}

/* Adds the mailbag @path ("/LAB/INQUEUE3"), whose MBG comes with its KEY.
 * Returns -ENOENT, without an error, if there was none. */
static int
add_mailbag(Looking *looking, const char *path, GError **error)
{
	g_autofree char *name = g_path_get_basename(path);
	g_auto(Bag) bag = {
		.office = g_path_get_dirname(path),
		.name = g_ascii_strup(name, -1),
	};
	StoreNode key;
	StoreNode mbg;
	int r;

	r = bag_read(looking, &bag, FORMAT_NAME_KEY, &key, &bag.key);
	if (r == 0)
		r = bag_read(looking, &bag, FORMAT_NAME_MBG, &mbg, &bag.mbg);
	if (r < 0)
		return r == -ENOENT ? r : file_fail(path, r, error);
	r = add_file(looking, key, error);
	return r < 0 ? r : add_messages(looking, &bag, error);
}

/* ---- the whole ------------------------------------------------------------ */

static int
add_word(Looking *looking, const char *word, GError **error)
{
	g_autofree char *path = plain_path(word);
	g_autofree char *time = tool_moment_text(looking->at_ns, false);
	StoreEntry entry;
	int r;

	r = tool_past_find(looking->past, path, &entry);
	if (r == 0)
		return add_entry(looking, &entry, error);
	if (path[0] != '\0')
		r = add_mailbag(looking, path, error);
	if (r == -ENOENT && (error == NULL || *error == NULL))
		return tool_fail(error, r,
		                 "there was no file, directory or mailbag %s "
		                 "at %s",
		                 word, time);
	return r;
}

/* Has the mail that is left as it is stay so, if anything depends on it. */
static int
expect_left(const Looking *looking, GError **error)
{
	GHashTableIter iter;
	gpointer path;
	int r = 0;

	if (!looking->has_mailbag || store_edits_count(looking->edits) == 0)
		return 0;
	g_hash_table_iter_init(&iter, looking->left);
	while (r == 0 && g_hash_table_iter_next(&iter, &path, NULL)) {
		r = store_edits_add(looking->edits, looking->now,
		                    STORE_EDIT_EXPECT, path, 0, NULL);
		if (r < 0)
			(void)file_fail(path, r, error);
	}
	return r;
}

static int
plan_past(void *user_data, const ToolOffices *offices, StoreEdits *edits,
          GError **error)
{
	Looking *looking = user_data;
	g_autoptr(StoreTxn) past = NULL;
	int r;

	r = store_past_open(offices->store, looking->at_ns, &past);
	if (r < 0)
		return past_fail(looking, offices->store, r, error);
	looking->past = past;
	looking->now = store_plain(offices->store);
	looking->edits = edits;
	looking->layout = &offices->layout;
	looking->files = 0;
	looking->changed = 0;
	looking->has_mailbag = false;
	g_hash_table_remove_all(looking->seen);
	g_hash_table_remove_all(looking->left);
	for (char **word = looking->words; r == 0 && *word != NULL; word++)
		r = add_word(looking, *word, error);
	return r < 0 ? r : expect_left(looking, error);
}

ToolExit
tool_restore_past(const ToolOptions *options, const char *when, GError **error)
{
	g_autofree char *names = g_strjoinv(" ", options->arguments + 1);
	g_autofree char *what =
		g_strdup_printf("restore --at %s %s", when, names);
	g_auto(ToolApply) apply = { .store = options->arguments[0],
		                    .what = what,
		                    .is_listed = true };
	Looking looking = { .words = options->arguments + 1 };
	g_autofree char *files = NULL;
	size_t count = 0;
	int r;

	if (tool_moment_read(when, &looking.at_ns, error) < 0)
		return TOOL_USAGE;
	looking.seen =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	looking.left =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	r = tool_apply(&apply, plan_past, &looking, &count, error);
	g_hash_table_unref(looking.seen);
	g_hash_table_unref(looking.left);
	if (r < 0)
		return TOOL_FAILED;
	files = tool_count(looking.files, "file", "files");
	tool_apply_print(&apply, options, "Restored %zu of %s.",
	                 looking.changed, files);
	return TOOL_OK;
}
