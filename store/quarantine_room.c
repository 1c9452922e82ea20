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

/* The last one that is; *@ret_bytes are those of all that are, drafts too. */
static const QuarantineEntry *
last_there(const Store *store, uint64_t *ret_bytes)
{
	const QuarantineEntry *last = NULL;
	GList *l;

	*ret_bytes = 0;
	for (l = store->undone.head; l != NULL; l = l->next) {
		const QuarantineEntry *entry = l->data;

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
	const QuarantineEntry *last;
	uint64_t bytes;
	GList *next;
	GList *l;

	if (!store->undone_has_grown || store->undone_bytes <= limit) {
		store->undone_has_grown = false;
		return;
	}

	last = last_there(store, &bytes);
	for (l = store->undone.head; l != NULL && bytes > limit; l = next) {
		const QuarantineEntry *entry = l->data;

		next = l->next;
		if (entry == last || !is_there(store, entry))
			continue;
		g_warning(
			"quarantine: discarded the oldest entry, id=%" G_GUINT64_FORMAT
			" bytes=%" G_GUINT64_FORMAT,
			entry->id, entry->bytes);
		bytes -= entry->bytes;
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
