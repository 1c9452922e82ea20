/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <sys/types.h>

/**
 * The right to write to a store: one process has it.
 *
 * It is an open file description lock on the file "writer" in the store's
 * directory; the kernel drops it with its holder. The file holds the holder's
 * pid, for the reader of an error message.
 */

/**
 * Takes the headship of the store in @dir.
 *
 * Returns 0 and a descriptor in *@ret_fd, whose close() gives it back.
 * Errors: -EBUSY and the holder's pid in *@ret_holder (0 if not known).
 */
int headship_take(const char *dir, int *ret_fd, pid_t *ret_holder);

/** The pid of who has the headship of the store in @dir, or 0. */
pid_t headship_holder(const char *dir);
