/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/mailbag_lock.h"

/* What the tests of mailbag_lock.h share: short ways to ask and to look. */

/* The clock of these tests stands at 0 unless one says otherwise. */
#define WAIT_US   INT64_C(30000000)
#define PARK_US   INT64_C(500000)
#define ABSENT_US FS_MAILBAG_ABSENT_US
#define KEPT_US   FS_MAILBAG_KEPT_US

/* Two keys and some sessions. */
#define A "A"
#define B "B"
#define C "C"

/* One request that waits, and how that ended. */
typedef struct Waiter {
	FsMailbagLock *table;
	FsMailbagWait wait;
	int calls;
	int r;
} Waiter;

static inline int
setup(void **state)
{
	*state = fs_mailbag_lock_new(WAIT_US, NULL);
	return 0;
}

static inline int
teardown(void **state)
{
	fs_mailbag_lock_free(*state);
	return 0;
}

/* Asks the table again, as it may: nothing is locked meanwhile. */
static inline void
ended(void *user_data, int r)
{
	Waiter *waiter = user_data;

	(void)fs_mailbag_lock_is_held(waiter->table, 1, A);
	waiter->calls++;
	waiter->r = r;
}

static inline int
ask(FsMailbagLock *table, Waiter *waiter, uint64_t session, const char *key,
    int64_t now_us, int64_t park_us)
{
	const FsMailbagAsk wanted = {
		.key = key,
		.session = session,
		.now_us = now_us,
		.park_us = park_us,
	};

	*waiter = (Waiter){ .table = table };
	return fs_mailbag_lock_wait(table, &wanted, ended, waiter,
	                            &waiter->wait);
}

/* Session @session, a local program, waits for @key. */
static inline void
park(FsMailbagLock *table, Waiter *waiter, uint64_t session, const char *key)
{
	assert_int_equal(ask(table, waiter, session, key, 0, FS_MAILBAG_STAYS),
	                 0);
	assert_int_equal(waiter->calls, 0);
	assert_int_not_equal(waiter->wait, 0);
}

/* Session @session, an smbd, waits for A, is told EAGAIN, and has gone. */
static inline void
go_away(FsMailbagLock *table, Waiter *waiter, uint64_t session)
{
	assert_int_equal(ask(table, waiter, session, A, 0, PARK_US), 0);
	assert_int_equal(waiter->calls, 0);
	fs_mailbag_lock_expire(table, PARK_US - 1);
	assert_int_equal(waiter->calls, 0);
	fs_mailbag_lock_expire(table, PARK_US);
	assert_int_equal(waiter->calls, 1);
	assert_int_equal(waiter->r, -EAGAIN);
}

static inline void
take(FsMailbagLock *table, uint64_t session, const char *key)
{
	assert_int_equal(fs_mailbag_lock_try(table, session, key, 0), 0);
}

static inline void
assert_ended(const Waiter *waiter, int r)
{
	assert_int_equal(waiter->calls, 1);
	assert_int_equal(waiter->r, r);
}

static inline void
assert_waits(const Waiter *waiter)
{
	assert_int_equal(waiter->calls, 0);
}
