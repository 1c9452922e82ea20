/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "fs/liveness.h"

/**
 * What is to be done on the main thread: other threads post it and go on.
 *
 * Threads: any may post; jobs run on the thread that runs the wait
 * (liveness.h), in the order in which they were posted, and whatever else it
 * waits for has its turn after each. So none may take its time.
 */
typedef struct FsLater FsLater;

typedef void FsLaterJob(void *user_data);

/** @liveness is borrowed and must outlive it. */
int fs_later_open(FsLiveness *liveness, FsLater **ret_later);

/** Runs what is still to be done. NULL is a no-op. */
void fs_later_close(FsLater *later);

/** Ownership: @user_data is borrowed until @job has run. */
void fs_later_post(FsLater *later, FsLaterJob *job, void *user_data);

/** Runs all that is still to be done; for when the wait has ended. */
void fs_later_run(FsLater *later);

/** Waits until there is something to be done, and does it; the same. */
void fs_later_await(FsLater *later);
