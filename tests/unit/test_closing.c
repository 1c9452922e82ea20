/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The last rounds of a store that closes: who asks then, and what fails then.
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

/* Writes something and asks for it, from the answer to the last one. */
typedef struct Chain {
	KvFaultDisk *disk;
	Store *store;
	int left;         /* how often still */
	uint64_t commits; /* when it asked */
} Chain;

static void
ask_again(void *user_data, int r)
{
	static const char *const names[] = { "a", "b", "c" };
	Chain *chain = user_data;

	assert_int_equal(r, 0);
	assert_true(kv_fault_commits(chain->disk) > chain->commits);
	if (chain->left == 0)
		return;
	test_add_file(chain->store, STORE_ROOT, names[--chain->left]);
	chain->commits = kv_fault_commits(chain->disk);
	store_sync(chain->store, ask_again, chain);
}

static void *
close_store(void *user_data)
{
	return GINT_TO_POINTER(store_close(user_data));
}

static void
await_stop(Store *store)
{
	gint64 deadline = test_deadline();
	bool is_stopping = false;

	while (!is_stopping) {
		assert_true(g_get_monotonic_time() < deadline);
		g_mutex_lock(&store->lock);
		is_stopping = store->stop;
		g_mutex_unlock(&store->lock);
		g_thread_yield();
	}
}

static void
who_asks_while_the_store_closes_is_answered(void **state)
{
	g_autoptr(KvFaultDisk) disk = kv_fault_disk_new();
	Chain chain = { .disk = disk, .left = 3 };
	GThread *closer;

	test_fault_format(disk);
	assert_int_equal(test_fault_open(disk, &chain.store), 0);
	kv_fault_hold(disk, true);
	store_sync(chain.store, ask_again, &chain);
	kv_fault_await_held(disk);
	closer = g_thread_new("close", close_store, chain.store);
	await_stop(chain.store);
	kv_fault_hold(disk, false);
	assert_int_equal(GPOINTER_TO_INT(g_thread_join(closer)), 0);
	assert_int_equal(chain.left, 0);
}

/* Closes the store while the disk holds a round, so that there is one more. */
static void
close_held(TestTxn *b, TestAnswer *held)
{
	GThread *closer = g_thread_new("close", close_store, b->store);

	await_stop(b->store);
	assert_int_equal(test_let_go(b, held), 0);
	(void)g_thread_join(closer);
}

static void
open_again(TestTxn *b)
{
	assert_int_equal(test_fault_open_with(b->disk, &b->options, &b->store),
	                 0);
	b->plain = store_plain(b->store);
}

static void
a_commit_that_is_stale_then_is_kept(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer held = { 0 };
	TestAnswer answer = { 0 };

	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_hold_sync(b, &held);
	test_add_file(b->store, STORE_ROOT, "f");
	store_txn_commit(&txn, test_answered, &answer);
	close_held(b, &held);
	assert_int_equal(test_await(&answer), -ESTALE);
	open_again(b);
	assert_int_equal(test_undone(b->store).count, 1);
}

/* Its transaction has been given up before. */
static void
a_checkpoint_that_has_no_room_then_is_kept(void **state)
{
	/* All, and what makes room; what is plain; it alone, and in parts. */
	static const KvFaultKind ends[] = {
		KV_FAULT_NONE, KV_FAULT_NOSPACE, KV_FAULT_NONE,
		KV_FAULT_NONE, KV_FAULT_NOSPACE, KV_FAULT_NOSPACE
	};
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer held = { 0 };
	TestAnswer answer = { 0 };

	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_hold_sync(b, &held);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	store_txn_checkpoint(txn, test_answered, &answer);
	store_txn_abort(txn);
	close_held(b, &held);
	assert_int_equal(test_await(&answer), -ENOSPC);
	open_again(b);
	assert_int_equal(test_undone(b->store).count, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_asks_while_the_store_closes_is_answered),
		BARE_TEST(a_commit_that_is_stale_then_is_kept),
		BARE_TEST(a_checkpoint_that_has_no_room_then_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
