/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How a commit works
 *
 * - One thread commits, one group after the other. A group is what is pending
 *   when it begins; who asks meanwhile is in the next one.
 * - It begins at once when somebody waits, else sync_ms after the first plain
 *   change.
 * - The frozen layer and the transactions' layers go into one batch. Nobody
 *   changes them meanwhile, so the batch only borrows. A transaction that is
 *   stale (claim.c) is left out; one that has something in common with another
 *   of the group, or whose last checkpoint is in it, is in the next one.
 * - Every batch counts up "seq" and is guarded by its old value. So a second
 *   writer cannot slip in, and after an unclear failure the value says whether
 *   the batch is there.
 * - A failed group: its transactions end with the error; its plain changes,
 *   which everybody has seen, go back under the active layer, and are tried
 *   again with the next group. If there was no room for it, its plain changes
 *   are tried alone, then each transaction, so that what fits is committed; and
 *   what can wait is left for later (deferral.c).
 * - While the database cannot be opened nobody knows whether the group is there.
 *   Who waits is told of the failure; but its plain changes stay frozen, and what
 *   its transactions had staged is nobody else's, nor the quarantine's, until it
 *   is known.
 */

#include <errno.h>

#include "store/batch.h"
#include "store/deferral.h"

/* One group on its way. */
typedef struct CommitGroup {
	Store *store;
	GQueue waiters; /* CommitWaiter */
} CommitGroup;

/* ---- the group -----------------------------------------------------------*/

/* Makes the entry of @waiter's transaction, which was verified just now. */
static int
write_entry(Store *store, CommitWaiter *waiter)
{
	JournalAsk ask = { .txn = waiter->txn,
		           .account = waiter->account,
		           .layer = waiter->layer,
		           .outcome = STORE_COMMITTED };

	return journal_write(store, &ask, &waiter->entry);
}

/* Whether @waiter can be in this group; its r says if it has failed. */
static bool
can_take(Store *store, CommitWaiter *waiter)
{
	StoreTxn *txn = waiter->txn;

	if (txn == NULL)
		return true;
	if (waiter->layer == NULL)
		return waiter_looks_at_draft(waiter);
	if (txn->flight == NULL)
		txn->flight = waiter->layer;
	/* Behind a checkpoint of its own; or if that has failed, not at all. */
	if (txn->flight != waiter->layer)
		return false;
	waiter->r = txn->has_failed ? txn->error : 0;
	if (waiter->r == 0 && !claim_is_free(store, waiter->layer))
		return false;
	if (waiter->r == 0)
		waiter->r = claim_verify(store, waiter->layer);
	if (waiter->r == 0)
		waiter->r = write_entry(store, waiter);
	if (waiter->r == 0)
		claim_take(store, waiter->layer);
	return true;
}

static void
take_waiters(CommitGroup *group)
{
	Store *store = group->store;
	GQueue left = G_QUEUE_INIT;
	CommitWaiter *waiter;

	while ((waiter = g_queue_pop_head(&store->waiters)) != NULL)
		g_queue_push_tail(can_take(store, waiter) ? &group->waiters
		                                          : &left,
		                  waiter);
	store->waiters = left;
}

/* Nobody can be served. */
static void
refuse_waiters(CommitGroup *group, int r)
{
	GList *l;

	group->waiters = group->store->waiters;
	g_queue_init(&group->store->waiters);
	for (l = group->waiters.head; l != NULL; l = l->next)
		((CommitWaiter *)l->data)->r = r;
}

/* Sets the end of all that were in the batch. */
static void
end_waiters(CommitGroup *group, int r)
{
	GList *l;

	for (l = group->waiters.head; l != NULL; l = l->next) {
		CommitWaiter *waiter = l->data;

		if (waiter->r == 0)
			waiter->r = r;
	}
}

static guint
count_layers(const CommitGroup *group)
{
	guint count = 0;
	GList *l;

	for (l = group->waiters.head; l != NULL; l = l->next) {
		const CommitWaiter *waiter = l->data;

		count += waiter->layer != NULL && waiter->r == 0;
	}
	return count;
}

static bool
has_something(const Store *store, const CommitGroup *group)
{
	return store->is_forced || change_layer_count(store->active) > 0 ||
	       count_layers(group) > 0;
}

/* Lands the group's transactions, then answers, unlocked. */
static void
answer(CommitGroup *group)
{
	Store *store = group->store;
	CommitWaiter *waiter;
	GList *l;

	claim_drop_all(store);
	for (l = group->waiters.head; l != NULL; l = l->next) {
		waiter = l->data;
		if (waiter->is_doubtful)
			waiter_doubt(store, waiter);
		else
			waiter_land(store, waiter);
	}
	store->rounds++;
	g_cond_broadcast(&store->done);

	g_mutex_unlock(&store->lock);
	while ((waiter = g_queue_pop_head(&group->waiters)) != NULL) {
		StoreDone *done = waiter->done;
		void *user_data = waiter->user_data;
		int r = waiter->r;

		if (!waiter->is_doubtful)
			waiter_free(waiter);
		done(user_data, r);
	}
	g_mutex_lock(&store->lock);
}

/* ---- rounds --------------------------------------------------------------*/

/* A batch had no room, perhaps only because what the last commit freed is kept
 * until the next. A batch of nothing is that next one. */
static void
relieve(Store *store)
{
	CommitGroup group = { .store = store };

	store->frozen = change_layer_new();
	if (batch_commit(store, &group.waiters) == 0 && store->base != NULL)
		store->health = STORE_FULL;
}

