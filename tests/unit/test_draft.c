/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Who waits for a draft, and what becomes of it where a batch finds no room.
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

/* Room for no more than what each batch has. */
#define LITTLE 300

/* Who asks for a draft while a batch is on its way that finds no room waits for
 * the next one: only that may give it up. */
static void
a_draft_is_not_given_up_with_the_batch_before(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NOSPACE };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answers[2] = { 0 };

	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_hold_sync(b, &answers[0]);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	test_save(txn, &answers[1]);
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	assert_int_equal(test_await(&answers[1]), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 1);
}

/* Nor with a further one of the same round. */
static void
a_draft_is_not_given_up_with_the_round_before(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NOSPACE, KV_FAULT_NONE,
		                            KV_FAULT_NOSPACE, KV_FAULT_NONE };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreTxn *other = test_begin(b);
	TestAnswer answers[2] = { 0 };

	(void)test_stage_file(txn, STORE_ROOT, "f");
	(void)test_stage_file(other, STORE_ROOT, "g");
	test_hold_commit(b, &other, &answers[0]);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	test_save(txn, &answers[1]);
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	assert_int_equal(test_await(&answers[1]), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 1);
}

/* It has come while a batch was on its way that found no room, and was written
 * with what was tried again. */
static void
a_draft_on_disk_is_not_given_up_with_a_later_round(void **state)
{
	static const KvFaultKind first[] = { KV_FAULT_NOSPACE };
	static const KvFaultKind later[] = { KV_FAULT_NOSPACE,
		                             KV_FAULT_NOSPACE };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreTxn *other = test_begin(b);
	TestAnswer answers[2] = { 0 };

	(void)test_stage_file(txn, STORE_ROOT, "f");
	(void)test_stage_file(other, STORE_ROOT, "g");
	test_hold_commit(b, &other, &answers[0]);
	kv_fault_end_commits(b->disk, first, G_N_ELEMENTS(first));
	test_save(txn, &answers[1]);
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	assert_int_equal(test_await(&answers[1]), 0);
	kv_fault_end_commits(b->disk, later, G_N_ELEMENTS(later));
	test_add_file(b->store, STORE_ROOT, "plain");
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 1);
}

/* What is undone has no room in the quarantine, but for its draft. */
static void
what_was_saved_is_kept_where_the_rest_has_no_room(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answer = { 0 };
	StoreCause cause = test_killed;
	uint64_t id = 0;

	cause.ret_id = &id;
	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_save(txn, &answer);
	assert_int_equal(test_await(&answer), 0);
	(void)test_stage_file(txn, STORE_ROOT, "g");
	kv_fault_leave_room(b->disk, 1);
	assert_int_equal(store_txn_quarantine(&txn, &cause), -ENOSPC);
	kv_fault_leave_room(b->disk, 0);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_undone(b->store).id, id);
	assert_string_equal(test_undone(b->store).reason, test_killed.reason);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_undone(b->store).files, 1);
}

/* Not even that, if it had none either. */
static void
what_could_not_be_saved_is_not_kept(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answer = { 0 };
	StoreCause cause = test_killed;
	uint64_t id = 0;

	cause.ret_id = &id;
	(void)test_stage_file(txn, STORE_ROOT, "f");
	kv_fault_limit(b->disk, LITTLE);
	test_save(txn, &answer);
	assert_int_equal(test_await(&answer), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	kv_fault_leave_room(b->disk, 1);
	assert_int_equal(store_txn_quarantine(&txn, &cause), -ENOSPC);
	kv_fault_leave_room(b->disk, 0);
	assert_int_equal(id, 0);
	assert_int_equal(test_undone(b->store).count, 0);
}

/* Who waits for it meanwhile is told that not all is kept. */
static void
who_waits_for_a_draft_hears_that_the_rest_is_lost(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answers[2] = { 0 };

	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_hold_sync(b, &answers[0]);
	test_save(txn, &answers[1]);
	kv_fault_leave_room(b->disk, 1);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), -ENOSPC);
	kv_fault_leave_room(b->disk, 0);
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	assert_int_equal(test_await(&answers[1]), -ENOSPC);
	assert_int_equal(test_undone(b->store).count, 1);
}

/* ---- what was synced before ----------------------------------------------*/

