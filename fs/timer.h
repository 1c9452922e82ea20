/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

#include <glib.h>

#include "fs/liveness.h"

/**
 * One alarm of the main thread's wait (liveness.h).
 *
 * Threads: any thread may set it; it rings on the thread that runs the wait,
 * and only that one may close it.
 */
typedef struct FsTimer FsTimer;

typedef void FsTimerRing(void *user_data);

/** @liveness and @user_data are borrowed and must outlive the timer. */
int fs_timer_open(FsLiveness *liveness, FsTimerRing *ring, void *user_data,
                  FsTimer **ret_timer);

/** NULL is a no-op. */
void fs_timer_close(FsTimer *timer);

/**
 * Makes it ring once at @at_us, of g_get_monotonic_time(), and not when it was
 * to ring before; INT64_MAX is never.
 */
void fs_timer_set(FsTimer *timer, int64_t at_us);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsTimer, fs_timer_close)
