/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What is damaged is never handed out, and in nobody's way who replaces it.
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
#include "tests/unit/undone_kit.h"

/* Damages chunk @number of @file on the disk. */
static void
damage_chunk(TestTxn *b, StoreNode file, uint64_t number)
{
	uint8_t bad[20] = { 1 };
	KvResult result = KV_UNKNOWN;
	RecordNode node;
	RecordKey key;
	KvChange change;
	KvBatch batch = { .changes = &change, .count = 1 };

	test_txn_reopen(b);
	g_mutex_lock(&b->store->lock);
	assert_int_equal(node_load(b->plain, file, &node), 0);
	g_mutex_unlock(&b->store->lock);
	key = record_key_chunk(node.data, number);
	change = (KvChange){ record_slice(&key), { bad, sizeof(bad) } };
	kv_commit(b->store->kv, &batch, test_keep_result, &result);
	assert_int_equal(result, KV_COMMITTED);
	test_txn_reopen(b);
}

static void
assert_damaged(TestTxn *b, StoreTxn *txn, StoreNode file, uint64_t offset)
{
	size_t size = 0;
	char byte;

	assert_int_equal(store_file_read(txn, file, offset, &byte, 1, &size),
	                 -EIO);
}

/* Each of three chunks, the last one a part of one; and whoever replaces it gets
 * by. Only what is gone with it cannot be had. */
static void
a_damaged_chunk_can_be_replaced(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 9000);
	StoreNode well = test_add_bytes(b, "g", 'a', 9000);
	uint64_t number;

	for (number = 0; number < 3; number++) {
		g_autoptr(StoreTxn) past = NULL;
		StoreTxn *txn;
		uint64_t id;

		damage_chunk(b, file, number);
		assert_damaged(b, b->plain, file, number * RECORD_CHUNK_SMALL);
		txn = test_begin(b);
		test_write_bytes(txn, file, 'b', 9000);
		test_write_bytes(txn, well, 'b', 9000);
		id = test_commit(b, txn);
		test_assert_bytes(b->plain, file, 'b', 9000);
		past = test_before(b, id);
		assert_damaged(b, past, file, 0);
		test_assert_bytes(past, well, number == 0 ? 'a' : 'b', 9000);
		test_assert_refused(b, id, -ENODATA, "/f was damaged");
	}
}

static void
a_damaged_chunk_can_be_cut_off(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 9000);
	StoreTxn *txn;

	damage_chunk(b, file, 2);
	txn = test_begin(b);
	assert_int_equal(store_file_truncate(txn, file, 5000), 0);
	test_assert_refused(b, test_commit(b, txn), -ENODATA, "/f was damaged");
	test_assert_bytes(b->plain, file, 'a', 5000);
}

/* It is no damage of another content that the file had. */
static void
what_was_there_before_the_damage_is_known(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 9000);
	g_autoptr(StoreTxn) past = NULL;
	StoreTxn *txn = test_begin(b);
	uint64_t id;

	assert_int_equal(store_file_truncate(txn, file, 0), 0);
	test_write_bytes(txn, file, 'b', 9000);
	id = test_commit(b, txn);
	damage_chunk(b, file, 1);
	txn = test_begin(b);
	test_write_bytes(txn, file, 'c', 9000);
	(void)test_commit(b, txn);
	past = test_before(b, id);
	test_assert_bytes(past, file, 'a', 9000);
}

/* Bytes between those that are written would be made up. */
static void
a_part_of_a_damaged_chunk_cannot_be_replaced(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 9000);
	StoreTxn *txn;

	damage_chunk(b, file, 1);
	txn = test_begin(b);
	assert_int_equal(store_file_write(txn, file, 5000, "x", 1), -EIO);
	assert_int_equal(store_txn_commit_wait(&txn), -EIO);
	test_write_bytes(b->plain, file, 'b', 9000);
}

static void
put_raw(TestTxn *b, KvSlice key, KvSlice value)
{
	test_txn_reopen(b);
	test_put_record(b->store->kv, key, value);
	test_txn_reopen(b);
}

