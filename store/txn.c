/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "store/internal.h"

/* Kept free so that deletions can always be committed, in bytes. */
#define RESERVE ((uint64_t)1 << 20)

/* What must fit, in bytes, if a store is not to be called full. */
#define SMALL_MESSAGE 16384

/* Rounds that one call waits for at most: it may take many to erase a large
 * file where there is little room. */
#define FIND_ROUNDS 64

/* Records that one call may change beside the content: a rename of all kinds
 * of things does. */
#define CALL_RECORDS 12

/* ---- reading -------------------------------------------------------------*/

/* The places of the layers. */
#define OWN    0
#define FLIGHT 1
#define ACTIVE 2
#define FROZEN 3

/* The layers that @txn sees, topmost first; some may be NULL. */
static void
layers_of(const StoreTxn *txn, ChangeLayer *ret_layers[TXN_LAYERS])
{
	ret_layers[OWN] = txn->layer;
	ret_layers[FLIGHT] = txn->flight;
	ret_layers[ACTIVE] = txn->store->active;
	ret_layers[FROZEN] = txn->store->frozen;
}

/* The layer that @txn writes to. */
static ChangeLayer *
top(const StoreTxn *txn)
{
	return txn->layer != NULL ? txn->layer : txn->store->active;
}

static int
unseal(KvSlice key, KvSlice *value)
{
	int r = record_unseal(key, value);

	if (r < 0)
		g_warning("database: a record of table '%c' is damaged",
		          ((const char *)key.data)[0]);
	return r;
}

/* Whether it would be taken for what a client has written that @key is not
 * there. */
static bool
is_content(KvSlice key)
{
	uint8_t table = *(const uint8_t *)key.data;

	return table == RECORD_CHUNK || table == RECORD_NAME ||
	       table == RECORD_NODE;
}

static int
get_below(StoreTxn *txn, KvSlice key, int from_layer, KvSlice *ret_value)
{
	ChangeLayer *layers[TXN_LAYERS];
	KvSlice value;
	int i;
	int r;

	layers_of(txn, layers);
	for (i = from_layer; i < TXN_LAYERS; i++) {
		const Change *change =
			layers[i] == NULL ? NULL
					  : change_layer_find(layers[i], key);

		if (change == NULL)
			continue;
		if (change->value == NULL)
			return -ENOENT;
		*ret_value = (KvSlice){ change->value, change->size };
		return 0;
	}

	if (txn->store->base == NULL)
		return -EIO;
	r = kv_get(txn->store->base, key, &value);
	if (r == -ENOENT && is_content(key))
		r = absence_prove(txn->store->base, key);
	if (r == 0)
		r = unseal(key, &value);
	if (r == 0)
		*ret_value = value;
	return r;
}

int
txn_get(StoreTxn *txn, KvSlice key, KvSlice *ret_value)
{
	return get_below(txn, key, OWN, ret_value);
}

/* ---- writing -------------------------------------------------------------*/

/* The layer that @txn writes to, before a change of it. */
typedef struct Before {
	ChangeLayer *layer;
	size_t bytes;
	size_t count;
	uint64_t beneath; /* what is staged for the first time replaces it */
	bool is_first;
} Before;

/* What is below all that @txn has staged. If that cannot be read, the commit
 * could not be verified. */
static uint64_t
digest_below(StoreTxn *txn, KvSlice key)
{
	KvSlice value;
	int r = get_below(txn, key, FLIGHT, &value);

	if (r < 0 && r != -ENOENT && txn->error == 0)
		txn->error = r;
	return claim_digest(r == 0 ? &value : NULL);
}

static Before
before(StoreTxn *txn, KvSlice key)
{
	ChangeLayer *layer = top(txn);
	Before b = { .layer = layer,
		     .bytes = change_layer_bytes(layer),
		     .count = change_layer_count(layer) };

	b.is_first = txn->layer != NULL && claim_guards(key) &&
	             change_layer_find(layer, key) == NULL;
	if (b.is_first)
		b.beneath = digest_below(txn, key);
	return b;
}

/* After the change: counts what is staged, or says that something is new. */
static void
after(StoreTxn *txn, KvSlice key, const Before *b)
{
	Store *store = txn->store;
	Change *change;

	if (txn->layer == NULL) {
		commit_note_change(store);
		return;
	}
	store->staged += change_layer_bytes(b->layer) - b->bytes;
	store->staged_count += change_layer_count(b->layer) - b->count;
	change = b->is_first ? change_layer_find(b->layer, key) : NULL;
	if (change != NULL)
		change->beneath = b->beneath;
}

