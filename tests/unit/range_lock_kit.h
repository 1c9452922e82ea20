/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/range_lock.h"

/* What the tests of range_lock.h share: short ways to ask and to look. */

/* Ranges that one session may hold, and all. */
#define CLIENT_MAX 1024
#define LOCKS_MAX  4096

#define NODE 7

#define SHARED    false
#define EXCLUSIVE true

static inline int
setup(void **state)
{
	*state = fs_range_lock_new(
		(FsQuota){ .client = CLIENT_MAX, .all = LOCKS_MAX });
	return 0;
}

static inline int
teardown(void **state)
{
	fs_range_lock_free(*state);
	return 0;
}

/* Owner N is session N and has come through handle N, if nothing else is said. */
static inline FsLockOwner
owner(uint64_t id)
{
	return (FsLockOwner){ .owner = id,
		              .handle = GUINT_TO_POINTER(id),
		              .session = id,
		              .pid = (pid_t)id };
}

static inline FsLockRange
range(uint64_t first, uint64_t last, bool exclusive)
{
	return (FsLockRange){ .node = NODE,
		              .space = FS_LOCK_POSIX,
		              .first = first,
		              .last = last,
		              .exclusive = exclusive };
}

static inline int
try(FsRangeLock *table, uint64_t id, uint64_t first, uint64_t last,
    bool exclusive)
{
	const FsLockOwner o = owner(id);
	const FsLockRange r = range(first, last, exclusive);

	return fs_range_lock_try(table, &o, &r);
}

static inline int
drop(FsRangeLock *table, uint64_t id, uint64_t first, uint64_t last)
{
	const FsLockOwner o = owner(id);
	const FsLockRange r = range(first, last, false);

	return fs_range_lock_drop(table, &o, &r);
}

/* What a stranger who wants all of @first to @last exclusively would meet. */
static inline void
assert_held(FsRangeLock *table, uint64_t first, uint64_t last, uint64_t id,
            bool exclusive)
{
	const FsLockOwner stranger = owner(9999);
	const FsLockRange wanted = range(first, last, true);
	FsLockRange found;
	FsLockOwner holder;

	assert_true(
		fs_range_lock_test(table, &stranger, &wanted, &found, &holder));
	assert_int_equal(found.first, first);
	assert_int_equal(found.last, last);
	assert_int_equal(found.exclusive, exclusive);
	assert_int_equal(holder.owner, id);
	assert_int_equal(holder.pid, id);
}

static inline void
assert_free(FsRangeLock *table, uint64_t first, uint64_t last)
{
	const FsLockOwner stranger = owner(9999);
	const FsLockRange wanted = range(first, last, true);
	FsLockRange found;
	FsLockOwner holder;

	assert_false(
		fs_range_lock_test(table, &stranger, &wanted, &found, &holder));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
