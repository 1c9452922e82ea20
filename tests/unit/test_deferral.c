/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What waits where there is no room for all that is pending, and who need not
 * wait for it.
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

/* Of what is too large, in bytes; room for less than that; and for what each
 * batch has. */
#define SIZE    30000
#define LITTLE  (SIZE / 2)
#define NOTHING 300

static StoreNode
stage(StoreTxn *txn, const char *name, size_t size)
{
	g_autofree char *block = g_strnfill(size, 'x');
	StoreNode file = test_stage_file(txn, STORE_ROOT, name);

	assert_int_equal(store_file_write(txn, file, 0, block, size), 0);
	return file;
}

/* Has "large" of @txn spilled behind a round that is on its way, where there will
 * be little room. */
static StoreNode
spill(TestTxn *b, StoreTxn *txn, size_t room)
{
	TestAnswer held = { 0 };
	StoreNode file;

	test_hold_sync(b, &held);
	file = test_stage_spilled(txn, "large");
	kv_fault_limit(b->disk, room);
	assert_int_equal(test_let_go(b, &held), 0);
	return file;
}

static void
assert_large(StoreTxn *txn, StoreNode file)
{
	char got[12001];
	size_t size = 0;

	assert_int_equal(store_file_read(txn, file, 0, got, sizeof(got), &size),
	                 0);
	assert_int_equal(size, 12000);
	assert_int_equal(got[0], 'x');
	assert_int_equal(got[11999], 'x');
}

/* ---- what was spilled ----------------------------------------------------*/

static void
a_commit_does_not_wait_for_what_another_has_spilled(void **state)
{
	TestTxn *b = *state;
	StoreTxn *large = test_begin(b);
	StoreTxn *small = test_begin(b);
	StoreNode file;

	(void)stage(small, "small", 4);
	file = spill(b, large, 6000);
	assert_int_equal(store_txn_commit_wait(&small), 0);
	assert_true(test_has(b->plain, STORE_ROOT, "small"));
	/* Nor is that lost by it. */
	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_large(large, file);
	assert_int_equal(store_txn_commit_wait(&large), 0);
	test_txn_crash(b, &large);
	assert_large(b->plain, file);
	assert_true(test_has(b->plain, STORE_ROOT, "small"));
}

static void
nor_does_a_removal(void **state)
{
	TestTxn *b = *state;
	StoreTxn *large = test_begin(b);

	test_add_file(b->store, STORE_ROOT, "plain");
	(void)spill(b, large, 6000);
	test_remove(b->plain, STORE_ROOT, "plain");
	assert_int_equal(store_sync_wait(b->store), 0);
	store_txn_abort(large);
	large = NULL;
	test_txn_crash(b, &large);
	assert_false(test_has(b->plain, STORE_ROOT, "plain"));
}

/* What it names is on the disk with it, or it is not. */
static void
a_commit_is_not_without_what_it_has_spilled(void **state)
{
	TestTxn *b = *state;
	StoreTxn *large = test_begin(b);
	StoreTxn *none = NULL;
	StoreNode file;

	(void)spill(b, large, 6000);
	assert_int_equal(store_txn_commit_wait(&large), -ENOSPC);
	assert_false(test_has(b->plain, STORE_ROOT, "large"));
	kv_fault_limit(b->disk, 0);
	test_remove(b->plain, STORE_ROOT, "held");
	large = test_begin(b);
	file = spill(b, large, 20000);
	assert_int_equal(store_txn_commit_wait(&large), 0);
	test_txn_crash(b, &none);
	assert_large(b->plain, file);
}

/* While there is no room for it the store is full. */
static void
who_asks_how_the_store_is_hears_of_it(void **state)
{
	TestTxn *b = *state;
	StoreTxn *large = test_begin(b);
	StoreVitals vitals;

	(void)spill(b, large, 6000);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_vitals(b->store, &vitals), 0);
	assert_int_equal(vitals.error, ENOSPC);
	store_txn_abort(large);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_vitals(b->store, &vitals), 0);
	assert_int_equal(vitals.error, 0);
}

