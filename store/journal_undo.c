/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How a transaction is undone after it was done
 *
 * - What it changed must be as it left it, by the digests in its lines, and the
 *   names that it took away must be free, but for what it did itself. Then what
 *   was there before is that entry's past alone.
 * - The contrary is staged file by file, as a client would do it. Records are not
 *   put back: their content is the entry's, and goes when it expires.
 * - First the files that it created go; what it renamed steps aside, for one may
 *   be where the other was, or in a directory that has to go; then those
 *   directories go. What it removed comes again, directories before what is in
 *   them, and what it renamed goes back. Then all have their content and
 *   attributes as they had them.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/edit_attr.h"
#include "store/internal.h"
#include "store/name.h"

/* Bytes that are copied at a time. */
#define BLOCK 65536

/* A file that the transaction has changed. */
typedef struct UndoFile {
	StoreJournalFile line; /* its paths are in paths */
	char *paths;           /* owned */
	RecordNode before;     /* but for its content; none if it was created */
	StoreNode node;        /* as which it is there now, or again; or 0 */
} UndoFile;

typedef struct Undo {
	StoreTxn *txn;
	StoreTxn *past;          /* owned */
	uint64_t id;             /* of the entry */
	GPtrArray *files;        /* owned UndoFile */
	bool has_dirs;           /* among them */
	unsigned aside;          /* how many have stepped aside */
	GHashTable *by_node;     /* node -> of files, as the entry calls it */
	const UndoFile *changed; /* of files: why it cannot be undone */
	char *reason;            /* owned */
} Undo;

static void
file_free(void *data)
{
	UndoFile *file = data;

	g_free(file->paths);
	g_free(file);
}

static void
undo_clear(Undo *undo)
{
	g_clear_pointer(&undo->past, store_txn_abort);
	g_hash_table_unref(undo->by_node);
	g_ptr_array_unref(undo->files);
	g_free(undo->reason);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Undo, undo_clear)

static int G_GNUC_PRINTF(3, 4)
	refuse(Undo *undo, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_free(undo->reason);
	undo->reason = g_strdup_vprintf(format, args);
	va_end(args);
	return r;
}

static int
refuse_forgotten(Undo *undo)
{
	return refuse(undo, -ENODATA, "what it changed is not kept any more");
}

/* The file of the entry that was @node, or NULL. */
static UndoFile *
find_file(const Undo *undo, StoreNode node)
{
	return g_hash_table_lookup(undo->by_node, &node);
}

static bool
has_past(const UndoFile *file)
{
	return file->line.what != STORE_UNDONE_CREATED;
}

/* ---- reading the entry; locked --------------------------------------------*/

/* Adds the next file of @iter. */
static int
add_file(Undo *undo, TxnIter *iter)
{
	g_autofree char *paths = NULL;
	JournalFile line;
	UndoFile *file;
	uint64_t id;
	int r;

	r = journal_file_next(iter, &id, &line, &paths);
	if (r < 0)
		return r;
	file = g_new0(UndoFile, 1);
	g_ptr_array_add(undo->files, file);
	file->paths = g_steal_pointer(&paths);
	file->line = line.file;
	g_hash_table_insert(undo->by_node, &file->line.node, file);
	undo->has_dirs |= S_ISDIR(line.file.mode);
	if (line.file.what != STORE_UNDONE_REMOVED)
		file->node = line.file.node;
	if (has_past(file))
		r = node_load_any(undo->past, line.file.node, &file->before);
	file->before.content = (KvSlice){ NULL, 0 };
	return r;
}

static int
read_files(Undo *undo)
{
	RecordKey prefix = journal_key(JOURNAL_FILE, undo->id);
	TxnIter iter;
	int r;

	r = txn_iter_begin(&undo->txn->store->plain, &prefix, &prefix, &iter);
	while (r == 0)
		r = add_file(undo, &iter);
	txn_iter_end(&iter);
	return r == -ENOENT ? 0 : r;
}

static int
read_entry(Undo *undo)
{
	Store *store = undo->txn->store;
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;
	int r;

	r = journal_get(store, undo->id, &entry, text);
	if (r < 0)
		return r == -ENOENT ? refuse(undo, r,
		                             "there is no such entry in the "
		                             "journal")
		                    : r;
	if (entry.outcome == STORE_UNDONE)
		return refuse(undo, -EALREADY,
		              "it was undone, and did nothing");
	if (!entry.has_past)
		return refuse_forgotten(undo);
	r = journal_past_of(store, undo->id, undo->id, INT64_MAX, &undo->past);
	return r < 0 ? r : read_files(undo);
}

/* ---- whether it can be undone; locked -------------------------------------*/

/* By whom is looked for later. */
static int
refuse_changed(Undo *undo, const UndoFile *file)
{
	undo->changed = file;
	return -EBUSY;
}

