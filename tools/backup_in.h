/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stddef.h>

#include <glib.h>

#include "tools/progress.h"

/** Where a backup comes from: a file, or the standard input; compressed or
 * not, which it finds out. */
typedef struct ToolBackupIn ToolBackupIn;

/**
 * Opens @path; "-" is the standard input.
 *
 * Ownership: the caller frees *@ret_in; @path and @progress, which it shows how
 * far it is, are borrowed until then.
 */
int tool_backup_in_open(const char *path, ToolProgress *progress,
                        ToolBackupIn **ret_in, GError **error);

/** A StoreBackupSource, whose user data it is. Ends with -EINTR if
 * tool_interrupt_is_asked(). */
int tool_backup_in_read(void *in, void *buf, size_t size, size_t *ret_size);

/** Says in *@error that the backup was of no use: @reason, or, if it could not
 * be read, why. Returns @r. */
int tool_backup_in_fail(const ToolBackupIn *in, int r, const char *reason,
                        GError **error);

void tool_backup_in_free(ToolBackupIn *in);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolBackupIn, tool_backup_in_free)
