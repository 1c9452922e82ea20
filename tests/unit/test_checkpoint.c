/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A checkpoint on its way, and what happens to its transaction meanwhile.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"
#include "tests/unit/undone_kit.h"

/* A new file "f" of @txn has its checkpoint in the queue, behind a round that the
 * disk holds. */
static StoreNode
queue_checkpoint(TestTxn *b, StoreTxn *txn, TestAnswer *held,
                 TestAnswer *answer)
{
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");

	test_hold_sync(b, held);
	store_txn_checkpoint(txn, test_answered, answer);
	return file;
}

static void
what_fails_after_it_is_no_part_of_it(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer held = { 0 };
	TestAnswer answer = { 0 };
	StoreNode file = queue_checkpoint(b, txn, &held, &answer);

	assert_int_equal(
		store_file_truncate(txn, file, STORE_FILE_SIZE_MAX + 1),
		-EFBIG);
	assert_int_equal(test_let_go(b, &held), 0);
	assert_int_equal(test_await(&answer), 0);
	assert_true(test_has(b->plain, STORE_ROOT, "f"));
	/* But it is of what follows. */
	assert_int_equal(store_txn_commit_wait(&txn), -EFBIG);
}

static void
what_is_lost_after_it_is_no_part_of_it(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	g_autofree char *block = g_strnfill(1000000, 'x');
	TestAnswer held = { 0 };
	TestAnswer answer = { 0 };
	StoreNode file = queue_checkpoint(b, txn, &held, &answer);

	assert_int_equal(store_file_write(txn, file, 0, block, 1000000), 0);
	kv_fault_leave_room(b->disk, 500000);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), -ENOSPC);
	assert_int_equal(test_let_go(b, &held), 0);
	assert_int_equal(test_await(&answer), 0);
	kv_fault_leave_room(b->disk, 0);
	assert_true(test_has(b->plain, STORE_ROOT, "f"));
}

static bool
see_what(void *user_data, const StoreUndoneFile *file)
{
	*(StoreUndoneWhat *)user_data = file->what;
	return true;
}

/* What it has created is new, though more was done to it since. */
static void
what_it_has_failed_to_create_is_created(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_IO };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreUndoneWhat what = STORE_UNDONE_CHANGED;
	TestAnswer held = { 0 };
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");

	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	test_hold_checkpoint(b, txn, &held);
	assert_int_equal(store_file_write(txn, file, 0, "more", 4), 0);
	assert_int_equal(test_let_go(b, &held), -EIO);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	assert_int_equal(store_quarantine_files(b->store,
	                                        test_undone(b->store).id,
	                                        see_what, &what),
	                 0);
	assert_int_equal(what, STORE_UNDONE_CREATED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BARE_TEST(what_fails_after_it_is_no_part_of_it),
		BARE_TEST(what_is_lost_after_it_is_no_part_of_it),
		BARE_TEST(what_it_has_failed_to_create_is_created),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
