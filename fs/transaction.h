/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "fs/lock_key.h"
#include "fs/mailbag_lock.h"
#include "fs/session.h"
#include "fs/written.h"
#include "store/store.h"

/**
 * What one session has under way: its locks, and the changes that it has staged
 * under them. This is the book; op_stage.c makes the entries and op_commit.c
 * acts on them.
 *
 * - A lock is held in *forms*: a mailbag file that is open, a lock file, a byte
 *   range. The transaction ends when no form of any mailbag's lock is left and
 *   no message file that it has changed is open for writing.
 * - A lock whose last form is let go is kept until what was done under it is
 *   committed, so that nobody sees half of it.
 * - A batch is what one commit takes. While it is on its way the session may go
 *   on, and what it does then is the next batch.
 *
 * Threads: one at a time, the one that serves requests.
 */
typedef struct FsTransactionTable FsTransactionTable;

/** So many files that were looked up are remembered; then a new one takes the
 * place of an old one. */
#define FS_TRANSACTION_SEEN_MAX 1024

/** A lock that the session has. */
typedef struct FsTransactionLock {
	char *key; /* owned; of mailbag_lock.h */
	FsLockPurpose purpose;
	unsigned forms;
	uint64_t batch;   /* the last batch that needs it */
	uint64_t changed; /* the last batch that changed a file of it */
	bool is_wanted;   /* somebody has waited for it */
} FsTransactionLock;

/** A file that this batch has changed. */
typedef struct FsTransactionFile {
	StoreNode node;
	FsLockPurpose purpose;
	FsWritten *written; /* owned; NULL unless the file is new */
} FsTransactionFile;

typedef struct FsTransaction {
	FsTransactionTable *table; /* borrowed */
	FsSession *session;        /* a reference */
	GHashTable *users;         /* set of FsSession, references: others who
	                            * use what it has open; see op_hold.c */
	GArray *seen;              /* of StoreNode: what was looked up */
	guint seen_next;           /* that is overwritten when it is full */
	bool is_renumbered;        /* nothing was looked up since; op_undo.c */
	StoreTxn *txn;             /* owned; NULL: nothing was staged yet */
	GHashTable *locks;         /* key -> owned FsTransactionLock */
	unsigned forms;            /* of the locks of mailbags */
	unsigned wanted;           /* locks that somebody has waited for */
	unsigned writers;          /* handles that may change message files */

	/* This batch. */
	uint64_t batch;
	GHashTable *files;  /* node -> owned FsTransactionFile */
	GHashTable *dirs;   /* set of nodes: names in them have changed */
	uint64_t bytes;     /* written, each time */
	unsigned pieces;    /* of all its files; written.h's */
	int64_t begun_us;   /* monotonic; 0: nothing is staged */
	int64_t begun_ns;   /* since 1970 */
	bool is_durable;    /* a mailbag's lock was held: its end is synced */
	bool is_last_index; /* the last change, but for attributes, was a write
	                     * to an inqueue's KEY; or there was none */

	bool is_flying;     /* the batch before this one is on its way */
	bool is_releasing;  /* calls those who waited: it must not end now */
	GHashTable *flying; /* owned: that batch's files; NULL: none flies */
	GQueue flying_ends; /* FsCall, owned: answered when that has landed */
	bool is_detached;   /* undone; it only waits for what flies */
	GQueue ends;        /* FsCall, owned: answered when what was staged when
	                     * they came is on disk */
} FsTransaction;

/** @locks is borrowed and must outlive the table. */
FsTransactionTable *fs_transaction_table_new(FsMailbagLock *locks);

/** Every transaction must have ended. NULL is a no-op. */
void fs_transaction_table_free(FsTransactionTable *table);

/** What @session has under way, or NULL. */
FsTransaction *fs_transaction_find(FsTransactionTable *table,
                                   const FsSession *session);

/** As fs_transaction_find(), by the session's serial. */
FsTransaction *fs_transaction_of_serial(FsTransactionTable *table,
                                        uint64_t serial);

/** Finds or begins it. */
FsTransaction *fs_transaction_obtain(FsTransactionTable *table,
                                     FsSession *session);

