/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Transactions that are larger than the memory they may take.
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
#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"
#include "tests/unit/undone_kit.h"

/* Bytes: what is staged in memory, of how much in all. */
#define LIMIT ((size_t)64 << 10)
#define ALL   (16 * LIMIT)
#define BLOCK ((size_t)16 << 10)
#define LARGE (128 * BLOCK)

static int
setup(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;

	options.staged_limit = LIMIT;
	options.staged_max = 4 * LIMIT;
	options.staged_all = ALL;
	*state = test_txn_new(&options);
	return 0;
}

/* Fills @block with what belongs at @offset. */
static void
fill(char block[BLOCK], uint64_t offset)
{
	size_t i;

	for (i = 0; i < BLOCK; i += sizeof(offset)) {
		uint64_t n = offset + i + 1;

		memcpy(block + i, &n, sizeof(n));
	}
}

/* Bytes changed in memory: what is staged, and what is on its way to disk. */
static uint64_t
in_memory(Store *store)
{
	STORE_LOCK(store);
	return commit_pending(store);
}

static void
write_blocks(StoreTxn *txn, StoreNode file, uint64_t from, uint64_t to)
{
	char block[BLOCK];
	uint64_t offset;

	for (offset = from; offset < to; offset += BLOCK) {
		fill(block, offset);
		assert_int_equal(
			store_file_write(txn, file, offset, block, BLOCK), 0);
		assert_true(txn == store_plain(txn->store) ||
		            in_memory(txn->store) < 4 * LIMIT);
	}
}

static void
assert_blocks(StoreTxn *txn, StoreNode file, uint64_t to)
{
	char want[BLOCK];
	char got[BLOCK];
	uint64_t offset;
	size_t size = 0;

	for (offset = 0; offset < to; offset += BLOCK) {
		fill(want, offset);
		assert_int_equal(
			store_file_read(txn, file, offset, got, BLOCK, &size),
			0);
		assert_int_equal(size, BLOCK);
		assert_memory_equal(got, want, BLOCK);
	}
}

/* A transaction that has written a large file, most of it spilled. */
static StoreTxn *
begin_large(TestTxn *b, StoreNode *ret_file)
{
	StoreTxn *txn = test_begin(b);

	*ret_file = test_stage_file(txn, STORE_ROOT, "large");
	write_blocks(txn, *ret_file, 0, LARGE);
	return txn;
}

/* Nothing is left of what was spilled, not even to be swept. */
static void
assert_swept(TestTxn *b)
{
	assert_int_equal(test_count_records(b->store, 'c'), 0);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
}

static void
a_large_file_is_one_transaction(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_large(b, &file);

	assert_true(test_count_records(b->store, 'c') > 100);
	assert_int_equal(test_count_records(b->store, 'o'), 1);
	assert_blocks(txn, file, LARGE);
	assert_false(test_has(b->plain, STORE_ROOT, "large"));
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
	assert_blocks(b->plain, file, LARGE);
	test_txn_reopen(b);
	assert_blocks(b->plain, file, LARGE);
}

static void
a_large_file_is_published(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_large(b, &file);

	assert_int_equal(store_txn_publish(&txn), 0);
	assert_blocks(b->plain, file, LARGE);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
}

static void
a_large_file_goes_on_after_a_checkpoint(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_large(b, &file);

	assert_int_equal(test_checkpoint(txn), 0);
	write_blocks(txn, file, LARGE, LARGE + 4 * BLOCK);
	assert_blocks(b->plain, file, LARGE);
	assert_blocks(txn, file, LARGE + 4 * BLOCK);
	store_txn_abort(txn);
	assert_blocks(b->plain, file, LARGE);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
}

static void
what_was_spilled_can_be_changed(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_large(b, &file);
	char buf[4] = "";
	size_t size = 0;

	assert_int_equal(store_file_write(txn, file, 0, "new", 3), 0);
	assert_int_equal(store_file_truncate(txn, file, LARGE / 2), 0);
	assert_int_equal(store_file_truncate(txn, file, LARGE), 0);
	assert_int_equal(store_file_read(txn, file, 0, buf, 3, &size), 0);
	assert_string_equal(buf, "new");
	write_blocks(txn, file, 0, LARGE);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_blocks(b->plain, file, LARGE);
}

