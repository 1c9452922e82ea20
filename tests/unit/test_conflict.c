/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Two transactions, or one and a plain change, that want the same; and groups
 * in which not all can succeed.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"

/* ---- conflicts -----------------------------------------------------------*/

static void
the_second_of_two_writers_is_stale(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *first = test_begin(b);
	StoreTxn *second = test_begin(b);

	test_write(first, file, "one");
	test_write(second, file, "two");
	(void)test_stage_file(second, STORE_ROOT, "g");
	assert_int_equal(store_txn_commit_wait(&first), 0);
	assert_int_equal(store_txn_commit_wait(&second), -ESTALE);
	test_assert_text(b->plain, file, "one");
	assert_false(test_has(b->plain, STORE_ROOT, "g"));
}

static void
a_plain_change_makes_a_transaction_stale(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);

	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_write(b->plain, test_add_file(b->store, STORE_ROOT, "F"), "mine");
	assert_int_equal(store_txn_publish(&txn), -ESTALE);
	assert_null(txn);
}

static void
a_name_in_a_directory_that_is_gone_is_stale(void **state)
{
	TestTxn *b = *state;
	StoreNode dir = test_add_dir(b->store, STORE_ROOT, "d");
	StoreTxn *txn = test_begin(b);

	(void)test_stage_file(txn, dir, "f");
	assert_int_equal(store_name_remove(b->plain, STORE_ROOT, "d", S_IFDIR),
	                 0);
	assert_int_equal(store_txn_commit_wait(&txn), -ESTALE);
}

static void
a_directory_that_has_got_a_name_is_not_removed(void **state)
{
	TestTxn *b = *state;
	StoreNode dir = test_add_dir(b->store, STORE_ROOT, "d");
	StoreTxn *txn = test_begin(b);

	assert_int_equal(store_name_remove(txn, STORE_ROOT, "d", S_IFDIR), 0);
	test_write(b->plain, test_add_file(b->store, dir, "f"), "kept");
	assert_int_equal(store_txn_commit_wait(&txn), -ESTALE);
	assert_true(test_has(b->plain, dir, "f"));
}

static void
changes_of_one_directory_do_not_conflict(void **state)
{
	TestTxn *b = *state;
	StoreNode dir = test_add_dir(b->store, STORE_ROOT, "d");
	StoreTxn *first = test_begin(b);
	StoreTxn *second = test_begin(b);

	(void)test_stage_file(first, dir, "f");
	(void)test_stage_file(second, dir, "g");
	test_add_file(b->store, dir, "h");
	assert_int_equal(store_txn_commit_wait(&first), 0);
	assert_int_equal(store_txn_publish(&second), 0);
	assert_true(test_has(b->plain, dir, "f"));
	assert_true(test_has(b->plain, dir, "g"));
}

/* Puts two transactions into one group: while the commit of a third is held. */
static void
commit_together(TestTxn *b, StoreTxn **first, int *ret_first, StoreTxn **second,
                int *ret_second)
{
	TestAnswer answers[3] = { 0 };

	test_hold_sync(b, &answers[0]);
	store_txn_commit(first, test_answered, &answers[1]);
	store_txn_commit(second, test_answered, &answers[2]);
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	*ret_first = test_await(&answers[1]);
	*ret_second = test_await(&answers[2]);
}

static void
two_writers_in_one_group_are_told_apart(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *first = test_begin(b);
	StoreTxn *second = test_begin(b);
	int one;
	int two;

	test_write(first, file, "one");
	test_write(second, file, "two");
	commit_together(b, &first, &one, &second, &two);
	assert_int_equal(one, 0);
	assert_int_equal(two, -ESTALE);
	test_assert_text(b->plain, file, "one");
}

static void
a_removal_and_a_creation_in_one_group_are_told_apart(void **state)
{
	TestTxn *b = *state;
	StoreNode dir = test_add_dir(b->store, STORE_ROOT, "d");
	StoreTxn *first = test_begin(b);
	StoreTxn *second = test_begin(b);
	int one;
	int two;

	assert_int_equal(store_name_remove(first, STORE_ROOT, "d", S_IFDIR), 0);
	(void)test_stage_file(second, dir, "f");
	commit_together(b, &first, &one, &second, &two);
	/* The second has changed the directory's times when it was asked. */
	assert_int_equal(one, -ESTALE);
	assert_int_equal(two, 0);
	assert_true(test_has(b->plain, dir, "f"));
}

