/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A library to preload: logs what its program writes below the directory
 * PCUT_DIR into the file PCUT_LOG (pcut.h), and makes calls fail as the file
 * PCUT_CONTROL says.
 *
 * - A call and its record are one step under one lock, so the log has the
 *   order in which things happened. A sync is logged before its caller hears
 *   of it, hence before any client can.
 * - The system is called directly, not by way of libc, so nothing has to be
 *   looked up before the first call.
 * - lock.mdb is left out: LMDB makes it anew when nobody has it open.
 * - What is mapped shared and writable could not be seen; that ends the
 *   program, as does anything else that would make the log incomplete.
 */

#include "tests/torture/pcut_core.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS         4096
#define DIRECTORIES 1024
#define LOG_FD      900 /* out of the program's way */

pthread_mutex_t pcut_mutex = PTHREAD_MUTEX_INITIALIZER;
static PcutFile files[FDS];
static uint64_t directories[DIRECTORIES];
static size_t directory_count;
static dev_t device;
static int log_fd = -1;
static PcutControl *control;
static bool has_written; /* this process is one to count and to kill */

void
pcut_give_up(const char *why)
{
	fprintf(stderr, "pcut: ERROR: %s\n", why);
	abort();
}

/* ---- the log -------------------------------------------------------------*/

void
pcut_append(PcutRecord record, const struct iovec *iov, int count, size_t size)
{
	static char zeros[PCUT_ALIGN];
	struct iovec all[IOV_MAX] = { { &record, sizeof(record) } };
	size_t padding = pcut_padding(size);
	size_t left = size;
	int used = 1;

	for (int i = 0; i < count && left > 0 && used < IOV_MAX - 1; i++) {
		size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;

		all[used++] = (struct iovec){ iov[i].iov_base, part };
		left -= part;
	}
	all[used++] = (struct iovec){ zeros, padding };
	record.size = size;
	if (left > 0 || syscall(SYS_writev, log_fd, all, used) !=
	                        (long)(sizeof(record) + size + padding))
		pcut_give_up("cannot write the log");
}

void
pcut_append_name(PcutRecord record, const char *name)
{
	struct iovec iov = { (void *)(uintptr_t)name, strlen(name) + 1 };

	pcut_append(record, &iov, 1, iov.iov_len);
}

/* ---- what is below the directory -----------------------------------------*/

static bool
has_directory(uint64_t node)
{
	for (size_t i = 0; i < directory_count; i++)
		if (directories[i] == node)
			return true;
	return false;
}

void
pcut_add_directory(uint64_t node)
{
	if (has_directory(node))
		return;
	if (directory_count == DIRECTORIES)
		pcut_give_up("too many directories");
	directories[directory_count++] = node;
}

/* Parts @path; @ret_name points into it. Returns the node of the directory that
 * it is in, 0 if that is none of ours. */
uint64_t
pcut_find_parent(int dir_fd, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX] = ".";
	struct stat st;

	*ret_name = slash == NULL ? path : slash + 1;
	if (slash != NULL && (size_t)(slash - path) < sizeof(parent) - 1) {
		memcpy(parent, path, (size_t)(slash - path) + 1);
		parent[slash - path + 1] = '\0';
	}
	if (fstatat(dir_fd, parent, &st, 0) < 0 || !pcut_is_directory(&st) ||
	    strcmp(*ret_name, "lock.mdb") == 0)
		return 0;
	return st.st_ino;
}

bool
pcut_is_directory(const struct stat *st)
{
	return log_fd >= 0 && st->st_dev == device && has_directory(st->st_ino);
}

void
pcut_set_file(int fd, uint64_t node, bool is_durable)
{
	if (fd >= FDS && node != 0)
		pcut_give_up("too many descriptors");
	if (fd >= 0 && fd < FDS)
		files[fd] = (PcutFile){ node, is_durable };
}

const PcutFile *
pcut_find_file(int fd)
{
	if (fd < 0 || fd >= FDS || files[fd].node == 0)
		return NULL;
	return &files[fd];
}

