/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * Looks into /proc. What is there of a process may block for as long as the
 * process waits for us (in the middle of execve, say), so another thread looks,
 * and we wait a bounded time.
 *
 * Threads: any.
 */

/** How long a look may take, in microseconds, while requests wait for it. */
#define FS_PROC_SHORT_US INT64_C(100000)

/** The same where nobody waits, but who is looked at. */
#define FS_PROC_LONG_US INT64_C(3000000)

/**
 * Reads what there is to know of process or thread @pid into @result, which is
 * zero at first. Runs on a thread of its own, perhaps long after anybody waits
 * for it, so it uses nothing but its arguments.
 *
 * Returns 0 or a negative errno.
 */
typedef int FsProcLook(pid_t pid, void *result);

/**
 * Looks at @pid for @timeout_us at most, once the machine has found the time to
 * begin, for which it has three times as much, and copies what @look found, @size
 * bytes, into @ret_result.
 *
 * Errors: those of @look; -ETIMEDOUT if it takes too long, or if too many
 * others are stuck; -EAGAIN if there is no thread for it.
 */
int fs_proc_read(FsProcLook *look, pid_t pid, int64_t timeout_us,
                 void *ret_result, size_t size);
