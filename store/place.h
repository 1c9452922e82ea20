/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

/**
 * Where a database lies: its directory, and the files in there that LMDB opens
 * by their names, whatever they are.
 *
 * A link that somebody has put there would have root write to a file that it
 * points to; and who may write to a file of the database, or to its directory,
 * can give out mail that nobody has sent, or, with a lock, stop everybody.
 */

/**
 * Looks at the database in @dir before it is opened. Whoever opens it needs
 * plain files; a writer (@is_writer) also that they and the directory are the
 * store's owner's, or root's, that nobody else may write to the directory, and
 * that nobody else may so much as read the files. What is not there is no
 * fault.
 *
 * Errors: -EPROTO a file is a link, or none; -EPERM others have access; both
 * with *@ret_reason, a sentence that the caller frees, which was NULL; -ENOENT,
 * -ENOTDIR and the like without one.
 */
int place_check(const char *dir, bool is_writer, char **ret_reason);
