/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/past.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/edit_attr.h"

int
tool_past_find(StoreTxn *txn, const char *path, StoreEntry *ret_entry)
{
	g_auto(GStrv) words = g_strsplit(path, "/", -1);
	StoreEntry entry = { .node = STORE_ROOT, .mode = S_IFDIR };
	int r = 0;

	for (guint i = 0; r == 0 && words[i] != NULL; i++)
		if (words[i][0] != '\0')
			r = store_name_find(txn, entry.node, words[i], &entry);
	if (r == 0)
		*ret_entry = entry;
	return r;
}

int
tool_past_read(StoreTxn *txn, StoreNode node, GBytes **ret_bytes)
{
	g_autofree char *bytes = NULL;
	StoreAttr attr;
	size_t size;
	int r;

	r = store_attr_get(txn, node, &attr);
	if (r == 0 && attr.size > STORE_EDITS_BYTES_MAX)
		r = -EFBIG;
	if (r < 0)
		return r;
	bytes = g_malloc(attr.size + 1);
	r = store_file_read(txn, node, 0, bytes, attr.size, &size);
	if (r == 0)
		*ret_bytes = g_bytes_new_take(g_steal_pointer(&bytes), size);
	return r;
}

int
tool_past_add(StoreEdits *edits, StoreTxn *now, const char *path,
              StoreTxn *past, StoreNode node, GBytes *was)
{
	g_autoptr(GBytes) attr = NULL;
	int r;

	r = store_edit_attr_encode(past, node, &attr);
	if (r == 0)
		r = store_edits_add(edits, now, STORE_EDIT_WRITE, path, 0, was);
	return r < 0 ? r
	             : store_edits_add(edits, now, STORE_EDIT_ATTR, path, 0,
	                               attr);
}

/* ---- what was removed ----------------------------------------------------- */

static bool
keep_id(void *user_data, const StoreJournalEntry *entry)
{
	if (entry->outcome != STORE_UNDONE && entry->has_past)
		g_array_append_val((GArray *)user_data, entry->id);
	return true;
}

typedef struct Search {
	const char *path;
	bool is_found;
} Search;

static bool
look_for(void *user_data, const StoreJournalFile *file)
{
	Search *search = user_data;

	search->is_found = file->what == STORE_UNDONE_REMOVED &&
	                   strcmp(file->old_path, search->path) == 0;
	return !search->is_found;
}

/* The last entry that removed @path. */
static int
find_removal(Store *store, const char *path, uint64_t *ret_id)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	Search search = { .path = path };
	int r;

	r = store_journal_list(store, 0, keep_id, ids);
	for (guint i = ids->len; r == 0 && i > 0; i--) {
		uint64_t id = g_array_index(ids, uint64_t, i - 1);

		r = store_journal_files(store, id, look_for, &search);
		if (r == 0 && search.is_found) {
			*ret_id = id;
			return 0;
		}
	}
	return r < 0 ? r : -ENOENT;
}

int
tool_past_find_removed(Store *store, const char *path, StoreTxn **ret_past,
                       StoreNode *ret_node)
{
	g_autoptr(StoreTxn) past = NULL;
	StoreEntry entry;
	uint64_t id;
	int r;

	r = find_removal(store, path, &id);
	if (r == 0)
		r = store_past_before(store, id, &past);
	if (r == 0)
		r = tool_past_find(past, path, &entry);
	if (r < 0)
		return r;
	*ret_node = entry.node;
	*ret_past = g_steal_pointer(&past);
	return 0;
}
