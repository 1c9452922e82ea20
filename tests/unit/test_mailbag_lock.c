/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/mailbag_lock_kit.h"

/* ---- one holder ----------------------------------------------------------*/

static void
one_session_keeps_the_others_out(void **state)
{
	take(*state, 1, A);
	assert_int_equal(fs_mailbag_lock_try(*state, 2, A, 0), -ETXTBSY);
	assert_true(fs_mailbag_lock_is_elsewhere(*state, 2, A, 0));
	assert_false(fs_mailbag_lock_is_elsewhere(*state, 1, A, 0));
	assert_true(fs_mailbag_lock_is_held(*state, 1, A));
	assert_false(fs_mailbag_lock_is_held(*state, 2, A));
	take(*state, 2, B);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	take(*state, 2, A);
}

static void
it_is_free_when_every_form_is_let_go(void **state)
{
	Waiter again;

	take(*state, 1, A);
	take(*state, 1, A);
	assert_int_equal(ask(*state, &again, 1, A, 0, FS_MAILBAG_STAYS), 0);
	assert_ended(&again, 0);
	assert_int_equal(again.wait, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(fs_mailbag_lock_try(*state, 2, A, 0),
		                 -ETXTBSY);
		fs_mailbag_lock_drop(*state, 1, A, 0);
	}
	take(*state, 2, A);
}

static void
who_does_not_have_it_cannot_let_it_go(void **state)
{
	take(*state, 1, A);
	fs_mailbag_lock_drop(*state, 2, A, 0);
	fs_mailbag_lock_drop(*state, 2, B, 0);
	assert_true(fs_mailbag_lock_is_held(*state, 1, A));
}

/* ---- waiting -------------------------------------------------------------*/

static void
waiters_are_granted_in_order_of_arrival(void **state)
{
	Waiter waiters[3];

	take(*state, 1, A);
	for (unsigned i = 0; i < 3; i++)
		park(*state, &waiters[i], 10 + i, A);
	for (unsigned i = 0; i < 3; i++) {
		fs_mailbag_lock_drop(*state, i == 0 ? 1 : 9 + i, A, 0);
		assert_ended(&waiters[i], 0);
		assert_true(fs_mailbag_lock_is_held(*state, 10 + i, A));
		if (i < 2)
			assert_waits(&waiters[i + 1]);
	}
}

static void
it_is_known_who_has_it_since_when_and_how_long_it_waited(void **state)
{
	FsMailbagTimes times;
	Waiter waiter;

	take(*state, 1, A);
	assert_true(fs_mailbag_lock_times(*state, 1, A, &times));
	assert_int_equal(times.waited_us, 0);
	assert_int_equal(ask(*state, &waiter, 2, A, 50, FS_MAILBAG_STAYS), 0);
	assert_false(fs_mailbag_lock_times(*state, 2, A, &times));
	fs_mailbag_lock_drop(*state, 1, A, 170);
	assert_ended(&waiter, 0);
	assert_true(fs_mailbag_lock_times(*state, 2, A, &times));
	assert_int_equal(times.since_us, 170);
	assert_int_equal(times.waited_us, 120);
}

static void
all_waits_of_a_session_are_granted_together(void **state)
{
	Waiter first;
	Waiter other;
	Waiter second;

	take(*state, 1, A);
	park(*state, &first, 2, A);
	park(*state, &other, 3, A);
	park(*state, &second, 2, A);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_ended(&first, 0);
	assert_ended(&second, 0);
	fs_mailbag_lock_drop(*state, 2, A, 0);
	assert_waits(&other);
	fs_mailbag_lock_drop(*state, 2, A, 0);
	assert_ended(&other, 0);
}

