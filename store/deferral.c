/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What can wait where there is no room for all that is pending
 *
 * - Content that was spilled and has no name yet, and what was undone: nobody was
 *   told that it is on the disk. It stays in the active layer, so that what
 *   others have done gets there before it.
 * - What a transaction of the group would give a name to does not wait, nor does
 *   the draft that it ends.
 * - Records of one entry wait together, with the drafts that it replaces and the
 *   content that it owns.
 */

#include "store/deferral.h"

#include "store/quarantine.h"

typedef struct Deferral {
	Store *store;
	const GQueue *waiters;
	ChangeLayer *layer; /* what waits */
} Deferral;

/* Moves what has a key that begins with @prefix. */
static void
defer(Deferral *d, const RecordKey *prefix)
{
	change_layer_move_prefix(d->store->active, record_slice(prefix),
	                         d->layer);
}

/* ---- content -------------------------------------------------------------*/

/* Whether a transaction of the group has spilled @data, and names it. */
static bool
is_named(const Deferral *d, uint64_t data)
{
	GList *l;

	for (l = d->waiters->head; l != NULL; l = l->next) {
		const CommitWaiter *waiter = l->data;

		if (waiter->layer != NULL && spill_has(waiter->layer, data))
			return true;
	}
	return false;
}

static bool
is_orphan(Store *store, uint64_t data)
{
	RecordKey key = record_key_orphan(data);
	KvSlice value;

	return txn_get(&store->plain, record_slice(&key), &value) == 0;
}

/* Whether @data is on the disk as that of a draft, which its transaction may go on
 * to write, or of what waits. */
static bool
is_undone(const Deferral *d, uint64_t data)
{
	GList *l;

	for (l = d->store->undone.head; l != NULL; l = l->next) {
		const QuarantineEntry *entry = l->data;
		RecordKey prefix = record_key_undone(entry->id);
		RecordKey key = record_key_part_id(entry->id,
		                                   RECORD_PART_CONTENT, data);
		KvSlice value;

		if (!entry->is_draft &&
		    !change_layer_has_prefix(d->layer, record_slice(&prefix)))
			continue;
		if (txn_get(&d->store->plain, record_slice(&key), &value) == 0)
			return true;
	}
	return false;
}

/* What erases some of it goes on. */
static void
defer_content(Deferral *d, uint64_t data)
{
	RecordKey prefix = record_key_content(data);
	g_autoptr(GPtrArray) puts = g_ptr_array_new();
	ChangePlace *place =
		change_layer_seek(d->store->active, record_slice(&prefix));
	guint i;

	for (; change_place_has_prefix(place, record_slice(&prefix));
	     place = change_place_next(place))
		if (change_place_get(place)->value != NULL)
			g_ptr_array_add(
				puts,
				(void *)(uintptr_t)change_place_get(place));
	for (i = 0; i < puts->len; i++)
		change_layer_move_prefix(d->store->active,
		                         ((const Change *)puts->pdata[i])->key,
		                         d->layer);
}

/* ---- what there is -------------------------------------------------------*/

/* The ids in @table of which something is pending: a GArray of uint64_t. */
static GArray *
pending_ids(const Store *store, uint8_t table)
{
	RecordKey prefix = { .size = 1, .bytes = { table } };
	GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	ChangePlace *place =
		change_layer_seek(store->active, record_slice(&prefix));
	uint64_t last = 0;

	for (; change_place_has_prefix(place, record_slice(&prefix));
	     place = change_place_next(place)) {
		uint64_t id = record_key_own_id(change_place_get(place)->key);

		if (id != last)
			g_array_append_val(ids, id);
		last = id;
	}
	return ids;
}

static void
defer_spilled(Deferral *d, bool with_undone)
{
	g_autoptr(GArray) ids = pending_ids(d->store, RECORD_CHUNK);
	guint i;

	for (i = 0; i < ids->len; i++) {
		uint64_t data = g_array_index(ids, uint64_t, i);

		if (is_named(d, data))
			continue;
		if (is_orphan(d->store, data) ||
		    (with_undone && is_undone(d, data)))
			defer_content(d, data);
	}
}

/* ---- the quarantine ------------------------------------------------------*/

/* Whether a transaction of the group ends draft @id. */
static bool
is_ended(const Deferral *d, uint64_t id)
{
	RecordKey prefix = record_key_undone(id);
	GList *l;

	for (l = d->waiters->head; l != NULL; l = l->next) {
		const CommitWaiter *waiter = l->data;

		if (waiter->layer != NULL &&
		    change_layer_has_prefix(waiter->layer,
		                            record_slice(&prefix)))
			return true;
	}
	return false;
}

/* Defers the content that entry @id is to own. Returns whether it is to have
 * anything but its head. */
static bool
defer_owned(Deferral *d, uint64_t id)
{
	RecordKey prefix = record_key_undone(id);
	RecordKey head =
		record_key_part(id, RECORD_PART_HEAD, (KvSlice){ "", 0 });
	ChangePlace *place =
		change_layer_seek(d->store->active, record_slice(&prefix));
	bool has_some = false;

	for (; change_place_has_prefix(place, record_slice(&prefix));
	     place = change_place_next(place)) {
		const Change *change = change_place_get(place);
		RecordKey orphan;
		uint64_t data;

		if (change->value == NULL ||
		    change_compare_keys(change->key, record_slice(&head)) == 0)
			continue;
		has_some = true;
		data = draft_content_of(change->key);
		if (data == 0)
			continue;
		orphan = record_key_orphan(data);
		defer(d, &orphan);
		defer_content(d, data);
	}
	return has_some;
}

static void
defer_elders(Deferral *d)
{
	GList *l;
	guint i;

	for (l = d->store->undone.head; l != NULL; l = l->next) {
		const QuarantineEntry *entry = l->data;
		RecordKey key = record_key_undone(entry->id);

		if (entry->elders == NULL ||
		    !change_layer_has_prefix(d->layer, record_slice(&key)))
			continue;
		for (i = 0; i < entry->elders->len; i++) {
			key = record_key_undone(
				g_array_index(entry->elders, uint64_t, i));
			defer(d, &key);
		}
	}
}

static void
defer_undone(Deferral *d)
{
	g_autoptr(GArray) ids = pending_ids(d->store, RECORD_UNDONE);
	guint i;

	for (i = 0; i < ids->len; i++) {
		uint64_t id = g_array_index(ids, uint64_t, i);
		RecordKey key = record_key_undone(id);

		if (is_ended(d, id) || !draft_is_pending(d->store, id))
			continue;
		/* What a draft has no more, it owns; what was discarded goes. */
		if (defer_owned(d, id) || quarantine_knows(d->store, id))
			defer(d, &key);
	}
	defer_elders(d);
}

ChangeLayer *
deferral_take(Store *store, const GQueue *waiters, DeferralScope scope)
{
	Deferral d = { .store = store,
		       .waiters = waiters,
		       .layer = change_layer_new() };

	if (scope == DEFER_UNDONE)
		defer_undone(&d);
	if (scope >= DEFER_SPILLED)
		defer_spilled(&d, scope == DEFER_UNDONE);
	return d.layer;
}
