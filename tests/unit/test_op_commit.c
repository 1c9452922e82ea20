/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * When a client's transaction ends: what the mount tests cannot bring about, or
 * not always. What a commit is to programs is theirs to show.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "fs/op_undo.h"
#include "tests/unit/ends_kit.h"
#include "tests/unit/store_kit.h"

static const FsReason BROKEN = { FS_UNDONE_BREAK, "broken" };

static void
let_go(Ends *ends, FsSession *session, EndsCall *call)
{
	ends_call(ends, call, 1000);
	fs_commit_reply(&call->call, session, 0);
}

/* A message under @session's lock on a mailbag, let go of; its batch is on its
 * way when this returns, and is held there. */
static FsTransaction *
begin_flight(Ends *ends, FsSession *session, EndsCall *call)
{
	FsTransaction *transaction =
		ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);

	ends_stage(ends, session, ENDS_MAI, 10);
	fs_transaction_let_go(transaction, ENDS_KEY);
	kv_fault_hold(ends->store->disk, true);
	let_go(ends, session, call);
	kv_fault_await_held(ends->store->disk);
	assert_int_equal(call->answers, 0);
	return transaction;
}

static void
end_flight(Ends *ends)
{
	kv_fault_hold(ends->store->disk, false);
	ends_run_later(ends);
}

/* ---- on its way ---------------------------------------------------------- */

static void
who_lets_go_is_answered_when_it_is_on_disk(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	EndsCall calls[2];

	begin_flight(ends, session, &calls[0]);
	/* So is who does meanwhile. */
	let_go(ends, session, &calls[1]);
	assert_false(ends_is_seen(ends, ENDS_MAI));
	end_flight(ends);
	for (int i = 0; i < 2; i++)
		ends_assert_answered(&calls[i], 0);
	assert_true(ends_is_seen(ends, ENDS_MAI));
	assert_true(ends_is_free(ends, ENDS_KEY));
	assert_int_equal(ends->names_serial, 1);
}

/* It goes on. */
static void
who_is_killed_does_not_wait_for_what_is_on_its_way(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	EndsCall calls[4];

	begin_flight(ends, session, &calls[0]);
	let_go(ends, session, &calls[1]);
	ends_stage(ends, session, "NEXT.MAI", 10);
	let_go(ends, session, &calls[2]);
	let_go(ends, session, &calls[3]);
	calls[1].of = calls[3].of = 1;
	for (int i = 0; i < 2; i++) {
		test_sessions[1].is_killed = i == 1;
		ends_interrupt(ends, &calls[1]);
		assert_int_equal(calls[1].answers + calls[3].answers, 2 * i);
	}
	assert_int_equal(calls[1].r, -EINTR);
	assert_int_equal(calls[3].r, -EINTR);
	end_flight(ends);
	ends_assert_answered(&calls[0], 0);
	ends_assert_answered(&calls[2], 0);
	assert_true(ends_is_seen(ends, ENDS_MAI));
	assert_true(ends_is_seen(ends, "NEXT.MAI"));
}

/* What became of that is not told, for what is on its way is all the same. */
static void
who_is_killed_is_not_looked_for_where_all_is_undone(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	EndsCall call;

	begin_flight(ends, session, &call);
	fs_undo_session(&ends->mount, session, BROKEN);
	session->is_killed = true;
	ends_interrupt(ends, &call);
	assert_int_equal(call.answers, 0);
	end_flight(ends);
	ends_assert_answered(&call, 0);
}

/* Another thread of its process has it by then. */
static void
who_lets_go_does_not_wait_for_a_later_lock(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction;
	EndsCall calls[2];

	begin_flight(ends, session, &calls[0]);
	let_go(ends, session, &calls[1]);
	transaction = ends_take(ends, session, ENDS_OTHER, FS_LOCK_UPDATE);
	end_flight(ends);
	for (int i = 0; i < 2; i++)
		ends_assert_answered(&calls[i], 0);
	assert_true(ends_is_free(ends, ENDS_KEY));
	assert_false(ends_is_free(ends, ENDS_OTHER));
	ends_finish(ends, transaction, ENDS_OTHER);
}

