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
 *   are tried alone, then each transaction, so that what fits is committed.
 * - While the database cannot be opened nobody knows whether the group is there.
 *   Who waits is told of the failure; but its plain changes stay frozen, and what
 *   its transactions had staged is nobody else's, nor the quarantine's, until it
 *   is known.
 */

#include <errno.h>

#include "store/internal.h"
#include "store/waiter.h"

/* One group on its way. */
typedef struct CommitGroup {
	Store *store;
	GQueue waiters;  /* CommitWaiter */
	GArray *changes; /* KvChange, borrowed from the layers */
	RecordKey seq_key;
	uint8_t seq_old[8 + RECORD_SEAL_SIZE];
	KvResult result;
	bool is_done; /* result is there; protected by the store's lock */
} CommitGroup;

/* ---- building the batch --------------------------------------------------*/

static void
put_meta(ChangeLayer *layer, const char *name, uint64_t number)
{
	RecordKey key = record_key_meta(name);
	uint8_t buf[8];

	record_u64_encode(number, buf);
	change_layer_put(layer, record_slice(&key),
	                 (KvSlice){ buf, sizeof(buf) });
}

/* Seals and adds every change of @layer. Unlocked: the layer is frozen, and
 * the seal is written behind what readers look at. */
static void
add_layer(CommitGroup *group, ChangeLayer *layer)
{
	static const RecordKey first = { .size = 0 };
	ChangePlace *place;

	for (place = change_layer_seek(layer, record_slice(&first));
	     place != NULL; place = change_place_next(place)) {
		const Change *change = change_place_get(place);
		KvChange put = { .key = change->key };

		if (change->value != NULL) {
			record_seal(change->key, change->value, change->size);
			put.value.data = change->value;
			put.value.size = change->size + RECORD_SEAL_SIZE;
		}
		g_array_append_val(group->changes, put);
	}
}

static void
build_batch(CommitGroup *group, KvBatch *ret_batch)
{
	Store *store = group->store;
	KvSlice seq_key = record_slice(&group->seq_key);
	GList *l;

	add_layer(group, store->frozen);
	for (l = group->waiters.head; l != NULL; l = l->next) {
		const CommitWaiter *waiter = l->data;

		if (waiter->layer != NULL && waiter->r == 0)
			add_layer(group, waiter->layer);
		/* Over what it keeps, which the layer would make an orphan. */
		if (waiter->entry != NULL)
			add_layer(group, waiter->entry->records);
	}

	record_seal(seq_key, group->seq_old, 8);
	*ret_batch = (KvBatch){
		.changes = (const KvChange *)(void *)group->changes->data,
		.count = group->changes->len,
		.guard = { .key = seq_key,
		           .value = { group->seq_old,
		                      sizeof(group->seq_old) } },
	};
}

/* ---- committing ----------------------------------------------------------*/

int
commit_take_base(Store *store)
{
	g_autoptr(KvSnapshot) fresh = NULL;
	RecordKey key = record_key_meta(RECORD_META_SEQ);
	KvSlice value;
	uint64_t seq;
	int r;

	r = kv_snapshot(store->kv, &fresh);
	if (r == 0)
		r = kv_get(fresh, record_slice(&key), &value);
	if (r == 0)
		r = record_unseal(record_slice(&key), &value);
	if (r == 0)
		r = record_u64_decode(value, &seq);
	if (r < 0)
		return r;

	kv_snapshot_end(store->base);
	store->base = g_steal_pointer(&fresh);
	store->seq = seq;
	return 0;
}

static void
committed(void *user_data, KvResult result)
{
	CommitGroup *group = user_data;

	STORE_LOCK(group->store);
	group->result = result;
	group->is_done = true;
	g_cond_broadcast(&group->store->done);
}

/* Unlocks while the batch is on its way. */
static KvResult
send_batch(CommitGroup *group)
{
	Store *store = group->store;
	KvBatch batch;

	group->is_done = false;
	g_mutex_unlock(&store->lock);
	build_batch(group, &batch);
	kv_commit(store->kv, &batch, committed, group);
	g_mutex_lock(&store->lock);
	while (!group->is_done)
		g_cond_wait(&store->done, &store->lock);
	return group->result;
}

/* After a failure of the disk the database is opened anew, for what it has in
 * memory may not be what is on the disk. Then seq says what became of the last
 * batch. Without an open one there is no base, and each round tries again. */
static KvResult
recover(Store *store)
{
	uint64_t before = store->seq;
	bool is_settled;

	g_clear_pointer(&store->base, kv_snapshot_end);
	if (kv_reopen(store->kv, &is_settled) < 0 ||
	    commit_take_base(store) < 0)
		return KV_UNKNOWN;
	if (store->seq == before + 1 && !is_settled) {
		/* It is there, but a power cut might take it away again. */
		g_clear_pointer(&store->base, kv_snapshot_end);
		store->seq = before;
		return KV_UNKNOWN;
	}
	if (store->seq == before + 1)
		return KV_COMMITTED;
	return store->seq == before ? KV_IO : KV_REFUSED;
}

/* Settles what the group's batch came to, and the store's health. Returns 0 if
 * the batch is on disk, even if nothing can be read any more. */
