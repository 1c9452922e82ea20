/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/format/mai.h"

/* What is published of a MAI (Q104423), from 0x0B on, with the 11 bytes before
 * it that would fit. */
static const char begin[] =
	"\x4D\x83\x00\x1B\xF2\x01\x7F\x05\x31\x20\x02"
	"\x2C\x01\x7F\x05\x32\x20\x02\x02\x00\x7F\x05\x33\x20\x02\x0A\x00"
	"\x7F\x05\x37\x20\x02\x0A\x00"
	"\x4C\x25\x01\x02\x22ZeWY\x0EPthlT\x18"
	"eJWRnH)\xCF\xC4\xD6\xDA\xC3\xE0\xC9\xD3\xC8\xF8\xE7\xFA\xED\xDA\xA2\xF3"
	"\x4C\x82\x19\xC9\x05";
static const char recipients[] = "\x02\x14ZeWY\x0EPthlT\x18"
				 "e8q)|\xB4\xD5\xB3\xF8"
				 "\x02\x14ZeWY\x0EPthlT\x18"
				 "e9y(}\xB5\xD4\xB2\xF9";

#define PUBLISHED_SIZE 0x1BF7

/* That file: its 300 recipients are the two that were printed, in turn, and
 * the last 481 bytes, which were not, are a text. */
static GByteArray *
published(void)
{
	GByteArray *file = g_byte_array_new();
	static const uint8_t HEAD[] = { 0x4C, 0x82, 0x01, 0xDD, FORMAT_MAI_TEXT,
		                        0x02, 0x82, 0x01, 0xD8 };
	uint8_t text[481];

	g_byte_array_append(file, (const uint8_t *)begin, sizeof(begin) - 1);
	for (unsigned i = 0; i < 150; i++)
		g_byte_array_append(file, (const uint8_t *)recipients,
		                    sizeof(recipients) - 1);
	assert_int_equal(file->len, 0x1A16);
	memset(text, 0xA5, sizeof(text));
	memcpy(text, HEAD, sizeof(HEAD));
	g_byte_array_append(file, text, sizeof(text));
	assert_int_equal(file->len, PUBLISHED_SIZE);
	return file;
}

static void
assert_next(FormatMaiWalk *walk, unsigned depth, uint8_t id, uint32_t qualifier,
            size_t offset, size_t header, size_t length)
{
	FormatMaiElement element;

	assert_int_equal(format_mai_walk_next(walk, &element), 1);
	assert_int_equal(element.depth, depth);
	assert_int_equal(element.id, id);
	assert_int_equal(element.qualifier, qualifier);
	assert_int_equal(element.offset, offset);
	assert_int_equal(element.header, header);
	assert_int_equal(element.length, length);
}

static void
assert_end(FormatMaiWalk *walk, int r)
{
	FormatMaiElement element;

	assert_int_equal(format_mai_walk_next(walk, &element), r);
}

static void
the_published_message_is_read(void **state)
{
	g_autoptr(GByteArray) file = published();
	FormatMaiWalk walk;
	FormatMaiReport report;
	uint64_t declared = 0;
	uint16_t owners = 0;

	format_mai_walk_begin(&walk, file->data, file->len);
	assert_next(&walk, 0, 0x4D, 1, 0, 6, 0x1BF1);
	assert_next(&walk, 1, 0x7F, 0x31, 0x06, 3, 4);
	assert_next(&walk, 2, 0x20, 0, 0x09, 2, 2);
	assert_next(&walk, 1, 0x7F, 0x32, 0x0D, 3, 4);
	assert_next(&walk, 2, 0x20, 0, 0x10, 2, 2);
	assert_next(&walk, 1, 0x7F, 0x33, 0x14, 3, 4);
	assert_next(&walk, 2, 0x20, 0, 0x17, 2, 2);
	assert_next(&walk, 1, 0x7F, 0x37, 0x1B, 3, 4);
	assert_next(&walk, 2, 0x20, 0, 0x1E, 2, 2);
	assert_next(&walk, 1, 0x4C, FORMAT_MAI_FROM, 0x22, 3, 36);
	assert_next(&walk, 2, 0x02, 0, 0x25, 2, 34);
	assert_next(&walk, 1, 0x4C, FORMAT_MAI_TO, 0x49, 5, 6600);
	for (unsigned i = 0; i < 300; i++)
		assert_next(&walk, 2, 0x02, 0, 0x4E + i * 22, 2, 20);
	assert_next(&walk, 1, 0x4C, FORMAT_MAI_TEXT, 0x1A16, 5, 476);
	assert_next(&walk, 2, 0x02, 0, 0x1A1B, 4, 472);
	assert_end(&walk, 0);
	assert_end(&walk, 0);

	assert_int_equal(format_mai_owners(file->data, file->len, &owners), 0);
	assert_int_equal(owners, 300);
	assert_int_equal(
		format_mai_declared_size(file->data, file->len, &declared), 0);
	assert_int_equal(declared, PUBLISHED_SIZE);
	format_mai_check(file->data, file->len, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_GOOD);
	assert_int_equal(report.declared, PUBLISHED_SIZE);
	assert_int_equal(report.elements, 314);
	assert_int_equal(report.at, 0);
}

