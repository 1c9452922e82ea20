/* SPDX-License-Identifier: BSD-2-Clause */

/* The calls that the library replaces; pcut_core.c says how it works. */

/* Here the names without "64" are meant, of which the others are aliases. */
#undef _FILE_OFFSET_BITS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/torture/pcut_core.h"

/* ---- writing -------------------------------------------------------------*/

static ssize_t
call_write(int fd, const struct iovec *iov, int count, off_t offset)
{
	if (offset < 0)
		return syscall(SYS_writev, fd, iov, count);
	return syscall(SYS_pwritev, fd, iov, count, offset, 0);
}

static off_t
position_of(int fd)
{
	bool appends = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
	struct stat st;

	if (appends && fstat(fd, &st) == 0)
		return st.st_size;
	return lseek(fd, 0, SEEK_CUR);
}

/* Writes to one of our files; called locked. */
static ssize_t
write_file(const PcutFile *file, int fd, const struct iovec *iov, int count,
           off_t offset)
{
	PcutRecord record = { .type = PCUT_WRITE, .node = file->node };
	struct iovec half = { iov[0].iov_base, iov[0].iov_len / 2 };
	bool is_broken = file->is_durable && pcut_is_sync_to_fail();
	ssize_t size;

	record.offset = (uint64_t)(offset < 0 ? position_of(fd) : offset);
	if (file->is_durable)
		record.flags = is_broken ? PCUT_BROKEN : PCUT_DURABLE;
	if (pcut_is_write_to_be_short() && half.iov_len > 0) {
		iov = &half;
		count = 1;
	}
	size = call_write(fd, iov, count, offset);
	if (size > 0)
		pcut_append(record, iov, count, (size_t)size);
	if (!is_broken)
		return size;
	errno = EIO;
	return -1;
}

static ssize_t
do_write(int fd, const struct iovec *iov, int count, off_t offset)
{
	const PcutFile *file = pcut_find_file(fd);
	ssize_t size;
	int code;

	pcut_count_call(file != NULL);
	if (file != NULL && pcut_fails(PCUT_PUT))
		return -1;
	if (file == NULL)
		return call_write(fd, iov, count, offset);
	pthread_mutex_lock(&pcut_mutex);
	size = write_file(file, fd, iov, count, offset);
	code = errno;
	pthread_mutex_unlock(&pcut_mutex);
	errno = code;
	return size;
}

ssize_t
write(int fd, const void *data, size_t size)
{
	struct iovec iov = { (void *)(uintptr_t)data, size };

	return do_write(fd, &iov, 1, -1);
}

ssize_t
pwrite(int fd, const void *data, size_t size, off_t offset)
{
	struct iovec iov = { (void *)(uintptr_t)data, size };

	return do_write(fd, &iov, 1, offset);
}

ssize_t
writev(int fd, const struct iovec *iov, int count)
{
	return do_write(fd, iov, count, -1);
}

ssize_t
pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	return do_write(fd, iov, count, offset);
}

static int
do_sync(int fd, long number)
{
	const PcutFile *file = pcut_find_file(fd);
	PcutRecord record = { .type = PCUT_SYNC };
	int r = 0;

	pcut_count_call(file != NULL);
	if (file != NULL && pcut_fails(PCUT_PUT))
		return -1;
	if (file == NULL)
		return (int)syscall(number, fd);
	pthread_mutex_lock(&pcut_mutex);
	record.node = file->node;
	if (pcut_is_sync_to_fail()) {
		record.type = PCUT_FAILED;
		r = -1;
	}
	if (!pcut_is_lying())
		pcut_append(record, NULL, 0, 0);
	pthread_mutex_unlock(&pcut_mutex);
	errno = r < 0 ? EIO : errno;
	return r;
}

int
fsync(int fd)
{
	return do_sync(fd, SYS_fsync);
}

int
fdatasync(int fd)
{
	return do_sync(fd, SYS_fdatasync);
}

