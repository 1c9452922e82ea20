/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How the journal stays within bounds
 *
 * - An entry loses its past when the pasts of all take too much, and goes itself
 *   when it is too old or there are too many; always the oldest first. Its head
 *   says so at once; what it had is erased in steps, by the committer, which
 *   finds it at the beginning of its part: what is there of no entry that has
 *   it. So a crash in between loses nothing.
 * - How old an entry is, is told by the store's own clock, which goes while the
 *   store is open for writing: that of the machine may be set forward by years,
 *   and back again, and nothing kept may be lost by that. What a crash loses of
 *   it is the time since the last entry.
 * - Content that was kept becomes an orphan, and is erased as any (orphan.c).
 * - Where there is no room the journal gives way: who needs room presses it, and
 *   an entry that does not fit is written without its past.
 */

#include <errno.h>

#include "store/internal.h"
#include "store/journal_record.h"

/* Most lines: heads, and files. Some 20 MiB. */
#define LINES_MAX 200000

/* What one round of the committer gives away where there is no room; and the
 * lines that stay then, for they would make next to none. */
#define PRESSED_BYTES ((uint64_t)1 << 20)
#define PRESSED_LINES 1000
#define LINES_MIN     1000

#define NS_PER_S INT64_C(1000000000)

static void
put_plain(Store *store, RecordKey key, GByteArray *value)
{
	txn_put(&store->plain, record_slice(&key),
	        (KvSlice){ value->data, value->len });
	g_byte_array_unref(value);
}

/* ---- heads ---------------------------------------------------------------*/

int
journal_next(Store *store, uint64_t from, StoreJournalEntry *ret_entry,
             char text[JOURNAL_TEXT_MAX])
{
	RecordKey prefix = journal_key_part(JOURNAL_HEAD);
	RecordKey first = journal_key(JOURNAL_HEAD, from);
	TxnIter iter;
	int r;

	r = txn_iter_begin(&store->plain, &prefix, &first, &iter);
	if (r == 0)
		r = journal_head_next(&iter, ret_entry, text);
	txn_iter_end(&iter);
	return r;
}

int
journal_get(Store *store, uint64_t id, StoreJournalEntry *ret_entry,
            char text[JOURNAL_TEXT_MAX])
{
	RecordKey key = journal_key(JOURNAL_HEAD, id);
	KvSlice value;
	int r;

	r = txn_get(&store->plain, record_slice(&key), &value);
	return r < 0 ? r : journal_head_decode(id, value, ret_entry, text);
}

/* Says that nothing up to entry @id, which ended at @ns, can be looked at: never
 * that something can which could not. */
static void
raise_since(Store *store, uint64_t id, int64_t ns)
{
	JournalSince *since = &store->journal.since;

	if (id > since->id)
		*since = (JournalSince){ id, ns };
	/* It may be known and not on disk, if the commit that said so failed. */
	put_plain(store, journal_key_since(), journal_since_encode(since));
}

static void
load_since(Store *store)
{
	JournalSince *since = &store->journal.since;
	RecordKey key = journal_key_since();
	KvSlice value;
	int r;

	r = txn_get(&store->plain, record_slice(&key), &value);
	if (r == 0)
		r = journal_since_decode(value, since);
	if (r == 0)
		return;
	/* No journal was kept before; or nobody knows since when. */
	*since = (JournalSince){ r == -ENOENT ? 0 : store->next_id - 1,
		                 store_now_ns() };
	if (store->access == STORE_WRITE)
		put_plain(store, key, journal_since_encode(since));
}

int64_t
journal_served_ns(const Store *store)
{
	const Journal *journal = &store->journal;

	return journal->served_ns +
	       (g_get_monotonic_time() - journal->opened_us) * 1000;
}

void
journal_put_served(Store *store)
{
	RecordKey key = record_key_meta(RECORD_META_SERVED);
	uint8_t number[8];

	record_u64_encode((uint64_t)journal_served_ns(store), number);
	txn_put(&store->plain, record_slice(&key),
	        (KvSlice){ number, sizeof(number) });
}