static void
nothing_is_published_over_a_commit_under_way(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *first = test_begin(b);
	StoreTxn *second = test_begin(b);
	TestAnswer a;

	test_write(first, file, "one");
	test_write(second, file, "two");
	test_hold_commit(b, &first, &a);
	assert_int_equal(store_txn_publish(&second), -ESTALE);
	assert_int_equal(test_let_go(b, &a), 0);
	test_assert_text(b->plain, file, "one");
}

static void
a_directory_is_not_removed_under_a_commit(void **state)
{
	TestTxn *b = *state;
	StoreNode dir = test_add_dir(b->store, STORE_ROOT, "d");
	StoreTxn *txn = test_begin(b);
	TestAnswer a;

	(void)test_stage_file(txn, dir, "f");
	test_hold_commit(b, &txn, &a);
	assert_int_equal(store_name_remove(b->plain, STORE_ROOT, "d", S_IFDIR),
	                 -ENOTEMPTY);
	assert_int_equal(test_let_go(b, &a), 0);
	assert_true(test_has(b->plain, dir, "f"));
}

/* A plain change of what is being committed, on a thread of its own. */
typedef struct Late {
	TestTxn *bench;
	StoreNode file;
	int is_begun; /* atomic */
} Late;

static void *
change_mode(void *user_data)
{
	Late *late = user_data;
	StoreAttr attr = { .mode = 0600 };
	int r;

	g_atomic_int_set(&late->is_begun, 1);
	r = store_attr_set(late->bench->plain, late->file, &attr,
	                   STORE_SET_MODE, &attr);
	return GINT_TO_POINTER(r);
}

static void
a_plain_change_does_not_undo_a_commit_under_way(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	Late late = { .bench = b, .file = file };
	StoreTxn *txn = test_begin(b);
	TestAnswer a;
	GThread *thread;
	StoreAttr attr;

	test_write(txn, file, "longer than before");
	test_hold_commit(b, &txn, &a);
	thread = g_thread_new("late", change_mode, &late);
	while (!g_atomic_int_get(&late.is_begun))
		g_thread_yield();
	assert_int_equal(test_let_go(b, &a), 0);
	assert_int_equal(GPOINTER_TO_INT(g_thread_join(thread)), 0);
	assert_int_equal(store_attr_get(b->plain, file, &attr), 0);
	assert_int_equal(attr.mode & 07777, 0600);
	test_assert_text(b->plain, file, "longer than before");
}

/* ---- a full disk ---------------------------------------------------------*/

static void
only_what_does_not_fit_fails(void **state)
{
	TestTxn *b = *state;
	StoreNode big = test_add_file(b->store, STORE_ROOT, "big");
	StoreNode small = test_add_file(b->store, STORE_ROOT, "small");
	g_autofree char *block = g_strnfill(100000, 'x');
	StoreTxn *first = test_begin(b);
	StoreTxn *second = test_begin(b);
	int one;
	int two;

	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_file_write(first, big, 0, block, 100000), 0);
	test_write(second, small, "fits");
	kv_fault_limit(b->disk, 20000);
	commit_together(b, &first, &one, &second, &two);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(one, -ENOSPC);
	assert_int_equal(two, 0);
	test_assert_text(b->plain, small, "fits");
	test_assert_text(b->plain, big, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TXN_TEST(the_second_of_two_writers_is_stale),
		TXN_TEST(a_plain_change_makes_a_transaction_stale),
		TXN_TEST(a_name_in_a_directory_that_is_gone_is_stale),
		TXN_TEST(a_directory_that_has_got_a_name_is_not_removed),
		TXN_TEST(changes_of_one_directory_do_not_conflict),
		TXN_TEST(two_writers_in_one_group_are_told_apart),
		TXN_TEST(a_removal_and_a_creation_in_one_group_are_told_apart),
		TXN_TEST(nothing_is_published_over_a_commit_under_way),
		TXN_TEST(a_directory_is_not_removed_under_a_commit),
		TXN_TEST(a_plain_change_does_not_undo_a_commit_under_way),
		TXN_TEST(only_what_does_not_fit_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
