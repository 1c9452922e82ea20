/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/edit.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/edit_attr.h"
#include "store/internal.h"
#include "store/journal.h"

/* (kind, path, node, ctime, size, offset, bytes) each. */
#define EDITS_TYPE "a(ystxttay)"

struct StoreEdits {
	GPtrArray *list; /* StoreEdit, owned */
	size_t bytes;    /* that they write */
};

static void
edit_free(void *data)
{
	StoreEdit *edit = data;

	g_free(edit->path);
	if (edit->bytes != NULL)
		g_bytes_unref(edit->bytes);
	g_free(edit);
}

StoreEdits *
store_edits_new(void)
{
	StoreEdits *edits = g_new0(StoreEdits, 1);

	edits->list = g_ptr_array_new_with_free_func(edit_free);
	return edits;
}

void
store_edits_free(StoreEdits *edits)
{
	if (edits == NULL)
		return;

	g_ptr_array_unref(edits->list);
	g_free(edits);
}

size_t
store_edits_count(const StoreEdits *edits)
{
	return edits->list->len;
}

const StoreEdit *
store_edits_at(const StoreEdits *edits, size_t i)
{
	return edits->list->pdata[i];
}

/* ---- finding -------------------------------------------------------------- */

/* The directory that @path is in; *@ret_name is the rest of @path. */
static int
path_walk(StoreTxn *txn, const char *path, StoreNode *ret_dir,
          const char **ret_name)
{
	g_auto(GStrv) words = g_strsplit(path + 1, "/", -1);
	StoreNode dir = STORE_ROOT;
	StoreEntry entry;
	int r;

	for (size_t i = 0; words[i + 1] != NULL; i++) {
		r = store_name_find(txn, dir, words[i], &entry);
		if (r < 0)
			return r;
		dir = entry.node;
	}
	*ret_dir = dir;
	*ret_name = strrchr(path, '/') + 1;
	return 0;
}

/* The attributes of the file @path. Errors: -ENOENT, -EISDIR. */
static int
path_attr(StoreTxn *txn, const char *path, StoreAttr *ret_attr)
{
	StoreEntry entry;
	const char *name;
	StoreNode dir;
	int r;

	r = path_walk(txn, path, &dir, &name);
	if (r == 0)
		r = store_name_find(txn, dir, name, &entry);
	if (r == 0 && S_ISDIR(entry.mode))
		r = -EISDIR;
	return r < 0 ? r : store_attr_get(txn, entry.node, ret_attr);
}

int
store_edit_place(StoreTxn *txn, const StoreEdit *edit, StorePlace *ret_place)
{
	const char *name;
	StoreNode dir;
	int r;

	r = path_walk(txn, edit->path, &dir, &name);
	return r < 0 ? r : store_place_in(txn, dir, name, ret_place);
}

/* ---- making a list -------------------------------------------------------- */

static bool
has_bytes(StoreEditKind kind)
{
	return kind == STORE_EDIT_WRITE || kind == STORE_EDIT_PATCH ||
	       kind == STORE_EDIT_ATTR;
}

/* Whether it may be of what is not there. */
static bool
may_make(StoreEditKind kind)
{
	return kind == STORE_EDIT_WRITE || kind == STORE_EDIT_UNDO ||
	       kind == STORE_EDIT_ATTR;
}

static bool
path_is_valid(const char *path)
{
	return path[0] == '/' && path[1] != '\0' &&
	       strstr(path, "//") == NULL && !g_str_has_suffix(path, "/");
}

/* Takes @edit into the list, if it makes sense and there is room. */
static int
edits_take(StoreEdits *edits, StoreEdit *edit)
{
	size_t size = edit->bytes != NULL ? g_bytes_get_size(edit->bytes) : 0;
	bool is_large = edit->kind != STORE_EDIT_UNDO &&
	                edit->offset > STORE_FILE_SIZE_MAX - size;
	bool is_full = edits->list->len >= STORE_EDITS_MAX ||
	               size > STORE_EDITS_BYTES_MAX - edits->bytes;

	if (is_large || is_full) {
		edit_free(edit);
		return is_large ? -EFBIG : -E2BIG;
	}

	g_ptr_array_add(edits->list, edit);
	edits->bytes += size;
	return 0;
}

