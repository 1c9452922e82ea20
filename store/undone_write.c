/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Writing what a transaction has staged into the quarantine: a copy of each
 * record, and a line for each file.
 */

#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"

/* An entry that is being written. */
typedef struct Keep {
	StoreTxn *view; /* the transaction that is undone */
	uint64_t id;
	UndoneSum sum;
} Keep;

/* Puts a record of the entry; a draft has most of them already. */
static void
keep_record(Keep *keep, const RecordKey *key, KvSlice value)
{
	StoreTxn *plain = &keep->view->store->plain;
	KvSlice old;

	draft_note(keep->view, key);
	if (txn_get(plain, record_slice(key), &old) == 0 &&
	    change_compare_keys(old, value) == 0)
		return;
	txn_put(plain, record_slice(key), value);
}

static void
keep_change(Keep *keep, const Change *change)
{
	bool is_put = change->value != NULL;
	RecordKey key = record_key_part(
		keep->id, is_put ? RECORD_PART_PUT : RECORD_PART_DELETE,
		change->key);

	keep_record(keep, &key,
	            is_put ? (KvSlice){ change->value, change->size }
	                   : (KvSlice){ "", 0 });
}

/* Makes content of @node that was spilled the entry's. */
static void
keep_content(Keep *keep, const RecordNode *node)
{
	StoreTxn *plain = &keep->view->store->plain;
	RecordKey key =
		record_key_part_id(keep->id, RECORD_PART_CONTENT, node->data);
	RecordKey orphan = record_key_orphan(node->data);

	if (node->data == 0 || !spill_has(keep->view->layer, node->data))
		return;
	txn_delete(plain, record_slice(&orphan));
	keep_record(keep, &key, (KvSlice){ "", 0 });
}

static StoreUndoneWhat
what_happened(Store *store, const Change *change, const RecordNode *node)
{
	RecordNode old;

	if (node->attr.parent == 0)
		return STORE_UNDONE_REMOVED;
	if (change->beneath == 0)
		return STORE_UNDONE_CREATED;
	if (node_load_any(&store->plain, node->attr.node, &old) == 0 &&
	    (old.attr.parent != node->attr.parent ||
	     strcmp(old.name, node->name) != 0))
		return STORE_UNDONE_RENAMED;
	return STORE_UNDONE_CHANGED;
}

/* Writes the line of the node that was staged as @change. */
static void
keep_file(Keep *keep, const Change *change)
{
	Store *store = keep->view->store;
	KvSlice value = { change->value, change->size };
	g_autofree char *path = NULL;
	g_autoptr(GByteArray) bytes = NULL;
	StoreUndoneFile file;
	RecordNode node;
	RecordKey key;
	StoreNode id = record_key_own_id(change->key);
	int r;

	/* A transaction encodes a node, and never deletes its record. */
	r = record_node_decode(id, value, &node);
	g_assert(r == 0);
	keep_content(keep, &node);
	key = record_key_part_id(keep->id, RECORD_PART_FILE, id);
	/* It came and went within the transaction; a draft may tell of it. */
	if (node.attr.parent == 0 && change->beneath == 0) {
		txn_delete(&store->plain, record_slice(&key));
		return;
	}
	file = (StoreUndoneFile){
		.node = id,
		.mode = node.attr.mode,
		.what = what_happened(store, change, &node),
		.size = node.attr.size,
		.bytes = spill_staged(keep->view, &node),
	};
	if (node_path(file.what == STORE_UNDONE_REMOVED ? &store->plain
	                                                : keep->view,
	              id, &path) < 0)
		path = g_strdup(node.name);
	file.path = path;
	bytes = record_file_encode(&file);
	keep_record(keep, &key, (KvSlice){ bytes->data, bytes->len });
	keep->sum.files += S_ISREG(file.mode);
	keep->sum.bytes += file.bytes;
}

UndoneSum
undone_write(StoreTxn *txn, uint64_t id)
{
	Keep keep = { .view = txn, .id = id };
	ChangePlace *place = change_layer_seek(txn->layer, (KvSlice){ "", 0 });

	for (; place != NULL; place = change_place_next(place)) {
		const Change *change = change_place_get(place);
		uint8_t table = change->key_bytes[0];

		if (claim_guards(change->key) || table == RECORD_CHUNK)
			keep_change(&keep, change);
		if (table == RECORD_NODE)
			keep_file(&keep, change);
	}
	return keep.sum;
}
