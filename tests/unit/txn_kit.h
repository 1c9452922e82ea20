/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "store/store.h"
#include "tests/unit/kv_fault.h"

/** A store on a disk that holds a commit, or fails, as a test wants. */
typedef struct TestTxn {
	KvFaultDisk *disk;
	Store *store;
	StoreTxn *plain;
	StoreOptions options;
} TestTxn;

/** Such a store, with @options; and its end: whatever a test did, the store must
 * be whole. */
TestTxn *test_txn_new(const StoreOptions *options);
void test_txn_free(TestTxn *b);

/** cmocka's set-up and tear-down: *state is a TestTxn. */
int test_txn_setup(void **state);
int test_txn_teardown(void **state);

/** Closes the store and opens it again. */
void test_txn_reopen(TestTxn *b);

/** As test_txn_reopen(), but what is not on disk by now is lost, with *@txn,
 * which may be NULL. */
void test_txn_crash(TestTxn *b, StoreTxn **txn);
void test_txn_crash_all(TestTxn *b, StoreTxn **txns, guint count);

/** What a StoreDone was told, on whatever thread. */
typedef struct TestAnswer {
	GMutex lock;
	GCond cond;
	bool is_there;
	int r;
} TestAnswer;

/** A StoreDone; @user_data is the TestAnswer. */
void test_answered(void *user_data, int r);

/** Waits for the answer, and returns it. */
int test_await(TestAnswer *a);

/**
 * Has *@txn committed, or @txn's checkpoint, or a new file "held" synced, and
 * returns when that is on its way, where the disk holds it until
 * test_let_go(). @ret_answer stays where it is until then.
 */
void test_hold_commit(TestTxn *b, StoreTxn **txn, TestAnswer *ret_answer);
void test_hold_checkpoint(TestTxn *b, StoreTxn *txn, TestAnswer *ret_answer);
void test_hold_sync(TestTxn *b, TestAnswer *ret_answer);

/** Has the disk hold nothing any more, and waits as test_await(). */
int test_let_go(TestTxn *b, TestAnswer *a);

/** Begins a transaction. */
StoreTxn *test_begin(TestTxn *b);

/** Carries out a checkpoint and returns how it ended. */
int test_checkpoint(StoreTxn *txn);

/** Creates a file in @txn. */
StoreNode test_stage_file(StoreTxn *txn, StoreNode dir, const char *name);

/** Whether @txn sees @name. */
bool test_has(StoreTxn *txn, StoreNode dir, const char *name);

#define TXN_TEST(f) \
	cmocka_unit_test_setup_teardown(f, test_txn_setup, test_txn_teardown)