/* A crash may have lost the number, but no entry. */
static void
load_served(Store *store)
{
	RecordKey key = record_key_meta(RECORD_META_SERVED);
	uint64_t served = 0;
	KvSlice value;

	if (txn_get(&store->plain, record_slice(&key), &value) == 0)
		(void)record_u64_decode(value, &served);
	store->journal.served_ns = (int64_t)served;
	store->journal.opened_us = g_get_monotonic_time();
}

/* What is counted of the heads, and which of them are damaged. */
typedef struct Heads {
	Store *store;
	GArray *damaged;  /* uint64_t; owned */
	int64_t known_ns; /* when the first sound one behind them ended; 0 */
} Heads;

static void
count_head(Heads *heads, uint64_t id)
{
	Journal *journal = &heads->store->journal;
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;

	if (journal_get(heads->store, id, &entry, text) < 0) {
		g_array_append_val(heads->damaged, id);
		heads->known_ns = 0;
		return;
	}
	journal->bytes += entry.bytes;
	journal->lines += entry.files + 1;
	journal->served_ns = MAX(journal->served_ns, entry.served_ns);
	if (heads->known_ns == 0)
		heads->known_ns = entry.ended_ns;
}

static int
count_heads(Heads *heads)
{
	RecordKey prefix = journal_key_part(JOURNAL_HEAD);
	JournalPart part;
	TxnIter iter;
	KvSlice key;
	KvSlice value;
	uint64_t id;
	int r;

	r = txn_iter_begin(&heads->store->plain, &prefix, &prefix, &iter);
	iter.is_of_keys = true;
	while (r == 0) {
		r = txn_iter_next(&iter, &key, &value);
		if (r == 0 && journal_key_read(key, &part, &id) &&
		    part == JOURNAL_HEAD)
			count_head(heads, id);
	}
	txn_iter_end(&iter);
	return r == -ENOENT ? 0 : r;
}

static int erase_entry(Store *store, uint64_t id);

/* An entry whose head is damaged is given up with all that it has, for mail is
 * whole without it; what was before it is not known any more. */
static int
count_entries(Store *store)
{
	g_autoptr(GArray) damaged = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	Heads heads = { store, damaged, 0 };
	int r = count_heads(&heads);
	guint i;

	for (i = 0; r == 0 && i < damaged->len; i++) {
		uint64_t id = g_array_index(damaged, uint64_t, i);

		g_warning("database: journal %" G_GUINT64_FORMAT
		          " is damaged, and given up",
		          id);
		raise_since(store, id,
		            heads.known_ns != 0 ? heads.known_ns
		                                : store_now_ns());
		r = erase_entry(store, id);
	}
	return r;
}

int
journal_load(Store *store)
{
	load_since(store);
	store->journal.has_remains = true;
	load_served(store);
	return store->access == STORE_WRITE ? count_entries(store) : 0;
}

/* ---- giving away ---------------------------------------------------------*/

/* Says that @entry has no past any more. */
static void
strip(Store *store, StoreJournalEntry *entry)
{
	store->journal.bytes -= entry->bytes;
	store->journal.has_remains = true;
	raise_since(store, entry->id, entry->ended_ns);
	entry->has_past = false;
	entry->bytes = 0;
	put_plain(store, journal_key(JOURNAL_HEAD, entry->id),
	          journal_head_encode(entry));
}

/* Takes its past from the oldest entry that has one. Errors: -ENOENT. */
static int
strip_oldest(Store *store)
{
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry = { .id = store->journal.stripped };
	int r;

	do
		r = journal_next(store, entry.id + 1, &entry, text);
	while (r == 0 && !entry.has_past);
	if (r < 0)
		return r;
	store->journal.stripped = entry.id;
	strip(store, &entry);
	return 0;
}

static void
forget(Store *store, StoreJournalEntry *entry)
{
	RecordKey key = journal_key(JOURNAL_HEAD, entry->id);

	if (entry->has_past)
		strip(store, entry);
	store->journal.lines -= entry->files + 1;
	store->journal.has_remains = true;
	txn_delete(&store->plain, record_slice(&key));
}

