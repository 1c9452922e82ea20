/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Transactions that live long: checkpoints and publishing.
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

/* ---- checkpoints ---------------------------------------------------------*/

static void
a_checkpoint_commits_what_was_changed_until_then(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);

	test_write(txn, file, "one");
	assert_int_equal(test_checkpoint(txn), 0);
	test_assert_text(b->plain, file, "one");
	assert_true(store_txn_is_empty(txn));

	test_write(txn, file, "two");
	assert_false(store_txn_is_empty(txn));
	test_assert_text(b->plain, file, "one");
	test_assert_text(txn, file, "two");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	test_assert_text(b->plain, file, "two");
}

static void
a_transaction_sees_its_checkpoint_while_it_is_under_way(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);
	TestAnswer a;

	test_write(txn, file, "one");
	test_hold_checkpoint(b, txn, &a);
	test_assert_text(b->plain, file, "");
	test_assert_text(txn, file, "one");
	assert_int_equal(store_file_write(txn, file, 3, "two", 3), 0);
	test_assert_text(txn, file, "onetwo");

	assert_int_equal(test_let_go(b, &a), 0);
	test_assert_text(b->plain, file, "one");
	test_assert_text(txn, file, "onetwo");
	assert_int_equal(test_checkpoint(txn), 0);
	test_assert_text(b->plain, file, "onetwo");
	store_txn_abort(txn);
}

static void
a_checkpoint_of_nothing_is_answered_at_once(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	uint64_t commits = kv_fault_commits(b->disk);

	assert_int_equal(test_checkpoint(txn), 0);
	assert_int_equal(kv_fault_commits(b->disk), commits);
	store_txn_abort(txn);
}

static void
a_failed_checkpoint_fails_what_follows(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);
	TestAnswer a;

	assert_int_equal(store_sync_wait(b->store), 0);
	test_write(txn, file, "one");
	kv_fault_limit(b->disk, 1);
	test_hold_checkpoint(b, txn, &a);
	assert_int_equal(store_file_write(txn, file, 3, "two", 3), 0);
	assert_int_equal(test_let_go(b, &a), -ENOSPC);
	kv_fault_limit(b->disk, 0);

	assert_int_equal(test_checkpoint(txn), -ENOSPC);
	assert_int_equal(store_txn_commit_wait(&txn), -ENOSPC);
	test_assert_text(b->plain, file, "");
}

static void
a_commit_behind_a_checkpoint_is_in_order(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);
	TestAnswer first;
	TestAnswer second = { 0 };

	test_write(txn, file, "one");
	test_hold_checkpoint(b, txn, &first);
	assert_int_equal(store_file_write(txn, file, 3, "two", 3), 0);
	store_txn_commit(&txn, test_answered, &second);
	assert_int_equal(test_let_go(b, &first), 0);
	assert_int_equal(test_await(&second), 0);
	test_assert_text(b->plain, file, "onetwo");
}

static void
a_commit_behind_a_failed_checkpoint_fails(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);
	TestAnswer first;
	TestAnswer second = { 0 };

	assert_int_equal(store_sync_wait(b->store), 0);
	test_write(txn, file, "one");
	kv_fault_limit(b->disk, 1);
	test_hold_checkpoint(b, txn, &first);
	(void)test_stage_file(txn, STORE_ROOT, "g");
	store_txn_commit(&txn, test_answered, &second);
	assert_int_equal(test_let_go(b, &first), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(test_await(&second), -ENOSPC);
	test_assert_text(b->plain, file, "");
	assert_false(test_has(b->plain, STORE_ROOT, "g"));
}

static void
an_abort_leaves_the_checkpoint_under_way_alone(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);
	TestAnswer a;

	test_write(txn, file, "one");
	test_hold_checkpoint(b, txn, &a);
	assert_int_equal(store_file_write(txn, file, 3, "two", 3), 0);
	store_txn_abort(txn);
	assert_int_equal(test_let_go(b, &a), 0);
	test_assert_text(b->plain, file, "one");
}

/* ---- publishing ----------------------------------------------------------*/

static void
what_is_published_is_seen_at_once_and_synced_later(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");
	uint64_t commits;

	assert_int_equal(store_sync_wait(b->store), 0);
	commits = kv_fault_commits(b->disk);
	test_write(txn, file, "mail");
	assert_false(test_has(b->plain, STORE_ROOT, "f"));
	assert_int_equal(store_txn_publish(&txn), 0);
	assert_null(txn);
	test_assert_text(b->plain, file, "mail");
	assert_int_equal(kv_fault_commits(b->disk), commits);

	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_reopen(b);
	test_assert_text(b->plain, file, "mail");
}

