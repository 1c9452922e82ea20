/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/batch.h"

#include <errno.h>

/* One batch on its way. */
typedef struct Batch {
	Store *store;
	const GQueue *waiters; /* CommitWaiter */
	GArray *changes;       /* KvChange, borrowed from the layers */
	RecordKey seq_key;
	uint8_t seq_old[8 + RECORD_SEAL_SIZE];
	KvResult result;
	bool is_done; /* result is there; protected by the store's lock */
} Batch;

/* ---- building ------------------------------------------------------------*/

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
add_layer(Batch *batch, ChangeLayer *layer)
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
		g_array_append_val(batch->changes, put);
	}
}

static void
build(Batch *batch, KvBatch *ret_batch)
{
	Store *store = batch->store;
	KvSlice seq_key = record_slice(&batch->seq_key);
	GList *l;

	add_layer(batch, store->frozen);
	for (l = batch->waiters->head; l != NULL; l = l->next) {
		const CommitWaiter *waiter = l->data;

		if (waiter->layer != NULL && waiter->r == 0)
			add_layer(batch, waiter->layer);
		/* Over what it keeps, which the layer would make an orphan. */
		if (waiter->entry != NULL)
			add_layer(batch, waiter->entry->records);
	}

	record_seal(seq_key, batch->seq_old, 8);
	*ret_batch = (KvBatch){
		.changes = (const KvChange *)(void *)batch->changes->data,
		.count = batch->changes->len,
		.guard = { .key = seq_key,
		           .value = { batch->seq_old,
		                      sizeof(batch->seq_old) } },
	};
}

/* ---- committing ----------------------------------------------------------*/

/* Takes a new base and reads its seq. */
static int
take_base(Store *store)
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
	Batch *batch = user_data;

	STORE_LOCK(batch->store);
	batch->result = result;
	batch->is_done = true;
	g_cond_broadcast(&batch->store->done);
}

/* Unlocks while the batch is on its way. */
static KvResult
send_batch(Batch *batch)
{
	Store *store = batch->store;
	KvBatch changes;

	batch->is_done = false;
	g_mutex_unlock(&store->lock);
	build(batch, &changes);
	kv_commit(store->kv, &changes, committed, batch);
	g_mutex_lock(&store->lock);
	while (!batch->is_done)
		g_cond_wait(&store->done, &store->lock);
	return batch->result;
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
	if (kv_reopen(store->kv, &is_settled) < 0 || take_base(store) < 0)
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

/* Settles what the batch came to, and the store's health. Returns 0 if
 * the batch is on disk, even if nothing can be read any more. */
static int
settle(Store *store, KvResult result)
{
	bool is_on_disk = result == KV_COMMITTED;

	if (is_on_disk && take_base(store) < 0)
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

bool
batch_has_base(Store *store)
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

/* Puts what every batch brings into the frozen layer. */
static void
mark(Batch *batch)
{
	Store *store = batch->store;

	batch->seq_key = record_key_meta(RECORD_META_SEQ);
	record_u64_encode(store->seq, batch->seq_old);
	put_meta(store->frozen, RECORD_META_SEQ, store->seq + 1);
	put_meta(store->frozen, RECORD_META_NEXT, store->next_id);
}

/* Nobody knows whether what was sent is there. */
static void
doubt(const GQueue *waiters)
{
	GList *l;

	for (l = waiters->head; l != NULL; l = l->next) {
		CommitWaiter *waiter = l->data;

		waiter->is_doubtful = waiter->layer != NULL && waiter->r == 0;
	}
}

int
batch_commit(Store *store, const GQueue *waiters)
{
	Batch batch = { .store = store, .waiters = waiters };
	int r;

	mark(&batch);
	batch.changes = g_array_new(FALSE, FALSE, sizeof(KvChange));
	r = settle(store, send_batch(&batch));
	g_array_unref(batch.changes);
	if (store->base != NULL)
		thaw(store, r);
	else if (r < 0)
		doubt(waiters);
	else
		waiter_stay_frozen(store, waiters);
	return r;
}