/* Freezes what is pending, but for what is deferred, and commits it with the
 * group's transactions. */
static int
freeze_and_commit(CommitGroup *group, DeferralScope scope)
{
	Store *store = group->store;
	ChangeLayer *deferred = deferral_take(store, &group->waiters, scope);

	g_assert(store->frozen == NULL);
	store->deferred = change_layer_bytes(deferred);
	store->deferred_count = change_layer_count(deferred);
	store->frozen = g_steal_pointer(&store->active);
	store->active = deferred;
	store->dirty_us = 0;
	store->is_forced = false;
	return batch_commit(store, &group->waiters);
}

/* The same, after a batch that had no room. */
static int
try_again(CommitGroup *group)
{
	Store *store = group->store;

	relieve(store);
	return store->base == NULL ? -EIO
	                           : freeze_and_commit(group, DEFER_NOTHING);
}

/* What the journal would keep of the past is the first thing to go without.
 * Returns whether there was some. */
static bool
shed_past(CommitGroup *group)
{
	Store *store = group->store;
	uint64_t bytes = journal_shed(store, store->active);
	bool has_shed = bytes > 0;
	GList *l;

	store->journal.bytes -= bytes;
	for (l = group->waiters.head; l != NULL; l = l->next) {
		const CommitWaiter *waiter = l->data;

		if (waiter->entry == NULL)
			continue;
		bytes = journal_shed(store, waiter->entry->records);
		waiter->entry->bytes -= bytes;
		has_shed |= bytes > 0;
	}
	return has_shed;
}

/* Commits what was deferred, but for content that may never have a name. What
 * was undone is given up now, and who waits for what is pending hears of it. */
static int
commit_undone(CommitGroup *group)
{
	Store *store = group->store;
	bool has_given_up = false;
	int r;

	while ((r = freeze_and_commit(group, DEFER_SPILLED)) == -ENOSPC &&
	       quarantine_give_up_last(store))
		has_given_up = true;
	/* There is no room for the rest until its transaction has ended. */
	if (r == 0 && store->base != NULL && store->deferred_count > 0)
		store->health = STORE_FULL;
	if (!has_given_up)
		return r;
	/* What it had is to be erased. */
	commit_note_change(store);
	return r == 0 ? -ENOSPC : r;
}

/* Commits what cannot wait, and then the rest; a transaction has its turn by
 * itself. */
static int
commit_in_parts(CommitGroup *group)
{
	Store *store = group->store;
	int r = freeze_and_commit(group, DEFER_UNDONE);

	if (r < 0)
		return r;
	/* It is on the disk, and nothing can be read there any more. */
	commit_note_change(store);
	if (count_layers(group) > 0)
		return 0;
	return store->base == NULL ? -EIO : commit_undone(group);
}

/* With @in_parts, which is for one transaction at most, what fits of it. */
static int
commit_group(CommitGroup *group, bool in_parts)
{
	Store *store = group->store;
	bool is_alone = count_layers(group) == 0;
	int r = freeze_and_commit(group, DEFER_NOTHING);

	if (r == -ENOSPC &&
	    (shed_past(group) || (is_alone && quarantine_is_pending(store))))
		r = try_again(group);
	if (r == -ENOSPC && in_parts)
		r = commit_in_parts(group);
	if (r == -ENOSPC)
		relieve(store);
	if (r == 0)
		quarantine_keep_limit(store);
	return r;
}

/* Commits what is pending with @waiter's transaction, or NULL, alone. */
static int
commit_one(Store *store, CommitWaiter *waiter)
{
	CommitGroup one = { .store = store };
	int r = -EIO;

	if (waiter != NULL)
		g_queue_push_tail(&one.waiters, waiter);
	if (store->base != NULL)
		r = commit_group(&one, true);
	g_queue_clear(&one.waiters);
	return r;
}

/* Commits what everybody has seen, then the group's transactions one after the
 * other. */
static void
commit_singly(CommitGroup *group)
{
	Store *store = group->store;
	int plain = commit_one(store, NULL);
	GList *l;

	for (l = group->waiters.head; l != NULL; l = l->next) {
		CommitWaiter *waiter = l->data;

		if (waiter->r == 0)
			waiter->r = waiter->layer == NULL
			                    ? plain
			                    : commit_one(store, waiter);
	}
}

/* Erases some of what nobody needs any more. Returns whether none is left that
 * could be. */
static bool
reap(Store *store)
{
	size_t budget = orphan_budget(store);
	bool is_done;

	/* It cannot be told what may be erased: not before the next change. */
	if (budget == 0)
		return true;
	is_done = journal_reap(store, budget);
	return orphan_reap(store, budget) && is_done;
}

/* One round: reap, take, freeze, write, thaw, answer. */
void
commit_round(Store *store)
{
	CommitGroup group = { .store = store };
	bool is_reaped = true;
	int r = -EIO;

	store->dirty_us = 0;
	if (!batch_has_base(store)) {
		refuse_waiters(&group, r);
	} else {
		is_reaped = reap(store);
		take_waiters(&group);
		r = commit_health_error(store);
		if (has_something(store, &group))
			r = commit_group(&group, count_layers(&group) == 0);
		if (r == -ENOSPC && count_layers(&group) > 0)
			commit_singly(&group);
		else
			end_waiters(&group, r);
	}
	/* The disk may come back, and then nobody need ask. */
	if (commit_is_ailing(store)) {
		store->dirty_us = g_get_monotonic_time();
		store->is_forced = true;
	}
	store->is_urgent = r == 0 && !is_reaped;
	store->room = 0;
	answer(&group);
}