static int
forget_oldest(Store *store)
{
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;
	int r;

	r = journal_next(store, 0, &entry, text);
	if (r == 0)
		forget(store, &entry);
	return r;
}

static bool
is_too_old(Store *store)
{
	int64_t age_ns = (int64_t)store->options.journal_age_s * NS_PER_S;
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;

	return journal_next(store, 0, &entry, text) == 0 &&
	       entry.served_ns + age_ns < journal_served_ns(store);
}

/* Somebody needs room: first the pasts go, then the lines. */
static void
give_way(Store *store)
{
	uint64_t bytes = store->journal.bytes;
	uint64_t lines = store->journal.lines;
	int r = 0;

	while (r == 0 && store->journal.bytes > 0 &&
	       bytes - store->journal.bytes < PRESSED_BYTES)
		r = strip_oldest(store);
	while (r == 0 && bytes == 0 && store->journal.lines > LINES_MIN &&
	       lines - store->journal.lines < PRESSED_LINES)
		r = forget_oldest(store);
	store->journal.is_pressed = false;
}

static void
keep_limits(Store *store, size_t budget)
{
	const StoreOptions *options = &store->options;
	int r = 0;

	if (store->journal.is_pressed)
		give_way(store);
	/* So many at a time: of each the head is written anew. */
	for (; r == 0 && budget > 0 &&
	       store->journal.bytes > options->journal_max;
	     budget--)
		r = strip_oldest(store);
	for (; r == 0 && budget > 0 &&
	       (store->journal.lines > LINES_MAX || is_too_old(store));
	     budget--)
		r = forget_oldest(store);
}

/* ---- erasing -------------------------------------------------------------*/

/* Whether entry @id has records of part @part. */
static bool
has_part(Store *store, JournalPart part, uint64_t id)
{
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;
	int r = journal_get(store, id, &entry, text);

	/* What cannot be read now is not erased now. */
	return r == 0 ? part != JOURNAL_PAST || entry.has_past : r != -ENOENT;
}

static void
erase_record(Store *store, JournalPart part, KvSlice key)
{
	JournalPast past;
	uint64_t id;
	KvSlice of;

	if (part == JOURNAL_PAST && journal_key_read_past(key, &past, &of) &&
	    (past == JOURNAL_NODE || past == JOURNAL_DATA) &&
	    record_part_id(of, &id))
		orphan_add(&store->plain, id,
		           past == JOURNAL_NODE ? RECORD_ORPHAN_NODE
		                                : RECORD_ORPHAN_DATA);
	txn_delete(&store->plain, key);
}

/* Erases records of part @part that no entry has. Returns whether none is
 * left. */
static bool
erase_part(Store *store, JournalPart part, size_t *budget)
{
	RecordKey prefix = journal_key_part(part);
	g_autoptr(GPtrArray) keys = NULL;
	uint64_t last = 0;
	uint64_t id;
	guint i;

	if (txn_keys(&store->plain, &prefix, &prefix, *budget, &keys) < 0)
		return true;
	for (i = 0; i < keys->len; i++) {
		KvSlice key = txn_key_at(keys, i);

		if (!journal_key_read(key, &part, &id) ||
		    (id != last && has_part(store, part, id)))
			return true;
		erase_record(store, part, key);
		--*budget;
		last = id;
	}
	return *budget > 0;
}

/* Erases all that entry @id has, and the entry. */
static int
erase_entry(Store *store, uint64_t id)
{
	static const JournalPart parts[] = { JOURNAL_FILE, JOURNAL_PAST,
		                             JOURNAL_HEAD };
	guint i;
	guint j;

	for (i = 0; i < G_N_ELEMENTS(parts); i++) {
		RecordKey prefix = journal_key(parts[i], id);
		g_autoptr(GPtrArray) keys = NULL;
		int r = txn_keys(&store->plain, &prefix, &prefix, G_MAXSIZE,
		                 &keys);

		if (r < 0)
			return r;
		for (j = 0; j < keys->len; j++)
			erase_record(store, parts[i], txn_key_at(keys, j));
	}
	return 0;
}