static void
what_is_published_goes_with_the_next_commit(void **state)
{
	TestTxn *b = *state;
	StoreTxn *mail = test_begin(b);
	StoreTxn *queue = test_begin(b);
	uint64_t commits;

	(void)test_stage_file(mail, STORE_ROOT, "mail");
	(void)test_stage_file(queue, STORE_ROOT, "entry");
	assert_int_equal(store_sync_wait(b->store), 0);
	commits = kv_fault_commits(b->disk);
	assert_int_equal(store_txn_publish(&mail), 0);
	assert_int_equal(store_txn_commit_wait(&queue), 0);
	assert_int_equal(kv_fault_commits(b->disk), commits + 1);
}

static void
nothing_is_published_over_a_checkpoint_under_way(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer a;

	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_hold_checkpoint(b, txn, &a);
	(void)test_stage_file(txn, STORE_ROOT, "g");
	assert_int_equal(store_txn_publish(&txn), -EBUSY);
	assert_non_null(txn);
	assert_int_equal(test_let_go(b, &a), 0);
	assert_int_equal(store_txn_publish(&txn), 0);
	assert_true(test_has(b->plain, STORE_ROOT, "g"));
}

static void
what_a_published_removal_leaves_is_erased(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);
	StoreStat stat;

	test_remove(txn, STORE_ROOT, "f");
	assert_int_equal(store_txn_publish(&txn), 0);
	assert_int_equal(store_file_write(b->plain, file, 0, "x", 1), -ESTALE);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_stat(b->store, &stat), 0);
	assert_int_equal(stat.orphans, 0);
	assert_int_equal(stat.files, 0);
}

/* ---- what cannot be read -------------------------------------------------*/

/* What it would stand on cannot be verified, so it is not committed. */
static void
what_is_staged_over_what_cannot_be_read_is_not_committed(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	int error;

	assert_int_equal(store_sync_wait(b->store), 0);
	g_mutex_lock(&b->store->lock);
	for (StoreNode node = 1000; node < 1002; node++) {
		RecordKey key = record_key_node(node);

		kv_fault_plan(b->disk, KV_FAULT_IO, 1);
		txn_delete(txn, record_slice(&key));
		kv_fault_plan(b->disk, KV_FAULT_NONE, 0);
	}
	error = txn->error;
	g_mutex_unlock(&b->store->lock);
	assert_int_equal(error, -EIO);
	assert_int_equal(store_txn_commit_wait(&txn), -EIO);
}

static void
what_cannot_be_read_is_not_changed_in_part(void **state)
{
	TestTxn *b = *state;
	RecordKey key = record_key_chunk(1000, 0);
	StoreTxn *txn = test_begin(b);
	uint8_t *bytes = NULL;
	int r;

	assert_int_equal(store_sync_wait(b->store), 0);
	g_mutex_lock(&b->store->lock);
	kv_fault_plan(b->disk, KV_FAULT_IO, 1);
	r = txn_edit(txn, record_slice(&key), 10, &bytes);
	kv_fault_plan(b->disk, KV_FAULT_NONE, 0);
	g_mutex_unlock(&b->store->lock);
	assert_int_equal(r, -EIO);
	assert_null(bytes);
	assert_true(store_txn_is_empty(txn));
	store_txn_abort(txn);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TXN_TEST(a_checkpoint_commits_what_was_changed_until_then),
		TXN_TEST(
			a_transaction_sees_its_checkpoint_while_it_is_under_way),
		TXN_TEST(a_checkpoint_of_nothing_is_answered_at_once),
		TXN_TEST(a_failed_checkpoint_fails_what_follows),
		TXN_TEST(a_commit_behind_a_checkpoint_is_in_order),
		TXN_TEST(a_commit_behind_a_failed_checkpoint_fails),
		TXN_TEST(an_abort_leaves_the_checkpoint_under_way_alone),
		TXN_TEST(what_is_published_is_seen_at_once_and_synced_later),
		TXN_TEST(what_is_published_goes_with_the_next_commit),
		TXN_TEST(nothing_is_published_over_a_checkpoint_under_way),
		TXN_TEST(what_a_published_removal_leaves_is_erased),
		TXN_TEST(
			what_is_staged_over_what_cannot_be_read_is_not_committed),
		TXN_TEST(what_cannot_be_read_is_not_changed_in_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
