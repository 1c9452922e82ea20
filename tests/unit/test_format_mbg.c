/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/format/mbg.h"
#include "store/format/name.h"
#include "store/format/text.h"

/* The two records that are published (Q108027). */
static const uint8_t published[2 * FORMAT_MBG_RECORD_SIZE] =
	"\0\0Martian\0\0\0\0This is the subject\0"
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
	"\x19\0\x10\0\x08\0\x0A\0\xC9\x07\0"
	"00000062\0\0\0\x28\x02\0\0\0\0\0\0\0\0\x18\0\0\0"
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x98\xC9\x5B\0\0\0\0\0"
	"\0\0Martian\0\0\0\0This is the next subject\0"
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
	"\x1A\0\x10\0\x08\0\x0A\0\xC9\x07\0"
	"00000063\0\0\0\x2A\x02\0\0\0\0\0\0\0\0\x18\0\0\0"
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x82\x54\x6B\0\0\0\0";

static void
assert_record(const uint8_t *bytes, const char *subject, unsigned minute,
              const char *stem, const char *path)
{
	g_autofree char *sender_text = NULL;
	g_autofree char *subject_text = NULL;
	g_autofree char *stem_text = NULL;
	g_autofree char *mai = NULL;
	FormatMbgRecord record;
	FormatName name;

	format_mbg_decode(bytes, &record);
	sender_text = format_mbg_sender(&record);
	assert_string_equal(sender_text, "Martian");
	subject_text = format_mbg_subject(&record);
	assert_string_equal(subject_text, subject);
	assert_int_equal(record.year, 1993);
	assert_int_equal(record.month, 10);
	assert_int_equal(record.day, 8);
	assert_int_equal(record.hour, 16);
	assert_int_equal(record.minute, minute);
	stem_text = format_mbg_stem(&record);
	assert_string_equal(stem_text, stem);
	mai = format_name_path(FORMAT_NAME_MAI, stem_text);
	assert_string_equal(mai, path);
	format_name_parse(mai, &name);
	assert_string_equal(name.stem, stem);
	assert_int_equal(format_mbg_faults(&record), 0);
}

static void
the_published_records_are_read(void **state)
{
	FormatMbgRecord record;

	assert_record(published, "This is the subject", 25, "00000062",
	              "MAI/MA2/00000062.MAI");
	assert_record(published + FORMAT_MBG_RECORD_SIZE,
	              "This is the next subject", 26, "00000063",
	              "MAI/MA3/00000063.MAI");
	format_mbg_decode(published, &record);
	assert_int_equal(record.size_guess, 552);
	assert_memory_equal(record.opaque_52 + 6, "\x18\0\0\0", 4);
	assert_memory_equal(record.opaque_52 + 26, "\x98\xC9\x5B\0", 4);
}

static void
what_was_read_is_written_again(void **state)
{
	uint8_t bytes[FORMAT_MBG_RECORD_SIZE];
	uint8_t again[FORMAT_MBG_RECORD_SIZE];
	FormatMbgRecord record;

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 151 + 7);
	format_mbg_decode(bytes, &record);
	format_mbg_encode(&record, again);
	assert_memory_equal(again, bytes, sizeof(bytes));
	format_mbg_decode(published, &record);
	format_mbg_encode(&record, again);
	assert_memory_equal(again, published, sizeof(again));
}

static void
a_file_holds_whole_records(void **state)
{
	assert_int_equal(format_mbg_count(0), 0);
	assert_int_equal(format_mbg_count(115), 0);
	assert_int_equal(format_mbg_count(116), 1);
	assert_int_equal(format_mbg_count(5452), 47);
	assert_int_equal(format_mbg_count(812), 7);
	assert_int_equal(FORMAT_MBG_SIZE_MAX, 475136);
	assert_int_equal(format_mbg_count(UINT64_MAX), 4096);
}

static void
a_record_is_made_from_its_parts(void **state)
{
	const int64_t time_us = INT64_C(750097500) * 1000000;
	uint8_t bytes[FORMAT_MBG_RECORD_SIZE];
	uint8_t zeros[FORMAT_MBG_RECORD_SIZE] = { 0 };
	g_autofree char *sender = NULL;
	g_autofree char *subject = NULL;
	FormatMbgRecord record;
	int64_t again_us = 0;

	format_mbg_make("Martian-from-afar", "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC",
	                time_us, "0000006F", &record);
	assert_int_equal(format_mbg_faults(&record), 0);
	assert_int_equal(format_mbg_time(&record, &again_us), 0);
	assert_int_equal(again_us, time_us);
	sender = format_mbg_sender(&record);
	assert_string_equal(sender, "Martian-fr");
	subject = format_mbg_subject(&record);
	assert_string_equal(subject, "gr\xC3\xBC\xC3\x9F ?");
	format_mbg_encode(&record, bytes);
	assert_memory_equal(bytes + 0x0D, "gr\x81\xE1 ?\0", 7);
	assert_memory_equal(bytes + 0x43, "0000006F\0", 9);
	assert_memory_equal(bytes + 0x4C, zeros, 0x74 - 0x4C);
}