static void
what_was_spilled_is_erased_when_it_is_cut_or_removed(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_large(b, &file);

	assert_int_equal(store_file_truncate(txn, file, 0), 0);
	write_blocks(txn, file, 0, LARGE);
	test_remove(txn, STORE_ROOT, "large");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_swept(b);
}

static void
an_abort_erases_what_was_spilled(void **state)
{
	TestTxn *b = *state;
	StoreNode file;

	store_txn_abort(begin_large(b, &file));
	assert_swept(b);
}

static void
a_crash_leaves_nothing_of_what_was_spilled(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_large(b, &file);

	assert_true(test_count_records(b->store, 'c') > 100);
	test_txn_crash(b, &txn);
	assert_swept(b);
}

/* The only entry of the quarantine has the large file; then it goes. */
static void
assert_kept(TestTxn *b, StoreNode file)
{
	g_autofree char *got = g_malloc(LARGE);
	char want[BLOCK];
	TestUndone seen = test_undone(b->store);
	uint64_t offset;
	size_t size = 0;

	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.bytes, LARGE);
	assert_int_equal(store_quarantine_read(b->store, seen.id, file, 0, got,
	                                       LARGE, &size),
	                 0);
	assert_int_equal(size, LARGE);
	for (offset = 0; offset < LARGE; offset += BLOCK) {
		fill(want, offset);
		assert_memory_equal(got + offset, want, BLOCK);
	}
	assert_int_equal(test_count_records(b->store, 'o'), 0);
	assert_int_equal(store_quarantine_discard(b->store, seen.id), 0);
	assert_swept(b);
	assert_int_equal(test_count_records(b->store, 'q'), 0);
}

static void
the_quarantine_takes_what_was_spilled(void **state)
{
	static const StoreCause cause = { "broken", 1 };
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_large(b, &file);

	assert_int_equal(store_txn_quarantine(&txn, &cause), 0);
	test_txn_reopen(b);
	assert_kept(b, file);
}

static void
a_failed_commit_keeps_what_was_spilled(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_large(b, &file);

	test_add_file(b->store, STORE_ROOT, "LARGE");
	assert_int_equal(store_txn_commit_wait(&txn), -ESTALE);
	assert_kept(b, file);
}

static bool
discard(void *user_data, const StoreUndone *undone)
{
	g_array_append_val((GArray *)user_data, undone->id);
	return true;
}

/* Lets what the quarantine has go. */
static void
discard_all(TestTxn *b)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	guint i;

	assert_int_equal(store_quarantine_list(b->store, discard, ids), 0);
	for (i = 0; i < ids->len; i++)
		assert_int_equal(
			store_quarantine_discard(
				b->store, g_array_index(ids, uint64_t, i)),
			0);
	assert_int_equal(store_sync_wait(b->store), 0);
}

/* How a transaction ends. */
typedef enum End {
	COMMIT,
	ABORT_AFTER_CHECKPOINT,
	QUARANTINE_AFTER_CHECKPOINT,
	ENDS,
} End;

static void
end_txn(StoreTxn *txn, End how)
{
	static const StoreCause cause = { "broken", 1 };

	if (how == COMMIT) {
		(void)store_txn_commit_wait(&txn);
		return;
	}
	(void)test_checkpoint(txn);
	if (how == QUARANTINE_AFTER_CHECKPOINT)
		(void)store_txn_quarantine(&txn, &cause);
	else
		store_txn_abort(txn);
}

/* Whether the fault was met. A commit that has failed may turn out to be there:
 * then nobody else has its content. */
