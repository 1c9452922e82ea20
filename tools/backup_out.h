/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

/**
 * Where a backup goes: a file that is there when it is whole, or the standard
 * output.
 *
 * A file grows under another name beside its own (called file.new-XXXXXX), for
 * its owner's eyes only, and is synced before it is renamed; whatever fails
 * before that leaves nothing behind.
 */
typedef struct ToolBackupOut ToolBackupOut;

typedef struct ToolBackupTarget {
	const char *path;   /* "-" is the standard output */
	bool may_replace;   /* a file that is there */
	bool is_compressed; /* with zstd */
} ToolBackupTarget;

/**
 * Begins at @target.
 *
 * Errors: -EEXIST, -EINVAL for a terminal.
 * Ownership: the caller commits or frees *@ret_out; @target is borrowed until
 * then.
 */
int tool_backup_out_begin(const ToolBackupTarget *target,
                          ToolBackupOut **ret_out, GError **error);

/** A StoreBackupSink, whose user data it is. Ends with -EINTR if
 * tool_interrupt_is_asked(). */
int tool_backup_out_write(void *out, const void *data, size_t size);

/** Bytes that it was given so far. */
guint64 tool_backup_out_size(const ToolBackupOut *out);

/** Makes *@out the file, durably, or discards it on an error. */
int tool_backup_out_commit(ToolBackupOut **out, GError **error);

/** Discards @out. NULL is a no-op. */
void tool_backup_out_free(ToolBackupOut *out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolBackupOut, tool_backup_out_free)