/* What it has cut off may be erased at once. */
static void
what_is_cut_off_of_it_does_not_wait(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreTxn *small = test_begin(b);
	StoreNode file = test_stage_spilled(txn, "large");
	StoreAttr attr;

	(void)stage(small, "small", 4);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_file_truncate(txn, file, 9000), 0);
	assert_int_equal(store_file_truncate(txn, file, 1), 0);
	kv_fault_limit(b->disk, 3000);
	(void)stage(txn, "other", 9000);
	(void)store_file_write(txn, file, 0, "x", 1);
	assert_int_equal(store_txn_commit_wait(&small), 0);
	assert_int_equal(store_attr_get(txn, file, &attr), 0);
	assert_int_equal(attr.size, 1);
	store_txn_abort(txn);
}

/* ---- while nothing can be read -------------------------------------------*/

/* What did not wait is on the disk, and what waits is not. */
static void
who_waits_is_told_where_nothing_can_be_read_between(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answers[2] = { 0 };

	(void)stage(txn, "f", SIZE);
	test_hold_sync(b, &answers[0]);
	test_add_file(b->store, STORE_ROOT, "plain");
	test_save(txn, &answers[1]);
	kv_fault_limit(b->disk, LITTLE);
	kv_fault_fail_later_snapshots(b->disk, 2, 2);
	(void)test_let_go(b, &answers[0]);
	assert_int_equal(test_await(&answers[1]), -EIO);
	kv_fault_limit(b->disk, 0);
	while (store_sync_wait(b->store) < 0)
		continue;
	test_txn_crash(b, &txn);
	assert_true(test_has(b->plain, STORE_ROOT, "plain"));
	assert_int_equal(test_undone(b->store).count, 1);
}

static void
a_disk_that_cannot_be_read_is_not_called_full(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreVitals vitals;

	(void)spill(b, txn, 6000);
	kv_fault_fail_later_snapshots(b->disk, 1, 2);
	(void)store_sync_wait(b->store);
	kv_fault_limit(b->disk, 0);
	while (store_sync_wait(b->store) < 0)
		continue;
	assert_int_equal(store_vitals(b->store, &vitals), 0);
	assert_int_equal(vitals.error, 0);
	store_txn_abort(txn);
}

/* ---- what was undone -----------------------------------------------------*/

static void
nothing_is_given_up_that_makes_no_room(void **state)
{
	TestTxn *b = *state;
	StoreTxn *small = test_begin(b);
	StoreTxn *none = NULL;
	g_autofree char *block = g_strnfill(SIZE, 'x');
	StoreNode plain = test_add_file(b->store, STORE_ROOT, "plain");
	TestAnswer held = { 0 };

	(void)stage(small, "small", 4);
	test_hold_sync(b, &held);
	assert_int_equal(store_file_write(b->plain, plain, 0, block, SIZE), 0);
	assert_int_equal(store_txn_quarantine(&small, &test_killed), 0);
	kv_fault_limit(b->disk, LITTLE);
	assert_int_equal(test_let_go(b, &held), 0);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	assert_int_equal(test_undone(b->store).count, 1);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &none);
	assert_int_equal(test_undone(b->store).count, 1);
}

/* Where it is another's content that has none. */
static void
what_is_undone_does_not_wait_for_what_another_has_spilled(void **state)
{
	TestTxn *b = *state;
	StoreTxn *large = test_begin(b);
	StoreTxn *small = test_begin(b);

	(void)stage(small, "small", 4);
	(void)spill(b, large, 6000);
	assert_int_equal(store_txn_quarantine(&small, &test_killed), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &large);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_count_records(b->store, RECORD_CHUNK), 0);
}

/* What others have staged may never be written. */
static void
what_has_room_by_itself_is_kept(void **state)
{
	TestTxn *b = *state;
	StoreTxn *other = test_begin(b);
	StoreTxn *txn = test_begin(b);

	(void)stage(txn, "f", SIZE);
	(void)stage(other, "g", (size_t)20 * SIZE);
	/* A page for each record, and not twice that. */
	kv_fault_leave_room(b->disk, 2 * SIZE + 50 * TXN_PAGE);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	store_txn_abort(other);
	kv_fault_leave_room(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 1);
}

static void
assert_large_undone(TestTxn *b, StoreNode file)
{
	g_autofree char *all = g_strnfill(12000, 'x');
	char got[12001];
	size_t size = 0;

	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(store_quarantine_read(b->store,
	                                       test_undone(b->store).id, file,
	                                       0, got, sizeof(got), &size),
	                 0);
	all[5000] = 'y';
	assert_int_equal(size, 12000);
	assert_memory_equal(got, all, 12000);
}

