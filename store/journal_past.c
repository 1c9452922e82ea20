/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How the past is seen
 *
 * - The entries from that time on are gone through, oldest first. The first that
 *   has a value of a key has the one of that time: all of them together are a
 *   layer over what there is now, like that of any transaction.
 * - Of chunks only the entry is remembered that has their value: whoever reads a
 *   file has it from there. So the past takes no more memory, and no longer to be
 *   put together, for a large file than for a small one.
 * - Chunks have their value in the entry of the first transaction that changed
 *   them. That nobody changed them otherwise follows from their node: what one
 *   entry has left is what the next one found, and in the end what there is now.
 *   Where it is not, the content is lost, and must not be read.
 * - Before the first of them has changed it, a node may have been changed
 *   otherwise, too: then it was found with a time of change that is later than
 *   what is looked at.
 */

#include <errno.h>

#include "store/internal.h"

/* A past that is being put together. */
typedef struct Past {
	Store *store;
	StoreTxn *txn;
	GHashTable *left; /* StoreNode -> claim_digest() of what its last entry
	                   * has left; owned */
} Past;

static uint64_t *
copy_u64(uint64_t n)
{
	return g_memdup2(&n, sizeof(n));
}

static void
lose(Past *past, StoreNode node, TxnLost why)
{
	g_hash_table_insert(past->txn->lost, copy_u64(node),
	                    GINT_TO_POINTER(why));
}

TxnLost
journal_past_lost(const StoreTxn *txn, StoreNode node)
{
	return txn->lost == NULL ? TXN_KEPT
	                         : (TxnLost)GPOINTER_TO_INT(g_hash_table_lookup(
					   txn->lost, &node));
}

int
journal_past_get(void *user_data, const RecordKey *key, KvSlice *ret_value)
{
	StoreTxn *txn = user_data;
	const Change *kept = change_layer_find(txn->kept, record_slice(key));
	RecordKey to;
	uint64_t id;
	int r;

	if (kept == NULL)
		return txn_get(txn, record_slice(key), ret_value);
	if (kept->value == NULL)
		return -ENOENT;
	r = record_u64_decode((KvSlice){ kept->value, kept->size }, &id);
	if (r < 0)
		return r;
	to = journal_key_past(id, JOURNAL_VALUE, record_slice(key));
	r = txn_get(&txn->store->plain, record_slice(&to), ret_value);
	/* It has expired meanwhile; that is no hole. */
	return r == -ENOENT ? -ENODATA : r;
}

/* ---- values --------------------------------------------------------------*/

/* The chunk of @key was damaged. It matters if the file, which was found before
 * it, had that content then. */
static int
lose_chunk(Past *past, KvSlice key, KvSlice value)
{
	RecordNode file;
	StoreNode node;
	uint64_t data;
	int r;

	if (!record_key_id(key, &data) || record_u64_decode(value, &node) < 0)
		return -EIO;
	r = node_load_any(past->txn, node, &file);
	if (r == 0 && file.data == data)
		lose(past, node, TXN_LOST_DAMAGED);
	return r == -ESTALE ? 0 : r;
}

static bool
is_chunk(KvSlice key)
{
	return *(const uint8_t *)key.data == RECORD_CHUNK;
}

/* Puts the value that entry @id has of @of, at @key. */
static int
put_value(Past *past, uint64_t id, KvSlice key, KvSlice of)
{
	uint8_t number[8];
	KvSlice value;
	int r;

	if (is_chunk(of)) {
		record_u64_encode(id, number);
		change_layer_put(past->txn->kept, of,
		                 (KvSlice){ number, sizeof(number) });
		return 0;
	}
	r = txn_get(&past->store->plain, key, &value);
	if (r == 0)
		change_layer_put(past->txn->layer, of, value);
	return r;
}

