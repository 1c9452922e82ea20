/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How a draft stays true
 *
 * - It is written over again and again while its transaction goes on. What is not
 *   staged any more has to go from it, lest it hide what was spilled since.
 * - The transaction may be undone while the database is closed. So the keys of
 *   all that was written are remembered.
 */

#include "store/internal.h"

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

static void
drop_unwanted(StoreTxn *txn, KvSlice key)
{
	if (!is_wanted(txn->layer, key))
		txn_delete(&txn->store->plain, key);
}

void
draft_prune(StoreTxn *txn)
{
	RecordKey prefix = record_key_undone(txn->draft);
	g_autoptr(GPtrArray) keys = NULL;
	GHashTableIter iter;
	KvSlice key;
	void *bytes;
	guint i;

	if (txn_keys(&txn->store->plain, &prefix, &prefix, SIZE_MAX, &keys) ==
	    0) {
		for (i = 0; i < keys->len; i++)
			drop_unwanted(txn, txn_key_at(keys, i));
		return;
	}
	/* While the database is closed, what was written is known. */
	g_hash_table_iter_init(&iter, txn->drafted);
	while (g_hash_table_iter_next(&iter, &bytes, NULL)) {
		key.data = g_bytes_get_data(bytes, &key.size);
		drop_unwanted(txn, key);
	}
}
