/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/key_layout.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/tool.h"

#define GROUP "key-layout"

/* ---- reading ------------------------------------------------------------- */

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

/* ---- writing ------------------------------------------------------------- */

/* Gives what root has just written at @path to the owner of the store. */
static int
adopt(const char *path, const char *store)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (stat(store, &st) < 0 || chown(path, st.st_uid, st.st_gid) < 0)
		return -errno;
	return 0;
}

int
tool_key_layout_write(const char *store, const char *path,
                      const FormatKeyLayout *layout, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) problem = NULL;
	g_autofree char *text = NULL;
	gsize size;
	int r;

	if (!g_key_file_load_from_file(file, path, G_KEY_FILE_KEEP_COMMENTS,
	                               &problem) &&
	    !g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT))
		return tool_fail(error, -EINVAL, "%s: %s", path,
		                 problem->message);
	g_clear_error(&problem);
	g_key_file_set_integer(file, GROUP, "offset", (int)layout->offset);
	g_key_file_set_string(file, GROUP, "order",
	                      layout->first_bit_is_lsb ? "lsb" : "msb");
	g_key_file_set_integer(file, GROUP, "deleted", layout->one_is_deleted);
	g_key_file_set_integer(file, GROUP, "word", (int)MAX(layout->word, 1));
	g_key_file_set_string(file, GROUP, "confirmed", "yes");
	text = g_key_file_to_data(file, &size, NULL);
	if (!g_file_set_contents_full(path, text, (gssize)size,
	                              G_FILE_SET_CONTENTS_CONSISTENT |
	                                      G_FILE_SET_CONTENTS_DURABLE,
	                              0600, &problem))
		return tool_fail(error, -EIO, "%s", problem->message);
	r = adopt(path, store);
	if (r < 0)
		return tool_fail(error, r, "cannot give %s to its owner: %s",
		                 path, g_strerror(-r));
	return 0;
}
