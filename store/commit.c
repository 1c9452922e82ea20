/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How a commit works
 *
 * - One thread commits, one group after the other. A group is what is pending
 *   when it begins; who asks meanwhile is in the next one.
 * - It begins at once when somebody waits, else sync_ms after the first plain
 *   change.
 * - The frozen layer and the transactions' layers go into one batch. Nobody
 *   changes them meanwhile, so the batch only borrows.
 * - Every batch counts up "seq" and is guarded by its old value. So a second
 *   writer cannot slip in, and after an unclear failure the value says whether
 *   the batch is there.
 * - A failed group: its transactions end with the error; its plain changes,
 *   which everybody has seen, go back under the active layer, and are tried
 *   again with the next group.
 */

#include <errno.h>

#include "store/internal.h"

typedef struct CommitWaiter {
	StoreDone *done;
	void *user_data;
	StoreTxn *txn; /* owned; NULL: waits for plain changes only */
} CommitWaiter;

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

/* ---- state ---------------------------------------------------------------*/

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
		store->dirty_us = 1;
		g_cond_signal(&store->wake);
		g_cond_wait(&store->done, &store->lock);
	}
}

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

		if (waiter->txn != NULL)
			add_layer(group, waiter->txn->layer);
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

	g_mutex_unlock(&store->lock);
	build_batch(group, &batch);
	kv_commit(store->kv, &batch, committed, group);
	g_mutex_lock(&store->lock);
	while (!group->is_done)
		g_cond_wait(&store->done, &store->lock);
	return group->result;
}

/*
 * After a failure of the disk the database is opened anew, for what it has in
 * memory may not be what is on the disk. Then seq says what became of the last
 * batch. If it cannot be opened there is no base, and each round tries again.
 */
static KvResult
recover(Store *store)
{
	uint64_t before = store->seq;

	g_clear_pointer(&store->base, kv_snapshot_end);
	if (kv_reopen(store->kv) < 0 || commit_take_base(store) < 0)
		return KV_UNKNOWN;
	if (store->seq == before + 1)
		return KV_COMMITTED;
	return store->seq == before ? KV_IO : KV_REFUSED;
}

/* Gets back a base that an earlier round had to give up. */
static bool
has_base(Store *store)
{
	if (store->base == NULL && recover(store) == KV_REFUSED)
		store->health = STORE_LOST;
	return store->base != NULL && store->health != STORE_LOST;
}

/* Settles what the group's batch came to, and the store's health. */
static int
settle(Store *store, KvResult result)
{
	if (result == KV_COMMITTED && commit_take_base(store) < 0)
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
	return commit_health_error(store);
}

/* Drops the frozen layer if it is on disk, else puts it back. */
static void
thaw(Store *store, int r)
{
	ChangeLayer *frozen = g_steal_pointer(&store->frozen);

	if (r < 0) {
		change_layer_move_under(frozen, store->active);
		store->dirty_us = g_get_monotonic_time();
	}
	change_layer_free(frozen);
}

static void
waiter_end(CommitWaiter *waiter, int r)
{
	waiter->done(waiter->user_data, r);
	g_free(waiter);
}

/* Ends the group's transactions, then answers, unlocked. */
static void
answer(CommitGroup *group, int r)
{
	Store *store = group->store;
	CommitWaiter *waiter;
	GList *l;

	for (l = group->waiters.head; l != NULL; l = l->next) {
		waiter = l->data;
		if (waiter->txn == NULL)
			continue;
		store->staged -= change_layer_bytes(waiter->txn->layer);
		if (r == 0)
			orphan_queue_layer(store, waiter->txn->layer);
	}

	g_mutex_unlock(&store->lock);
	while ((waiter = g_queue_pop_head(&group->waiters)) != NULL) {
		StoreTxn *txn = waiter->txn;

		if (txn != NULL)
			g_clear_pointer(&txn->layer, change_layer_free);
		g_clear_pointer(&txn, store_txn_abort);
		waiter_end(waiter, r);
	}
	g_mutex_lock(&store->lock);
}

static bool
has_something(const Store *store)
{
	GList *l;

	if (store->is_forced || change_layer_count(store->active) > 0)
		return true;
	for (l = store->waiters.head; l != NULL; l = l->next)
		if (((const CommitWaiter *)l->data)->txn != NULL)
			return true;
	return false;
}

static void
freeze(CommitGroup *group)
{
	Store *store = group->store;

	group->waiters = store->waiters;
	g_queue_init(&store->waiters);
	group->seq_key = record_key_meta(RECORD_META_SEQ);
	record_u64_encode(store->seq, group->seq_old);

	put_meta(store->active, RECORD_META_SEQ, store->seq + 1);
	put_meta(store->active, RECORD_META_NEXT, store->next_id);
	store->frozen = g_steal_pointer(&store->active);
	store->active = change_layer_new();
	store->dirty_us = 0;
	store->is_forced = false;
}

/* One round: reap, freeze, write, thaw, answer. */
static void
commit_round(Store *store)
{
	CommitGroup group = { .store = store };
	int r;

	orphan_reap(store);
	if (!has_base(store) || !has_something(store)) {
		group.waiters = store->waiters;
		g_queue_init(&store->waiters);
		store->dirty_us = 0;
		r = commit_health_error(store);
	} else {
		group.changes = g_array_new(FALSE, FALSE, sizeof(KvChange));
		freeze(&group);
		r = settle(store, send_batch(&group));
		thaw(store, r);
		g_array_unref(group.changes);
	}
	store->room = 0;
	store->rounds++;
	g_cond_broadcast(&store->done);
	answer(&group, r);
}

/* ---- the thread ----------------------------------------------------------*/

/* Waits until a round is due. Returns false when the store closes. */
static bool
wait_for_work(Store *store)
{
	int64_t delay_us = (int64_t)store->options.sync_ms * 1000;

	for (;;) {
		if (store->waiters.length > 0 || store->stop)
			return !store->stop;
		if (store->dirty_us == 0)
			g_cond_wait(&store->wake, &store->lock);
		else if (!g_cond_wait_until(&store->wake, &store->lock,
		                            store->dirty_us + delay_us))
			return true;
	}
}

static void *
committer_main(void *user_data)
{
	Store *store = user_data;

	STORE_LOCK(store);
	while (wait_for_work(store))
		commit_round(store);
	/* Erasing one orphan may leave others: go on until nothing is left. */
	do
		commit_round(store);
	while (store->health == STORE_HEALTHY && has_something(store));
	return NULL;
}

void
commit_start(Store *store)
{
	store->committer = g_thread_new("commit", committer_main, store);
}

int
commit_stop(Store *store)
{
	g_mutex_lock(&store->lock);
	store->stop = true;
	g_cond_signal(&store->wake);
	g_mutex_unlock(&store->lock);
	g_thread_join(g_steal_pointer(&store->committer));
	return commit_health_error(store);
}

/* ---- what the callers ask ------------------------------------------------*/

static void
wait_for_round(Store *store, StoreTxn *txn, StoreDone *done, void *user_data)
{
	CommitWaiter *waiter = g_new(CommitWaiter, 1);

	*waiter = (CommitWaiter){ done, user_data, txn };
	g_queue_push_tail(&store->waiters, waiter);
	g_cond_signal(&store->wake);
}

void
store_sync(Store *store, StoreDone *done, void *user_data)
{
	if (store->committer == NULL) {
		done(user_data, 0);
		return;
	}

	STORE_LOCK(store);
	wait_for_round(store, NULL, done, user_data);
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
	wait_for_round(t->store, t, done, user_data);
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