/* Undoes a change of @file; returns the entry. */
static uint64_t
undo_change(TestTxn *b, StoreNode file)
{
	StoreTxn *txn = test_begin(b);
	StoreCause cause = { .reason = "test" };
	uint64_t id = 0;

	cause.ret_id = &id;
	test_write_bytes(txn, file, 'b', 100);
	assert_int_equal(store_txn_quarantine(&txn, &cause), 0);
	return id;
}

/* A head of the quarantine is in the way of nothing else there, and of no
 * mail. */
static void
a_damaged_entry_of_the_quarantine_is_left_alone(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 100);
	g_autofree uint8_t *kept = NULL;
	uint8_t bad[20] = { 1 };
	StoreVitals vitals;
	RecordKey key;
	KvSlice value;
	uint64_t id = undo_change(b, file);
	uint64_t other = undo_change(b, file);

	test_txn_reopen(b);
	key = record_key_part(id, RECORD_PART_HEAD, (KvSlice){ "", 0 });
	assert_int_equal(kv_get(b->store->base, record_slice(&key), &value), 0);
	kept = g_memdup2(value.data, value.size);
	value.data = kept;

	put_raw(b, record_slice(&key), (KvSlice){ bad, sizeof(bad) });
	test_assert_bytes(b->plain, file, 'a', 100);
	test_write_bytes(b->plain, file, 'c', 100);
	assert_int_equal(store_vitals(b->store, &vitals), 0);
	assert_int_equal(vitals.undone, 1);
	assert_int_equal(test_undone(b->store).id, other);
	put_raw(b, record_slice(&key), value);
	assert_int_equal(store_vitals(b->store, &vitals), 0);
	assert_int_equal(vitals.undone, 2);
	test_assert_bytes(b->plain, file, 'c', 100);
}

/* But who knows what it is may let go of it, with all that it has. */
static void
a_damaged_entry_of_the_quarantine_can_be_discarded(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 100);
	uint64_t id = undo_change(b, file);
	RecordKey key =
		record_key_part(id, RECORD_PART_HEAD, (KvSlice){ "", 0 });
	uint8_t bad[20] = { 1 };

	test_txn_reopen(b);
	put_raw(b, record_slice(&key), (KvSlice){ bad, sizeof(bad) });
	assert_int_equal(store_quarantine_discard(b->store, id), 0);
	assert_int_equal(store_quarantine_discard(b->store, id), -ENOENT);
	test_txn_reopen(b);
	test_assert_bytes(b->plain, file, 'a', 100);
}

/* Unless it is a draft: its transaction goes on. */
static void
a_damaged_draft_is_nobodys_to_discard(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin_draft(b, NULL);
	RecordKey key = record_key_part(txn->draft, RECORD_PART_HEAD,
	                                (KvSlice){ "", 0 });
	uint8_t bad[20] = { 1 };

	g_mutex_lock(&b->store->lock);
	txn_put(b->plain, record_slice(&key), (KvSlice){ bad, sizeof(bad) });
	g_mutex_unlock(&b->store->lock);
	assert_int_equal(store_quarantine_discard(b->store, txn->draft), -EIO);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(test_count_records(b->store, RECORD_UNDONE), 0);
}

/* Nor is it believed where the content is that goes with it. */
static void
a_damaged_entry_of_the_quarantine_takes_no_content_with_it(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 9000);
	uint64_t id = undo_change(b, file);
	uint8_t bad[20] = { 1 };
	RecordNode node;
	RecordKey key;

	test_txn_reopen(b);
	g_mutex_lock(&b->store->lock);
	assert_int_equal(node_load(b->plain, file, &node), 0);
	g_mutex_unlock(&b->store->lock);
	assert_int_not_equal(node.data, 0);
	key = record_key_part_id(id, RECORD_PART_CONTENT, node.data);
	put_raw(b, record_slice(&key), (KvSlice){ bad, sizeof(bad) });
	assert_int_equal(store_quarantine_discard(b->store, id), 0);
	test_txn_reopen(b);
	test_assert_bytes(b->plain, file, 'a', 9000);
}

