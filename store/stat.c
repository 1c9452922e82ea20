/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/headship.h"
#include "store/internal.h"

/* Counts the nodes of @snapshot. */
static int
count_nodes(KvSnapshot *snapshot, StoreStat *stat)
{
	static const uint8_t first = RECORD_NODE;
	g_autoptr(KvIter) iter = NULL;
	RecordNode node;
	KvSlice key;
	KvSlice value;
	uint64_t id;
	int r;

	r = kv_iter(snapshot, (KvSlice){ &first, 1 }, &iter);
	while (r == 0) {
		r = kv_iter_next(iter, &key, &value);
		if (r < 0 || *(const uint8_t *)key.data != RECORD_NODE)
			break;
		if (!record_key_id(key, &id) ||
		    record_unseal(key, &value) < 0 ||
		    record_node_decode(id, value, &node) < 0)
			return -EIO;
		/* What has no name is no file any more. */
		if (id != STORE_ROOT && node.attr.parent == 0)
			continue;
		if (S_ISDIR(node.attr.mode))
			stat->directories++;
		else
			stat->files++;
		stat->bytes += node.attr.size;
	}
	return r == -ENOENT ? 0 : r;
}

/* Counts the nodes of @snapshot that are to be erased. */
static int
count_orphans(KvSnapshot *snapshot, StoreStat *stat)
{
	static const uint8_t first = RECORD_ORPHAN;
	g_autoptr(KvIter) iter = NULL;
	KvSlice key;
	KvSlice value;
	int r;

	r = kv_iter(snapshot, (KvSlice){ &first, 1 }, &iter);
	while (r == 0) {
		r = kv_iter_next(iter, &key, &value);
		if (r < 0 || *(const uint8_t *)key.data != RECORD_ORPHAN)
			break;
		if (record_unseal(key, &value) < 0 || value.size != 1)
			return -EIO;
		stat->orphans +=
			*(const uint8_t *)value.data == RECORD_ORPHAN_NODE;
	}
	return r == -ENOENT ? 0 : r;
}

/* Counts the entries of the journal of @snapshot. */
static int
count_journal(KvSnapshot *snapshot, StoreStat *stat)
{
	RecordKey first = journal_key_part(JOURNAL_HEAD);
	g_autoptr(KvIter) iter = NULL;
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;
	JournalPart part;
	KvSlice key;
	KvSlice value;
	uint64_t id;
	int r;

	r = kv_iter(snapshot, record_slice(&first), &iter);
	while (r == 0) {
		r = kv_iter_next(iter, &key, &value);
		if (r < 0 || *(const uint8_t *)key.data != RECORD_JOURNAL ||
		    !journal_key_read(key, &part, &id) || part > JOURNAL_FILE)
			break;
		if (part == JOURNAL_FILE)
			continue;
		if (record_unseal(key, &value) < 0 ||
		    journal_head_decode(id, value, &entry, text) < 0)
			return -EIO;
		stat->journal++;
		stat->journal_bytes += entry.bytes;
	}
	return r == -ENOENT ? 0 : r;
}

/* Counts the quarantine of @snapshot; drafts, too. */
static int
count_undone(KvSnapshot *snapshot, StoreStat *stat)
{
	char text[2 * (RECORD_TEXT_MAX + 1)];
	RecordHead head = { .undone = { .id = 0 } };
	int r;

	for (;;) {
		RecordKey from = record_key_undone(head.undone.id + 1);
		g_autoptr(KvIter) iter = NULL;
		KvSlice key;
		KvSlice value;
		uint64_t id;

		r = kv_iter(snapshot, record_slice(&from), &iter);
		if (r == 0)
			r = kv_iter_next(iter, &key, &value);
		if (r < 0 || *(const uint8_t *)key.data != RECORD_UNDONE)
			return r == -ENOENT ? 0 : r;
		/* The head comes first. */
		if (!record_key_id(key, &id) ||
		    record_unseal(key, &value) < 0 ||
		    record_head_decode(id, value, &head, text) < 0)
			return -EIO;
		stat->undone++;
		stat->undone_bytes += head.undone.bytes;
	}
}

static int
read_meta(StoreTxn *txn, const char *name, KvSlice *ret_value)
{
	RecordKey key = record_key_meta(name);

	return txn_get(txn, record_slice(&key), ret_value);
}

static int
stat_meta(Store *store, StoreStat *stat)
{
	KvSlice value;
	KvRoom room;
	int r;

	STORE_LOCK(store);
	r = read_meta(&store->plain, RECORD_META_UUID, &value);
	if (r == 0 && value.size != sizeof(stat->uuid) - 1)
		r = -EIO;
	if (r < 0)
		return r;
	memcpy(stat->uuid, value.data, value.size);

	r = read_meta(&store->plain, RECORD_META_CLEAN, &value);
	if (r == 0 && value.size == 1)
		stat->clean = *(const uint8_t *)value.data == 1;
	r = kv_room(store->base, &room);
	if (r < 0)
		return r;
	stat->map_size = room.map_size;
	stat->disk_used = room.used;
	stat->commits = store->seq;
	r = read_meta(&store->plain, RECORD_META_FORMAT, &value);
	if (r == 0)
		r = record_u64_decode(value, &stat->format);
	if (r < 0)
		return r;
	stat->writer = headship_holder(store->dir);
	return 0;
}

int
store_stat(Store *store, StoreStat *ret_stat)
{
	g_autoptr(KvSnapshot) snapshot = NULL;
	StoreStat stat = { .format = 0 };
	int r;

	r = stat_meta(store, &stat);
	if (r == 0)
		r = kv_snapshot(store->kv, &snapshot);
	if (r == 0)
		r = count_nodes(snapshot, &stat);
	if (r == 0)
		r = count_orphans(snapshot, &stat);
	if (r == 0)
		r = count_undone(snapshot, &stat);
	if (r == 0)
		r = count_journal(snapshot, &stat);
	if (r == 0)
		*ret_stat = stat;
	return r;
}

/* What is pending takes its room soon, what the journal has of the past gives
 * way. */
static StoreRoom
room_left(const Store *store, const KvRoom *room)
{
	uint64_t pending = MIN(commit_pending(store), room->free);

	return (StoreRoom){
		.total = room->total,
		.free = room->free - pending + store->journal.bytes,
	};
}

int
store_room(Store *store, StoreRoom *ret_room)
{
	KvRoom room;
	int r;

	STORE_LOCK(store);
	r = kv_room(store->base, &room);
	if (r == 0)
		*ret_room = room_left(store, &room);
	return r;
}

int
store_vitals(Store *store, StoreVitals *ret_vitals)
{
	KvRoom room;
	int r;

	STORE_LOCK(store);
	r = kv_room(store->base, &room);
	if (r < 0)
		return r;
	*ret_vitals = (StoreVitals){
		.commits = store->seq,
		.disk_used = room.used,
		.room = room_left(store, &room),
		.error = -commit_health_error(store),
		.was_clean = store->was_clean,
	};
	if (ret_vitals->error == 0 && txn_is_full(store))
		ret_vitals->error = ENOSPC;
	quarantine_weigh(store, ret_vitals);
	return 0;
}
