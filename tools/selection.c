/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/selection.h"

struct ToolSelection {
	GHashTable *left; /* folded path -> path as it was given; owned */
	GHashTable *all;  /* set of folded paths; owned */
};

static char *
fold(const char *path)
{
	return g_ascii_strdown(path[0] == '/' ? path + 1 : path, -1);
}

ToolSelection *
tool_selection_new(char **paths)
{
	ToolSelection *selection;

	if (paths == NULL)
		return NULL;
	selection = g_new(ToolSelection, 1);
	selection->left =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	selection->all =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (char **path = paths; *path != NULL; path++) {
		g_hash_table_add(selection->all, fold(*path));
		g_hash_table_insert(selection->left, fold(*path),
		                    g_strdup(*path));
	}
	return selection;
}

bool
tool_selection_has(const ToolSelection *selection, const ToolOffice *office,
                   const char *path)
{
	g_autofree char *name = NULL;
	g_autofree char *folded = NULL;

	if (selection == NULL)
		return true;
	name = tool_office_name(office, path);
	folded = fold(name);
	return g_hash_table_contains(selection->all, folded);
}

void
tool_selection_finish(ToolSelection *selection, const char *path)
{
	g_autofree char *folded = fold(path);

	if (selection != NULL)
		g_hash_table_remove(selection->left, folded);
}

const char *
tool_selection_left(const ToolSelection *selection)
{
	GHashTableIter iter;
	void *path = NULL;

	if (selection == NULL)
		return NULL;
	g_hash_table_iter_init(&iter, selection->left);
	(void)g_hash_table_iter_next(&iter, NULL, &path);
	return path;
}

void
tool_selection_free(ToolSelection *selection)
{
	if (selection == NULL)
		return;
	g_hash_table_unref(selection->left);
	g_hash_table_unref(selection->all);
	g_free(selection);
}
