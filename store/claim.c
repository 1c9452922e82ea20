/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How a transaction is kept from undoing what others have done
 *
 * - A name, a node or an extended attribute that it stages for the first time
 *   is remembered with a digest of what was beneath. Just before it is applied
 *   that must still be there, for everybody: else nothing of it happens. Chunks
 *   need no guard: who writes them writes their node.
 * - A directory in which it stages a name must still be there.
 * - A commit under way claims what it writes. A transaction that has something
 *   in common with it waits for the next one, and is verified then; a plain
 *   change of the same record waits, too.
 */

#include <errno.h>

#include <xxhash.h>

#include "store/internal.h"

static guint
slice_hash(const void *key)
{
	const KvSlice *slice = key;

	return (guint)XXH3_64bits(slice->data, slice->size);
}

static gboolean
slice_equal(const void *a, const void *b)
{
	const KvSlice *slice_a = a;
	const KvSlice *slice_b = b;

	return change_compare_keys(*slice_a, *slice_b) == 0;
}

void
claim_init(Store *store)
{
	store->claimed = g_hash_table_new(slice_hash, slice_equal);
	store->claimed_dirs = g_hash_table_new_full(g_int64_hash, g_int64_equal,
	                                            g_free, NULL);
}

void
claim_free(Store *store)
{
	g_hash_table_unref(store->claimed);
	g_hash_table_unref(store->claimed_dirs);
}

bool
claim_guards(KvSlice key)
{
	switch (*(const uint8_t *)key.data) {
	case RECORD_NODE:
	case RECORD_NAME:
	case RECORD_XATTR:
		return true;
	default:
		return false;
	}
}

uint64_t
claim_digest(const KvSlice *value)
{
	/* 0 is for what is not there. */
	return value == NULL ? 0 : XXH3_64bits(value->data, value->size) | 1;
}

/* ---- going through a layer -----------------------------------------------*/

static ChangePlace *
first_place(const ChangeLayer *layer)
{
	return change_layer_seek(layer, (KvSlice){ "", 0 });
}

/* The directory into which @change puts a name; 0 if it does not. */
static StoreNode
dir_of(const Change *change)
{
	return change->key_bytes[0] == RECORD_NAME && change->value != NULL
	               ? record_key_own_id(change->key)
	               : 0;
}

/* The directory that @change may move or remove; 0 if it is of no node. */
static StoreNode
node_of(const Change *change)
{
	return change->key_bytes[0] == RECORD_NODE
	               ? record_key_own_id(change->key)
	               : 0;
}

/* ---- verifying -----------------------------------------------------------*/

static int
verify_beneath(Store *store, const Change *change)
{
	KvSlice value;
	int r;

	r = txn_get(&store->plain, change->key, &value);
	if (r < 0 && r != -ENOENT)
		return r;
	return claim_digest(r == 0 ? &value : NULL) == change->beneath
	               ? 0
	               : -ESTALE;
}

static int
verify_dir(Store *store, const ChangeLayer *layer, StoreNode dir)
{
	RecordKey key = record_key_node(dir);
	RecordNode node;

	/* What it made or moved itself is verified as a node. */
	if (change_layer_find(layer, record_slice(&key)) != NULL)
		return 0;
	return dir_load(&store->plain, dir, &node);
}

int
claim_verify(Store *store, const ChangeLayer *layer)
{
	StoreNode last_dir = 0;
	ChangePlace *place;
	int r = 0;

	for (place = first_place(layer); r == 0 && place != NULL;
	     place = change_place_next(place)) {
		const Change *change = change_place_get(place);
		StoreNode dir = dir_of(change);

		if (claim_guards(change->key))
			r = verify_beneath(store, change);
		if (r == 0 && dir != 0 && dir != last_dir)
			r = verify_dir(store, layer, dir);
		last_dir = dir;
	}
	return r;
}

/* ---- claiming ------------------------------------------------------------*/

bool
claim_has_key(const Store *store, KvSlice key)
{
	return g_hash_table_contains(store->claimed, &key);
}

bool
claim_has_dir(const Store *store, StoreNode dir)
{
	return g_hash_table_contains(store->claimed_dirs, &dir);
}

static bool
is_free(const Store *store, const Change *change)
{
	StoreNode dir = dir_of(change);
	RecordKey dir_key = record_key_node(dir);

	return !claim_has_key(store, change->key) &&
	       !claim_has_dir(store, node_of(change)) &&
	       (dir == 0 || !claim_has_key(store, record_slice(&dir_key)));
}

bool
claim_is_free(const Store *store, const ChangeLayer *layer)
{
	ChangePlace *place;

	if (g_hash_table_size(store->claimed) == 0)
		return true;
	for (place = first_place(layer); place != NULL;
	     place = change_place_next(place))
		if (!is_free(store, change_place_get(place)))
			return false;
	return true;
}

void
claim_take(Store *store, const ChangeLayer *layer)
{
	ChangePlace *place;

	for (place = first_place(layer); place != NULL;
	     place = change_place_next(place)) {
		const Change *change = change_place_get(place);
		StoreNode dir = dir_of(change);

		if (claim_guards(change->key))
			g_hash_table_add(store->claimed,
			                 (void *)(uintptr_t)&change->key);
		if (dir != 0 && !claim_has_dir(store, dir))
			g_hash_table_add(store->claimed_dirs,
			                 g_memdup2(&dir, sizeof(dir)));
	}
}

void
claim_drop_all(Store *store)
{
	g_hash_table_remove_all(store->claimed);
	g_hash_table_remove_all(store->claimed_dirs);
}

bool
claim_concerns(const StoreTxn *txn)
{
	return txn->layer == NULL && g_hash_table_size(txn->store->claimed) > 0;
}

bool
claim_wait(StoreTxn *txn, KvSlice key)
{
	Store *store = txn->store;

	if (!claim_concerns(txn) || !claim_has_key(store, key))
		return false;
	while (claim_has_key(store, key))
		g_cond_wait(&store->done, &store->lock);
	return true;
}
