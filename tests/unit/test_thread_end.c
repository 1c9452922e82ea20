/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/proc_reader.h"
#include "fs/thread_group.h"

#define NOBODY 65534

/* ---- how a thread ends ---------------------------------------------------*/

/* A child that ends so, once it has; it stays until it is reaped. */
static pid_t
child_that_ends(int signal, int code)
{
	pid_t pid = fork();
	siginfo_t info;

	if (pid == 0) {
		/* What reads the line must not stumble over the name. */
		(void)prctl(PR_SET_NAME, ") R 0 0 (");
		if (signal != 0)
			(void)raise(signal);
		_exit(code);
	}
	assert_true(pid > 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	return pid;
}

static void
assert_end(pid_t pid, FsThreadEnd expected)
{
	FsThreadEnd end = FS_THREAD_GOES_ON;

	assert_int_equal(fs_thread_group_read_end(pid, &end), 0);
	assert_int_equal(end, expected);
}

static void
an_end_is_told_from_another(void **state)
{
	pid_t killed = child_that_ends(SIGKILL, 0);
	pid_t failed = child_that_ends(0, 3);
	pid_t good = child_that_ends(0, 0);

	(void)state;
	assert_end(killed, FS_THREAD_IS_KILLED);
	assert_end(failed, FS_THREAD_FAILS);
	assert_end(good, FS_THREAD_EXITS);
	assert_int_equal(waitpid(killed, NULL, 0), killed);
	assert_int_equal(waitpid(failed, NULL, 0), failed);
	assert_int_equal(waitpid(good, NULL, 0), good);
}

/* A kernel that does not say how a process ended says nothing wrong. */
static void
an_end_is_known_after_the_wait(void **state)
{
	static const struct {
		int signal;
		int code;
		FsThreadEnd end;
	} ENDS[] = { { SIGKILL, 0, FS_THREAD_IS_KILLED },
		     { 0, 3, FS_THREAD_FAILS },
		     { 0, 0, FS_THREAD_EXITS } };

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(ENDS); i++) {
		pid_t pid = child_that_ends(ENDS[i].signal, ENDS[i].code);
		int pidfd = fs_thread_group_open(pid);
		FsThreadEnd end = FS_THREAD_GOES_ON;

		assert_true(pidfd >= 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		if (fs_thread_group_ask_end(pidfd, &end) == 0)
			assert_int_equal(end, ENDS[i].end);
		else
			assert_int_equal(end, FS_THREAD_GOES_ON);
		close(pidfd);
	}
}

static void
a_child_has_its_parent(void **state)
{
	pid_t child = child_that_ends(0, 0);
	pid_t parent;

	(void)state;
	assert_int_equal(fs_thread_group_read_parent(child, &parent), 0);
	assert_int_equal(parent, getpid());
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(fs_thread_group_read_parent(child, &parent), -ESRCH);
}

static void
who_runs_goes_on(void **state)
{
	FsThreadEnd end = FS_THREAD_FAILS;

	(void)state;
	assert_int_equal(fs_thread_group_read_end(getpid(), &end), 0);
	assert_int_equal(end, FS_THREAD_GOES_ON);
}

static void
nobody_there_is_told(void **state)
{
	pid_t gone = child_that_ends(0, 0);
	FsThreadEnd end;

	(void)state;
	assert_int_equal(waitpid(gone, NULL, 0), gone);
	assert_int_equal(fs_thread_group_read_end(gone, &end), -ESRCH);
}

/* Else a killed program of another user would look like one that ended well. */
static void
an_end_that_the_kernel_hides_is_not_guessed(void **state)
{
	pid_t killed = child_that_ends(SIGKILL, 0);
	pid_t stranger = fork();
	FsThreadEnd end;
	int status;

	(void)state;
	if (stranger == 0)
		_exit(setgid(NOBODY) < 0 || setuid(NOBODY) < 0
		              ? 99
		              : -fs_thread_group_read_end(killed, &end));
	assert_true(stranger > 0);
	assert_int_equal(waitpid(stranger, &status, 0), stranger);
	assert_int_equal(waitpid(killed, NULL, 0), killed);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EACCES);
}

/* ---- the thread that looks -----------------------------------------------*/

#define STUCK_MAX 32
#define LOOSE_MAX 64

static gint looks; /* atomic */

