/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What of the quarantine is given up where a batch finds no room, and who hears
 * of it.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"
#include "tests/unit/undone_kit.h"

#define SIZE 30000
/* Room for one of that size, for little, and for what each batch has. */
#define ONE     (SIZE + SIZE / 2)
#define LITTLE  (SIZE / 2)
#define NOTHING 300

static int
setup_little(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;

	options.quarantine_max = ONE;
	return test_setup_with(state, options);
}

#define LITTLE_TEST(f) \
	cmocka_unit_test_setup_teardown(f, setup_little, test_txn_teardown)

static StoreNode
stage(StoreTxn *txn, const char *name)
{
	g_autofree char *block = g_strnfill(SIZE, 'x');
	StoreNode file = test_stage_file(txn, STORE_ROOT, name);

	assert_int_equal(store_file_write(txn, file, 0, block, SIZE), 0);
	return file;
}

/* Returns the id of its entry. */
static uint64_t
undo(StoreTxn **txn)
{
	StoreCause cause = test_killed;
	uint64_t id = 0;

	cause.ret_id = &id;
	assert_int_equal(store_txn_quarantine(txn, &cause), 0);
	return id;
}

static uint64_t
undo_new(TestTxn *b, const char *name)
{
	StoreTxn *txn = test_begin(b);

	(void)stage(txn, name);
	return undo(&txn);
}

/* There is one entry, @id, now and after a crash. */
static void
assert_kept(TestTxn *b, uint64_t id)
{
	StoreTxn *none = NULL;

	kv_fault_limit(b->disk, 0);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_undone(b->store).id, id);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &none);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_undone(b->store).id, id);
}

/* ---- what is given up ----------------------------------------------------*/

static void
what_is_undone_last_is_given_up_first(void **state)
{
	TestTxn *b = *state;
	StoreTxn *first = test_begin(b);
	StoreTxn *second = test_begin(b);
	TestAnswer answer = { 0 };
	uint64_t kept;

	(void)stage(first, "f");
	(void)stage(second, "g");
	test_hold_sync(b, &answer);
	kept = undo(&second);
	(void)undo(&first);
	(void)undo_new(b, "h");
	kv_fault_limit(b->disk, ONE);
	assert_int_equal(test_let_go(b, &answer), 0);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	assert_kept(b, kept);
}

/* What was spilled of it goes with it. */
static void
only_what_has_no_room_is_given_up(void **state)
{
	TestTxn *b = *state;
	StoreTxn *first = test_begin(b);
	StoreTxn *second = test_begin(b);
	TestAnswer answer = { 0 };
	uint64_t kept;

	(void)test_stage_file(first, STORE_ROOT, "f");
	test_hold_sync(b, &answer);
	(void)test_stage_spilled(second, "g");
	kept = undo(&first);
	(void)undo(&second);
	kv_fault_limit(b->disk, 6000);
	assert_int_equal(test_let_go(b, &answer), 0);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	assert_kept(b, kept);
}

/* What the last commit freed is there at the next. */
static void
nothing_is_given_up_where_another_try_has_room(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NOSPACE };
	TestTxn *b = *state;
	uint64_t kept = undo_new(b, "f");

	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_kept(b, kept);
}

static void
no_commit_is_refused_for_what_was_undone(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreTxn *guest = test_begin(b);
	TestAnswer answer = { 0 };

	(void)undo_new(b, "f");
	(void)test_stage_file(txn, STORE_ROOT, "g");
	(void)test_stage_file(guest, STORE_ROOT, "h");
	kv_fault_limit(b->disk, LITTLE);
	test_hold_commit(b, &txn, &answer);
	(void)undo(&guest);
	assert_int_equal(test_let_go(b, &answer), 0);
	kv_fault_limit(b->disk, 0);
	assert_true(test_has(b->plain, STORE_ROOT, "g"));
}

/* An old entry goes for one that is there, and not before. */
static void
nothing_is_discarded_for_what_is_given_up(void **state)
{
	TestTxn *b = *state;
	uint64_t kept = undo_new(b, "f");

	assert_int_equal(store_sync_wait(b->store), 0);
	(void)undo_new(b, "g");
	kv_fault_limit(b->disk, LITTLE);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	assert_kept(b, kept);
}

