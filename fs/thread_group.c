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

#include "fs/proc_reader.h"
#include "fs/proc_stat.h"

/* Fields of /proc/TID/stat, and the kernel's PF_EXITING. */
#define STAT_FLAGS         9
#define STAT_EXIT_CODE     52
#define STAT_FLAGS_EXITING 0x4

/* Of an exit code: the signal that ended it, if one did. */
#define EXIT_CODE_SIGNAL 0x7f

/* From the kernel's pidfd.h; the C library of Debian 12 is older. */
#define PIDFD_OF_THREAD O_EXCL

struct pidfd_answer {
	uint64_t mask;
	uint64_t cgroupid;
	uint32_t pid;
	uint32_t tgid;
	uint32_t rest[9];
	int32_t exit_code;
};

#define PIDFD_ASK  _IOWR(0xFF, 11, struct pidfd_answer)
#define PIDFD_EXIT 8 /* in its mask: the exit code, from Linux 6.15 on */

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
	g_autofree char *dir = g_strdup_printf("/proc/%d", pid);
	g_autofree char *stat = fs_proc_stat_read(dir);

	return stat == NULL || fs_proc_stat_state(stat) == 'Z';
}

/* Finds @field ("Tgid:") in /proc/TID/status, and its number to @base, 0 if it is
 * none. Errors: -ESRCH; -ENODATA if it is not there. */
static int
status_find(pid_t tid, const char *field, int base, unsigned long *ret_number)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/status", tid);
	FILE *status = fopen(path, "re");
	int r = -ENODATA;
	char line[128];

	if (status == NULL)
		return -ESRCH;

	while (r < 0 && fgets(line, sizeof line, status) != NULL) {
		if (!g_str_has_prefix(line, field))
			continue;
		*ret_number = strtoul(line + strlen(field), NULL, base);
		r = 0;
	}
	(void)fclose(status);
	return r;
}

static int
status_look(pid_t tid, void *result)
{
	unsigned long tgid;

	/* 0 is one that our /proc does not have. */
	if (status_find(tid, "Tgid:", 10, &tgid) < 0 || tgid == 0)
		return -ESRCH;

	*(pid_t *)result = (pid_t)tgid;
	return 0;
}

int
fs_thread_group_read(pid_t tid, pid_t *ret_tgid)
{
	return fs_proc_read(status_look, tid, FS_PROC_HURRIED, ret_tgid,
	                    sizeof *ret_tgid);
}

static int
comm_look(pid_t pid, void *result)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/comm", pid);
	g_autofree char *comm = NULL;

	if (!g_file_get_contents(path, &comm, NULL, NULL))
		return -ESRCH;

	g_strlcpy(result, g_strchomp(comm), FS_THREAD_GROUP_NAME_SIZE);
	return 0;
}

int
fs_thread_group_name(pid_t pid, FsProcPatience patience,
                     char ret_name[FS_THREAD_GROUP_NAME_SIZE])
{
	return fs_proc_read(comm_look, pid, patience, ret_name,
	                    FS_THREAD_GROUP_NAME_SIZE);
}

static FsThreadEnd
exit_end(unsigned long code)
{
	if (code == 0)
		return FS_THREAD_EXITS;

	return (code & EXIT_CODE_SIGNAL) == 0 ? FS_THREAD_FAILS
	                                      : FS_THREAD_IS_KILLED;
}

/* Whether @tid has memory, which is each thread's own to give back: who ends
 * does so before its files are closed, and has its exit code by then. */
static bool
has_memory(pid_t tid)
{
	unsigned long size;

	return status_find(tid, "VmSize:", 10, &size) == 0;
}

static int
end_look(pid_t tid, void *result)
{
	g_autofree char *dir = g_strdup_printf("/proc/%d", tid);
	g_autofree char *user_path = g_strdup_printf("/proc/%d/ns/user", tid);
	g_autofree char *stat = NULL;
	FsThreadEnd *end = result;
	char link[32];

	/* First, for who executes a program has memory, and Linux may let
	 * nobody read the rest until that is done. */
	*end = FS_THREAD_GOES_ON;
	if (has_memory(tid))
		return 0;
	stat = fs_proc_stat_read(dir);
	if (stat == NULL)
		return -ESRCH;
	if ((fs_proc_stat_field(stat, STAT_FLAGS) & STAT_FLAGS_EXITING) == 0)
		return 0;

	/* The kernel shows the exit code to those only who may trace the
	 * thread, and 0 to others; the same may follow this link. */
	if (readlink(user_path, link, sizeof link) < 0)
		return errno == EACCES ? -EACCES : -ESRCH;

	*end = exit_end(fs_proc_stat_field(stat, STAT_EXIT_CODE));
	return 0;
}

int
fs_thread_group_read_end(pid_t tid, FsThreadEnd *ret_end)
{
	return fs_proc_read(end_look, tid, FS_PROC_PATIENT, ret_end,
	                    sizeof *ret_end);
}

/* Whatever ends a process, the kernel has SIGKILL pend for each thread. */
static int
killed_look(pid_t tid, void *result)
{
	unsigned long pending;

	if (status_find(tid, "SigPnd:", 16, &pending) < 0)
		return -ESRCH;

	*(bool *)result = (pending & (1UL << (SIGKILL - 1))) != 0;
	return 0;
}

bool
fs_thread_group_is_killed(pid_t tid)
{
	bool is_killed = false;

	return fs_proc_read(killed_look, tid, FS_PROC_HURRIED, &is_killed,
	                    sizeof is_killed) == 0 &&
	       is_killed;
}

int
fs_thread_group_see_end(pid_t pid, FsThreadEnd *ret_end)
{
	return end_look(pid, ret_end);
}

int
fs_thread_group_ask_end(int pidfd, FsThreadEnd *ret_end)
{
	struct pidfd_answer answer = { .mask = PIDFD_EXIT };

	if (ioctl(pidfd, PIDFD_ASK, &answer) < 0)
		return -errno;
	if ((answer.mask & PIDFD_EXIT) == 0)
		return -ENODATA;

	*ret_end = exit_end((unsigned long)answer.exit_code);
	return 0;
}

static int
parent_look(pid_t pid, void *result)
{
	unsigned long parent;

	if (status_find(pid, "PPid:", 10, &parent) < 0)
		return -ESRCH;

	*(pid_t *)result = (pid_t)parent;
	return 0;
}

int
fs_thread_group_read_parent(pid_t pid, pid_t *ret_parent)
{
	return fs_proc_read(parent_look, pid, FS_PROC_PATIENT, ret_parent,
	                    sizeof *ret_parent);
}

int
fs_thread_group_find(pid_t tid, pid_t *ret_tgid)
{
	int r = thread_group_ask(tid, ret_tgid);

	if (r == 0 || r == -ESRCH)
		return r;

	return fs_thread_group_read(tid, ret_tgid);
}
