/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/creator.h"

static int
setup(void **state)
{
	*state = fs_creators_new();
	return 0;
}

static int
teardown(void **state)
{
	fs_creators_free(*state);
	return 0;
}

static void
a_file_has_one_creator(void **state)
{
	fs_creators_add(*state, 1, 100);
	fs_creators_add(*state, 1, 101);
	fs_creators_add(*state, 2, 200);
	assert_true(fs_creators_has(*state, 1, 100));
	assert_true(fs_creators_has(*state, 1, 101));
	assert_true(fs_creators_has(*state, 2, 200));
	assert_false(fs_creators_has(*state, 2, 100));
	assert_false(fs_creators_has(*state, 1, 200));
	assert_false(fs_creators_has(*state, 3, 100));
}

static void
the_end_of_a_session_forgets_its_files(void **state)
{
	fs_creators_add(*state, 1, 100);
	fs_creators_add(*state, 2, 200);
	fs_creators_end(*state, 1);
	fs_creators_end(*state, 1);
	assert_false(fs_creators_has(*state, 1, 100));
	assert_true(fs_creators_has(*state, 2, 200));
}

static void
a_session_cannot_fill_the_memory(void **state)
{
	const uint64_t last = UINT64_C(3) * FS_CREATOR_NODES_MAX;
	unsigned known = 0;

	fs_creators_add(*state, 2, 1);
	for (uint64_t node = 1; node <= last; node++)
		fs_creators_add(*state, 1, node);
	for (uint64_t node = 1; node <= last; node++)
		known += fs_creators_has(*state, 1, node);
	assert_in_range(known, 1, FS_CREATOR_NODES_MAX);
	assert_true(fs_creators_has(*state, 1, last));
	assert_true(fs_creators_has(*state, 2, 1));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_has_one_creator),
		TEST(the_end_of_a_session_forgets_its_files),
		TEST(a_session_cannot_fill_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
