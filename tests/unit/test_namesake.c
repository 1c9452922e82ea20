/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Processes that have the same number one after the other, as those in containers
 * have, or at once in two of them. LMDB knows by the number who reads.
 */

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "store/kv.h"
#include "tests/unit/store_kit.h"

#define MAP_SIZE   (16 << 20)
#define VALUE_SIZE (256 << 10)

/* If a snapshot keeps what these remove, the map has no room for half of them. */
#define COMMITS 128

typedef struct Bench {
	Kv *kv;    /* this process's, or NULL */
	char *dir; /* owned */
	pid_t pid; /* of the namesake that lives, or 0 */
	int fd;    /* to it */
} Bench;

/* What a namesake does; 0 if all is as it should be. @fd is to the test. */
typedef int Deed(const char *dir, int fd);

static int
open_kv(const char *dir, bool writer, Kv **ret_kv)
{
	g_autofree char *reason = NULL;

	return kv_lmdb_open(dir, writer, MAP_SIZE, ret_kv, &reason);
}

/* Makes the one record all @letter. */
static KvResult
commit(Kv *kv, char letter)
{
	g_autofree char *value = g_strnfill(VALUE_SIZE, letter);
	KvChange change = { { "a", 1 }, { value, VALUE_SIZE } };
	KvBatch batch = { .changes = &change, .count = 1 };
	KvResult result = KV_UNKNOWN;

	kv_commit(kv, &batch, test_keep_result, &result);
	return result;
}

/* Whether @snapshot shows the record all @letter. */
static bool
shows(KvSnapshot *snapshot, char letter)
{
	g_autofree char *want = g_strnfill(VALUE_SIZE, letter);
	KvSlice value;

	return kv_get(snapshot, (KvSlice){ "a", 1 }, &value) == 0 &&
	       value.size == VALUE_SIZE &&
	       memcmp(value.data, want, VALUE_SIZE) == 0;
}

static KvResult
commit_all(Kv *kv)
{
	KvResult result = KV_COMMITTED;

	for (int i = 0; i < COMMITS && result == KV_COMMITTED; i++)
		result = commit(kv, 'n');
	return result;
}

/* ---- what they do --------------------------------------------------------*/

/* Has a snapshot until it is told to look at it. */
static int
read_on(const char *dir, bool writer, int fd)
{
	g_autoptr(Kv) kv = NULL;
	g_autoptr(KvSnapshot) snapshot = NULL;
	char told;

	if (open_kv(dir, writer, &kv) < 0 || kv_snapshot(kv, &snapshot) < 0 ||
	    write(fd, "r", 1) != 1 || read(fd, &told, 1) != 1)
		return 1;
	return shows(snapshot, 'o') ? 0 : 1;
}

static int
reader(const char *dir, int fd)
{
	return read_on(dir, false, fd);
}

static int
writer_that_reads(const char *dir, int fd)
{
	return read_on(dir, true, fd);
}

static int
writer(const char *dir, int fd)
{
	g_autoptr(Kv) kv = NULL;

	(void)fd;
	return open_kv(dir, true, &kv) == 0 && commit_all(kv) == KV_COMMITTED
	               ? 0
	               : 1;
}

static int
writer_that_is_refused(const char *dir, int fd)
{
	g_autoptr(Kv) kv = NULL;

	(void)fd;
	return open_kv(dir, true, &kv) == -EAGAIN ? 0 : 1;
}

/* ---- their lives ---------------------------------------------------------*/

/* Each is the first process of its own namespace. */
static pid_t
start(const Bench *bench, Deed *deed, int *ret_fd)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		close(fds[0]);
		_exit(getpid() == 1 ? deed(bench->dir, fds[1]) : 1);
	}
	assert_true(pid > 0);
	close(fds[1]);
	*ret_fd = fds[0];
	return pid;
}

static int
end(pid_t pid, int fd)
{
	int status = 0;

	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Starts one that has a snapshot. */
static void
start_reader(Bench *bench, Deed *deed)
{
	char told;

	bench->pid = start(bench, deed, &bench->fd);
	assert_int_equal(read(bench->fd, &told, 1), 1);
}

static int
end_reader(Bench *bench)
{
	pid_t pid = bench->pid;

	bench->pid = 0;
	return end(pid, bench->fd);
}

static void
assert_succeeds(const Bench *bench, Deed *deed)
{
	int fd;
	pid_t pid = start(bench, deed, &fd);

	assert_int_equal(end(pid, fd), 0);
}

static int
setup(void **state)
{
	Bench *bench = g_new0(Bench, 1);
	g_autofree char *reason = NULL;

	bench->dir = g_dir_make_tmp("pofs-test-XXXXXX", NULL);
	assert_int_equal(kv_lmdb_create(bench->dir, MAP_SIZE, &reason), 0);
	assert_int_equal(open_kv(bench->dir, true, &bench->kv), 0);
	assert_int_equal(commit(bench->kv, 'o'), KV_COMMITTED);
	g_clear_pointer(&bench->kv, kv_close);
	*state = bench;
	return 0;
}

static int
teardown(void **state)
{
	Bench *bench = *state;

	if (bench->pid > 0)
		(void)end_reader(bench);
	g_clear_pointer(&bench->kv, kv_close);
	test_remove_files(bench->dir);
	g_free(bench->dir);
	g_free(bench);
	return 0;
}

/* ---- the tests -----------------------------------------------------------*/

/* Another process has it open all the time, so that LMDB's lock file stays. */
static void
what_a_dead_namesake_read_is_room_again(void **state)
{
	Bench *bench = *state;

	assert_int_equal(open_kv(bench->dir, false, &bench->kv), 0);
	start_reader(bench, writer_that_reads);
	assert_int_equal(kill(bench->pid, SIGKILL), 0);
	assert_true(WIFSIGNALED(end_reader(bench)));
	assert_succeeds(bench, writer);
}

static void
what_a_living_namesake_reads_stays(void **state)
{
	Bench *bench = *state;

	start_reader(bench, reader);
	assert_succeeds(bench, writer_that_is_refused);
	assert_int_equal(open_kv(bench->dir, true, &bench->kv), 0);
	assert_int_not_equal(commit_all(bench->kv), KV_COMMITTED);
	assert_int_equal(write(bench->fd, "l", 1), 1);
	assert_int_equal(end_reader(bench), 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_a_dead_namesake_read_is_room_again),
		TEST(what_a_living_namesake_reads_stays),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
