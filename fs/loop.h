/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <fuse_lowlevel.h>

#include "fs/liveness.h"
#include "fs/ops.h"

/**
 * The threads that take the kernel's requests and serve them, one at a time.
 */
typedef struct FsLoop FsLoop;

/**
 * Starts them. When the mount is over, each of them stops @liveness.
 *
 * SIGUSR1 must be blocked; they use it among themselves.
 *
 * Errors: -EAGAIN there can be no thread; said in the log.
 * Ownership: the caller stops *@ret_loop, before what it was given ends.
 */
int fs_loop_start(struct fuse_session *fuse, const FsMount *mount,
                  FsLiveness *liveness, FsLoop **ret_loop);

/** Waits until each has served what it has; none takes another one. */
void fs_loop_stop(FsLoop *loop);