/* Unlocked: the journal may be long. */
static int
say_changed(Undo *undo)
{
	const StoreJournalFile *line = &undo->changed->line;
	uint64_t id = journal_find(undo->txn->store, undo->id + 1, line);
	const char *path =
		line->new_path[0] != '\0' ? line->new_path : line->old_path;

	return id == 0 ? refuse(undo, -EBUSY,
	                        "%s was changed since then, by nobody's "
	                        "transaction",
	                        path)
	               : refuse(undo, -EBUSY,
	                        "entry %" G_GUINT64_FORMAT
	                        " has changed %s since then",
	                        id, path);
}

/* A directory may have changed in what it has, but not in where it is. */
static bool
is_in_place(const Undo *undo, const UndoFile *file)
{
	g_autofree char *path = NULL;

	if (file->line.what == STORE_UNDONE_REMOVED)
		return true;
	return node_path(undo->txn, file->node, &path) == 0 &&
	       strcmp(path, file->line.new_path) == 0;
}

/* Whether the name that @file had is free, or of a file of the entry. */
static int
check_name(Undo *undo, const UndoFile *file)
{
	const RecordNode *before = &file->before;
	char folded[NAME_FOLDED_MAX + 1];
	RecordNode dir;
	RecordName name;
	RecordKey key;
	KvSlice value;
	int r;

	if (before->attr.node == STORE_ROOT)
		return 0;
	if (find_file(undo, before->attr.parent) == NULL &&
	    dir_load(undo->txn, before->attr.parent, &dir) < 0)
		return refuse(undo, -EBUSY,
		              "the directory of %s is gone since then",
		              file->line.old_path);
	if (name_fold(before->name, folded) == 0)
		return -EIO;
	key = record_key_name(before->attr.parent, folded);
	r = txn_get(undo->txn, record_slice(&key), &value);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = record_name_decode(value, &name);
	if (r == 0 && find_file(undo, name.node) == NULL)
		return refuse_changed(undo, file);
	return r;
}

static int
check_file(Undo *undo, const UndoFile *file)
{
	bool is_dir = S_ISDIR(file->line.mode);
	TxnLost lost = journal_past_lost(undo->past, file->line.node);

	if (is_dir ? !is_in_place(undo, file) : lost == TXN_LOST_CHANGED)
		return refuse_changed(undo, file);
	if (lost == TXN_LOST_DAMAGED)
		return refuse(undo, -ENODATA,
		              "%s was damaged before: what it was cannot be "
		              "read",
		              file->line.old_path);
	return has_past(file) ? check_name(undo, file) : 0;
}

static int
prepare_file(Undo *undo, const UndoFile *file)
{
	STORE_LOCK(undo->txn->store);
	return check_file(undo, file);
}

static int
prepare_entry(Undo *undo)
{
	STORE_LOCK(undo->txn->store);
	return read_entry(undo);
}

/* Unlocked; so are the others below. */
static int
prepare(Undo *undo)
{
	int r = prepare_entry(undo);
	guint i;

	for (i = 0; r == 0 && i < undo->files->len; i++)
		r = prepare_file(undo, undo->files->pdata[i]);
	return undo->changed != NULL ? say_changed(undo) : r;
}

/* ---- names ---------------------------------------------------------------*/

/* Where @node is now. */
static int
locate(const Undo *undo, StoreNode node, RecordNode *ret_node)
{
	STORE_LOCK(undo->txn->store);
	return node_load(undo->txn, node, ret_node);
}

static int
remove_created(Undo *undo, UndoFile *file)
{
	RecordNode now;
	int r;

	r = locate(undo, file->node, &now);
	if (r == 0)
		r = store_name_remove(undo->txn, now.attr.parent, now.name,
		                      now.attr.mode & S_IFMT);
	file->node = 0;
	return r == -ENOTEMPTY
	               ? refuse(undo, -EBUSY, "%s has other files since then",
	                        file->line.new_path)
	               : r;
}

/* The directory that @file was in, as it is now. */
static StoreNode
dir_of(const Undo *undo, const UndoFile *file)
{
	const UndoFile *dir = find_file(undo, file->before.attr.parent);

	return dir != NULL ? dir->node : file->before.attr.parent;
}

/* Gives @file, which was renamed, a name that is in nobody's way. */
static int
step_aside(Undo *undo, UndoFile *file)
{
	g_autofree char *name = g_strdup_printf("~U%06X.TMP", undo->aside++);
	RecordNode now;
	int r;

	r = locate(undo, file->node, &now);
	if (r < 0)
		return r;
	return store_name_move(undo->txn, now.attr.parent, now.name,
	                       undo->has_dirs ? STORE_ROOT : now.attr.parent,
	                       name, STORE_MOVE_NOREPLACE);
}

static int
move_back(Undo *undo, UndoFile *file)
{
	RecordNode now;
	int r;

	r = locate(undo, file->node, &now);
	if (r < 0)
		return r;
	return store_name_move(undo->txn, now.attr.parent, now.name,
	                       dir_of(undo, file), file->before.name,
	                       STORE_MOVE_NOREPLACE);
}