static void
what_is_given_up_is_erased(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode file;

	(void)stage(txn, "f");
	file = stage(txn, "g");
	assert_int_equal(store_file_write(txn, file, 0, "y", 1), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	(void)undo(&txn);
	kv_fault_limit(b->disk, NOTHING);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	test_assert_nothing_undone(b->store);
}

/* ---- two drafts ----------------------------------------------------------*/

/* Whether "f" has gone to the disk before. */
static bool
is_spilling(const TestTxn *b)
{
	return b->options.staged_limit == TEST_SPILL_LIMIT;
}

/* Stages and saves a new file "f". */
static StoreNode
save_new(StoreTxn *txn)
{
	StoreNode file = stage(txn, "f");
	TestAnswer answer = { 0 };

	assert_int_equal(store_file_write(txn, file, 0, "x", 1), 0);
	test_save(txn, &answer);
	assert_int_equal(test_await(&answer), 0);
	return file;
}

/* A checkpoint of @txn finds no more room than @room bytes, and meanwhile there
 * is a new file "g", and a draft of that. */
static void
refuse_checkpoint(TestTxn *b, StoreTxn *txn, size_t room)
{
	TestAnswer answer = { 0 };

	test_hold_checkpoint(b, txn, &answer);
	(void)test_stage_file(txn, STORE_ROOT, "g");
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	kv_fault_limit(b->disk, room);
	assert_int_equal(test_let_go(b, &answer), -ENOSPC);
}

/* One with both drafts; that of "g" is on the disk if there is room for more
 * than nothing. */
static StoreTxn *
begin_two(TestTxn *b, StoreNode *ret_file)
{
	StoreTxn *txn = test_begin(b);

	*ret_file = save_new(txn);
	refuse_checkpoint(b, txn, is_spilling(b) ? NOTHING : LITTLE);
	return txn;
}

/* What is on the disk is an entry each, now and after a crash, and discarded it
 * leaves nothing. */
static void
assert_both(TestTxn *b, StoreNode file)
{
	g_autofree char *all = g_strnfill(SIZE, 'x');
	g_autofree char *got = g_malloc0(SIZE);
	guint count = is_spilling(b) ? 1 : 2;
	StoreTxn *none = NULL;
	TestUndone seen;
	size_t size = 0;

	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, count);
	test_txn_crash(b, &none);
	seen = test_undone(b->store);
	assert_int_equal(seen.count, count);
	if (count > 1)
		assert_int_equal(store_quarantine_discard(b->store, seen.id),
		                 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &none);
	seen = test_undone(b->store);
	assert_int_equal(seen.count, 1);
	assert_int_equal(store_quarantine_read(b->store, seen.id, file, 0, got,
	                                       SIZE, &size),
	                 0);
	assert_int_equal(size, SIZE);
	assert_memory_equal(got, all, SIZE);
	assert_int_equal(store_quarantine_discard(b->store, seen.id), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_count_records(b->store, RECORD_CHUNK), 0);
	assert_int_equal(test_count_records(b->store, RECORD_ORPHAN), 0);
}

static void
what_was_synced_stays_where_what_replaces_it_has_no_room(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_two(b, &file);

	(void)undo(&txn);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	assert_both(b, file);
}

/* That is known before it is tried. */
static void
so_it_does_where_there_is_none_to_begin_with(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_two(b, &file);

	kv_fault_leave_room(b->disk, 1);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), -ENOSPC);
	kv_fault_leave_room(b->disk, 0);
	assert_both(b, file);
}

/* What it had is not named any more by who replaces it. */
static void
so_does_its_content(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode file = save_new(txn);

	assert_int_equal(store_file_truncate(txn, file, 0), 0);
	refuse_checkpoint(b, txn, NOTHING);
	(void)undo(&txn);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	assert_both(b, file);
}

