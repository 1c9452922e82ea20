/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/waiter.h"

#include <errno.h>

void
waiter_enqueue(Store *store, StoreTxn *txn, ChangeLayer *layer, StoreDone *done,
               void *user_data)
{
	CommitWaiter *waiter = g_new(CommitWaiter, 1);

	*waiter = (CommitWaiter){
		.done = done, .user_data = user_data, .txn = txn, .layer = layer
	};
	if (layer != NULL)
		waiter->account = g_steal_pointer(&txn->account);
	g_queue_push_tail(&store->waiters, waiter);
	g_cond_signal(&store->wake);
}

void
waiter_refuse_plain(Store *store)
{
	GList *l;

	for (l = store->waiters.head; l != NULL; l = l->next) {
		CommitWaiter *waiter = l->data;

		if (waiter->layer == NULL)
			waiter->r = -ENOSPC;
	}
}

void
waiter_free(CommitWaiter *waiter)
{
	change_layer_free(waiter->layer);
	journal_entry_free(waiter->entry);
	journal_account_free(waiter->account);
	g_clear_pointer(&waiter->txn, txn_unref);
	g_free(waiter);
}

bool
waiter_looks_at_draft(CommitWaiter *waiter)
{
	const StoreTxn *txn = waiter->txn;

	if (txn->has_failed)
		waiter->r = txn->error;
	else if (txn->is_lost)
		waiter->r = -ENOSPC;
	return txn->flight == NULL;
}

void
waiter_land(Store *store, CommitWaiter *waiter)
{
	StoreTxn *txn = waiter->txn;

	if (waiter->layer == NULL)
		return;
	txn_uncount(store, waiter->layer);
	if (txn->flight == waiter->layer)
		txn->flight = NULL;
	if (waiter->r == 0) {
		txn_reveal(store, waiter->layer);
		if (waiter->entry != NULL)
			journal_note(store, waiter->entry);
	} else {
		txn_fail(txn, &waiter->layer, waiter->r);
	}
}

void
waiter_stay_frozen(Store *store, const GQueue *waiters)
{
	GList *l;

	for (l = waiters->head; l != NULL; l = l->next) {
		CommitWaiter *waiter = l->data;

		if (waiter->layer == NULL || waiter->r < 0)
			continue;
		txn_uncount(store, waiter->layer);
		txn_reveal(store, waiter->layer);
		change_layer_move_over(waiter->layer, store->frozen);
		if (waiter->entry != NULL)
			change_layer_move_over(waiter->entry->records,
			                       store->frozen);
	}
}

void
waiter_doubt(Store *store, CommitWaiter *waiter)
{
	if (waiter->txn->error == 0)
		waiter->txn->error = waiter->r;
	g_queue_push_tail(&store->doubtful, waiter);
}

void
waiter_settle(Store *store, int r)
{
	CommitWaiter *waiter;

	while ((waiter = g_queue_pop_head(&store->doubtful)) != NULL) {
		waiter->r = r;
		waiter_land(store, waiter);
		waiter_free(waiter);
	}
}

void
waiter_forget(Store *store)
{
	CommitWaiter *waiter;

	while ((waiter = g_queue_pop_head(&store->doubtful)) != NULL)
		waiter_free(waiter);
}
