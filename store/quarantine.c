/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How what was undone is kept
 *
 * - An entry is a head, a copy of each record that was staged, and a line for
 *   each file. All of it is written as plain changes, under an id of its own.
 * - A draft is an entry of a transaction that still goes on: hidden, until a
 *   store that is opened finds that its process has ended. The commit of the
 *   transaction deletes it in the same batch.
 * - Content that was spilled (spill.c) is not copied: it becomes the entry's.
 * - Entries that are not on disk yet and do not fit are given up, the last one
 *   first, lest they keep everything else from being committed. Whoever waits for
 *   what is pending then is told that there was no room.
 * - Given up is what is new in an entry. What a draft has on the disk was synced:
 *   it stays, and if its transaction has ended, it is the entry.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"

/* An entry that is known to be there. */
typedef struct Entry {
	uint64_t id;
	uint64_t bytes;
	bool is_draft;
	GArray *elders; /* uint64_t: drafts that went for it; owned; or NULL */
} Entry;

static void
entry_free(void *data)
{
	Entry *entry = data;

	g_clear_pointer(&entry->elders, g_array_unref);
	g_free(entry);
}

/* ---- what there is -------------------------------------------------------*/

void
quarantine_init(Store *store)
{
	g_queue_init(&store->undone);
}

void
quarantine_free(Store *store)
{
	g_queue_clear_full(&store->undone, entry_free);
}

static void
note_entry(Store *store, const StoreUndone *undone, bool is_draft)
{
	Entry *entry = g_new(Entry, 1);

	*entry = (Entry){ .id = undone->id,
		          .bytes = undone->bytes,
		          .is_draft = is_draft };
	g_queue_push_tail(&store->undone, entry);
	store->undone_bytes += entry->bytes;
}

void
quarantine_weigh(const Store *store, StoreVitals *vitals)
{
	GList *l;

	for (l = store->undone.head; l != NULL; l = l->next) {
		const Entry *entry = l->data;

		if (entry->is_draft)
			continue;
		vitals->undone++;
		vitals->undone_bytes += entry->bytes;
	}
}

/* Where @id is among those that are known to be there, or NULL. */
static GList *
find_entry(const Store *store, uint64_t id)
{
	GList *l = store->undone.head;

	while (l != NULL && ((const Entry *)l->data)->id != id)
		l = l->next;
	return l;
}

static void
forget_entry(Store *store, uint64_t id)
{
	GList *l = find_entry(store, id);

	if (l == NULL)
		return;
	store->undone_bytes -= ((const Entry *)l->data)->bytes;
	entry_free(l->data);
	g_queue_delete_link(&store->undone, l);
}

static void
put_head(Store *store, const RecordHead *head)
{
	RecordKey key = record_key_part(head->undone.id, RECORD_PART_HEAD,
	                                (KvSlice){ "", 0 });
	g_autoptr(GByteArray) bytes = record_head_encode(head);

	txn_put(&store->plain, record_slice(&key),
	        (KvSlice){ bytes->data, bytes->len });
}

int
quarantine_load(Store *store)
{
	char text[2 * (RECORD_TEXT_MAX + 1)];
	RecordHead head;
	uint64_t id = 0;
	int r;

	while ((r = quarantine_next_id(store, id + 1, &id)) == 0) {
		/* One that is damaged is not known, and in nobody's way. */
		if (quarantine_any_head(store, id, &head, text) < 0)
			continue;
		if (head.is_draft) {
			head.is_draft = false;
			put_head(store, &head);
		}
		note_entry(store, &head.undone, false);
	}
	return r == -ENOENT ? 0 : r;
}

/* ---- discarding ----------------------------------------------------------*/

static bool
is_draft(const Store *store, uint64_t id)
{
	const GList *l = find_entry(store, id);

	return l != NULL && ((const Entry *)l->data)->is_draft;
}

/* Content that goes with an entry may be large: it is erased in steps. That of a
 * draft is its transaction's, which may go on. A record that is damaged could
 * name somebody's mail; while the database is closed none is known to be. */
static void
discard_key(Store *store, KvSlice key, bool of_draft)
{
	uint64_t data = draft_content_of(key);
	KvSlice value;

	if (data != 0 &&
	    (txn_get(&store->plain, key, &value) == 0 || store->base == NULL)) {
		spill_disown(store, data);
		if (!of_draft)
			orphan_queue(store, data);
	}
	txn_delete(&store->plain, key);
}

