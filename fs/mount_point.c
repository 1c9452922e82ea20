/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/mount_point.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/thread_group.h"

#define TYPE "fuse.pofs"

/* How long a mount may take to answer whether it lives. */
#define ASK_MS 1000

/* Fields of /proc/self/mountinfo. */
#define MOUNTINFO_DEVICE 2
#define MOUNTINFO_PATH   4

static void
error_set(GError **error, int code, const char *path, const char *sentence)
{
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(code),
	            "%s: %s", path, sentence);
}

/* The line of /proc/self/mountinfo of what was mounted on @path last, in its
 * fields, or NULL. The mount itself is not touched: it may hang. Ownership: the
 * caller's. */
static char **
mounted_fields(const char *path)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	g_auto(GStrv) found = NULL;

	if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
		return NULL;

	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line != NULL; line++) {
		g_auto(GStrv) fields = g_strsplit(*line, " ", -1);
		g_autofree char *mounted = NULL;

		if (g_strv_length(fields) <= MOUNTINFO_PATH)
			continue;

		mounted = g_strcompress(fields[MOUNTINFO_PATH]);
		if (strcmp(mounted, path) != 0)
			continue;

		g_strfreev(found);
		found = g_steal_pointer(&fields);
	}

	return g_steal_pointer(&found);
}

/* The device mounted on @path last, or NULL. Ownership: the caller's. */
static char *
mounted_device(const char *path)
{
	g_auto(GStrv) fields = mounted_fields(path);

	return fields != NULL ? g_strdup(fields[MOUNTINFO_DEVICE]) : NULL;
}

/* ---- what a killed launcher leaves --------------------------------------- */

static bool
is_of_our_type(const char *path)
{
	g_auto(GStrv) fields = mounted_fields(path);
	char **field = fields;

	/* The type follows a dash, after any number of other fields. */
	while (field != NULL && *field != NULL && strcmp(*field, "-") != 0)
		field++;
	return field != NULL && *field != NULL &&
	       g_strcmp0(field[1], TYPE) == 0;
}

/* Whether nobody will ever serve again what is mounted on @path. Who is merely
 * slow would let us wait, so a child asks, and who is slow lives. */
static bool
is_dead(const char *path)
{
	struct pollfd ended = { .events = POLLIN };
	struct statfs answer;
	int status = 1;
	pid_t child = fork();

	if (child == 0)
		_exit(statfs(path, &answer) < 0 && errno == ENOTCONN ? 0 : 1);
	if (child < 0)
		return false;

	ended.fd = fs_thread_group_open(child);
	if (poll(&ended, 1, ASK_MS) == 1)
		(void)waitpid(child, &status, 0);
	else
		(void)kill(child, SIGKILL);
	close(ended.fd);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Takes away the mounts on @path that have lost their launcher and their server,
 * as nobody else will. */
static void
dead_unmount(const char *path)
{
	while (geteuid() == 0 && is_of_our_type(path) && is_dead(path))
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return;
}

/* ---- the mount point ----------------------------------------------------- */

static bool
is_below(const char *path, const char *dir)
{
	size_t size = strlen(dir);

	return g_str_has_prefix(path, dir) &&
	       (path[size] == '\0' || path[size] == '/');
}

static bool
mount_point_check(const FsMountPoint *point, GError **error)
{
	g_autofree char *device = mounted_device(point->path);
	struct stat stat_of;

	if (device != NULL) {
		error_set(error, EBUSY, point->path,
		          "mount point in use, something is mounted there");
		return false;
	}

	if (stat(point->path, &stat_of) < 0) {
		error_set(error, errno, point->path, g_strerror(errno));
		return false;
	}

	if (!S_ISDIR(stat_of.st_mode)) {
		error_set(error, ENOTDIR, point->path, "not a directory");
		return false;
	}

	if (is_below(point->path, point->store)) {
		error_set(error, EINVAL, point->path,
		          "the mount point must not be in the store");
		return false;
	}

	return true;
}

/* What somebody has put there in the place of a directory could lead anywhere;
 * links on the way there are the administrator's. */
static bool
is_link(const char *path, GError **error)
{
	g_autofree char *name = g_canonicalize_filename(path, NULL);
	struct stat found;

	if (lstat(name, &found) < 0 || !S_ISLNK(found.st_mode))
		return false;

	error_set(error, ELOOP, path,
	          "a symbolic link: name the directory itself");
	return true;
}

bool
fs_mount_point_open(const char *path, const char *store,
                    FsMountPoint **ret_point, GError **error)
{
	g_autoptr(FsMountPoint) point = g_new0(FsMountPoint, 1);
	g_autofree char *device = NULL;

	dead_unmount(path);
	if (is_link(store, error))
		return false;

	point->store = realpath(store, NULL);
	if (point->store == NULL) {
		error_set(error, errno, store, g_strerror(errno));
		return false;
	}

	/* A mount that hangs must not even be looked at. */
	device = mounted_device(path);
	if (device == NULL && is_link(path, error))
		return false;

	point->path = device != NULL ? strdup(path) : realpath(path, NULL);
	if (point->path == NULL) {
		error_set(error, errno, path, g_strerror(errno));
		return false;
	}

	if (!mount_point_check(point, error))
		return false;

	*ret_point = g_steal_pointer(&point);
	return true;
}

bool
fs_mount_point_mount(FsMountPoint *point, int fuse_fd, bool read_only,
                     GError **error)
{
	g_autofree char *data = g_strdup_printf(
		"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		fuse_fd);
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (read_only)
		flags |= MS_RDONLY;

	if (mount(point->store, point->path, TYPE, flags, data) < 0) {
		error_set(error, errno, point->path, g_strerror(errno));
		return false;
	}

	fs_mount_point_adopt(point);
	if (point->device != NULL)
		return true;

	/* Who does not know it again would not end it. */
	error_set(error, EIO, point->path,
	          "the new mount cannot be found in /proc/self/mountinfo");
	(void)umount2(point->path, MNT_DETACH | UMOUNT_NOFOLLOW);
	return false;
}

void
fs_mount_point_adopt(FsMountPoint *point)
{
	g_free(point->device);
	point->device = mounted_device(point->path);
}

void
fs_mount_point_unmount(FsMountPoint *point)
{
	g_autofree char *device = mounted_device(point->path);

	if (device == NULL || g_strcmp0(point->device, device) != 0)
		return;

	(void)umount2(point->path, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW);
}

void
fs_mount_point_close(FsMountPoint *point)
{
	if (point == NULL)
		return;

	free(point->path);
	free(point->store);
	g_free(point->device);
	g_free(point);
}
