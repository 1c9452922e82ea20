/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tools/sync.h"
#include "tools/tool.h"

struct ToolSnapshot {
	char *dir;       /* owned */
	bool is_begun;   /* something in it is kept */
	GPtrArray *made; /* owned paths: what is not kept yet, in order */
};

ToolSnapshot *
tool_snapshot_new(const char *dir)
{
	ToolSnapshot *snapshot = g_new0(ToolSnapshot, 1);

	snapshot->dir = g_canonicalize_filename(dir, NULL);
	snapshot->made = g_ptr_array_new_with_free_func(g_free);
	return snapshot;
}

/* Makes the directory @path, durably, unless it is there and @may_exist. */
static int
make_dir(ToolSnapshot *snapshot, const char *path, bool may_exist,
         GError **error)
{
	if (mkdir(path, 0700) == 0) {
		g_ptr_array_add(snapshot->made, g_strdup(path));
		return tool_sync_parent(path, error);
	}
	if (errno == EEXIST && may_exist)
		return 0;
	return tool_fail(error, -errno, "%s: %s", path, g_strerror(errno));
}

/* Makes the directories on the way to the copy of @path. */
static int
make_parents(ToolSnapshot *snapshot, const char *path, GError **error)
{
	g_auto(GStrv) names = g_strsplit(path + 1, "/", -1);
	g_autoptr(GString) dir = g_string_new(snapshot->dir);
	int r = 0;

	for (char **name = names; r == 0 && name[1] != NULL; name++) {
		g_string_append_printf(dir, "/%s", *name);
		r = make_dir(snapshot, dir->str, true, error);
	}
	return r;
}

static int
copy_file(ToolSnapshot *snapshot, StoreTxn *txn, const StoreEdit *edit,
          GError **error)
{
	g_autofree char *path =
		g_build_filename(snapshot->dir, edit->path, NULL);
	g_autofree char *bytes = g_malloc(edit->size + 1);
	g_autoptr(GError) problem = NULL;
	size_t size;
	int r;

	r = store_file_read(txn, edit->node, 0, bytes, edit->size, &size);
	if (r < 0)
		return tool_fail(error, r, "%s", g_strerror(-r));
	r = make_parents(snapshot, edit->path, error);
	if (r < 0)
		return r;
	if (!g_file_set_contents_full(path, bytes, (gssize)size,
	                              G_FILE_SET_CONTENTS_CONSISTENT |
	                                      G_FILE_SET_CONTENTS_DURABLE,
	                              0600, &problem))
		return tool_fail(error, -EIO, "%s", problem->message);
	g_ptr_array_add(snapshot->made, g_steal_pointer(&path));
	return 0;
}

static int
copy_files(ToolSnapshot *snapshot, StoreTxn *txn, const StoreEdits *edits,
           GError **error)
{
	for (size_t i = 0; i < store_edits_count(edits); i++) {
		const StoreEdit *edit = store_edits_at(edits, i);
		g_autoptr(GError) problem = NULL;
		int r = 0;

		if (edit->node != 0 && edit->kind != STORE_EDIT_EXPECT)
			r = copy_file(snapshot, txn, edit, &problem);
		if (r < 0)
			return tool_fail(error, r,
			                 "cannot copy %s to %s, nothing was "
			                 "changed: %s",
			                 edit->path, snapshot->dir,
			                 problem->message);
	}
	return 0;
}

int
tool_snapshot_take(ToolSnapshot *snapshot, Store *store,
                   const StoreEdits *edits, GError **error)
{
	int r = 0;

	if (!snapshot->is_begun)
		r = make_dir(snapshot, snapshot->dir, false, error);
	if (r == 0)
		r = copy_files(snapshot, store_plain(store), edits, error);
	if (r < 0)
		tool_snapshot_discard(snapshot);
	return r;
}

void
tool_snapshot_keep(ToolSnapshot *snapshot)
{
	snapshot->is_begun = true;
	g_ptr_array_set_size(snapshot->made, 0);
}

void
tool_snapshot_discard(ToolSnapshot *snapshot)
{
	GPtrArray *made = snapshot->made;

	for (; made->len > 0; g_ptr_array_set_size(made, (int)made->len - 1))
		(void)remove(made->pdata[made->len - 1]);
}

void
tool_snapshot_free(ToolSnapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	g_free(snapshot->dir);
	g_ptr_array_unref(snapshot->made);
	g_free(snapshot);
}
