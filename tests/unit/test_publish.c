/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Publishing where it must not happen, or may only just: without room, on a
 * disk that fails, beside a commit under way, in a store that is only read.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"
#include "tests/unit/undone_kit.h"

/* More than fits into a node's record. */
#define LARGE 5000

/* ---- a disk that is full, or fails ---------------------------------------*/

/* Leaves room for what has no content, and lets the store find out. */
static void
fill_disk(TestTxn *b)
{
	kv_fault_limit(b->disk, 200);
	test_add_file(b->store, STORE_ROOT, "pending");
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
}

static void
a_full_store_publishes_what_has_no_content(void **state)
{
	TestTxn *b = *state;
	StoreNode moved = test_add_file(b->store, STORE_ROOT, "old");
	StoreTxn *remover = test_begin(b);
	StoreTxn *mover = test_begin(b);
	StoreTxn *idle = test_begin(b);
	StoreEntry entry;

	test_add_file(b->store, STORE_ROOT, "gone");
	test_remove(remover, STORE_ROOT, "gone");
	assert_int_equal(
		store_name_move(mover, STORE_ROOT, "old", STORE_ROOT, "new", 0),
		0);
	fill_disk(b);
	assert_int_equal(store_txn_publish(&remover), 0);
	assert_int_equal(store_txn_publish(&mover), 0);
	assert_int_equal(store_txn_publish(&idle), 0);
	assert_false(test_has(b->plain, STORE_ROOT, "gone"));
	assert_int_equal(store_name_find(b->plain, STORE_ROOT, "new", &entry),
	                 0);
	assert_int_equal(entry.node, moved);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
}

static void
a_full_store_publishes_no_content(void **state)
{
	TestTxn *b = *state;
	g_autofree char *block = g_strnfill(LARGE, 'x');
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");

	assert_int_equal(store_file_write(txn, file, 0, block, LARGE), 0);
	fill_disk(b);
	assert_int_equal(store_txn_publish(&txn), -ENOSPC);
	assert_false(test_has(b->plain, STORE_ROOT, "f"));
	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, 1);
}

static void
a_failing_store_publishes_nothing(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);

	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_add_file(b->store, STORE_ROOT, "pending");
	kv_fault_break(b->disk, true);
	assert_int_equal(store_sync_wait(b->store), -EIO);
	assert_int_equal(store_txn_publish(&txn), -EIO);
	kv_fault_break(b->disk, false);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_false(test_has(b->plain, STORE_ROOT, "f"));
	assert_true(test_has(b->plain, STORE_ROOT, "pending"));
	assert_int_equal(test_undone(b->store).count, 1);
}

static void
what_failed_once_is_not_published(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");

	assert_int_equal(
		store_file_write(txn, file, STORE_FILE_SIZE_MAX, "x", 1),
		-EFBIG);
	assert_int_equal(store_txn_publish(&txn), -EFBIG);
	assert_false(test_has(b->plain, STORE_ROOT, "f"));
	assert_int_equal(test_undone(b->store).count, 1);
}

/* ---- beside a commit under way -------------------------------------------*/

static void
a_directory_that_gets_a_name_is_not_removed(void **state)
{
	TestTxn *b = *state;
	StoreNode dir = test_add_dir(b->store, STORE_ROOT, "d");
	StoreTxn *first = test_begin(b);
	StoreTxn *second = test_begin(b);
	TestAnswer a;

	(void)test_stage_file(first, dir, "f");
	assert_int_equal(store_name_remove(second, STORE_ROOT, "d", S_IFDIR),
	                 0);
	test_hold_commit(b, &first, &a);
	assert_int_equal(store_txn_publish(&second), -ESTALE);
	assert_int_equal(test_let_go(b, &a), 0);
	assert_true(test_has(b->plain, dir, "f"));
}

static void
a_directory_that_is_removed_gets_no_name(void **state)
{
	TestTxn *b = *state;
	StoreNode dir = test_add_dir(b->store, STORE_ROOT, "d");
	StoreTxn *first = test_begin(b);
	StoreTxn *second = test_begin(b);
	TestAnswer a;

	assert_int_equal(store_name_remove(first, STORE_ROOT, "d", S_IFDIR), 0);
	(void)test_stage_file(second, dir, "f");
	test_hold_commit(b, &first, &a);
	assert_int_equal(store_txn_publish(&second), -ESTALE);
	assert_int_equal(test_let_go(b, &a), 0);
	assert_false(test_has(b->plain, STORE_ROOT, "d"));
}

