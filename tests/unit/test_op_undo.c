/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * When a client's transaction is rolled back: who lets go, how the processes
 * have ended, and what cannot be known of that.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fs/op_undo.h"
#include "tests/unit/ends_kit.h"
#include "tests/unit/undone_kit.h"

static const FsReason STOPPED = { FS_UNDONE_STOP, "the server ended" };

/* Who a session's process is. */
static void
be_smbd(FsSession *session, bool is_smbd)
{
	session->has_peer = true;
	session->peer.is_smbd = is_smbd;
	g_strlcpy(session->peer.command, is_smbd ? "smbd" : "mail\n",
	          sizeof session->peer.command);
}

/* ---- what is kept -------------------------------------------------------- */

static void
the_reason_says_whose_it_was(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];

	ends_stage(ends, session, ENDS_MAI, 10);
	fs_undo_session(&ends->mount, session, STOPPED);
	assert_string_equal(test_undone(ends->mount.store).reason,
	                    "the server ended");

	be_smbd(session, false);
	ends_stage(ends, session, ENDS_MAI, 10);
	fs_undo_stop(&ends->mount, STOPPED);
	assert_string_equal(test_undone(ends->mount.store).reason,
	                    "the server ended (mail\\n)");
	assert_int_equal(session->epoch, 2);
	/* There is nothing more of it. */
	fs_undo_session(&ends->mount, session, STOPPED);
	assert_int_equal(session->epoch, 2);
}

static void
what_cannot_be_kept_is_undone_all_the_same(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction =
		ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);
	FsHandle *handle = fs_handle_open(ends->mount.handles, session,
	                                  STORE_ROOT, LAYOUT_PLAIN);
	FsHandle *other = fs_handle_open(ends->mount.handles, session,
	                                 STORE_ROOT, LAYOUT_PLAIN);

	handle->has_range = true;
	ends_stage(ends, session, ENDS_MAI, 10);
	fs_transaction_let_go(transaction, ENDS_KEY);
	kv_fault_leave_room(ends->store->disk, 4096);
	fs_undo_session(&ends->mount, session, STOPPED);
	kv_fault_leave_room(ends->store->disk, 0);
	assert_int_equal(ends_count_undone(ends), 0);
	assert_true(ends_is_free(ends, ENDS_KEY));
	assert_false(handle->has_range);
	assert_true(fs_handle_is_stale(handle));
	assert_int_equal(ends_tell(ends, session, 1000), -EIO);
	fs_handle_close(handle);
	fs_handle_close(other);
}

/* ---- who lets go, and how ------------------------------------------------ */

static FsUndone
look(Ends *ends, uid_t uid)
{
	EndsCall call;

	ends_call(ends, &call, uid);
	return fs_undo_look(&call.call, &test_sessions[0]).why;
}

static void
who_closes_as_root_has_lost_its_client_unless_it_is_local(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];

	assert_int_equal(look(ends, 1000), FS_UNDONE_NOT);
	assert_int_equal(look(ends, 0), FS_UNDONE_DISCONNECT);
	be_smbd(session, true);
	assert_int_equal(look(ends, 0), FS_UNDONE_DISCONNECT);
	assert_int_equal(look(ends, 1000), FS_UNDONE_NOT);
	be_smbd(session, false);
	assert_int_equal(look(ends, 0), FS_UNDONE_NOT);
}

static void
who_ends_in_order_has_closed_unless_it_is_smbd(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];

	session->end = FS_THREAD_EXITS;
	assert_int_equal(look(ends, 1000), FS_UNDONE_DEATH);
	be_smbd(session, true);
	assert_int_equal(look(ends, 1000), FS_UNDONE_DEATH);
	be_smbd(session, false);
	assert_int_equal(look(ends, 1000), FS_UNDONE_NOT);

	session->end = FS_THREAD_FAILS;
	assert_int_equal(look(ends, 1000), FS_UNDONE_DEATH);
	session->end = FS_THREAD_IS_KILLED;
	assert_int_equal(look(ends, 1000), FS_UNDONE_DEATH);
	session->end = FS_THREAD_GOES_ON;
	assert_int_equal(look(ends, 1000), FS_UNDONE_NOT);
	session->end_r = -ETIMEDOUT;
	assert_int_equal(look(ends, 1000), FS_UNDONE_DEATH);
}