static bool
end_with_fault(End how, KvFaultKind kind, uint64_t at)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	StoreNode file;
	uint64_t calls;
	TestTxn *b;
	StoreTxn *txn;

	options.staged_limit = LIMIT;
	options.staged_max = 4 * LIMIT;
	b = test_txn_new(&options);
	txn = begin_large(b, &file);
	assert_int_equal(store_sync_wait(b->store), 0);
	kv_fault_plan(b->disk, kind, at);
	kv_fault_fail_reopens(b->disk, 1);
	end_txn(txn, how);
	calls = kv_fault_calls(b->disk);
	kv_fault_plan(b->disk, KV_FAULT_NONE, 0);
	kv_fault_fail_reopens(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	discard_all(b);
	if (test_has(b->plain, STORE_ROOT, "large"))
		assert_blocks(b->plain, file, LARGE);
	else
		assert_swept(b);
	test_txn_free(b);
	return calls >= at;
}

static void
a_commit_in_doubt_has_its_content_or_is_not_there(void **state)
{
	int kind;
	int how;

	(void)state;
	for (how = COMMIT; how < ENDS; how++)
		for (kind = KV_FAULT_UNKNOWN_DONE; kind < KV_FAULT_KINDS;
		     kind++) {
			uint64_t at = 1;

			while (end_with_fault((End)how, (KvFaultKind)kind, at))
				at++;
			assert_true(at > 2);
		}
}

/* Nobody will know. */
static void
a_store_may_be_closed_in_doubt(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_large(b, &file);

	kv_fault_break(b->disk, true);
	assert_int_equal(store_txn_commit_wait(&txn), -EIO);
	assert_int_equal(store_close(g_steal_pointer(&b->store)), -EIO);
	kv_fault_break(b->disk, false);
	test_txn_reopen(b);
	assert_false(test_has(b->plain, STORE_ROOT, "large"));
	assert_swept(b);
}