/* Its times change with the name, but nobody writes its record meanwhile. */
static void
a_directory_that_is_changed_may_get_a_name(void **state)
{
	TestTxn *b = *state;
	StoreNode dir = test_add_dir(b->store, STORE_ROOT, "d");
	StoreTxn *first = test_begin(b);
	StoreTxn *second = test_begin(b);
	TestAnswer a[2] = { 0 };
	StoreAttr attr = { .mode = 0700 };

	assert_int_equal(
		store_attr_set(first, dir, &attr, STORE_SET_MODE, &attr), 0);
	(void)test_stage_file(second, dir, "f");
	test_hold_commit(b, &first, &a[0]);
	store_txn_commit(&second, test_answered, &a[1]);
	assert_int_equal(test_let_go(b, &a[0]), 0);
	assert_int_equal(test_await(&a[1]), 0);
	assert_int_equal(store_attr_get(b->plain, dir, &attr), 0);
	assert_int_equal(attr.mode & 07777, 0700);
	assert_true(test_has(b->plain, dir, "f"));
}

/* ---- a store that is only read -------------------------------------------*/

/* Nor who reads what is left of a damaged one. */
static void
a_reader_changes_nothing_and_waits_for_nobody(void **state)
{
	static const StoreAccess accesses[] = { STORE_READ, STORE_SALVAGE };
	g_autoptr(KvFaultDisk) disk = kv_fault_disk_new();
	uint64_t commits;

	test_fault_format(disk);
	commits = kv_fault_commits(disk);
	for (size_t i = 0; i < G_N_ELEMENTS(accesses); i++) {
		g_autofree char *reason = NULL;
		StoreTxn *txn = NULL;
		Store *store = NULL;

		assert_int_equal(store_open_on(kv_fault_open(disk), "fault",
		                               accesses[i], NULL, &store,
		                               &reason),
		                 0);
		assert_int_equal(store_txn_begin(store, "test", &txn), -EROFS);
		assert_null(txn);
		assert_int_equal(store_quarantine_discard(store, 1), -EROFS);
		assert_int_equal(store_sync_wait(store), 0);
		assert_int_equal(store_close(store), 0);
	}
	assert_int_equal(kv_fault_commits(disk), commits);
}

/* Somebody else renames what a transaction has taken away, or elsewhere. */
static void
a_name_of_what_is_elsewhere_by_now_is_stale(void **state)
{
	static const char *const names[] = { "gone", "moved" };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode box = test_add_dir(b->store, STORE_ROOT, "box");

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		test_add_file(b->store, STORE_ROOT, names[i]);
		assert_int_equal(store_name_move(txn, STORE_ROOT, names[i], box,
		                                 "here", 0),
		                 0);
		if (i == 0)
			test_remove(txn, box, "here");
		assert_int_equal(store_name_move(b->plain, STORE_ROOT, names[i],
		                                 STORE_ROOT, "new", 0),
		                 0);
		assert_int_equal(store_name_move(txn, STORE_ROOT, "new", box,
		                                 "there", 0),
		                 -ESTALE);
		assert_int_equal(
			store_name_remove(txn, STORE_ROOT, "new", S_IFREG),
			-ESTALE);
		test_remove(b->plain, STORE_ROOT, "new");
	}
	store_txn_abort(txn);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TXN_TEST(a_full_store_publishes_what_has_no_content),
		TXN_TEST(a_full_store_publishes_no_content),
		TXN_TEST(a_failing_store_publishes_nothing),
		TXN_TEST(what_failed_once_is_not_published),
		TXN_TEST(a_directory_that_gets_a_name_is_not_removed),
		TXN_TEST(a_directory_that_is_removed_gets_no_name),
		TXN_TEST(a_directory_that_is_changed_may_get_a_name),
		TXN_TEST(a_name_of_what_is_elsewhere_by_now_is_stale),
		cmocka_unit_test(a_reader_changes_nothing_and_waits_for_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
