/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/undone.h"

#include <errno.h>

#include "tools/tool.h"

int
tool_undone_id(const char *word, uint64_t *ret_id, GError **error)
{
	guint64 id;

	if (!g_ascii_string_to_unsigned(word, 10, 0, G_MAXUINT64, &id, NULL))
		return tool_misuse(error, "%s is no entry's number", word);
	*ret_id = id;
	return 0;
}

int
tool_undone_fail(uint64_t id, int r, GError **error)
{
	if (r == -ENOENT)
		return tool_fail(error, r,
		                 "there is no entry %" G_GUINT64_FORMAT
		                 " in the quarantine",
		                 id);
	return tool_fail(error, r,
	                 "entry %" G_GUINT64_FORMAT " of the quarantine: %s",
	                 id, g_strerror(-r));
}

static void
file_free(void *data)
{
	StoreUndoneFile *file = data;

	g_free((char *)(uintptr_t)file->path);
	g_free(file);
}

static bool
add_file(void *user_data, const StoreUndoneFile *file)
{
	StoreUndoneFile *copy = g_memdup2(file, sizeof(*file));

	copy->path = g_strdup(file->path);
	g_ptr_array_add(user_data, copy);
	return true;
}

int
tool_undone_files(Store *store, uint64_t id, GPtrArray **ret_files,
                  GError **error)
{
	g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_free);
	int r;

	r = store_quarantine_files(store, id, add_file, files);
	if (r < 0)
		return tool_undone_fail(id, r, error);
	*ret_files = g_steal_pointer(&files);
	return 0;
}

const char *
tool_undone_what(StoreUndoneWhat what)
{
	switch (what) {
	case STORE_UNDONE_CREATED:
		return "created";
	case STORE_UNDONE_CHANGED:
		return "changed";
	case STORE_UNDONE_RENAMED:
		return "renamed";
	case STORE_UNDONE_REMOVED:
		return "removed";
	}
	g_assert_not_reached();
}
