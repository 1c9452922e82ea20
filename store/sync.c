/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What callers ask of the commit queue: how much is pending, how well it is;
 * and how they wait for it.
 */

#include <errno.h>

#include "store/internal.h"

/* ---- state ---------------------------------------------------------------*/

uint64_t
commit_pending_count(const Store *store)
{
	uint64_t count =
		change_layer_count(store->active) + store->staged_count;

	if (store->frozen != NULL)
		count += change_layer_count(store->frozen);
	return count;
}

uint64_t
commit_pending(const Store *store)
{
	uint64_t bytes = change_layer_bytes(store->active) + store->staged;

	if (store->frozen != NULL)
		bytes += change_layer_bytes(store->frozen);
	return bytes;
}

int
commit_health_error(const Store *store)
{
	switch (store->health) {
	case STORE_HEALTHY:
		return 0;
	case STORE_FULL:
		return -ENOSPC;
	case STORE_FAILED:
	case STORE_LOST:
	default:
		return -EIO;
	}
}

bool
commit_is_ailing(const Store *store)
{
	return store->base == NULL || store->health == STORE_FULL ||
	       store->health == STORE_FAILED;
}

void
commit_note_change(Store *store)
{
	if (store->dirty_us == 0) {
		store->dirty_us = g_get_monotonic_time();
		g_cond_signal(&store->wake);
	}
}

void
commit_wait_round(Store *store, bool is_forced)
{
	/* A round that has begun may have frozen too early to help. */
	uint64_t enough = store->rounds + (store->frozen != NULL ? 2 : 1);

	store->is_forced |= is_forced;
	while (store->rounds < enough) {
		store->is_urgent = true;

		g_cond_signal(&store->wake);
		g_cond_wait(&store->done, &store->lock);
	}
}

/* ---- waiting ------------------------------------------------------------*/

void
store_sync(Store *store, StoreDone *done, void *user_data)
{
	if (store->access != STORE_WRITE) {
		done(user_data, 0);
		return;
	}

	STORE_LOCK(store);
	waiter_enqueue(store, NULL, NULL, done, user_data);
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
