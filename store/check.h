/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/kv.h"
#include "store/store.h"

/**
 * What a check of the store (check.c) knows so far. Private to check*.c.
 */

/** What is known of a node. */
typedef struct CheckNode {
	StoreNode parent;
	uint64_t data;
	uint64_t size;
	uint32_t mode;
	uint32_t chunk;
	char *name;    /* owned */
	bool has_name; /* its directory has an entry for it */
	bool is_orphan;
	bool is_kept; /* the journal has it */
} CheckNode;

/** What is known of an entry of the journal. */
typedef struct CheckEntry {
	uint64_t files; /* that its head tells of, and are still to be found */
	uint64_t bytes;
	bool has_past;
} CheckEntry;

typedef struct Check {
	KvSnapshot *snapshot;
	GHashTable *nodes;       /* StoreNode -> CheckNode, owned */
	GHashTable *data;        /* data id -> CheckNode, borrowed */
	GHashTable *orphan_data; /* data ids */
	GHashTable *kept_data;   /* data ids that the quarantine or the journal
	                          * has */
	GHashTable *entries;     /* of the journal: id -> CheckEntry, owned */
	uint64_t first_entry;    /* of the journal; 0: there is none */
	uint64_t first_past;     /* the first one that has a past; 0: none */
	uint64_t undone;         /* the entry whose head was read last */
	uint64_t next_id;
	uint64_t done;
	uint64_t total;
	uint64_t count;
	StoreFinding *finding;
	StoreProgress *progress;
	void *user_data;
} Check;

/** Reports a finding. */
void check_found(Check *check, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** A copy of @id, as a key of a table. */
uint64_t *check_new_id(uint64_t id);

/** Reports @id if it was never given out. */
void check_id(Check *check, uint64_t id);

/** What is known of @id, or NULL. */
CheckNode *check_find(Check *check, StoreNode id);

/** Says that @what ("undone 7") has the content @data, and nobody else may. */
void check_keep_data(Check *check, const char *what, uint64_t data);

/** Whether @value can be that of @key, of the tables that a client changes. */
bool check_is_sane(KvSlice key, KvSlice value);

/* check_pages.c -------------------------------------------------------------*/

/**
 * Looks at the pages of the database before any is read otherwise. Where
 * @is_safe they may be read all the same, and what is found is reported.
 * Errors: -EUCLEAN they may not.
 */
int check_pages(Check *check, Kv *kv, bool is_safe);

/** Reports whose content may be among what damaged pages have lost. */
void check_lost(Check *check);

/* check_path.c --------------------------------------------------------------*/

/** The path of @name in directory @dir, as far as it is known. */
char *check_path(Check *check, StoreNode dir, const char *name);

/** The record of @key in words, with the path of the file that it is of. */
char *check_text(Check *check, KvSlice key);

/* check_journal.c -----------------------------------------------------------*/

/** Checks one record of the journal; and what they come to. */
void check_journal(Check *check, KvSlice key, KvSlice value);
void check_journal_end(Check *check);
