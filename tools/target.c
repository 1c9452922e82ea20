/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/target.h"

#include <string.h>
#include <sys/stat.h>

#include "tools/tool.h"

/* The directory in which @path is, as its last part is no symbolic link for who
 * makes or replaces it. Caller frees. */
static char *
parent_of(const char *path)
{
	size_t size = strlen(path);
	g_autofree char *name = NULL;

	while (size > 1 && path[size - 1] == '/')
		size--;
	name = g_strndup(path, size);
	return g_path_get_dirname(name);
}

int
tool_target_check(const char *store, const char *path, GError **error)
{
	g_autofree char *parent = parent_of(path);
	struct stat of_store, of_parent;

	/* What is not there, the next step says. */
	if (stat(store, &of_store) < 0 || stat(parent, &of_parent) < 0 ||
	    of_store.st_dev != of_parent.st_dev ||
	    of_store.st_ino != of_parent.st_ino)
		return 0;
	return tool_misuse(error,
	                   "%s would be among the store's own files: name "
	                   "another directory",
	                   path);
}
