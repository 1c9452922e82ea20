/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/thread_group.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <glib.h>

/* How long the loop may wait for /proc, and how many readers may be stuck
 * there: a stuck one ends when the thread it asked about goes on. */
#define READ_TIMEOUT_US 100000
#define READERS_MAX     8

/* From the kernel's pidfd.h; the C library of Debian 12 is older. */
#define PIDFD_OF_THREAD O_EXCL

struct pidfd_answer {
	uint64_t mask;
	uint64_t cgroupid;
	uint32_t pid;
	uint32_t tgid;
	uint32_t rest[10];
};

#define PIDFD_ASK _IOWR(0xFF, 11, struct pidfd_answer)

int
fs_thread_group_open(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd >= 0)
		return fd;

	/* Kernels up to 6.15 say EINVAL of a thread that leads no group. */
	return errno == EINVAL ? -ENOENT : -errno;
}

bool
fs_thread_group_has(pid_t tgid, pid_t tid)
{
	/* EPERM means that it is there, and somebody else's. */
	return syscall(SYS_tgkill, tgid, tid, 0) == 0 || errno == EPERM;
}

static int
thread_group_ask(pid_t tid, pid_t *ret_tgid)
{
	struct pidfd_answer answer = { 0 };
	int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_OF_THREAD);
	int r;

	if (fd < 0)
		return -errno;

	r = ioctl(fd, PIDFD_ASK, &answer) < 0 ? -errno : 0;
	close(fd);
	if (r == 0)
		*ret_tgid = (pid_t)answer.tgid;

	return r;
}

bool
fs_thread_group_is_ending(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid);
	g_autofree char *stat = NULL;
	const char *name_end;

	if (!g_file_get_contents(path, &stat, NULL, NULL))
		return true;

	/* The state follows the name, which is in brackets. */
	name_end = strrchr(stat, ')');
	return name_end != NULL && g_str_has_prefix(name_end, ") Z");
}

/* One look at /proc. What it found belongs to the reader until it is done. */
typedef struct Reading {
	gatomicrefcount refs;
	pid_t tid;
	void (*read)(struct Reading *reading);
	GMutex mutex; /* guards what follows */
	GCond cond;
	bool done;
	pid_t tgid;                           /* 0 if it was not there */
	char name[FS_THREAD_GROUP_NAME_SIZE]; /* "" if it was not there */
} Reading;

static gint readers; /* atomic: at work or stuck */

static void
reading_unref(Reading *reading)
{
	if (!g_atomic_ref_count_dec(&reading->refs))
		return;

	g_mutex_clear(&reading->mutex);
	g_cond_clear(&reading->cond);
	g_free(reading);
}

static void
status_read(Reading *reading)
{
	g_autofree char *path =
		g_strdup_printf("/proc/%d/status", reading->tid);
	char line[128];
	pid_t tgid = 0;
	FILE *status = fopen(path, "re");

	if (status == NULL)
		return;

	while (tgid == 0 && fgets(line, sizeof line, status) != NULL)
		if (g_str_has_prefix(line, "Tgid:"))
			tgid = (pid_t)strtol(line + strlen("Tgid:"), NULL, 10);

	fclose(status);
	reading->tgid = tgid;
}

static void
comm_read(Reading *reading)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/comm", reading->tid);
	g_autofree char *comm = NULL;

	if (g_file_get_contents(path, &comm, NULL, NULL))
		g_strlcpy(reading->name, g_strchomp(comm),
		          sizeof reading->name);
}

static void *
reading_run(void *user_data)
{
	Reading *reading = user_data;

	reading->read(reading);
	g_mutex_lock(&reading->mutex);
	reading->done = true;
	g_cond_signal(&reading->cond);
	g_mutex_unlock(&reading->mutex);

	reading_unref(reading);
	g_atomic_int_add(&readers, -1);
	return NULL;
}

static int
reading_wait(Reading *reading)
{
	gint64 end_us = g_get_monotonic_time() + READ_TIMEOUT_US;
	int r = 0;

	g_mutex_lock(&reading->mutex);
	while (!reading->done && r == 0)
		if (!g_cond_wait_until(&reading->cond, &reading->mutex, end_us))
			r = -ETIMEDOUT;

	if (reading->done)
		r = 0;
	g_mutex_unlock(&reading->mutex);

	return r;
}

/* Ownership: the caller lets go of *@ret_reading. */
static int
reading_take(pid_t tid, void (*read)(Reading *), Reading **ret_reading)
{
	Reading *reading;
	int r;

	if (g_atomic_int_add(&readers, 1) >= READERS_MAX) {
		g_atomic_int_add(&readers, -1);
		return -ETIMEDOUT;
	}

	reading = g_new0(Reading, 1);
	g_atomic_ref_count_init(&reading->refs);
	g_atomic_ref_count_inc(&reading->refs);
	reading->tid = tid;
	reading->read = read;
	g_mutex_init(&reading->mutex);
	g_cond_init(&reading->cond);
	g_thread_unref(g_thread_new("proc-reader", reading_run, reading));

	r = reading_wait(reading);
	if (r < 0)
		reading_unref(reading);
	else
		*ret_reading = reading;
	return r;
}

int
fs_thread_group_read(pid_t tid, pid_t *ret_tgid)
{
	Reading *reading;
	int r;

	r = reading_take(tid, status_read, &reading);
	if (r < 0)
		return r;

	if (reading->tgid != 0)
		*ret_tgid = reading->tgid;
	else
		r = -ESRCH;
	reading_unref(reading);
	return r;
}

int
fs_thread_group_name(pid_t pid, char ret_name[FS_THREAD_GROUP_NAME_SIZE])
{
	Reading *reading;
	int r;

	r = reading_take(pid, comm_read, &reading);
	if (r < 0)
		return r;

	if (reading->name[0] != '\0')
		g_strlcpy(ret_name, reading->name, FS_THREAD_GROUP_NAME_SIZE);
	else
		r = -ESRCH;
	reading_unref(reading);
	return r;
}

int
fs_thread_group_find(pid_t tid, pid_t *ret_tgid)
{
	int r = thread_group_ask(tid, ret_tgid);

	if (r == 0 || r == -ESRCH)
		return r;

	return fs_thread_group_read(tid, ret_tgid);
}
