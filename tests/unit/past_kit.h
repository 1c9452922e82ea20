/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/journal.h"
#include "tests/unit/txn_kit.h"

/** The journal: how many entries, and the last of them. */
typedef struct TestJournal {
	guint count;
	StoreJournalEntry last; /* but for its texts, which are below */
	char who[64];
	char reason[128];
	char mailbags[64];
} TestJournal;

/** What is in the journal, oldest first, or the test fails. */
TestJournal test_journal(Store *store);

/** The number of its last entry; 0: there is none. */
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
