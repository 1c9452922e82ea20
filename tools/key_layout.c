/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/key_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/sync.h"
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

/* The directory of the file may be that of another user, whom root gives what it
 * writes: so no link of his is followed, and what is given is what was written,
 * not what has its name by then. */

/* Reads the key file @path, which need not be there. */
static int
load(GKeyFile *file, const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	g_autoptr(GError) problem = NULL;
	g_autofree char *name = NULL;
	int r = 0;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 && errno == ELOOP)
		return tool_fail(error, -ELOOP, "%s is a symbolic link", path);
	if (fd < 0)
		return tool_fail(error, -errno, "%s: %s", path,
		                 g_strerror(errno));
	name = g_strdup_printf("/proc/self/fd/%d", fd);
	if (!g_key_file_load_from_file(file, name, G_KEY_FILE_KEEP_COMMENTS,
	                               &problem))
		r = tool_fail(error, -EINVAL, "%s: %s", path, problem->message);
	(void)close(fd);
	return r;
}

/* Gives what root has written to the owner of the store. */
static int
adopt(int fd, const char *store)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (stat(store, &st) < 0 || fchown(fd, st.st_uid, st.st_gid) < 0)
		return -errno;
	return 0;
}

static int
write_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, text, size);

		if (written < 0)
			return -errno;
		text += written;
		size -= (size_t)written;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* Has the file @path have @text, or stay as it was. */
static int
replace(const char *store, const char *path, const char *text, size_t size)
{
	g_autofree char *draft = g_strconcat(path, ".new-XXXXXX", NULL);
	int fd = g_mkstemp_full(draft, O_WRONLY | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = adopt(fd, store);
	if (r == 0)
		r = write_all(fd, text, size);
	if (r == 0 && rename(draft, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(draft);
	(void)close(fd);
	return r;
}

int
tool_key_layout_write(const char *store, const char *path,
                      const FormatKeyLayout *layout, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *text = NULL;
	gsize size;
	int r;

	r = load(file, path, error);
	if (r < 0)
		return r;
	g_key_file_set_integer(file, GROUP, "offset", (int)layout->offset);
	g_key_file_set_string(file, GROUP, "order",
	                      layout->first_bit_is_lsb ? "lsb" : "msb");
	g_key_file_set_integer(file, GROUP, "deleted", layout->one_is_deleted);
	g_key_file_set_integer(file, GROUP, "word", (int)MAX(layout->word, 1));
	g_key_file_set_string(file, GROUP, "confirmed", "yes");
	text = g_key_file_to_data(file, &size, NULL);
	r = replace(store, path, text, size);
	if (r < 0)
		return tool_fail(error, r, "cannot write %s: %s", path,
		                 g_strerror(-r));
	return tool_sync_parent(path, error);
}
