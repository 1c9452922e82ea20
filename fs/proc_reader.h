/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

/**
 * Looks into /proc. What is there of a process may block for as long as the
 * process waits for us (in the middle of execve, say), or for as long as its
 * user likes (its command line is in memory of its own). So another thread
 * looks, and we wait a bounded time.
 *
 * Threads: any.
 */

/** How patient who waits for a look is. */
typedef enum FsProcPatience {
	/* A tenth of a second, and three to begin: requests wait for it. */
	FS_PROC_HURRIED,
	/* Three seconds, in which those do not count that the machine had no
	 * time for the look: nobody waits but who is looked at. */
	FS_PROC_PATIENT,
} FsProcPatience;

/**
 * Reads what there is to know of process or thread @pid into @result. Runs on a
 * thread of its own, perhaps long after anybody waits for it, so it uses nothing
 * but its arguments.
 *
 * Returns 0 or a negative errno.
 */
typedef int FsProcLook(pid_t pid, void *result);

/**
 * Looks at @pid and copies what @look found, @size bytes, which are zero at
 * first, into @ret_result.
 *
 * Errors: those of @look; -ETIMEDOUT if it takes too long, or if too many
 * others are stuck; -EAGAIN if there is no thread for it.
 */
int fs_proc_read(FsProcLook *look, pid_t pid, FsProcPatience patience,
                 void *ret_result, size_t size);

/** A look that goes on while nobody waits for it. */
typedef struct FsProcReading FsProcReading;

/**
 * Begins to look at @pid, where that may block for as long as anybody likes:
 * how many are stuck so is counted apart. @result is what @look begins with, of
 * @size bytes, copied.
 *
 * Returns NULL if there is no thread for it, or if too many others are stuck.
 * Ownership: the caller unrefs it, perhaps before it is done.
 */
FsProcReading *fs_proc_begin(FsProcLook *look, pid_t pid, const void *result,
                             size_t size);

FsProcReading *fs_proc_ref(FsProcReading *reading);

/** NULL is a no-op. */
void fs_proc_unref(FsProcReading *reading);

/**
 * What was found: its first @size bytes. Never waits.
 *
 * Errors: those of the look; -EAGAIN if it is under way.
 */
int fs_proc_peek(FsProcReading *reading, void *ret_result, size_t size);

/**
 * Waits until it is done, for a tenth of a second in which the machine had time
 * for it; at once returns who finds that somebody has waited in vain before.
 */
void fs_proc_await(FsProcReading *reading);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsProcReading, fs_proc_unref)
