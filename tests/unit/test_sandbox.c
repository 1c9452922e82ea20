/* SPDX-License-Identifier: BSD-2-Clause */
/* What a process may do in the sandbox, each in a child of its own. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/sandbox.h"

typedef bool Deed(void);

/* What becomes of a process that does @deed in the sandbox: the status that
 * wait() has of it. */
static int
fate_of(Deed *deed)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		struct rlimit none = { 0 };

		(void)setrlimit(RLIMIT_CORE, &none);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    fs_sandbox_enter() < 0)
			_exit(2);
		_exit(deed() ? 0 : errno == ENOSYS ? 1 : 3);
	}

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
assert_impossible(const char *what, Deed *deed)
{
	int status = fate_of(deed);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
		fail_msg("%s: status %#x", what, (unsigned)status);
}

static bool
deed_execute(void)
{
	return execl("/bin/true", "true", NULL) == 0;
}

/* The child is gone at once. */
static bool
is_parent(pid_t pid)
{
	if (pid == 0)
		_exit(0);
	return pid > 0;
}

static bool
deed_fork(void)
{
	return is_parent(fork());
}

static bool
deed_fork_namespace(void)
{
	return is_parent(
		(pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

static bool
deed_trace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool
deed_mount(void)
{
	return mount("none", "/", "tmpfs", 0, NULL) == 0;
}

static bool
deed_network(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}

static bool
deed_user(void)
{
	return setuid(0) == 0;
}

static bool
deed_namespace(void)
{
	return unshare(CLONE_NEWUSER) == 0;
}

static bool
deed_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

static bool
deed_type_for_another(void)
{
	return ioctl(0, TIOCSTI, "x") == 0;
}

static bool
deed_look_into_another(void)
{
	return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) ==
	       0;
}

static void
what_an_intruder_would_need_is_not_there(void **state)
{
	assert_impossible("exec", deed_execute);
	assert_impossible("fork", deed_fork);
	assert_impossible("clone", deed_fork_namespace);
	assert_impossible("ptrace", deed_trace);
	assert_impossible("mount", deed_mount);
	assert_impossible("network", deed_network);
	assert_impossible("setuid", deed_user);
	assert_impossible("unshare", deed_namespace);
	assert_impossible("dumpable", deed_dumpable);
	assert_impossible("TIOCSTI", deed_type_for_another);
	assert_impossible("process_vm_readv", deed_look_into_another);
}

static void *
answer(void *user_data)
{
	return user_data;
}

static bool
deed_thread(void)
{
	pthread_t thread;
	void *said = NULL;
	int value;

	return pthread_create(&thread, NULL, answer, &value) == 0 &&
	       pthread_join(thread, &said) == 0 && said == &value;
}

static void
note(void *data, void *user_data)
{
	(void)data;
	*(bool *)user_data = true;
}

/* GLib gives its threads the priority of the one that asks for them. */
static bool
deed_pool(void)
{
	bool noted = false;
	GThreadPool *pool = g_thread_pool_new(note, &noted, 1, FALSE, NULL);

	g_thread_pool_push(pool, pool, NULL);
	g_thread_pool_free(pool, FALSE, TRUE);
	return noted;
}

static bool
deed_file(void)
{
	char path[] = "/tmp/sandbox-XXXXXX";
	int fd = mkstemp(path);

	return fd >= 0 && unlink(path) == 0 && write(fd, "x", 1) == 1 &&
	       fdatasync(fd) == 0 && close(fd) == 0;
}

static bool
deed_words(void)
{
	g_autofree char *text = g_strdup_printf("%s", g_strerror(ENOENT));

	return fprintf(stderr, "# %s\n", text) > 0 &&
	       socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0;
}

static void
what_serving_needs_is_there(void **state)
{
	assert_int_equal(fate_of(deed_thread), 0);
	assert_int_equal(fate_of(deed_pool), 0);
	assert_int_equal(fate_of(deed_file), 0);
	assert_int_equal(fate_of(deed_words), 0);
}

static pthread_barrier_t entered;

static void *
execute_when_entered(void *user_data)
{
	(void)user_data;
	pthread_barrier_wait(&entered);
	return (void *)(intptr_t)deed_execute();
}

/* A thread that was there before is in the sandbox, too. */
static void
every_thread_is_in_it(void **state)
{
	pid_t pid;
	int status;

	pid = fork();
	if (pid == 0) {
		pthread_t thread;

		pthread_barrier_init(&entered, NULL, 2);
		if (pthread_create(&thread, NULL, execute_when_entered, NULL) !=
		            0 ||
		    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    fs_sandbox_enter() < 0)
			_exit(2);
		pthread_barrier_wait(&entered);
		pthread_join(thread, NULL);
		_exit(1);
	}

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_intruder_would_need_is_not_there),
		cmocka_unit_test(what_serving_needs_is_there),
		cmocka_unit_test(every_thread_is_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