void
txn_count(Store *store, const ChangeLayer *layer)
{
	store->staged += change_layer_bytes(layer);
	store->staged_count += change_layer_count(layer);
}

void
txn_uncount(Store *store, const ChangeLayer *layer)
{
	store->staged -= change_layer_bytes(layer);
	store->staged_count -= change_layer_count(layer);
}

void
txn_put(StoreTxn *txn, KvSlice key, KvSlice value)
{
	Before b = before(txn, key);

	change_layer_put(top(txn), key, value);
	after(txn, key, &b);
}

/* A deletion is remembered only over something that is there below: a file
 * that came and went between two commits leaves nothing to write. */
void
txn_delete(StoreTxn *txn, KvSlice key)
{
	int below = txn->layer != NULL ? FLIGHT : FROZEN;
	Before b = before(txn, key);
	KvSlice value;

	if (get_below(txn, key, below, &value) == -ENOENT)
		change_layer_forget(top(txn), key);
	else
		change_layer_delete(top(txn), key);
	after(txn, key, &b);
}

int
txn_edit(StoreTxn *txn, KvSlice key, size_t size, uint8_t **ret_bytes)
{
	Before b = before(txn, key);
	KvSlice old;
	int r;

	if (change_layer_find(top(txn), key) == NULL) {
		r = txn_get(txn, key, &old);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0)
			change_layer_put(top(txn), key, old);
	}
	*ret_bytes = change_layer_resize(top(txn), key, size);
	after(txn, key, &b);
	return 0;
}

/* ---- scanning ------------------------------------------------------------*/

/* Who reads what is left goes on behind what is damaged. */
static bool
is_salvage(const StoreTxn *txn)
{
	return txn->store->access == STORE_SALVAGE;
}

/* Whether nothing may be missing from a scan of @prefix. */
static bool
is_proven(const StoreTxn *txn, const RecordKey *prefix)
{
	return is_content(record_slice(prefix)) && !is_salvage(txn);
}

static bool
has_prefix(KvSlice key, const RecordKey *prefix)
{
	return key.size >= prefix->size &&
	       memcmp(key.data, prefix->bytes, prefix->size) == 0;
}

/* Moves the base's scan on; at its end there is no scan any more. A key out of
 * its order is damaged, and one behind the prefix may be one of it. */
static int
step_base(TxnIter *iter)
{
	KvSlice last = iter->base_key;
	KvSlice value;
	int r = kv_iter_next(iter->base, &iter->base_key, &iter->base_value);

	if (r == 0 && last.data != NULL &&
	    change_compare_keys(last, iter->base_key) >= 0) {
		g_warning("database: it is damaged (a key is out of order); "
		          "see poctl check");
		r = -EIO;
	}
	if (r == 0 && has_prefix(iter->base_key, &iter->prefix))
		return 0;
	value = iter->base_value;
	if (r == 0 && is_proven(iter->txn, &iter->prefix))
		r = unseal(iter->base_key, &value);
	g_clear_pointer(&iter->base, kv_iter_end);
	return r == -ENOENT ? 0 : r;
}

int
txn_iter_begin(StoreTxn *txn, const RecordKey *prefix, const RecordKey *from,
               TxnIter *ret_iter)
{
	ChangeLayer *layers[TXN_LAYERS];
	int r = -ENOENT;
	int i;

	*ret_iter = (TxnIter){ .txn = txn, .prefix = *prefix };
	layers_of(txn, layers);
	for (i = 0; i < TXN_LAYERS; i++)
		if (layers[i] != NULL)
			ret_iter->places[i] = change_layer_seek(
				layers[i], record_slice(from));

	if (txn->store->base == NULL)
		return -EIO;
	if (is_proven(txn, prefix))
		r = absence_prove(txn->store->base, record_slice(from));
	if (r == -ENOENT)
		r = kv_iter(txn->store->base, record_slice(from),
		            &ret_iter->base);
	return r < 0 ? r : step_base(ret_iter);
}

/* The change at a place of the scan, or NULL behind the prefix. */
static const Change *
change_at(const TxnIter *iter, int i)
{
	const Change *change;

	if (iter->places[i] == NULL)
		return NULL;
	change = change_place_get(iter->places[i]);
	return has_prefix(change->key, &iter->prefix) ? change : NULL;
}