#define SAVED 30000

static void
stage_content(StoreTxn *txn, const char *name, size_t size)
{
	StoreNode file = test_stage_file(txn, STORE_ROOT, name);
	g_autofree char *block = g_strnfill(size, 'x');

	/* The second has the first spilled. */
	assert_int_equal(store_file_write(txn, file, 0, block, size), 0);
	assert_int_equal(store_file_write(txn, file, 0, "y", 1), 0);
}

/* A file "f" that was saved, and "g" since; there is no room for anything. */
static StoreTxn *
begin_more(TestTxn *b)
{
	StoreTxn *txn = test_begin(b);
	TestAnswer answer = { 0 };

	stage_content(txn, "f", SAVED);
	test_save(txn, &answer);
	assert_int_equal(test_await(&answer), 0);
	stage_content(txn, "g", 100000);
	assert_int_equal(store_sync_wait(b->store), 0);
	kv_fault_limit(b->disk, LITTLE);
	return txn;
}

/* There is room again. */
static StoreTxn *
begin_unsaved(TestTxn *b)
{
	StoreTxn *txn = begin_more(b);
	TestAnswer answer = { 0 };

	test_save(txn, &answer);
	assert_int_equal(test_await(&answer), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	return txn;
}

/* The quarantine has "f" and nothing else, now and after a restart. */
static void
assert_draft_is_entry(TestTxn *b)
{
	TestUndone seen = test_undone(b->store);
	StoreTxn *none = NULL;

	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.files, 1);
	assert_int_equal(seen.bytes, SAVED);
	assert_string_equal(seen.reason, test_killed.reason);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &none);
	seen = test_undone(b->store);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.files, 1);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
	assert_int_equal(store_quarantine_discard(b->store, seen.id), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_count_records(b->store, 'c'), 0);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
}

static void
what_was_saved_stays_where_more_has_no_room(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = begin_unsaved(b);

	test_txn_crash(b, &txn);
	assert_draft_is_entry(b);
}

static void
what_had_no_room_is_saved_when_there_is_some(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = begin_unsaved(b);
	TestAnswer answer = { 0 };

	test_save(txn, &answer);
	assert_int_equal(test_await(&answer), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_undone(b->store).files, 2);
}

static void
what_stays_goes_with_its_transaction(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = begin_unsaved(b);

	assert_int_equal(store_txn_commit_wait(&txn), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 0);
	assert_true(test_has(b->plain, STORE_ROOT, "g"));

	test_remove(b->plain, STORE_ROOT, "f");
	test_remove(b->plain, STORE_ROOT, "g");
	txn = begin_unsaved(b);
	store_txn_abort(g_steal_pointer(&txn));
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 0);
}

/* There seems to be room for all of it. */
static void
what_was_saved_is_the_entry_where_more_has_no_room(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = begin_more(b);

	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	assert_draft_is_entry(b);
}

/* The commit would have ended the draft. */
static void
so_it_is_where_a_commit_has_failed(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = begin_more(b);

	test_add_file(b->store, STORE_ROOT, "F");
	kv_fault_limit(b->disk, (size_t)3 * LITTLE);
	assert_int_equal(store_txn_commit_wait(&txn), -ESTALE);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_undone(b->store).files, 1);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_undone(b->store).files, 1);
}

/* It was written again while nobody could read what is there. */
static void
so_it_is_where_the_disk_had_failed(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = begin_more(b);
	TestAnswer answers[2] = { 0 };

	kv_fault_limit(b->disk, 0);
	test_hold_sync(b, &answers[0]);
	store_txn_commit(&txn, test_answered, &answers[1]);
	kv_fault_break(b->disk, true);
	assert_int_equal(test_let_go(b, &answers[0]), -EIO);
	assert_int_equal(test_await(&answers[1]), -EIO);
	kv_fault_limit(b->disk, LITTLE);
	kv_fault_break(b->disk, false);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_undone(b->store).files, 1);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
	if (b->options.staged_limit == TEST_SPILL_LIMIT)
		assert_true(test_count_records(b->store, 'c') > 0);
}

