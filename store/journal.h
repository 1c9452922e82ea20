/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/**
 * The journal: what each transaction did, and what was there before.
 *
 * A transaction that has changed something leaves one entry, in the same batch
 * as its changes. With it goes the past of what it changed, for as long as
 * StoreOptions.journal_max and journal_age_s allow and nothing else needs the
 * room: then the oldest goes first, and of the entry a line remains. Files that
 * were never changed by a transaction have no past.
 *
 * Conventions, errors and threads are those of store.h.
 */

/** How a transaction ended. */
typedef enum StoreOutcome {
	STORE_COMMITTED,
	STORE_PUBLISHED, /* store_txn_publish(): seen before it was on disk */
	STORE_UNDONE,    /* nothing of it was done */
} StoreOutcome;

/** Bytes of a line of text that are kept; what is longer is cut off. */
#define STORE_JOURNAL_LINE_MAX 255

/** What only the caller knows of a transaction. */
typedef struct StoreAccount {
	uint64_t session;  /* whose it is; 0: nobody's */
	int64_t begun_ns;  /* 0: when store_txn_begin() was called */
	int64_t held_ns;   /* for how long it has had its locks */
	int64_t waited_ns; /* for how long it has waited for them */
	const char *who;   /* one line; NULL: as store_txn_begin() was told */
	const char *mailbags; /* whose locks it had, one line; may be NULL */
} StoreAccount;

/**
 * Says what the journal shall tell of @txn: of what it has staged when it next
 * ends or has a checkpoint. Ownership: the texts are copied.
 */
void store_txn_account(StoreTxn *txn, const StoreAccount *account);

typedef struct StoreJournalEntry {
	uint64_t id; /* rises with time */
	StoreOutcome outcome;
	const char *who;
	const char *reason;   /* why it was undone; else "" */
	const char *mailbags; /* "" if nobody told */
	uint64_t session;
	int64_t begun_ns;
	int64_t ended_ns;
	int64_t served_ns; /* for how long the store had been open for writing
	                    * then, in all its life; 0: nobody knows */
	int64_t held_ns;
	int64_t waited_ns;
	uint64_t undone; /* its entry in the quarantine; 0: none */
	uint64_t files;
	uint64_t bytes; /* that its past takes */
	bool has_past;  /* what it changed is known as it was */
} StoreJournalEntry;

/**
 * Told of one; returns false to end the listing. It must not call the store.
 * Ownership: @entry and its texts are borrowed until it returns.
 */
typedef bool StoreJournalVisit(void *user_data, const StoreJournalEntry *entry);

/** Calls @visit for each entry from @id on, oldest first. */
int store_journal_list(Store *store, uint64_t id, StoreJournalVisit *visit,
                       void *user_data);

/** A file or directory that a transaction has changed, or was to change. */
typedef struct StoreJournalFile {
	StoreNode node;
	uint32_t mode;
	StoreUndoneWhat what;
	const char *old_path; /* "" if it was created */
	const char *new_path; /* "" if it was removed */
	uint64_t old_size;    /* bytes */
	uint64_t new_size;
} StoreJournalFile;

/** As StoreJournalVisit, of a file. */
typedef bool StoreJournalFileVisit(void *user_data,
                                   const StoreJournalFile *file);

/** Calls @visit for each file of entry @id. Errors: -ENOENT. */
int store_journal_files(Store *store, uint64_t id, StoreJournalFileVisit *visit,
                        void *user_data);

/* ---- the past ------------------------------------------------------------*/

/**
 * Begins a transaction that sees what everybody saw at the time @at_ns, and can
 * change nothing. What was not changed by transactions since then it sees as it
 * is now; so all plain files. A mailbag or message file that somebody has
 * changed without a transaction since then cannot be known: to read it fails
 * with -ENODATA. Where it was damaged when somebody replaced it, with -EIO.
 *
 * For a store that is open for reading; in one that is open for writing it is
 * right until the next change. Memory: some hundred bytes for each record that it
 * sees otherwise than it is now.
 *
 * Errors: -ENODATA if the journal does not reach back that far; see
 * store_past_reach().
 * Ownership: the caller ends *@ret_past with store_txn_abort().
 */
int store_past_open(Store *store, int64_t at_ns, StoreTxn **ret_past);

/**
 * As store_past_open(), just before entry @id. Errors: also -ENOENT.
 */
int store_past_before(Store *store, uint64_t id, StoreTxn **ret_past);

/** The earliest time of store_past_open(). */
int store_past_reach(Store *store, int64_t *ret_ns);

/* ---- undoing -------------------------------------------------------------*/

/**
 * Stages in @txn the contrary of what entry @id did: what it created is removed,
 * what it removed is created again, with its content, attributes and extended
 * attributes; what it changed or renamed becomes as it was. The caller has the
 * locks, and commits @txn; so this can be undone, too.
 *
 * Errors, before anything is staged: -ENOENT no such entry; -EALREADY it was
 * undone, and did nothing; -ENODATA its past is not kept, or was damaged; -EBUSY
 * something has changed since: the reason says what, and by which entry. Others
 * may come in the midst of it; then @txn must be aborted.
 * Ownership: the caller frees *@ret_reason, one sentence, on any error.
 */
int store_journal_undo(StoreTxn *txn, uint64_t id, char **ret_reason);
