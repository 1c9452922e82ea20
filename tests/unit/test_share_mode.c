/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/share_mode.h"

#define R FS_SHARE_READ
#define W FS_SHARE_WRITE

/* ---- two opens ---------------------------------------------------------- */

typedef struct Pair {
	FsShareMode one;
	FsShareMode other;
	bool collides;
} Pair;

static void
every_deny_mode_refuses_what_it_denies(void **state)
{
	static const Pair PAIRS[] = {
		/* Deny none. */
		{ { R | W, 0 }, { R | W, 0 }, false },
		/* Deny read. */
		{ { W, R }, { W, 0 }, false },
		{ { W, R }, { R, 0 }, true },
		{ { W, R }, { R | W, 0 }, true },
		/* Deny write. */
		{ { R, W }, { R, 0 }, false },
		{ { R, W }, { R, W }, false },
		{ { R, W }, { W, 0 }, true },
		{ { R, W }, { R | W, 0 }, true },
		/* Deny all. */
		{ { R, R | W }, { R, 0 }, true },
		{ { R, R | W }, { W, 0 }, true },
		/* It denies what the first one does. */
		{ { R, 0 }, { R, W }, false },
		{ { R | W, 0 }, { R, W }, true },
		{ { W, 0 }, { R, R }, false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(PAIRS); i++) {
		const Pair *pair = &PAIRS[i];

		assert_int_equal(
			fs_share_mode_collides(&pair->one, &pair->other),
			pair->collides);
		assert_int_equal(
			fs_share_mode_collides(&pair->other, &pair->one),
			pair->collides);
	}
}

static void
who_does_nothing_is_in_nobodys_way(void **state)
{
	const FsShareMode nothing = { 0 };
	const FsShareMode all = { R | W, R | W, true };

	assert_false(fs_share_mode_collides(&nothing, &all));
}

/* ---- local programs ----------------------------------------------------- */

static void
a_local_program_denies_nothing(void **state)
{
	static const int FLAGS[] = { O_RDONLY, O_WRONLY, O_RDWR | O_TRUNC };

	for (size_t i = 0; i < G_N_ELEMENTS(FLAGS); i++) {
		FsShareMode mode = fs_share_mode_of_flags(FLAGS[i]);

		assert_int_equal(mode.deny, 0);
		assert_false(mode.is_declared);
	}
}

static void
a_local_program_does_what_its_flags_say(void **state)
{
	assert_int_equal(fs_share_mode_of_flags(O_RDONLY | O_CLOEXEC).access,
	                 R);
	assert_int_equal(fs_share_mode_of_flags(O_WRONLY | O_APPEND).access, W);
	assert_int_equal(fs_share_mode_of_flags(O_RDWR).access, R | W);
	assert_int_equal(fs_share_mode_of_flags(O_RDONLY | O_TRUNC).access,
	                 R | W);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_deny_mode_refuses_what_it_denies),
		cmocka_unit_test(who_does_nothing_is_in_nobodys_way),
		cmocka_unit_test(a_local_program_denies_nothing),
		cmocka_unit_test(a_local_program_does_what_its_flags_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