/* The key by which the only entry owns its content. */
static RecordKey
content_key(TestTxn *b)
{
	RecordKey chunks = { .size = 1, .bytes = { RECORD_CHUNK } };
	RecordKey undone = { .size = 1, .bytes = { RECORD_UNDONE } };
	g_autoptr(GPtrArray) keys = NULL;
	g_autoptr(GPtrArray) parts = NULL;
	uint64_t data = 0;
	uint64_t id = 0;

	STORE_LOCK(b->store);
	assert_int_equal(txn_keys(&b->store->plain, &chunks, &chunks, 1, &keys),
	                 0);
	assert_int_equal(
		txn_keys(&b->store->plain, &undone, &undone, 1, &parts), 0);
	assert_true(record_key_id(txn_key_at(keys, 0), &data));
	assert_true(record_key_id(txn_key_at(parts, 0), &id));
	return record_key_part_id(id, RECORD_PART_CONTENT, data);
}

static void
so_does_content_that_is_damaged(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	RecordKey key;
	guint chunks;

	(void)save_new(txn);
	chunks = test_count_records(b->store, RECORD_CHUNK);
	key = content_key(b);
	test_put_record(b->store->kv, record_slice(&key),
	                (KvSlice){ "12345678", 8 });
	test_add_file(b->store, STORE_ROOT, "plain");
	assert_int_equal(store_sync_wait(b->store), 0);
	refuse_checkpoint(b, txn, NOTHING);
	(void)undo(&txn);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_count_records(b->store, RECORD_CHUNK), chunks);
	g_mutex_lock(&b->store->lock);
	txn_put(b->plain, record_slice(&key), (KvSlice){ "", 0 });
	g_mutex_unlock(&b->store->lock);
}

/* Once there is room again, all is in one. */
static void
both_are_one_again_where_there_is_room(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = begin_two(b, &file);
	TestAnswer answer = { 0 };

	test_save(txn, &answer);
	assert_int_equal(test_await(&answer), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	store_txn_abort(txn);
	txn = NULL;
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_undone(b->store).files, 2);
}

/* Nobody can give up a draft that a checkpoint on its way would end; who has
 * failed and is undone can. */
static void
a_draft_that_no_checkpoint_has_ended_is_given_up(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);

	(void)stage(txn, "f");
	test_refuse_draft(b, txn, LITTLE);
	kv_fault_leave_room(b->disk, 1);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), -ENOSPC);
	kv_fault_leave_room(b->disk, 0);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	assert_int_equal(test_undone(b->store).count, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
}

