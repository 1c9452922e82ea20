/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What goes from the quarantine where there is no room for it
 *
 * - Entries that are not on disk yet and do not fit are given up, the last one
 *   first, lest they keep everything else from being committed. Whoever waits for
 *   what is pending then is told that there was no room.
 * - Given up is what is new in an entry. What a draft has on the disk was synced:
 *   it stays, and if its transaction has ended, it is the entry.
 * - What is beyond the limit is discarded, the oldest first, once what it makes
 *   room for is on the disk.
 */

#include "store/internal.h"
#include "store/quarantine.h"

/* Entries that one round of the committer discards, at most. */
#define DISCARDS_MAX 1000

/* What was spilled is not among the records, but its head tells of it. An entry
 * takes a page of the database at least: so there is a limit to their number. */
uint64_t
quarantine_held(Store *store, const StoreUndone *undone)
{
	RecordKey all = record_key_undone(undone->id);
	RecordKey content = record_key_part(undone->id, RECORD_PART_CONTENT,
	                                    (KvSlice){ "", 0 });
	uint64_t bytes = txn_weigh(&store->plain, &all);

	if (txn_weigh(&store->plain, &content) > 0)
		bytes += undone->bytes;
	/* While nobody can read there is nothing to be found. */
	return MAX(MAX(bytes, undone->bytes), TXN_PAGE);
}

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
		quarantine_put_head(store, &head);
	}
	quarantine_note(store, &head.undone, lost->is_draft);
	return true;
}

/* Gives up what is new in @entry. */
static void
give_up(Store *store, QuarantineEntry *entry)
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
	quarantine_forget(store, id);
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
static QuarantineEntry *
last_pending(const Store *store)
{
	GList *l;

	for (l = store->undone.tail; l != NULL; l = l->prev) {
		QuarantineEntry *entry = l->data;

		if (draft_is_pending(store, entry->id))
			return entry;
	}
	return NULL;
}

/* Whether @entry is an entry, and on the disk. */
static bool
is_there(const Store *store, const QuarantineEntry *entry)
{
	return !entry->is_draft && !draft_is_pending(store, entry->id);
}

/* The last one that is; *@ret_held is what all that are count for, drafts too. */
static const QuarantineEntry *
last_there(const Store *store, uint64_t *ret_held)
{
	const QuarantineEntry *last = NULL;
	GList *l;

	*ret_held = 0;
	for (l = store->undone.head; l != NULL; l = l->next) {
		const QuarantineEntry *entry = l->data;

		if (draft_is_pending(store, entry->id))
			continue;
		*ret_held += entry->held;
		if (!entry->is_draft)
			last = entry;
	}
	return last;
}

void
quarantine_keep_limit(Store *store)
{
	uint64_t limit = store->options.quarantine_max;
	unsigned budget = DISCARDS_MAX;
	const QuarantineEntry *last;
	uint64_t held;
	GList *next;
	GList *l;

	if (!store->undone_has_grown || store->undone_held <= limit) {
		store->undone_has_grown = false;
		return;
	}

	last = last_there(store, &held);
	for (l = store->undone.head; l != NULL && held > limit && budget > 0;
	     l = next) {
		const QuarantineEntry *entry = l->data;

		next = l->next;
		if (entry == last || !is_there(store, entry))
			continue;
		g_warning(
			"quarantine: discarded the oldest entry, id=%" G_GUINT64_FORMAT
			" bytes=%" G_GUINT64_FORMAT,
			entry->id, entry->bytes);
		held -= entry->held;
		budget--;
		if (quarantine_discard(store, entry->id) < 0)
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
	QuarantineEntry *entry = last_pending(store);

	if (entry == NULL)
		return false;
	give_up(store, entry);
	waiter_refuse_plain(store);
	return true;
}