/* Puts what entry @id has at @key, unless an earlier one had a value of that. */
static int
add_value(Past *past, uint64_t id, KvSlice key)
{
	ChangeLayer *layer;
	JournalPast kind;
	KvSlice value;
	KvSlice of;
	int r;

	if (!journal_key_read_past(key, &kind, &of))
		return -EIO;
	layer = is_chunk(of) ? past->txn->kept : past->txn->layer;
	if (change_layer_find(layer, of) != NULL)
		return 0;
	switch (kind) {
	case JOURNAL_VALUE:
		return put_value(past, id, key, of);
	case JOURNAL_ABSENT:
		change_layer_delete(layer, of);
		return 0;
	case JOURNAL_LOST:
		r = txn_get(&past->store->plain, key, &value);
		return r < 0 ? r : lose_chunk(past, of, value);
	case JOURNAL_NODE:
	case JOURNAL_DATA:
	default:
		return 0;
	}
}

static int
add_values(Past *past, uint64_t id)
{
	RecordKey prefix = journal_key(JOURNAL_PAST, id);
	TxnIter iter;
	KvSlice key;
	KvSlice value;
	int r;

	r = txn_iter_begin(&past->store->plain, &prefix, &prefix, &iter);
	iter.is_of_keys = true;
	while (r == 0) {
		r = txn_iter_next(&iter, &key, &value);
		if (r == 0)
			r = add_value(past, id, key);
	}
	txn_iter_end(&iter);
	return r == -ENOENT ? 0 : r;
}

static void
add_line(Past *past, const JournalFile *line)
{
	StoreNode node = line->file.node;
	const uint64_t *left = g_hash_table_lookup(past->left, &node);

	if (left != NULL && *left != line->before)
		lose(past, node, TXN_LOST_CHANGED);
	g_hash_table_insert(past->left, copy_u64(node), copy_u64(line->after));
}

static int
add_lines(Past *past, uint64_t id)
{
	RecordKey prefix = journal_key(JOURNAL_FILE, id);
	TxnIter iter;
	int r;

	r = txn_iter_begin(&past->store->plain, &prefix, &prefix, &iter);
	while (r == 0) {
		g_autofree char *paths = NULL;
		JournalFile line;

		r = journal_file_next(&iter, &id, &line, &paths);
		if (r == 0)
			add_line(past, &line);
	}
	txn_iter_end(&iter);
	return r == -ENOENT ? 0 : r;
}

static int
add_entry(Past *past, const StoreJournalEntry *entry)
{
	int r;

	if (entry->outcome == STORE_UNDONE)
		return 0;
	if (!entry->has_past)
		return -ENODATA;
	r = add_lines(past, entry->id);
	return r < 0 ? r : add_values(past, entry->id);
}

/* Compares what the last entries have left with what there is. */
static int
compare_now(Past *past)
{
	GHashTableIter iter;
	void *key;
	void *left;

	g_hash_table_iter_init(&iter, past->left);
	while (g_hash_table_iter_next(&iter, &key, &left)) {
		RecordKey node = record_key_node(*(StoreNode *)key);
		KvSlice value;
		int r = txn_get(&past->store->plain, record_slice(&node),
		                &value);

		if (r < 0 && r != -ENOENT)
			return r;
		if (claim_digest(r == 0 ? &value : NULL) != *(uint64_t *)left)
			lose(past, *(StoreNode *)key, TXN_LOST_CHANGED);
	}
	return 0;
}

/* Loses what was found by its first entry as it was not at @at_ns. */
static int
compare_then(Past *past, int64_t at_ns)
{
	GHashTableIter iter;
	RecordNode node;
	void *key;
	int r = 0;

	g_hash_table_iter_init(&iter, past->left);
	while (r == 0 && g_hash_table_iter_next(&iter, &key, NULL)) {
		r = node_load_any(past->txn, *(StoreNode *)key, &node);
		if (r == 0 && node.attr.ctime_ns > at_ns)
			lose(past, node.attr.node, TXN_LOST_CHANGED);
		/* It was not there yet. */
		r = r == -ESTALE ? 0 : r;
	}
	return r;
}

/* ---- opening -------------------------------------------------------------*/

static StoreTxn *
past_new(Store *store)
{
	StoreTxn *txn = g_atomic_rc_box_new0(StoreTxn);

	txn->store = store;
	txn->who = g_strdup("the past");
	txn->layer = change_layer_new();
	txn->kept = change_layer_new();
	txn->lost = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
	                                  NULL);
	return txn;
}