static void
a_wait_ends_at_its_deadline(void **state)
{
	Waiter early;
	Waiter late;

	take(*state, 1, A);
	park(*state, &early, 2, A);
	assert_int_equal(ask(*state, &late, 3, A, 5, FS_MAILBAG_STAYS), 0);
	assert_int_equal(fs_mailbag_lock_due_us(*state), WAIT_US);
	fs_mailbag_lock_expire(*state, WAIT_US - 1);
	assert_waits(&early);
	fs_mailbag_lock_expire(*state, WAIT_US);
	assert_ended(&early, -ETXTBSY);
	assert_waits(&late);
	assert_int_equal(fs_mailbag_lock_due_us(*state), WAIT_US + 5);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_ended(&late, 0);
	assert_int_equal(fs_mailbag_lock_due_us(*state), INT64_MAX);
}

static void
nobody_waits_where_waiting_is_off(void **state)
{
	g_autoptr(FsMailbagLock) table = fs_mailbag_lock_new(0, NULL);
	Waiter waiter;

	take(table, 1, A);
	assert_int_equal(ask(table, &waiter, 2, A, 0, FS_MAILBAG_STAYS),
	                 -ETXTBSY);
	assert_int_equal(waiter.calls, 0);
	fs_mailbag_lock_drop(table, 1, A, 0);
	assert_int_equal(ask(table, &waiter, 2, A, 0, FS_MAILBAG_STAYS), 0);
	assert_ended(&waiter, 0);
}

static void
a_cancelled_wait_ends_at_once(void **state)
{
	Waiter first;
	Waiter second;

	take(*state, 1, A);
	park(*state, &first, 2, A);
	park(*state, &second, 3, A);
	fs_mailbag_lock_cancel(*state, first.wait);
	assert_ended(&first, -EINTR);
	fs_mailbag_lock_cancel(*state, first.wait);
	assert_ended(&first, -EINTR);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_ended(&second, 0);
	fs_mailbag_lock_cancel(*state, second.wait);
	assert_ended(&second, 0);
}

static void
who_leaves_the_lines_keeps_what_it_has(void **state)
{
	Waiter own;

	take(*state, 1, A);
	take(*state, 4, C);
	park(*state, &own, 1, C);
	fs_mailbag_lock_leave(*state, 1, 0);
	assert_ended(&own, -ETXTBSY);
	assert_true(fs_mailbag_lock_is_held(*state, 1, A));
	assert_false(fs_mailbag_lock_is_wanted(*state, C));
	fs_mailbag_lock_drop(*state, 1, A, 0);
	fs_mailbag_lock_drop(*state, 4, C, 0);
}

static void
the_end_of_a_session_gives_up_its_place(void **state)
{
	Waiter dead;
	Waiter alive;

	take(*state, 1, A);
	go_away(*state, &dead, 2);
	park(*state, &alive, 3, A);
	fs_mailbag_lock_leave(*state, 2, 0);
	assert_int_equal(fs_mailbag_lock_due_us(*state), WAIT_US);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_ended(&alive, 0);
	assert_ended(&dead, -EAGAIN);
}

static void
a_session_waits_only_so_often(void **state)
{
	Waiter waiters[FS_MAILBAG_WAITS_MAX];
	Waiter more;

	take(*state, 1, A);
	for (unsigned i = 0; i < FS_MAILBAG_WAITS_MAX; i++)
		park(*state, &waiters[i], 2, A);
	assert_int_equal(ask(*state, &more, 2, A, 0, FS_MAILBAG_STAYS),
	                 -ETXTBSY);
	park(*state, &more, 3, A);
	fs_mailbag_lock_stop(*state, -EIO);
	assert_ended(&waiters[0], -EIO);
	assert_ended(&more, -EIO);
}

/* ---- places of those who are absent --------------------------------------*/

static void
who_comes_back_has_kept_its_place(void **state)
{
	Waiter smbd;
	Waiter local;

	take(*state, 1, A);
	go_away(*state, &smbd, 2);
	park(*state, &local, 3, A);
	assert_int_equal(ask(*state, &smbd, 2, A, 1500000, PARK_US), 0);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_ended(&smbd, 0);
	assert_waits(&local);
	fs_mailbag_lock_drop(*state, 2, A, 0);
	assert_ended(&local, 0);
}

