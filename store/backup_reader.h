/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/backup_stream.h"

/**
 * Reads a backup, record by record, and believes nothing: the lengths, the
 * order, each seal, and in the end the count and the SHA-256.
 */
typedef struct BackupReader BackupReader;

/** Ownership: the caller frees it; @user_data is borrowed until then. */
BackupReader *backup_reader_new(StoreBackupSource *source, void *user_data);

/** Reads what the backup is of; first. Errors: as store_backup_verify(). */
int backup_reader_begin(BackupReader *reader);

/**
 * Reads the next record: @ret_value is as it is in a database, with its seal.
 *
 * Errors: -ENOENT at the end, when all was found right; else as
 * store_backup_verify().
 * Ownership: borrowed until the next call.
 */
int backup_reader_next(BackupReader *reader, KvSlice *ret_key,
                       KvSlice *ret_value);

/** What it is of, as far as that is known. Ownership: borrowed. */
const StoreBackup *backup_reader_backup(const BackupReader *reader);

/** Why the last call failed, a clause. Ownership: the caller's. */
char *backup_reader_take_reason(BackupReader *reader);

void backup_reader_free(BackupReader *reader);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BackupReader, backup_reader_free)