/* Saves half of @file, and stages the rest: all of it is spilled. */
static void
stage_half_and_all(StoreTxn *txn, StoreNode file, TestAnswer *ret_answer)
{
	g_autofree char *all = g_strnfill(SAVED, 'x');

	assert_int_equal(store_file_write(txn, file, 0, all, SAVED / 2), 0);
	test_save(txn, ret_answer);
	assert_int_equal(test_await(ret_answer), 0);
	assert_int_equal(store_file_write(txn, file, SAVED / 2, all, SAVED / 2),
	                 0);
	assert_int_equal(store_file_write(txn, file, 0, all, 1), 0);
}

static void
assert_entry_has_all(TestTxn *b, StoreNode file)
{
	g_autofree char *all = g_strnfill(SAVED, 'x');
	g_autofree char *got = g_malloc0(SAVED);
	size_t size = 0;

	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(store_quarantine_read(b->store,
	                                       test_undone(b->store).id, file,
	                                       0, got, SAVED, &size),
	                 0);
	assert_int_equal(size, SAVED);
	assert_memory_equal(got, all, SAVED);
}

/* The draft's copy of a part of "f" was to go, as that was spilled; this had no
 * room, and then nobody could read what was there. */
static void
what_was_spilled_since_is_not_hidden_where_the_disk_had_failed(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");
	TestAnswer answers[4] = { 0 };

	stage_half_and_all(txn, file, &answers[0]);
	(void)test_stage_file(txn, STORE_ROOT, "g");
	kv_fault_limit(b->disk, LITTLE);
	test_save(txn, &answers[1]);
	assert_int_equal(test_await(&answers[1]), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);

	test_hold_sync(b, &answers[2]);
	store_txn_commit(&txn, test_answered, &answers[3]);
	kv_fault_break(b->disk, true);
	assert_int_equal(test_let_go(b, &answers[2]), -EIO);
	assert_int_equal(test_await(&answers[3]), -EIO);
	kv_fault_break(b->disk, false);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_entry_has_all(b, file);
}

/* Nor where the checkpoint that fails with the disk had ended that draft, and
 * another had been begun since. */
static void
so_it_is_with_the_draft_before(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");
	TestAnswer answers[3] = { 0 };

	stage_half_and_all(txn, file, &answers[0]);
	test_hold_sync(b, &answers[1]);
	store_txn_checkpoint(txn, test_answered, &answers[2]);
	(void)test_stage_file(txn, STORE_ROOT, "g");
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	store_txn_abort(txn);
	kv_fault_break(b->disk, true);
	assert_int_equal(test_let_go(b, &answers[1]), -EIO);
	assert_int_equal(test_await(&answers[2]), -EIO);
	kv_fault_break(b->disk, false);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_entry_has_all(b, file);
}

/* A checkpoint was to end one, and another has been begun since. */
static void
one_draft_is_kept_of_two(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answers[3] = { 0 };

	stage_content(txn, "f", SAVED);
	test_save(txn, &answers[0]);
	assert_int_equal(test_await(&answers[0]), 0);
	test_hold_sync(b, &answers[1]);
	store_txn_checkpoint(txn, test_answered, &answers[2]);
	(void)test_stage_file(txn, STORE_ROOT, "g");
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	kv_fault_break(b->disk, true);
	assert_int_equal(test_let_go(b, &answers[1]), -EIO);
	assert_int_equal(test_await(&answers[2]), -EIO);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	kv_fault_break(b->disk, false);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_undone(b->store).files, 2);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 1);
}

/* ---- behind a checkpoint -------------------------------------------------*/

/* What he has written until then is on its way, and does not arrive. */
static void
who_saves_a_draft_waits_for_the_checkpoint_before_it(void **state)
{
	TestTxn *b = *state;
	g_autofree char *block = g_strnfill(100000, 'x');
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");
	TestAnswer answers[4] = { 0 };

	assert_int_equal(store_file_write(txn, file, 0, block, 100000), 0);
	test_hold_sync(b, &answers[0]);
	store_txn_checkpoint(txn, test_answered, &answers[1]);
	test_save(txn, &answers[2]);
	(void)test_stage_file(txn, STORE_ROOT, "g");
	test_save(txn, &answers[3]);
	kv_fault_limit(b->disk, 20000);
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	assert_int_equal(test_await(&answers[1]), -ENOSPC);
	assert_int_equal(test_await(&answers[2]), -ENOSPC);
	assert_int_equal(test_await(&answers[3]), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	store_txn_abort(txn);
}

/* Nor if he has ended before it does, and all that is left is in the
 * quarantine. */
static void
who_waits_for_a_checkpoint_hears_of_it_after_the_end(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NOSPACE, KV_FAULT_NONE,
		                            KV_FAULT_NONE, KV_FAULT_NOSPACE,
		                            KV_FAULT_NOSPACE };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answers[2] = { 0 };

	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_hold_checkpoint(b, txn, &answers[0]);
	test_save(txn, &answers[1]);
	store_txn_abort(txn);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	assert_int_equal(test_let_go(b, &answers[0]), -ENOSPC);
	assert_int_equal(test_await(&answers[1]), -ENOSPC);
}

