/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "store/internal.h"

/* What the database needs beside the bytes themselves: pages are copied on
 * write and not full. */
#define ESTIMATE(bytes) ((bytes) + (bytes) / 4)

/* Kept free so that deletions can always be committed, in bytes. */
#define RESERVE ((uint64_t)1 << 20)

/* ---- reading -------------------------------------------------------------*/

/* The layers that @txn sees, topmost first; some may be NULL. */
static void
layers_of(const StoreTxn *txn, ChangeLayer *ret_layers[3])
{
	ret_layers[0] = txn->layer;
	ret_layers[1] = txn->store->active;
	ret_layers[2] = txn->store->frozen;
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

static int
get_below(StoreTxn *txn, KvSlice key, int from_layer, KvSlice *ret_value)
{
	ChangeLayer *layers[3];
	KvSlice value;
	int i;
	int r;

	layers_of(txn, layers);
	for (i = from_layer; i < 3; i++) {
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
	if (r == 0)
		r = unseal(key, &value);
	if (r == 0)
		*ret_value = value;
	return r;
}

int
txn_get(StoreTxn *txn, KvSlice key, KvSlice *ret_value)
{
	return get_below(txn, key, 0, ret_value);
}

/* ---- writing -------------------------------------------------------------*/

static void
note(StoreTxn *txn)
{
	if (txn->layer == NULL)
		commit_note_change(txn->store);
}

/* Counts what @txn has staged, around a change of its layer. */
static void
count_staged(StoreTxn *txn, size_t before)
{
	if (txn->layer != NULL)
		txn->store->staged += change_layer_bytes(txn->layer) - before;
}

void
txn_put(StoreTxn *txn, KvSlice key, KvSlice value)
{
	size_t before = change_layer_bytes(top(txn));

	change_layer_put(top(txn), key, value);
	count_staged(txn, before);
	note(txn);
}

/* A deletion is remembered only over something that is there below: a file
 * that came and went between two commits leaves nothing to write. */
void
txn_delete(StoreTxn *txn, KvSlice key)
{
	int below = txn->layer != NULL ? 1 : 2;
	size_t before = change_layer_bytes(top(txn));
	KvSlice value;

	if (get_below(txn, key, below, &value) == -ENOENT)
		change_layer_forget(top(txn), key);
	else
		change_layer_delete(top(txn), key);
	count_staged(txn, before);
	note(txn);
}

int
txn_edit(StoreTxn *txn, KvSlice key, size_t size, uint8_t **ret_bytes)
{
	size_t before = change_layer_bytes(top(txn));
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
	count_staged(txn, before);
	note(txn);
	return 0;
}

/* ---- scanning ------------------------------------------------------------*/

static bool
has_prefix(KvSlice key, const RecordKey *prefix)
{
	return key.size >= prefix->size &&
	       memcmp(key.data, prefix->bytes, prefix->size) == 0;
}

/* Moves the base's scan on; at its end there is no scan any more. */
static int
step_base(TxnIter *iter)
{
	int r = kv_iter_next(iter->base, &iter->base_key, &iter->base_value);

	if (r == 0 && has_prefix(iter->base_key, &iter->prefix))
		return 0;
	g_clear_pointer(&iter->base, kv_iter_end);
	return r == -ENOENT ? 0 : r;
}

int
txn_iter_begin(StoreTxn *txn, const RecordKey *prefix, const RecordKey *from,
               TxnIter *ret_iter)
{
	ChangeLayer *layers[3];
	int i;
	int r;

	*ret_iter = (TxnIter){ .txn = txn, .prefix = *prefix };
	layers_of(txn, layers);
	for (i = 0; i < 3; i++)
		if (layers[i] != NULL)
			ret_iter->places[i] = change_layer_seek(
				layers[i], record_slice(from));

	if (txn->store->base == NULL)
		return -EIO;
	r = kv_iter(txn->store->base, record_slice(from), &ret_iter->base);
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
	for (i = 0; i < 3; i++) {
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

	for (i = 0; i < 3; i++) {
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
		if (r == 0 && change == NULL)
			r = unseal(key, &value);
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

/* Whether there is room for what is pending and @size more, beside the
 * reserve; what the next commit frees counts as *@ret_soon. */
static bool
has_room(Store *store, uint64_t size, bool *ret_soon)
{
	uint64_t need = ESTIMATE(commit_pending(store) + size);
	uint64_t reserve;
	KvRoom room;

	*ret_soon = false;
	if (need + RESERVE <= store->room / 2)
		return true;
	if (kv_room(store->kv, &room) < 0)
		return false;
	store->room = room.free;
	reserve = MIN(RESERVE, room.map_size / 8);
	*ret_soon = need + reserve <= room.free + room.freed;
	return need + reserve <= room.free;
}

/* Looks for room: what was just deleted may not have been erased yet, and
 * what was erased by the last commit is free after the next. */
static int
find_room(Store *store, uint64_t size)
{
	bool soon;

	if (has_room(store, size, &soon))
		return 0;
	commit_wait_round(store, false);
	if (has_room(store, size, &soon))
		return 0;
	if (soon)
		commit_wait_round(store, true);
	return has_room(store, size, &soon) ? 0 : -ENOSPC;
}

/* Plain changes are slowed down to what the disk takes. */
static void
throttle(Store *store)
{
	while (commit_pending(store) - store->staged >
	               store->options.dirty_limit &&
	       store->health == STORE_HEALTHY)
		commit_wait_round(store, false);
}

/* A full store lets in what makes room; a failing one nothing. */
static bool
is_open_for(const Store *store, uint64_t size)
{
	return store->health == STORE_HEALTHY ||
	       (store->health == STORE_FULL && size == 0);
}

int
txn_admit(StoreTxn *txn, uint64_t size)
{
	Store *store = txn->store;

	if (store->access == STORE_READ)
		return -EROFS;
	if (txn->layer == NULL)
		throttle(store);
	if (!is_open_for(store, size))
		commit_wait_round(store, false);
	if (!is_open_for(store, size))
		return commit_health_error(store);

	return size == 0 ? 0 : find_room(store, size);
}

int
txn_result(StoreTxn *txn, int r)
{
	if (r < 0 && txn->layer != NULL && txn->error == 0)
		txn->error = r;
	return r;
}
