/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#define WRITE_BITS  (S_IWGRP | S_IWOTH)
#define OTHERS_BITS (S_IRWXG | S_IRWXO)

static const char *const FILES[] = { "data.mdb", "lock.mdb", "writer" };

/* Root acts for whoever the store belongs to. */
static int
directory_check(const char *dir, const struct stat *st, char **ret_reason)
{
	uid_t self = geteuid();

	if (self != 0 && st->st_uid != 0 && st->st_uid != self)
		*ret_reason = g_strdup_printf(
			"%s: the store belongs to another user", dir);
	else if ((st->st_mode & WRITE_BITS) != 0)
		*ret_reason = g_strdup_printf(
			"%s: others may write to the store's directory: its "
			"mode is %03o, not 700",
			dir, st->st_mode & ACCESSPERMS);
	return *ret_reason == NULL ? 0 : -EPERM;
}

static int
access_check(const char *path, const struct stat *st, const struct stat *dir,
             char **ret_reason)
{
	if (st->st_uid != 0 && st->st_uid != dir->st_uid)
		*ret_reason = g_strdup_printf(
			"%s: belongs to another user than the store", path);
	else if ((st->st_mode & OTHERS_BITS) != 0)
		*ret_reason = g_strdup_printf(
			"%s: is open to others: its mode is %03o, not 600",
			path, st->st_mode & ACCESSPERMS);
	return *ret_reason == NULL ? 0 : -EPERM;
}

static int
file_check(const char *dir, const char *name, const struct stat *dir_st,
           bool is_writer, char **ret_reason)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISREG(st.st_mode)) {
		*ret_reason =
			g_strdup_printf("%s: %s, not a file of a store", path,
		                        S_ISLNK(st.st_mode) ? "a symbolic link"
		                                            : "something else");
		return -EPROTO;
	}
	return is_writer ? access_check(path, &st, dir_st, ret_reason) : 0;
}

int
place_check(const char *dir, bool is_writer, char **ret_reason)
{
	struct stat st;
	size_t i;
	int r = 0;

	if (stat(dir, &st) < 0)
		return -errno;
	if (is_writer)
		r = directory_check(dir, &st, ret_reason);
	for (i = 0; r == 0 && i < G_N_ELEMENTS(FILES); i++)
		r = file_check(dir, FILES[i], &st, is_writer, ret_reason);
	return r;
}