/* What never was on the disk is not there again. */
static void
no_draft_comes_back_that_was_not_there(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answers[5] = { 0 };

	(void)test_stage_spilled(txn, "f");
	assert_int_equal(store_sync_wait(b->store), 0);
	test_hold_sync(b, &answers[0]);
	test_save(txn, &answers[1]);
	store_txn_checkpoint(txn, test_answered, &answers[2]);
	(void)test_stage_file(txn, STORE_ROOT, "g");
	test_save(txn, &answers[3]);
	kv_fault_limit(b->disk, NOTHING);
	(void)test_let_go(b, &answers[0]);
	assert_int_equal(test_await(&answers[1]), -ENOSPC);
	assert_int_equal(test_await(&answers[2]), -ENOSPC);
	assert_int_equal(test_await(&answers[3]), -ENOSPC);
	/* It is on its way when that replaces it. */
	kv_fault_hold(b->disk, true);
	store_sync(b->store, test_answered, &answers[4]);
	kv_fault_await_held(b->disk);
	(void)undo(&txn);
	assert_int_equal(test_let_go(b, &answers[4]), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	test_assert_nothing_undone(b->store);
}

/* ---- who hears of it -----------------------------------------------------*/

static void
who_waits_for_a_draft_that_is_given_up_is_told(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answer = { 0 };

	(void)stage(txn, "f");
	kv_fault_limit(b->disk, LITTLE);
	test_save(txn, &answer);
	assert_int_equal(test_await(&answer), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	store_txn_abort(txn);
}

/* An older one stays on the disk. */
static void
who_saves_more_that_is_given_up_is_told(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answers[2] = { 0 };

	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_save(txn, &answers[0]);
	assert_int_equal(test_await(&answers[0]), 0);
	(void)stage(txn, "g");
	kv_fault_limit(b->disk, LITTLE);
	test_save(txn, &answers[1]);
	assert_int_equal(test_await(&answers[1]), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	store_txn_abort(txn);
}

static void
who_is_undone_while_his_draft_is_given_up_is_told(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answers[2] = { 0 };

	(void)stage(txn, "f");
	test_hold_sync(b, &answers[0]);
	test_save(txn, &answers[1]);
	(void)undo(&txn);
	kv_fault_limit(b->disk, LITTLE);
	(void)test_let_go(b, &answers[0]);
	assert_int_equal(test_await(&answers[1]), -ENOSPC);
	kv_fault_limit(b->disk, 0);
}

static void
who_waits_beside_a_commit_is_told(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreTxn *other = test_begin(b);
	TestAnswer answers[3] = { 0 };

	(void)stage(txn, "f");
	(void)test_stage_file(other, STORE_ROOT, "g");
	test_hold_sync(b, &answers[0]);
	test_save(txn, &answers[1]);
	store_txn_commit(&other, test_answered, &answers[2]);
	kv_fault_limit(b->disk, LITTLE);
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	assert_int_equal(test_await(&answers[2]), 0);
	assert_int_equal(test_await(&answers[1]), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	store_txn_abort(txn);
}

/* His round is the next one; what he waits for was in one that came before, for
 * it had to be tried again. */
static void
who_waits_for_the_next_round_is_told(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NOSPACE };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreTxn *other = test_begin(b);
	TestAnswer answers[2] = { 0 };

	(void)stage(txn, "f");
	(void)test_stage_file(other, STORE_ROOT, "g");
	test_hold_commit(b, &other, &answers[0]);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	test_save(txn, &answers[1]);
	kv_fault_limit(b->disk, LITTLE);
	assert_int_equal(test_let_go(b, &answers[0]), 0);
	assert_int_equal(test_await(&answers[1]), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	store_txn_abort(txn);
}

/* A commit is not what is given up. */
static void
who_commits_meanwhile_is_not(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestAnswer answers[2] = { 0 };

	(void)test_stage_file(txn, STORE_ROOT, "g");
	(void)undo_new(b, "f");
	test_hold_sync(b, &answers[0]);
	store_txn_commit(&txn, test_answered, &answers[1]);
	kv_fault_limit(b->disk, LITTLE);
	assert_int_equal(test_let_go(b, &answers[0]), -ENOSPC);
	assert_int_equal(test_await(&answers[1]), 0);
	kv_fault_limit(b->disk, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BARE_TEST(what_is_undone_last_is_given_up_first),
		SPILLING_TEST(only_what_has_no_room_is_given_up),
		BARE_TEST(nothing_is_given_up_where_another_try_has_room),
		BARE_TEST(no_commit_is_refused_for_what_was_undone),
		LITTLE_TEST(nothing_is_discarded_for_what_is_given_up),
		SPILLING_TEST(what_is_given_up_is_erased),
		BARE_TEST(
			what_was_synced_stays_where_what_replaces_it_has_no_room),
		SPILLING_TEST(
			what_was_synced_stays_where_what_replaces_it_has_no_room),
		BARE_TEST(so_it_does_where_there_is_none_to_begin_with),
		SPILLING_TEST(so_it_does_where_there_is_none_to_begin_with),
		SPILLING_TEST(so_does_its_content),
		SPILLING_TEST(so_does_content_that_is_damaged),
		BARE_TEST(both_are_one_again_where_there_is_room),
		BARE_TEST(a_draft_that_no_checkpoint_has_ended_is_given_up),
		SPILLING_TEST(no_draft_comes_back_that_was_not_there),
		BARE_TEST(who_waits_for_a_draft_that_is_given_up_is_told),
		BARE_TEST(who_saves_more_that_is_given_up_is_told),
		BARE_TEST(who_is_undone_while_his_draft_is_given_up_is_told),
		BARE_TEST(who_waits_beside_a_commit_is_told),
		BARE_TEST(who_waits_for_the_next_round_is_told),
		BARE_TEST(who_commits_meanwhile_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