/** Any one; NULL when all have ended. */
FsTransaction *fs_transaction_any(FsTransactionTable *table);

/** The serials of all their sessions, of type uint64_t. */
GArray *fs_transaction_serials(FsTransactionTable *table);

/** When the oldest change was staged that is not on its way; or INT64_MAX. */
int64_t fs_transaction_oldest_us(FsTransactionTable *table);

/** Enters that the process of @user uses what the session has open. */
void fs_transaction_add_user(FsTransaction *transaction, FsSession *user);

/** That it will do so no more. */
void fs_transaction_remove_user(FsTransaction *transaction,
                                const FsSession *user);

/** Enters that @node, a file, was looked up, which may be all that is seen of
 * who is about to delete it. */
void fs_transaction_see(FsTransaction *transaction, StoreNode node);

/** That it was opened, and is none of those that are deleted while they are. */
void fs_transaction_unsee(FsTransaction *transaction, StoreNode node);

/** Ends @transaction if nothing of it is left. */
void fs_transaction_tidy(FsTransaction *transaction);

/**
 * Takes @transaction out of the table: its session begins anew. It keeps its
 * locks while it is flying, from its own session, too, which has not seen what
 * flies; and then ends.
 */
void fs_transaction_detach(FsTransaction *transaction);

/* ---- locks --------------------------------------------------------------- */

/** Most locks of one session. */
#define FS_TRANSACTION_LOCKS_MAX 65536

/**
 * Takes the lock @key, unless it is had, for this batch. Errors: -ETXTBSY if
 * another session has it, -ENOSPC beyond FS_TRANSACTION_LOCKS_MAX.
 */
int fs_transaction_take(FsTransaction *transaction, const char *key,
                        FsLockPurpose purpose, int64_t now_us);

/** Takes over the lock @key, which fs_mailbag_lock_wait() has granted. */
void fs_transaction_taken(FsTransaction *transaction, const char *key,
                          FsLockPurpose purpose);

/** Holds the lock @key, which is had, in one form more. */
void fs_transaction_hold(FsTransaction *transaction, const char *key);

/** In one form less; it is kept nevertheless. */
void fs_transaction_let_go(FsTransaction *transaction, const char *key);

/** Says that somebody waits for the lock @key. */
void fs_transaction_press(FsTransaction *transaction, const char *key);

/** Whether somebody waits for a lock that it merely keeps. */
bool fs_transaction_is_pressed(const FsTransaction *transaction);

/** Whether the lock @key is had. */
bool fs_transaction_has(const FsTransaction *transaction, const char *key);

/** Gives others the locks that no form holds and no batch after @batch needs. */
void fs_transaction_release(FsTransaction *transaction, uint64_t batch);

/* ---- changes ------------------------------------------------------------- */

/** Readies @transaction for a change of @store. */
int fs_transaction_begin(FsTransaction *transaction, Store *store);

/** Enters that @node, at @place, has changed, or is new. */
FsTransactionFile *fs_transaction_note(FsTransaction *transaction,
                                       StoreNode node, const StorePlace *place,
                                       bool is_new);

/** The entry of @node in this batch, or NULL. */
FsTransactionFile *fs_transaction_file(const FsTransaction *transaction,
                                       StoreNode node);

/** Whether this batch has changed a file whose lock is @key. */
bool fs_transaction_has_changed(const FsTransaction *transaction,
                                const char *key);

/** Whether this batch has changed anything. */
bool fs_transaction_is_staged(const FsTransaction *transaction);

/** Whether the session has let go of everything. */
bool fs_transaction_is_over(const FsTransaction *transaction);

/** Whether this batch or the one on its way has changed @node. */
bool fs_transaction_touches(const FsTransaction *transaction, StoreNode node);

/** Begins the next batch; the one before it is everybody's. */
void fs_transaction_next_batch(FsTransaction *transaction);

/** Begins the next batch; the one before it is on its way. */
void fs_transaction_fly(FsTransaction *transaction);

/** What was on its way has arrived, or failed: *@ret_ends are those who are to be
 * told, of FsCall. Ownership: the caller's. */
void fs_transaction_landed(FsTransaction *transaction, GQueue *ret_ends);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsTransactionTable, fs_transaction_table_free)
