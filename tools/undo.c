/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sys/stat.h>

#include <glib.h>

#include "store/journal.h"
#include "tools/apply.h"
#include "tools/deed.h"
#include "tools/dependence.h"
#include "tools/tool.h"
#include "tools/undone.h"

#define ID "%" G_GUINT64_FORMAT

/* An edit of @path, unless it is that of nothing. */
static int
add_path(StoreEdits *edits, Store *store, uint64_t id, const char *path,
         GError **error)
{
	int r;

	if (path[0] == '\0')
		return 0;
	r = store_edits_add(edits, store_plain(store), STORE_EDIT_UNDO, path,
	                    id, NULL);
	return r < 0 ? tool_fail(error, r, "%s: %s", path, g_strerror(-r)) : 0;
}

static int
add_file(StoreEdits *edits, Store *store, uint64_t id,
         const StoreJournalFile *file, GError **error)
{
	int r;

	if (S_ISDIR(file->mode))
		return tool_fail(error, -ENOTSUP,
		                 "entry " ID " changed directories: only what "
		                 "was done to files can be undone",
		                 id);
	r = add_path(edits, store, id, file->new_path, error);
	if (r == 0 && g_strcmp0(file->old_path, file->new_path) != 0)
		r = add_path(edits, store, id, file->old_path, error);
	return r;
}

static int
plan_undo(void *user_data, const ToolOffices *offices, StoreEdits *edits,
          GError **error)
{
	uint64_t id = *(const uint64_t *)user_data;
	g_autoptr(ToolDeed) deed = NULL;
	int r;

	r = tool_deed_read(offices->store, id, &deed, error);
	if (r < 0)
		return r;
	if (deed->entry.outcome == STORE_UNDONE)
		return tool_fail(error, -EALREADY,
		                 "entry " ID " was undone, and did nothing",
		                 id);
	if (!deed->entry.has_past)
		return tool_fail(
			error, -ENODATA,
			"what entry " ID " changed is not kept any more", id);
	for (guint i = 0; r == 0 && i < offices->list->len; i++)
		r = tool_dependence_check(offices->list->pdata[i], deed, edits,
		                          error);
	for (guint i = 0; r == 0 && i < deed->files->len; i++)
		r = add_file(edits, offices->store, id, deed->files->pdata[i],
		             error);
	return r;
}

ToolExit
tool_undo(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(ToolApply) apply = { 0 };
	g_autofree char *what = NULL;
	const GOptionEntry entries[] = { { NULL } };
	size_t count = 0;
	uint64_t id;

	if (tool_apply_options(self, entries, argv, &apply, &options, error) <
	    0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;
	if (tool_undone_id(options.arguments[1], &id, error) < 0)
		return TOOL_USAGE;

	what = g_strdup_printf("undo " ID, id);
	apply.what = what;
	if (tool_apply(&apply, plan_undo, &id, &count, error) < 0)
		return TOOL_FAILED;
	tool_apply_print(&apply, &options,
	                 "Undid what entry " ID " of the journal did.", id);
	return TOOL_OK;
}
