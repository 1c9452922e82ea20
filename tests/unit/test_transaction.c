/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/transaction.h"
#include "tests/unit/session_kit.h"

/* ---- what the tests share ------------------------------------------------ */

#define KEY   "U:2:A"
#define OTHER "U:2:B"
#define QUEUE "Q:2"
#define MAI   "F:7:00000017.MAI"

static const StorePlace KEY_PLACE = {
	.dir = 3,
	.office = 2,
	.role = LAYOUT_DIR_KEY,
	.kind = LAYOUT_MAILBAG,
	.name = "A.KEY",
};

static const StorePlace MAI_PLACE = {
	.dir = 7,
	.office = 2,
	.role = LAYOUT_DIR_MAI_BUCKET,
	.kind = LAYOUT_MESSAGE,
	.name = "00000017.MAI",
};

typedef struct World {
	FsMailbagLock *locks;
	FsTransactionTable *table;
	FsSession *one;
	FsSession *two;
} World;

static int
setup(void **state)
{
	World *world = g_new0(World, 1);

	world->locks = fs_mailbag_lock_new(G_MAXINT64 / 2, NULL);
	world->table = fs_transaction_table_new(world->locks);
	test_sessions_reset();
	world->one = &test_sessions[0];
	world->two = &test_sessions[1];
	*state = world;
	return 0;
}

static int
teardown(void **state)
{
	World *world = *state;
	bool is_kept = test_sessions_are_kept();

	fs_transaction_table_free(world->table);
	fs_mailbag_lock_free(world->locks);
	g_free(world);
	return is_kept ? -1 : 0;
}

/* Takes @key in one form; 0 or the error. */
static int
take(FsTransaction *transaction, const char *key, FsLockPurpose purpose)
{
	int r = fs_transaction_take(transaction, key, purpose, 0);

	if (r == 0)
		fs_transaction_hold(transaction, key);
	return r;
}

/* What flies arrives; nobody is told. */
static void
land(FsTransaction *transaction)
{
	GQueue ends;

	fs_transaction_landed(transaction, &ends);
	assert_int_equal(ends.length, 0);
}

/* The end of a session that has let go of everything. */
static void
end(FsTransaction *transaction)
{
	fs_transaction_next_batch(transaction);
	fs_transaction_release(transaction, UINT64_MAX);
	fs_transaction_tidy(transaction);
}

static bool
is_free_for(World *world, FsSession *session, const char *key)
{
	return !fs_mailbag_lock_is_elsewhere(world->locks, session->serial, key,
	                                     0);
}

/* ---- tests --------------------------------------------------------------- */

static void
one_with_nothing_left_ends(void **state)
{
	World *world = *state;
	FsTransaction *transaction =
		fs_transaction_obtain(world->table, world->one);

	assert_ptr_equal(fs_transaction_obtain(world->table, world->one),
	                 transaction);
	assert_ptr_equal(fs_transaction_of_serial(world->table, 1),
	                 transaction);
	assert_null(fs_transaction_find(world->table, world->two));
	assert_int_equal(world->one->refs, 1);

	fs_transaction_tidy(transaction);
	assert_null(fs_transaction_find(world->table, world->one));
	assert_null(fs_transaction_any(world->table));
	assert_int_equal(world->one->refs, 0);
}

static void
a_lock_keeps_out_other_sessions(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);
	FsTransaction *two = fs_transaction_obtain(world->table, world->two);

	assert_int_equal(take(one, KEY, FS_LOCK_UPDATE), 0);
	assert_int_equal(take(one, KEY, FS_LOCK_UPDATE), 0);
	assert_int_equal(take(two, KEY, FS_LOCK_UPDATE), -ETXTBSY);
	assert_int_equal(take(two, OTHER, FS_LOCK_UPDATE), 0);

	fs_transaction_let_go(one, KEY);
	assert_false(fs_transaction_is_over(one));
	fs_transaction_let_go(one, KEY);
	assert_true(fs_transaction_is_over(one));
	fs_transaction_let_go(two, OTHER);
	end(one);
	end(two);
}

static void
a_lock_that_is_let_go_is_kept_until_its_batch_has_ended(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);

	assert_int_equal(take(one, QUEUE, FS_LOCK_INQUEUE), 0);
	assert_int_equal(take(one, KEY, FS_LOCK_UPDATE), 0);
	fs_transaction_note(one, 10, &KEY_PLACE, false);
	fs_transaction_let_go(one, KEY);
	assert_true(fs_transaction_has(one, KEY));
	assert_false(is_free_for(world, world->two, KEY));

	fs_transaction_fly(one);
	fs_transaction_tidy(one);
	land(one);
	fs_transaction_release(one, one->batch - 1);
	assert_true(is_free_for(world, world->two, KEY));
	assert_false(is_free_for(world, world->two, QUEUE));
	fs_transaction_let_go(one, QUEUE);
	end(one);
}