/* Without the guess of the first 11 bytes: a list from 0x0D on. */
static void
a_list_without_a_message_is_read(void **state)
{
	g_autoptr(GByteArray) file = published();
	FormatMaiWalk walk;
	FormatMaiReport report;

	memset(file->data, 0xFF, FORMAT_MAI_OWNERS_OFFSET);
	format_mai_walk_begin(&walk, file->data, file->len);
	assert_next(&walk, 0, 0x7F, 0x32, 0x0D, 3, 4);
	assert_next(&walk, 1, 0x20, 0, 0x10, 2, 2);
	format_mai_check(file->data, file->len, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_GOOD);
	assert_int_equal(report.declared, 0);
}

static void
owners_are_set_in_place(void **state)
{
	uint8_t bytes[0x0E] = { [0x0A] = 1, [0x0D] = 2 };
	uint16_t owners;

	assert_int_equal(format_mai_set_owners(bytes, sizeof(bytes), 0x1234),
	                 0);
	assert_memory_equal(bytes + 0x0A, "\x01\x34\x12\x02", 4);
	assert_int_equal(format_mai_owners(bytes, 0x0D, &owners), 0);
	assert_int_equal(owners, 0x1234);
	assert_int_equal(format_mai_owners(bytes, 0x0C, &owners), -ENODATA);
	assert_int_equal(format_mai_set_owners(bytes, 0x0C, 0), -ENODATA);
	assert_int_equal(bytes[0x0B], 0x34);
}

static void
the_examples_of_the_standard_are_read(void **state)
{
	static const char FIELD[] =
		"\x4C\x1B\x04\x02\x18I will see you at lunch.";
	static const char MESSAGE[] =
		"\x4D\x26\x01\x4C\x19\x02\x28\x16\x02\x14"
		"19800704-180000-0400\x4C\x08\x01\x02\x05Smith";
	char text[FORMAT_MAI_LIST_OFFSET + sizeof(FIELD) - 1] = "";
	FormatMaiWalk walk;

	/* A field alone is no file: it is put where a list begins. */
	memcpy(text + FORMAT_MAI_LIST_OFFSET, FIELD, sizeof(FIELD) - 1);
	format_mai_walk_begin(&walk, (const uint8_t *)text, sizeof(text));
	assert_next(&walk, 0, 0x4C, FORMAT_MAI_TEXT, 0x0D, 3, 26);
	assert_next(&walk, 1, 0x02, 0, 0x10, 2, 24);
	assert_end(&walk, 0);

	format_mai_walk_begin(&walk, (const uint8_t *)MESSAGE,
	                      sizeof(MESSAGE) - 1);
	assert_next(&walk, 0, 0x4D, 1, 0, 3, 0x25);
	assert_next(&walk, 1, 0x4C, FORMAT_MAI_POSTED_DATE, 3, 3, 24);
	assert_next(&walk, 2, 0x28, 0, 6, 2, 22);
	assert_next(&walk, 3, 0x02, 0, 8, 2, 20);
	assert_next(&walk, 1, 0x4C, FORMAT_MAI_FROM, 30, 3, 7);
	assert_next(&walk, 2, 0x02, 0, 33, 2, 5);
	assert_end(&walk, 0);
}