static void
who_is_absent_is_passed(void **state)
{
	Waiter smbd;
	Waiter local;

	take(*state, 1, A);
	go_away(*state, &smbd, 2);
	park(*state, &local, 3, A);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_ended(&local, 0);
	assert_int_equal(ask(*state, &smbd, 2, A, 1500000, PARK_US), 0);
	assert_waits(&smbd);
	fs_mailbag_lock_drop(*state, 3, A, 0);
	assert_ended(&smbd, 0);
}

static void
a_free_lock_is_not_kept_for_who_is_absent(void **state)
{
	Waiter smbd;

	take(*state, 1, A);
	go_away(*state, &smbd, 2);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	take(*state, 3, A);
	fs_mailbag_lock_drop(*state, 3, A, 0);
	assert_int_equal(ask(*state, &smbd, 2, A, 1500000, PARK_US), 0);
	assert_ended(&smbd, 0);
	/* And with that its place has gone. */
	assert_int_equal(fs_mailbag_lock_due_us(*state), INT64_MAX);
}

static void
a_place_lapses(void **state)
{
	Waiter smbd;
	Waiter local;
	int64_t lapse_us = PARK_US + ABSENT_US;

	take(*state, 1, A);
	go_away(*state, &smbd, 2);
	park(*state, &local, 3, A);
	assert_int_equal(fs_mailbag_lock_due_us(*state), lapse_us);
	fs_mailbag_lock_expire(*state, lapse_us);
	assert_int_equal(fs_mailbag_lock_due_us(*state), WAIT_US);
	assert_int_equal(ask(*state, &smbd, 2, A, lapse_us, PARK_US), 0);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_ended(&local, 0);
	assert_waits(&smbd);
	fs_mailbag_lock_drop(*state, 3, A, 0);
	assert_ended(&smbd, 0);
}

static void
the_deadline_counts_from_the_first_ask(void **state)
{
	Waiter smbd;
	int64_t now_us = 0;

	take(*state, 1, A);
	go_away(*state, &smbd, 2);
	for (now_us = 1500000; now_us < WAIT_US; now_us += 1500000) {
		assert_int_equal(ask(*state, &smbd, 2, A, now_us, PARK_US), 0);
		fs_mailbag_lock_expire(*state, now_us + PARK_US);
		assert_ended(&smbd, -EAGAIN);
	}
	assert_int_equal(ask(*state, &smbd, 2, A, now_us, PARK_US), -ETXTBSY);
	assert_int_equal(fs_mailbag_lock_due_us(*state), INT64_MAX);
}

static void
the_deadline_ends_who_is_present_with_the_error(void **state)
{
	Waiter smbd;

	take(*state, 1, A);
	go_away(*state, &smbd, 2);
	assert_int_equal(ask(*state, &smbd, 2, A, PARK_US + 1, WAIT_US), 0);
	fs_mailbag_lock_expire(*state, WAIT_US);
	assert_ended(&smbd, -ETXTBSY);
}

static void
refusal_print(void *user_data, const FsMailbagRefusal *refusal)
{
	GString *told = user_data;

	g_string_append_printf(
		told,
		"%s %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT
		" %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %d\n",
		refusal->key, refusal->session, refusal->waited_us,
		refusal->holder, refusal->held_us, refusal->is_circle);
}

