/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/lock_key.h"

#define OFFICE 2
#define DIR    7

/* The lock of a file, and what its key says. */
static void
assert_lock(LayoutDir role, LayoutKind kind, const char *file,
            FsLockPurpose purpose, StoreNode dir, const char *name)
{
	StorePlace place = {
		.dir = DIR,
		.office = OFFICE,
		.role = role,
		.kind = kind,
	};
	g_autofree char *key = NULL;
	FsLockSubject subject;

	(void)g_strlcpy(place.name, file, sizeof place.name);
	key = fs_lock_key(&place);
	assert_non_null(key);
	assert_int_equal(fs_lock_key_purpose(&place), purpose);
	assert_true(fs_lock_key_parse(key, &subject));
	assert_int_equal(subject.purpose, purpose);
	assert_int_equal(subject.dir, dir);
	assert_string_equal(subject.name, name);
}

static void
a_key_says_what_it_is_of(void **state)
{
	(void)state;
	assert_lock(LAYOUT_DIR_KEY, LAYOUT_MAILBAG, "0000000E.KEY",
	            FS_LOCK_UPDATE, OFFICE, "0000000E");
	assert_lock(LAYOUT_DIR_MBG, LAYOUT_MAILBAG, "0000000E.MBG",
	            FS_LOCK_UPDATE, OFFICE, "0000000E");
	assert_lock(LAYOUT_DIR_P1, LAYOUT_LOCK_FILE, "0000000E.0LK",
	            FS_LOCK_PROCESSING, OFFICE, "0000000E");
	assert_lock(LAYOUT_DIR_KEY, LAYOUT_MAILBAG, "INQUEUE3.KEY",
	            FS_LOCK_INQUEUE, OFFICE, "INQUEUE");
	assert_lock(LAYOUT_DIR_P1, LAYOUT_LOCK_FILE, "INQUEUE.0LK",
	            FS_LOCK_INQUEUE, OFFICE, "INQUEUE");
	assert_lock(LAYOUT_DIR_P1, LAYOUT_MESSAGE, "A:1.P1", FS_LOCK_FILE, DIR,
	            "A:1.P1");
}

static void
a_plain_file_has_none_unless_it_is_for_one_program(void **state)
{
	StorePlace place = {
		.dir = DIR,
		.office = OFFICE,
		.role = LAYOUT_DIR_GLB,
		.kind = LAYOUT_PLAIN,
		.name = "NETWORK.GLB",
	};

	(void)state;
	assert_int_equal(fs_lock_key_purpose(&place), FS_LOCK_NONE);
	assert_null(fs_lock_key(&place));
	assert_lock(LAYOUT_DIR_GLB, LAYOUT_PLAIN, "CONTROL.GLB", FS_LOCK_FILE,
	            DIR, "CONTROL.GLB");
}

static void
what_is_no_key_is_told_so(void **state)
{
	static const char *const texts[] = { "",    "U",     "U:",
		                             "U:2", "X:2:A", "U2:A" };
	FsLockSubject subject;

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		assert_false(fs_lock_key_parse(texts[i], &subject));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_says_what_it_is_of),
		cmocka_unit_test(
			a_plain_file_has_none_unless_it_is_for_one_program),
		cmocka_unit_test(what_is_no_key_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
