/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Stores that are full, foreign, damaged or somebody else's.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "store/store.h"
#include "tests/unit/store_kit.h"

/* ---- no room -------------------------------------------------------------*/

/* Fills the file until there is no room; returns the bytes that went in. */
static uint64_t
fill(StoreTxn *txn, StoreNode file)
{
	g_autofree char *block = g_strnfill(64 << 10, 'x');
	uint64_t size = 0;
	int r = 0;

	while (r == 0) {
		r = store_file_write(txn, file, size, block, 64 << 10);
		size += r == 0 ? 64 << 10 : 0;
		assert_true(size < 64 << 20);
	}
	assert_int_equal(r, -ENOSPC);
	return size;
}

static void
a_full_map_fails_the_write_and_harms_nothing(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	TestStore *test;
	StoreTxn *plain;
	StoreNode file;
	StoreAttr attr;
	uint64_t size;
	int i;

	options.map_size = 8 << 20;
	test = test_store_new_with(&options);
	plain = store_plain(test->store);
	for (i = 0; i < 3; i++) {
		file = test_add_file(test->store, STORE_ROOT, "big");
		size = fill(plain, file);
		assert_true(size > 1 << 20);
		assert_int_equal(store_attr_get(plain, file, &attr), 0);
		assert_int_equal(attr.size, size);
		assert_int_equal(store_sync_wait(test->store), 0);
		assert_int_equal(
			store_name_remove(plain, STORE_ROOT, "big", S_IFREG),
			0);
	}
	file = test_add_file(test->store, STORE_ROOT, "small");
	test_write(plain, file, "room again");
	test_store_reopen(test);
	test_assert_text(store_plain(test->store), file, "room again");
	test_store_check(test);
	test_store_free(test);
}

/* ---- opening -------------------------------------------------------------*/

static void
a_second_writer_is_refused_and_a_reader_is_not(void **state)
{
	TestStore *test = *state;
	g_autofree char *reason = NULL;
	g_autofree char *pid = g_strdup_printf("process %d ", (int)getpid());
	Store *second = NULL;
	StoreAttr attr = { .mode = S_IFREG };

	assert_int_equal(
		store_open(test->dir, STORE_WRITE, NULL, &second, &reason),
		-EBUSY);
	assert_non_null(strstr(reason, pid));
	g_clear_pointer(&reason, g_free);
	assert_int_equal(
		store_open(test->dir, STORE_READ, NULL, &second, &reason), 0);
	assert_int_equal(store_name_add(store_plain(second), STORE_ROOT, "x",
	                                &attr, &attr),
	                 -EROFS);
	store_close(second);
}

static void
what_is_no_store_is_refused_with_words(void **state)
{
	g_autofree char *dir = g_dir_make_tmp("pofs-test-XXXXXX", NULL);
	g_autofree char *data = g_build_filename(dir, "data.mdb", NULL);
	g_autofree char *junk = g_strnfill(20000, 'j');
	g_autofree char *reason = NULL;
	Store *store = NULL;

	assert_int_equal(store_open(dir, STORE_READ, NULL, &store, &reason),
	                 -ENOENT);
	assert_non_null(strstr(reason, "no store"));
	g_clear_pointer(&reason, g_free);
	assert_true(g_file_set_contents(data, junk, 20000, NULL));
	assert_int_equal(store_open(dir, STORE_READ, NULL, &store, &reason),
	                 -EPROTO);
	assert_non_null(strstr(reason, "not a pofs database"));
	g_clear_pointer(&reason, g_free);
	assert_int_equal(store_create(dir, NULL, &reason), -EEXIST);
	test_remove_files(dir);
}

static void
a_creation_that_was_cut_off_can_be_repeated(void **state)
{
	g_autofree char *dir = g_dir_make_tmp("pofs-test-XXXXXX", NULL);
	g_autofree char *nursery = g_build_filename(dir, ".creating", NULL);
	g_autofree char *data = g_build_filename(nursery, "data.mdb", NULL);
	g_autofree char *reason = NULL;

	assert_int_equal(mkdir(nursery, 0700), 0);
	assert_true(g_file_set_contents(data, "half", 4, NULL));
	assert_int_equal(store_create(dir, NULL, &reason), 0);
	assert_false(g_file_test(nursery, G_FILE_TEST_EXISTS));
	test_remove_files(dir);
}

static void
the_clean_mark_tells_a_crash(void **state)
{
	TestStore *test = *state;
	g_autofree char *reason = NULL;
	StoreStat stat;
	Store *reader = NULL;

	test_add_file(test->store, STORE_ROOT, "f");
	assert_int_equal(store_sync_wait(test->store), 0);
	assert_int_equal(
		store_open(test->dir, STORE_READ, NULL, &reader, &reason), 0);
	assert_int_equal(store_stat(reader, &stat), 0);
	assert_false(stat.clean);
	store_close(reader);
	store_close(g_steal_pointer(&test->store));
	assert_int_equal(
		store_open(test->dir, STORE_READ, NULL, &reader, &reason), 0);
	assert_int_equal(store_stat(reader, &stat), 0);
	assert_true(stat.clean);
	store_close(reader);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_map_fails_the_write_and_harms_nothing),
		STORE_TEST(a_second_writer_is_refused_and_a_reader_is_not),
		cmocka_unit_test(what_is_no_store_is_refused_with_words),
		cmocka_unit_test(a_creation_that_was_cut_off_can_be_repeated),
		STORE_TEST(the_clean_mark_tells_a_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
