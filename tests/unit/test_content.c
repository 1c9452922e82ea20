/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What store.h promises of content and extended attributes.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include <cmocka.h>
#include <glib.h>

#include "store/store.h"
#include "tests/unit/store_kit.h"

static void
the_largest_file_is_sparse_and_reads_as_zeros(void **state)
{
	TestStore *test = *state;
	StoreTxn *plain = store_plain(test->store);
	StoreNode file = test_add_file(test->store, STORE_ROOT, "f");
	char buf[4] = "????";
	uint64_t at = 0;
	size_t size = 0;

	assert_int_equal(
		store_file_write(plain, file, STORE_FILE_SIZE_MAX - 1, "z", 1),
		0);
	assert_int_equal(
		store_file_write(plain, file, STORE_FILE_SIZE_MAX, "z", 1),
		-EFBIG);
	assert_int_equal(
		store_file_truncate(plain, file, STORE_FILE_SIZE_MAX + 1),
		-EFBIG);
	assert_int_equal(store_file_read(plain, file, STORE_FILE_SIZE_MAX - 2,
	                                 buf, 4, &size),
	                 0);
	assert_int_equal(size, 2);
	assert_memory_equal(buf, "\0z", 2);
	assert_int_equal(store_file_seek(plain, file, 0, STORE_SEEK_DATA, &at),
	                 0);
	assert_true(at > STORE_FILE_SIZE_MAX - 20000);
	assert_int_equal(store_file_seek(plain, file, 5, STORE_SEEK_HOLE, &at),
	                 0);
	assert_int_equal(at, 5);
	test_store_reopen(test);
	test_store_check(test->store);
}

static void
what_was_never_written_is_a_hole(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreTxn *plain = store_plain(store);
	StoreNode file = test_add_file(store, STORE_ROOT, "f");
	uint64_t at = 0;

	test_write(plain, file, "data");
	assert_int_equal(store_file_truncate(plain, file, 3 << 20), 0);
	assert_int_equal(store_file_seek(plain, file, 0, STORE_SEEK_HOLE, &at),
	                 0);
	assert_int_equal(at, 4);
	assert_int_equal(store_file_seek(plain, file, 4, STORE_SEEK_DATA, &at),
	                 -ENXIO);
	assert_int_equal(store_file_seek(plain, file, 3, STORE_SEEK_DATA, &at),
	                 0);
	assert_int_equal(at, 3);
	assert_int_equal(
		store_file_seek(plain, file, 3 << 20, STORE_SEEK_HOLE, &at),
		-ENXIO);
}

static void
what_was_cut_off_does_not_come_back(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreTxn *plain = store_plain(store);
	StoreNode file = test_add_file(store, STORE_ROOT, "f");
	g_autofree char *block = g_strnfill(9000, 'x');
	char buf[2];
	size_t size;

	assert_int_equal(store_file_write(plain, file, 0, block, 9000), 0);
	assert_int_equal(store_file_truncate(plain, file, 4100), 0);
	assert_int_equal(store_file_truncate(plain, file, 9000), 0);
	assert_int_equal(store_file_read(plain, file, 4099, buf, 2, &size), 0);
	assert_memory_equal(buf, "x\0", 2);
	assert_int_equal(store_file_read(plain, file, 8998, buf, 2, &size), 0);
	assert_memory_equal(buf, "\0\0", 2);
}

static void
attributes_keep_their_bounds(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreTxn *plain = store_plain(store);
	StoreNode file = test_add_file(store, STORE_ROOT, "f");
	g_autofree char *big = g_malloc0(STORE_XATTR_SIZE_MAX + 1);
	char buf[2];
	size_t size;
	int i;

	assert_int_equal(store_xattr_set(plain, file, "user.a", "xyz", 3, 0),
	                 0);
	assert_int_equal(
		store_xattr_set(plain, file, "user.a", "x", 1, XATTR_CREATE),
		-EEXIST);
	assert_int_equal(
		store_xattr_set(plain, file, "user.b", "x", 1, XATTR_REPLACE),
		-ENODATA);
	assert_int_equal(store_xattr_get(plain, file, "user.a", buf, 2, &size),
	                 -ERANGE);
	assert_int_equal(store_xattr_get(plain, file, "user.b", buf, 2, &size),
	                 -ENODATA);
	assert_int_equal(store_xattr_set(plain, file, "user.c", big,
	                                 STORE_XATTR_SIZE_MAX + 1, 0),
	                 -E2BIG);
	for (i = 1; i < STORE_XATTR_COUNT_MAX; i++) {
		g_autofree char *name = g_strdup_printf("user.%d", i);

		assert_int_equal(store_xattr_set(plain, file, name, "", 0, 0),
		                 0);
	}
	assert_int_equal(store_xattr_set(plain, file, "user.more", "", 0, 0),
	                 -ENOSPC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(the_largest_file_is_sparse_and_reads_as_zeros),
		STORE_TEST(what_was_never_written_is_a_hole),
		STORE_TEST(what_was_cut_off_does_not_come_back),
		STORE_TEST(attributes_keep_their_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
