/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "store/journal.h"

/** What a transaction did: an entry of the journal and its files. */
typedef struct ToolDeed {
	StoreJournalEntry entry; /* its texts are owned */
	GPtrArray *files;        /* owned StoreJournalFile, their paths, too */
} ToolDeed;

void tool_deed_free(ToolDeed *deed);

/**
 * Reads all deeds from the entry @id on, oldest first, that @wants; NULL wants
 * all. @wants must not call the store.
 *
 * Ownership: the caller frees *@ret_deeds, which owns its elements.
 */
int tool_deeds_read(Store *store, uint64_t id, StoreJournalVisit *wants,
                    void *user_data, GPtrArray **ret_deeds, GError **error);

/** Reads the deed of the entry @id. */
int tool_deed_read(Store *store, uint64_t id, ToolDeed **ret_deed,
                   GError **error);

/** Whether @deed changed @mailbag ("INQUEUE3") or had its lock. */
bool tool_deed_is_of(const ToolDeed *deed, const char *mailbag);

/** Its files in few words: "KEY/INQUEUE3.KEY MAI +1". Caller frees. */
char *tool_deed_summary(const ToolDeed *deed);

/** Everything of it as a row (rows.h); with times in ISO 8601, or shorter. */
GVariant *tool_deed_row(const ToolDeed *deed, bool is_iso);

/** "committed", ... */
const char *tool_deed_outcome(const ToolDeed *deed);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolDeed, tool_deed_free)