int
store_edits_add(StoreEdits *edits, StoreTxn *txn, StoreEditKind kind,
                const char *path, uint64_t offset, GBytes *bytes)
{
	StoreEdit *edit;
	StoreAttr attr;
	int r;

	g_assert(path_is_valid(path) && has_bytes(kind) == (bytes != NULL));
	r = path_attr(txn, path, &attr);
	if (r == -ENOENT && may_make(kind))
		attr = (StoreAttr){ .node = 0 };
	else if (r < 0)
		return r;

	edit = g_new(StoreEdit, 1);
	*edit = (StoreEdit){
		.kind = kind,
		.path = g_strdup(path),
		.node = attr.node,
		.ctime_ns = attr.ctime_ns,
		.size = attr.size,
		.offset = offset,
		.bytes = bytes != NULL ? g_bytes_ref(bytes) : NULL,
	};
	return edits_take(edits, edit);
}

/* ---- as bytes ------------------------------------------------------------- */

GBytes *
store_edits_encode(const StoreEdits *edits)
{
	GVariantBuilder list =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE(EDITS_TYPE));
	g_autoptr(GVariant) variant = NULL;

	for (guint i = 0; i < edits->list->len; i++) {
		const StoreEdit *edit = edits->list->pdata[i];
		g_autoptr(GBytes) none = g_bytes_new(NULL, 0);

		g_variant_builder_add(
			&list, "(ystxtt@ay)", (guchar)edit->kind, edit->path,
			edit->node, edit->ctime_ns, edit->size, edit->offset,
			g_variant_new_from_bytes(
				G_VARIANT_TYPE_BYTESTRING,
				edit->bytes != NULL ? edit->bytes : none,
				TRUE));
	}
	variant = g_variant_ref_sink(g_variant_builder_end(&list));
	return g_variant_get_data_as_bytes(variant);
}

/* Whether what was decoded could have been encoded. */
static bool
edit_is_valid(const StoreEdit *edit, unsigned kind, size_t size)
{
	if (kind > STORE_EDIT_ATTR || !path_is_valid(edit->path))
		return false;
	if (edit->offset != 0 && kind != STORE_EDIT_PATCH &&
	    kind != STORE_EDIT_UNDO)
		return false;
	if (size > 0 && !has_bytes(edit->kind))
		return false;
	return edit->node != 0 || may_make(edit->kind);
}

static int
edit_decode(StoreEdits *edits, GVariant *row)
{
	StoreEdit *edit = g_new0(StoreEdit, 1);
	g_autoptr(GVariant) bytes = NULL;
	guchar kind;
	size_t size;

	g_variant_get(row, "(ystxtt@ay)", &kind, &edit->path, &edit->node,
	              &edit->ctime_ns, &edit->size, &edit->offset, &bytes);
	edit->kind = kind;
	size = g_variant_get_size(bytes);
	if (!edit_is_valid(edit, kind, size)) {
		edit_free(edit);
		return -EBADMSG;
	}

	if (has_bytes(edit->kind))
		edit->bytes = g_variant_get_data_as_bytes(bytes);
	return edits_take(edits, edit) < 0 ? -EBADMSG : 0;
}

int
store_edits_decode(GBytes *bytes, StoreEdits **ret_edits)
{
	g_autoptr(StoreEdits) edits = store_edits_new();
	g_autoptr(GVariant) list = NULL;
	GVariantIter iter;
	GVariant *row;
	int r = 0;

	if (g_bytes_get_size(bytes) > STORE_EDITS_SIZE_MAX)
		return -EBADMSG;
	list = g_variant_ref_sink(g_variant_new_from_bytes(
		G_VARIANT_TYPE(EDITS_TYPE), bytes, FALSE));
	if (!g_variant_is_normal_form(list))
		return -EBADMSG;

	g_variant_iter_init(&iter, list);
	while (r == 0 && (row = g_variant_iter_next_value(&iter)) != NULL) {
		r = edit_decode(edits, row);
		g_variant_unref(row);
	}
	if (r == 0)
		*ret_edits = g_steal_pointer(&edits);
	return r;
}

/* ---- applying ------------------------------------------------------------- */

/* Whether the file is what it was: 0 or -ESTALE, or that it cannot be read. */
static int
edit_check(StoreTxn *txn, const StoreEdit *edit)
{
	StoreAttr attr;
	int r;

	r = path_attr(txn, edit->path, &attr);
	if (r == -ENOENT || r == -ENOTDIR)
		return edit->node == 0 ? 0 : -ESTALE;
	if (r == -EISDIR)
		return -ESTALE;
	if (r < 0)
		return r;

	return attr.node == edit->node && attr.ctime_ns == edit->ctime_ns &&
	                       attr.size == edit->size
	               ? 0
	               : -ESTALE;
}