static void
lengths_and_qualifiers_have_all_their_forms(void **state)
{
	/* In turn: an indefinite field with its end, a vendor's qualifier, an
	 * undefined one, one of five octets, and a string with properties. */
	static const char BYTES[] = "\x4D\x2C\x01"
				    "\x4C\x80\x04\x02\x01x\x01\x00"
				    "\x4C\x06\x82\x00\x31\x20\x01\x05"
				    "\x4C\x04\x80\x02\x01y"
				    "\x7F\x09\x85\x01\x02\x03\x04\x05\x02\x01z"
				    "\x82\x83\x00\x00\x05\x24\x00\x02\x01w";
	FormatMaiElement element;
	FormatMaiWalk walk;

	format_mai_walk_begin(&walk, (const uint8_t *)BYTES, sizeof(BYTES) - 1);
	assert_next(&walk, 0, 0x4D, 1, 0, 3, 0x2B);
	assert_int_equal(format_mai_walk_next(&walk, &element), 1);
	assert_true(element.is_indefinite);
	assert_int_equal(element.length, 3);
	assert_int_equal(element.trailer, 2);
	assert_next(&walk, 2, 0x02, 0, 6, 2, 1);
	assert_int_equal(format_mai_walk_next(&walk, &element), 1);
	assert_int_equal(element.has_qualifier, FORMAT_MAI_VENDOR_QUALIFIED);
	assert_int_equal(element.qualifier, 0x31);
	assert_next(&walk, 2, 0x20, 0, 16, 2, 1);
	assert_int_equal(format_mai_walk_next(&walk, &element), 1);
	assert_int_equal(element.has_qualifier, FORMAT_MAI_UNDEFINED);
	assert_next(&walk, 2, 0x02, 0, 22, 2, 1);
	assert_next(&walk, 1, 0x7F, 0x02030405, 25, 8, 3);
	assert_next(&walk, 2, 0x02, 0, 33, 2, 1);
	assert_int_equal(format_mai_walk_next(&walk, &element), 1);
	assert_int_equal(element.id, FORMAT_MAI_ASCII);
	assert_true(element.has_properties);
	assert_int_equal(element.header, 5);
	assert_int_equal(element.length, 5);
	assert_end(&walk, 0);
}

static void
what_a_vendor_defined_may_hold_anything(void **state)
{
	static const char BYTES[] = "\x4D\x17\x01"
				    "\x7F\x06\x40\x02\x09hid"
				    "\x4C\x05\x82\x00\x07no"
				    "\x4C\x05\x04\x02\x02of";
	FormatMaiElement element;
	FormatMaiReport report;
	FormatMaiWalk walk;

	format_mai_walk_begin(&walk, (const uint8_t *)BYTES, sizeof(BYTES) - 1);
	assert_next(&walk, 0, 0x4D, 1, 0, 3, 0x16);
	assert_int_equal(format_mai_walk_next(&walk, &element), 1);
	assert_false(element.has_children);
	assert_next(&walk, 1, 0x4C, 0x07, 11, 5, 2);
	assert_next(&walk, 1, 0x4C, 0x04, 18, 3, 4);
	assert_next(&walk, 2, 0x02, 0, 21, 2, 2);
	assert_end(&walk, 0);
	format_mai_check((const uint8_t *)BYTES, sizeof(BYTES) - 1, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_GOOD);
}

/* Nor does what looks like a field there have to add up. */
static void
a_field_within_a_vendors_element_may_too(void **state)
{
	static const char BYTES[] = "\x4D\x09\x01"
				    "\x7F\x06\x40\x4C\x03\x04\x02\x09";
	FormatMaiElement element;
	FormatMaiWalk walk;

	format_mai_walk_begin(&walk, (const uint8_t *)BYTES, sizeof(BYTES) - 1);
	assert_next(&walk, 0, 0x4D, 1, 0, 3, 8);
	assert_next(&walk, 1, 0x7F, 0x40, 3, 3, 5);
	assert_int_equal(format_mai_walk_next(&walk, &element), 1);
	assert_int_equal(element.id, FORMAT_MAI_FIELD);
	assert_true(element.is_vendors);
	assert_false(element.has_children);
	assert_end(&walk, 0);
}

static void
a_text_that_is_the_vendors_is_not_the_messages(void **state)
{
	static const char BYTES[] = "\x4D\x0B\x01\x7F\x08\x31\x4C\x05\x04\x02"
				    "\x02of";
	FormatMaiReport report;

	format_mai_check((const uint8_t *)BYTES, sizeof(BYTES) - 1, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_NO_TEXT);
	assert_int_equal(report.elements, 4);
}