static void
how_it_closes_matters_if_there_is_something_to_undo(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction;
	EndsCall call;

	ends_call(ends, &call, 1000);
	assert_false(fs_undo_is_due(&call.call, session));
	transaction = ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);
	assert_false(fs_undo_is_due(&call.call, session));
	ends_stage(ends, session, ENDS_MAI, 10);
	assert_true(fs_undo_is_due(&call.call, session));
	/* Of callers that cannot be told apart nobody is looked at. */
	session->pid = 0;
	assert_false(fs_undo_is_due(&call.call, session));
	assert_false(fs_undo_is_user(&call.call, session, &test_sessions[1]));
	fs_transaction_let_go(transaction, ENDS_KEY);
	fs_undo_session(&ends->mount, session, STOPPED);
}

/* To unlock a range is a way to let go, too. */
static void
an_unlock_of_who_has_lost_its_client_undoes(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	EndsCall call;

	ends_call(ends, &call, 0);
	assert_false(fs_undo_lost(&call.call, session));
	ends_stage(ends, session, ENDS_MAI, 10);
	call.call.caller.uid = 1000;
	assert_false(fs_undo_lost(&call.call, session));
	assert_int_equal(ends_count_undone(ends), 0);
	call.call.caller.uid = 0;
	assert_true(fs_undo_lost(&call.call, session));
	assert_int_equal(ends_count_undone(ends), 1);
	/* Nobody hears what smbd is told for want of a client. */
	assert_int_equal(ends_tell(ends, session, 0), -EIO);
	assert_int_equal(ends_tell(ends, session, 1000), -EIO);
	assert_int_equal(ends_tell(ends, session, 1000), 0);
}

/* ---- who uses what others have opened ------------------------------------ */

/* How @user is found to have ended when @closes_of's file is closed, or NULL. */
static FsUndone
look_user(FsSession *user, const FsSession *closes_of, bool want_over)
{
	bool is_over = !want_over;
	FsReason reason = fs_undo_look_user(user, closes_of, &is_over);

	assert_int_equal(is_over, want_over);
	return reason.why;
}

static void
a_user_that_was_killed_undoes_and_one_that_exits_is_over(void **state)
{
	const FsSession *opener = &test_sessions[0];
	FsSession *user = &test_sessions[1];

	assert_int_equal(look_user(user, NULL, false), FS_UNDONE_NOT);
	user->end = FS_THREAD_EXITS;
	assert_int_equal(look_user(user, NULL, true), FS_UNDONE_NOT);
	user->end = FS_THREAD_FAILS;
	assert_int_equal(look_user(user, opener, true), FS_UNDONE_NOT);
	user->end = FS_THREAD_IS_KILLED;
	assert_int_equal(look_user(user, opener, false), FS_UNDONE_DEATH);
}

/* Its parent has the file, and waits for it. */
static void
a_child_that_closes_is_over(void **state)
{
	const FsSession *opener = &test_sessions[0];
	FsSession *user = &test_sessions[1];

	user->parent = opener->pid;
	assert_int_equal(look_user(user, opener, true), FS_UNDONE_NOT);
	user->parent = 1;
	assert_int_equal(look_user(user, opener, false), FS_UNDONE_NOT);
	user->parent_r = -ESRCH;
	assert_int_equal(look_user(user, opener, false), FS_UNDONE_NOT);
}

static void
a_user_that_cannot_be_looked_at_undoes_unless_it_executes(void **state)
{
	const FsSession *opener = &test_sessions[0];
	FsSession *user = &test_sessions[1];

	user->end_r = -ETIMEDOUT;
	assert_int_equal(look_user(user, opener, false), FS_UNDONE_NOT);
	assert_int_equal(look_user(user, NULL, false), FS_UNDONE_DEATH);
	user->end_r = -EIO;
	assert_int_equal(look_user(user, opener, false), FS_UNDONE_DEATH);
}

