/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/undone_kit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "tests/unit/store_kit.h"

int
test_setup_with(void **state, StoreOptions options)
{
	TestTxn *b;

	options.journal_max = 0;
	*state = b = test_txn_new(&options);
	return store_sync_wait(b->store);
}

int
test_setup_bare(void **state)
{
	return test_setup_with(state, STORE_OPTIONS_DEFAULT);
}

int
test_setup_spilling(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;

	options.staged_limit = TEST_SPILL_LIMIT;
	return test_setup_with(state, options);
}

StoreNode
test_stage_spilled(StoreTxn *txn, const char *name)
{
	StoreNode file = test_stage_file(txn, STORE_ROOT, name);
	g_autofree char *block = g_strnfill(12000, 'x');

	assert_int_equal(store_file_write(txn, file, 0, block, 12000), 0);
	assert_int_equal(store_file_write(txn, file, 0, "x", 1), 0);
	return file;
}

void
test_abort_unread(TestTxn *b, StoreTxn *txn)
{
	test_add_file(b->store, STORE_ROOT, "plain");
	kv_fault_break(b->disk, true);
	assert_int_equal(store_sync_wait(b->store), -EIO);
	store_txn_abort(txn);
	kv_fault_break(b->disk, false);
	assert_int_equal(store_sync_wait(b->store), 0);
}

const StoreCause test_killed = { "the client was killed", 1000 };

void
test_save(StoreTxn *txn, TestAnswer *ret_answer)
{
	assert_int_equal(
		store_txn_save(txn, &test_killed, test_answered, ret_answer),
		0);
}

void
test_refuse_draft(TestTxn *b, StoreTxn *txn, size_t room)
{
	TestAnswer answers[3] = { 0 };

	test_hold_sync(b, &answers[0]);
	test_save(txn, &answers[1]);
	store_txn_checkpoint(txn, test_answered, &answers[2]);
	kv_fault_limit(b->disk, room);
	(void)test_let_go(b, &answers[0]);
	assert_int_equal(test_await(&answers[1]), -ENOSPC);
	assert_int_equal(test_await(&answers[2]), -ENOSPC);
}

static bool
see(void *user_data, const StoreUndone *undone)
{
	TestUndone *seen = user_data;

	assert_true(undone->id > seen->id);
	assert_true(undone->undone_ns > undone->begun_ns);
	seen->count++;
	seen->id = undone->id;
	seen->files = undone->files;
	seen->bytes = undone->bytes;
	seen->begun_ns = undone->begun_ns;
	g_strlcpy(seen->who, undone->who, sizeof(seen->who));
	g_strlcpy(seen->reason, undone->reason, sizeof(seen->reason));
	return true;
}

TestUndone
test_undone(Store *store)
{
	TestUndone seen = { 0 };

	assert_int_equal(store_quarantine_list(store, see, &seen), 0);
	return seen;
}

void
test_assert_nothing_undone(Store *store)
{
	assert_int_equal(store_sync_wait(store), 0);
	assert_int_equal(store_sync_wait(store), 0);
	assert_int_equal(test_undone(store).count, 0);
	assert_int_equal(test_count_records(store, RECORD_CHUNK), 0);
	assert_int_equal(test_count_records(store, RECORD_ORPHAN), 0);
}

uint64_t
test_undo_file(TestTxn *b, const char *name)
{
	g_autofree char *block = g_strnfill(1000, 'x');
	StoreTxn *txn = test_begin(b);
	StoreCause cause = test_killed;
	uint64_t id = 0;

	cause.ret_id = &id;
	test_write(txn, test_stage_file(txn, STORE_ROOT, name), block);
	assert_int_equal(store_txn_quarantine(&txn, &cause), 0);
	assert_int_equal(test_undone(b->store).id, id);
	return id;
}

StoreTxn *
test_begin_draft(TestTxn *b, StoreNode *ret_file)
{
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");
	StoreStat stat;

	test_write(txn, file, "first");
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	test_write(txn, file, "draft");
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_stat(b->store, &stat), 0);
	assert_int_equal(stat.undone, 1);
	assert_int_equal(test_undone(b->store).count, 0);
	if (ret_file != NULL)
		*ret_file = file;
	return txn;
}
