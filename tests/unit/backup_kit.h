/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/backup.h"

/** Bytes in memory to read a backup from. */
typedef struct TestSource {
	const uint8_t *bytes;
	size_t size;
	size_t at;
	size_t step; /* most that is given at a time; 0: any */
	int error;   /* instead of an end */
} TestSource;

/** A StoreBackupSink that appends to its user data, a GByteArray. */
int test_append(void *user_data, const void *data, size_t size);

/** A StoreBackupSource that reads its user data, a TestSource. */
int test_give(void *user_data, void *buf, size_t size, size_t *ret_size);

/** Verifies @size bytes; returns as store_backup_verify(). */
int test_verify(const uint8_t *bytes, size_t size, char **ret_reason);

/** A backup of @store; on any failure the test fails. */
GByteArray *test_backup_of(Store *store);

/** An empty directory, which the test removes. */
char *test_new_place(void);

/** Restores @bytes in @dir; returns as store_backup_restore(). */
int test_restore(const GByteArray *bytes, const char *dir,
                 StoreIdentity identity, char **ret_reason);