int
ftruncate(int fd, off_t size)
{
	const PcutFile *file = pcut_find_file(fd);
	PcutRecord record = { .type = PCUT_TRUNCATE, .offset = (uint64_t)size };
	int r;

	pcut_count_call(file != NULL);
	if (file != NULL && pcut_fails(PCUT_NAME))
		return -1;
	if (file == NULL)
		return (int)syscall(SYS_ftruncate, fd, size);
	pthread_mutex_lock(&pcut_mutex);
	record.node = file->node;
	r = (int)syscall(SYS_ftruncate, fd, size);
	if (r == 0)
		pcut_append(record, NULL, 0, 0);
	pthread_mutex_unlock(&pcut_mutex);
	return r;
}

int
truncate(const char *path, off_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r = fd < 0 ? -1 : ftruncate(fd, size);
	int code = errno;

	if (fd >= 0)
		close(fd);
	errno = code;
	return r;
}

void *
mmap(void *address, size_t size, int protection, int flags, int fd,
     off_t offset)
{
	if ((flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0 &&
	    pcut_find_file(fd) != NULL)
		pcut_give_up("a shared mapping could not be followed");
	if (pcut_fails(PCUT_MAP))
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, address, size, protection, flags, fd,
	                       offset);
}

/* ---- names ---------------------------------------------------------------*/

/* Notes what was opened as @name in @parent; called locked. */
static void
note_open(int fd, int flags, uint64_t parent, const char *name, bool is_new)
{
	PcutRecord record = { .parent = parent };
	struct stat st;

	if (fstat(fd, &st) < 0)
		pcut_give_up("cannot look at what was opened");
	record.node = st.st_ino;
	if (S_ISREG(st.st_mode) && is_new) {
		record.type = PCUT_FILE;
		pcut_append_name(record, name);
	} else if (S_ISREG(st.st_mode) && (flags & O_TRUNC) != 0) {
		record.type = PCUT_TRUNCATE;
		pcut_append(record, NULL, 0, 0);
	}
	if ((flags & O_ACCMODE) != O_RDONLY)
		pcut_note_writer();
	pcut_set_file(fd, st.st_ino, (flags & O_DSYNC) != 0);
}

static int
do_open(int dir_fd, const char *path, int flags, mode_t mode)
{
	const char *name;
	uint64_t parent = pcut_find_parent(dir_fd, path, &name);
	struct stat st;
	bool is_new;
	int fd;

	if (pcut_fails(PCUT_OPEN))
		return -1;
	if (pcut_is_lying())
		flags &= ~O_DSYNC;
	if (parent == 0) {
		/* Opened for its own sync, a directory may be ours itself. */
		bool is_ours = (flags & O_DIRECTORY) != 0 &&
		               fstatat(dir_fd, path, &st, 0) == 0 &&
		               pcut_is_directory(&st);

		fd = (int)syscall(SYS_openat, dir_fd, path, flags, mode);
		pcut_set_file(fd, is_ours ? st.st_ino : 0, false);
		return fd;
	}
	pcut_count_call((flags & O_ACCMODE) != O_RDONLY);
	pthread_mutex_lock(&pcut_mutex);
	is_new = fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0;
	fd = (int)syscall(SYS_openat, dir_fd, path, flags, mode);
	if (fd >= 0)
		note_open(fd, flags, parent, name, is_new);
	pthread_mutex_unlock(&pcut_mutex);
	return fd;
}

static mode_t
mode_of(int flags, va_list arguments)
{
	return (flags & (O_CREAT | __O_TMPFILE)) != 0
	               ? va_arg(arguments, mode_t)
	               : 0;
}

int
open(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = mode_of(flags, arguments);
	va_end(arguments);
	return do_open(AT_FDCWD, path, flags, mode);
}

int
openat(int dir_fd, const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = mode_of(flags, arguments);
	va_end(arguments);
	return do_open(dir_fd, path, flags, mode);
}

int
close(int fd)
{
	pcut_set_file(fd, 0, false);
	return (int)syscall(SYS_close, fd);
}