static int
discard(Store *store, uint64_t id)
{
	RecordKey prefix = record_key_undone(id);
	bool of_draft = is_draft(store, id);
	g_autoptr(GPtrArray) keys = NULL;
	guint i;
	int r;

	r = txn_keys(&store->plain, &prefix, &prefix, SIZE_MAX, &keys);
	if (r < 0)
		return r;
	for (i = 0; i < keys->len; i++)
		discard_key(store, txn_key_at(keys, i), of_draft);
	forget_entry(store, id);
	return 0;
}

int
store_quarantine_discard(Store *store, uint64_t id)
{
	char text[2 * (RECORD_TEXT_MAX + 1)];
	RecordHead head;
	int r;

	STORE_LOCK(store);
	r = txn_admit(&store->plain, 0);
	if (r < 0)
		return r;
	r = quarantine_head(store, id, &head, text);
	/* What a damaged head says does not matter to who lets it go. */
	if (r == -EIO && !is_draft(store, id))
		r = 0;
	return r < 0 ? r : discard(store, id);
}

/* ---- what the committer does ---------------------------------------------*/

/* Has @id, an entry or a draft, be what it is on the disk. Returns whether it is
 * there. */
static bool
take_back(Store *store, uint64_t id, const RecordHead *lost)
{
	char text[2 * (RECORD_TEXT_MAX + 1)];
	RecordHead head;

	if (quarantine_any_head(store, id, &head, text) < 0)
		return false;

	if (!lost->is_draft) {
		head.is_draft = false;
		head.undone.reason = lost->undone.reason;
		head.undone.undone_ns = lost->undone.undone_ns;
		put_head(store, &head);
	}
	note_entry(store, &head.undone, lost->is_draft);
	return true;
}

/* Gives up what is new in @entry. */
static void
give_up(Store *store, Entry *entry)
{
	char text[2 * (RECORD_TEXT_MAX + 1)];
	uint64_t id = entry->id;
	g_autoptr(GArray) elders = g_steal_pointer(&entry->elders);
	RecordHead lost;
	bool has_some;
	guint i;
	int r = quarantine_any_head(store, id, &lost, text);

	g_assert(r == 0);
	lost.is_draft = entry->is_draft;
	draft_revert(store, id, lost.is_draft);
	forget_entry(store, id);
	has_some = take_back(store, id, &lost);
	for (i = 0; elders != NULL && i < elders->len; i++) {
		uint64_t elder = g_array_index(elders, uint64_t, i);

		draft_restore(store, elder);
		has_some |= take_back(store, elder, &lost);
	}
	if (has_some)
		g_warning("quarantine: no room, what id=%" G_GUINT64_FORMAT
		          " was to have since it was last synced is given up",
		          id);
	else
		g_warning("quarantine: no room, id=%" G_GUINT64_FORMAT
		          " is given up",
		          id);
}

/* The last entry that is still to be written, or NULL. */
static Entry *
last_pending(const Store *store)
{
	GList *l;

	for (l = store->undone.tail; l != NULL; l = l->prev) {
		Entry *entry = l->data;

		if (draft_is_pending(store, entry->id))
			return entry;
	}
	return NULL;
}

/* Whether @entry is an entry, and on the disk. */
static bool
is_there(const Store *store, const Entry *entry)
{
	return !entry->is_draft && !draft_is_pending(store, entry->id);
}

/* The last one that is; *@ret_bytes are those of all that are, drafts too. */
static const Entry *
last_there(const Store *store, uint64_t *ret_bytes)
{
	const Entry *last = NULL;
	GList *l;

	*ret_bytes = 0;
	for (l = store->undone.head; l != NULL; l = l->next) {
		const Entry *entry = l->data;

		if (draft_is_pending(store, entry->id))
			continue;
		*ret_bytes += entry->bytes;
		if (!entry->is_draft)
			last = entry;
	}
	return last;
}

