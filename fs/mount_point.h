/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

/**
 * The directory that a store is mounted on, and mount(2) itself.
 *
 * Errors are one sentence for the administrator, in the domain G_FILE_ERROR.
 */
typedef struct FsMountPoint {
	char *path;   /* real path */
	char *store;  /* real path of the store's directory */
	char *device; /* of the mount, once mounted: "MAJOR:MINOR" */
} FsMountPoint;

/**
 * Finds directory @path, for the store in directory @store. It must not be a
 * mount point already, nor lie in the store. For root, a dead mount of a pofs
 * whose every process was killed is none: it is taken away.
 *
 * Threads: it forks, so there must be one only.
 */
bool fs_mount_point_open(const char *path, const char *store,
                         FsMountPoint **ret_point, GError **error);

/** Mounts what is served on @fuse_fd. Takes root. */
bool fs_mount_point_mount(FsMountPoint *point, int fuse_fd, bool read_only,
                          GError **error);

/** Takes what is mounted there for our mount, which another process made. */
void fs_mount_point_adopt(FsMountPoint *point);

/**
 * Unmounts it, whoever still uses it, and ends every request that waits for an
 * answer. Does nothing if it is not, or no longer, our mount.
 */
void fs_mount_point_unmount(FsMountPoint *point);

/** Leaves the mount as it is. NULL is a no-op. */
void fs_mount_point_close(FsMountPoint *point);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsMountPoint, fs_mount_point_close)