static void
the_death_of_a_user_undoes_what_it_used(void **state)
{
	Ends *ends = *state;
	FsSession *opener = &test_sessions[0];
	FsSession *user = &test_sessions[1];
	FsTransaction *transaction =
		ends_take(ends, opener, ENDS_KEY, FS_LOCK_UPDATE);
	EndsCall call;

	ends_call(ends, &call, 1000);
	user->end = FS_THREAD_IS_KILLED;
	/* Of what it did not use it is nobody's business. */
	ends_stage(ends, opener, ENDS_MAI, 10);
	assert_false(fs_undo_is_user(&call.call, opener, user));
	fs_undo_user_ended(&ends->mount, user);
	assert_int_equal(ends_count_undone(ends), 0);

	fs_transaction_add_user(transaction, user);
	assert_true(fs_undo_is_user(&call.call, opener, user));
	fs_undo_user_ended(&ends->mount, user);
	assert_int_equal(ends_count_undone(ends), 1);
	assert_true(ends_is_free(ends, ENDS_KEY));
	assert_int_equal(ends_tell(ends, opener, 1000), -EIO);
}

static void
the_death_of_a_user_is_nothing_where_nothing_is_staged(void **state)
{
	Ends *ends = *state;
	FsSession *opener = &test_sessions[0];
	FsSession *user = &test_sessions[1];
	FsTransaction *transaction =
		ends_take(ends, opener, ENDS_KEY, FS_LOCK_UPDATE);

	user->end = FS_THREAD_IS_KILLED;
	fs_transaction_add_user(transaction, user);
	fs_undo_user_ended(&ends->mount, user);
	assert_int_equal(user->refs, 0);
	assert_int_equal(opener->epoch, 0);
	ends_finish(ends, transaction, ENDS_KEY);
}

/* So one of them is gone when it is looked at. */
static void
the_death_of_a_user_may_end_others(void **state)
{
	Ends *ends = *state;
	FsSession *user = &test_sessions[2];

	user->end = FS_THREAD_IS_KILLED;
	ends_stand_dominoes(ends);
	for (int i = 0; i < 2; i++)
		fs_transaction_add_user(
			fs_transaction_find(ends->mount.transactions,
		                            &test_sessions[i]),
			user);
	fs_undo_user_ended(&ends->mount, user);
	assert_int_equal(user->refs, 0);
	ends_assert_toppled(ends);
}

/* ---- what was to be deleted ---------------------------------------------- */

static uint64_t
number_of(const Ends *ends, StoreNode node)
{
	StoreAttr attr = { .node = node, .mode = S_IFREG };

	return fs_numbers_get(ends->mount.numbers, &attr);
}

/* Whether the number of @node is another when @session, which has looked at it,
 * is undone. */
static bool
is_renumbered(Ends *ends, FsSession *session, StoreNode node)
{
	uint64_t before = number_of(ends, node);
	FsTransaction *transaction =
		ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);

	fs_transaction_see(transaction, node);
	fs_undo_session(&ends->mount, session, STOPPED);
	return number_of(ends, node) != before;
}

static void
what_the_undone_may_have_marked_is_another_file(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsHandle *own = fs_handle_open(ends->mount.handles, session, 12,
	                               LAYOUT_MESSAGE);

	assert_true(is_renumbered(ends, session, 11));
	assert_true(is_renumbered(ends, session, 12));
	fs_handle_close(own);
}

static void
what_another_has_open_is_another_file_when_it_is_closed(void **state)
{
	Ends *ends = *state;
	FsNumbers *numbers = ends->mount.numbers;
	FsSession *session = &test_sessions[0];
	FsHandle *elsewhere = fs_handle_open(
		ends->mount.handles, &test_sessions[1], 12, LAYOUT_MESSAGE);
	uint64_t before = number_of(ends, 12);

	assert_false(is_renumbered(ends, session, 12));
	assert_true(fs_numbers_owes(numbers, 12));
	fs_handle_close(elsewhere);
	fs_numbers_settle(numbers, 12);
	assert_int_not_equal(number_of(ends, 12), before);
	assert_false(fs_numbers_owes(numbers, 12));
	before = number_of(ends, 12);
	fs_numbers_settle(numbers, 12);
	assert_int_equal(number_of(ends, 12), before);
}

