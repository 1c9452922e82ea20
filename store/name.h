/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * Names as DOS and Windows see them. Pure.
 *
 * Two names are the same when their simple case foldings are (Unicode's
 * CaseFolding.txt, statuses C and S), so that a lookup finds a name in any
 * case without a scan of the directory.
 */

/** Room for any folded name: folding may lengthen UTF-8 by half. */
#define NAME_FOLDED_MAX 382

/**
 * Folds @name into @ret_folded. Returns its length, or 0 (and "") if it is not
 * UTF-8, or longer than any name may be.
 */
size_t name_fold(const char *name, char ret_folded[NAME_FOLDED_MAX + 1]);

/** Whether two names differ in case only. */
bool name_equal(const char *a, const char *b);

/**
 * Whether a Windows client could use @name: UTF-8, no control characters, none
 * of \ / : * ? " < > |, no trailing dot or space, no reserved device.
 *
 * Returns 0, -EINVAL or -ENAMETOOLONG.
 */
int name_check(const char *name);

/**
 * Makes @name upper case into @ret_name (at most 255 bytes and a NUL) and
 * checks that DOS could use it: 8.3, the DOS characters or those of code
 * pages 437 and 850, no reserved device.
 *
 * Returns 0 or -EINVAL.
 */
int name_to_dos(const char *name, char ret_name[256]);
