/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What becomes of a group of commits when things go wrong, one after another:
 * a failed commit, then a failed recovery; no room, then a failed disk; who
 * waits for more than one batch.
 */

#include <errno.h>
#include <limits.h>
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

static int
commit_new_file(TestTxn *b, const char *name)
{
	StoreTxn *txn = test_begin(b);

	(void)test_stage_file(txn, STORE_ROOT, name);
	return store_txn_commit_wait(&txn);
}

/* ---- the engine's answers ------------------------------------------------*/

static void
the_engine_may_answer_on_another_thread(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NOSPACE, KV_FAULT_NONE,
		                            KV_FAULT_NONE };
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);

	kv_fault_answer_later(b->disk, true);
	for (int i = 0; i < 20; i++)
		assert_int_equal(store_sync_wait(b->store), 0);
	/* The second try of a group is answered by itself. */
	test_write(txn, file, "new");
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	test_txn_reopen(b);
	test_assert_text(b->plain, file, "new");
}

/* The file was there before for everybody, and in the same batch. */
static void
what_is_done_is_seen_though_the_database_cannot_be_read(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);

	test_write(b->plain, file, "before");
	test_write(txn, file, "after!");
	kv_fault_fail_snapshots(b->disk, 1);
	kv_fault_fail_reopens(b->disk, UINT_MAX);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	test_assert_text(b->plain, file, "after!");
	kv_fault_fail_reopens(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_assert_text(b->plain, file, "after!");
}

/* Nothing is cut where what is cut cannot be read. */
static void
a_full_disk_that_cannot_be_read_lets_nothing_in(void **state)
{
	TestTxn *b = *state;
	g_autofree char *block = g_strnfill(10000, 'x');
	g_autofree char *got = g_malloc(10000);
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	size_t size = 0;

	assert_int_equal(store_file_write(b->plain, file, 0, block, 10000), 0);
	kv_fault_limit(b->disk, 1000);
	kv_fault_fail_snapshots(b->disk, 1);
	kv_fault_fail_reopens(b->disk, UINT_MAX);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	assert_int_equal(store_file_truncate(b->plain, file, 5000), -EIO);
	kv_fault_limit(b->disk, 0);
	kv_fault_fail_reopens(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_file_read(b->plain, file, 0, got, 10000, &size),
	                 0);
	assert_int_equal(size, 10000);
	assert_memory_equal(got, block, size);
}

static void
a_database_that_opens_but_cannot_be_read_stays_in_doubt(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_UNKNOWN_DONE };
	TestTxn *b = *state;

	assert_int_equal(store_sync_wait(b->store), 0);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	kv_fault_fail_snapshots(b->disk, 1);
	assert_int_equal(commit_new_file(b, "f"), -EIO);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_true(test_has(b->plain, STORE_ROOT, "f"));
	assert_int_equal(test_undone(b->store).count, 0);
}

/* Opens another store on the disk of @b, as if it could, and writes twice. */
static void
intrude(TestTxn *b)
{
	Store *other = NULL;

	assert_int_equal(test_fault_open(b->disk, &other), 0);
	test_add_file(other, STORE_ROOT, "theirs");
	assert_int_equal(store_sync_wait(other), 0);
	assert_int_equal(store_close(other), 0);
}

/* After that, @b's store has nothing more to say. */
static void
assert_lost(TestTxn *b)
{
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	StoreTxn *none = NULL;

	assert_int_equal(store_sync_wait(b->store), -EIO);
	assert_int_equal(
		store_name_add(b->plain, STORE_ROOT, "more", &attr, &attr),
		-EIO);
	assert_int_equal(store_quarantine_discard(b->store, 1), -EIO);
	test_txn_crash(b, &none);
	assert_true(test_has(b->plain, STORE_ROOT, "theirs"));
	assert_false(test_has(b->plain, STORE_ROOT, "ours"));
}