static void
so_is_a_message_that_it_has_open(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsHandle *message = fs_handle_open(ends->mount.handles, session, 11,
	                                   LAYOUT_MESSAGE);
	FsHandle *mailbag = fs_handle_open(ends->mount.handles, session, 12,
	                                   LAYOUT_MAILBAG);
	uint64_t before[] = { number_of(ends, 11), number_of(ends, 12) };

	(void)ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);
	fs_undo_session(&ends->mount, session, STOPPED);
	assert_int_not_equal(number_of(ends, 11), before[0]);
	assert_int_equal(number_of(ends, 12), before[1]);
	fs_handle_close(message);
	fs_handle_close(mailbag);
}

static void
who_has_looked_at_a_file_may_delete_it(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction;
	FsHandle *handle;
	EndsCall call;

	ends_call(ends, &call, 1000);
	assert_false(fs_undo_may_delete(&call.call, session));
	transaction = ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);
	assert_false(fs_undo_may_delete(&call.call, session));
	fs_transaction_see(transaction, 11);
	assert_true(fs_undo_may_delete(&call.call, session));
	fs_transaction_unsee(transaction, 11);
	fs_transaction_unsee(transaction, 11);
	assert_false(fs_undo_may_delete(&call.call, session));
	/* One that is open is deleted before it is closed. */
	handle = fs_handle_open(ends->mount.handles, session, 11,
	                        LAYOUT_MESSAGE);
	assert_true(fs_undo_may_delete(&call.call, session));
	fs_handle_close(handle);
	assert_false(fs_undo_may_delete(&call.call, session));
	fs_undo_session(&ends->mount, session, STOPPED);
}

/* It closes all that it had open, one after the other. */
static void
who_dies_is_looked_for_once(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction =
		ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);
	uint64_t number;
	EndsCall call;

	ends_call(ends, &call, 1000);
	fs_transaction_see(transaction, 11);
	fs_undo_renumber(&ends->mount, transaction);
	assert_false(fs_undo_may_delete(&call.call, session));
	number = number_of(ends, 11);
	fs_undo_renumber(&ends->mount, transaction);
	assert_int_equal(number_of(ends, 11), number);
	/* It lives after all. */
	fs_transaction_see(transaction, 11);
	assert_true(fs_undo_may_delete(&call.call, session));
	fs_undo_session(&ends->mount, session, STOPPED);
	assert_int_not_equal(number_of(ends, 11), number);
}

static void
the_last_files_that_it_looked_at_are_remembered(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction =
		ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);
	uint64_t first = number_of(ends, 1);
	uint64_t second = number_of(ends, 2);

	fs_transaction_see(transaction, 1);
	for (StoreNode node = 1; node <= FS_TRANSACTION_SEEN_MAX + 1; node++)
		fs_transaction_see(transaction, node);
	fs_undo_session(&ends->mount, session, STOPPED);
	assert_int_equal(number_of(ends, 1), first);
	assert_int_not_equal(number_of(ends, 2), second);
}

/* ---- by the administrator ------------------------------------------------ */

/* What poctl is told of session 1, or why it is not broken. */
static char *
break_first(Ends *ends, char **ret_error)
{
	g_autoptr(GVariant) answer =
		fs_break_answer(&ends->mount, "1", ret_error);

	if (answer == NULL)
		return NULL;
	g_variant_ref_sink(answer);
	return g_variant_dup_string(answer, NULL);
}

static void
who_has_nothing_is_not_broken(void **state)
{
	Ends *ends = *state;
	g_autofree char *error = NULL;

	assert_null(fs_break_answer(&ends->mount, "7", &error));
	assert_string_equal(error, "nobody");
	g_clear_pointer(&error, g_free);
	assert_null(break_first(ends, &error));
	assert_string_equal(error,
	                    "session 1 holds no lock and waits for none");
}