/* Creates @file again, after the directory that it was in. */
static int
create_again(Undo *undo, UndoFile *file)
{
	UndoFile *dir = find_file(undo, file->before.attr.parent);
	StoreAttr attr;
	int r = 0;

	if (file->node != 0)
		return 0; /* it had to be there for another */
	if (dir != NULL && dir->node == 0)
		r = create_again(undo, dir);
	if (r == 0)
		r = store_name_add(undo->txn, dir_of(undo, file),
		                   file->before.name, &file->before.attr,
		                   &attr);
	if (r == 0)
		file->node = attr.node;
	return r;
}

/* ---- content -------------------------------------------------------------*/

/* Makes @size bytes at @offset as they were. */
static int
restore_block(Undo *undo, const UndoFile *file, uint64_t offset, size_t size)
{
	g_autofree uint8_t *was = g_malloc(BLOCK);
	size_t was_size = 0;
	int r;

	r = store_file_read(undo->past, file->line.node, offset, was, size,
	                    &was_size);
	return r < 0 ? r
	             : difference_write(undo->txn, file->node, offset, was,
	                                was_size);
}

static int
restore_content(Undo *undo, const UndoFile *file)
{
	uint64_t size = file->before.attr.size;
	uint64_t offset;
	int r;

	r = store_file_truncate(undo->txn, file->node, size);
	for (offset = 0; r == 0 && offset < size; offset += BLOCK)
		r = restore_block(undo, file, offset,
		                  (size_t)MIN(BLOCK, size - offset));
	return r;
}

/* ---- attributes ----------------------------------------------------------*/

static int
restore(Undo *undo, const UndoFile *file)
{
	g_autoptr(GBytes) attr = NULL;
	int r = 0;

	if (S_ISREG(file->line.mode))
		r = restore_content(undo, file);
	if (r == 0)
		r = store_edit_attr_encode(undo->past, file->line.node, &attr);
	return r < 0 ? r : store_edit_attr_apply(undo->txn, file->node, attr);
}

/* ---- the whole -----------------------------------------------------------*/

/* What was created goes from the end of its path, so that directories are empty
 * when it is their turn. */
static int
by_depth(const void *a, const void *b)
{
	const UndoFile *file_a = *(UndoFile *const *)a;
	const UndoFile *file_b = *(UndoFile *const *)b;

	return -strcmp(file_a->line.new_path, file_b->line.new_path);
}

typedef int Step(Undo *undo, UndoFile *file);

/* Takes @step for each file to which @what happened, of these types. */
static int
each(Undo *undo, StoreUndoneWhat what, bool files, bool dirs, Step *step)
{
	guint i;
	int r = 0;

	for (i = 0; r == 0 && i < undo->files->len; i++) {
		UndoFile *file = undo->files->pdata[i];

		if (file->line.what == what &&
		    (S_ISDIR(file->line.mode) ? dirs : files))
			r = step(undo, file);
	}
	return r;
}

/* What the entry keeps may have gone while it was read. */
static int
check_past(Undo *undo)
{
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;
	int r;

	STORE_LOCK(undo->txn->store);
	r = journal_get(undo->txn->store, undo->id, &entry, text);
	if (r == -ENOENT || (r == 0 && !entry.has_past))
		return refuse_forgotten(undo);
	return r;
}

static int
apply(Undo *undo)
{
	guint i;
	int r;

	g_ptr_array_sort(undo->files, by_depth);
	r = each(undo, STORE_UNDONE_CREATED, true, false, remove_created);
	if (r == 0)
		r = each(undo, STORE_UNDONE_RENAMED, true, true, step_aside);
	if (r == 0)
		r = each(undo, STORE_UNDONE_CREATED, false, true,
		         remove_created);
	if (r == 0)
		r = each(undo, STORE_UNDONE_REMOVED, true, true, create_again);
	if (r == 0)
		r = each(undo, STORE_UNDONE_RENAMED, true, true, move_back);
	for (i = 0; r == 0 && i < undo->files->len; i++)
		if (has_past(undo->files->pdata[i]))
			r = restore(undo, undo->files->pdata[i]);
	if (r == -ENODATA)
		return refuse_forgotten(undo);
	return r == 0 ? check_past(undo) : r;
}

int
store_journal_undo(StoreTxn *txn, uint64_t id, char **ret_reason)
{
	g_auto(Undo)
		undo = { .txn = txn,
		         .id = id,
		         .files = g_ptr_array_new_with_free_func(file_free),
		         .by_node = g_hash_table_new(g_int64_hash,
		                                     g_int64_equal) };
	int r;

	r = prepare(&undo);
	if (r == 0)
		r = apply(&undo);
	if (r < 0 && undo.reason == NULL)
		undo.reason = g_strdup(g_strerror(-r));
	if (r < 0)
		*ret_reason = g_steal_pointer(&undo.reason);
	return r;
}
