/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/key_layout.h"

#include <errno.h>

#include "tools/tool.h"

#define GROUP "key-layout"

/* Takes property @key of the group in @file over into @layout. */
static int
read_property(FormatKeyLayout *layout, GKeyFile *file, const char *path,
              const char *key, GError **error)
{
	g_autofree char *value = g_key_file_get_string(file, GROUP, key, NULL);
	int r;

	r = value != NULL ? format_key_layout_set(layout, key, value) : -EINVAL;
	if (r == -ENOENT)
		return tool_fail(error, -EINVAL,
		                 "%s: unknown key \"%s\" in [" GROUP "]", path,
		                 key);
	if (r < 0)
		return tool_fail(error, r, "%s: %s cannot be \"%s\"", path, key,
		                 value != NULL ? value : "");
	return 0;
}

static int
read_group(FormatKeyLayout *layout, GKeyFile *file, const char *path,
           GError **error)
{
	g_auto(GStrv) keys = g_key_file_get_keys(file, GROUP, NULL, NULL);
	size_t i;
	int r = 0;

	for (i = 0; keys != NULL && keys[i] != NULL && r == 0; i++)
		r = read_property(layout, file, path, keys[i], error);
	return r;
}

int
tool_key_layout_read(const char *store, const char *config,
                     FormatKeyLayout *ret_layout, GError **error)
{
	g_autofree char *path =
		config != NULL ? g_strdup(config)
			       : g_build_filename(store, "pofs.conf", NULL);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) problem = NULL;
	FormatKeyLayout layout = FORMAT_KEY_LAYOUT_ASSUMED;
	int r;

	if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &problem)) {
		if (config != NULL ||
		    !g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			return tool_fail(error, -EINVAL, "%s: %s", path,
			                 problem->message);
	}
	r = read_group(&layout, file, path, error);
	if (r < 0)
		return r;
	*ret_layout = layout;
	return 0;
}
