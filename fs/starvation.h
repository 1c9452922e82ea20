/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

/**
 * Whether threads get no processor: on a machine with more to do than it can, or
 * of which the kernel forgets some. Linux from 6.13 up to 6.18.44, and older ones
 * with the same change, gives threads no time for many seconds while processes of
 * other groups wake each other without a pause; reverted upstream by "sched/fair:
 * Revert 6d71a9c61604".
 *
 * Threads: one at a time.
 */
typedef struct FsStarvation FsStarvation;

/** Of the threads in directory @task_dir, "/proc/PID/task". */
FsStarvation *fs_starvation_new(const char *task_dir);

void fs_starvation_free(FsStarvation *starvation);

/**
 * Returns whether one of them could run both now and when this was called last,
 * and has not run since, for a hundredth of a second at least. Looks are to be a
 * second apart, or more: so long a thread that only works a little is not missed.
 */
bool fs_starvation_look(FsStarvation *starvation);
