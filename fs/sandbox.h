/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/**
 * Gives up every system call that serving a mount has no need of, for all
 * threads, those to come included, and for good. Whatever makes the process try
 * one all the same has taken it over: the kernel ends it, which undoes what was
 * under way and loses nothing that was acknowledged.
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
