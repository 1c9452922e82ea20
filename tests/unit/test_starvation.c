/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "fs/proc_stat.h"
#include "fs/starvation.h"

/* A directory like /proc/PID/task. */
typedef struct Tasks {
	char *dir;
	FsStarvation *starvation;
} Tasks;

static int
begin(void **state)
{
	Tasks *tasks = g_new0(Tasks, 1);

	tasks->dir = g_dir_make_tmp("starvation-XXXXXX", NULL);
	assert_non_null(tasks->dir);
	tasks->starvation = fs_starvation_new(tasks->dir);
	*state = tasks;
	return 0;
}

static void
task_remove(const Tasks *tasks, const char *tid)
{
	g_autofree char *dir = g_build_filename(tasks->dir, tid, NULL);
	g_autofree char *path = g_build_filename(dir, "stat", NULL);

	(void)g_unlink(path);
	(void)g_rmdir(dir);
}

static int
end(void **state)
{
	Tasks *tasks = *state;

	task_remove(tasks, "7");
	task_remove(tasks, "8");
	assert_int_equal(g_rmdir(tasks->dir), 0);
	fs_starvation_free(tasks->starvation);
	g_free(tasks->dir);
	g_free(tasks);
	return 0;
}

/* The thread is in @condition, and has had so many ticks. */
static void
task_write(const Tasks *tasks, const char *tid, char condition, unsigned user,
           unsigned system)
{
	g_autofree char *dir = g_build_filename(tasks->dir, tid, NULL);
	g_autofree char *path = g_build_filename(dir, "stat", NULL);
	g_autofree char *stat = g_strdup_printf(
		"%s (a) S (b) %c 1 1 1 0 -1 4194304 9 0 0 0 %u %u 0 0 20 0\n",
		tid, condition, user, system);

	(void)g_mkdir_with_parents(dir, 0700);
	assert_true(g_file_set_contents(path, stat, -1, NULL));
}

static void
test_who_could_run_and_does_not_is_starved(void **state)
{
	const Tasks *tasks = *state;

	task_write(tasks, "7", 'S', 5, 5);
	task_write(tasks, "8", 'R', 5, 5);
	assert_false(fs_starvation_look(tasks->starvation));
	assert_true(fs_starvation_look(tasks->starvation));
	assert_true(fs_starvation_look(tasks->starvation));
}

static void
test_who_runs_is_not(void **state)
{
	const Tasks *tasks = *state;

	task_write(tasks, "7", 'R', 5, 5);
	assert_false(fs_starvation_look(tasks->starvation));
	task_write(tasks, "7", 'R', 6, 5);
	assert_false(fs_starvation_look(tasks->starvation));
	task_write(tasks, "7", 'R', 6, 6);
	assert_false(fs_starvation_look(tasks->starvation));
}

static void
test_who_sleeps_or_is_stopped_is_not(void **state)
{
	const Tasks *tasks = *state;
	const char conditions[] = "SDTtZX";

	for (const char *c = conditions; *c != '\0'; c++) {
		task_write(tasks, "7", *c, 5, 5);
		assert_false(fs_starvation_look(tasks->starvation));
		assert_false(fs_starvation_look(tasks->starvation));
	}
}

static void
test_who_could_run_now_only_is_not(void **state)
{
	const Tasks *tasks = *state;

	task_write(tasks, "7", 'R', 5, 5);
	assert_false(fs_starvation_look(tasks->starvation));
	task_write(tasks, "7", 'S', 5, 5);
	assert_false(fs_starvation_look(tasks->starvation));
	task_write(tasks, "7", 'R', 5, 5);
	assert_false(fs_starvation_look(tasks->starvation));
}

static void
test_who_has_gone_is_not(void **state)
{
	const Tasks *tasks = *state;

	task_write(tasks, "7", 'R', 5, 5);
	assert_false(fs_starvation_look(tasks->starvation));
	task_remove(tasks, "7");
	task_write(tasks, "8", 'R', 5, 5);
	assert_false(fs_starvation_look(tasks->starvation));
}

static void
test_a_process_that_has_gone_has_no_threads(void **state)
{
	FsStarvation *starvation = fs_starvation_new("/proc/0/task");

	(void)state;
	assert_false(fs_starvation_look(starvation));
	assert_false(fs_starvation_look(starvation));
	fs_starvation_free(starvation);
}

/* What the kernel says is what the lines above say. */
static void
test_the_kernel_tells_of_who_works_and_who_has_stopped(void **state)
{
	g_autofree char *own = fs_proc_stat_read("/proc/thread-self");
	g_autofree char *stopped = NULL;
	g_autofree char *dir = NULL;
	pid_t child;

	(void)state;
	assert_int_equal(fs_proc_stat_state(own), 'R');
	assert_int_equal(fs_proc_stat_field(own, 4), getppid());

	child = fork();
	if (child == 0) {
		(void)raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
	dir = g_strdup_printf("/proc/%d", (int)child);
	stopped = fs_proc_stat_read(dir);
	assert_int_equal(fs_proc_stat_state(stopped), 'T');
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_null(fs_proc_stat_read(dir));
}

static void
test_a_line_that_is_none_says_nothing(void **state)
{
	(void)state;
	assert_int_equal(fs_proc_stat_state(""), '\0');
	assert_int_equal(fs_proc_stat_state("1 (a)"), '\0');
	assert_int_equal(fs_proc_stat_field("1 (a) R 4", 9), 0);
	assert_int_equal(fs_proc_stat_field("", 4), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_who_could_run_and_does_not_is_starved),
		TEST(test_who_runs_is_not),
		TEST(test_who_sleeps_or_is_stopped_is_not),
		TEST(test_who_could_run_now_only_is_not),
		TEST(test_who_has_gone_is_not),
		cmocka_unit_test(test_a_process_that_has_gone_has_no_threads),
		cmocka_unit_test(
			test_the_kernel_tells_of_who_works_and_who_has_stopped),
		cmocka_unit_test(test_a_line_that_is_none_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