static void
every_damage_has_its_verdict(void **state)
{
	g_autoptr(GByteArray) file = published();
	FormatMaiReport report;

	format_mai_check(NULL, 0, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_EMPTY);

	format_mai_check(file->data, file->len - 1, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_SHORT);
	assert_int_equal(report.declared, PUBLISHED_SIZE);
	format_mai_check(file->data, 6, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_SHORT);

	/* The second recipient claims more than the field has left. */
	file->data[0x4E + 299 * 22 + 1] = 0x15;
	format_mai_check(file->data, file->len, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_MALFORMED);
	assert_int_equal(report.at, 0x4E + 299 * 22);
	file->data[0x4E + 299 * 22 + 1] = 0x14;

	file->data[0x1A1A] = 0x10;
	format_mai_check(file->data, file->len, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_NO_TEXT);
	file->data[0x1A1A] = FORMAT_MAI_TEXT;

	memset(file->data + 0x1800, 0, file->len - 0x1800);
	format_mai_check(file->data, file->len, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_ZERO_TAIL);
	assert_in_range(report.at, 0x17FF, 0x1800);

	memset(file->data, 0, file->len);
	format_mai_check(file->data, file->len, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_ZERO_TAIL);
	assert_int_equal(report.at, 0);

	memset(file->data, 'x', file->len);
	format_mai_check(file->data, file->len, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_FOREIGN);
	format_mai_check(file->data, 3, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_FOREIGN);
}

static void
padding_after_the_message_does_not_matter(void **state)
{
	g_autoptr(GByteArray) file = published();
	FormatMaiReport report;

	g_byte_array_set_size(file, 0x2000);
	memset(file->data + PUBLISHED_SIZE, 0, 0x2000 - PUBLISHED_SIZE);
	format_mai_check(file->data, file->len, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_GOOD);
	memset(file->data + PUBLISHED_SIZE, 0x4C, 0x2000 - PUBLISHED_SIZE);
	format_mai_check(file->data, file->len, &report);
	assert_int_equal(report.verdict, FORMAT_MAI_GOOD);
}

static void
lies_cost_nothing(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
	} lies[] = {
		{ "\x4D\x88\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11 },
		{ "\x4D\x8F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
		  "\xFF\xFF\x01",
		  18 },
		{ "\x4D\x05\x01\x4C\x88\xFF\xFF", 7 },
		{ "\x4D\x05\x01\x4C\x03\x8F\xFF", 7 },
		{ "\x4D\x05\x01\x4C\x01\x81\x04", 7 },
		{ "\x4D\x05\x01\x4C\x91\x01\x04", 7 },
		{ "\x4D\x05\x01\x4C\x80\x04\x02", 7 },
	};
	FormatMaiElement element;
	FormatMaiWalk walk;

	for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
		/* A copy of its own, so that a sanitizer sees its end. */
		g_autofree uint8_t *bytes =
			g_memdup2(lies[i].bytes, lies[i].size);
		int r;

		format_mai_walk_begin(&walk, bytes, lies[i].size);
		while ((r = format_mai_walk_next(&walk, &element)) > 0)
			assert_true(element.offset + element.header +
			                    element.length <=
			            lies[i].size);
		if (i >= 2)
			assert_int_equal(r, -EBADMSG);
	}
}

/* Writes @count elements, each in the one before it, where a list begins. */
static size_t
nest(uint8_t *bytes, size_t count)
{
	uint8_t *list = bytes + FORMAT_MAI_LIST_OFFSET;

	memset(bytes, 0, FORMAT_MAI_LIST_OFFSET);
	for (size_t i = 0; i < count; i++) {
		list[2 * i] = FORMAT_MAI_SEQUENCE;
		list[2 * i + 1] = 0x80;
		list[2 * (count + i)] = FORMAT_MAI_END_OF_CONSTRUCTOR;
		list[2 * (count + i) + 1] = 0;
	}
	return FORMAT_MAI_LIST_OFFSET + 4 * count;
}

