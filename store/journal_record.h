/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/journal.h"
#include "store/record.h"

/**
 * The journal's records (record.h): keys and values to bytes and back. Pure.
 *
 * A key is the table, the place, the entry's id, and what the record is of. A
 * head and the lines behind it have one place, the past another: what is often
 * read lies side by side, and what is written together in few pages.
 */

typedef enum JournalPart {
	JOURNAL_SINCE, /* no id -> JournalSince */
	JOURNAL_HEAD,  /* -> StoreJournalEntry */
	JOURNAL_FILE,  /* node -> JournalFile */
	JOURNAL_PAST,  /* JournalPast, its key or id -> see there */
} JournalPart;

/** What an entry keeps of the past. */
typedef enum JournalPast {
	JOURNAL_VALUE = 0,  /* key -> the value that it had */
	JOURNAL_ABSENT = 1, /* key -> nothing: there was none */
	JOURNAL_NODE = 2, /* node -> nothing: it has lost its name, and stays */
	JOURNAL_DATA = 3, /* data id -> nothing: its chunks, likewise */
	JOURNAL_LOST = 4, /* key of a chunk -> node whose content it was: it was
	                   * damaged when it was replaced */
} JournalPast;

/** What happened after this is known as it was before. */
typedef struct JournalSince {
	uint64_t id; /* the last entry without a past */
	int64_t ns;  /* when that ended, or the journal began */
} JournalSince;

/** A line of an entry. */
typedef struct JournalFile {
	StoreJournalFile file;
	uint64_t before; /* claim_digest() of the node's record, as it was */
	uint64_t after;  /* and as the transaction has left it */
} JournalFile;

/** Most bytes that the texts of an entry take, each with its NUL. */
#define JOURNAL_TEXT_MAX (3 * (RECORD_TEXT_MAX + 1))

RecordKey journal_key_since(void);
/** What the keys of all records of a part, and of those that share its place,
 * begin with. */
RecordKey journal_key_part(JournalPart part);
/** The same of entry @id; of its head, the whole key. */
RecordKey journal_key(JournalPart part, uint64_t id);
RecordKey journal_key_file(uint64_t id, StoreNode node);
/** What the keys of all values, say, of entry @id begin with. */
RecordKey journal_key_pasts(uint64_t id, JournalPast past);
RecordKey journal_key_past(uint64_t id, JournalPast past, KvSlice of);
RecordKey journal_key_past_id(uint64_t id, JournalPast past, uint64_t of);

/** The part of @key. Returns false if it is malformed. */
bool journal_key_read(KvSlice key, JournalPart *ret_part, uint64_t *ret_id);
/** What a key of JOURNAL_FILE is of. Returns false if it is malformed. */
bool journal_key_read_file(KvSlice key, StoreNode *ret_node);
/** The same of JOURNAL_PAST; see record_part_id(). */
bool journal_key_read_past(KvSlice key, JournalPast *ret_past, KvSlice *ret_of);

/** The record, to be freed, as a GByteArray. */
GByteArray *journal_since_encode(const JournalSince *since);
GByteArray *journal_head_encode(const StoreJournalEntry *entry);
GByteArray *journal_file_encode(const JournalFile *file);

/** Errors: -EIO if it is malformed; so for all of these. */
int journal_since_decode(KvSlice value, JournalSince *ret_since);
/** Ownership: the texts are copied to @text, and end with it. */
int journal_head_decode(uint64_t id, KvSlice value,
                        StoreJournalEntry *ret_entry,
                        char text[JOURNAL_TEXT_MAX]);
/** Ownership: the caller frees *@ret_paths, to which the file refers. */
int journal_file_decode(StoreNode node, KvSlice value, JournalFile *ret_file,
                        char **ret_paths);
