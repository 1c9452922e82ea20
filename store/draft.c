/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How a draft stays true
 *
 * - It is written over again and again while its transaction goes on. What is not
 *   staged any more has to go from it, lest it hide what was spilled since.
 * - The transaction may be undone while the database is closed. So the keys of
 *   all that it may have are remembered.
 * - A checkpoint ends it, and another is begun; where the checkpoint fails, the
 *   other has all, and it goes. Where that has no room, it stays.
 */

#include <errno.h>

#include "store/internal.h"

/* Notes the records of the draft that @layer takes out of it. */
static void
note_ended(StoreTxn *txn, const ChangeLayer *layer)
{
	RecordKey prefix = record_key_undone(txn->draft);
	ChangePlace *place = change_layer_seek(layer, record_slice(&prefix));

	for (; change_place_has_prefix(place, record_slice(&prefix));
	     place = change_place_next(place)) {
		const Change *change = change_place_get(place);

		if (change->value == NULL)
			g_hash_table_add(txn->drafted,
			                 g_bytes_new(change->key.data,
			                             change->key.size));
	}
}

/* Notes those that may be there again if that they go is given up. */
static void
note_going(StoreTxn *txn)
{
	note_ended(txn, txn->store->active);
	if (txn->store->frozen != NULL)
		note_ended(txn, txn->store->frozen);
}

void
draft_begin(StoreTxn *txn)
{
	txn->draft = node_new_id(txn->store);
	g_clear_pointer(&txn->drafted, g_hash_table_unref);
	txn->drafted =
		g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
	                              (GDestroyNotify)g_bytes_unref, NULL);
}

void
draft_adopt(StoreTxn *txn, uint64_t id)
{
	txn->draft = id;
	g_hash_table_remove_all(txn->drafted);
	note_ended(txn, txn->layer);
	note_going(txn);
}

void
draft_note(StoreTxn *txn, const RecordKey *key)
{
	g_hash_table_add(txn->drafted, g_bytes_new(key->bytes, key->size));
}

/* Whether the record of an entry with @key is of what @layer has staged. */
static bool
is_wanted(const ChangeLayer *layer, KvSlice key)
{
	const Change *change;
	RecordPart part;
	RecordKey node;
	uint64_t id;
	KvSlice of;

	if (!record_key_part_of(key, &part, &of))
		return false;
	switch (part) {
	case RECORD_PART_PUT:
	case RECORD_PART_DELETE:
		change = change_layer_find(layer, of);
		return change != NULL &&
		       (change->value != NULL) == (part == RECORD_PART_PUT);
	case RECORD_PART_FILE:
		if (!record_part_id(of, &id))
			return false;
		node = record_key_node(id);
		return change_layer_find(layer, record_slice(&node)) != NULL;
	case RECORD_PART_CONTENT:
	case RECORD_PART_HEAD:
	default:
		return true;
	}
}

/* A GHFunc of keys: takes out the record with this one unless it is wanted. */
static void
drop_unwanted(void *bytes, void *unused, void *user_data)
{
	StoreTxn *txn = user_data;
	KvSlice key;

	(void)unused;
	key.data = g_bytes_get_data(bytes, &key.size);
	if (!is_wanted(txn->layer, key))
		txn_delete(&txn->store->plain, key);
}

void
draft_prune(StoreTxn *txn)
{
	RecordKey prefix = record_key_undone(txn->draft);
	g_autoptr(GPtrArray) keys = NULL;
	guint i;

	if (txn_keys(&txn->store->plain, &prefix, &prefix, SIZE_MAX, &keys) <
	    0) {
		/* While the database is closed, what may be there is known. */
		g_hash_table_foreach(txn->drafted, drop_unwanted, txn);
		return;
	}
	g_hash_table_remove_all(txn->drafted);
	note_going(txn);
	for (i = 0; i < keys->len; i++) {
		g_hash_table_add(txn->drafted, g_bytes_ref(keys->pdata[i]));
		drop_unwanted(keys->pdata[i], NULL, txn);
	}
}

bool
draft_is_pending(const Store *store, uint64_t id)
{
	RecordKey prefix = record_key_undone(id);
	RecordKey head =
		record_key_part(id, RECORD_PART_HEAD, (KvSlice){ "", 0 });
	ChangePlace *place =
		change_layer_seek(store->active, record_slice(&prefix));

	while (change_place_has_prefix(place, record_slice(&prefix)) &&
	       change_compare_keys(change_place_get(place)->key,
	                           record_slice(&head)) == 0)
		place = change_place_next(place);
	return change_place_has_prefix(place, record_slice(&prefix));
}

uint64_t
draft_content_of(KvSlice key)
{
	uint64_t data;
	RecordPart part;
	KvSlice of;

	return record_key_part_of(key, &part, &of) &&
	                       part == RECORD_PART_CONTENT &&
	                       record_part_id(of, &data)
	               ? data
	               : 0;
}

/* Lets go of @data unless entry @id has it on the disk: what was written while
 * nobody could read that may be no news. */
static void
disown(Store *store, uint64_t id, uint64_t data, bool of_draft)
{
	RecordKey key = record_key_part_id(id, RECORD_PART_CONTENT, data);
	RecordKey chunks = record_key_content(data);
	g_autoptr(ChangeLayer) nowhere = change_layer_new();
	KvSlice value;

	if (txn_get(&store->plain, record_slice(&key), &value) != -ENOENT)
		return;
	spill_disown(store, data);
	if (of_draft)
		return;
	change_layer_move_prefix(store->active, record_slice(&chunks), nowhere);
	orphan_queue(store, data);
}

void
draft_revert(Store *store, uint64_t id, bool of_draft)
{
	RecordKey prefix = record_key_undone(id);
	KvSlice from = record_slice(&prefix);
	ChangePlace *place = change_layer_seek(store->active, from);

	while (change_place_has_prefix(place, from)) {
		const Change *change = change_place_get(place);
		uint64_t data = change->value != NULL
		                        ? draft_content_of(change->key)
		                        : 0;

		change_layer_forget(store->active, change->key);
		if (data != 0)
			disown(store, id, data, of_draft);
		place = change_layer_seek(store->active, from);
	}
}

/* Has entry @id own @data again, if it does on the disk. */
static void
own(Store *store, uint64_t id, uint64_t data)
{
	RecordKey key = record_key_part_id(id, RECORD_PART_CONTENT, data);
	RecordKey orphan = record_key_orphan(data);
	KvSlice value;

	if (txn_get(&store->plain, record_slice(&key), &value) != -ENOENT)
		txn_delete(&store->plain, record_slice(&orphan));
}

void
draft_restore(Store *store, uint64_t id)
{
	RecordKey prefix = record_key_undone(id);
	KvSlice from = record_slice(&prefix);
	ChangePlace *place = change_layer_seek(store->active, from);

	while (change_place_has_prefix(place, from)) {
		KvSlice key = change_place_get(place)->key;
		uint64_t data = draft_content_of(key);

		change_layer_forget(store->active, key);
		if (data != 0)
			own(store, id, data);
		place = change_layer_seek(store->active, from);
	}
}

uint64_t
draft_ended_by(const ChangeLayer *layer)
{
	RecordKey prefix = { .size = 1, .bytes = { RECORD_UNDONE } };
	ChangePlace *place = change_layer_seek(layer, record_slice(&prefix));

	return change_place_has_prefix(place, record_slice(&prefix))
	               ? record_key_own_id(change_place_get(place)->key)
	               : 0;
}