static void
dump_file(uint64_t node, const char *path)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	PcutRecord record = { .type = PCUT_WRITE,
		              .flags = PCUT_DURABLE,
		              .node = node };
	static char block[1 << 16];
	ssize_t size;

	while (fd >= 0 && (size = read(fd, block, sizeof(block))) > 0) {
		struct iovec iov = { block, (size_t)size };

		pcut_append(record, &iov, 1, iov.iov_len);
		record.offset += (uint64_t)size;
	}
	syscall(SYS_close, fd);
}

/* Notes what is in @path; tells the log of it if that is empty. */
static void
survey(const char *path, uint64_t node, bool is_told)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	pcut_add_directory(node);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char child[PATH_MAX];
		PcutRecord record = { .flags = PCUT_OLD, .parent = node };
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0 ||
		    strcmp(entry->d_name, "lock.mdb") == 0)
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
		if (lstat(child, &st) < 0 ||
		    (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)))
			continue;
		record.node = st.st_ino;
		record.type = S_ISDIR(st.st_mode) ? PCUT_DIRECTORY : PCUT_FILE;
		if (is_told)
			pcut_append_name(record, entry->d_name);
		if (S_ISDIR(st.st_mode))
			survey(child, st.st_ino, is_told);
		else if (is_told)
			dump_file(st.st_ino, child);
	}
	if (dir != NULL)
		closedir(dir);
}

static void *
map_control(const char *path)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	void *map = (void *)syscall(SYS_mmap, NULL, sizeof(PcutControl),
	                            PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || map == MAP_FAILED)
		pcut_give_up("cannot map PCUT_CONTROL");
	syscall(SYS_close, fd);
	return map;
}

static void __attribute__((constructor)) begin(void)
{
	const char *dir = getenv("PCUT_DIR");
	const char *path = getenv("PCUT_LOG");
	PcutRecord root = { .type = PCUT_ROOT };
	struct stat st;
	int fd;

	if (dir == NULL || path == NULL)
		return;
	if (getenv("PCUT_CONTROL") != NULL)
		control = map_control(getenv("PCUT_CONTROL"));
	fd = (int)syscall(SYS_openat, AT_FDCWD, path,
	                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	log_fd = fcntl(fd, F_DUPFD_CLOEXEC, LOG_FD);
	syscall(SYS_close, fd);
	if (log_fd < 0 || stat(dir, &st) < 0)
		pcut_give_up("cannot open PCUT_LOG or PCUT_DIR");
	device = st.st_dev;
	root.node = st.st_ino;
	if (lseek(log_fd, 0, SEEK_END) == 0) {
		pcut_append_name(root, "");
		survey(dir, root.node, true);
	} else {
		survey(dir, root.node, false);
	}
}

/* ---- what a test asks for ------------------------------------------------*/

void
pcut_note_writer(void)
{
	has_written = true;
}

void
pcut_count_call(bool is_ours)
{
	if (control == NULL || !has_written ||
	    (!is_ours && control->is_wide == 0))
		return;
	if (__atomic_add_fetch(&control->calls, 1, __ATOMIC_SEQ_CST) ==
	    control->kill_at)
		(void)raise(SIGKILL);
}

bool
pcut_is_sync_to_fail(void)
{
	uint64_t number;

	if (control == NULL)
		return false;
	number = ++control->syncs;
	return control->fail_at != 0 &&
	       (number == control->fail_at ||
	        (control->is_sticky != 0 && number > control->fail_at));
}

bool
pcut_is_write_to_be_short(void)
{
	if (control == NULL)
		return false;
	control->writes++;
	return control->short_every != 0 &&
	       control->writes % control->short_every == 0;
}

bool
pcut_is_lying(void)
{
	return control != NULL && control->is_lying != 0;
}

bool
pcut_fails(PcutKind kind)
{
	uint64_t count;

	if (control == NULL || (control->fault_kinds & kind) == 0)
		return false;
	count = __atomic_add_fetch(&control->faults, 1, __ATOMIC_SEQ_CST);
	if (count < control->fault_at ||
	    (count > control->fault_at && control->is_sticky == 0))
		return false;
	errno = (int)control->fault_code;
	return true;
}
