/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Entries of the journal of what is seldom: a file without a name, content that
 * came and went, a past that is too large.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "store/journal.h"
#include "tests/unit/past_kit.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"

#define LARGE ((size_t)60 << 10)

static void
a_file_without_a_name_leaves_none(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);

	store_node_hold(b->store, file);
	test_remove(b->plain, STORE_ROOT, "f");
	assert_int_equal(store_sync_wait(b->store), 0);
	test_write(txn, file, "to nobody");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(test_journal(b->store).count, 0);
	test_assert_text(b->plain, file, "to nobody");
	store_node_release(b->store, file);
}

/* It was nobody's before, so nothing of it is kept; and it is erased. */
static void
content_that_came_and_went_is_not_kept(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");
	int chunks = test_count_records(b->store, RECORD_CHUNK);

	test_write_bytes(txn, file, 'x', LARGE);
	assert_int_equal(store_file_truncate(txn, file, 0), 0);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(test_journal(b->store).last.files, 1);
	assert_true(test_journal(b->store).last.has_past);
	assert_true(test_journal(b->store).last.bytes < LARGE);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_count_records(b->store, RECORD_CHUNK), chunks);
}

static void
a_past_that_is_too_large_is_not_kept(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);

	test_write_bytes(b->plain, file, 'x', LARGE);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_write_bytes(txn, file, 'y', LARGE);
	/* What a transaction may have in memory, its past may. */
	g_mutex_lock(&b->store->lock);
	b->store->options.staged_max = LARGE;
	g_mutex_unlock(&b->store->lock);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(test_journal(b->store).count, 1);
	assert_int_equal(test_journal(b->store).last.files, 1);
	assert_false(test_journal(b->store).last.has_past);
	assert_int_equal(test_journal(b->store).last.bytes, 0);
	/* So nothing before it can be looked at. */
	assert_true(b->store->journal.since.id > 0);
}

static bool
count_past(void *user_data, const StoreJournalEntry *entry)
{
	*(guint *)user_data += entry->has_past || entry->bytes > 0;
	return true;
}

/* Of several that are still to be written, and of one that is just committed. */
static void
each_entry_says_that_its_past_had_no_room(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NOSPACE };
	TestTxn *b = *state;
	StoreNode files[3];
	guint count = 0;

	for (int i = 0; i < 3; i++) {
		files[i] = test_add_file(b->store, STORE_ROOT,
		                         (const char[]){ (char)('a' + i), 0 });
		test_write(b->plain, files[i], "before");
	}
	assert_int_equal(store_sync_wait(b->store), 0);
	for (int i = 0; i < 3; i++) {
		StoreTxn *txn = test_begin(b);

		test_write(txn, files[i], "after");
		if (i == 2)
			kv_fault_end_commits(b->disk, ends, 1);
		assert_int_equal(i < 2 ? store_txn_publish(&txn)
		                       : store_txn_commit_wait(&txn),
		                 0);
	}
	assert_int_equal(test_journal(b->store).count, 3);
	assert_int_equal(store_journal_list(b->store, 0, count_past, &count),
	                 0);
	assert_int_equal(count, 0);
	test_txn_reopen(b);
	assert_int_equal(b->store->journal.bytes, 0);
}

static void
the_past_does_not_come_back(void **state)
{
	g_autoptr(ChangeLayer) records = change_layer_new();
	TestTxn *b = *state;

	g_mutex_lock(&b->store->lock);
	journal_raise_since(b->store, 5, 50, records);
	journal_raise_since(b->store, 4, 40, records);
	assert_int_equal(b->store->journal.since.id, 5);
	assert_int_equal(b->store->journal.since.ns, 50);
	assert_int_equal(change_layer_count(records), 1);
	g_mutex_unlock(&b->store->lock);
}

static int
commit_text(TestTxn *b, StoreNode file, const char *text)
{
	StoreTxn *txn = test_begin(b);

	test_write(txn, file, text);
	return store_txn_commit_wait(&txn);
}

/* What expires with the commit that has no room is not written again. */
static void
an_entry_that_expires_is_gone_though_there_was_no_room(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NOSPACE };
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");

	assert_int_equal(commit_text(b, file, "one"), 0);
	assert_int_equal(test_journal(b->store).count, 1);
	g_mutex_lock(&b->store->lock);
	b->store->options.journal_age_s = 0;
	g_mutex_unlock(&b->store->lock);
	kv_fault_end_commits(b->disk, ends, 1);
	assert_int_equal(commit_text(b, file, "two"), 0);
	test_assert_text(b->plain, file, "two");
	assert_true(test_journal(b->store).count <= 1);
}

/* ---- damage --------------------------------------------------------------*/

static void
put_garbage(TestTxn *b, RecordKey key)
{
	g_mutex_lock(&b->store->lock);
	txn_put(b->plain, record_slice(&key), (KvSlice){ "?", 1 });
	g_mutex_unlock(&b->store->lock);
}

static void
an_entry_whose_head_is_damaged_is_given_up_alone(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	uint64_t ids[2];

	assert_int_equal(commit_text(b, file, "one"), 0);
	ids[0] = test_last_entry(b->store);
	assert_int_equal(commit_text(b, file, "two"), 0);
	ids[1] = test_last_entry(b->store);
	/* With what is behind it, and with nothing there. */
	for (int i = 0; i < 2; i++) {
		put_garbage(b, journal_key(JOURNAL_HEAD, ids[i]));
		test_txn_reopen(b);
		assert_int_equal(test_journal(b->store).count, 1 - i);
		assert_int_equal(b->store->journal.since.id, ids[i]);
	}
	test_assert_text(b->plain, file, "two");
}

static void
where_nobody_knows_since_when_there_is_a_past_it_begins_anew(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	uint64_t id;

	assert_int_equal(commit_text(b, file, "one"), 0);
	id = test_last_entry(b->store);
	put_garbage(b, journal_key_since());
	test_txn_reopen(b);
	assert_true(b->store->journal.since.id >= id);
	test_assert_text(b->plain, file, "one");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TXN_TEST(a_file_without_a_name_leaves_none),
		TXN_TEST(content_that_came_and_went_is_not_kept),
		TXN_TEST(a_past_that_is_too_large_is_not_kept),
		TXN_TEST(each_entry_says_that_its_past_had_no_room),
		TXN_TEST(the_past_does_not_come_back),
		TXN_TEST(
			an_entry_that_expires_is_gone_though_there_was_no_room),
		TXN_TEST(an_entry_whose_head_is_damaged_is_given_up_alone),
		TXN_TEST(
			where_nobody_knows_since_when_there_is_a_past_it_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
