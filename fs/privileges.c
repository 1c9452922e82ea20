/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "fs/log.h"

/* @name: or NULL, for somebody without a name. */
static int
user_become(const char *name, uid_t uid, gid_t gid)
{
	int r;

	/* The bounding set ends with EINVAL, at the kernel's last one. */
	for (int capability = 0;
	     prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++)
		continue;

	r = name != NULL ? initgroups(name, gid) : setgroups(0, NULL);
	if (r < 0 || setgid(gid) < 0 || setuid(uid) < 0) {
		r = -errno;
		fs_log_failed("cannot become the user: %s", g_strerror(-r));
		return r;
	}

	return 0;
}

int
fs_privileges_drop(const char *name, const char *path)
{
	const struct passwd *user;
	struct stat store;

	if (name != NULL) {
		user = getpwnam(name);
		if (user != NULL)
			return user_become(name, user->pw_uid, user->pw_gid);

		fs_log_failed("user=%s: no such user", name);
		return -ENOENT;
	}

	if (stat(path, &store) < 0) {
		fs_log_failed("%s: %s", path, g_strerror(errno));
		return -ENOENT;
	}
	if (store.st_uid == 0)
		return 0;

	user = getpwuid(store.st_uid);
	return user != NULL
	               ? user_become(user->pw_name, user->pw_uid, user->pw_gid)
	               : user_become(NULL, store.st_uid, store.st_gid);
}
