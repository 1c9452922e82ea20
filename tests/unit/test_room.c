/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What a store takes in while others read what it had: its database is LMDB.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "tests/unit/store_kit.h"

/* Bytes of the database, and of a file. */
#define MAP       (8 << 20)
#define FILE_SIZE 400000

#define SMALL_FILES 40

static int
setup(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;

	options.map_size = MAP;
	*state = test_store_new_with(&options);
	return 0;
}

/* Fills the journal a little, and leaves some files to be removed. */
static void
prepare(Store *store)
{
	g_autofree char *block = g_strnfill(FILE_SIZE, 'x');
	StoreTxn *txn;
	char name[16];
	int i;

	for (i = 0; i < SMALL_FILES; i++) {
		StoreNode file = test_add_file(store, STORE_ROOT, "f");

		assert_int_equal(store_file_write(store_plain(store), file, 0,
		                                  block, FILE_SIZE / 10),
		                 0);
		assert_int_equal(store_txn_begin(store, "test", &txn), 0);
		test_remove(txn, STORE_ROOT, "f");
		assert_int_equal(store_txn_commit_wait(&txn), 0);
		g_snprintf(name, sizeof(name), "small%d", i);
		(void)test_add_file(store, STORE_ROOT, name);
	}
	assert_int_equal(store_sync_wait(store), 0);
}

/* Has a file come, if there is room, and go. Returns how that ended; what was
 * accepted must be committed. */
static int
come_and_go(Store *store)
{
	g_autofree char *block = g_strnfill(FILE_SIZE, 'x');
	StoreTxn *plain = store_plain(store);
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	int r;

	r = store_name_add(plain, STORE_ROOT, "f", &attr, &attr);
	if (r < 0)
		return r;
	r = store_file_write(plain, attr.node, 0, block, FILE_SIZE);
	assert_int_equal(store_sync_wait(store), 0);
	test_remove(plain, STORE_ROOT, "f");
	assert_int_equal(store_sync_wait(store), 0);
	return r;
}

static void
what_cannot_be_committed_is_refused(void **state)
{
	TestStore *test = *state;
	uint64_t past;
	TestReader reader;
	char name[16];
	int r = 0;
	int i;

	prepare(test->store);
	past = test->store->journal.bytes;
	assert_true(past > SMALL_FILES * FILE_SIZE / 10);
	test_reader_begin(&reader, test->dir);
	for (i = 0; r == 0; i++) {
		assert_true(i < MAP / FILE_SIZE);
		r = come_and_go(test->store);
	}
	assert_int_equal(r, -ENOSPC);

	/* There is room for deletions, and the past would make none. */
	for (i = 0; i < SMALL_FILES; i++) {
		g_snprintf(name, sizeof(name), "small%d", i);
		test_remove(store_plain(test->store), STORE_ROOT, name);
		assert_int_equal(store_sync_wait(test->store), 0);
	}
	assert_int_equal(test->store->journal.bytes, past);
	test_reader_end(&reader, false);
	assert_int_equal(come_and_go(test->store), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_cannot_be_committed_is_refused, setup,
			test_store_teardown),
	};

	/* In memory: nothing here is a matter of the disk. */
	(void)g_setenv("TMPDIR", "/dev/shm", TRUE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
