/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sys/stat.h>

#include "store/internal.h"

#define PERMISSIONS 07777U

int64_t
store_now_ns(void)
{
	return g_get_real_time() * 1000;
}

int
node_load_any(StoreTxn *txn, StoreNode node, RecordNode *ret_node)
{
	RecordKey key = record_key_node(node);
	KvSlice value;
	int r;

	r = txn_get(txn, record_slice(&key), &value);
	if (r == -ENOENT)
		return -ESTALE;
	if (r < 0)
		return r;
	return record_node_decode(node, value, ret_node);
}

/* Whether only the record of @node is left, to be erased. */
static bool
is_gone(const StoreTxn *txn, const RecordNode *node)
{
	return node->attr.parent == 0 && node->attr.node != STORE_ROOT &&
	       !node_is_held(txn->store, node->attr.node);
}

int
node_load(StoreTxn *txn, StoreNode node, RecordNode *ret_node)
{
	int r = node_load_any(txn, node, ret_node);

	return r == 0 && is_gone(txn, ret_node) ? -ESTALE : r;
}

void
node_save(StoreTxn *txn, const RecordNode *node)
{
	RecordKey key = record_key_node(node->attr.node);
	uint8_t buf[RECORD_NODE_MAX];
	size_t size = record_node_encode(node, buf);

	txn_put(txn, record_slice(&key), (KvSlice){ buf, size });
}

uint64_t
node_new_id(Store *store)
{
	return store->next_id++;
}

int
store_attr_get(StoreTxn *txn, StoreNode node, StoreAttr *ret_attr)
{
	RecordNode record;
	int r;

	STORE_LOCK(txn->store);
	r = node_load(txn, node, &record);
	if (r == 0)
		*ret_attr = record.attr;
	return r;
}

static void
apply_attr(StoreAttr *to, const StoreAttr *from, unsigned set)
{
	if (set & STORE_SET_MODE)
		to->mode = (to->mode & S_IFMT) | (from->mode & PERMISSIONS);
	if (set & STORE_SET_UID)
		to->uid = from->uid;
	if (set & STORE_SET_GID)
		to->gid = from->gid;
	if (set & STORE_SET_ATIME)
		to->atime_ns = from->atime_ns;
	if (set & STORE_SET_MTIME)
		to->mtime_ns = from->mtime_ns;
	if (set & STORE_SET_BTIME)
		to->btime_ns = from->btime_ns;
	to->ctime_ns = set & STORE_SET_CTIME ? from->ctime_ns : store_now_ns();
}

int
store_attr_set(StoreTxn *txn, StoreNode node, const StoreAttr *attr,
               unsigned set, StoreAttr *ret_attr)
{
	RecordNode record;
	int r;

	STORE_LOCK(txn->store);
	r = txn_admit_node(txn, node, 0);
	if (r == 0)
		r = node_load(txn, node, &record);
	if (r < 0)
		return txn_result(txn, r);

	apply_attr(&record.attr, attr, set);
	node_save(txn, &record);
	*ret_attr = record.attr;
	return 0;
}

/* ---- holds ---------------------------------------------------------------*/

bool
node_is_held(const Store *store, StoreNode node)
{
	return g_hash_table_contains(store->holds, &node);
}

void
store_node_hold(Store *store, StoreNode node)
{
	uint64_t *count;

	STORE_LOCK(store);
	count = g_hash_table_lookup(store->holds, &node);
	if (count != NULL) {
		(*count)++;
		return;
	}
	count = g_new(uint64_t, 1);
	*count = 1;
	g_hash_table_insert(store->holds, g_memdup2(&node, sizeof(node)),
	                    count);
}

void
store_node_release(Store *store, StoreNode node)
{
	RecordNode record;
	uint64_t *count;

	STORE_LOCK(store);
	count = g_hash_table_lookup(store->holds, &node);
	g_assert(count != NULL && *count > 0);
	if (--*count > 0)
		return;
	g_hash_table_remove(store->holds, &node);
	/* It may have lost its name meanwhile, and waited for this. If it
	 * cannot be read now, whoever erases it will look again. */
	if (store->access == STORE_WRITE &&
	    (node_load_any(&store->plain, node, &record) < 0 ||
	     record.attr.parent == 0)) {
		orphan_queue(store, node);
		commit_note_change(store);
	}
}

/* ---- paths ---------------------------------------------------------------*/

/* Deeper than any directory: what was moved before there was a limit may be. */
#define DEPTH_MAX (2 * STORE_DEPTH_MAX)

int
node_path(StoreTxn *txn, StoreNode node, char **ret_path)
{
	g_autoptr(GString) path = g_string_new(NULL);
	RecordNode record;
	int depth;
	int r;

	for (depth = 0; node != STORE_ROOT; depth++) {
		if (depth > DEPTH_MAX)
			return -ENAMETOOLONG;
		r = node_load(txn, node, &record);
		if (r < 0)
			return r;
		if (record.attr.parent == 0)
			return -ESTALE;
		g_string_prepend(path, record.name);
		g_string_prepend_c(path, '/');
		node = record.attr.parent;
	}
	if (path->len == 0)
		g_string_append_c(path, '/');
	*ret_path = g_string_free(g_steal_pointer(&path), FALSE);
	return 0;
}

int
store_node_path(StoreTxn *txn, StoreNode node, char **ret_path)
{
	STORE_LOCK(txn->store);
	return node_path(txn, node, ret_path);
}