/* Nor is he told that all is well where that arrives, and the draft does not. */
static void
who_waits_for_a_checkpoint_hears_of_his_draft(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NONE, KV_FAULT_NOSPACE,
		                            KV_FAULT_NONE, KV_FAULT_NOSPACE,
		                            KV_FAULT_NONE, KV_FAULT_NOSPACE,
		                            KV_FAULT_NONE, KV_FAULT_NOSPACE };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answers[4] = { 0 };

	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_hold_sync(b, &answers[0]);
	store_txn_checkpoint(txn, test_answered, &answers[1]);
	(void)test_stage_file(txn, STORE_ROOT, "g");
	test_save(txn, &answers[2]);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	assert_int_equal(test_await(&answers[1]), 0);
	assert_int_equal(test_await(&answers[2]), -ENOSPC);
	assert_int_equal(test_checkpoint(txn), 0);
	test_save(txn, &answers[3]);
	assert_int_equal(test_await(&answers[3]), 0);
	store_txn_abort(txn);
}

/* While nobody can read what it owns, what it may own is known. */
static void
what_was_spilled_goes_with_who_gives_up_then(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answer = { 0 };

	(void)test_stage_spilled(txn, "f");
	test_save(txn, &answer);
	assert_int_equal(test_await(&answer), 0);
	test_abort_unread(b, g_steal_pointer(&txn));
	test_txn_crash(b, &txn);
	test_assert_nothing_undone(b->store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TXN_TEST(a_draft_is_not_given_up_with_the_batch_before),
		BARE_TEST(a_draft_is_not_given_up_with_the_round_before),
		BARE_TEST(a_draft_on_disk_is_not_given_up_with_a_later_round),
		TXN_TEST(what_was_saved_is_kept_where_the_rest_has_no_room),
		TXN_TEST(what_could_not_be_saved_is_not_kept),
		TXN_TEST(who_waits_for_a_draft_hears_that_the_rest_is_lost),
		BARE_TEST(what_was_saved_stays_where_more_has_no_room),
		SPILLING_TEST(what_was_saved_stays_where_more_has_no_room),
		BARE_TEST(what_had_no_room_is_saved_when_there_is_some),
		SPILLING_TEST(what_had_no_room_is_saved_when_there_is_some),
		BARE_TEST(what_stays_goes_with_its_transaction),
		SPILLING_TEST(what_stays_goes_with_its_transaction),
		BARE_TEST(what_was_saved_is_the_entry_where_more_has_no_room),
		SPILLING_TEST(
			what_was_saved_is_the_entry_where_more_has_no_room),
		BARE_TEST(so_it_is_where_a_commit_has_failed),
		SPILLING_TEST(so_it_is_where_a_commit_has_failed),
		BARE_TEST(so_it_is_where_the_disk_had_failed),
		SPILLING_TEST(so_it_is_where_the_disk_had_failed),
		SPILLING_TEST(
			what_was_spilled_since_is_not_hidden_where_the_disk_had_failed),
		SPILLING_TEST(so_it_is_with_the_draft_before),
		BARE_TEST(one_draft_is_kept_of_two),
		SPILLING_TEST(one_draft_is_kept_of_two),
		TXN_TEST(who_saves_a_draft_waits_for_the_checkpoint_before_it),
		BARE_TEST(who_waits_for_a_checkpoint_hears_of_it_after_the_end),
		BARE_TEST(who_waits_for_a_checkpoint_hears_of_his_draft),
		SPILLING_TEST(what_was_spilled_goes_with_who_gives_up_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