/* Finds the smallest key that any layer or the base is at. */
static bool
smallest_key(const TxnIter *iter, KvSlice *ret_key)
{
	bool is_found = iter->base != NULL;
	int i;

	if (is_found)
		*ret_key = iter->base_key;
	for (i = 0; i < TXN_LAYERS; i++) {
		const Change *change = change_at(iter, i);

		if (change == NULL)
			continue;
		if (!is_found || change_compare_keys(change->key, *ret_key) < 0)
			*ret_key = change->key;
		is_found = true;
	}
	return is_found;
}

/* Takes @key from all that are at it; the topmost tells the change, NULL if
 * only the base has it. */
static const Change *
take_change(TxnIter *iter, KvSlice key)
{
	const Change *found = NULL;
	int i;

	for (i = 0; i < TXN_LAYERS; i++) {
		const Change *change = change_at(iter, i);

		if (change == NULL ||
		    change_compare_keys(change->key, key) != 0)
			continue;
		if (found == NULL)
			found = change;
		iter->places[i] = change_place_next(iter->places[i]);
	}
	return found;
}

int
txn_iter_next(TxnIter *iter, KvSlice *ret_key, KvSlice *ret_value)
{
	KvSlice key;

	while (smallest_key(iter, &key)) {
		const Change *change = take_change(iter, key);
		KvSlice value = iter->base_value;
		int r = 0;

		if (iter->base != NULL &&
		    change_compare_keys(iter->base_key, key) == 0) {
			/* LMDB's memory stays; only the scan moves on. */
			key = iter->base_key;
			r = step_base(iter);
		}
		if (r == 0 && change == NULL && !iter->is_of_keys)
			r = unseal(key, &value);
		if (r < 0 && is_salvage(iter->txn))
			continue;
		if (r < 0)
			return r;
		if (change != NULL && change->value == NULL)
			continue;

		*ret_key = key;
		*ret_value = change == NULL
		                     ? value
		                     : (KvSlice){ change->value, change->size };
		return 0;
	}
	return -ENOENT;
}

void
txn_iter_end(TxnIter *iter)
{
	g_clear_pointer(&iter->base, kv_iter_end);
}

int
txn_keys(StoreTxn *txn, const RecordKey *prefix, const RecordKey *from,
         size_t max, GPtrArray **ret_keys)
{
	g_autoptr(GPtrArray) keys =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	TxnIter iter;
	KvSlice key;
	KvSlice value;
	int r;

	r = txn_iter_begin(txn, prefix, from, &iter);
	iter.is_of_keys = true;
	while (r == 0 && keys->len < max) {
		r = txn_iter_next(&iter, &key, &value);
		if (r == 0)
			g_ptr_array_add(keys, g_bytes_new(key.data, key.size));
	}
	txn_iter_end(&iter);
	if (r < 0 && r != -ENOENT)
		return r;
	*ret_keys = g_steal_pointer(&keys);
	return 0;
}

/* ---- admission -----------------------------------------------------------*/

/*
 * What a commit of @count records with @bytes in all may take, at most: every
 * one may be in a page of its own, and that page is copied. So near the end
 * little may be pending, and what is is committed first.
 */
static uint64_t
commit_cost(uint64_t count, uint64_t bytes)
{
	return bytes + bytes / 4 + count * TXN_PAGE;
}

/* That of what is pending and of one more call that writes @size bytes. */
static uint64_t
cost_with(const Store *store, uint64_t size)
{
	uint64_t count = size / RECORD_CHUNK_SMALL + CALL_RECORDS;

	return commit_cost(commit_pending_count(store) + count,
	                   commit_pending(store) + size);
}

/* Whether there is room for @cost; what the next commit frees counts as
 * *@ret_soon, and what others still read as *@ret_later. */
static bool
has_room(Store *store, uint64_t cost, bool *ret_soon, bool *ret_later)
{
	KvRoom room;

	*ret_soon = *ret_later = false;
	if (cost <= store->room / 2)
		return true;
	if (kv_room(store->base, &room) < 0)
		return false;
	store->room = room.free;
	*ret_soon = cost <= room.free + room.freed;
	*ret_later = cost <= room.free + room.freed + room.pinned;
	return cost <= room.free;
}

