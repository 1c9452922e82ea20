/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/internal.h"

/**
 * The entries of the quarantine that are known to be there, drafts too: kept by
 * quarantine.c, and let go by quarantine_room.c where there is no room.
 *
 * Threads: any, with the store locked.
 */
typedef struct QuarantineEntry {
	uint64_t id;
	uint64_t bytes; /* of content, for who reads of it */
	uint64_t held;  /* what it counts for where there is a limit */
	bool is_draft;
	GArray *elders; /* uint64_t: drafts that went for it; owned; or NULL */
} QuarantineEntry;

/** From now on there is one more, and it is the last; or there is not @id. */
void quarantine_note(Store *store, const StoreUndone *undone, bool is_draft);
void quarantine_forget(Store *store, uint64_t id);

/** Whether @id is known to be there. */
bool quarantine_knows(const Store *store, uint64_t id);

/** Bytes that @undone, whose records are there, counts for. */
uint64_t quarantine_held(Store *store, const StoreUndone *undone);

/** Writes @head, as a plain change. */
void quarantine_put_head(Store *store, const RecordHead *head);

/** Discards entry @id, or a draft, with its records. Errors: -EIO. */
int quarantine_discard(Store *store, uint64_t id);
