/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "tests/unit/txn_kit.h"

/** What a transaction stages in memory where it is to spill, in bytes. */
#define TEST_SPILL_LIMIT 8192

/** cmocka's set-up, *state is a TestTxn: nothing is pending, and there is no
 * journal, so that what is committed is what a test asks for. */
int test_setup_with(void **state, StoreOptions options);
int test_setup_bare(void **state);
int test_setup_spilling(void **state);

#define BARE_TEST(f) \
	cmocka_unit_test_setup_teardown(f, test_setup_bare, test_txn_teardown)
#define SPILLING_TEST(f)                                        \
	cmocka_unit_test_setup_teardown(f, test_setup_spilling, \
	                                test_txn_teardown)

/** Stages a new file of 12,000 bytes, which spills, and one byte of it anew. */
StoreNode test_stage_spilled(StoreTxn *txn, const char *name);

/** Gives up @txn while nobody can read what is on the disk. Ownership: takes it. */
void test_abort_unread(TestTxn *b, StoreTxn *txn);

/** Why the transactions of tests are undone. */
extern const StoreCause test_killed;

/** Asks for a draft of what @txn has staged; see test_await(). */
void test_save(StoreTxn *txn, TestAnswer *ret_answer);

/** Saves a draft of @txn, which a checkpoint ends that follows at once; there is
 * no room for them in @room bytes, so both fail. */
void test_refuse_draft(TestTxn *b, StoreTxn *txn, size_t room);

/** The quarantine: how many entries, and what the last of them says. */
typedef struct TestUndone {
	guint count;
	uint64_t id; /* 0: there is none */
	uint64_t files;
	uint64_t bytes;
	int64_t begun_ns;
	char who[32];
	char reason[128];
} TestUndone;

/** What is in the quarantine, oldest first, or the test fails. */
TestUndone test_undone(Store *store);

/** Fails the test unless there is nothing in it, nor in the store what one of it
 * had, when what is to be erased has been. */
void test_assert_nothing_undone(Store *store);

/** Undoes a transaction that has a new file of 1000 bytes; returns the number
 * of its entry. */
uint64_t test_undo_file(TestTxn *b, const char *name);

/** A transaction that has a new file "f", its content "draft", and a draft of
 * that on disk. @ret_file may be NULL. */
StoreTxn *test_begin_draft(TestTxn *b, StoreNode *ret_file);
