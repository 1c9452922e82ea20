/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How a transaction stays small in memory
 *
 * - Content under a data id that the transaction has made itself is named by
 *   nobody else. When too much is staged, such chunks move to the plain layer,
 *   and so to the disk; the transaction still reads them there.
 * - An orphan record says that nobody names them: after a crash they are swept.
 *   It is not queued, so nobody erases them meanwhile. What the transaction
 *   has staged deletes that record; so the commit that names the content ends
 *   its being an orphan.
 * - Where all transactions together have much in memory, each moves on what it
 *   can sooner.
 * - Whatever else becomes of the transaction, what is still an orphan then is
 *   queued.
 */

#include <errno.h>

#include "store/internal.h"

void
spill_note_fresh(StoreTxn *txn, uint64_t data)
{
	if (txn->layer == NULL)
		return;
	if (txn->fresh == NULL)
		txn->fresh = g_hash_table_new_full(g_int64_hash, g_int64_equal,
		                                   g_free, NULL);
	g_hash_table_add(txn->fresh, g_memdup2(&data, sizeof(data)));
}

bool
spill_has(const ChangeLayer *layer, uint64_t data)
{
	RecordKey key = record_key_orphan(data);
	const Change *change = change_layer_find(layer, record_slice(&key));

	return change != NULL && change->value == NULL;
}

/* Bytes of @change, of content, that are more than what lies outside of the
 * transaction under its key. What cannot be read is taken for nothing. */
static uint64_t
added_by(StoreTxn *txn, const Change *change)
{
	uint64_t bytes = change->value == NULL ? 0 : change->size;
	KvSlice old;

	return txn_get(&txn->store->plain, change->key, &old) == 0
	               ? bytes - old.size
	               : bytes;
}

/* Bytes that the changes of content @data add to what was spilled of it; the
 * sum of both is never less than nothing. */
static uint64_t
added(StoreTxn *txn, uint64_t data)
{
	RecordKey prefix = record_key_content(data);
	ChangePlace *place =
		change_layer_seek(txn->layer, record_slice(&prefix));
	uint64_t bytes = 0;

	for (; change_place_has_prefix(place, record_slice(&prefix));
	     place = change_place_next(place))
		bytes += added_by(txn, change_place_get(place));
	return bytes;
}

/* Bytes of content @data that were spilled and are still there. */
static uint64_t
spilled(const StoreTxn *txn, uint64_t data)
{
	const uint64_t *bytes =
		txn->spilled == NULL ? NULL
				     : g_hash_table_lookup(txn->spilled, &data);

	return bytes == NULL ? 0 : *bytes;
}

/* Counts what is spilled of content @data now. Where the commit fails it is
 * asked for, long after the transaction has handed that over. */
static void
count_spilled(StoreTxn *txn, uint64_t data)
{
	uint64_t bytes = spilled(txn, data) + added(txn, data);

	if (txn->spilled == NULL)
		txn->spilled = g_hash_table_new_full(
			g_int64_hash, g_int64_equal, g_free, g_free);
	g_hash_table_insert(txn->spilled, g_memdup2(&data, sizeof(data)),
	                    g_memdup2(&bytes, sizeof(bytes)));
}

uint64_t
spill_staged(StoreTxn *txn, const RecordNode *node)
{
	RecordKey prefix = record_key_content(node->data);
	uint64_t bytes = node->content.size;
	ChangePlace *place;

	if (node->data == 0)
		return bytes;
	if (spill_has(txn->layer, node->data))
		return spilled(txn, node->data) + added(txn, node->data);
	for (place = change_layer_seek(txn->layer, record_slice(&prefix));
	     change_place_has_prefix(place, record_slice(&prefix));
	     place = change_place_next(place)) {
		const Change *change = change_place_get(place);

		bytes += change->value == NULL ? 0 : change->size;
	}
	return bytes;
}

void
spill_disown(Store *store, uint64_t data)
{
	RecordKey key = record_key_orphan(data);
	uint8_t kind = RECORD_ORPHAN_DATA;

	txn_put(&store->plain, record_slice(&key), (KvSlice){ &kind, 1 });
}

/* Where content of @data goes that need not stay in memory. */
static ChangeLayer *
destination(StoreTxn *txn, uint64_t data, ChangeLayer *nowhere)
{
	RecordKey key = record_key_orphan(data);
	const Change *change =
		change_layer_find(txn->layer, record_slice(&key));

	/* The transaction has dropped it since: nobody will read it. */
	if (change != NULL && change->value != NULL)
		return nowhere;
	if (change == NULL) {
		spill_disown(txn->store, data);
		txn_delete(txn, record_slice(&key));
	}
	return txn->store->active;
}

static void
spill(StoreTxn *txn)
{
	g_autoptr(ChangeLayer) nowhere = change_layer_new();
	Store *store = txn->store;
	GHashTableIter iter;
	void *key;

	if (txn->fresh == NULL)
		return;
	g_hash_table_iter_init(&iter, txn->fresh);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		uint64_t data = *(uint64_t *)key;
		RecordKey prefix = record_key_content(data);
		ChangeLayer *to;

		if (!change_layer_has_prefix(txn->layer, record_slice(&prefix)))
			continue;
		count_spilled(txn, data);
		to = destination(txn, data, nowhere);
		txn_uncount(store, txn->layer);
		change_layer_move_prefix(txn->layer, record_slice(&prefix), to);
		txn_count(store, txn->layer);
	}
	commit_note_change(store);
}

/* A transaction is small that stages no more than this part of what it may. */
#define SMALL_PART 16

/* What a transaction stages before it spills: less where there is little room
 * for all. */
static uint64_t
spill_limit(const Store *store)
{
	const StoreOptions *options = &store->options;

	return store->staged < options->staged_all / 2
	               ? options->staged_limit
	               : options->staged_limit / SMALL_PART;
}

/* Whether a transaction may stage @bytes, where all stage @all. */
static int
check_room(const StoreOptions *options, uint64_t bytes, uint64_t all)
{
	uint64_t room = options->staged_all;

	if (bytes > options->staged_max / SMALL_PART)
		room -= room / 4;
	return bytes > options->staged_max || all > room ? -ENOSPC : 0;
}

int
spill_admit(StoreTxn *txn, uint64_t size)
{
	const Store *store = txn->store;
	uint64_t bytes = change_layer_bytes(txn->layer);

	if (bytes + size > MAX(spill_limit(store), txn->spill_at)) {
		spill(txn);
		/* What cannot be spilled is not looked at each time. */
		bytes = change_layer_bytes(txn->layer);
		txn->spill_at = bytes + store->options.staged_limit / 4;
	}
	return check_room(&store->options, bytes + size, store->staged + size);
}

void
spill_release(Store *store, const ChangeLayer *layer)
{
	RecordKey prefix = { .size = 1, .bytes = { RECORD_ORPHAN } };
	ChangePlace *place = change_layer_seek(layer, record_slice(&prefix));

	for (; change_place_has_prefix(place, record_slice(&prefix));
	     place = change_place_next(place)) {
		const Change *change = change_place_get(place);
		KvSlice value;
		uint64_t id;

		/* A past has what is in the database, whatever that is. */
		if (!record_key_id(change->key, &id) ||
		    txn_get(&store->plain, change->key, &value) < 0)
			continue;
		orphan_queue(store, id);
		commit_note_change(store);
	}
}
