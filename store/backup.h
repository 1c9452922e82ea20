/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/**
 * A whole store as one stream of bytes, of one moment: written beside a daemon
 * that goes on working, verified without a store, and made a store again.
 *
 * It has every record of one snapshot, in order, with the checksum that each
 * record has, and ends with their count and the SHA-256 of all of it. It knows
 * nothing of the engine below the store.
 *
 * What is told of a stream that cannot be used names the byte at which it is
 * wrong: -EUCLEAN if it is damaged or cut off, -EPROTO if it is no backup or of
 * a newer version.
 *
 * Memory: some MiB, to restore some tens of MiB, whatever is in the stream.
 *
 * Threads: any; the callbacks are called on the caller's.
 */

/** Version of the stream that is written; a higher one is refused. */
#define STORE_BACKUP_VERSION 1

/** What a backup is of. */
typedef struct StoreBackup {
	unsigned version;  /* of the stream */
	unsigned format;   /* of the store */
	char uuid[37];     /* of the store */
	char program[21];  /* version of pofs that wrote it */
	int64_t taken_ns;  /* when */
	uint64_t map_size; /* bytes of address space that the store had */
	uint64_t records;  /* in it */
	uint64_t bytes;    /* of the stream */
	char sha256[65];   /* hexadecimal, of all but itself */
} StoreBackup;

/** Takes the next @size bytes. Returns 0, or a negative errno to end it. */
typedef int StoreBackupSink(void *user_data, const void *data, size_t size);

/**
 * Gives at most @size bytes; *@ret_size is 0 at the end of the stream only.
 * Returns 0, or a negative errno to end it.
 */
typedef int StoreBackupSource(void *user_data, void *buf, size_t size,
                              size_t *ret_size);

/**
 * Writes what is committed in @store to @sink, in large blocks. For a store
 * that is open for reading; beside a writer of this process only while its
 * disk is well. Until it returns, the pages that it may still read are not
 * used again, so the database of a busy store grows meanwhile.
 *
 * Errors: that of @sink; -EUCLEAN if a record is damaged. On any error
 * *@ret_reason is a clause: what is wrong.
 * Ownership: the caller frees *@ret_reason.
 */
int store_backup(Store *store, StoreBackupSink *sink, void *user_data,
                 StoreBackup *ret_backup, char **ret_reason);

/**
 * Reads a stream to its end and verifies all of it.
 *
 * Errors: that of @source; -EUCLEAN, -EPROTO. *@ret_reason as of
 * store_backup().
 */
int store_backup_verify(StoreBackupSource *source, void *user_data,
                        StoreBackup *ret_backup, char **ret_reason);

/** Who a restored store is. */
typedef enum StoreIdentity {
	STORE_IDENTITY_NEW,  /* another one: it has a uuid of its own */
	STORE_IDENTITY_SAME, /* the one that was backed up, in its place */
} StoreIdentity;

/**
 * Makes the store that a stream was written from in directory @dir, which must
 * not exist or be empty, with the room (StoreOptions.map_size) that it had.
 * The stream is verified as it is read; a bad one, as a crash, leaves no store.
 * What only a walk finds wrong in what it holds is for store_check().
 *
 * Errors: -EEXIST if there is something in @dir; that of @source; -EUCLEAN,
 * -EPROTO, -ENOSPC. *@ret_reason as of store_backup().
 */
int store_backup_restore(const char *dir, StoreIdentity identity,
                         StoreBackupSource *source, void *user_data,
                         StoreBackup *ret_backup, char **ret_reason);
