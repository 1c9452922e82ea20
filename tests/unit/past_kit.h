/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "tests/unit/txn_kit.h"

/** The number of the last entry of the journal; 0: there is none. */
uint64_t test_last_entry(Store *store);

/** Commits @txn and returns the number of its entry. */
uint64_t test_commit(TestTxn *b, StoreTxn *txn);

/** What there was before entry @id. */
StoreTxn *test_before(TestTxn *b, uint64_t id);

/** Writes @size bytes @fill; fails the test unless a file has just these. */
void test_write_bytes(StoreTxn *txn, StoreNode file, char fill, size_t size);
void test_assert_bytes(StoreTxn *txn, StoreNode file, char fill, size_t size);

/** A new file of such bytes. */
StoreNode test_add_bytes(TestTxn *b, const char *name, char fill, size_t size);

/** Undoes entry @id, which must work, and returns the number of the undoing. */
uint64_t test_undo(TestTxn *b, uint64_t id);

/** Fails the test unless to undo @id is refused with @r, for a reason that has
 * @word in it, and nothing was staged. */
void test_assert_refused(TestTxn *b, uint64_t id, int r, const char *word);