/* Stuck until the pipe that is told instead of a pid is closed. */
static int
look_stuck(pid_t fd, void *result)
{
	(void)result;
	(void)g_atomic_int_add(&looks, 1);
	while (read(fd, &(char){ 0 }, 1) > 0)
		;
	return 0;
}

static int
look_well(pid_t pid, void *result)
{
	*(int *)result = pid + 1;
	return pid == 0 ? -ENOENT : 0;
}

static void
a_look_answers(void **state)
{
	int result = 0;

	(void)state;
	assert_int_equal(fs_proc_read(look_well, 7, FS_PROC_PATIENT, &result,
	                              sizeof result),
	                 0);
	assert_int_equal(result, 8);
	assert_int_equal(fs_proc_read(look_well, 0, FS_PROC_PATIENT, &result,
	                              sizeof result),
	                 -ENOENT);
	assert_int_equal(result, 8);
}

/* How many waits are over before they have begun, as on a machine that was
 * stopped meanwhile, and whether a new thread has no time until then. The linker
 * puts what follows between proc_reader.c and GLib; see meson.build. */
static gint stops; /* atomic */
static bool is_late;

/* How many waits there were. */
static unsigned waits;

gboolean __real_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_us);
gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_us);

gboolean
__wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_us)
{
	waits++;
	if (g_atomic_int_get(&stops) == 0)
		return __real_g_cond_wait_until(cond, mutex, end_us);

	g_atomic_int_add(&stops, -1);
	return false;
}

static void
a_stuck_look_holds_nobody_up(void **state)
{
	gint64 end_us;
	int result;
	int pair[2];
	int r = -ETIMEDOUT;

	(void)state;
	g_atomic_int_set(&looks, 0);
	assert_int_equal(pipe(pair), 0);
	for (unsigned i = 0; i < STUCK_MAX + 2; i++)
		assert_int_equal(fs_proc_read(look_stuck, pair[0],
		                              FS_PROC_HURRIED, NULL, 0),
		                 -ETIMEDOUT);
	assert_int_equal(g_atomic_int_get(&looks), STUCK_MAX);

	assert_int_equal(close(pair[1]), 0);
	end_us = g_get_monotonic_time() + (gint64)10 * G_USEC_PER_SEC;
	while (r == -ETIMEDOUT && g_get_monotonic_time() < end_us)
		r = fs_proc_read(look_well, 7, FS_PROC_PATIENT, &result,
		                 sizeof result);
	assert_int_equal(r, 0);
	(void)close(pair[0]);
}

/* Who keeps us from reading who he is may do so as often as he likes. */
static void
what_is_let_be_takes_no_place_of_what_is_waited_for(void **state)
{
	FsProcReading *stuck[LOOSE_MAX];
	int result = 0;
	int pair[2];

	(void)state;
	assert_int_equal(pipe(pair), 0);
	for (unsigned i = 0; i < LOOSE_MAX; i++) {
		stuck[i] = fs_proc_begin(look_stuck, pair[0], NULL, 0);
		assert_non_null(stuck[i]);
	}
	assert_null(fs_proc_begin(look_stuck, pair[0], NULL, 0));
	assert_int_equal(fs_proc_read(look_well, 7, FS_PROC_PATIENT, &result,
	                              sizeof result),
	                 0);
	assert_int_equal(result, 8);

	assert_int_equal(close(pair[1]), 0);
	for (unsigned i = 0; i < LOOSE_MAX; i++) {
		while (fs_proc_peek(stuck[i], NULL, 0) == -EAGAIN)
			fs_proc_await(stuck[i]);
		assert_int_equal(fs_proc_peek(stuck[i], NULL, 0), 0);
		fs_proc_unref(stuck[i]);
	}
	(void)close(pair[0]);
}

/* The first who waits for it finds that, for all others. */
static void
what_is_stuck_is_waited_for_once(void **state)
{
	g_autoptr(FsProcReading) reading = NULL;
	int pair[2];

	(void)state;
	assert_int_equal(pipe(pair), 0);
	reading = fs_proc_begin(look_stuck, pair[0], NULL, 0);
	assert_non_null(reading);
	waits = 0;
	fs_proc_await(reading);
	assert_true(waits > 0);
	waits = 0;
	fs_proc_await(reading);
	assert_int_equal(waits, 0);
	assert_int_equal(fs_proc_peek(reading, NULL, 0), -EAGAIN);
	assert_int_equal(close(pair[1]), 0);
	while (fs_proc_peek(reading, NULL, 0) == -EAGAIN)
		g_thread_yield();
	(void)close(pair[0]);
}

