/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/mailbag_lock_kit.h"

/* What a session that was undone has until its last batch has landed. */

static void
what_is_detached_is_kept_from_its_session_too(void **state)
{
	FsMailbagTimes times;
	uint64_t holder = 0;

	take(*state, 1, A);
	assert_true(fs_mailbag_lock_times(*state, 1, A, &times));
	fs_mailbag_lock_detach(*state, 1, A);
	assert_int_equal(fs_mailbag_lock_try(*state, 1, A, 0), -ETXTBSY);
	assert_true(fs_mailbag_lock_is_elsewhere(*state, 1, A, 0));
	assert_false(fs_mailbag_lock_is_held(*state, 1, A));
	assert_false(fs_mailbag_lock_times(*state, 1, A, &times));
	assert_true(fs_mailbag_lock_holder(*state, A, &holder));
	assert_int_equal(holder, 1);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	take(*state, 1, A);
	take(*state, 1, A);
}

static void
who_has_it_detached_stands_in_line_behind_the_others(void **state)
{
	Waiter own;
	Waiter other;

	take(*state, 1, A);
	park(*state, &other, 2, A);
	fs_mailbag_lock_detach(*state, 1, A);
	park(*state, &own, 1, A);
	fs_mailbag_lock_cancel(*state, other.wait);
	assert_true(fs_mailbag_lock_is_wanted(*state, A));
	park(*state, &other, 2, A);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_ended(&own, 0);
	assert_waits(&other);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_ended(&other, 0);
}

/* It waits for nobody to let go of it. */
static void
what_is_detached_closes_no_circle(void **state)
{
	Waiter first;
	Waiter second;

	take(*state, 1, A);
	take(*state, 2, B);
	fs_mailbag_lock_detach(*state, 1, A);
	park(*state, &first, 2, A);
	park(*state, &second, 1, B);
	fs_mailbag_lock_drop(*state, 1, A, 0);
	assert_ended(&first, 0);
	fs_mailbag_lock_drop(*state, 2, B, 0);
	assert_ended(&second, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_detached_is_kept_from_its_session_too),
		TEST(who_has_it_detached_stands_in_line_behind_the_others),
		TEST(what_is_detached_closes_no_circle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