/* ---- drafts --------------------------------------------------------------*/

/* A draft is nobody's to give up while what would have ended it is staged
 * again. */
static void
a_commit_does_not_wait_for_such_a_draft(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreTxn *small = test_begin(b);

	(void)stage(txn, "f", SIZE);
	(void)stage(small, "small", 4);
	test_refuse_draft(b, txn, LITTLE);
	assert_int_equal(store_txn_commit_wait(&small), 0);
	kv_fault_limit(b->disk, 0);
	store_txn_abort(txn);
	txn = NULL;
	test_txn_crash(b, &txn);
	assert_true(test_has(b->plain, STORE_ROOT, "small"));
}

/* What was saved is there, and what is written since waits. */
static void
nor_for_what_is_spilled_of_a_draft(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreTxn *small = test_begin(b);
	g_autofree char *block = g_strnfill(SIZE, 'x');
	StoreNode file = test_stage_spilled(txn, "large");
	TestAnswer answer = { 0 };

	(void)stage(small, "small", 4);
	test_save(txn, &answer);
	assert_int_equal(test_await(&answer), 0);
	kv_fault_limit(b->disk, 6000);
	assert_int_equal(store_file_write(txn, file, 12000, block, SIZE), 0);
	/* This has it spilled; there may be no room already. */
	(void)store_file_write(txn, file, 0, "x", 1);
	assert_int_equal(store_txn_commit_wait(&small), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_undone(b->store).bytes, 12000);
}

/* What a draft has no more was spilled since, and waits: so does the draft. */
static void
a_draft_that_loses_what_waits_is_whole(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreTxn *small = test_begin(b);
	size_t too_much = b->options.staged_max + 1;
	g_autofree char *block = g_malloc0(too_much);
	StoreNode file = test_stage_spilled(txn, "large");
	TestAnswer answer = { 0 };

	(void)stage(small, "small", 4);
	assert_int_equal(store_file_write(txn, file, 5000, "y", 1), 0);
	test_save(txn, &answer);
	assert_int_equal(test_await(&answer), 0);
	/* It spills what it can before it is refused, and changes nothing. */
	kv_fault_hold(b->disk, true);
	assert_int_equal(store_file_write(txn, file, 0, block, too_much),
	                 -ENOSPC);
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	kv_fault_limit(b->disk, 3000);
	kv_fault_hold(b->disk, false);
	assert_int_equal(store_txn_commit_wait(&small), 0);
	test_txn_crash(b, &txn);
	assert_large_undone(b, file);
}

/* Who waits for his draft is told if it waits. */
static void
who_waits_for_a_draft_is_told(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	g_autofree char *block = g_strnfill(SIZE, 'x');
	StoreNode plain = test_add_file(b->store, STORE_ROOT, "plain");
	TestAnswer answers[2] = { 0 };

	(void)stage(txn, "f", 4);
	test_hold_sync(b, &answers[0]);
	assert_int_equal(store_file_write(b->plain, plain, 0, block, SIZE), 0);
	test_save(txn, &answers[1]);
	kv_fault_limit(b->disk, LITTLE);
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	assert_int_equal(test_await(&answers[1]), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SPILLING_TEST(
			a_commit_does_not_wait_for_what_another_has_spilled),
		SPILLING_TEST(nor_does_a_removal),
		SPILLING_TEST(a_commit_is_not_without_what_it_has_spilled),
		SPILLING_TEST(who_asks_how_the_store_is_hears_of_it),
		SPILLING_TEST(what_is_cut_off_of_it_does_not_wait),
		BARE_TEST(who_waits_is_told_where_nothing_can_be_read_between),
		SPILLING_TEST(a_disk_that_cannot_be_read_is_not_called_full),
		BARE_TEST(nothing_is_given_up_that_makes_no_room),
		SPILLING_TEST(
			what_is_undone_does_not_wait_for_what_another_has_spilled),
		BARE_TEST(what_has_room_by_itself_is_kept),
		BARE_TEST(a_commit_does_not_wait_for_such_a_draft),
		SPILLING_TEST(nor_for_what_is_spilled_of_a_draft),
		SPILLING_TEST(a_draft_that_loses_what_waits_is_whole),
		BARE_TEST(who_waits_for_a_draft_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
