/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/mailbag_lock_kit.h"

/* ---- those who try -------------------------------------------------------*/

static void
attempt(FsMailbagLock *table, uint64_t session, const char *key, int64_t now_us,
        int expected)
{
	assert_int_equal(fs_mailbag_lock_attempt(table, session, key, now_us),
	                 expected);
}

static void
a_free_lock_is_kept_for_who_tried(void **state)
{
	Waiter late;

	take(*state, 1, A);
	attempt(*state, 2, A, 100, -ETXTBSY);
	assert_int_equal(fs_mailbag_lock_due_us(*state), 100 + KEPT_US);
	fs_mailbag_lock_drop(*state, 1, A, 100);

	assert_true(fs_mailbag_lock_is_elsewhere(*state, 3, A, 100));
	assert_false(fs_mailbag_lock_is_elsewhere(*state, 2, A, 100));
	assert_int_equal(fs_mailbag_lock_try(*state, 3, A, 100), -ETXTBSY);
	attempt(*state, 4, A, 100, -ETXTBSY);
	assert_int_equal(ask(*state, &late, 5, A, 100, FS_MAILBAG_STAYS), 0);
	assert_waits(&late);
	assert_int_equal(fs_mailbag_lock_try(*state, 1, A, 100), -ETXTBSY);

	attempt(*state, 2, A, 99 + KEPT_US, 0);
	assert_waits(&late);
	fs_mailbag_lock_drop(*state, 2, A, 99 + KEPT_US);
	attempt(*state, 4, A, 99 + KEPT_US, 0);
	assert_waits(&late);
	fs_mailbag_lock_stop(*state, -EIO);
}

static void
who_tried_too_long_ago_is_passed(void **state)
{
	Waiter waiter;

	take(*state, 1, A);
	attempt(*state, 2, A, 100, -ETXTBSY);
	park(*state, &waiter, 3, A);
	fs_mailbag_lock_drop(*state, 1, A, 200);
	fs_mailbag_lock_expire(*state, 99 + KEPT_US);
	assert_waits(&waiter);
	fs_mailbag_lock_expire(*state, 100 + KEPT_US);
	assert_ended(&waiter, 0);

	/* Its place is still the first. */
	attempt(*state, 4, A, 200 + KEPT_US, -ETXTBSY);
	attempt(*state, 2, A, 300 + KEPT_US, -ETXTBSY);
	fs_mailbag_lock_drop(*state, 3, A, 400 + KEPT_US);
	attempt(*state, 4, A, 400 + KEPT_US, -ETXTBSY);
	attempt(*state, 2, A, 400 + KEPT_US, 0);
}

static void
an_old_attempt_keeps_nothing(void **state)
{
	take(*state, 1, A);
	attempt(*state, 2, A, 0, -ETXTBSY);
	fs_mailbag_lock_drop(*state, 1, A, KEPT_US - 1);
	assert_int_equal(fs_mailbag_lock_try(*state, 3, A, KEPT_US - 1),
	                 -ETXTBSY);
	assert_int_equal(fs_mailbag_lock_try(*state, 3, A, KEPT_US), 0);
}

static void
who_tries_for_ever_keeps_its_place(void **state)
{
	int64_t now_us;

	take(*state, 1, A);
	for (now_us = 0; now_us < 3 * WAIT_US; now_us += ABSENT_US - 1) {
		fs_mailbag_lock_expire(*state, now_us);
		attempt(*state, 2, A, now_us, -ETXTBSY);
		attempt(*state, 3, A, now_us, -ETXTBSY);
	}
	fs_mailbag_lock_drop(*state, 1, A, now_us);
	attempt(*state, 3, A, now_us, 0);
	fs_mailbag_lock_drop(*state, 3, A, now_us);
	attempt(*state, 2, A, now_us, 0);
	assert_int_equal(fs_mailbag_lock_due_us(*state), INT64_MAX);
}

