/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/owner.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "tools/tool.h"

ToolOwner
tool_owner_self(void)
{
	return (ToolOwner){ .uid = geteuid(), .gid = getegid() };
}

static bool
parse_number(const char *text, guint32 *ret_number)
{
	guint64 number;

	/* (uid_t)-1 means "leave as it is" to chown(2). */
	if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32 - 1, &number,
	                                NULL))
		return false;
	*ret_number = (guint32)number;
	return true;
}

static int
parse_user(const char *name, ToolOwner *ret_owner, GError **error)
{
	const struct passwd *user = getpwnam(name);
	guint32 number;

	if (user != NULL) {
		*ret_owner = (ToolOwner){ user->pw_uid, user->pw_gid };
		return 0;
	}
	if (parse_number(name, &number)) {
		user = getpwuid(number);
		*ret_owner = (ToolOwner){
			.uid = number,
			.gid = user != NULL ? user->pw_gid : number,
		};
		return 0;
	}
	return tool_misuse(error, "--owner: no such user: %s", name);
}

static int
parse_group(const char *name, gid_t *ret_gid, GError **error)
{
	const struct group *group = getgrnam(name);

	if (group != NULL) {
		*ret_gid = group->gr_gid;
		return 0;
	}
	if (parse_number(name, ret_gid))
		return 0;
	return tool_misuse(error, "--owner: no such group: %s", name);
}

int
tool_owner_parse(const char *text, ToolOwner *ret_owner, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(text, ":", 2);
	ToolOwner owner;
	int r;

	r = parse_user(parts[0] != NULL ? parts[0] : "", &owner, error);
	if (r < 0)
		return r;
	if (parts[1] != NULL) {
		r = parse_group(parts[1], &owner.gid, error);
		if (r < 0)
			return r;
	}
	*ret_owner = owner;
	return 0;
}

static int
give(const ToolOwner *owner, const char *path, GError **error)
{
	if (lchown(path, owner->uid, owner->gid) == 0)
		return 0;
	return tool_fail(error, -errno, "cannot change the owner of %s: %s",
	                 path, g_strerror(errno));
}

int
tool_owner_give(const ToolOwner *owner, const char *dir, GError **error)
{
	g_autoptr(GDir) files = g_dir_open(dir, 0, error);
	const char *name;
	int r;

	if (files == NULL)
		return -EIO;

	while ((name = g_dir_read_name(files)) != NULL) {
		g_autofree char *path = g_build_filename(dir, name, NULL);

		r = give(owner, path, error);
		if (r < 0)
			return r;
	}
	return give(owner, dir, error);
}