bool
txn_fits(const StoreTxn *txn)
{
	const Store *store = txn->store;
	uint64_t others = store->staged + store->deferred;
	uint64_t others_count = store->staged_count + store->deferred_count;
	uint64_t bytes = change_layer_bytes(txn->layer);
	uint64_t count = change_layer_count(txn->layer);
	KvRoom room;

	bytes += commit_pending(store) - MIN(others, commit_pending(store));
	count += commit_pending_count(store) -
	         MIN(others_count, commit_pending_count(store));
	return kv_room(store->base, &room) < 0 ||
	       commit_cost(count, bytes) <= room.free;
}

static uint64_t
reserve(Store *store)
{
	KvRoom room;
	int r = kv_room(store->base, &room);

	return r < 0 ? RESERVE : MIN(RESERVE, room.map_size / 8);
}

bool
txn_is_full(Store *store)
{
	KvRoom room;

	return kv_room(store->base, &room) == 0 &&
	       room.free + room.freed + store->journal.bytes <
	               cost_with(store, SMALL_MESSAGE) + reserve(store);
}

/* Looks for room, as long as rounds can make some: what was just deleted may
 * not have been erased yet, what was erased by one commit is free after the
 * next, and when neither is enough the journal gives way. */
static bool
find_room(Store *store, uint64_t size)
{
	uint64_t kept = size > 0 ? reserve(store) : 0;
	unsigned rounds;

	for (rounds = 0; rounds < FIND_ROUNDS; rounds++) {
		bool is_idle = commit_pending_count(store) == 0;
		bool has_more = !g_queue_is_empty(&store->orphans);
		bool soon;
		bool later;

		if (has_room(store, cost_with(store, size) + kept, &soon,
		             &later))
			return true;
		/* What is staged stays pending, and makes no room; nor does
		 * the past while what others read is in the way. */
		if (!later && !has_more && (is_idle || rounds > 0))
			has_more = journal_press(store);
		/* Two rounds have taken along what could be committed. */
		if ((is_idle || rounds > 1) && !soon && !has_more)
			return false;
		/* What is erased before it was written makes a full one go on. */
		if (store->health != STORE_HEALTHY && rounds > 0 &&
		    (store->health != STORE_FULL || !has_more))
			return false;
		commit_wait_round(store, is_idle || soon);
	}
	return false;
}

/* Plain changes are slowed down to what the disk takes; so is who spills, and
 * more so, to be small in memory. */
static void
throttle(StoreTxn *txn)
{
	Store *store = txn->store;
	uint64_t limit = store->options.dirty_limit;

	if (txn->layer != NULL && txn->spilled == NULL)
		return;
	if (txn->layer != NULL)
		limit = MIN(limit, 2 * store->options.staged_limit);
	while (commit_pending(store) - store->staged >
	               MIN(limit, store->window) &&
	       store->health == STORE_HEALTHY)
		commit_wait_round(store, false);
}

/* A full store lets in what makes room, within bounds; a failing one nothing. */
static bool
is_open_for(const Store *store, uint64_t size)
{
	return store->health == STORE_HEALTHY ||
	       (store->health == STORE_FULL && size == 0 &&
	        commit_pending(store) < 2 * store->options.dirty_limit);
}

int
txn_admit(StoreTxn *txn, uint64_t size)
{
	Store *store = txn->store;
	bool has_found;
	int r;

	if (store->access != STORE_WRITE || txn->lost != NULL)
		return -EROFS;
	if (txn->layer != NULL && size > 0) {
		r = spill_admit(txn, size);
		if (r < 0)
			return r;
	}
	throttle(txn);
	if (!is_open_for(store, size))
		commit_wait_round(store, false);
	if (!is_open_for(store, size))
		return commit_health_error(store);

	has_found = find_room(store, size);
	if (!is_open_for(store, size))
		return commit_health_error(store);
	/* What makes room is let in in any case. */
	return has_found || size == 0 ? 0 : -ENOSPC;
}

int
txn_admit_node(StoreTxn *txn, StoreNode node, uint64_t size)
{
	RecordKey key = record_key_node(node);
	int r;

	do
		r = txn_admit(txn, size);
	while (claim_wait(txn, record_slice(&key)));
	return r;
}

int
txn_result(StoreTxn *txn, int r)
{
	bool is_refusal =
		r != -EIO && r != -ENOSPC && r != -EFBIG && r != -EROFS;

	if (r < 0 && !is_refusal && txn->layer != NULL && txn->error == 0)
		txn->error = r;
	return r;
}
