/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

#include <glib.h>

#include "fs/options.h"

/**
 * The processes of a mount.
 *
 * As root there are two. The launcher opens /dev/fuse, mounts, and waits. The
 * server, its child, becomes user= or the store's owner, and opens the store.
 * However the server ends, also by kill -9, the launcher unmounts, so that
 * nobody finds a dead mount; and a server that hangs it kills, so that nobody
 * hangs with it. Anybody else has one process, which mounts by fusermount3(1).
 *
 * In the background, a third process waits in front of both until the mount
 * serves, and exits with what became of it.
 *
 * Threads: one. The server may start more, and must not fork after that.
 */
typedef struct FsLaunch FsLaunch;

/** The server. Returns the exit status; has said why, if it is not 0. */
typedef int FsServe(void *user_data, FsLaunch *launch);

/**
 * Runs @serve as said above. A server that does not call fs_launch_alive() for
 * @watchdog_s seconds while it serves is killed; 0 is never. Returns the exit
 * status of this process.
 */
int fs_launch_run(const FsOptions *options, int64_t watchdog_s, FsServe *serve,
                  void *user_data);

/**
 * For the server, once it has opened the store: has it mounted. Returns what
 * libfuse shall mount on, or NULL if that failed, which has been said.
 * Ownership: the caller frees it.
 */
char *fs_launch_mount(FsLaunch *launch);

/**
 * For the server, once it is mounted: enters the sandbox (sandbox.h), for good.
 * Nothing where the server is its own launcher, as it has to run fusermount3(1)
 * in the end. Returns 0, or a negative errno, which has been said.
 */
int fs_launch_confine(const FsLaunch *launch);

/** For the server: says that it serves from now on. */
void fs_launch_serving(FsLaunch *launch);

/** For the server, now and then: says that it is not hung. Waits for nobody. */
void fs_launch_alive(const FsLaunch *launch);

/** For the server: says that it serves no more. */
void fs_launch_stopping(const FsLaunch *launch);
