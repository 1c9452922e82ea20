/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/call_fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include <cmocka.h>
#include <glib.h>

/* A call that is to fail, its number among those of its name, and how. */
typedef struct Failure {
	const char *name;
	unsigned at;
	int code;
	unsigned calls;
} Failure;

#define FAILURES 3

static Failure failures[FAILURES];

void
fail_none(void)
{
	memset(failures, 0, sizeof(failures));
}

void
fail_call(const char *name, unsigned at, int code)
{
	Failure *failure = failures;

	while (failure->name != NULL)
		failure++;
	assert_true(failure < failures + FAILURES);
	*failure = (Failure){ name, at, code, 0 };
}

/* Whether this call of @name fails, and its code. */
static bool
fails(const char *name, int *ret_code)
{
	bool is_it = false;

	for (int i = 0; i < FAILURES; i++) {
		Failure *failure = &failures[i];

		if (failure->name == NULL || strcmp(failure->name, name) != 0 ||
		    ++failure->calls != failure->at)
			continue;
		*ret_code = failure->code;
		is_it = true;
	}
	return is_it;
}

/* One that returns its code. */
#define WRAP(name, parameters, arguments)                                    \
	int __real_##name parameters;                                        \
	int __wrap_##name parameters;                                        \
	int __wrap_##name parameters                                         \
	{                                                                    \
		int code = 0;                                                \
                                                                             \
		return fails(#name, &code) ? code : __real_##name arguments; \
	}

WRAP(mdb_env_create, (void **env), (env))
WRAP(mdb_env_set_maxreaders, (void *env, unsigned n), (env, n))
WRAP(mdb_env_set_mapsize, (void *env, size_t size), (env, size))
WRAP(mdb_env_open, (void *env, const char *dir, unsigned flags, mode_t mode),
     (env, dir, flags, mode))
WRAP(mdb_env_sync, (void *env, int force), (env, force))
WRAP(mdb_dbi_open, (void *txn, const char *name, unsigned flags, unsigned *dbi),
     (txn, name, flags, dbi))
WRAP(mdb_txn_begin, (void *env, void *parent, unsigned flags, void **txn),
     (env, parent, flags, txn))
WRAP(mdb_get, (void *txn, unsigned dbi, void *key, void *value),
     (txn, dbi, key, value))
WRAP(mdb_put, (void *txn, unsigned dbi, void *key, void *value, unsigned flags),
     (txn, dbi, key, value, flags))
WRAP(mdb_del, (void *txn, unsigned dbi, void *key, void *value),
     (txn, dbi, key, value))
WRAP(mdb_cursor_open, (void *txn, unsigned dbi, void **cursor),
     (txn, dbi, cursor))

void mdb_txn_abort(void *txn);
int __real_mdb_txn_commit(void *txn);
int __wrap_mdb_txn_commit(void *txn);

/* LMDB ends it in any case. */
int
__wrap_mdb_txn_commit(void *txn)
{
	int code = 0;

	if (!fails("mdb_txn_commit", &code))
		return __real_mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return code;
}

/* One that returns -1; its code is errno, or 0: it does less than asked for. */
#define WRAP_CALL(type, name, parameters, arguments)    \
	type __real_##name parameters;                  \
	type __wrap_##name parameters;                  \
	type __wrap_##name parameters                   \
	{                                               \
		int code = 0;                           \
                                                        \
		if (!fails(#name, &code))               \
			return __real_##name arguments; \
		errno = code;                           \
		return code == 0 ? 1 : -1;              \
	}

ssize_t __real_pread64(int fd, void *data, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *data, size_t size, off_t offset);

/* "settle" is that of both meta pages at once. */
ssize_t
__wrap_pread64(int fd, void *data, size_t size, off_t offset)
{
	bool is_of_both = offset == 0 && size == 8192;
	int code = 0;

	if (!fails(is_of_both ? "settle" : "pread64", &code))
		return __real_pread64(fd, data, size, offset);
	errno = code;
	return code == 0 ? 1 : -1;
}

WRAP_CALL(ssize_t, pwrite64,
          (int fd, const void *data, size_t size, off_t offset),
          (fd, data, size, offset))
WRAP_CALL(int, fdatasync, (int fd), (fd))
WRAP_CALL(int, fstat64, (int fd, struct stat *st), (fd, st))
WRAP_CALL(int, ftruncate64, (int fd, off_t size), (fd, size))

GThread *__real_g_thread_try_new(const char *name, GThreadFunc run, void *data,
                                 GError **error);
GThread *__wrap_g_thread_try_new(const char *name, GThreadFunc run, void *data,
                                 GError **error);

GThread *
__wrap_g_thread_try_new(const char *name, GThreadFunc run, void *data,
                        GError **error)
{
	int code = 0;

	return fails("g_thread_try_new", &code)
	               ? NULL
	               : __real_g_thread_try_new(name, run, data, error);
}

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode);

/* With a mode, which is not looked at if nothing is created. */
int
__wrap_open64(const char *path, int flags, mode_t mode)
{
	int code = 0;

	if (!fails("open64", &code))
		return __real_open64(path, flags, mode);
	errno = code;
	return -1;
}

int __real_fcntl64(int fd, int command, void *argument);
int __wrap_fcntl64(int fd, int command, void *argument);

/* With an argument, as a lock has one. */
int
__wrap_fcntl64(int fd, int command, void *argument)
{
	int code = 0;

	if (!fails("fcntl64", &code))
		return __real_fcntl64(fd, command, argument);
	errno = code;
	return -1;
}

int __real_fstatvfs64(int fd, struct statvfs *vfs);
int __wrap_fstatvfs64(int fd, struct statvfs *vfs);

/* Without a code it tells of a full disk. */
int
__wrap_fstatvfs64(int fd, struct statvfs *vfs)
{
	int r = __real_fstatvfs64(fd, vfs);
	int code = 0;

	if (!fails("fstatvfs64", &code))
		return r;
	vfs->f_bavail = 0;
	errno = code;
	return code == 0 ? 0 : -1;
}

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

/* With an argument, as a file's flags are one. */
int
__wrap_ioctl(int fd, unsigned long request, void *argument)
{
	int code = 0;

	if (!fails("ioctl", &code))
		return __real_ioctl(fd, request, argument);
	errno = code;
	return -1;
}

int __real_fallocate64(int fd, int mode, off_t offset, off_t size);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t size);

int
__wrap_fallocate64(int fd, int mode, off_t offset, off_t size)
{
	int code = 0;

	if (!fails("fallocate64", &code))
		return __real_fallocate64(fd, mode, offset, size);
	errno = code;
	return -1;
}