static void
another_writer_is_noticed_after_a_failure(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_IO };
	TestTxn *b = *state;

	assert_int_equal(store_sync_wait(b->store), 0);
	intrude(b);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	assert_int_equal(commit_new_file(b, "ours"), -EIO);
	assert_lost(b);
}

static void
another_writer_is_noticed_when_the_disk_is_back(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_IO };
	TestTxn *b = *state;

	test_add_file(b->store, STORE_ROOT, "ours");
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	kv_fault_fail_reopens(b->disk, 1);
	assert_int_equal(store_sync_wait(b->store), -EIO);
	intrude(b);
	assert_lost(b);
}

/* ---- groups --------------------------------------------------------------*/

static void
what_follows_a_checkpoint_is_in_the_next_batch(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	uint64_t commits;
	TestAnswer answers[3] = { 0 };

	test_hold_sync(b, &answers[0]);
	(void)test_stage_file(txn, STORE_ROOT, "one");
	store_txn_checkpoint(txn, test_answered, &answers[1]);
	(void)test_stage_file(txn, STORE_ROOT, "two");
	store_txn_commit(&txn, test_answered, &answers[2]);
	commits = kv_fault_commits(b->disk);
	kv_fault_hold(b->disk, false);
	for (int i = 0; i < 3; i++)
		assert_int_equal(test_await(&answers[i]), 0);
	assert_int_equal(kv_fault_commits(b->disk), commits + 3);
	assert_true(test_has(b->plain, STORE_ROOT, "one"));
	assert_true(test_has(b->plain, STORE_ROOT, "two"));
}

/* Both of them: what is on its way, and what follows. */
static void
who_waits_when_the_disk_is_gone_is_kept(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_IO };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answers[3] = { 0 };

	test_hold_sync(b, &answers[0]);
	(void)test_stage_file(txn, STORE_ROOT, "one");
	store_txn_checkpoint(txn, test_answered, &answers[1]);
	(void)test_stage_file(txn, STORE_ROOT, "two");
	store_txn_commit(&txn, test_answered, &answers[2]);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	kv_fault_fail_reopens(b->disk, 2);
	kv_fault_hold(b->disk, false);
	for (int i = 0; i < 3; i++)
		assert_int_equal(test_await(&answers[i]), -EIO);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_false(test_has(b->plain, STORE_ROOT, "one"));
	assert_false(test_has(b->plain, STORE_ROOT, "two"));
	assert_int_equal(test_undone(b->store).count, 2);
}

static void
a_checkpoint_in_doubt_leaves_the_first_error(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_IO };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "one");
	TestAnswer a;

	test_hold_checkpoint(b, txn, &a);
	assert_int_equal(
		store_file_write(txn, file, STORE_FILE_SIZE_MAX, "x", 1),
		-EFBIG);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	kv_fault_fail_reopens(b->disk, 1);
	assert_int_equal(test_let_go(b, &a), -EIO);
	assert_int_equal(store_txn_commit_wait(&txn), -EFBIG);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_false(test_has(b->plain, STORE_ROOT, "one"));
	assert_int_equal(test_undone(b->store).count, 1);
}

/* Two that want the same, in one batch that ends in doubt. */
static void
who_was_stale_is_not_in_doubt(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NONE,
		                            KV_FAULT_UNKNOWN_DONE };
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *stale = test_begin(b);
	StoreTxn *good = test_begin(b);
	TestAnswer answers[3] = { 0 };

	test_write(stale, file, "mine");
	test_write(b->plain, file, "yours");
	(void)test_stage_file(good, STORE_ROOT, "g");
	test_hold_sync(b, &answers[0]);
	store_txn_commit(&stale, test_answered, &answers[1]);
	store_txn_commit(&good, test_answered, &answers[2]);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	kv_fault_fail_reopens(b->disk, 1);
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	assert_int_equal(test_await(&answers[1]), -ESTALE);
	assert_int_equal(test_await(&answers[2]), -EIO);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_assert_text(b->plain, file, "yours");
	assert_true(test_has(b->plain, STORE_ROOT, "g"));
}

