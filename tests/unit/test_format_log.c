/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/format/log.h"

/* Reads the only entry of @text. */
static FormatLogEntry
read_one(const char *text)
{
	FormatLogEntry entry;
	FormatLogEntry other;
	FormatLog log;

	format_log_init(&log, text, strlen(text));
	assert_true(format_log_next(&log, &entry));
	assert_false(format_log_next(&log, &other));
	return entry;
}

static void
assert_text(const FormatLogEntry *entry, const char *text)
{
	assert_int_equal(entry->size, strlen(text));
	assert_memory_equal(entry->text, text, entry->size);
}

static void
assert_date(const FormatLogTime *time, int year, int month, int day)
{
	assert_int_equal(time->year, year);
	assert_int_equal(time->month, month);
	assert_int_equal(time->day, day);
}

static void
both_forms_of_a_line_are_read(void **state)
{
	FormatLogEntry entry =
		read_one("05-14-93 11:32 Drive in error: M:\r\n");

	assert_text(&entry, "Drive in error: M:");
	assert_true(entry.time.is_known && entry.time.has_date);
	assert_date(&entry.time, 1993, 5, 14);
	assert_int_equal(entry.time.hour, 11);
	assert_int_equal(entry.time.minute, 32);
	assert_false(entry.is_system);

	entry = read_one("[23:05] - Sending P1");
	assert_text(&entry, "Sending P1");
	assert_true(entry.time.is_known);
	assert_false(entry.time.has_date);
	assert_int_equal(entry.time.hour, 23);
	assert_int_equal(entry.time.minute, 5);
}