static void
what_is_staged_before_a_later_lock_is_committed(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction;
	EndsCall calls[2];

	begin_flight(ends, session, &calls[0]);
	ends_stage(ends, session, "NEXT.MAI", 10);
	let_go(ends, session, &calls[1]);
	transaction = ends_take(ends, session, ENDS_OTHER, FS_LOCK_PROCESSING);
	end_flight(ends);
	ends_assert_answered(&calls[0], 0);
	assert_int_equal(calls[1].answers, 0);
	ends_run_later(ends);
	ends_assert_answered(&calls[1], 0);
	assert_true(ends_is_seen(ends, "NEXT.MAI"));
	assert_false(ends_is_free(ends, ENDS_OTHER));
	ends_finish(ends, transaction, ENDS_OTHER);
}

/* Who is in the middle of something may wait for the one that lets go. */
static void
what_may_not_be_seen_is_on_disk_before_the_answer(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction;
	EndsCall calls[2];

	begin_flight(ends, session, &calls[0]);
	ends_stage(ends, session, "NEXT.MAI", 10);
	let_go(ends, session, &calls[1]);
	transaction = ends_take(ends, session, ENDS_QUEUE, FS_LOCK_INQUEUE);
	kv_fault_hold(ends->store->disk, false);
	assert_int_equal(store_sync_wait(ends->mount.store), 0);
	kv_fault_hold(ends->store->disk, true);
	ends_run_later(ends);
	kv_fault_await_held(ends->store->disk);
	ends_assert_answered(&calls[0], 0);
	assert_int_equal(calls[1].answers, 0);
	kv_fault_hold(ends->store->disk, false);
	assert_int_equal(store_sync_wait(ends->mount.store), 0);
	ends_assert_answered(&calls[1], 0);
	assert_false(ends_is_seen(ends, "NEXT.MAI"));

	fs_transaction_let_go(transaction, ENDS_QUEUE);
	assert_int_equal(fs_commit_settle(&ends->mount, session), 0);
	ends_run_later(ends);
	assert_true(ends_is_seen(ends, "NEXT.MAI"));
	assert_int_equal(ends_count_undone(ends), 0);
}

static void
a_torn_message_is_not_committed_before_a_later_lock(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction;
	EndsCall calls[2];
	StoreNode node;

	transaction = begin_flight(ends, session, &calls[0]);
	node = ends_stage(ends, session, "NEXT.MAI", 0);
	assert_int_equal(store_file_write(transaction->txn, node, 1000, "x", 1),
	                 0);
	let_go(ends, session, &calls[1]);
	(void)ends_take(ends, session, ENDS_OTHER, FS_LOCK_PROCESSING);
	end_flight(ends);
	assert_int_equal(store_sync_wait(ends->mount.store), 0);
	ends_assert_answered(&calls[1], 0);
	fs_transaction_let_go(transaction, ENDS_OTHER);
	assert_int_equal(fs_commit_settle(&ends->mount, session), -EIO);
	assert_false(ends_is_seen(ends, "NEXT.MAI"));
	assert_int_equal(ends_count_undone(ends), 1);
}

static void
what_is_on_its_way_arrives_though_its_session_is_broken(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	EndsCall calls[2];

	begin_flight(ends, session, &calls[0]);
	let_go(ends, session, &calls[1]);
	fs_undo_session(&ends->mount, session, BROKEN);
	assert_int_equal(calls[0].answers + calls[1].answers, 0);
	/* Until it has arrived nobody may have what it changes. */
	assert_false(ends_is_free(ends, ENDS_KEY));
	end_flight(ends);
	for (int i = 0; i < 2; i++)
		ends_assert_answered(&calls[i], 0);
	assert_true(ends_is_seen(ends, ENDS_MAI));
	assert_true(ends_is_free(ends, ENDS_KEY));
	assert_int_equal(ends_tell(ends, session, 1000), -EIO);
	assert_int_equal(ends_tell(ends, session, 1000), 0);
}

static void
granted(void *user_data, int r)
{
	assert_int_equal(r, 0);
	++*(int *)user_data;
}

/* It would read what was there before, and change that; and others stand in
 * line. */
