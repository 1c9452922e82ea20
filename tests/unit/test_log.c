/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/log.h"
#include "fs/log_writer.h"

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

/* ---- nobody reads it ----------------------------------------------------- */

/* More lines than wait to be written. */
#define FLOOD 20000

static int pipe_fds[2]; /* what is written, for who reads it at the end */
static GThread *reader;

static void *
read_all(void *user_data)
{
	GString *all = g_string_new(NULL);
	char bytes[4096];
	ssize_t size;

	(void)user_data;
	while ((size = read(pipe_fds[0], bytes, sizeof bytes)) > 0)
		g_string_append_len(all, bytes, size);
	return g_string_free(all, FALSE);
}

/* Nobody reads until all that is to be written waits. The linker puts this
 * between log.c and log_writer.c; see meson.build. */
void __real_fs_log_writer_close(FsLogWriter *writer);
void __wrap_fs_log_writer_close(FsLogWriter *writer);

void
__wrap_fs_log_writer_close(FsLogWriter *writer)
{
	reader = g_thread_new("reader", read_all, NULL);
	__real_fs_log_writer_close(writer);
}

/* What is written of what @author has to say, with all that is routine (the test
 * before has opened the log so). */
static char *
log_of(void (*author)(void))
{
	int error_fd = dup(STDERR_FILENO);
	char *all;

	assert_true(error_fd >= 0);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
	fs_log_start();
	author();
	fs_log_stop();
	assert_int_equal(dup2(error_fd, STDERR_FILENO), STDERR_FILENO);
	close(error_fd);
	close(pipe_fds[1]);
	all = g_thread_join(reader);
	close(pipe_fds[0]);
	return all;
}

static void
flood(void)
{
	for (unsigned i = 0; i < FLOOD; i++)
		fs_log(FS_EVENT_REQUEST, FS_LOG_NUMBER("size", i),
		       FS_LOG_TEXT("op", "a-long-name-that-takes-some-room"));
}

/* How many lines of requests are in @log, and are told to be missing. */
static void
count_requests(const char *log, unsigned *ret_written, unsigned *ret_left_out)
{
	g_auto(GStrv) lines = g_strsplit(log, "\n", -1);

	*ret_written = 0;
	*ret_left_out = 0;
	for (char **line = lines; *line != NULL; line++) {
		unsigned count = 0;

		*ret_written += g_str_has_prefix(*line, "event=request ");
		if (sscanf(*line, "event=suppressed name=request count=%u",
		           &count) == 1)
			*ret_left_out += count;
	}
}

static void
who_reads_at_the_end_is_told_what_was_left_out(void **state)
{
	g_autofree char *log = log_of(flood);
	unsigned written;
	unsigned left_out;

	(void)state;
	count_requests(log, &written, &left_out);
	assert_in_range(left_out, 1, FLOOD);
	assert_int_equal(written + left_out, FLOOD);
}

static void
flood_and_lose(void)
{
	flood();
	for (unsigned i = 0; i < MANY; i++)
		fs_log(FS_EVENT_LOST, FS_LOG_TEXT("store", "/S"));
}

static void
what_is_routine_leaves_room_for_what_is_not(void **state)
{
	g_autofree char *log = log_of(flood_and_lose);
	unsigned lost = 0;

	(void)state;
	for (const char *at = log; (at = strstr(at, "event=lost ")) != NULL;
	     at++)
		lost++;
	assert_int_equal(lost, MANY);
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
		cmocka_unit_test(
			who_reads_at_the_end_is_told_what_was_left_out),
		cmocka_unit_test(what_is_routine_leaves_room_for_what_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