/* Nor is it seen where the others' changes are, though nobody can read them. */
static void
who_was_stale_is_not_seen_while_the_database_cannot_be_read(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *stale = test_begin(b);
	StoreTxn *good = test_begin(b);
	TestAnswer answers[3] = { 0 };
	StoreNode made;

	test_write(stale, file, "mine");
	test_write(b->plain, file, "yours");
	made = test_stage_file(good, STORE_ROOT, "g");
	test_write(good, made, "good");
	test_hold_sync(b, &answers[0]);
	test_write(b->plain, file, "yours");
	store_txn_commit(&stale, test_answered, &answers[1]);
	store_txn_commit(&good, test_answered, &answers[2]);
	kv_fault_fail_later_snapshots(b->disk, 1, 1);
	kv_fault_fail_reopens(b->disk, UINT_MAX);
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	assert_int_equal(test_await(&answers[1]), -ESTALE);
	assert_int_equal(test_await(&answers[2]), 0);
	test_assert_text(b->plain, file, "yours");
	test_assert_text(b->plain, made, "good");
	kv_fault_fail_reopens(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_assert_text(b->plain, file, "yours");
	test_assert_text(b->plain, made, "good");
}

/* ---- no room -------------------------------------------------------------*/

/* What does not fit together fits one by one; who waits for plain changes has
 * them with the first. */
static void
a_group_without_room_is_committed_one_by_one(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	g_autofree char *block = g_strnfill(15000, 'x');
	StoreTxn *stale = test_begin(b);
	StoreTxn *large[2] = { test_begin(b), test_begin(b) };
	TestAnswer answers[5] = { 0 };

	test_write(stale, file, "mine");
	test_write(b->plain, file, "yours");
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			store_file_write(large[i],
		                         test_stage_file(large[i], STORE_ROOT,
		                                         i ? "b" : "a"),
		                         0, block, 15000),
			0);
	test_hold_sync(b, &answers[0]);
	store_txn_commit(&stale, test_answered, &answers[1]);
	store_txn_commit(&large[0], test_answered, &answers[2]);
	store_txn_commit(&large[1], test_answered, &answers[3]);
	store_sync(b->store, test_answered, &answers[4]);
	kv_fault_limit(b->disk, 20000);
	assert_int_equal(test_let_go(b, &answers[1]), -ESTALE);
	assert_int_equal(test_await(&answers[2]), 0);
	assert_int_equal(test_await(&answers[3]), 0);
	assert_int_equal(test_await(&answers[4]), 0);
	kv_fault_limit(b->disk, 0);
	assert_true(test_has(b->plain, STORE_ROOT, "a"));
	assert_true(test_has(b->plain, STORE_ROOT, "b"));
}

/* The batch of nothing that is to make room does not arrive. */
static void
a_full_disk_that_dies_commits_none_of_a_group(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NONE, KV_FAULT_NOSPACE,
		                            KV_FAULT_IO };
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	StoreTxn *txns[2];
	TestTxn *b;
	TestAnswer answers[3] = { 0 };

	options.journal_max = 0;
	b = test_txn_new(&options);
	txns[0] = test_begin(b);
	txns[1] = test_begin(b);
	(void)test_stage_file(txns[0], STORE_ROOT, "a");
	(void)test_stage_file(txns[1], STORE_ROOT, "b");
	test_hold_sync(b, &answers[0]);
	store_txn_commit(&txns[0], test_answered, &answers[1]);
	store_txn_commit(&txns[1], test_answered, &answers[2]);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	kv_fault_fail_reopens(b->disk, 1);
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	assert_int_equal(test_await(&answers[1]), -EIO);
	assert_int_equal(test_await(&answers[2]), -EIO);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_false(test_has(b->plain, STORE_ROOT, "a"));
	assert_false(test_has(b->plain, STORE_ROOT, "b"));
	assert_int_equal(test_undone(b->store).count, 2);
	test_txn_free(b);
}