static void
every_rule_finds_what_breaks_it(void **state)
{
	static const struct {
		size_t offset;
		const char *bytes;
		size_t size;
		unsigned faults;
	} breaks[] = {
		{ 0x43, "0000006g", 8, FORMAT_MBG_BAD_STEM },
		{ 0x43, "0000006a", 8, FORMAT_MBG_BAD_STEM },
		{ 0x43, ".001.net!", 9, FORMAT_MBG_BAD_STEM },
		{ 0x43, "\0", 1, FORMAT_MBG_BAD_STEM },
		{ 0x4B, "0", 1, FORMAT_MBG_BAD_STEM },
		{ 0x38, "\x3C", 1, FORMAT_MBG_BAD_TIME },
		{ 0x3A, "\x18", 1, FORMAT_MBG_BAD_TIME },
		{ 0x3C, "\0", 1, FORMAT_MBG_BAD_TIME },
		{ 0x3C, "\x20", 1, FORMAT_MBG_BAD_TIME },
		{ 0x3E, "\0", 1, FORMAT_MBG_BAD_TIME },
		{ 0x3E, "\x0D", 1, FORMAT_MBG_BAD_TIME },
		{ 0x40, "\xBB\x07", 2, FORMAT_MBG_BAD_TIME },
		{ 0x40, "\x20\x08", 2, FORMAT_MBG_BAD_TIME },
		{ 0x38, "UUUUUUUUUU", 10, FORMAT_MBG_BAD_TIME },
		{ 0x02, "01234567890", 11, FORMAT_MBG_BAD_SENDER },
		{ 0x0D, "01234567890123456789012345678901234567890", 41,
		  FORMAT_MBG_BAD_SUBJECT },
		{ 0x10, "\xB2", 1, FORMAT_MBG_ODD_SUBJECT },
		{ 0x10, "\x02", 1, FORMAT_MBG_ODD_SUBJECT },
		{ 0x10, "\x81", 1, 0 },
		{ 0x10, "\xB5", 1, 0 },
		/* What follows the NUL is not text any more. */
		{ 0x30, "\xB2", 1, 0 },
	};
	uint8_t bytes[FORMAT_MBG_RECORD_SIZE];
	FormatMbgRecord record;
	int64_t time_us;

	for (size_t i = 0; i < G_N_ELEMENTS(breaks); i++) {
		memcpy(bytes, published, sizeof(bytes));
		memcpy(bytes + breaks[i].offset, breaks[i].bytes,
		       breaks[i].size);
		format_mbg_decode(bytes, &record);
		assert_int_equal(format_mbg_faults(&record), breaks[i].faults);
		assert_int_equal(
			format_mbg_time(&record, &time_us),
			breaks[i].faults == FORMAT_MBG_BAD_TIME ? -EINVAL : 0);
	}
}

static void
every_fault_has_a_sentence_and_an_article(void **state)
{
	for (unsigned fault = 1; fault <= FORMAT_MBG_ODD_SUBJECT; fault <<= 1) {
		assert_string_not_equal(format_mbg_fault_text(fault), "");
		assert_int_equal(format_mbg_fault_article(fault)[0], 'Q');
	}
	assert_string_equal(format_mbg_fault_text(0), "");
	assert_string_equal(format_mbg_fault_article(0), "");
	assert_string_equal(format_mbg_fault_text(FORMAT_MBG_BAD_TIME |
	                                          FORMAT_MBG_BAD_SUBJECT),
	                    format_mbg_fault_text(FORMAT_MBG_BAD_TIME));
}

static void
any_text_can_be_read_and_written(void **state)
{
	uint8_t field[256];
	uint8_t again[256];
	g_autofree char *text = NULL;

	for (unsigned i = 0; i < sizeof(field); i++)
		field[i] = (uint8_t)(i + 1);
	text = format_text_decode(field, sizeof(field));
	assert_true(g_utf8_validate(text, -1, NULL));
	assert_int_equal(g_utf8_strlen(text, -1), 255);
	assert_non_null(strstr(text, "\xC3\xA4"));
	format_text_encode(text, again, sizeof(again));
	assert_memory_equal(again, field, sizeof(again));
}

static void
text_is_cut_and_never_fails(void **state)
{
	char field[4] = "xxx";
	g_autofree char *text = NULL;

	format_text_encode("abcdef", field, sizeof(field));
	assert_memory_equal(field, "abc\0", 4);
	format_text_encode("\xFF\xC3", field, sizeof(field));
	assert_memory_equal(field, "??\0\0", 4);
	format_text_encode("", field, 1);
	assert_memory_equal(field, "\0?", 2);
	text = format_text_decode("abcd", 2);
	assert_string_equal(text, "ab");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_records_are_read),
		cmocka_unit_test(what_was_read_is_written_again),
		cmocka_unit_test(a_file_holds_whole_records),
		cmocka_unit_test(a_record_is_made_from_its_parts),
		cmocka_unit_test(every_rule_finds_what_breaks_it),
		cmocka_unit_test(every_fault_has_a_sentence_and_an_article),
		cmocka_unit_test(any_text_can_be_read_and_written),
		cmocka_unit_test(text_is_cut_and_never_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