static void
a_wait_in_vain_is_told_of_with_who_had_it(void **state)
{
	g_autoptr(GString) told = g_string_new(NULL);
	Waiter waiters[2];

	fs_mailbag_lock_watch(*state, refusal_print, told);
	assert_int_equal(fs_mailbag_lock_try(*state, 1, A, 5), 0);
	assert_int_equal(fs_mailbag_lock_try(*state, 2, B, 6), 0);
	assert_int_equal(ask(*state, &waiters[0], 2, A, 10, FS_MAILBAG_STAYS),
	                 0);
	assert_int_equal(ask(*state, &waiters[1], 1, B, 20, FS_MAILBAG_STAYS),
	                 -ETXTBSY);
	assert_string_equal(told->str, "B 1 0 2 14 1\n");

	g_string_truncate(told, 0);
	fs_mailbag_lock_expire(*state, WAIT_US + 10);
	assert_string_equal(told->str, "A 2 30000000 1 30000005 0\n");

	/* To be refused at once, or to end, is none. */
	g_string_truncate(told, 0);
	assert_int_equal(fs_mailbag_lock_try(*state, 2, A, WAIT_US), -ETXTBSY);
	fs_mailbag_lock_leave(*state, 2, WAIT_US);
	assert_string_equal(told->str, "");
}

/* ---- circles -------------------------------------------------------------*/

static void
a_circle_of_two_is_refused(void **state)
{
	Waiter first;
	Waiter second;

	take(*state, 1, A);
	take(*state, 2, B);
	park(*state, &first, 1, B);
	assert_int_equal(ask(*state, &second, 2, A, 0, FS_MAILBAG_STAYS),
	                 -ETXTBSY);
	assert_waits(&first);
	fs_mailbag_lock_drop(*state, 2, B, 0);
	assert_ended(&first, 0);
}

static void
a_circle_of_three_is_refused(void **state)
{
	Waiter first;
	Waiter second;
	Waiter third;

	take(*state, 1, A);
	take(*state, 2, B);
	take(*state, 3, C);
	park(*state, &first, 1, B);
	park(*state, &second, 2, C);
	assert_int_equal(ask(*state, &third, 3, A, 0, FS_MAILBAG_STAYS),
	                 -ETXTBSY);
	fs_mailbag_lock_drop(*state, 3, C, 0);
	assert_ended(&second, 0);
	assert_waits(&first);
	/* Without the third it is no circle. */
	park(*state, &third, 3, A);
	fs_mailbag_lock_drop(*state, 2, B, 0);
	assert_ended(&first, 0);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_ended(&third, 0);
}

static void
who_is_absent_still_waits(void **state)
{
	Waiter smbd;
	Waiter local;

	take(*state, 1, A);
	take(*state, 2, B);
	go_away(*state, &smbd, 2);
	assert_int_equal(ask(*state, &local, 1, B, 0, FS_MAILBAG_STAYS),
	                 -ETXTBSY);
}

/* 3 will have A before 2, and 2 has what 3 wants. */
static void
the_line_can_close_a_circle(void **state)
{
	Waiter first;
	Waiter second;
	Waiter third;

	take(*state, 1, A);
	take(*state, 2, B);
	park(*state, &first, 3, A);
	park(*state, &second, 3, B);
	assert_int_equal(ask(*state, &third, 2, A, 0, FS_MAILBAG_STAYS),
	                 -ETXTBSY);
	fs_mailbag_lock_stop(*state, -EIO);
}

static void
a_queue_is_no_circle(void **state)
{
	Waiter waiters[5];

	take(*state, 1, A);
	take(*state, 2, B);
	park(*state, &waiters[0], 3, A);
	park(*state, &waiters[1], 2, A);
	park(*state, &waiters[2], 3, A);
	park(*state, &waiters[3], 4, A);
	park(*state, &waiters[4], 4, B);
	fs_mailbag_lock_stop(*state, -EIO);
}

/* ---- looking -------------------------------------------------------------*/