void
quarantine_keep_limit(Store *store)
{
	uint64_t limit = store->options.quarantine_max;
	const Entry *last;
	uint64_t bytes;
	GList *next;
	GList *l;

	if (!store->undone_has_grown || store->undone_bytes <= limit) {
		store->undone_has_grown = false;
		return;
	}

	last = last_there(store, &bytes);
	for (l = store->undone.head; l != NULL && bytes > limit; l = next) {
		const Entry *entry = l->data;

		next = l->next;
		if (entry == last || !is_there(store, entry))
			continue;
		g_warning(
			"quarantine: discarded the oldest entry, id=%" G_GUINT64_FORMAT
			" bytes=%" G_GUINT64_FORMAT,
			entry->id, entry->bytes);
		bytes -= entry->bytes;
		if (discard(store, entry->id) < 0)
			return;
	}
}

bool
quarantine_is_pending(const Store *store)
{
	return last_pending(store) != NULL;
}

bool
quarantine_give_up_last(Store *store)
{
	Entry *entry = last_pending(store);

	if (entry == NULL)
		return false;
	give_up(store, entry);
	waiter_refuse_plain(store);
	return true;
}

/* ---- keeping -------------------------------------------------------------*/

/* As discard_key(), of a key that the draft of a transaction may have. */
static void
discard_known(void *bytes, void *unused, void *user_data)
{
	KvSlice key;

	(void)unused;
	key.data = g_bytes_get_data(bytes, &key.size);
	discard_key(user_data, key, true);
}

/* What cannot be listed now goes by what is known of it. */
static void
discard_draft(StoreTxn *txn)
{
	RecordKey head = record_key_part(txn->draft, RECORD_PART_HEAD,
	                                 (KvSlice){ "", 0 });

	if (txn->draft == 0 || discard(txn->store, txn->draft) == 0)
		return;

	g_hash_table_foreach(txn->drafted, discard_known, txn->store);
	discard_key(txn->store, record_slice(&head), true);
	forget_entry(txn->store, txn->draft);
}

void
quarantine_drop_draft(StoreTxn *txn)
{
	discard_draft(txn);
	txn->draft = 0;
}

/* One that was to go already is there again where that was given up. */
static void
forget_drafts_of(Store *store, const ChangeLayer *layer)
{
	RecordKey prefix = { .size = 1, .bytes = { RECORD_UNDONE } };
	ChangePlace *place = change_layer_seek(layer, record_slice(&prefix));

	for (; change_place_has_prefix(place, record_slice(&prefix));
	     place = change_place_next(place))
		forget_entry(store,
		             record_key_own_id(change_place_get(place)->key));
}

int
quarantine_stage_end(StoreTxn *txn)
{
	RecordKey prefix = record_key_undone(txn->draft);
	g_autoptr(GPtrArray) keys = NULL;
	guint i;
	int r;

	if (txn->draft == 0)
		return 0;
	r = txn_keys(txn, &prefix, &prefix, SIZE_MAX, &keys);
	if (r < 0)
		return r;
	for (i = 0; i < keys->len; i++)
		txn_delete(txn, txn_key_at(keys, i));
	forget_entry(txn->store, txn->draft);
	forget_drafts_of(txn->store, txn->layer);
	txn->draft = 0;
	return 0;
}

/* Has the draft of @txn replace those that its layer would have deleted, and own
 * what they own: they may be there again. Returns their ids. */
static GArray *
replace_elders(StoreTxn *txn)
{
	StoreTxn *plain = &txn->store->plain;
	RecordKey prefix = { .size = 1, .bytes = { RECORD_UNDONE } };
	GArray *elders = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	ChangePlace *place =
		change_layer_seek(txn->layer, record_slice(&prefix));
	uint64_t last = txn->draft;

	for (; change_place_has_prefix(place, record_slice(&prefix));
	     place = change_place_next(place)) {
		KvSlice key = change_place_get(place)->key;
		uint64_t data = draft_content_of(key);
		uint64_t id = record_key_own_id(key);
		RecordKey own = record_key_part_id(txn->draft,
		                                   RECORD_PART_CONTENT, data);
		KvSlice value;

		if (id == txn->draft)
			continue;
		if (data != 0 && (txn_get(plain, key, &value) == 0 ||
		                  txn->store->base == NULL)) {
			txn_put(plain, record_slice(&own), (KvSlice){ "", 0 });
			draft_note(txn, &own);
		}
		txn_delete(plain, key);
		forget_entry(txn->store, id);
		if (id != last)
			g_array_append_val(elders, id);
		last = id;
	}
	return elders;
}