int
mkdirat(int dir_fd, const char *path, mode_t mode)
{
	PcutRecord record = { .type = PCUT_DIRECTORY };
	const char *name;
	struct stat st;
	int r;

	record.parent = pcut_find_parent(dir_fd, path, &name);
	pcut_count_call(record.parent != 0);
	if (record.parent != 0 && pcut_fails(PCUT_NAME))
		return -1;
	pthread_mutex_lock(&pcut_mutex);
	r = (int)syscall(SYS_mkdirat, dir_fd, path, mode);
	if (r == 0 && record.parent != 0 &&
	    fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		record.node = st.st_ino;
		pcut_append_name(record, name);
		pcut_add_directory(st.st_ino);
	}
	pthread_mutex_unlock(&pcut_mutex);
	return r;
}

int
mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int
unlinkat(int dir_fd, const char *path, int flags)
{
	PcutRecord record = { .type = PCUT_UNLINK };
	const char *name;
	int r;

	record.parent = pcut_find_parent(dir_fd, path, &name);
	pcut_count_call(record.parent != 0);
	if (record.parent != 0 && pcut_fails(PCUT_NAME))
		return -1;
	pthread_mutex_lock(&pcut_mutex);
	r = (int)syscall(SYS_unlinkat, dir_fd, path, flags);
	if (r == 0 && record.parent != 0)
		pcut_append_name(record, name);
	pthread_mutex_unlock(&pcut_mutex);
	return r;
}

int
unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int
rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int
remove(const char *path)
{
	int r = unlink(path);

	return r < 0 && errno == EISDIR ? rmdir(path) : r;
}

int
renameat2(int old_fd, const char *old, int new_fd, const char *new,
          unsigned flags)
{
	PcutRecord record = { .type = PCUT_RENAME };
	struct iovec names[2];
	const char *from;
	const char *to;
	int r;

	record.node = pcut_find_parent(old_fd, old, &from);
	record.parent = pcut_find_parent(new_fd, new, &to);
	if ((record.node == 0) != (record.parent == 0))
		pcut_give_up("a name was moved across the border");
	pcut_count_call(record.parent != 0);
	if (record.parent != 0 && pcut_fails(PCUT_NAME))
		return -1;
	pthread_mutex_lock(&pcut_mutex);
	r = (int)syscall(SYS_renameat2, old_fd, old, new_fd, new, flags);
	names[0] = (struct iovec){ (void *)(uintptr_t)from, strlen(from) + 1 };
	names[1] = (struct iovec){ (void *)(uintptr_t)to, strlen(to) + 1 };
	if (r == 0 && record.node != 0)
		pcut_append(record, names, 2,
		            names[0].iov_len + names[1].iov_len);
	pthread_mutex_unlock(&pcut_mutex);
	return r;
}

int
renameat(int old_fd, const char *old, int new_fd, const char *new)
{
	return renameat2(old_fd, old, new_fd, new, 0);
}

int
rename(const char *old, const char *new)
{
	return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int
linkat(int old_fd, const char *old, int new_fd, const char *new, int flags)
{
	const char *name;

	if (pcut_find_parent(new_fd, new, &name) != 0)
		pcut_give_up("second names are not followed");
	return (int)syscall(SYS_linkat, old_fd, old, new_fd, new, flags);
}

int
link(const char *old, const char *new)
{
	return linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
}

/* ---- the same under other names ------------------------------------------*/

/* Files are large everywhere. */
#define ALIAS(name) __attribute__((alias(#name)))

int open64(const char *path, int flags, ...) ALIAS(open);
int openat64(int dir_fd, const char *path, int flags, ...) ALIAS(openat);
int truncate64(const char *path, off64_t size) ALIAS(truncate);
int ftruncate64(int fd, off64_t size) ALIAS(ftruncate);
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
	ALIAS(pwrite);
ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
	ALIAS(pwritev);
void *mmap64(void *address, size_t size, int protection, int flags, int fd,
             off64_t offset) ALIAS(mmap);