/* As an edit of the administrator's own does. */
static void
a_lock_without_a_transaction_is_broken(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	g_autofree char *error = NULL;
	g_autofree char *answer = NULL;

	assert_int_equal(fs_mailbag_lock_try(ends->mount.mailbags, 1, ENDS_KEY,
	                                     g_get_monotonic_time()),
	                 0);
	answer = break_first(ends, &error);
	assert_string_equal(answer,
	                    "Session 1 was broken; nothing was staged.");
	assert_int_equal(session->epoch, 1);
	fs_mailbag_lock_drop(ends->mount.mailbags, 1, ENDS_KEY,
	                     g_get_monotonic_time());
}

static void
what_is_on_its_way_is_said_to_be_committed(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];
	FsTransaction *transaction =
		ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);
	g_autofree char *error = NULL;
	g_autofree char *answer = NULL;

	ends_stage(ends, session, ENDS_MAI, 10);
	fs_transaction_let_go(transaction, ENDS_KEY);
	assert_int_equal(fs_commit_settle(&ends->mount, session), 0);
	answer = break_first(ends, &error);
	assert_string_equal(answer, "Session 1 was broken; nothing was staged; "
	                            "what it was committing is not undone.");
	ends_run_later(ends);
	assert_true(ends_is_seen(ends, ENDS_MAI));
	assert_int_equal(ends_count_undone(ends), 0);
}

static void
what_is_broken_is_said_to_be_kept_if_it_is(void **state)
{
	Ends *ends = *state;
	FsSession *session = &test_sessions[0];

	for (int i = 0; i < 2; i++) {
		bool is_broken = i == 1;
		g_autofree char *error = NULL;
		g_autofree char *answer = NULL;
		FsTransaction *transaction =
			ends_take(ends, session, ENDS_KEY, FS_LOCK_UPDATE);

		ends_stage(ends, session, ENDS_MAI, 10);
		ends_stage(ends, session, "B.MAI", 10);
		fs_transaction_let_go(transaction, ENDS_KEY);
		kv_fault_break(ends->store->disk, is_broken);
		answer = break_first(ends, &error);
		assert_string_equal(
			answer,
			is_broken ? "Session 1 was broken; what it had staged "
				    "could not be kept: Input/output error."
				  : "Session 1 was broken; what it had staged, "
				    "of 2 files, is in the quarantine.");
		assert_true(ends_is_free(ends, ENDS_KEY));
	}
	kv_fault_break(ends->store->disk, false);
	assert_int_equal(store_sync_wait(ends->mount.store), 0);
	assert_int_equal(ends_count_undone(ends), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ENDS_TEST(the_reason_says_whose_it_was),
		ENDS_TEST(what_cannot_be_kept_is_undone_all_the_same),
		ENDS_TEST(
			who_closes_as_root_has_lost_its_client_unless_it_is_local),
		ENDS_TEST(who_ends_in_order_has_closed_unless_it_is_smbd),
		ENDS_TEST(how_it_closes_matters_if_there_is_something_to_undo),
		ENDS_TEST(an_unlock_of_who_has_lost_its_client_undoes),
		ENDS_TEST(
			a_user_that_was_killed_undoes_and_one_that_exits_is_over),
		ENDS_TEST(a_child_that_closes_is_over),
		ENDS_TEST(
			a_user_that_cannot_be_looked_at_undoes_unless_it_executes),
		ENDS_TEST(the_death_of_a_user_undoes_what_it_used),
		ENDS_TEST(
			the_death_of_a_user_is_nothing_where_nothing_is_staged),
		ENDS_TEST(the_death_of_a_user_may_end_others),
		ENDS_TEST(what_the_undone_may_have_marked_is_another_file),
		ENDS_TEST(
			what_another_has_open_is_another_file_when_it_is_closed),
		ENDS_TEST(so_is_a_message_that_it_has_open),
		ENDS_TEST(who_has_looked_at_a_file_may_delete_it),
		ENDS_TEST(who_dies_is_looked_for_once),
		ENDS_TEST(the_last_files_that_it_looked_at_are_remembered),
		ENDS_TEST(who_has_nothing_is_not_broken),
		ENDS_TEST(a_lock_without_a_transaction_is_broken),
		ENDS_TEST(what_is_on_its_way_is_said_to_be_committed),
		ENDS_TEST(what_is_broken_is_said_to_be_kept_if_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