bool
journal_reap(Store *store, size_t budget)
{
	keep_limits(store, budget);
	if (store->journal.has_remains)
		store->journal.has_remains =
			!erase_part(store, JOURNAL_FILE, &budget) ||
			!erase_part(store, JOURNAL_PAST, &budget);
	return !store->journal.has_remains;
}

bool
journal_press(Store *store)
{
	store->journal.is_pressed = true;
	return store->journal.bytes > 0 || store->journal.lines > LINES_MIN ||
	       store->journal.has_remains;
}

/* ---- shedding ------------------------------------------------------------*/

/* A layer whose entries lose what they have of the past. */
typedef struct Shed {
	Store *store;
	ChangeLayer *layer;
	uint64_t bytes;
} Shed;

static void
shed_head(Shed *shed, const Change *change)
{
	KvSlice value = { change->value, change->size };
	g_autoptr(GByteArray) bytes = NULL;
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;
	JournalPart part;
	RecordKey key;
	uint64_t id;
	bool is_head;
	int r;

	/* It is our own, and just made. */
	is_head = journal_key_read(change->key, &part, &id);
	g_assert(is_head);
	r = journal_head_decode(id, value, &entry, text);
	g_assert(r == 0);
	if (!entry.has_past)
		return;
	shed->bytes += entry.bytes;
	entry.has_past = false;
	entry.bytes = 0;
	key = journal_key(JOURNAL_HEAD, id);
	bytes = journal_head_encode(&entry);
	change_layer_put(shed->layer, record_slice(&key),
	                 (KvSlice){ bytes->data, bytes->len });
	journal_raise_since(shed->store, id, entry.ended_ns, shed->layer);
}

static void
shed_past(const Shed *shed, const Change *change)
{
	JournalPast past;
	uint8_t kind;
	RecordKey orphan;
	uint64_t id = 0;
	KvSlice of;
	bool is_past;

	/* It is our own, and just made. */
	is_past = journal_key_read_past(change->key, &past, &of);
	g_assert(is_past);
	if (past == JOURNAL_NODE || past == JOURNAL_DATA) {
		is_past = record_part_id(of, &id);
		g_assert(is_past);
		orphan = record_key_orphan(id);
		kind = past == JOURNAL_NODE ? RECORD_ORPHAN_NODE
		                            : RECORD_ORPHAN_DATA;
		change_layer_put(shed->layer, record_slice(&orphan),
		                 (KvSlice){ &kind, 1 });
		orphan_queue(shed->store, id);
	}
	change_layer_forget(shed->layer, change->key);
}

/* The changes of part @part that put something. */
static GPtrArray *
puts_of(const ChangeLayer *layer, JournalPart part)
{
	RecordKey prefix = journal_key_part(part);
	ChangePlace *place = change_layer_seek(layer, record_slice(&prefix));
	GPtrArray *changes = g_ptr_array_new();

	/* The files of an entry are between its head and the next. */
	for (; change_place_has_prefix(place, record_slice(&prefix));
	     place = change_place_next(place)) {
		const Change *change = change_place_get(place);
		JournalPart found = part;
		uint64_t id;
		bool is_ours;

		if (change->value == NULL)
			continue;
		is_ours = journal_key_read(change->key, &found, &id);
		g_assert(is_ours);
		if (found == part)
			g_ptr_array_add(changes, (void *)(uintptr_t)change);
	}
	return changes;
}

uint64_t
journal_shed(Store *store, ChangeLayer *layer)
{
	g_autoptr(GPtrArray) heads = puts_of(layer, JOURNAL_HEAD);
	g_autoptr(GPtrArray) pasts = puts_of(layer, JOURNAL_PAST);
	Shed shed = { .store = store, .layer = layer };
	guint i;

	for (i = 0; i < heads->len; i++)
		shed_head(&shed, heads->pdata[i]);
	for (i = 0; i < pasts->len; i++)
		shed_past(&shed, pasts->pdata[i]);
	return shed.bytes;
}
