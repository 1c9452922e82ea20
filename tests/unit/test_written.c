/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/written.h"

static unsigned pieces; /* of all files of a test */

static int
setup(void **state)
{
	pieces = 0;
	*state = fs_written_new(&pieces);
	return 0;
}

static int
teardown(void **state)
{
	fs_written_free(*state);
	return 0;
}

static void
an_empty_file_is_whole(void **state)
{
	assert_true(fs_written_covers(*state, 0));
	assert_false(fs_written_covers(*state, 1));
	fs_written_add(*state, 0, 0);
	assert_false(fs_written_covers(*state, 1));
}

static void
writes_in_order_cover_all(void **state)
{
	for (unsigned i = 0; i < 3 * FS_WRITTEN_PIECES_MAX; i++) {
		assert_false(fs_written_covers(*state, (uint64_t)i * 512 + 1));
		fs_written_add(*state, (uint64_t)i * 512, 512);
		assert_true(fs_written_covers(*state, ((uint64_t)i + 1) * 512));
	}
}

static void
a_hole_is_seen_until_it_is_filled(void **state)
{
	fs_written_add(*state, 0, 10);
	fs_written_add(*state, 20, 10);
	assert_true(fs_written_covers(*state, 10));
	assert_false(fs_written_covers(*state, 11));
	assert_false(fs_written_covers(*state, 30));
	fs_written_add(*state, 11, 9);
	assert_false(fs_written_covers(*state, 30));
	fs_written_add(*state, 10, 1);
	assert_true(fs_written_covers(*state, 30));
	assert_false(fs_written_covers(*state, 31));
}

static void
a_file_without_its_start_is_torn(void **state)
{
	fs_written_add(*state, 1, 99);
	assert_false(fs_written_covers(*state, 100));
	fs_written_add(*state, 0, 1);
	assert_true(fs_written_covers(*state, 100));
}

static void
what_is_cut_off_must_be_written_again(void **state)
{
	fs_written_add(*state, 0, 10);
	fs_written_add(*state, 20, 10);
	fs_written_add(*state, 40, 10);
	fs_written_cut(*state, 25);
	fs_written_add(*state, 10, 10);
	assert_true(fs_written_covers(*state, 25));
	assert_false(fs_written_covers(*state, 26));
	/* A longer file has a hole at its end. */
	fs_written_cut(*state, 60);
	assert_false(fs_written_covers(*state, 60));
	fs_written_add(*state, 25, 15);
	assert_false(fs_written_covers(*state, 50));
	fs_written_cut(*state, 0);
	assert_false(fs_written_covers(*state, 1));
}

static void
too_many_pieces_count_as_whole(void **state)
{
	for (unsigned i = 0; i < FS_WRITTEN_PIECES_MAX; i++)
		fs_written_add(*state, 1 + 2 * (uint64_t)i, 1);
	assert_false(fs_written_covers(*state, 2));
	fs_written_add(*state, UINT64_C(1) << 40, 1);
	assert_true(fs_written_covers(*state, 2));
	fs_written_add(*state, 5, 1);
	fs_written_cut(*state, 10);
	assert_true(fs_written_covers(*state, 10));
	fs_written_cut(*state, 0);
	assert_false(fs_written_covers(*state, 1));
	fs_written_add(*state, 5, 1);
	assert_false(fs_written_covers(*state, 6));
}

static void
so_do_too_many_of_all_files(void **state)
{
	FsWritten *others[FS_WRITTEN_PIECES_ALL / 1000];

	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		others[i] = fs_written_new(&pieces);
		for (unsigned j = 0; j < 1000; j++)
			fs_written_add(others[i], 2 * (uint64_t)j, 1);
		assert_false(fs_written_covers(others[i], 1999));
	}
	for (unsigned i = 0; i <= FS_WRITTEN_PIECES_ALL % 1000; i++)
		fs_written_add(*state, 2 * (uint64_t)i, 1);
	assert_true(fs_written_covers(*state, 100000));
	assert_true(pieces < FS_WRITTEN_PIECES_ALL);

	/* What is whole again, or empty, makes room. */
	fs_written_add(others[0], 0, 2000);
	fs_written_cut(others[1], 0);
	assert_int_equal(pieces, 1 + (G_N_ELEMENTS(others) - 2) * 1000);
	fs_written_cut(*state, 0);
	fs_written_add(*state, 1, 1);
	assert_false(fs_written_covers(*state, 2));
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		fs_written_free(others[i]);
}

static void
the_end_of_numbers_is_no_start(void **state)
{
	fs_written_add(*state, UINT64_MAX - 1, 100);
	assert_false(fs_written_covers(*state, 50));
	fs_written_add(*state, 0, UINT64_MAX - 1);
	assert_true(fs_written_covers(*state, UINT64_MAX));
}

/* Against a plain array of bytes. */
static void
random_writes_and_cuts_are_followed(void **state)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);
	enum {
		SIZE = 64
	};
	bool model[SIZE] = { false };
	uint64_t whole;

	for (unsigned i = 0; i < 20000; i++) {
		guint32 offset = g_rand_int_range(rand, 0, SIZE);
		guint32 size = g_rand_int_range(rand, 0, 9);

		if (g_rand_int_range(rand, 0, 6) == 0) {
			fs_written_cut(*state, offset);
			memset(model + offset, 0, SIZE - offset);
		} else {
			size = MIN(size, SIZE - offset);
			fs_written_add(*state, offset, size);
			memset(model + offset, 1, size);
		}

		for (whole = 0; whole < SIZE && model[whole]; whole++)
			assert_true(fs_written_covers(*state, whole + 1));
		assert_false(fs_written_covers(*state, whole + 1));
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_file_is_whole),
		TEST(writes_in_order_cover_all),
		TEST(a_hole_is_seen_until_it_is_filled),
		TEST(a_file_without_its_start_is_torn),
		TEST(what_is_cut_off_must_be_written_again),
		TEST(too_many_pieces_count_as_whole),
		TEST(so_do_too_many_of_all_files),
		TEST(the_end_of_numbers_is_no_start),
		TEST(random_writes_and_cuts_are_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
