/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

#include "store/kv.h"
#include "store/store.h"
#include "tests/unit/kv_fault.h"

/** A store of a test's own, in a directory that goes with it. */
typedef struct TestStore {
	char *dir; /* owned; the store's directory */
	Store *store;
	StoreOptions options;
} TestStore;

/** Until when a test waits for what must happen: half a minute from now, on
 * g_get_monotonic_time()'s clock. */
gint64 test_deadline(void);

/** Creates and opens a store; on any failure the test fails. */
TestStore *test_store_new(void);
TestStore *test_store_new_with(const StoreOptions *options);
void test_store_free(TestStore *test);

/** Removes directory @dir and the files in it. */
void test_remove_files(const char *dir);

/**
 * Runs @run in another process and returns what it returns (0 to 100), or -1
 * if it dies, of an assertion for instance. A process may have an LMDB
 * environment open only once, so a reader beside the test's own store has to be
 * one.
 */
int test_in_child(int (*run)(void *user_data), void *user_data);

/** Begins that, and waits for its end. */
pid_t test_child_begin(int (*run)(void *user_data), void *user_data);
int test_child_end(pid_t child);

/** A process that reads what was last committed in @dir. */
typedef struct TestReader {
	const char *dir; /* borrowed */
	int begun[2];    /* pipes */
	int ends[2];
	pid_t pid;
} TestReader;

/** Returns when it reads. */
void test_reader_begin(TestReader *ret_reader, const char *dir);
/** Ends it, or kills it. */
void test_reader_end(TestReader *reader, bool is_killed);

/** A KvDone that puts the result into *@user_data, a KvResult. */
void test_keep_result(void *user_data, KvResult result);

/** The number in an environment variable, or @otherwise. */
guint test_number_of(const char *name, guint otherwise);

/** Counts what a run has done, for tests/torture/release.py to tell. */
void test_tally(const char *what, guint count);

/** Closes the store and opens it again. */
void test_store_reopen(TestStore *test);

/** Fails the test unless every invariant holds of what is committed. */
void test_store_check(Store *store);

/** Counts the records of a table (record.h), once all is on disk. */
int test_count_records(Store *store, char table);

/** Puts one record into the database, past the store. A value without data
 * deletes it. */
void test_put_record(Kv *kv, KvSlice key, KvSlice value);

/** The same in the closed store in @dir. */
void test_put_record_in(const char *dir, KvSlice key, KvSlice value);

/** Puts the first records of an empty store onto @disk; opens it. */
void test_fault_format(KvFaultDisk *disk);
int test_fault_open(KvFaultDisk *disk, Store **ret_store);
int test_fault_open_with(KvFaultDisk *disk, const StoreOptions *options,
                         Store **ret_store);

/** Creates a file, or a directory, and returns its node. */
StoreNode test_add_file(Store *store, StoreNode dir, const char *name);
StoreNode test_add_dir(Store *store, StoreNode dir, const char *name);

/** Removes a file. */
void test_remove(StoreTxn *txn, StoreNode dir, const char *name);

/** Writes @text at the beginning of @node. */
void test_write(StoreTxn *txn, StoreNode node, const char *text);

/** Fails the test unless @node holds @text and no more. */
void test_assert_text(StoreTxn *txn, StoreNode node, const char *text);

/** cmocka's set-up and tear-down: *state is a TestStore. */
int test_store_setup(void **state);
int test_store_teardown(void **state);

#define STORE_TEST(f)                                        \
	cmocka_unit_test_setup_teardown(f, test_store_setup, \
	                                test_store_teardown)