static void
a_lock_tells_its_holder_and_whether_it_is_wanted(void **state)
{
	uint64_t holder = 0;
	Waiter waiter;

	assert_false(fs_mailbag_lock_holder(*state, A, &holder));
	assert_false(fs_mailbag_lock_is_wanted(*state, A));
	take(*state, 1, A);
	assert_true(fs_mailbag_lock_holder(*state, A, &holder));
	assert_int_equal(holder, 1);
	assert_false(fs_mailbag_lock_is_wanted(*state, A));
	go_away(*state, &waiter, 2);
	assert_true(fs_mailbag_lock_is_wanted(*state, A));
	assert_false(fs_mailbag_lock_is_wanted(*state, B));
	/* Once it is held by the only one who wanted it, nobody does. */
	fs_mailbag_lock_drop(*state, 1, A, PARK_US);
	assert_int_equal(ask(*state, &waiter, 2, A, PARK_US, PARK_US), 0);
	assert_false(fs_mailbag_lock_is_wanted(*state, A));
}

static void
row_print(void *user_data, const FsMailbagRow *row)
{
	static const char kinds[] = "hwatk";

	g_string_append_printf(user_data,
	                       "%s %c %" G_GUINT64_FORMAT
	                       " %u %" G_GINT64_FORMAT "\n",
	                       row->key, kinds[row->kind], row->session,
	                       row->count, row->since_us);
}

static void
assert_list(FsMailbagLock *table, const char *expected)
{
	g_autoptr(GString) list = g_string_new(NULL);

	fs_mailbag_lock_list(table, row_print, list);
	assert_string_equal(list->str, expected);
}

static void
the_list_shows_who_has_and_who_waits(void **state)
{
	Waiter smbd;
	Waiter local;

	assert_list(*state, "");
	take(*state, 7, B);
	(void)fs_mailbag_lock_attempt(*state, 8, B, 20);
	(void)fs_mailbag_lock_attempt(*state, 9, B, 30);
	assert_int_equal(fs_mailbag_lock_try(*state, 1, A, 5), 0);
	assert_int_equal(fs_mailbag_lock_try(*state, 1, A, 6), 0);
	go_away(*state, &smbd, 2);
	assert_int_equal(ask(*state, &local, 3, A, 40, FS_MAILBAG_STAYS), 0);
	assert_list(*state, "A h 1 2 5\nA a 2 0 0\nA w 3 0 40\n"
	                    "B h 7 1 0\nB t 8 0 20\nB t 9 0 30\n");

	fs_mailbag_lock_drop(*state, 7, B, 50);
	fs_mailbag_lock_drop(*state, 1, A, 60);
	fs_mailbag_lock_drop(*state, 1, A, 60);
	assert_list(*state, "A h 3 1 60\nA a 2 0 0\n"
	                    "B k 8 0 20\nB t 9 0 30\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_session_keeps_the_others_out),
		TEST(it_is_free_when_every_form_is_let_go),
		TEST(who_does_not_have_it_cannot_let_it_go),
		TEST(waiters_are_granted_in_order_of_arrival),
		TEST(it_is_known_who_has_it_since_when_and_how_long_it_waited),
		TEST(all_waits_of_a_session_are_granted_together),
		TEST(a_wait_ends_at_its_deadline),
		TEST(nobody_waits_where_waiting_is_off),
		TEST(a_cancelled_wait_ends_at_once),
		TEST(who_leaves_the_lines_keeps_what_it_has),
		TEST(the_end_of_a_session_gives_up_its_place),
		TEST(a_session_waits_only_so_often),
		TEST(who_comes_back_has_kept_its_place),
		TEST(who_is_absent_is_passed),
		TEST(a_free_lock_is_not_kept_for_who_is_absent),
		TEST(a_place_lapses),
		TEST(the_deadline_counts_from_the_first_ask),
		TEST(the_deadline_ends_who_is_present_with_the_error),
		TEST(a_wait_in_vain_is_told_of_with_who_had_it),
		TEST(a_circle_of_two_is_refused),
		TEST(a_circle_of_three_is_refused),
		TEST(who_is_absent_still_waits),
		TEST(the_line_can_close_a_circle),
		TEST(a_queue_is_no_circle),
		TEST(a_lock_tells_its_holder_and_whether_it_is_wanted),
		TEST(the_list_shows_who_has_and_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
