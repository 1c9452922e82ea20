/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

/**
 * The main thread's wait: for signals, for the end of processes (pidfds), and
 * for whatever else becomes readable. Its events may take their time; requests
 * are served by another thread meanwhile.
 *
 * Threads: any thread may watch and stop. Events run on the thread that runs
 * the wait, and only there may a watch be taken away.
 */
typedef struct FsLiveness FsLiveness;

/** Told that @fd is readable. */
typedef void FsLivenessEvent(void *user_data, int fd);

/**
 * Opens a wait that ends at SIGTERM, SIGINT or SIGHUP, which every thread of
 * the process must have blocked.
 */
int fs_liveness_open(FsLiveness **ret_liveness);

/** NULL is a no-op. */
void fs_liveness_close(FsLiveness *liveness);

/** Calls @event each time @fd is readable. @fd and @user_data are borrowed. */
int fs_liveness_watch(FsLiveness *liveness, int fd, FsLivenessEvent *event,
                      void *user_data);

void fs_liveness_unwatch(FsLiveness *liveness, int fd);

/** Waits until a signal or fs_liveness_stop() ends it. */
void fs_liveness_run(FsLiveness *liveness);

void fs_liveness_stop(FsLiveness *liveness);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsLiveness, fs_liveness_close)