static int
settle(Store *store, KvResult result)
{
	bool is_on_disk = result == KV_COMMITTED;

	if (is_on_disk && commit_take_base(store) < 0)
		result = KV_UNKNOWN;
	if (result == KV_IO || result == KV_UNKNOWN)
		result = recover(store);

	switch (result) {
	case KV_COMMITTED:
		store->health = STORE_HEALTHY;
		break;
	case KV_NOSPACE:
		store->health = STORE_FULL;
		break;
	case KV_REFUSED:
		store->health = STORE_LOST;
		break;
	case KV_IO:
	case KV_UNKNOWN:
	default:
		store->health = STORE_FAILED;
		break;
	}
	return is_on_disk ? 0 : commit_health_error(store);
}

/* Drops the frozen layer if it is on disk, else puts it back. */
static void
thaw(Store *store, int r)
{
	ChangeLayer *frozen = g_steal_pointer(&store->frozen);

	/* Nothing else takes the base away but a batch that leaves it there. */
	g_assert(frozen != NULL);
	if (r < 0) {
		change_layer_move_under(frozen, store->active);
		store->dirty_us = g_get_monotonic_time();
	}
	change_layer_free(frozen);
}

/* Gets back the base that an earlier round had to give up. The layer that it
 * left frozen is of a batch in doubt, of which we know now what it came to. */
static bool
has_base(Store *store)
{
	KvResult result;

	if (store->base == NULL) {
		result = recover(store);
		if (store->base == NULL)
			return false;
		store->health =
			result == KV_REFUSED ? STORE_LOST : STORE_HEALTHY;
		thaw(store, result == KV_COMMITTED ? 0 : -EIO);
		waiter_settle(store, result == KV_COMMITTED ? 0 : -EIO);
	}
	return store->health != STORE_LOST;
}

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
	waiter->r = txn->error;
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

/* Puts what every batch brings into the frozen layer. */
static void
mark(CommitGroup *group)
{
	Store *store = group->store;

	group->seq_key = record_key_meta(RECORD_META_SEQ);
	record_u64_encode(store->seq, group->seq_old);
	put_meta(store->frozen, RECORD_META_SEQ, store->seq + 1);
	put_meta(store->frozen, RECORD_META_NEXT, store->next_id);
}

/* Nobody knows whether what was sent is there. */
static void
doubt(CommitGroup *group)
{
	GList *l;

	for (l = group->waiters.head; l != NULL; l = l->next) {
		CommitWaiter *waiter = l->data;

		waiter->is_doubtful = waiter->layer != NULL && waiter->r == 0;
	}
}

/* Sends the frozen layer and the group's transactions. Where nobody can read
 * what became of them, the layer stays frozen. */
static int
commit_frozen(CommitGroup *group)
{
	Store *store = group->store;
	int r;

	mark(group);
	group->changes = g_array_new(FALSE, FALSE, sizeof(KvChange));
	r = settle(store, send_batch(group));
	g_array_unref(group->changes);
	if (store->base != NULL)
		thaw(store, r);
	else if (r < 0)
		doubt(group);
	else
		waiter_stay_frozen(store, &group->waiters);
	return r;
}

/* A batch had no room, perhaps only because what the last commit freed is kept
 * until the next. A batch of nothing is that next one. */
static void
relieve(Store *store)
{
	CommitGroup group = { .store = store };

	store->frozen = change_layer_new();
	if (commit_frozen(&group) == 0 && store->base != NULL)
		store->health = STORE_FULL;
}

/* Freezes what is pending and commits it with the group's transactions. */
static int
freeze_and_commit(CommitGroup *group)
{
	Store *store = group->store;

	store->frozen = g_steal_pointer(&store->active);
	store->active = change_layer_new();
	store->dirty_us = 0;
	store->is_forced = false;
	return commit_frozen(group);
}

/* The same, after a batch that had no room. */
static int
try_again(CommitGroup *group)
{
	Store *store = group->store;

	relieve(store);
	return store->base == NULL ? -EIO : freeze_and_commit(group);
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

/* What was undone is given up only where there is no room without it, and who
 * waits for what is pending hears of it. A transaction has its turn by itself
 * then. */
static int
commit_group(CommitGroup *group)
{
	Store *store = group->store;
	bool is_alone = count_layers(group) == 0;
	bool has_given_up = false;
	int r = freeze_and_commit(group);

	if (r == -ENOSPC &&
	    (shed_past(group) || (is_alone && quarantine_is_pending(store))))
		r = try_again(group);
	while (r == -ENOSPC && is_alone && quarantine_give_up_last(store)) {
		has_given_up = true;
		r = freeze_and_commit(group);
	}
	if (r == -ENOSPC)
		relieve(store);
	if (r == 0)
		quarantine_keep_limit(store);
	if (!has_given_up)
		return r;
	/* What it had is to be erased. */
	commit_note_change(store);
	return r == 0 ? -ENOSPC : r;
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
		r = commit_group(&one);
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
	if (!has_base(store)) {
		refuse_waiters(&group, r);
	} else {
		is_reaped = reap(store);
		take_waiters(&group);
		r = commit_health_error(store);
		if (has_something(store, &group))
			r = commit_group(&group);
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
