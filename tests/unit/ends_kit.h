/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "fs/ops.h"
#include "tests/unit/session_kit.h"
#include "tests/unit/txn_kit.h"

/**
 * How transactions of clients end (op_commit.c, op_undo.c) without clients: the
 * store, the locks and the book of transactions are the daemon's, over a disk
 * that does as told; sessions (session_kit.h) and requests are what a test
 * says.
 */

typedef struct Ends {
	TestTxn *store;
	FsConfig config;
	FsHealth health;
	GMutex turn;
	uint64_t names_serial;
	FsMount mount;
} Ends;

/** A request, and how it was answered. */
typedef struct EndsCall {
	FsCall call;
	int of; /* whose thread's: a number of test_sessions */
	int answers;
	int r;
	fuse_interrupt_func_t interrupted; /* NULL: it was not kept */
	void *interrupted_data;
} EndsCall;

/** cmocka's set-up and tear-down: *state is an Ends. */
int ends_setup(void **state);
int ends_teardown(void **state);

/** Makes @call a request of user @uid. It stays where it is. */
void ends_call(Ends *ends, EndsCall *call, uid_t uid);

/** Fails the test unless @call was answered with @r, and once. */
void ends_assert_answered(const EndsCall *call, int r);

/** A signal comes for the caller of @call, which is kept: does what that does. */
void ends_interrupt(Ends *ends, EndsCall *call);

/** What a change by @session is told, if it comes from user @uid. */
int ends_tell(Ends *ends, FsSession *session, uid_t uid);

/** The keys of two mailbags and of the inqueue; a message file. */
#define ENDS_KEY   "U:2:A"
#define ENDS_OTHER "U:2:B"
#define ENDS_QUEUE "Q:2"
#define ENDS_MAI   "00000017.MAI"

/** Takes @key in one form; the transaction. */
FsTransaction *ends_take(Ends *ends, FsSession *session, const char *key,
                         FsLockPurpose purpose);

/** Stages a new message file @name, @size bytes of it written. */
StoreNode ends_stage(Ends *ends, FsSession *session, const char *name,
                     size_t size);

/** As if what @session has staged had been begun so many seconds earlier. */
void ends_age(Ends *ends, FsSession *session, int64_t seconds);

/** Lets go of @key, the last that keeps @transaction: then it must end well,
 * and the lock be free. */
void ends_finish(Ends *ends, FsTransaction *transaction, const char *key);

/** Waits for what was posted to another thread, and does it. */
void ends_run_later(Ends *ends);

/** Whether everybody sees @name. */
bool ends_is_seen(Ends *ends, const char *name);

/** How many entries the quarantine has. */
unsigned ends_count_undone(Ends *ends);

/** Whether another session could have @key. */
bool ends_is_free(Ends *ends, const char *key);

/** Has the first two sessions each stage a message under a lock, for which
 * somebody waits who will undo what the other has staged. */
void ends_stand_dominoes(Ends *ends);

/** Fails the test unless both are undone. */
void ends_assert_toppled(Ends *ends);

#define ENDS_TEST(f) \
	cmocka_unit_test_setup_teardown(f, ends_setup, ends_teardown)