static void
who_is_broken_has_not_what_is_on_its_way(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsMailbagAsk ask = { .session = 2, .key = ENDS_KEY };
	FsTransaction *next;
	FsMailbagWait wait;
	int grants = 0;
	EndsCall call;

	begin_flight(ends, session, &call);
	ask.now_us = g_get_monotonic_time();
	assert_int_equal(fs_mailbag_lock_wait(ends->mount.mailbags, &ask,
	                                      granted, &grants, &wait),
	                 0);
	fs_undo_session(&ends->mount, session, BROKEN);
	next = ends_take(ends, session, ENDS_OTHER, FS_LOCK_UPDATE);
	assert_int_equal(fs_transaction_take(next, ENDS_KEY, FS_LOCK_UPDATE,
	                                     g_get_monotonic_time()),
	                 -ETXTBSY);
	fs_commit_press(&ends->mount, ENDS_KEY);
	assert_int_equal(grants, 0);
	end_flight(ends);
	ends_assert_answered(&call, 0);
	assert_int_equal(grants, 1);
	fs_mailbag_lock_drop(ends->mount.mailbags, 2, ENDS_KEY,
	                     g_get_monotonic_time());
	(void)ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);
	fs_transaction_let_go(next, ENDS_KEY);
	ends_finish(ends, next, ENDS_OTHER);
}

/* Who waits for what follows is told that it was undone, and nobody else. */
static void
what_follows_is_undone_by_itself(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	EndsCall calls[2];

	begin_flight(ends, session, &calls[0]);
	ends_stage(ends, session, "NEXT.MAI", 10);
	let_go(ends, session, &calls[1]);
	fs_undo_session(&ends->mount, session, BROKEN);
	ends_assert_answered(&calls[1], -EIO);
	assert_int_equal(ends_tell(ends, session, 1000), 0);
	end_flight(ends);
	assert_int_equal(calls[0].r, 0);
	assert_true(ends_is_seen(ends, ENDS_MAI));
	assert_false(ends_is_seen(ends, "NEXT.MAI"));
	assert_int_equal(ends_count_undone(ends), 1);
}

static void
what_follows_a_failed_batch_fails_with_it(void **state)
{
	static const KvFaultKind ends_of[] = { KV_FAULT_IO };
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	EndsCall call;

	begin_flight(ends, session, &call);
	ends_stage(ends, session, "NEXT.MAI", 10);
	kv_fault_end_commits(ends->store->disk, ends_of, 1);
	end_flight(ends);
	ends_assert_answered(&call, -EIO);
	assert_int_equal(store_sync_wait(ends->mount.store), 0);
	assert_false(ends_is_seen(ends, ENDS_MAI));
	assert_false(ends_is_seen(ends, "NEXT.MAI"));
	assert_int_equal(ends_count_undone(ends), 1);
	assert_true(ends_is_free(ends, ENDS_KEY));
	/* It was told by the answer. */
	assert_int_equal(ends_tell(ends, session, 1000), 0);
}

/* ---- everybody's at once ------------------------------------------------- */

static void
a_message_that_cannot_be_published_is_undone(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	EndsCall call;

	ends_stage(ends, session, ENDS_MAI, 10);
	test_add_file(ends->mount.store, STORE_ROOT, ENDS_MAI);
	let_go(ends, session, &call);
	ends_assert_answered(&call, -EIO);
	assert_int_equal(ends_count_undone(ends), 1);
	assert_int_equal(session->epoch, 1);

	/* The same where what a call came to is asked for. */
	ends_stage(ends, session, "OTHER.MAI", 10);
	test_add_file(ends->mount.store, STORE_ROOT, "OTHER.MAI");
	assert_int_equal(fs_commit_end(&call.call, session, 0), -EIO);
	assert_int_equal(fs_commit_end(&call.call, session, -ENOENT), -ENOENT);
	assert_int_equal(ends_count_undone(ends), 2);
}

static void
a_gap_in_a_message_that_was_removed_is_none(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	StoreNode node = ends_stage(ends, session, ENDS_MAI, 0);
	FsTransaction *transaction =
		fs_transaction_find(ends->mount.transactions, session);

	assert_int_equal(store_file_write(transaction->txn, node, 1000, "x", 1),
	                 0);
	/* It is open still, or it would be gone by now. */
	store_node_hold(ends->mount.store, node);
	test_remove(transaction->txn, STORE_ROOT, ENDS_MAI);
	assert_int_equal(fs_commit_settle(&ends->mount, session), 0);
	store_node_release(ends->mount.store, node);
	assert_int_equal(ends_count_undone(ends), 0);
}