static void
the_place_of_who_stopped_trying_lapses(void **state)
{
	take(*state, 1, A);
	attempt(*state, 2, A, 0, -ETXTBSY);
	fs_mailbag_lock_expire(*state, KEPT_US);
	assert_int_equal(fs_mailbag_lock_due_us(*state), ABSENT_US);
	assert_true(fs_mailbag_lock_is_wanted(*state, A));
	fs_mailbag_lock_expire(*state, ABSENT_US);
	assert_int_equal(fs_mailbag_lock_due_us(*state), INT64_MAX);
	assert_false(fs_mailbag_lock_is_wanted(*state, A));
}

static void
who_came_before_the_one_that_tries_goes_first(void **state)
{
	Waiter smbd;
	Waiter local;

	take(*state, 1, A);
	go_away(*state, &smbd, 2);
	park(*state, &local, 3, A);
	attempt(*state, 4, A, PARK_US, -ETXTBSY);
	fs_mailbag_lock_drop(*state, 1, A, PARK_US);
	assert_ended(&local, 0);
	fs_mailbag_lock_drop(*state, 3, A, PARK_US);
	/* Kept for 4, but not from who was here before. */
	assert_int_equal(ask(*state, &smbd, 2, A, PARK_US, PARK_US), 0);
	assert_ended(&smbd, 0);
	fs_mailbag_lock_drop(*state, 2, A, PARK_US);
	attempt(*state, 4, A, PARK_US, 0);
}

static void
another_form_of_who_tried_is_let_in(void **state)
{
	Waiter other;
	Waiter own;

	take(*state, 1, A);
	attempt(*state, 2, A, 0, -ETXTBSY);
	park(*state, &other, 3, A);
	park(*state, &own, 2, A);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_ended(&own, 0);
	/* It has had its turn. */
	fs_mailbag_lock_drop(*state, 2, A, 0);
	assert_ended(&other, 0);
}

static void
the_end_of_who_tried_lets_the_next_in(void **state)
{
	Waiter waiter;

	take(*state, 1, A);
	attempt(*state, 2, A, 0, -ETXTBSY);
	park(*state, &waiter, 3, A);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_waits(&waiter);
	fs_mailbag_lock_leave(*state, 2, 0);
	assert_ended(&waiter, 0);
}

static void
who_tries_closes_no_circle(void **state)
{
	Waiter waiter;

	take(*state, 1, A);
	take(*state, 2, B);
	attempt(*state, 2, A, 0, -ETXTBSY);
	park(*state, &waiter, 1, B);
	fs_mailbag_lock_stop(*state, -EIO);
	assert_ended(&waiter, -EIO);
}

static void
where_waiting_is_off_nothing_is_kept(void **state)
{
	g_autoptr(FsMailbagLock) table = fs_mailbag_lock_new(0, NULL);

	take(table, 1, A);
	attempt(table, 2, A, 0, -ETXTBSY);
	fs_mailbag_lock_drop(table, 1, A, 0);
	attempt(table, 3, A, 0, 0);
}

static void
a_session_tries_only_so_much(void **state)
{
	g_autofree char *last = NULL;

	for (unsigned i = 0; i <= FS_MAILBAG_WAITS_MAX; i++) {
		g_free(last);
		last = g_strdup_printf("%u", i);
		take(*state, 1, last);
		attempt(*state, 2, last, 0, -ETXTBSY);
	}
	fs_mailbag_lock_drop(*state, 1, "0", 0);
	fs_mailbag_lock_drop(*state, 1, last, 0);
	assert_int_equal(fs_mailbag_lock_try(*state, 3, "0", 0), -ETXTBSY);
	take(*state, 3, last);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_free_lock_is_kept_for_who_tried),
		TEST(who_tried_too_long_ago_is_passed),
		TEST(an_old_attempt_keeps_nothing),
		TEST(who_tries_for_ever_keeps_its_place),
		TEST(the_place_of_who_stopped_trying_lapses),
		TEST(who_came_before_the_one_that_tries_goes_first),
		TEST(another_form_of_who_tried_is_let_in),
		TEST(the_end_of_who_tried_lets_the_next_in),
		TEST(who_tries_closes_no_circle),
		TEST(where_waiting_is_off_nothing_is_kept),
		TEST(a_session_tries_only_so_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