/* Makes the file at @place, as its directory is, but for the right to search.
 */
static int
file_make(StoreTxn *txn, const StorePlace *place, StoreNode *ret_node)
{
	StoreAttr dir;
	StoreAttr attr;
	int r;

	r = store_attr_get(txn, place->dir, &dir);
	if (r < 0)
		return r;

	attr = (StoreAttr){
		.mode = S_IFREG | (dir.mode & 0666),
		.uid = dir.uid,
		.gid = dir.gid,
	};
	r = store_name_add(txn, place->dir, place->name, &attr, &attr);
	if (r == 0)
		*ret_node = attr.node;
	return r;
}

static int
bytes_write(StoreTxn *txn, StoreNode node, const StoreEdit *edit)
{
	size_t size;
	const void *data = g_bytes_get_data(edit->bytes, &size);

	return difference_write(txn, node, edit->offset, data, size);
}

static int
file_replace(StoreTxn *txn, const StorePlace *place, const StoreEdit *edit)
{
	StoreNode node = edit->node;
	StoreEntry entry;
	int r;

	/* An edit before this one may have made it. */
	r = store_name_find(txn, place->dir, place->name, &entry);
	if (r == -ENOENT)
		r = file_make(txn, place, &node);
	else if (r == 0)
		node = entry.node;
	if (r == 0)
		r = store_file_truncate(txn, node,
		                        g_bytes_get_size(edit->bytes));
	return r < 0 ? r : bytes_write(txn, node, edit);
}

/* An edit before this one may have made the file. */
static int
attr_apply(StoreTxn *txn, const StorePlace *place, const StoreEdit *edit)
{
	StoreEntry entry;
	int r;

	r = store_name_find(txn, place->dir, place->name, &entry);
	return r < 0 ? r : store_edit_attr_apply(txn, entry.node, edit->bytes);
}

static int
edit_apply(StoreTxn *txn, const StoreEdit *edit)
{
	StorePlace place;
	int r;

	r = store_edit_place(txn, edit, &place);
	if (r < 0)
		return r;

	switch (edit->kind) {
	case STORE_EDIT_WRITE:
		return file_replace(txn, &place, edit);
	case STORE_EDIT_PATCH:
		return bytes_write(txn, edit->node, edit);
	case STORE_EDIT_REMOVE:
		return store_name_remove(txn, place.dir, place.name, S_IFREG);
	case STORE_EDIT_ATTR:
		return attr_apply(txn, &place, edit);
	case STORE_EDIT_EXPECT:
	case STORE_EDIT_UNDO:
	default:
		return 0;
	}
}

/* Undoes an entry with the first of its edits. */
static int
undo_apply(StoreTxn *txn, const StoreEdit *edit, const StoreEdit *last,
           char **ret_reason)
{
	if (edit->kind != STORE_EDIT_UNDO ||
	    (last != NULL && last->kind == STORE_EDIT_UNDO &&
	     last->offset == edit->offset))
		return 0;
	return store_journal_undo(txn, edit->offset, ret_reason);
}

static int
edit_fail(const StoreEdit *edit, int r, char **ret_reason)
{
	*ret_reason = r == -ESTALE ? g_strdup_printf("%s has changed meanwhile",
	                                             edit->path)
	                           : g_strdup_printf("%s: %s", edit->path,
	                                             g_strerror(-r));
	return r;
}

/* Whether everybody sees the files as they were. */
static int
edits_check(Store *store, const StoreEdits *edits, char **ret_reason)
{
	guint i;
	int r;

	for (i = 0; i < edits->list->len; i++) {
		const StoreEdit *edit = edits->list->pdata[i];

		r = edit_check(store_plain(store), edit);
		if (r < 0)
			return edit_fail(edit, r, ret_reason);
	}
	return 0;
}

int
store_edits_apply(StoreTxn *txn, const StoreEdits *edits, char **ret_reason)
{
	guint i;
	int r;

	r = edits_check(txn->store, edits, ret_reason);
	if (r < 0)
		return r;
	for (i = 0; i < edits->list->len; i++) {
		const StoreEdit *edit = edits->list->pdata[i];

		r = undo_apply(txn, edit,
		               i > 0 ? edits->list->pdata[i - 1] : NULL,
		               ret_reason);
		if (r < 0)
			return r;
		r = edit_apply(txn, edit);
		if (r < 0)
			return edit_fail(edit, r, ret_reason);
	}
	/* What others have changed just before it was staged. */
	return edits_check(txn->store, edits, ret_reason);
}