int
journal_past_of(Store *store, uint64_t from, uint64_t to, int64_t at_ns,
                StoreTxn **ret_past)
{
	Past past = { .store = store, .txn = past_new(store) };
	StoreJournalEntry entry = { .id = from - 1 };
	char text[JOURNAL_TEXT_MAX];
	int r;

	past.left = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
	                                  g_free);
	do {
		r = journal_next(store, entry.id + 1, &entry, text);
		if (r < 0 || entry.id > to)
			break;
		r = add_entry(&past, &entry);
	} while (r == 0);
	if (r == 0 || r == -ENOENT)
		r = compare_now(&past);
	if (r == 0)
		r = compare_then(&past, at_ns);
	g_hash_table_unref(past.left);
	txn_count(store, past.txn->layer);
	if (r == 0)
		*ret_past = past.txn;
	else
		txn_end(past.txn);
	return r;
}

/*
 * When entries ended. The machine's clock may have been set forward or back when
 * they did, and set right again since. But their order is known; and how long
 * ago they ended at least, by the store's own clock. What contradicts that is
 * not believed.
 */
typedef struct Times {
	int64_t now_ns;
	int64_t served_ns; /* of the last entry that says */
	int64_t last_ns;   /* when the entry before ended */
} Times;

static int
times_init(Store *store, Times *times)
{
	StoreJournalEntry entry = { .id = store->journal.since.id };
	char text[JOURNAL_TEXT_MAX];
	int r;

	*times = (Times){ .now_ns = store_now_ns(), .last_ns = INT64_MIN };
	while ((r = journal_next(store, entry.id + 1, &entry, text)) == 0)
		times->served_ns = MAX(times->served_ns, entry.served_ns);
	return r == -ENOENT ? 0 : r;
}

/* When @entry ended; to be asked of one after the other. */
static int64_t
times_end(Times *times, const StoreJournalEntry *entry)
{
	int64_t ago_ns =
		entry->served_ns > 0 ? times->served_ns - entry->served_ns : 0;
	int64_t end_ns = MIN(entry->ended_ns, times->now_ns - ago_ns);

	times->last_ns = MAX(times->last_ns, end_ns);
	return times->last_ns;
}

/* Finds the first entry that ended after @at_ns, UINT64_MAX if none did; and
 * since when the past is known. */
static int
find_entry(Store *store, int64_t at_ns, uint64_t *ret_id, int64_t *ret_reach_ns)
{
	StoreJournalEntry entry = { .id = store->journal.since.id };
	int64_t reach_ns = store->journal.since.ns;
	uint64_t found = UINT64_MAX;
	char text[JOURNAL_TEXT_MAX];
	Times times;
	int r;

	r = times_init(store, &times);
	reach_ns = MIN(reach_ns, times.now_ns);
	while (r == 0) {
		int64_t end_ns;

		r = journal_next(store, entry.id + 1, &entry, text);
		if (r < 0)
			break;
		end_ns = times_end(&times, &entry);
		reach_ns = MIN(reach_ns, end_ns);
		if (found == UINT64_MAX && end_ns > at_ns)
			found = entry.id;
	}
	if (r != -ENOENT)
		return r;
	*ret_id = found;
	*ret_reach_ns = reach_ns;
	return 0;
}

int
store_past_open(Store *store, int64_t at_ns, StoreTxn **ret_past)
{
	int64_t reach_ns;
	uint64_t id;
	int r;

	STORE_LOCK(store);
	r = find_entry(store, at_ns, &id, &reach_ns);
	if (r < 0)
		return r;
	if (at_ns < reach_ns)
		return -ENODATA;
	return journal_past_of(store, id, UINT64_MAX, at_ns, ret_past);
}

int
store_past_before(Store *store, uint64_t id, StoreTxn **ret_past)
{
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;
	int r;

	STORE_LOCK(store);
	r = journal_get(store, id, &entry, text);
	return r < 0 ? r
	             : journal_past_of(store, id, UINT64_MAX, entry.ended_ns,
	                               ret_past);
}

int
store_past_reach(Store *store, int64_t *ret_ns)
{
	uint64_t id;

	STORE_LOCK(store);
	return find_entry(store, 0, &id, ret_ns);
}
