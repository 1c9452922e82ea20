/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/log_writer.h"

/* More lines than there is room for. */
#define ROOM 1000000
#define MANY 100000

/* Who reads holds it while it does not read. */
static GMutex reading;

static GMutex mutex; /* protects what follows */
static unsigned count;
static int last = -1; /* the last line's number */

static void
sink(int priority, const char *text)
{
	g_mutex_lock(&reading);
	g_mutex_unlock(&reading);

	g_mutex_lock(&mutex);
	/* In the order in which they were put. */
	assert_true(atoi(text) > last);
	assert_int_equal(priority, atoi(text) % 8);
	last = atoi(text);
	count++;
	g_mutex_unlock(&mutex);
}

static unsigned
written(void)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&mutex);

	return count;
}

static int
begin(void **state)
{
	FsLogWriter *writer;

	count = 0;
	last = -1;
	assert_int_equal(fs_log_writer_open(sink, &writer), 0);
	*state = writer;
	return 0;
}

static bool
put(FsLogWriter *writer, int number)
{
	g_autofree char *text = g_strdup_printf("%d", number);

	return fs_log_writer_put(writer, ROOM, number % 8, text);
}

static void
a_line_is_written_when_it_has_been_put(void **state)
{
	for (int i = 0; i < 10; i++) {
		assert_true(put(*state, i));
		assert_int_equal(written(), i + 1);
	}
	fs_log_writer_close(*state);
}

static void
nobody_waits_for_who_does_not_read(void **state)
{
	unsigned accepted = 0;

	g_mutex_lock(&reading);
	while (accepted < MANY && put(*state, (int)accepted))
		accepted++;
	assert_int_equal(written(), 0);
	assert_in_range(accepted, 1000, MANY - 1);
	assert_false(put(*state, MANY));
	/* Who may take more room has it. */
	assert_true(fs_log_writer_put(*state, SIZE_MAX, MANY % 8,
	                              G_STRINGIFY(MANY)));
	g_mutex_unlock(&reading);

	fs_log_writer_close(*state);
	assert_int_equal(written(), accepted + 1);
	assert_int_equal(last, MANY);
}

static void
who_was_behind_is_waited_for_again(void **state)
{
	g_mutex_lock(&reading);
	assert_true(put(*state, 0));
	assert_true(put(*state, 1));
	g_mutex_unlock(&reading);

	while (written() < 2)
		g_thread_yield();
	/* It has written the last, and may not yet know that it was that. */
	assert_true(put(*state, 2));
	assert_true(put(*state, 3));
	fs_log_writer_close(*state);
	assert_int_equal(written(), 4);
}

/* GLib has a log line for memory that there is not, and then ends the process.
 * The linker puts this between log_writer.c and GLib; see meson.build. */
static FsLogWriter *short_writer; /* borrowed; NULL: there is memory */

void *__real_g_malloc(gsize size);
void *__wrap_g_malloc(gsize size);

void *
__wrap_g_malloc(gsize size)
{
	FsLogWriter *writer = g_steal_pointer(&short_writer);

	if (writer != NULL)
		assert_true(put(writer, 0));
	return __real_g_malloc(size);
}

static void
what_runs_out_on_the_way_is_told(void **state)
{
	short_writer = *state;
	assert_true(put(*state, 1));
	assert_null(short_writer);
	fs_log_writer_close(*state);
	assert_int_equal(written(), 2);
}

/* The last test: its thread stays. */
static void
who_closes_does_not_wait_for_ever(void **state)
{
	g_mutex_lock(&reading);
	assert_true(put(*state, 0));
	fs_log_writer_close(*state);
	assert_int_equal(written(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_line_is_written_when_it_has_been_put,
		                       begin),
		cmocka_unit_test_setup(nobody_waits_for_who_does_not_read,
		                       begin),
		cmocka_unit_test_setup(who_was_behind_is_waited_for_again,
		                       begin),
		cmocka_unit_test_setup(what_runs_out_on_the_way_is_told, begin),
		cmocka_unit_test_setup(who_closes_does_not_wait_for_ever,
		                       begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