/* The same before the second try, without what the journal had to keep. */
static void
a_full_disk_that_dies_is_not_tried_again(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NOSPACE, KV_FAULT_IO };
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);

	assert_int_equal(store_sync_wait(b->store), 0);
	test_write(txn, file, "new");
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	kv_fault_fail_reopens(b->disk, 1);
	assert_int_equal(store_txn_commit_wait(&txn), -EIO);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_assert_text(b->plain, file, "");
	assert_int_equal(test_undone(b->store).count, 1);
}

/* ---- what is left to be erased -------------------------------------------*/

/* More than a round may erase. */
#define MANY 4200

static void
a_long_entry_of_the_journal_is_erased_in_steps(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	gint64 deadline = test_deadline();

	for (int i = 0; i < MANY; i++) {
		char name[16];

		g_snprintf(name, sizeof(name), "%d", i);
		(void)test_stage_file(txn, STORE_ROOT, name);
	}
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_true(test_count_records(b->store, RECORD_JOURNAL) > MANY);
	g_mutex_lock(&b->store->lock);
	b->store->options.journal_age_s = 0;
	g_mutex_unlock(&b->store->lock);
	/* Unasked but for the first round; what stays says since when. */
	while (test_count_records(b->store, RECORD_JOURNAL) > 1)
		assert_true(g_get_monotonic_time() < deadline);
}

/* No more may be pending than the disk takes in two seconds. */
static void
the_window_fits_the_disk(void **state)
{
	const uint64_t mib = 1 << 20;
	const int64_t s = G_USEC_PER_SEC;

	(void)state;
	assert_int_equal(committer_window(8 * mib, 32 * mib, 3 * mib, 9 * s),
	                 8 * mib); /* so little says nothing */
	assert_int_equal(committer_window(8 * mib, 32 * mib, 8 * mib, 3 * s),
	                 4 * mib);
	assert_int_equal(committer_window(1 * mib, 32 * mib, 1 * mib, 9 * s),
	                 1 * mib);
	assert_int_equal(
		committer_window(8 * mib, 32 * mib, 8 * mib, 3 * s / 2),
		8 * mib);
	assert_int_equal(committer_window(8 * mib, 32 * mib, 8 * mib, s / 2),
	                 16 * mib);
	assert_int_equal(committer_window(32 * mib, 32 * mib, 32 * mib, s / 2),
	                 32 * mib);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_fits_the_disk),
		TXN_TEST(the_engine_may_answer_on_another_thread),
		TXN_TEST(
			a_database_that_opens_but_cannot_be_read_stays_in_doubt),
		TXN_TEST(
			what_is_done_is_seen_though_the_database_cannot_be_read),
		TXN_TEST(a_full_disk_that_cannot_be_read_lets_nothing_in),
		TXN_TEST(another_writer_is_noticed_after_a_failure),
		TXN_TEST(another_writer_is_noticed_when_the_disk_is_back),
		TXN_TEST(what_follows_a_checkpoint_is_in_the_next_batch),
		TXN_TEST(who_waits_when_the_disk_is_gone_is_kept),
		TXN_TEST(a_checkpoint_in_doubt_leaves_the_first_error),
		TXN_TEST(who_was_stale_is_not_in_doubt),
		TXN_TEST(
			who_was_stale_is_not_seen_while_the_database_cannot_be_read),
		TXN_TEST(a_group_without_room_is_committed_one_by_one),
		cmocka_unit_test(a_full_disk_that_dies_commits_none_of_a_group),
		TXN_TEST(a_full_disk_that_dies_is_not_tried_again),
		TXN_TEST(a_long_entry_of_the_journal_is_erased_in_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
