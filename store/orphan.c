/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How what was removed is erased
 *
 * - What loses its name, or content that loses its node, becomes an orphan: a
 *   record of its own says so, and its id is queued.
 * - The committer erases queued orphans before it freezes a group, a bounded
 *   number of records a round: removing a file of 4 GiB is as quick as any.
 *   Mail that came and went between two commits is gone before it is written.
 * - A node that is held waits for its last store_node_release(), which queues
 *   it again. After a crash the records say what is still to be erased.
 * - A directory may be an orphan with everything below it: its entries become
 *   orphans in turn.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"

/* What is erased in one round, in chunks: some milliseconds' work at most.
 * The records of chunks lie side by side, some dozens in a page; those of a
 * node are in pages of their own. */
#define ROUND_MIN 256
#define ROUND_MAX 4096
#define NODE_COST 32

void
orphan_queue(Store *store, uint64_t id)
{
	g_queue_push_tail(&store->orphans, g_memdup2(&id, sizeof(id)));
}

void
orphan_add(StoreTxn *txn, uint64_t id, RecordOrphan kind)
{
	RecordKey key = record_key_orphan(id);
	uint8_t value = (uint8_t)kind;

	txn_put(txn, record_slice(&key), (KvSlice){ &value, 1 });
	if (txn->layer == NULL)
		orphan_queue(txn->store, id);
}

void
orphan_queue_layer(Store *store, const ChangeLayer *layer)
{
	RecordKey prefix = { .size = 1, .bytes = { RECORD_ORPHAN } };
	ChangePlace *place;

	for (place = change_layer_seek(layer, record_slice(&prefix));
	     change_place_has_prefix(place, record_slice(&prefix));
	     place = change_place_next(place)) {
		const Change *change = change_place_get(place);

		if (change->value != NULL)
			orphan_queue(store, record_key_own_id(change->key));
	}
}

int
orphan_load(Store *store)
{
	RecordKey prefix = { .size = 1, .bytes = { RECORD_ORPHAN } };
	TxnIter iter;
	KvSlice key;
	KvSlice value;
	uint64_t id;
	int r;

	r = txn_iter_begin(&store->plain, &prefix, &prefix, &iter);
	iter.is_of_keys = true;
	while (r == 0) {
		r = txn_iter_next(&iter, &key, &value);
		if (r == 0 && record_key_id(key, &id))
			orphan_queue(store, id);
	}
	txn_iter_end(&iter);
	return r == -ENOENT ? 0 : r;
}

/* Erases up to *@budget records whose keys begin with @prefix. */
static int
erase_prefix(StoreTxn *txn, const RecordKey *prefix, size_t *budget,
             bool *ret_done)
{
	g_autoptr(GPtrArray) keys = NULL;
	guint i;
	int r;

	r = txn_keys(txn, prefix, prefix, *budget, &keys);
	if (r < 0)
		return r;
	for (i = 0; i < keys->len; i++)
		txn_delete(txn, txn_key_at(keys, i));
	*ret_done = keys->len < *budget;
	*budget -= keys->len;
	return 0;
}

/* Makes orphans of the entries of directory @dir. */
static int
orphan_entries(StoreTxn *txn, StoreNode dir, size_t *budget, bool *ret_done)
{
	RecordKey prefix = record_key_name(dir, "");
	g_autoptr(GPtrArray) keys = NULL;
	guint i;
	int r;

	r = txn_keys(txn, &prefix, &prefix, *budget, &keys);
	if (r < 0)
		return r;
	for (i = 0; i < keys->len; i++) {
		KvSlice key = txn_key_at(keys, i);
		RecordName name;
		RecordNode node;
		KvSlice value;

		if (txn_get(txn, key, &value) == 0 &&
		    record_name_decode(value, &name) == 0 &&
		    node_load_any(txn, name.node, &node) == 0) {
			node.attr.parent = 0;
			node.name[0] = '\0';
			node_save(txn, &node);
			orphan_add(txn, name.node, RECORD_ORPHAN_NODE);
		}
		txn_delete(txn, key);
	}
	*ret_done = keys->len < *budget;
	*budget -= keys->len;
	return 0;
}

static int
erase_node(StoreTxn *txn, StoreNode id, size_t *budget, bool *ret_done)
{
	RecordKey xattrs = record_key_xattr(id, "");
	RecordKey key = record_key_node(id);
	RecordNode node;
	int r;

	*ret_done = true;
	r = node_load_any(txn, id, &node);
	if (r == -ESTALE)
		return 0;
	if (r == 0 && S_ISDIR(node.attr.mode))
		r = orphan_entries(txn, id, budget, ret_done);
	if (r == 0 && *ret_done)
		r = erase_prefix(txn, &xattrs, budget, ret_done);
	if (r < 0 || !*ret_done)
		return r;
	if (node.data != 0)
		orphan_add(txn, node.data, RECORD_ORPHAN_DATA);
	txn_delete(txn, record_slice(&key));
	*budget -= MIN(*budget, NODE_COST);
	return 0;
}

static int
erase_data(StoreTxn *txn, uint64_t data, size_t *budget, bool *ret_done)
{
	RecordKey prefix = record_key_content(data);

	return erase_prefix(txn, &prefix, budget, ret_done);
}

/* Erases orphan @id as far as *@budget goes. */
static int
erase(StoreTxn *txn, uint64_t id, size_t *budget, bool *ret_done)
{
	RecordKey key = record_key_orphan(id);
	uint8_t kind = 0;
	KvSlice value;
	int r;

	*ret_done = true;
	r = txn_get(txn, record_slice(&key), &value);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (value.size == 1)
		memcpy(&kind, value.data, 1);

	if (kind == RECORD_ORPHAN_DATA)
		r = erase_data(txn, id, budget, ret_done);
	else if (!node_is_held(txn->store, id))
		r = erase_node(txn, id, budget, ret_done);
	else
		return 0; /* its release will queue it again */
	if (r == 0 && *ret_done)
		txn_delete(txn, record_slice(&key));
	return r;
}

/* What a round may erase: little when there is little room, for every page
 * that is changed has to be copied. */
size_t
orphan_budget(Store *store)
{
	KvRoom room;

	if (kv_room(store->base, &room) < 0)
		return 0;
	return (size_t)CLAMP(room.free / TXN_PAGE, ROUND_MIN, ROUND_MAX);
}

bool
orphan_reap(Store *store, size_t budget)
{
	bool is_done = true;

	while (budget > 0 && !g_queue_is_empty(&store->orphans)) {
		g_autofree uint64_t *id = g_queue_pop_head(&store->orphans);

		/* What cannot be read stays; the check will tell. */
		if (erase(&store->plain, *id, &budget, &is_done) == 0 &&
		    !is_done)
			g_queue_push_head(&store->orphans,
			                  g_steal_pointer(&id));
	}
	return g_queue_is_empty(&store->orphans);
}
