/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

/**
 * Threads for what takes its time: who looks into /proc waits for as long as
 * the process that is looked at, and the machine, let him. Neither requests nor
 * the main thread, whose pulse shows that we live, wait for that.
 *
 * Threads: any may post; jobs run on any of the workers, side by side, and have
 * no turn (ops.h) unless they take it.
 */
typedef struct FsWorkers FsWorkers;

typedef void FsWorkerJob(void *user_data);

/** Starts @count of them: from now on no job lacks a thread. Returns NULL,
 * having said why, if that cannot be. */
FsWorkers *fs_workers_new(unsigned count);

/** Waits until all that was posted is done. NULL is a no-op. */
void fs_workers_free(FsWorkers *workers);

/** Ownership: @user_data is borrowed until @job has run. */
void fs_workers_post(FsWorkers *workers, FsWorkerJob *job, void *user_data);