static void
a_draft_keeps_what_was_spilled_over_a_crash(void **state)
{
	static const StoreCause cause = { "the power failed", 1 };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "large");

	write_blocks(txn, file, 0, LARGE / 2);
	assert_int_equal(store_txn_save(txn, &cause, NULL, NULL), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	write_blocks(txn, file, LARGE / 2, LARGE);
	assert_int_equal(store_txn_save(txn, &cause, NULL, NULL), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_blocks(txn, file, LARGE);
	test_txn_crash(b, &txn);
	assert_kept(b, file);
}

static void
a_draft_of_what_was_spilled_goes_with_its_transaction(void **state)
{
	static const StoreCause cause = { "the power failed", 1 };
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_large(b, &file);

	assert_int_equal(store_txn_save(txn, &cause, NULL, NULL), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_blocks(b->plain, file, LARGE);
	assert_int_equal(test_count_records(b->store, 'q'), 0);
	test_remove(b->plain, STORE_ROOT, "large");

	txn = begin_large(b, &file);
	assert_int_equal(store_txn_save(txn, &cause, NULL, NULL), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	store_txn_abort(txn);
	assert_swept(b);
	assert_int_equal(test_count_records(b->store, 'q'), 0);
}

/* Its transaction goes on, and has its content still. */
static void
a_draft_without_room_leaves_what_was_spilled(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_large(b, &file);

	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	kv_fault_limit(b->disk, 300);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(test_count_records(b->store, 'q'), 0);
	assert_blocks(txn, file, LARGE);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_blocks(b->plain, file, LARGE);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
}

/* It is what is kept where there is no room for more. */
static void
a_draft_whose_commit_fails_without_room_is_kept(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_large(b, &file);

	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_add_file(b->store, STORE_ROOT, "LARGE");
	kv_fault_leave_room(b->disk, 8192);
	assert_int_equal(store_txn_commit_wait(&txn), -ESTALE);
	kv_fault_leave_room(b->disk, 0);
	test_txn_reopen(b);
	assert_kept(b, file);
}

static void
too_much_in_place_has_no_room(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	char block[BLOCK];
	StoreTxn *txn;
	uint64_t offset = 0;
	int r = 0;

	write_blocks(b->plain, file, 0, LARGE);
	txn = test_begin(b);
	memset(block, 'x', sizeof(block));
	while (r == 0) {
		assert_true(offset < LARGE);
		r = store_file_write(txn, file, offset, block, BLOCK);
		offset += BLOCK;
	}
	assert_int_equal(r, -ENOSPC);
	assert_true(offset > 4 * LIMIT / 2);
	assert_int_equal(store_txn_commit_wait(&txn), -ENOSPC);
	assert_blocks(b->plain, file, LARGE);
}

#define CROWD 32

/* Begins a transaction that changes blocks of @file until there is no room. */
static StoreTxn *
begin_greedy(TestTxn *b, StoreNode file)
{
	StoreTxn *txn = test_begin(b);
	char block[BLOCK] = "";
	uint64_t offset = 0;

	while (store_file_write(txn, file, offset, block, BLOCK) == 0)
		offset += BLOCK;
	assert_true(offset < LARGE);
	return txn;
}

/* Those who take what they can get leave room for those who need little. */
static void
all_together_have_a_limit(void **state)
{
	TestTxn *b = *state;
	StoreNode small = test_add_file(b->store, STORE_ROOT, "small");
	StoreTxn *greedy[CROWD];
	StoreNode files[CROWD];
	StoreTxn *txn;
	int i;

	for (i = 0; i < CROWD; i++) {
		char name[8];

		g_snprintf(name, sizeof(name), "f%d", i);
		files[i] = test_add_file(b->store, STORE_ROOT, name);
		write_blocks(b->plain, files[i], 0, LARGE);
	}
	assert_int_equal(store_sync_wait(b->store), 0);
	for (i = 0; i < CROWD; i++)
		greedy[i] = begin_greedy(b, files[i]);
	assert_in_range(b->store->staged, ALL / 2, ALL);

	txn = test_begin(b);
	assert_int_equal(store_file_write(txn, small, 0, "x", 1), 0);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	for (i = 0; i < CROWD; i++)
		store_txn_abort(greedy[i]);
	assert_int_equal(b->store->staged, 0);
	txn = test_begin(b);
	write_blocks(txn, files[0], 0, LIMIT);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
}

/* Nothing of what the transaction does with it says that it was spilled. */
static void
content_that_is_dropped_was_not_spilled(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);

	g_mutex_lock(&b->store->lock);
	orphan_add(txn, 1000, RECORD_ORPHAN_DATA);
	assert_false(spill_has(txn->layer, 1000));
	assert_false(spill_has(txn->layer, 1001));
	g_mutex_unlock(&b->store->lock);
	store_txn_abort(txn);
}

/* As one may be that is read of a past. */
static void
an_orphan_without_an_id_is_let_be(void **state)
{
	static const KvSlice key = { "o12", 3 };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	KvSlice value;

	g_mutex_lock(&b->store->lock);
	txn_put(b->plain, key, (KvSlice){ "", 0 });
	txn_delete(txn, key);
	g_mutex_unlock(&b->store->lock);
	store_txn_abort(txn);
	assert_int_equal(store_sync_wait(b->store), 0);

	g_mutex_lock(&b->store->lock);
	assert_int_equal(txn_get(b->plain, key, &value), 0);
	txn_delete(b->plain, key);
	g_mutex_unlock(&b->store->lock);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, test_txn_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_large_file_is_one_transaction),
		TEST(a_large_file_is_published),
		TEST(a_large_file_goes_on_after_a_checkpoint),
		TEST(what_was_spilled_can_be_changed),
		TEST(what_was_spilled_is_erased_when_it_is_cut_or_removed),
		TEST(an_abort_erases_what_was_spilled),
		TEST(a_crash_leaves_nothing_of_what_was_spilled),
		TEST(the_quarantine_takes_what_was_spilled),
		TEST(a_failed_commit_keeps_what_was_spilled),
		cmocka_unit_test(
			a_commit_in_doubt_has_its_content_or_is_not_there),
		TEST(a_store_may_be_closed_in_doubt),
		TEST(a_draft_keeps_what_was_spilled_over_a_crash),
		TEST(a_draft_of_what_was_spilled_goes_with_its_transaction),
		TEST(a_draft_without_room_leaves_what_was_spilled),
		TEST(a_draft_whose_commit_fails_without_room_is_kept),
		TEST(too_much_in_place_has_no_room),
		TEST(all_together_have_a_limit),
		TEST(content_that_is_dropped_was_not_spilled),
		TEST(an_orphan_without_an_id_is_let_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