static void
indefinite_lengths_may_be_nested_so_deep(void **state)
{
	uint8_t bytes[FORMAT_MAI_LIST_OFFSET + 4 * 20];
	FormatMaiElement element;
	FormatMaiWalk walk;
	size_t size = nest(bytes, FORMAT_MAI_DEPTH_MAX);

	format_mai_walk_begin(&walk, bytes, size);
	for (unsigned i = 0; i < FORMAT_MAI_DEPTH_MAX; i++) {
		assert_int_equal(format_mai_walk_next(&walk, &element), 1);
		assert_int_equal(element.depth, i);
		assert_int_equal(element.length,
		                 4 * (FORMAT_MAI_DEPTH_MAX - 1 - i));
	}
	assert_end(&walk, 0);

	size = nest(bytes, FORMAT_MAI_DEPTH_MAX + 1);
	format_mai_walk_begin(&walk, bytes, size);
	assert_end(&walk, -EBADMSG);
	assert_int_equal(format_mai_walk_at(&walk), FORMAT_MAI_LIST_OFFSET);
}

static void
definite_lengths_are_looked_into_so_deep(void **state)
{
	uint8_t bytes[FORMAT_MAI_LIST_OFFSET + 120] = { 0 };
	FormatMaiElement element;
	FormatMaiWalk walk;
	unsigned deepest = 0;
	int r;

	for (size_t at = FORMAT_MAI_LIST_OFFSET; at < sizeof(bytes); at += 3) {
		bytes[at] = FORMAT_MAI_MESSAGE;
		bytes[at + 1] = (uint8_t)(sizeof(bytes) - at - 2);
		bytes[at + 2] = 1;
	}
	format_mai_walk_begin(&walk, bytes, sizeof(bytes));
	while ((r = format_mai_walk_next(&walk, &element)) > 0)
		deepest = MAX(deepest, element.depth);
	assert_int_equal(r, 0);
	assert_int_equal(deepest, FORMAT_MAI_DEPTH_MAX);
}

static void
a_declared_size_is_never_taken_for_a_smaller_one(void **state)
{
	static const char HUGE_LENGTH[] =
		"\x4D\x8A\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x01";
	FormatMaiReport report;
	uint64_t declared = 0;

	assert_int_equal(format_mai_declared_size((const uint8_t *)HUGE_LENGTH,
	                                          sizeof(HUGE_LENGTH) - 1,
	                                          &declared),
	                 0);
	assert_int_equal(declared, UINT64_MAX);
	format_mai_check((const uint8_t *)HUGE_LENGTH, sizeof(HUGE_LENGTH) - 1,
	                 &report);
	assert_int_equal(report.verdict, FORMAT_MAI_SHORT);
	assert_int_equal(format_mai_declared_size((const uint8_t *)"\x4D\x83",
	                                          2, &declared),
	                 -ENODATA);
}

static void
names_are_those_of_the_standard(void **state)
{
	assert_string_equal(format_mai_id_name(FORMAT_MAI_FIELD), "Field");
	assert_string_equal(format_mai_id_name(FORMAT_MAI_VENDOR),
	                    "Vendor-Defined");
	assert_null(format_mai_id_name(0x7D));
	assert_string_equal(format_mai_field_name(FORMAT_MAI_POSTED_DATE),
	                    "Posted-Date");
	assert_string_equal(format_mai_field_name(0x26), "Obsoletes");
	assert_null(format_mai_field_name(0x31));
	for (FormatMaiVerdict v = FORMAT_MAI_EMPTY; v <= FORMAT_MAI_GOOD; v++)
		assert_string_not_equal(format_mai_verdict_text(v), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_message_is_read),
		cmocka_unit_test(a_list_without_a_message_is_read),
		cmocka_unit_test(owners_are_set_in_place),
		cmocka_unit_test(the_examples_of_the_standard_are_read),
		cmocka_unit_test(lengths_and_qualifiers_have_all_their_forms),
		cmocka_unit_test(what_a_vendor_defined_may_hold_anything),
		cmocka_unit_test(a_field_within_a_vendors_element_may_too),
		cmocka_unit_test(
			a_text_that_is_the_vendors_is_not_the_messages),
		cmocka_unit_test(every_damage_has_its_verdict),
		cmocka_unit_test(padding_after_the_message_does_not_matter),
		cmocka_unit_test(lies_cost_nothing),
		cmocka_unit_test(indefinite_lengths_may_be_nested_so_deep),
		cmocka_unit_test(definite_lengths_are_looked_into_so_deep),
		cmocka_unit_test(
			a_declared_size_is_never_taken_for_a_smaller_one),
		cmocka_unit_test(names_are_those_of_the_standard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
