/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/backup_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

int
test_append(void *user_data, const void *data, size_t size)
{
	g_byte_array_append(user_data, data, (guint)size);
	return 0;
}

int
test_give(void *user_data, void *buf, size_t size, size_t *ret_size)
{
	TestSource *source = user_data;
	size_t left = source->size - source->at;

	if (left == 0 && source->error < 0)
		return source->error;
	left = MIN(left, size);
	*ret_size = source->step > 0 ? MIN(left, source->step) : left;
	if (*ret_size > 0)
		memcpy(buf, source->bytes + source->at, *ret_size);
	source->at += *ret_size;
	return 0;
}

int
test_verify(const uint8_t *bytes, size_t size, char **ret_reason)
{
	TestSource source = { bytes, size };
	StoreBackup backup;

	return store_backup_verify(test_give, &source, &backup, ret_reason);
}

GByteArray *
test_backup_of(Store *store)
{
	GByteArray *bytes = g_byte_array_new();
	g_autofree char *reason = NULL;
	StoreBackup backup;

	if (store_backup(store, test_append, bytes, &backup, &reason) < 0)
		fail_msg("%s", reason);
	assert_int_equal(backup.bytes, bytes->len);
	return bytes;
}

char *
test_new_place(void)
{
	char *dir = g_dir_make_tmp("pofs-test-XXXXXX", NULL);

	assert_non_null(dir);
	return dir;
}

int
test_restore(const GByteArray *bytes, const char *dir, StoreIdentity identity,
             char **ret_reason)
{
	TestSource source = { bytes->data, bytes->len };
	StoreBackup backup;

	return store_backup_restore(dir, identity, test_give, &source, &backup,
	                            ret_reason);
}
