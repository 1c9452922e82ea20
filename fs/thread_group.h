/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "fs/proc_reader.h"

/**
 * Threads and the processes they belong to. FUSE names the calling thread;
 * what counts as one client is its thread group.
 */

/**
 * Opens a pidfd of process @pid, readable once all of its threads have ended.
 *
 * Returns the descriptor, -ENOENT if @pid is a thread but no process, or
 * -ESRCH if it is neither.
 */
int fs_thread_group_open(pid_t pid);

/**
 * Whether the first thread of process @pid, a child of ours, has ended. A
 * killed process may have other threads that cannot end.
 */
bool fs_thread_group_is_ending(pid_t pid);

/** Whether @tid is a thread of process @tgid now. */
bool fs_thread_group_has(pid_t tgid, pid_t tid);

/**
 * Finds the process of thread @tid.
 *
 * Errors: -ESRCH if there is none; -ETIMEDOUT if the kernel did not say it
 * within a tenth of a second.
 */
int fs_thread_group_find(pid_t tid, pid_t *ret_tgid);

/**
 * As fs_thread_group_find(), but by reading /proc, in a hurry (proc_reader.h).
 * For kernels before 6.13.
 */
int fs_thread_group_read(pid_t tid, pid_t *ret_tgid);

/** Room for a process's name, with its NUL. */
#define FS_THREAD_GROUP_NAME_SIZE 16

/**
 * Finds the name of process @pid ("smbd"), by reading /proc as above. Unlike its
 * command line it is the kernel's own, which nobody can keep us from reading.
 *
 * Errors: -ESRCH if there is none; -ETIMEDOUT.
 */
int fs_thread_group_name(pid_t pid, FsProcPatience patience,
                         char ret_name[FS_THREAD_GROUP_NAME_SIZE]);

/** Whether a thread goes on, or how it ends. */
typedef enum FsThreadEnd {
	FS_THREAD_GOES_ON,
	FS_THREAD_EXITS, /* with exit code 0, and by no signal */
	FS_THREAD_FAILS, /* exits with another code */
	FS_THREAD_IS_KILLED,
} FsThreadEnd;

/**
 * Finds whether thread @tid, which closes a file now, does so because it ends,
 * by reading /proc as above, patiently: so it is for workers (worker.h). A
 * thread that is about to be killed and has not noticed yet goes on.
 *
 * Errors: -ESRCH if there is none; -EACCES if it ends, and we may not know how,
 * for it is another user's and we have not CAP_SYS_PTRACE; -ETIMEDOUT.
 */
int fs_thread_group_read_end(pid_t tid, FsThreadEnd *ret_end);

/**
 * The same of process @pid, which has ended, and so keeps nobody waiting who
 * looks for himself.
 */
int fs_thread_group_see_end(pid_t pid, FsThreadEnd *ret_end);

/**
 * Asks the kernel how the process of @pidfd ended, which has been waited for:
 * /proc does not have it any more.
 *
 * Errors: -ENODATA if nobody has waited for it yet; others before Linux 6.15.
 */
int fs_thread_group_ask_end(int pidfd, FsThreadEnd *ret_end);

/**
 * Whether thread @tid is about to be killed: it ends when it is answered. Looks as
 * fs_thread_group_read() does; what is not known counts as no.
 */
bool fs_thread_group_is_killed(pid_t tid);

/** Finds the parent of process @pid as fs_thread_group_read_end() does. Errors:
 * -ESRCH, -ETIMEDOUT. */
int fs_thread_group_read_parent(pid_t pid, pid_t *ret_parent);
