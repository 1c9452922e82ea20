/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/**
 * The end of a command that cannot read the database.
 *
 * LMDB believes what it maps: where a page is damaged, or cannot be read from
 * the disk, a signal ends the process. To look at every page first takes the
 * longer the larger the store is, so only those do who copy or judge all of it
 * (store/check.h); all others are told by this what has happened.
 */

/**
 * From now on SIGBUS and SIGSEGV end the process with a sentence on the
 * standard error, that the store in @dir is damaged, and the exit status
 * TOOL_FAILED.
 */
void tool_damaged_begin(const char *dir);

/** Calls @tidy before such an end, to give a terminal back; NULL: nothing. */
void tool_damaged_tidy(void (*tidy)(void));

/** Leaves it to the process that waits for this one to tell of such an end, for
 * all that is opened from now on. */
void tool_damaged_leave(void);
