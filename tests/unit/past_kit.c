/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/past_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/journal.h"
#include "tests/unit/store_kit.h"

static bool
see(void *user_data, const StoreJournalEntry *entry)
{
	TestJournal *seen = user_data;

	assert_true(entry->id > seen->last.id);
	assert_true(entry->ended_ns >= entry->begun_ns);
	seen->count++;
	seen->last = *entry;
	g_strlcpy(seen->who, entry->who, sizeof(seen->who));
	g_strlcpy(seen->reason, entry->reason, sizeof(seen->reason));
	g_strlcpy(seen->mailbags, entry->mailbags, sizeof(seen->mailbags));
	return true;
}

TestJournal
test_journal(Store *store)
{
	TestJournal seen = { 0 };

	assert_int_equal(store_journal_list(store, 0, see, &seen), 0);
	return seen;
}

uint64_t
test_last_entry(Store *store)
{
	return test_journal(store).last.id;
}

uint64_t
test_commit(TestTxn *b, StoreTxn *txn)
{
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	return test_last_entry(b->store);
}

StoreTxn *
test_before(TestTxn *b, uint64_t id)
{
	StoreTxn *past = NULL;

	assert_int_equal(store_past_before(b->store, id, &past), 0);
	return past;
}

void
test_write_bytes(StoreTxn *txn, StoreNode file, char fill, size_t size)
{
	g_autofree char *bytes = g_strnfill(size, fill);

	assert_int_equal(store_file_write(txn, file, 0, bytes, size), 0);
}

void
test_assert_bytes(StoreTxn *txn, StoreNode file, char fill, size_t size)
{
	g_autofree char *want = g_strnfill(size, fill);
	g_autofree char *got = g_malloc(size + 1);
	size_t got_size = 0;

	assert_int_equal(
		store_file_read(txn, file, 0, got, size + 1, &got_size), 0);
	assert_int_equal(got_size, size);
	assert_memory_equal(got, want, size);
}

StoreNode
test_add_bytes(TestTxn *b, const char *name, char fill, size_t size)
{
	StoreNode file = test_add_file(b->store, STORE_ROOT, name);

	test_write_bytes(b->plain, file, fill, size);
	return file;
}

uint64_t
test_undo(TestTxn *b, uint64_t id)
{
	g_autofree char *reason = NULL;
	StoreTxn *txn = test_begin(b);

	if (store_journal_undo(txn, id, &reason) < 0)
		fail_msg("%s", reason);
	return test_commit(b, txn);
}

void
test_assert_refused(TestTxn *b, uint64_t id, int r, const char *word)
{
	g_autofree char *reason = NULL;
	StoreTxn *txn = test_begin(b);

	assert_int_equal(store_journal_undo(txn, id, &reason), r);
	assert_non_null(strstr(reason, word));
	assert_true(store_txn_is_empty(txn));
	store_txn_abort(txn);
}
