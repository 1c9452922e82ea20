/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Reading what the quarantine has.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/headship.h"
#include "store/internal.h"

int
quarantine_any_head(Store *store, uint64_t id, RecordHead *ret_head,
                    char text[2 * (RECORD_TEXT_MAX + 1)])
{
	RecordKey key =
		record_key_part(id, RECORD_PART_HEAD, (KvSlice){ "", 0 });
	KvSlice value;
	int r;

	r = txn_get(&store->plain, record_slice(&key), &value);
	return r < 0 ? r : record_head_decode(id, value, ret_head, text);
}

/* Whether the transaction of a draft still goes on, here or elsewhere. */
static bool
is_alive(const Store *store, const RecordHead *head)
{
	return head->is_draft && (store->access == STORE_WRITE ||
	                          headship_holder(store->dir) != 0);
}

int
quarantine_head(Store *store, uint64_t id, RecordHead *ret_head,
                char text[2 * (RECORD_TEXT_MAX + 1)])
{
	int r = quarantine_any_head(store, id, ret_head, text);

	return r == 0 && is_alive(store, ret_head) ? -ENOENT : r;
}

int
quarantine_next_id(Store *store, uint64_t from, uint64_t *ret_id)
{
	RecordKey prefix = { .size = 1, .bytes = { RECORD_UNDONE } };
	RecordKey first = record_key_undone(from);
	g_autoptr(GPtrArray) keys = NULL;
	int r;

	r = txn_keys(&store->plain, &prefix, &first, 1, &keys);
	if (r < 0)
		return r;
	if (keys->len == 0)
		return -ENOENT;
	return record_key_id(txn_key_at(keys, 0), ret_id) ? 0 : -EIO;
}

int
store_quarantine_list(Store *store, StoreUndoneVisit *visit, void *user_data)
{
	char text[2 * (RECORD_TEXT_MAX + 1)];
	RecordHead head;
	bool go_on = true;
	uint64_t id = 0;
	int r = 0;

	STORE_LOCK(store);
	while (go_on && (r = quarantine_next_id(store, id + 1, &id)) == 0) {
		/* One that is damaged keeps nobody from the others. */
		if (quarantine_head(store, id, &head, text) == 0)
			go_on = visit(user_data, &head.undone);
	}
	return r == -ENOENT ? 0 : r;
}

/* ---- files ---------------------------------------------------------------*/

static int
visit_file(KvSlice key, KvSlice value, StoreUndoneFileVisit *visit,
           void *user_data, bool *ret_go_on)
{
	g_autofree char *path = NULL;
	StoreUndoneFile file;
	RecordPart part;
	uint64_t node;
	KvSlice of;
	int r;

	if (!record_key_part_of(key, &part, &of) || !record_part_id(of, &node))
		return -EIO;
	r = record_file_decode(node, value, &file, &path);
	if (r == 0)
		*ret_go_on = visit(user_data, &file);
	return r;
}

int
store_quarantine_files(Store *store, uint64_t id, StoreUndoneFileVisit *visit,
                       void *user_data)
{
	RecordKey prefix =
		record_key_part(id, RECORD_PART_FILE, (KvSlice){ "", 0 });
	char text[2 * (RECORD_TEXT_MAX + 1)];
	RecordHead head;
	TxnIter iter;
	KvSlice key;
	KvSlice value;
	bool go_on = true;
	int r;

	STORE_LOCK(store);
	r = quarantine_head(store, id, &head, text);
	if (r < 0)
		return r;
	r = txn_iter_begin(&store->plain, &prefix, &prefix, &iter);
	while (r == 0 && go_on) {
		r = txn_iter_next(&iter, &key, &value);
		if (r == 0)
			r = visit_file(key, value, visit, user_data, &go_on);
	}
	txn_iter_end(&iter);
	return r == -ENOENT ? 0 : r;
}

/* ---- content -------------------------------------------------------------*/

/* A file of an entry. */
typedef struct Staged {
	Store *store;
	uint64_t id; /* of the entry */
} Staged;

/* Of a FileSource: reads the record of @key as the transaction saw it. */
static int
get_staged(void *user_data, const RecordKey *key, KvSlice *ret_value)
{
	const Staged *staged = user_data;
	StoreTxn *plain = &staged->store->plain;
	RecordKey put =
		record_key_part(staged->id, RECORD_PART_PUT, record_slice(key));
	RecordKey gone = record_key_part(staged->id, RECORD_PART_DELETE,
	                                 record_slice(key));
	KvSlice nothing;
	int r;

	r = txn_get(plain, record_slice(&put), ret_value);
	if (r != -ENOENT)
		return r;
	r = txn_get(plain, record_slice(&gone), &nothing);
	if (r != -ENOENT)
		return r < 0 ? r : -ENOENT;
	return txn_get(plain, record_slice(key), ret_value);
}

static int
load_file(Store *store, uint64_t id, StoreNode node, RecordNode *ret_file)
{
	RecordKey original = record_key_node(node);
	RecordKey key =
		record_key_part(id, RECORD_PART_PUT, record_slice(&original));
	KvSlice value;
	int r;

	r = txn_get(&store->plain, record_slice(&key), &value);
	if (r == 0)
		r = record_node_decode(node, value, ret_file);
	if (r < 0)
		return r;
	return S_ISDIR(ret_file->attr.mode) ? -EISDIR : 0;
}

int
store_quarantine_read(Store *store, uint64_t id, StoreNode node,
                      uint64_t offset, void *buf, size_t size, size_t *ret_size)
{
	char text[2 * (RECORD_TEXT_MAX + 1)];
	Staged staged = { store, id };
	FileSource source = { get_staged, &staged };
	RecordHead head;
	RecordNode file;
	int r;

	STORE_LOCK(store);
	r = quarantine_head(store, id, &head, text);
	if (r == 0)
		r = load_file(store, id, node, &file);
	if (r < 0)
		return r;
	return file_read(&source, &file, offset, buf, size, ret_size);
}
