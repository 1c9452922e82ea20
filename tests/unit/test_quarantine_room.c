/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What counts of the quarantine where there is a limit to it.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "tests/unit/past_kit.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/undone_kit.h"

/* Bytes of what is spilled, and a part of it. */
#define WHOLE 12000
#define PART  5000

/* Undoes @txn, of one file; returns the bytes that were kept of it. */
static uint64_t
undo(TestTxn *b, StoreTxn *txn)
{
	TestUndone seen;

	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	seen = test_undone(b->store);
	assert_int_equal(seen.files, 1);
	return seen.bytes;
}

/* ---- what was spilled ----------------------------------------------------*/

static void
a_hole_counts_for_nothing(void **state)
{
	TestTxn *b = *state;
	uint64_t first = test_undo_file(b, "mail");
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_spilled(txn, "sparse");

	assert_int_equal(store_file_truncate(txn, file, STORE_FILE_SIZE_MAX),
	                 0);
	assert_int_equal(undo(b, txn), WHOLE);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, 2);
	assert_int_equal(store_quarantine_discard(b->store, first), 0);
}

static void
what_was_spilled_and_changed_counts_once(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_spilled(txn, "changed");

	test_write_bytes(txn, file, 'y', WHOLE);
	test_write_bytes(txn, file, 'z', PART);
	assert_int_equal(undo(b, txn), WHOLE);

	txn = test_begin(b);
	file = test_stage_spilled(txn, "cut");
	assert_int_equal(store_file_truncate(txn, file, PART), 0);
	assert_int_equal(undo(b, txn), PART);
}

/* The transaction has let go of it by then. */
static void
what_was_spilled_counts_after_a_commit_that_fails(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_spilled(txn, "sparse");

	assert_int_equal(store_file_truncate(txn, file, STORE_FILE_SIZE_MAX),
	                 0);
	test_add_file(b->store, STORE_ROOT, "SPARSE");
	assert_int_equal(store_txn_commit_wait(&txn), -ESTALE);
	assert_int_equal(test_undone(b->store).bytes, WHOLE);
}

/* ---- what has no content -------------------------------------------------*/

#define PAGES ((uint64_t)8)

static int
setup_pages(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;

	options.quarantine_max = PAGES * TXN_PAGE;
	return test_setup_with(state, options);
}

/* Undoes transactions that were to remove a file. */
static void
undo_removals(TestTxn *b, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		StoreTxn *txn = test_begin(b);

		test_remove(txn, STORE_ROOT, "victim");
		assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	}
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
}

static void
entries_without_content_have_a_limit(void **state)
{
	TestTxn *b = *state;
	uint64_t last;

	test_add_file(b->store, STORE_ROOT, "victim");
	assert_int_equal(store_sync_wait(b->store), 0);
	undo_removals(b, 4 * PAGES);
	assert_int_equal(test_undone(b->store).count, PAGES);
	last = test_undone(b->store).id;

	/* What was there before counts, too. */
	test_txn_reopen(b);
	undo_removals(b, PAGES / 2);
	assert_int_equal(test_undone(b->store).count, PAGES);
	assert_int_equal(store_quarantine_discard(b->store, last), 0);
	undo_removals(b, PAGES);
	assert_int_equal(test_undone(b->store).count, PAGES);
}

#define MANY 1200

/* Not all at once, lest everybody waits for that. */
static void
what_is_beyond_the_limit_goes_in_steps(void **state)
{
	TestTxn *b = *state;

	test_add_file(b->store, STORE_ROOT, "victim");
	assert_int_equal(store_sync_wait(b->store), 0);
	undo_removals(b, MANY);
	assert_int_equal(test_undone(b->store).count, MANY);
	b->options.quarantine_max = PAGES * TXN_PAGE;
	test_txn_reopen(b);
	(void)test_undo_file(b, "f");
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_in_range(test_undone(b->store).count, PAGES + 1, MANY / 2);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, PAGES);
}

#define XATTRS     3
#define XATTR_SIZE 60000

static int
setup_attributes(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;

	options.quarantine_max = (uint64_t)2 * XATTRS * XATTR_SIZE;
	return test_setup_with(state, options);
}

static void
extended_attributes_count(void **state)
{
	TestTxn *b = *state;
	g_autofree char *value = g_strnfill(XATTR_SIZE, 'x');
	int i;
	int j;

	for (i = 0; i < 3; i++) {
		StoreTxn *txn = test_begin(b);
		StoreNode file = test_stage_file(txn, STORE_ROOT, "f");

		for (j = 0; j < XATTRS; j++) {
			char name[] = "user.0";

			name[5] += (char)j;
			assert_int_equal(store_xattr_set(txn, file, name, value,
			                                 XATTR_SIZE, 0),
			                 0);
		}
		assert_int_equal(undo(b, txn), 0);
	}
	assert_int_equal(test_undone(b->store).count, 1);
}

/* Only the head says how much that is. */
static void
what_was_spilled_counts_after_a_restart(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);

	(void)test_stage_spilled(txn, "f");
	assert_int_equal(undo(b, txn), WHOLE);
	b->options.quarantine_max = WHOLE + TXN_PAGE / 2;
	test_txn_reopen(b);
	(void)test_undo_file(b, "g");
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SPILLING_TEST(a_hole_counts_for_nothing),
		SPILLING_TEST(what_was_spilled_and_changed_counts_once),
		SPILLING_TEST(
			what_was_spilled_counts_after_a_commit_that_fails),
		SPILLING_TEST(what_was_spilled_counts_after_a_restart),
		cmocka_unit_test_setup_teardown(
			entries_without_content_have_a_limit, setup_pages,
			test_txn_teardown),
		BARE_TEST(what_is_beyond_the_limit_goes_in_steps),
		cmocka_unit_test_setup_teardown(extended_attributes_count,
		                                setup_attributes,
		                                test_txn_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
