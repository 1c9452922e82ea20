/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What callers ask of the commit queue, and how they wait for it.
 */

#include "store/internal.h"

void
store_sync(Store *store, StoreDone *done, void *user_data)
{
	if (store->committer == NULL) {
		done(user_data, 0);
		return;
	}

	STORE_LOCK(store);
	commit_enqueue(store, NULL, done, user_data);
}

/* Directories change their times with what is in them, for everyone, so not
 * in the transaction's own copy of their records. */
static void
touch_directories(StoreTxn *txn)
{
	GHashTableIter iter;
	void *key;

	if (txn->touched == NULL)
		return;
	g_hash_table_iter_init(&iter, txn->touched);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		StoreTxn *plain = &txn->store->plain;
		RecordNode dir;

		if (node_load(plain, *(StoreNode *)key, &dir) < 0)
			continue;
		dir.attr.mtime_ns = dir.attr.ctime_ns = store_now_ns();
		node_save(plain, &dir);
	}
}

void
store_txn_commit(StoreTxn **txn, StoreDone *done, void *user_data)
{
	StoreTxn *t = g_steal_pointer(txn);
	int error = t->error;

	if (error < 0) {
		store_txn_abort(t);
		done(user_data, error);
		return;
	}

	STORE_LOCK(t->store);
	touch_directories(t);
	commit_enqueue(t->store, t, done, user_data);
}

/* A caller that waits for its own answer. */
typedef struct CommitCall {
	GMutex lock;
	GCond ended;
	bool is_ended;
	int r;
} CommitCall;

static void
call_ended(void *user_data, int r)
{
	CommitCall *call = user_data;

	g_mutex_lock(&call->lock);
	call->r = r;
	call->is_ended = true;
	g_cond_signal(&call->ended);
	g_mutex_unlock(&call->lock);
}

static int
call_wait(CommitCall *call)
{
	g_mutex_lock(&call->lock);
	while (!call->is_ended)
		g_cond_wait(&call->ended, &call->lock);
	g_mutex_unlock(&call->lock);
	g_mutex_clear(&call->lock);
	g_cond_clear(&call->ended);
	return call->r;
}

int
store_sync_wait(Store *store)
{
	CommitCall call = { .r = 0 };

	g_mutex_init(&call.lock);
	g_cond_init(&call.ended);
	store_sync(store, call_ended, &call);
	return call_wait(&call);
}

int
store_txn_commit_wait(StoreTxn **txn)
{
	CommitCall call = { .r = 0 };

	g_mutex_init(&call.lock);
	g_cond_init(&call.ended);
	store_txn_commit(txn, call_ended, &call);
	return call_wait(&call);
}
