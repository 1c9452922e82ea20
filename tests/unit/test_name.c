/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/name.h"

static void
names_that_differ_in_case_are_equal(void **state)
{
	static const char *const pairs[][2] = {
		{ "inqueue3.key", "INQUEUE3.KEY" },
		{ "\xc3\xa4\xc3\xb6\xc3\xbc", "\xc3\x84\xc3\x96\xc3\x9c" },
		/* sigma, final sigma, capital sigma */
		{ "\xcf\x83", "\xcf\x82" },
		{ "\xcf\x83", "\xce\xa3" },
		/* micro sign and mu, long s and s, Kelvin sign and k */
		{ "\xc2\xb5", "\xce\xbc" },
		{ "\xc5\xbf", "S" },
		{ "\xe2\x84\xaa", "k" },
		/* Roman two, circled Z, the iota below */
		{ "\xe2\x85\xa1", "\xe2\x85\xb1" },
		{ "\xe2\x93\x8f", "\xe2\x93\xa9" },
		{ "\xcd\x85", "\xce\xb9" },
		/* Deseret, outside the basic plane */
		{ "\xf0\x90\x90\x80", "\xf0\x90\x90\xa8" },
	};
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(pairs); i++)
		assert_true(name_equal(pairs[i][0], pairs[i][1]));
}

static void
names_that_only_look_alike_are_not_equal(void **state)
{
	assert_false(name_equal("a", "b"));
	/* sharp s folds to ss in full folding only */
	assert_false(name_equal("\xc3\x9f", "ss"));
	/* dotless i and dotted I have no simple folding */
	assert_false(name_equal("\xc4\xb1", "i"));
	assert_false(name_equal("\xc4\xb0", "i"));
	assert_false(name_equal("\xff", "\xff"));
}

static void
folding_may_lengthen_a_name_but_fits(void **state)
{
	char name[256];
	char folded[NAME_FOLDED_MAX + 1];
	size_t i;

	/* U+023A takes two bytes, its folding U+2C65 three. */
	for (i = 0; i < 254; i += 2)
		memcpy(name + i, "\xc8\xba", 3);
	assert_int_equal(name_fold(name, folded), 381);
}

static void
names_that_windows_cannot_have_are_refused(void **state)
{
	static const char *const bad[] = {
		"",       "a:b",    "a*",       "a?",       "a\"",     "a<",
		"a>",     "a|",     "a\\b",     "a/b",      "a.",      "a ",
		"\x01",   "a\x7f",  "CON",      "con.txt",  "Nul.a.b", "COM1",
		"lpt9.x", "CLOCK$", "AUX .txt", "\xff\xfe", ".",       "..",
	};
	static const char *const good[] = {
		"a",        "a b.txt",  "CONSOLE", "COM0", "COM10",
		".profile", "\xc3\xa4", "x.y.z",   "LPT",  "A'B",
	};
	g_autofree char *longest = g_strnfill(255, 'x');
	g_autofree char *longer = g_strnfill(256, 'x');
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_int_equal(name_check(bad[i]), -EINVAL);
	for (i = 0; i < G_N_ELEMENTS(good); i++)
		assert_int_equal(name_check(good[i]), 0);
	assert_int_equal(name_check(longest), 0);
	assert_int_equal(name_check(longer), -ENAMETOOLONG);
}

static void
dos_names_are_upper_case_8_3(void **state)
{
	static const char *const pairs[][2] = {
		{ "0000000a.0lk", "0000000A.0LK" },
		{ "inqueue3.key", "INQUEUE3.KEY" },
		{ "a", "A" },
		{ "a!#$%&'(", "A!#$%&'(" },
		{ ")-@^_`{}.~", ")-@^_`{}.~" },
		{ "\xc3\xa4.txt", "\xc3\x84.TXT" },
	};
	static const char *const bad[] = {
		"",
		"123456789",
		"a.1234",
		"a.b.c",
		".a",
		"a.",
		"a b",
		"a+b",
		"a,b",
		"a;b",
		"a=b",
		"a[b",
		"nul",
		"prn.key",
		"\xff",
		"a\xe2\x82\xac",
		"\xe4\xb8\xad",
	};
	char dos[256];
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(pairs); i++) {
		assert_int_equal(name_to_dos(pairs[i][0], dos), 0);
		assert_string_equal(dos, pairs[i][1]);
	}
	for (i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_int_equal(name_to_dos(bad[i], dos), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_differ_in_case_are_equal),
		cmocka_unit_test(names_that_only_look_alike_are_not_equal),
		cmocka_unit_test(folding_may_lengthen_a_name_but_fits),
		cmocka_unit_test(names_that_windows_cannot_have_are_refused),
		cmocka_unit_test(dos_names_are_upper_case_8_3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