/* Whether there is no thread. */
static bool is_short;

/* What a thread is to run that has no time yet. */
typedef struct Late {
	GThreadFunc run;
	void *data;
} Late;

static void *
run_late(void *user_data)
{
	g_autofree Late *late = user_data;

	while (g_atomic_int_get(&stops) != 0)
		g_thread_yield();
	return late->run(late->data);
}

GThread *__real_g_thread_try_new(const char *name, GThreadFunc run, void *data,
                                 GError **error);
GThread *__wrap_g_thread_try_new(const char *name, GThreadFunc run, void *data,
                                 GError **error);

GThread *
__wrap_g_thread_try_new(const char *name, GThreadFunc run, void *data,
                        GError **error)
{
	Late *late;

	if (is_short)
		return NULL;
	if (!is_late)
		return __real_g_thread_try_new(name, run, data, error);

	late = g_new(Late, 1);
	*late = (Late){ .run = run, .data = data };
	return __real_g_thread_try_new(name, run_late, late, error);
}

static int
look_after_the_stop(pid_t pid, void *result)
{
	while (g_atomic_int_get(&stops) != 0)
		g_thread_yield();
	return look_well(pid, result);
}

static void
a_stopped_machine_is_no_stuck_look(void **state)
{
	int result = 0;

	(void)state;
	g_atomic_int_set(&stops, 1);
	assert_int_equal(fs_proc_read(look_after_the_stop, 7, FS_PROC_PATIENT,
	                              &result, sizeof result),
	                 0);
	assert_int_equal(result, 8);
}

/* For as long as it takes, by who is patient; requests cannot wait so long. */
static void
a_look_that_has_no_time_to_begin_is_waited_for(void **state)
{
	int result = 0;

	(void)state;
	is_late = true;
	g_atomic_int_set(&stops, 50);
	assert_int_equal(fs_proc_read(look_well, 7, FS_PROC_HURRIED, &result,
	                              sizeof result),
	                 0);
	assert_int_equal(result, 8);
	g_atomic_int_set(&stops, 1000);
	assert_int_equal(fs_proc_read(look_well, 8, FS_PROC_PATIENT, &result,
	                              sizeof result),
	                 0);
	assert_int_equal(result, 9);
	g_atomic_int_set(&stops, 1000);
	assert_int_equal(fs_proc_read(look_well, 7, FS_PROC_HURRIED, &result,
	                              sizeof result),
	                 -ETIMEDOUT);
	g_atomic_int_set(&stops, 0);
	is_late = false;
}

/* It has begun, and could run. */
static void
a_look_that_has_no_time_to_go_on_is_waited_for(void **state)
{
	int result = 0;

	(void)state;
	g_atomic_int_set(&stops, 1000);
	assert_int_equal(fs_proc_read(look_after_the_stop, 7, FS_PROC_PATIENT,
	                              &result, sizeof result),
	                 0);
	assert_int_equal(result, 8);
}

static void
without_a_thread_nobody_looks(void **state)
{
	int result = 0;

	(void)state;
	is_short = true;
	for (unsigned i = 0; i < STUCK_MAX + 2; i++)
		assert_int_equal(fs_proc_read(look_well, 7, FS_PROC_PATIENT,
		                              &result, sizeof result),
		                 -EAGAIN);
	is_short = false;
	a_look_answers(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_told_from_another),
		cmocka_unit_test(an_end_is_known_after_the_wait),
		cmocka_unit_test(a_child_has_its_parent),
		cmocka_unit_test(who_runs_goes_on),
		cmocka_unit_test(nobody_there_is_told),
		cmocka_unit_test(an_end_that_the_kernel_hides_is_not_guessed),
		cmocka_unit_test(a_look_answers),
		cmocka_unit_test(a_stuck_look_holds_nobody_up),
		cmocka_unit_test(
			what_is_let_be_takes_no_place_of_what_is_waited_for),
		cmocka_unit_test(what_is_stuck_is_waited_for_once),
		cmocka_unit_test(a_stopped_machine_is_no_stuck_look),
		cmocka_unit_test(
			a_look_that_has_no_time_to_begin_is_waited_for),
		cmocka_unit_test(
			a_look_that_has_no_time_to_go_on_is_waited_for),
		cmocka_unit_test(without_a_thread_nobody_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
