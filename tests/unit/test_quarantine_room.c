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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SPILLING_TEST(a_hole_counts_for_nothing),
		SPILLING_TEST(what_was_spilled_and_changed_counts_once),
		SPILLING_TEST(
			what_was_spilled_counts_after_a_commit_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