static void
what_the_next_batch_needs_is_kept_by_it(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);

	assert_int_equal(take(one, KEY, FS_LOCK_UPDATE), 0);
	fs_transaction_note(one, 10, &KEY_PLACE, false);
	fs_transaction_let_go(one, KEY);
	fs_transaction_fly(one);

	/* While that is on its way, it is opened again, and closed. */
	assert_int_equal(take(one, KEY, FS_LOCK_UPDATE), 0);
	fs_transaction_note(one, 10, &KEY_PLACE, false);
	fs_transaction_let_go(one, KEY);
	land(one);
	fs_transaction_release(one, one->batch - 1);
	assert_false(is_free_for(world, world->two, KEY));
	end(one);
	assert_true(is_free_for(world, world->two, KEY));
}

static void
only_mailbags_make_it_durable(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);

	assert_int_equal(take(one, MAI, FS_LOCK_FILE), 0);
	assert_true(fs_transaction_is_over(one));
	assert_false(one->is_durable);
	assert_int_equal(take(one, KEY, FS_LOCK_UPDATE), 0);
	assert_false(fs_transaction_is_over(one));
	assert_true(one->is_durable);

	/* The next one begins under the lock that is still held. */
	fs_transaction_next_batch(one);
	assert_true(one->is_durable);
	fs_transaction_let_go(one, KEY);
	fs_transaction_next_batch(one);
	assert_false(one->is_durable);
	fs_transaction_let_go(one, MAI);
	end(one);
}

static void
a_writer_holds_up_the_end(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);

	one->writers++;
	assert_false(fs_transaction_is_over(one));
	one->writers--;
	assert_true(fs_transaction_is_over(one));
	end(one);
}

static void
a_batch_knows_what_it_has_changed(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);
	FsTransactionFile *file;

	assert_int_equal(take(one, KEY, FS_LOCK_UPDATE), 0);
	assert_int_equal(take(one, OTHER, FS_LOCK_UPDATE), 0);
	assert_false(fs_transaction_is_staged(one));
	assert_true(fs_transaction_oldest_us(world->table) == INT64_MAX);

	file = fs_transaction_note(one, 10, &KEY_PLACE, false);
	assert_null(file->written);
	assert_ptr_equal(fs_transaction_note(one, 10, &KEY_PLACE, false), file);
	assert_non_null(
		fs_transaction_note(one, 11, &MAI_PLACE, true)->written);
	assert_null(fs_transaction_note(one, 12, &MAI_PLACE, false)->written);
	assert_true(fs_transaction_is_staged(one));
	assert_true(fs_transaction_oldest_us(world->table) < INT64_MAX);
	assert_true(fs_transaction_has_changed(one, KEY));
	assert_false(fs_transaction_has_changed(one, OTHER));
	assert_false(fs_transaction_has_changed(one, QUEUE));

	fs_transaction_fly(one);
	assert_false(fs_transaction_is_staged(one));
	assert_false(fs_transaction_has_changed(one, KEY));
	assert_null(fs_transaction_file(one, 10));
	assert_true(fs_transaction_touches(one, 10));
	assert_false(fs_transaction_touches(one, 13));
	land(one);
	assert_false(fs_transaction_touches(one, 10));
	fs_transaction_let_go(one, KEY);
	fs_transaction_let_go(one, OTHER);
	end(one);
}

static void
only_what_is_merely_kept_presses(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);

	assert_int_equal(take(one, KEY, FS_LOCK_UPDATE), 0);
	assert_int_equal(take(one, QUEUE, FS_LOCK_INQUEUE), 0);
	fs_transaction_press(one, KEY);
	fs_transaction_press(one, KEY);
	fs_transaction_press(one, OTHER);
	assert_false(fs_transaction_is_pressed(one));
	fs_transaction_let_go(one, KEY);
	assert_true(fs_transaction_is_pressed(one));
	fs_transaction_release(one, UINT64_MAX);
	assert_false(fs_transaction_is_pressed(one));
	fs_transaction_let_go(one, QUEUE);
	end(one);
}

static void
one_that_is_undone_has_no_locks(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);

	assert_int_equal(take(one, KEY, FS_LOCK_UPDATE), 0);
	fs_transaction_note(one, 10, &KEY_PLACE, false);
	fs_transaction_detach(one);
	assert_null(fs_transaction_find(world->table, world->one));
	assert_true(is_free_for(world, world->two, KEY));
	assert_int_equal(world->one->refs, 0);
}

static void
but_while_it_flies_it_keeps_them(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);
	FsTransaction *next;

	assert_int_equal(take(one, KEY, FS_LOCK_UPDATE), 0);
	fs_transaction_note(one, 10, &KEY_PLACE, false);
	fs_transaction_fly(one);
	fs_transaction_detach(one);
	assert_false(is_free_for(world, world->two, KEY));

	/* Its session begins anew meanwhile. */
	next = fs_transaction_obtain(world->table, world->one);
	assert_ptr_not_equal(next, one);
	assert_int_equal(take(next, KEY, FS_LOCK_UPDATE), -ETXTBSY);
	land(one);
	fs_transaction_release(one, UINT64_MAX);
	fs_transaction_tidy(one);
	assert_true(is_free_for(world, world->two, KEY));
	assert_ptr_equal(fs_transaction_find(world->table, world->one), next);
	fs_transaction_tidy(next);
}

