/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tools/tool.h"

int
tool_sync_parent(const char *path, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(path);
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (fd < 0 || fsync(fd) < 0)
		r = tool_fail(error, -errno, "cannot sync %s: %s", parent,
		              g_strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return r;
}
