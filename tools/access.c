/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/access.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/damaged.h"
#include "tools/tool.h"

/* Longer than pofs can be told to keep the journal. */
#define AGE_MAX_S (UINT64_C(100) * 366 * 86400)

/* Gives file @name of directory @dir to @owner, if root has just made it. A
 * second name could be anybody's file that the owner has linked here. To close
 * what was opened to read would be the end of LMDB's locks, by which others know
 * that somebody reads, and do not write over that. */
static void
adopt_file(int dir, const char *name, const struct stat *owner)
{
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 &&
	    st.st_nlink == 1 &&
	    fchownat(fd, "", owner->st_uid, owner->st_gid, AT_EMPTY_PATH) < 0)
		tool_warn("cannot give the store's %s to its owner: %s", name,
		          g_strerror(errno));
	(void)close(fd);
}

/* Gives what root has made in @path to the owner of @path. */
static void
adopt_files(const char *path)
{
	g_autoptr(GDir) files = NULL;
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat owner;
	const char *name;

	if (dir < 0)
		return;
	if (fstat(dir, &owner) == 0 && owner.st_uid != 0)
		files = g_dir_open(path, 0, NULL);
	while (files != NULL && (name = g_dir_read_name(files)) != NULL)
		adopt_file(dir, name, &owner);
	(void)close(dir);
}

int
tool_access_open(const char *dir, StoreAccess access, Store **ret_store,
                 GError **error)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	g_autofree char *reason = NULL;
	int r;

	/* What of the past is too much or too old is for pofs to say, which is
	 * told so. */
	options.journal_max = UINT64_MAX;
	options.journal_age_s = AGE_MAX_S;
	tool_damaged_begin(dir);
	r = store_open(dir, access, &options, ret_store, &reason);
	if (geteuid() == 0)
		adopt_files(dir);
	if (r < 0)
		return tool_fail(error, r, "%s", reason);
	return 0;
}

int
tool_access_close(Store **store, GError **error)
{
	int r;

	r = store_close(g_steal_pointer(store));
	if (r < 0)
		return tool_fail(error, r, "the store was not saved: %s",
		                 g_strerror(-r));
	return 0;
}
