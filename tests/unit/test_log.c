/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/log.h"

#define US_PER_S INT64_C(1000000)

/* More than is written of a limited event at once. */
#define MANY 100

static char *
line_of(const char *text)
{
	return fs_log_line(
		FS_EVENT_FAILED,
		(const FsLogField[]){ FS_LOG_TEXT("reason", text), { NULL } },
		0);
}

static void
assert_line(const char *text, const char *wanted)
{
	g_autofree char *line = line_of(text);

	assert_string_equal(line, wanted);
}

static void
one_plain_word_is_not_quoted(void **state)
{
	(void)state;
	assert_line("/PO/KEY/A.KEY", "event=failed reason=/PO/KEY/A.KEY");
	assert_line("10.0.0.7:1234", "event=failed reason=10.0.0.7:1234");
}

static void
all_else_is(void **state)
{
	(void)state;
	assert_line("", "event=failed reason=\"\"");
	assert_line("no room", "event=failed reason=\"no room\"");
	assert_line("a=b", "event=failed reason=\"a=b\"");
	assert_line("say \"hi\" \\o/",
	            "event=failed reason=\"say \\\"hi\\\" \\\\o/\"");
}

static void
what_cannot_be_printed_is_escaped(void **state)
{
	(void)state;
	assert_line("a\nevent=ready",
	            "event=failed reason=\"a\\x0aevent=ready\"");
	assert_line("\x1b[2J\x7f", "event=failed reason=\"\\x1b[2J\\x7f\"");
	assert_line("caf\xc3\xa9", "event=failed reason=\"caf\xc3\xa9\"");
	/* Not UTF-8; a control character in it; one that turns the line. */
	assert_line("caf\xe9", "event=failed reason=\"caf\\xe9\"");
	assert_line("\xc2\x9b"
	            "2J",
	            "event=failed reason=\"\\xc2\\x9b2J\"");
	assert_line("\xe2\x80\xae", "event=failed reason=\"\\xe2\\x80\\xae\"");
}

static void
a_long_text_is_cut(void **state)
{
	g_autofree char *text = g_strnfill(100000, 'x');
	g_autofree char *line = line_of(text);

	(void)state;
	assert_in_range(strlen(line), 500, 600);
	assert_true(g_str_has_suffix(line, "...\""));
}

static void
what_is_not_known_is_left_out(void **state)
{
	g_autofree char *line =
		fs_log_line(FS_EVENT_BREAK,
	                    (const FsLogField[]){ FS_LOG_NUMBER("session", 3),
	                                          FS_LOG_TEXT("client", NULL),
	                                          FS_LOG_NUMBER("locks", 0),
	                                          { NULL } },
	                    0);

	(void)state;
	assert_string_equal(line, "event=break session=3 locks=0");
}

/* How many of MANY lines of @event at @now_us are written. */
static unsigned
written(FsEvent event, int64_t now_us)
{
	unsigned count = 0;

	for (unsigned i = 0; i < MANY; i++) {
		g_autofree char *line = fs_log_line(
			event,
			(const FsLogField[]){ FS_LOG_NUMBER("session", i),
		                              { NULL } },
			now_us);

		count += line != NULL;
	}
	return count;
}

static void
what_clients_cause_is_limited(void **state)
{
	(void)state;
	assert_int_equal(written(FS_EVENT_UNDONE, 100 * US_PER_S), 20);
	assert_int_equal(written(FS_EVENT_UNDONE, 109 * US_PER_S), 0);
	assert_int_equal(written(FS_EVENT_UNDONE, 110 * US_PER_S), 20);
}

static void
one_event_takes_no_lines_from_another(void **state)
{
	(void)state;
	assert_int_equal(written(FS_EVENT_LOCK_CIRCLE, 200 * US_PER_S), 20);
	assert_int_equal(written(FS_EVENT_LOCK_TIMEOUT, 200 * US_PER_S), 20);
	assert_int_equal(written(FS_EVENT_STORE_FAILING, 200 * US_PER_S), MANY);
}

static void
what_is_routine_is_written_on_request_only(void **state)
{
	(void)state;
	assert_int_equal(written(FS_EVENT_REQUEST, 0), 0);
	fs_log_open(true, true);
	assert_int_equal(written(FS_EVENT_REQUEST, 0), MANY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_plain_word_is_not_quoted),
		cmocka_unit_test(all_else_is),
		cmocka_unit_test(what_cannot_be_printed_is_escaped),
		cmocka_unit_test(a_long_text_is_cut),
		cmocka_unit_test(what_is_not_known_is_left_out),
		cmocka_unit_test(what_clients_cause_is_limited),
		cmocka_unit_test(one_event_takes_no_lines_from_another),
		cmocka_unit_test(what_is_routine_is_written_on_request_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
