/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/format/key.h"

static const FormatKeyLayout reversed = {
	.offset = 0,
	.first_bit_is_lsb = false,
	.one_is_deleted = false,
};

static void
an_empty_mailbag_is_all_zero(void **state)
{
	uint8_t key[FORMAT_KEY_SIZE] = { 0 };

	assert_true(format_key_is_zero(key));
	assert_int_equal(
		format_key_count_live(key, &FORMAT_KEY_LAYOUT_ASSUMED, 0), 0);
	assert_int_equal(
		format_key_find_vacant(key, &FORMAT_KEY_LAYOUT_ASSUMED, 0), 0);
	for (size_t i = 0; i < sizeof(key); i++) {
		key[i] = 1;
		assert_false(format_key_is_zero(key));
		key[i] = 0;
	}
}

static void
the_documented_guess_is_the_default(void **state)
{
	const FormatKeyLayout *layout = &FORMAT_KEY_LAYOUT_ASSUMED;
	uint8_t key[FORMAT_KEY_SIZE] = { 0 };

	assert_false(layout->is_confirmed);
	format_key_set_deleted(key, layout, 0, true);
	assert_int_equal(key[0x30], 0x01);
	format_key_set_deleted(key, layout, 11, true);
	assert_int_equal(key[0x31], 0x08);
	format_key_set_deleted(key, layout, 4095, true);
	assert_int_equal(key[FORMAT_KEY_SIZE - 1], 0x80);
	assert_true(format_key_is_deleted(key, layout, 11));
	assert_false(format_key_is_deleted(key, layout, 10));
	assert_int_equal(format_key_count_live(key, layout, 4096), 4093);
}

static void
a_layout_may_be_the_other_way_round(void **state)
{
	uint8_t key[FORMAT_KEY_SIZE] = { 0 };

	assert_true(format_key_is_deleted(key, &reversed, 9));
	format_key_set_deleted(key, &reversed, 9, false);
	assert_int_equal(key[1], 0x40);
	assert_int_equal(format_key_count_live(key, &reversed, 16), 1);
	format_key_set_deleted(key, &reversed, 9, true);
	assert_true(format_key_is_zero(key));
}

static void
one_bit_is_one_records(void **state)
{
	const FormatKeyLayout *layouts[] = { &FORMAT_KEY_LAYOUT_ASSUMED,
		                             &reversed };
	uint8_t key[FORMAT_KEY_SIZE];
	uint8_t before[FORMAT_KEY_SIZE];

	for (size_t l = 0; l < G_N_ELEMENTS(layouts); l++) {
		memset(key, 0x5A, sizeof(key));
		memcpy(before, key, sizeof(key));
		for (uint32_t i = 0; i < FORMAT_KEY_RECORDS_MAX; i++) {
			bool was = format_key_is_deleted(key, layouts[l], i);

			format_key_set_deleted(key, layouts[l], i, !was);
			assert_int_equal(
				format_key_is_deleted(key, layouts[l], i),
				!was);
			assert_memory_not_equal(key, before, sizeof(key));
			format_key_set_deleted(key, layouts[l], i, was);
			assert_memory_equal(key, before, sizeof(key));
		}
	}
}

static void
a_new_message_takes_the_first_vacant_place(void **state)
{
	const FormatKeyLayout *layout = &FORMAT_KEY_LAYOUT_ASSUMED;
	uint8_t key[FORMAT_KEY_SIZE] = { 0 };

	assert_int_equal(format_key_find_vacant(key, layout, 7), 7);
	format_key_set_deleted(key, layout, 5, true);
	format_key_set_deleted(key, layout, 3, true);
	assert_int_equal(format_key_find_vacant(key, layout, 7), 3);
	assert_int_equal(format_key_find_vacant(key, layout, 3), 3);
	assert_int_equal(format_key_find_vacant(key, layout, 2), 2);
	format_key_set_deleted(key, layout, 5, false);
	format_key_set_deleted(key, layout, 3, false);
	assert_int_equal(format_key_find_vacant(key, layout, 4096),
	                 FORMAT_KEY_RECORDS_MAX);
	assert_int_equal(format_key_find_vacant(key, layout, UINT32_MAX),
	                 FORMAT_KEY_RECORDS_MAX);
}

static void
a_layout_is_read_as_it_is_written(void **state)
{
	static const char *const texts[] = {
		"offset=48 order=lsb deleted=1 confirmed=no",
		"offset=48 order=lsb deleted=1 word=4 confirmed=no",
		"offset=0 order=msb deleted=0 confirmed=yes",
	};
	FormatKeyLayout layout;

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autofree char *text = NULL;

		assert_int_equal(format_key_layout_parse(texts[i], &layout), 0);
		text = format_key_layout_print(&layout);
		assert_string_equal(text, texts[i]);
	}
	assert_int_equal(layout.offset, 0);
	assert_false(layout.first_bit_is_lsb);
	assert_false(layout.one_is_deleted);
	assert_true(layout.is_confirmed);
}

static void
what_a_layout_does_not_say_is_assumed(void **state)
{
	FormatKeyLayout layout = reversed;

	assert_int_equal(format_key_layout_parse(" offset=0x10\t", &layout), 0);
	assert_int_equal(layout.offset, 16);
	assert_true(layout.first_bit_is_lsb);
	assert_true(layout.one_is_deleted);
	assert_false(layout.is_confirmed);
	assert_int_equal(format_key_layout_parse("", &layout), 0);
	assert_int_equal(layout.offset, 48);
}

static void
a_layout_that_cannot_be_is_refused(void **state)
{
	static const char *const bad[] = {
		"offset=49",        "offset=-1", "offset=",   "offset=0x",
		"offset=1k",        "order=LSB", "deleted=2", "confirmed=",
		"confirmed=yes no", "offset",    "=48",
	};
	FormatKeyLayout layout = reversed;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_true(format_key_layout_parse(bad[i], &layout) < 0);
	assert_int_equal(format_key_layout_parse("colour=red", &layout),
	                 -ENOENT);
	assert_int_equal(format_key_layout_set(&layout, "offset", "50"),
	                 -EINVAL);
	assert_memory_equal(&layout, &reversed, sizeof(layout));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_mailbag_is_all_zero),
		cmocka_unit_test(the_documented_guess_is_the_default),
		cmocka_unit_test(a_layout_may_be_the_other_way_round),
		cmocka_unit_test(one_bit_is_one_records),
		cmocka_unit_test(a_new_message_takes_the_first_vacant_place),
		cmocka_unit_test(a_layout_is_read_as_it_is_written),
		cmocka_unit_test(what_a_layout_does_not_say_is_assumed),
		cmocka_unit_test(a_layout_that_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