/* ---- under pressure ------------------------------------------------------ */

static void
a_torn_message_is_not_committed_under_pressure(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction =
		ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);
	StoreNode node = ends_stage(ends, session, ENDS_MAI, 0);

	(void)ends_take(ends, session, ENDS_QUEUE, FS_LOCK_INQUEUE);
	fs_transaction_let_go(transaction, ENDS_KEY);
	assert_int_equal(store_file_write(transaction->txn, node, 1000, "x", 1),
	                 0);
	transaction->is_last_index = true;
	fs_commit_press(&ends->mount, ENDS_KEY);
	assert_true(fs_transaction_is_pressed(transaction));
	assert_false(transaction->is_flying);
	assert_false(ends_is_free(ends, ENDS_KEY));

	fs_transaction_let_go(transaction, ENDS_QUEUE);
	assert_int_equal(fs_commit_settle(&ends->mount, session), -EIO);
	assert_int_equal(ends_count_undone(ends), 1);
	assert_true(ends_is_free(ends, ENDS_KEY));
}

static void
who_holds_a_lock_without_a_transaction_is_let_be(void **state)
{
	Ends *ends = *state;

	assert_int_equal(fs_mailbag_lock_try(ends->mount.mailbags, 7, ENDS_KEY,
	                                     g_get_monotonic_time()),
	                 0);
	fs_commit_press(&ends->mount, ENDS_KEY);
	fs_commit_press(&ends->mount, ENDS_OTHER);
	assert_false(ends_is_free(ends, ENDS_KEY));
	fs_mailbag_lock_drop(ends->mount.mailbags, 7, ENDS_KEY,
	                     g_get_monotonic_time());
}

static void
a_mailbag_with_a_range_is_not_idle(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction =
		ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);
	FsTransactionLock lock = { .key = (char *)(uintptr_t)ENDS_KEY,
		                   .forms = 1 };
	FsHandle *handle = fs_handle_open(ends->mount.handles, session,
	                                  STORE_ROOT, LAYOUT_PLAIN);

	handle->key = g_strdup(ENDS_KEY);
	handle->hold = FS_HOLD_HAS;
	handle->used_us = 0;
	assert_true(fs_commit_is_idle(&ends->mount, session, &lock));
	handle->has_range = true;
	assert_false(fs_commit_is_idle(&ends->mount, session, &lock));
	handle->has_range = false;
	handle->used_us = g_get_monotonic_time();
	assert_false(fs_commit_is_idle(&ends->mount, session, &lock));
	fs_handle_close(handle);

	ends_finish(ends, transaction, ENDS_KEY);
}

/* ---- time ---------------------------------------------------------------- */

/* Something staged while an inqueue is kept, and safe to be seen. */
static FsTransaction *
stage_safely(Ends *ends, FsSession *session)
{
	FsTransaction *transaction =
		ends_take(ends, session, ENDS_QUEUE, FS_LOCK_INQUEUE);

	ends_stage(ends, session, ENDS_MAI, 10);
	transaction->is_last_index = true;
	return transaction;
}

static void
what_is_old_is_committed_with_the_next_step(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction = stage_safely(ends, session);

	assert_int_equal(fs_commit_settle(&ends->mount, session), 0);
	assert_false(transaction->is_flying);
	ends_age(ends, session, ends->config.commit_age_s + 1);
	assert_int_equal(fs_commit_settle(&ends->mount, session), 0);
	assert_true(transaction->is_flying);
	ends_run_later(ends);
	assert_true(ends_is_seen(ends, ENDS_MAI));
	ends_finish(ends, transaction, ENDS_QUEUE);
}