/* Writes what @txn has staged over its draft, or as a new entry. */
static void
keep(StoreTxn *txn, const StoreCause *cause, bool is_draft)
{
	Store *store = txn->store;
	RecordHead head = { .is_draft = is_draft };
	GArray *elders;
	UndoneSum sum;

	/* One that the commit which failed would have ended. */
	if (txn->draft == 0 && draft_ended_by(txn->layer) != 0)
		draft_adopt(txn, draft_ended_by(txn->layer));
	if (txn->draft == 0)
		draft_begin(txn);
	elders = replace_elders(txn);
	sum = undone_write(txn, txn->draft);
	draft_prune(txn);
	forget_entry(store, txn->draft);
	head.undone = (StoreUndone){
		.id = txn->draft,
		.who = txn->who,
		.reason = cause->reason,
		.begun_ns = cause->begun_ns,
		.undone_ns = store_now_ns(),
		.files = sum.files,
		.bytes = sum.bytes,
	};
	put_head(store, &head);
	note_entry(store, &head.undone, is_draft);
	((Entry *)store->undone.tail->data)->elders = elders;
	store->undone_has_grown = true;
}

/* The journal has a line of it; what that could not be told is lost. */
static void
note_undone(StoreTxn *txn, const StoreCause *cause)
{
	g_autoptr(JournalEntry) entry = NULL;
	JournalAsk ask = { .txn = txn,
		           .account = txn->account,
		           .layer = txn->layer,
		           .flight = txn->flight,
		           .outcome = STORE_UNDONE,
		           .reason = cause->reason,
		           .undone = txn->draft };

	if (journal_write(txn->store, &ask, &entry) == 0)
		journal_apply(txn->store, entry);
}

/* Makes draft @id an entry as it is. Should it not be readable now, it is one
 * when the store is opened next. Returns whether it is one. */
static bool
keep_as_it_is(Store *store, uint64_t id, const StoreCause *cause)
{
	char text[2 * (RECORD_TEXT_MAX + 1)];
	RecordHead head;
	GList *l;

	if (id == 0 || quarantine_any_head(store, id, &head, text) < 0)
		return false;

	head.is_draft = false;
	head.undone.reason = cause->reason;
	head.undone.undone_ns = store_now_ns();
	put_head(store, &head);
	l = find_entry(store, id);
	if (l == NULL)
		note_entry(store, &head.undone, false);
	else
		((Entry *)l->data)->is_draft = false;
	return true;
}

/* So with the draft of @txn, and with the one before it that has not gone. */
static void
keep_draft(StoreTxn *txn, const StoreCause *cause)
{
	uint64_t elder = draft_ended_by(txn->layer);
	bool is_kept = keep_as_it_is(txn->store, elder, cause);

	if (!keep_as_it_is(txn->store, txn->draft, cause))
		txn->draft = is_kept ? elder : 0;
}

int
quarantine_keep(StoreTxn *txn, const StoreCause *cause)
{
	Store *store = txn->store;
	bool has_room = txn_has_room(store, change_layer_bytes(txn->layer));

	if (change_layer_count(txn->layer) == 0) {
		quarantine_drop_draft(txn);
		return 0;
	}
	if (has_room) {
		keep(txn, cause, false);
	} else {
		keep_draft(txn, cause);
		/* Who still waits for the draft is told. */
		txn->error = -ENOSPC;
		txn->has_failed = true;
		g_warning("quarantine: no room, what %s had staged%s is lost",
		          txn->who,
		          txn->draft != 0 ? " since it last synced" : "");
	}
	note_undone(txn, cause);
	if (cause->ret_id != NULL)
		*cause->ret_id = txn->draft;
	txn->draft = 0;
	return has_room ? 0 : -ENOSPC;
}

int
store_txn_save(StoreTxn *txn, const StoreCause *cause, StoreDone *done,
               void *user_data)
{
	Store *store = txn->store;
	int r;

	STORE_LOCK(store);
	r = txn_admit(&store->plain, change_layer_bytes(txn->layer));
	if (r < 0)
		return r;
	if (change_layer_count(txn->layer) == 0)
		quarantine_drop_draft(txn);
	else
		keep(txn, cause, true);
	/* No round may come between: it might give up what was kept. */
	if (done != NULL)
		waiter_enqueue(store, g_atomic_rc_box_acquire(txn), NULL, done,
		               user_data);
	return 0;
}