static void
years_have_two_digits_or_more(void **state)
{
	static const struct {
		const char *line;
		int year;
	} years[] = {
		{ "01-02-80 00:00 x", 1980 },   { "01-02-99 00:00 x", 1999 },
		{ "01-02-00 00:00 x", 2000 },   { "01-02-79 00:00 x", 2079 },
		{ "01-02-100 00:00 x", 2000 },  { "01-02-1995 00:00 x", 1995 },
		{ "01-02-2024 00:00 x", 2024 }, { "01-02-00 00:00:59 x", 2000 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(years); i++) {
		FormatLogEntry entry = read_one(years[i].line);

		assert_text(&entry, "x");
		assert_date(&entry.time, years[i].year, 1, 2);
	}
}

static void
what_is_no_time_is_text(void **state)
{
	static const char *const lines[] = {
		"13-01-93 11:32 x",
		"02-30-93 11:32 x",
		"05-14-93 24:00 x",
		"05-14-93 11:60 x",
		"05-14-93",
		"05-14-93 11",
		"[24:00] - x",
		"[11:32",
		"[]",
		"05-14-3 11:32",
		"05-14-193193 11:32 x",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		FormatLogEntry entry = read_one(lines[i]);

		assert_false(entry.time.is_known);
		assert_text(&entry, lines[i]);
	}
}

static const char SYSTEM_LOG[] =
	"System log entry on: 05-14-93 11:32\r\n"
	"External program has detected a mail problem.\r\n"
	"Message data:\r\n"
	" From: NET/PO/USER   Date: 05-14-93   Time: 11:30   Subject: hello\r\n"
	" [016] Message was not sent due to missing message file.\r\n"
	" Missing file is M:MAI\\MA3\\000162B3.MAI.\r\n"
	"---------------------------------------------------------------\r\n"
	"System log entry on: 05-15-93 09:00\r\n"
	" Subject:\r\n"
	"  on a line of its own\r\n";

static void
an_entry_of_the_system_log_is_one(void **state)
{
	FormatLogEntry entry;
	FormatLog log;

	format_log_init(&log, SYSTEM_LOG, strlen(SYSTEM_LOG));
	assert_true(format_log_next(&log, &entry));
	assert_true(entry.is_system);
	assert_int_equal(entry.line, 1);
	assert_date(&entry.time, 1993, 5, 14);
	assert_true(g_str_has_prefix(entry.text, "External program"));
	assert_memory_equal(entry.text + entry.size - 5, ".MAI.", 5);

	assert_true(format_log_next(&log, &entry));
	assert_int_equal(entry.line, 8);
	assert_date(&entry.time, 1993, 5, 15);
	assert_memory_equal(entry.text + entry.size - 4, " own", 4);
	assert_false(format_log_next(&log, &entry));
}

static void
an_entry_without_an_end_ends_at_the_next_line_with_a_time(void **state)
{
	static const char TEXT[] = "System log entry on: 05-14-93 11:32\n"
				   "[021] Message was not delivered\n"
				   "05-14-93 11:40 START\n";
	FormatLogEntry entry;
	FormatLog log;

	format_log_init(&log, TEXT, strlen(TEXT));
	assert_true(format_log_next(&log, &entry));
	assert_text(&entry, "[021] Message was not delivered");
	assert_true(format_log_next(&log, &entry));
	assert_text(&entry, "START");
	assert_int_equal(entry.time.minute, 40);
}

static void
a_line_without_a_time_has_that_of_the_one_before(void **state)
{
	static const char TEXT[] =
		"first\n\n05-14-93 11:32 second\n  third\x1a";
	FormatLogEntry entry;
	FormatLog log;

	format_log_init(&log, TEXT, strlen(TEXT));
	assert_true(format_log_next(&log, &entry));
	assert_false(entry.time.is_known);
	assert_true(format_log_next(&log, &entry));
	assert_int_equal(entry.line, 3);
	assert_true(format_log_next(&log, &entry));
	assert_text(&entry, "third");
	assert_date(&entry.time, 1993, 5, 14);
	assert_int_equal(entry.line, 4);
}

static void
days_are_counted_back_from_the_end(void **state)
{
	static const char TEXT[] = "[22:00] - a\n[23:50] - b\n[00:10] - c\n"
				   "[23:00] - d\n";
	const FormatLogTime end = { .is_known = true,
		                    .has_date = true,
		                    .year = 1996,
		                    .month = 3,
		                    .day = 2,
		                    .hour = 8 };
	FormatLogEntry entries[4];
	FormatLog log;
	size_t i;

	format_log_init(&log, TEXT, strlen(TEXT));
	for (i = 0; i < G_N_ELEMENTS(entries); i++)
		assert_true(format_log_next(&log, &entries[i]));
	format_log_assume_dates(entries, G_N_ELEMENTS(entries), &end);
	assert_date(&entries[3].time, 1996, 3, 1);
	assert_date(&entries[2].time, 1996, 3, 1);
	assert_date(&entries[1].time, 1996, 2, 29);
	assert_date(&entries[0].time, 1996, 2, 29);
	assert_false(entries[0].time.has_date);
}

static void
names_are_found_wherever_they_are(void **state)
{
	static const struct {
		const char *text;
		const char *names[4];
	} texts[] = {
		{ "Error opening \"M:KEY\\INQUEUE3.KEY\" error",
		  { "INQUEUE3.KEY" } },
		{ "file is M:MAI\\MA3\\000162b3.mai.", { "000162B3.MAI" } },
		{ "Mailbag: 0000000A", { "0000000A" } },
		{ "P1\\0000000E.0LK and 00000278.P1, SYSTEM.MBG",
		  { "0000000E.0LK", "00000278.P1", "SYSTEM.MBG" } },
		{ "XTN\\0000000B.XTN", { "0000000B.XTN" } },
		{ "see README.TXT. Bye", { NULL } },
		{ "DEADBEEF0 0DEADBEE", { "0DEADBEE" } },
		{ "MAI\\A.MAI.MAI \\123456789.KEY \\.KEY", { NULL } },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		char name[FORMAT_LOG_NAME_SIZE];
		size_t at = 0;
		size_t count = 0;

		while (format_log_name_next(texts[i].text,
		                            strlen(texts[i].text), &at, name))
			assert_string_equal(name, texts[i].names[count++]);
		assert_null(texts[i].names[count]);
	}
}

/* Every cut and every byte of a log in its turn is damaged: all is read, and
 * nothing beyond the end (the sanitizers look). */
static void
any_bytes_will_do(void **state)
{
	size_t size = strlen(SYSTEM_LOG);

	for (size_t i = 0; i < size; i++) {
		g_autofree char *copy = g_memdup2(SYSTEM_LOG, size);
		g_autofree char *cut = g_memdup2(SYSTEM_LOG, MAX(i, 1));
		char name[FORMAT_LOG_NAME_SIZE];
		FormatLogEntry entry;
		FormatLog log;
		size_t at = 0;

		copy[i] = (char)(copy[i] ^ 0x80);
		format_log_init(&log, copy, size);
		while (format_log_next(&log, &entry))
			assert_true(entry.size > 0 && entry.text >= copy &&
			            entry.text + entry.size <= copy + size);
		format_log_init(&log, cut, i);
		while (format_log_next(&log, &entry))
			assert_true(entry.text + entry.size <= cut + i);
		while (format_log_name_next(cut, i, &at, name))
			assert_true(strlen(name) < sizeof(name) && at <= i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_forms_of_a_line_are_read),
		cmocka_unit_test(years_have_two_digits_or_more),
		cmocka_unit_test(what_is_no_time_is_text),
		cmocka_unit_test(an_entry_of_the_system_log_is_one),
		cmocka_unit_test(
			an_entry_without_an_end_ends_at_the_next_line_with_a_time),
		cmocka_unit_test(
			a_line_without_a_time_has_that_of_the_one_before),
		cmocka_unit_test(days_are_counted_back_from_the_end),
		cmocka_unit_test(names_are_found_wherever_they_are),
		cmocka_unit_test(any_bytes_will_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