/* ---- an engine that fails ------------------------------------------------*/

/* What is there: 'a' before the entry that is undone, 'b' after it. */
static char
state_of(Store *store)
{
	StoreTxn *plain = store_plain(store);
	StoreEntry entry;
	char bytes[2] = "";
	size_t size;

	assert_int_equal(store_name_find(plain, STORE_ROOT, "changed", &entry),
	                 0);
	assert_int_equal(store_file_read(plain, entry.node, 0, bytes, 1, &size),
	                 0);
	assert_int_equal(
		store_file_read(plain, entry.node, 8999, bytes + 1, 1, &size),
		0);
	assert_int_equal(bytes[0], bytes[1]);
	assert_int_equal(test_has(plain, STORE_ROOT, "created"),
	                 bytes[0] == 'b');
	assert_int_equal(test_has(plain, STORE_ROOT, "removed"),
	                 bytes[0] == 'a');
	return bytes[0];
}

/* One transaction of all kinds; returns the number of its entry. */
static uint64_t
change(TestTxn *b)
{
	StoreNode file = test_add_bytes(b, "changed", 'a', 9000);
	StoreTxn *txn = test_begin(b);

	test_add_bytes(b, "removed", 'a', 9000);
	test_write_bytes(txn, file, 'b', 9000);
	(void)test_stage_file(txn, STORE_ROOT, "created");
	test_remove(txn, STORE_ROOT, "removed");
	return test_commit(b, txn);
}

static int
undo(Store *store, uint64_t id)
{
	g_autofree char *reason = NULL;
	StoreTxn *txn = NULL;
	int r;

	r = store_txn_begin(store, "test", &txn);
	if (r == 0)
		r = store_journal_undo(txn, id, &reason);
	if (r == 0)
		return store_txn_commit_wait(&txn);
	assert_non_null(reason);
	store_txn_abort(txn);
	return r;
}

/* Returns whether the fault was met. */
static bool
undo_with_fault(KvFaultKind kind, uint64_t at)
{
	TestTxn *b = test_txn_new(&STORE_OPTIONS_DEFAULT);
	uint64_t id = change(b);
	uint64_t calls;
	char state;
	int r;

	kv_fault_plan(b->disk, kind, at);
	r = undo(b->store, id);
	calls = kv_fault_calls(b->disk);
	kv_fault_plan(b->disk, KV_FAULT_NONE, 0);
	/* The engine is well again: the store must be, too. */
	assert_int_equal(store_sync_wait(b->store), 0);
	state = state_of(b->store);
	if (r == 0 ||
	    (kind != KV_FAULT_UNKNOWN_DONE && kind != KV_FAULT_UNSETTLED))
		assert_int_equal(state, r == 0 ? 'a' : 'b');
	test_txn_reopen(b);
	assert_int_equal(state_of(b->store), state);
	test_txn_free(b);
	return calls >= at;
}

static void
an_undoing_is_all_or_nothing_whatever_fails(void **state)
{
	int kind;

	for (kind = KV_FAULT_IO; kind < KV_FAULT_KINDS; kind++) {
		uint64_t at = 1;

		while (undo_with_fault((KvFaultKind)kind, at))
			at++;
		assert_true(at > 10);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TXN_TEST(a_damaged_chunk_can_be_replaced),
		TXN_TEST(a_damaged_chunk_can_be_cut_off),
		TXN_TEST(what_was_there_before_the_damage_is_known),
		TXN_TEST(a_part_of_a_damaged_chunk_cannot_be_replaced),
		TXN_TEST(a_damaged_entry_of_the_quarantine_is_left_alone),
		TXN_TEST(a_damaged_entry_of_the_quarantine_can_be_discarded),
		TXN_TEST(a_damaged_draft_is_nobodys_to_discard),
		TXN_TEST(
			a_damaged_entry_of_the_quarantine_takes_no_content_with_it),
		cmocka_unit_test(an_undoing_is_all_or_nothing_whatever_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
