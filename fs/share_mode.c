/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/share_mode.h"

#include <fcntl.h>

FsShareMode
fs_share_mode_of_flags(int flags)
{
	FsShareMode mode = { .access = FS_SHARE_BOTH };

	if ((flags & O_ACCMODE) == O_RDONLY)
		mode.access = FS_SHARE_READ;
	else if ((flags & O_ACCMODE) == O_WRONLY)
		mode.access = FS_SHARE_WRITE;
	if ((flags & O_TRUNC) != 0)
		mode.access |= FS_SHARE_WRITE;
	return mode;
}

bool
fs_share_mode_collides(const FsShareMode *one, const FsShareMode *other)
{
	return (one->access & other->deny) != 0 ||
	       (one->deny & other->access) != 0;
}