static void
two_waits_that_are_granted_are_one_lock(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);

	for (int i = 0; i < 2; i++) {
		assert_int_equal(fs_mailbag_lock_try(world->locks, 1, KEY, 0),
		                 0);
		fs_transaction_taken(one, KEY, FS_LOCK_UPDATE);
		fs_transaction_hold(one, KEY);
	}
	fs_transaction_let_go(one, KEY);
	assert_false(fs_transaction_is_over(one));
	fs_transaction_let_go(one, KEY);
	end(one);
	assert_true(is_free_for(world, world->two, KEY));
}

/* Who is granted a lock may look after the one that gives it, at once. */
typedef struct Waiter {
	FsTransaction *giver;
	int r;
} Waiter;

static void
tidy_giver(void *user_data, int r)
{
	Waiter *waiter = user_data;

	waiter->r = r;
	fs_transaction_tidy(waiter->giver);
}

static void
one_that_lets_go_is_there_until_it_has(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);
	Waiter waiter = { .giver = one, .r = 1 };
	FsMailbagAsk ask = { .session = 2, .key = KEY };
	FsMailbagWait wait;

	assert_int_equal(take(one, KEY, FS_LOCK_UPDATE), 0);
	assert_int_equal(fs_mailbag_lock_wait(world->locks, &ask, tidy_giver,
	                                      &waiter, &wait),
	                 0);
	fs_transaction_let_go(one, KEY);
	fs_transaction_release(one, UINT64_MAX);
	assert_int_equal(waiter.r, 0);
	assert_ptr_equal(fs_transaction_find(world->table, world->one), one);
	fs_transaction_tidy(one);
	assert_null(fs_transaction_find(world->table, world->one));
	fs_mailbag_lock_drop(world->locks, 2, KEY, 0);
}

static void
one_that_is_to_answer_is_there_until_it_has(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);

	g_queue_push_tail(&one->ends, world);
	fs_transaction_tidy(one);
	assert_ptr_equal(fs_transaction_find(world->table, world->one), one);
	g_queue_clear(&one->ends);
	end(one);
	assert_null(fs_transaction_find(world->table, world->one));
}

static void
a_user_is_known_once(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);

	fs_transaction_add_user(one, world->two);
	fs_transaction_add_user(one, world->two);
	assert_int_equal(world->two->refs, 1);
	fs_transaction_remove_user(one, world->two);
	assert_int_equal(world->two->refs, 0);
	end(one);
}

static gboolean
is_made_up(void *key, void *lock, void *user_data)
{
	return ((FsTransactionLock *)lock)->purpose == FS_LOCK_NONE;
}

static void
locks_have_a_limit(void **state)
{
	World *world = *state;
	FsTransaction *one = fs_transaction_obtain(world->table, world->one);

	/* To take so many takes seconds. */
	assert_int_equal(take(one, OTHER, FS_LOCK_UPDATE), 0);
	for (int i = 1; i < FS_TRANSACTION_LOCKS_MAX; i++) {
		FsTransactionLock *lock = g_new0(FsTransactionLock, 1);

		lock->key = g_strdup_printf("F:7:%d", i);
		g_hash_table_insert(one->locks, lock->key, lock);
	}
	assert_int_equal(take(one, KEY, FS_LOCK_UPDATE), -ENOSPC);
	assert_true(is_free_for(world, world->two, KEY));
	/* What it has it may take again. */
	assert_int_equal(take(one, OTHER, FS_LOCK_UPDATE), 0);
	fs_transaction_let_go(one, OTHER);
	fs_transaction_let_go(one, OTHER);
	g_hash_table_foreach_remove(one->locks, is_made_up, NULL);
	end(one);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(one_with_nothing_left_ends),
		TEST(a_lock_keeps_out_other_sessions),
		TEST(a_lock_that_is_let_go_is_kept_until_its_batch_has_ended),
		TEST(what_the_next_batch_needs_is_kept_by_it),
		TEST(only_mailbags_make_it_durable),
		TEST(a_writer_holds_up_the_end),
		TEST(a_batch_knows_what_it_has_changed),
		TEST(only_what_is_merely_kept_presses),
		TEST(one_that_is_undone_has_no_locks),
		TEST(but_while_it_flies_it_keeps_them),
		TEST(two_waits_that_are_granted_are_one_lock),
		TEST(one_that_lets_go_is_there_until_it_has),
		TEST(one_that_is_to_answer_is_there_until_it_has),
		TEST(a_user_is_known_once),
		TEST(locks_have_a_limit),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
