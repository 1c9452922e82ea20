/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/**
 * Reads the line of a thread, @dir/stat, where @dir is "/proc/PID" or
 * "/proc/PID/task/TID"; what is in it, proc(5) says. That may take long while the
 * process executes a program (see proc_reader.h).
 *
 * Returns NULL if there is no such thread. Ownership: the caller's.
 */
char *fs_proc_stat_read(const char *dir);

/** The state in @stat: 'R' could run, or does; 'Z' has ended. '\0' if there is
 * none. */
char fs_proc_stat_state(const char *stat);

/**
 * Field @number in @stat, a number, as proc(5) counts them, from 4 on; 0 if there
 * is none.
 */
unsigned long fs_proc_stat_field(const char *stat, unsigned number);