/* Though nothing is done, and though it is older than it may be. */
static void
what_is_old_is_committed_when_its_time_has_come(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction = stage_safely(ends, session);

	assert_true(fs_commit_due_us(&ends->mount) < INT64_MAX);
	ends_age(ends, session, ends->config.transaction_limit_s + 1);
	assert_true(fs_commit_due_us(&ends->mount) < g_get_monotonic_time());
	fs_commit_expire(&ends->mount);
	assert_true(transaction->is_flying);
	/* While it is on its way nothing else ends, however old. */
	ends_stage(ends, session, "NEXT.MAI", 10);
	ends_age(ends, session, ends->config.transaction_limit_s + 1);
	assert_true(fs_commit_due_us(&ends->mount) == INT64_MAX);
	fs_commit_expire(&ends->mount);
	assert_true(fs_transaction_is_staged(transaction));
	ends_run_later(ends);
	assert_true(ends_is_seen(ends, ENDS_MAI));
	assert_int_equal(ends_count_undone(ends), 0);
	transaction->is_last_index = true;
	fs_commit_expire(&ends->mount);
	ends_run_later(ends);
	assert_true(ends_is_seen(ends, "NEXT.MAI"));
	ends_finish(ends, transaction, ENDS_QUEUE);
}

static void
what_is_half_done_has_until_the_limit(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction = stage_safely(ends, session);

	transaction->is_last_index = false;
	ends_age(ends, session, ends->config.commit_age_s + 1);
	fs_commit_expire(&ends->mount);
	assert_false(transaction->is_flying);
	assert_int_equal(ends_count_undone(ends), 0);
	ends_age(ends, session, ends->config.transaction_limit_s);
	fs_commit_expire(&ends->mount);
	assert_int_equal(ends_count_undone(ends), 1);
	assert_false(ends_is_seen(ends, ENDS_MAI));
	assert_true(ends_is_free(ends, ENDS_QUEUE));
	assert_int_equal(ends_tell(ends, session, 1000), -EIO);
}

static void
without_limits_nothing_is_due(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction;

	ends->config.commit_age_s = 0;
	ends->config.transaction_limit_s = 0;
	assert_true(fs_commit_due_us(&ends->mount) == INT64_MAX);
	transaction = stage_safely(ends, session);
	ends_age(ends, session, 1000000);
	assert_true(fs_commit_due_us(&ends->mount) == INT64_MAX);
	fs_commit_expire(&ends->mount);
	assert_false(transaction->is_flying);
	assert_int_equal(ends_count_undone(ends), 0);
	fs_transaction_let_go(transaction, ENDS_QUEUE);
	assert_int_equal(fs_commit_settle(&ends->mount, session), 0);
	ends_run_later(ends);
	assert_true(ends_is_seen(ends, ENDS_MAI));
}

static void
one_that_expires_may_end_others(void **state)
{
	Ends *ends = *state;

	ends_stand_dominoes(ends);
	for (int i = 0; i < 2; i++)
		ends_age(ends, &test_sessions[i],
		         ends->config.transaction_limit_s + 1);
	fs_commit_expire(&ends->mount);
	ends_assert_toppled(ends);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ENDS_TEST(who_lets_go_is_answered_when_it_is_on_disk),
		ENDS_TEST(who_is_killed_does_not_wait_for_what_is_on_its_way),
		ENDS_TEST(who_is_killed_is_not_looked_for_where_all_is_undone),
		ENDS_TEST(who_lets_go_does_not_wait_for_a_later_lock),
		ENDS_TEST(what_is_staged_before_a_later_lock_is_committed),
		ENDS_TEST(what_may_not_be_seen_is_on_disk_before_the_answer),
		ENDS_TEST(a_torn_message_is_not_committed_before_a_later_lock),
		ENDS_TEST(
			what_is_on_its_way_arrives_though_its_session_is_broken),
		ENDS_TEST(who_is_broken_has_not_what_is_on_its_way),
		ENDS_TEST(what_follows_is_undone_by_itself),
		ENDS_TEST(what_follows_a_failed_batch_fails_with_it),
		ENDS_TEST(a_message_that_cannot_be_published_is_undone),
		ENDS_TEST(a_gap_in_a_message_that_was_removed_is_none),
		ENDS_TEST(a_torn_message_is_not_committed_under_pressure),
		ENDS_TEST(who_holds_a_lock_without_a_transaction_is_let_be),
		ENDS_TEST(a_mailbag_with_a_range_is_not_idle),
		ENDS_TEST(what_is_old_is_committed_with_the_next_step),
		ENDS_TEST(what_is_old_is_committed_when_its_time_has_come),
		ENDS_TEST(what_is_half_done_has_until_the_limit),
		ENDS_TEST(without_limits_nothing_is_due),
		ENDS_TEST(one_that_expires_may_end_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
