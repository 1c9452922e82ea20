/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/**
 * Gives up every system call that serving a mount has no need of, for all
 * threads, those to come included, and for good: from then on the kernel has
 * none of the others, ENOSYS. A library that would rather have one than another
 * finds its way, as on an elder kernel, and mail goes on.
 *
 * No program can be started from then on, no file system mounted, no other
 * process looked into, and no network reached.
 *
 * The process must have set no_new_privs. Does nothing in a build with a
 * sanitizer, which looks into its own process.
 *
 * Returns 0 or a negative errno: -EINVAL from a kernel without seccomp.
 * Threads: any, once.
 */
int fs_sandbox_enter(void);
