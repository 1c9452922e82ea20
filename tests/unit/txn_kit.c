/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/txn_kit.h"

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

static void
open_store(TestTxn *b)
{
	assert_int_equal(test_fault_open_with(b->disk, &b->options, &b->store),
	                 0);
	b->plain = store_plain(b->store);
}

TestTxn *
test_txn_new(const StoreOptions *options)
{
	TestTxn *b = g_new0(TestTxn, 1);

	b->disk = kv_fault_disk_new();
	b->options = *options;
	test_fault_format(b->disk);
	open_store(b);
	return b;
}

void
test_txn_free(TestTxn *b)
{
	test_txn_reopen(b);
	test_store_check(b->store);
	store_close(b->store);
	kv_fault_disk_free(b->disk);
	g_free(b);
}

int
test_txn_setup(void **state)
{
	*state = test_txn_new(&STORE_OPTIONS_DEFAULT);
	return 0;
}

int
test_txn_teardown(void **state)
{
	test_txn_free(*state);
	return 0;
}

void
test_txn_reopen(TestTxn *b)
{
	assert_int_equal(store_close(b->store), 0);
	open_store(b);
}

void
test_txn_crash_all(TestTxn *b, StoreTxn **txns, guint count)
{
	Store *crashed = b->store;
	guint i;

	/* Once there is another, the old one cannot write any more. */
	open_store(b);
	assert_int_equal(store_sync_wait(b->store), 0);
	for (i = 0; i < count; i++)
		g_clear_pointer(&txns[i], store_txn_abort);
	assert_int_equal(store_close(crashed), -EIO);
}

void
test_txn_crash(TestTxn *b, StoreTxn **txn)
{
	test_txn_crash_all(b, txn, 1);
}

/* ---- answers -------------------------------------------------------------*/

void
test_answered(void *user_data, int r)
{
	TestAnswer *a = user_data;

	g_mutex_lock(&a->lock);
	assert_false(a->is_there);
	a->r = r;
	a->is_there = true;
	g_cond_signal(&a->cond);
	g_mutex_unlock(&a->lock);
}

int
test_await(TestAnswer *a)
{
	gint64 deadline = test_deadline();

	g_mutex_lock(&a->lock);
	while (!a->is_there)
		assert_true(g_cond_wait_until(&a->cond, &a->lock, deadline));
	g_mutex_unlock(&a->lock);
	return a->r;
}

static void
begin_hold(TestTxn *b, TestAnswer *ret_answer)
{
	*ret_answer = (TestAnswer){ 0 };
	kv_fault_hold(b->disk, true);
}

void
test_hold_commit(TestTxn *b, StoreTxn **txn, TestAnswer *ret_answer)
{
	begin_hold(b, ret_answer);
	store_txn_commit(txn, test_answered, ret_answer);
	kv_fault_await_held(b->disk);
}

void
test_hold_checkpoint(TestTxn *b, StoreTxn *txn, TestAnswer *ret_answer)
{
	begin_hold(b, ret_answer);
	store_txn_checkpoint(txn, test_answered, ret_answer);
	kv_fault_await_held(b->disk);
}

void
test_hold_sync(TestTxn *b, TestAnswer *ret_answer)
{
	test_add_file(b->store, STORE_ROOT, "held");
	begin_hold(b, ret_answer);
	store_sync(b->store, test_answered, ret_answer);
	kv_fault_await_held(b->disk);
}

int
test_let_go(TestTxn *b, TestAnswer *a)
{
	kv_fault_hold(b->disk, false);
	return test_await(a);
}

/* ---- transactions --------------------------------------------------------*/

StoreTxn *
test_begin(TestTxn *b)
{
	StoreTxn *txn = NULL;

	assert_int_equal(store_txn_begin(b->store, "test", &txn), 0);
	return txn;
}

int
test_checkpoint(StoreTxn *txn)
{
	TestAnswer a = { 0 };

	store_txn_checkpoint(txn, test_answered, &a);
	return test_await(&a);
}

StoreNode
test_stage_file(StoreTxn *txn, StoreNode dir, const char *name)
{
	StoreAttr attr = { .mode = S_IFREG | 0644 };

	assert_int_equal(store_name_add(txn, dir, name, &attr, &attr), 0);
	return attr.node;
}

bool
test_has(StoreTxn *txn, StoreNode dir, const char *name)
{
	StoreEntry entry;
	int r = store_name_find(txn, dir, name, &entry);

	assert_true(r == 0 || r == -ENOENT);
	return r == 0;
}
