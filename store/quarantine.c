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
 * - What of it goes where there is no room is quarantine_room.c's.
 */

#include "store/quarantine.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"

static void
entry_free(void *data)
{
	QuarantineEntry *entry = data;

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

void
quarantine_note(Store *store, const StoreUndone *undone, bool is_draft)
{
	QuarantineEntry *entry = g_new(QuarantineEntry, 1);

	*entry = (QuarantineEntry){ .id = undone->id,
		                    .bytes = undone->bytes,
		                    .held = quarantine_held(store, undone),
		                    .is_draft = is_draft };
	g_queue_push_tail(&store->undone, entry);
	store->undone_held += entry->held;
}

void
quarantine_weigh(const Store *store, StoreVitals *vitals)
{
	GList *l;

	for (l = store->undone.head; l != NULL; l = l->next) {
		const QuarantineEntry *entry = l->data;

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

	while (l != NULL && ((const QuarantineEntry *)l->data)->id != id)
		l = l->next;
	return l;
}

bool
quarantine_knows(const Store *store, uint64_t id)
{
	return find_entry(store, id) != NULL;
}

void
quarantine_forget(Store *store, uint64_t id)
{
	GList *l = find_entry(store, id);

	if (l == NULL)
		return;
	store->undone_held -= ((const QuarantineEntry *)l->data)->held;
	entry_free(l->data);
	g_queue_delete_link(&store->undone, l);
}

void
quarantine_put_head(Store *store, const RecordHead *head)
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
			quarantine_put_head(store, &head);
		}
		quarantine_note(store, &head.undone, false);
	}
	return r == -ENOENT ? 0 : r;
}

/* ---- discarding ----------------------------------------------------------*/

static bool
is_draft(const Store *store, uint64_t id)
{
	const GList *l = find_entry(store, id);

	return l != NULL && ((const QuarantineEntry *)l->data)->is_draft;
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

int
quarantine_discard(Store *store, uint64_t id)
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
	quarantine_forget(store, id);
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
	return r < 0 ? r : quarantine_discard(store, id);
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

	if (txn->draft == 0 || quarantine_discard(txn->store, txn->draft) == 0)
		return;

	g_hash_table_foreach(txn->drafted, discard_known, txn->store);
	discard_key(txn->store, record_slice(&head), true);
	quarantine_forget(txn->store, txn->draft);
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
		quarantine_forget(
			store, record_key_own_id(change_place_get(place)->key));
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
	quarantine_forget(txn->store, txn->draft);
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
		quarantine_forget(txn->store, id);
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
	quarantine_forget(store, txn->draft);
	head.undone = (StoreUndone){
		.id = txn->draft,
		.who = txn->who,
		.reason = cause->reason,
		.begun_ns = cause->begun_ns,
		.undone_ns = store_now_ns(),
		.files = sum.files,
		.bytes = sum.bytes,
	};
	quarantine_put_head(store, &head);
	quarantine_note(store, &head.undone, is_draft);
	((QuarantineEntry *)store->undone.tail->data)->elders = elders;
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
	quarantine_put_head(store, &head);
	l = find_entry(store, id);
	if (l == NULL)
		quarantine_note(store, &head.undone, false);
	else
		((QuarantineEntry *)l->data)->is_draft = false;
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
	bool has_room = txn_fits(txn);

	if (change_layer_count(txn->layer) == 0) {
		quarantine_drop_draft(txn);
		return 0;
	}
	if (has_room) {
		keep(txn, cause, false);
	} else {
		keep_draft(txn, cause);
		/* Who still waits for the draft is told. */
		txn->is_lost = true;
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
