/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "store/change.h"
#include "store/journal_record.h"
#include "store/kv.h"
#include "store/record.h"
#include "store/store.h"

/*
 * How the store is put together
 *
 * What a caller sees is a stack: the changes of its transaction, over those of
 * its last checkpoint while that is on its way (flight), over the plain changes
 * that are still to be committed (active), over those that the committer is
 * just writing (frozen), over a snapshot of the database (base). The first that
 * knows a key decides.
 *
 * The committer takes a group: active becomes frozen, an empty layer becomes
 * active, and frozen goes to disk together with the layers of the transactions
 * that wait for it, in one batch. Then, in one critical section, a new base is
 * taken and frozen is dropped: nobody sees more or less than one state.
 *
 * Everything below is called with the store locked, except where it says
 * "unlocked". Public functions (store_*) take the lock, call one of these, and
 * let it go.
 */

/** Why the content of a file cannot be had of the past. */
typedef enum TxnLost {
	TXN_KEPT,         /* it can */
	TXN_LOST_CHANGED, /* somebody has changed it without a transaction */
	TXN_LOST_DAMAGED, /* it was damaged already */
} TxnLost;

/* Counted: its owner has a reference, and each of its entries in the commit
 * queue. */
struct StoreTxn {
	Store *store;
	char *who;           /* owned */
	ChangeLayer *layer;  /* staged; owned; NULL for the plain transaction */
	ChangeLayer *flight; /* on its way to the disk; the queue's, or NULL */
	GHashTable *touched; /* directories to touch at the commit; or NULL */
	int error;           /* first failed write: poisons the commit */
	bool has_failed;     /* a checkpoint, staged again; or its end */
	bool is_lost;        /* what was undone of it has no room */
	uint64_t draft;      /* its draft in the quarantine, or 0, */
	GHashTable *drafted; /* and GBytes: keys that it may have; or NULL */
	int64_t begun_ns;
	GHashTable *fresh;   /* data ids that it has made, spill.c's; or NULL */
	GHashTable *spilled; /* data id -> bytes of it that were spilled, for as
	                      * long as there is the transaction; or NULL */
	uint64_t spill_at;   /* bytes staged, to look again what can spill */
	StoreAccount *account; /* owned, with its texts; or NULL */
	GHashTable *lost;  /* of a past: nodes whose content cannot be had ->
	                   * TxnLost; NULL: it is no past. Nothing can be
	                   * changed in one. */
	ChangeLayer *kept; /* of a past: chunks -> the entries that have them;
	                    * owned */
};

/** The journal as it is, with what is on its way to the disk. */
typedef struct Journal {
	JournalSince since;
	uint64_t bytes;    /* of all that its entries have of the past */
	uint64_t lines;    /* its entries and their files */
	uint64_t stripped; /* no entry up to this one has a past */
	int64_t served_ns; /* journal_served_ns() when it was opened, */
	int64_t opened_us; /* in monotonic time */
	bool has_remains;  /* perhaps there are records of no entry */
	bool is_pressed;   /* somebody needs room */
} Journal;

/** Why the last commit failed, until one succeeds. */
typedef enum StoreHealth {
	STORE_HEALTHY,
	STORE_FULL,   /* no room: only what makes room is let in */
	STORE_FAILED, /* the disk fails: nothing is let in */
	STORE_LOST,   /* somebody else has changed the database: for good */
} StoreHealth;

/* The window of a store until rounds have shown more. */
#define COMMIT_WINDOW_BEGIN ((uint64_t)4 << 20)

struct Store {
	GMutex lock;
	StoreAccess access;
	StoreOptions options;
	char *dir; /* owned */

	Kv *kv;              /* owned */
	KvSnapshot *base;    /* owned; NULL while the database is closed */
	ChangeLayer *active; /* owned */
	ChangeLayer *frozen; /* owned; NULL unless a commit is under way */
	StoreTxn plain;

	uint64_t next_id; /* next node or data id */
	uint64_t seq;     /* commits on disk */

	GHashTable *holds; /* StoreNode -> count of store_node_hold() */
	GHashTable *roles; /* directory -> LayoutDir, until a directory moves */
	GQueue orphans;    /* ids whose records are to be erased */

	/* What the commit under way writes for transactions, claim.c's. */
	GHashTable *claimed;      /* KvSlice, borrowed from their layers */
	GHashTable *claimed_dirs; /* directories that they put names into */

	/* What was undone, quarantine.c's. */
	GQueue undone;         /* oldest first; owned */
	uint64_t undone_held;  /* bytes of all of them */
	bool undone_has_grown; /* since that was last held to its limit */

	Journal journal; /* journal.c's */

	/* The commit queue, commit.c's. */
	GThread *committer; /* NULL for a reader */
	GCond wake;         /* the committer has something to do */
	GCond done;         /* a round has ended */
	GQueue waiters;     /* CommitWaiter, owned, for the next round */
	GQueue doubtful;    /* those of the batch in doubt, waiter.c's */
	int64_t dirty_us;   /* monotonic time of the oldest plain change; 0 */
	uint64_t rounds;    /* rounds ended */
	uint64_t window;    /* bytes that a round takes in little time */
	uint64_t staged;    /* bytes in the layers of transactions */
	uint64_t staged_count;   /* and records */
	uint64_t deferred;       /* bytes that the last batch has left out, */
	uint64_t deferred_count; /* and records */
	uint64_t room;           /* bytes free when asked in this round, or 0 */
	bool is_forced;          /* the next round commits even nothing */
	bool is_urgent;          /* the next round is due now */
	bool stop;
	StoreHealth health;
	bool was_clean; /* when it was opened */
};

/** Locks @store until the end of the scope. */
#define STORE_LOCK(store)                                    \
	g_autoptr(GMutexLocker) store_locker G_GNUC_UNUSED = \
		g_mutex_locker_new(&(store)->lock)

/** Nanoseconds since 1970. Unlocked. */
int64_t store_now_ns(void);

/* store.c -------------------------------------------------------------------*/

/** Puts the first records into the new database in @dir. Unlocked. */
typedef int StoreFill(void *user_data, const char *dir, char **ret_reason);

/** As store_create(), with what @fill puts there; @map_size 0 = the default. */
int store_create_with(const char *dir, uint64_t map_size, StoreFill *fill,
                      void *user_data, char **ret_reason);

/**
 * As store_open(), on an engine that is open already. Unlocked.
 * Ownership: takes @kv, also on an error.
 */
int store_open_on(Kv *kv, const char *dir, StoreAccess access,
                  const StoreOptions *options, Store **ret_store,
                  char **ret_reason);

/* txn.c ---------------------------------------------------------------------*/

/**
 * Reads @key. Errors: -ENOENT, -EIO.
 * Ownership: *@ret_value is borrowed until anything changes or the lock goes.
 */
int txn_get(StoreTxn *txn, KvSlice key, KvSlice *ret_value);
void txn_put(StoreTxn *txn, KvSlice key, KvSlice value);
void txn_delete(StoreTxn *txn, KvSlice key);

/**
 * Makes the value of @key @size bytes, keeping what it was, filled up with
 * zeros, and lends its bytes for change. Errors: -EIO.
 */
int txn_edit(StoreTxn *txn, KvSlice key, size_t size, uint8_t **ret_bytes);

/** Layers that a transaction may see: its own, flight, active, frozen. */
#define TXN_LAYERS 4

/** A merged scan of all keys that begin with a prefix. */
typedef struct TxnIter {
	StoreTxn *txn;
	RecordKey prefix;
	ChangePlace *places[TXN_LAYERS];
	KvIter *base;    /* owned; NULL at its end */
	bool is_of_keys; /* values are neither read nor checked, but have their
	                  * size, perhaps with a seal */
	KvSlice base_key;
	KvSlice base_value;
} TxnIter;

/** Begins at the first key >= @from. Ends with txn_iter_end(), always. */
int txn_iter_begin(StoreTxn *txn, const RecordKey *prefix,
                   const RecordKey *from, TxnIter *ret_iter);
/** Errors: -ENOENT at the end. Nothing may change during the scan. */
int txn_iter_next(TxnIter *iter, KvSlice *ret_key, KvSlice *ret_value);
void txn_iter_end(TxnIter *iter);

/** Lists copies of the keys with @prefix at or after @from, at most @max. */
int txn_keys(StoreTxn *txn, const RecordKey *prefix, const RecordKey *from,
             size_t max, GPtrArray **ret_keys);

/** One of them. */
static inline KvSlice
txn_key_at(const GPtrArray *keys, guint i)
{
	KvSlice key;

	key.data = g_bytes_get_data(keys->pdata[i], &key.size);
	return key;
}

/**
 * Whether @txn may change something that adds @size bytes; 0 for what makes
 * room. Waits for the committer while too much is pending.
 */
int txn_admit(StoreTxn *txn, uint64_t size);

/** As txn_admit(), for a change of @node, with claim_wait() for its record. */
int txn_admit_node(StoreTxn *txn, StoreNode node, uint64_t size);

/** Whether there is room for what @txn has staged, with what is on its way to the
 * disk, as far as can be known now. */
bool txn_fits(const StoreTxn *txn);

/** Whether there is none for a small message, even if the journal gave way. */
bool txn_is_full(Store *store);

/** A page of the database, in bytes: the unit in which it takes room. */
#define TXN_PAGE 4096

/** Counts what a transaction has staged in @layer, or no longer. */
void txn_count(Store *store, const ChangeLayer *layer);
void txn_uncount(Store *store, const ChangeLayer *layer);

/** Passes @r on; a failure that may leave half a change, or loses what was
 * to be written, poisons the transaction. A refusal does not. */
int txn_result(StoreTxn *txn, int r);

/* weight.c ------------------------------------------------------------------*/

/** Bytes of all records whose keys begin with @prefix, keys and values, as far
 * as they can be found. No value is read. */
uint64_t txn_weigh(StoreTxn *txn, const RecordKey *prefix);

/* absence.c -----------------------------------------------------------------*/

/**
 * Whether @key, which was not found in @snapshot, is certainly not there: then
 * -ENOENT, else -EIO. Of a @key that is there this says whether any could be
 * missing before it.
 */
int absence_prove(KvSnapshot *snapshot, KvSlice key);

/* life.c --------------------------------------------------------------------*/

/** What a transaction changed in @layer is everybody's now. */
void txn_reveal(Store *store, const ChangeLayer *layer);
/** Says that *@layer, a checkpoint or the commit, has failed with @r. */
void txn_fail(StoreTxn *txn, ChangeLayer **layer, int r);
void txn_unref(StoreTxn *txn);
/** Ends @txn, without doing what it has staged. */
void txn_end(StoreTxn *txn);

/* draft.c -------------------------------------------------------------------*/

/** Gives @txn a new draft, or an entry that is written as one. */
void draft_begin(StoreTxn *txn);
/** Has draft @id be there as it is on the disk: that it goes is given up. */
void draft_restore(Store *store, uint64_t id);
/** The content that the record of an entry with @key owns, or 0. */
uint64_t draft_content_of(KvSlice key);
/** Gives it draft @id again, which what it has staged would have ended. */
void draft_adopt(StoreTxn *txn, uint64_t id);
/** Says that a record with @key is written. */
void draft_note(StoreTxn *txn, const RecordKey *key);
/** Takes out of it what is not staged any more. */
void draft_prune(StoreTxn *txn);
/** Whether more than the head of it, or of the entry, is still to be written.
 * Locked; no batch is on its way. */
bool draft_is_pending(const Store *store, uint64_t id);
/** Takes back what is still to be written of it. Unless it is a draft, whose
 * transaction goes on, content that becomes nobody's is erased. As above. */
void draft_revert(Store *store, uint64_t id, bool of_draft);
/** The draft that the commit of @layer ends, or 0. */
uint64_t draft_ended_by(const ChangeLayer *layer);

/* quarantine.c, undone.c, undone_write.c -----------------------------------*/

void quarantine_init(Store *store);
void quarantine_free(Store *store);
/** Finds what there is; drafts that were left are entries from now on. */
int quarantine_load(Store *store);
/** Enters what there is of entries in @vitals; drafts do not count. */
void quarantine_weigh(const Store *store, StoreVitals *vitals);
/** Keeps what @txn has staged, and logs if it cannot. Errors: -ENOSPC, -EIO. */
int quarantine_keep(StoreTxn *txn, const StoreCause *cause);
/** Ends the draft of @txn: now, or with what it has staged. Errors: -EIO. */
void quarantine_drop_draft(StoreTxn *txn);
int quarantine_stage_end(StoreTxn *txn);
/** What an entry has, as its head tells. */
typedef struct UndoneSum {
	uint64_t files;
	uint64_t bytes;
} UndoneSum;

/** Writes what @txn has staged as that of entry @id, over what it has. */
UndoneSum undone_write(StoreTxn *txn, uint64_t id);
/** Reads the head of @id, unless it is a draft whose transaction goes on; or
 * even then. Errors: -ENOENT. Ownership: the texts are in @text. */
int quarantine_head(Store *store, uint64_t id, RecordHead *ret_head,
                    char text[2 * (RECORD_TEXT_MAX + 1)]);
int quarantine_any_head(Store *store, uint64_t id, RecordHead *ret_head,
                        char text[2 * (RECORD_TEXT_MAX + 1)]);

/** The first entry from @from on, damaged or not. Errors: -ENOENT. */
int quarantine_next_id(Store *store, uint64_t from, uint64_t *ret_id);

/* quarantine_room.c ---------------------------------------------------------*/

/** Discards what is beyond the limit, oldest first, once what came last is there.
 */
void quarantine_keep_limit(Store *store);
/** Whether some of it is still to be written. Gives up what came last of that;
 * returns whether there was something. Locked; no batch is on its way. */
bool quarantine_is_pending(const Store *store);
bool quarantine_give_up_last(Store *store);

/* journal.c -----------------------------------------------------------------*/

/** What an entry of the journal shall tell. */
typedef struct JournalAsk {
	const StoreTxn *txn;
	const StoreAccount *account; /* or NULL */
	ChangeLayer *layer;          /* what it changes, */
	ChangeLayer *flight;         /* over this; or NULL */
	StoreOutcome outcome;
	const char *reason; /* or NULL */
	uint64_t undone;    /* its entry in the quarantine, or 0 */
} JournalAsk;

/** An entry: its records, for the batch that has what it tells of. */
typedef struct JournalEntry {
	ChangeLayer *records; /* owned */
	uint64_t bytes;
	uint64_t lines;
} JournalEntry;

/**
 * Makes the entry of a transaction that is about to be done, or undone. NULL if
 * it comes to nothing. Errors: -EIO. Ownership: journal_entry_free().
 */
int journal_write(Store *store, const JournalAsk *ask,
                  JournalEntry **ret_entry);
/** NULL is a no-op. */
void journal_entry_free(JournalEntry *entry);
/** Says that @entry is on disk; or puts it into the plain layer. */
void journal_note(Store *store, const JournalEntry *entry);
void journal_apply(Store *store, const JournalEntry *entry);
/** Says in @records that nothing up to entry @id, of @ns, can be looked at. */
void journal_raise_since(Store *store, uint64_t id, int64_t ns,
                         ChangeLayer *records);
/** Takes *@account, which may be NULL, with its texts. */
void journal_account_free(StoreAccount *account);

/* journal_past.c ------------------------------------------------------------*/

/** Whether the content of @node can be had of @txn, which may be a past. */
TxnLost journal_past_lost(const StoreTxn *txn, StoreNode node);
/** Of a FileSource, of the past @user_data. Errors: also -ENODATA. */
int journal_past_get(void *user_data, const RecordKey *key, KvSlice *ret_value);

/**
 * What there was before the entries from @from to @to; the content of what was
 * changed otherwise between @at_ns and the first of them that has to do with it
 * is lost. Errors: -ENODATA. Ownership: txn_end().
 */
int journal_past_of(Store *store, uint64_t from, uint64_t to, int64_t at_ns,
                    StoreTxn **ret_past);

/* journal_ring.c ------------------------------------------------------------*/

/** Finds what there is. */
int journal_load(Store *store);
/** For how long @store has been open for writing, in all its life: the clock by
 * which entries grow old. */
int64_t journal_served_ns(const Store *store);
/** Puts that on the disk. */
void journal_put_served(Store *store);
/** The head of entry @id, or of the first one from @from on. Errors: -ENOENT.
 * Ownership: the texts are in @text. */
int journal_get(Store *store, uint64_t id, StoreJournalEntry *ret_entry,
                char text[JOURNAL_TEXT_MAX]);
int journal_next(Store *store, uint64_t from, StoreJournalEntry *ret_entry,
                 char text[JOURNAL_TEXT_MAX]);
/** The next head of a scan of all of them. Errors: -ENOENT at the end. */
int journal_head_next(TxnIter *iter, StoreJournalEntry *ret_entry,
                      char text[JOURNAL_TEXT_MAX]);
/** The next file of a scan of one entry's, or from one on; the key says whose.
 * Errors: -ENOENT at the end. Ownership: the caller frees *@ret_paths. */
int journal_file_next(TxnIter *iter, uint64_t *ret_id, JournalFile *ret_file,
                      char **ret_paths);
/** The first entry from @id on that has changed @file, or has put another where
 * it was; 0: none. Unlocked. */
uint64_t journal_find(Store *store, uint64_t id, const StoreJournalFile *file);
/** Expires entries and erases up to @budget records of what they had. Returns
 * whether nothing is left to be erased. */
bool journal_reap(Store *store, size_t budget);
/** Asks the next rounds for room. Returns whether there may be some. */
bool journal_press(Store *store);
/** Takes their past from the entries that @layer brings. Returns its bytes. */
uint64_t journal_shed(Store *store, ChangeLayer *layer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(JournalEntry, journal_entry_free)

/* spill.c -------------------------------------------------------------------*/

/** Says that @txn has made the data id @data. */
void spill_note_fresh(StoreTxn *txn, uint64_t data);
/**
 * Makes room for @size bytes more to be staged in @txn. Errors: -ENOSPC if too
 * much of what is staged has to stay in memory.
 */
int spill_admit(StoreTxn *txn, uint64_t size);
/** Whether content of @data was spilled that @layer would have named. */
bool spill_has(const ChangeLayer *layer, uint64_t data);
/** Bytes of the content of @node that @txn has staged, spilled or not. */
uint64_t spill_staged(StoreTxn *txn, const RecordNode *node);
/** Says that nobody but a transaction, which ends it, has content of @data. */
void spill_disown(Store *store, uint64_t data);
/** Lets what was spilled go, unless somebody has it now. */
void spill_release(Store *store, const ChangeLayer *layer);

/* claim.c -------------------------------------------------------------------*/

void claim_init(Store *store);
void claim_free(Store *store);
/** Whether changes of @key are guarded: names, nodes, extended attributes. */
bool claim_guards(KvSlice key);
/** What stands for @value, or with NULL for no value, as Change.beneath. */
uint64_t claim_digest(const KvSlice *value);
/**
 * Whether what @layer replaces still is what it was, for everybody, and the
 * directories of its names are there. Errors: -ESTALE.
 */
int claim_verify(Store *store, const ChangeLayer *layer);
/** Whether @layer has nothing to do with what is claimed. */
bool claim_is_free(const Store *store, const ChangeLayer *layer);
/** Claims what @layer changes, and lets all claims go. */
void claim_take(Store *store, const ChangeLayer *layer);
void claim_drop_all(Store *store);
/** Whether a commit under way writes @key, or puts names into @dir. */
bool claim_has_key(const Store *store, KvSlice key);
bool claim_has_dir(const Store *store, StoreNode dir);
/** Whether @txn has to mind what is claimed at all. */
bool claim_concerns(const StoreTxn *txn);
/**
 * A plain change made now to what a commit under way writes would undo that:
 * waits for its end, for the plain transaction. Returns whether it has waited.
 */
bool claim_wait(StoreTxn *txn, KvSlice key);

/* waiter.c ------------------------------------------------------------------*/

/**
 * Asks for a round that writes @layer of @txn, and to be told of its end. Both
 * are NULL for who waits for plain changes only, @layer is for who waits for what
 * @txn has on its way, too. Ownership: takes @layer and a reference to @txn.
 */
void waiter_enqueue(Store *store, StoreTxn *txn, ChangeLayer *layer,
                    StoreDone *done, void *user_data);
/** Those of the next round that wait for what is pending are told that there was
 * no room. */
void waiter_refuse_plain(Store *store);
/** The store closes, and it never was known what came of the batch in doubt. */
void waiter_forget(Store *store);

/* commit.c, committer.c -----------------------------------------------------*/

/** One round: erases, takes a group, commits it and answers. Unlocks. */
void commit_round(Store *store);
/** How many bytes of plain changes may be pending, at most @limit, after @bytes
 * of as many as @window took @us microseconds: no more than the disk has shown
 * to take in two seconds. */
uint64_t committer_window(uint64_t window, uint64_t limit, uint64_t bytes,
                          int64_t us);
/** Starts and stops the committer; stopping commits what is pending. */
int commit_start(Store *store);
/** Unlocked. Returns how the last commit ended. */
int commit_stop(Store *store);
/** Says that a plain change was made. */
void commit_note_change(Store *store);
/** Waits for the end of a round, which commits even nothing if @is_forced. */
void commit_wait_round(Store *store, bool is_forced);
/** Bytes that are changed in memory, and in how many records. */
uint64_t commit_pending(const Store *store);
uint64_t commit_pending_count(const Store *store);
/** The errno of the store's health, or 0. */
int commit_health_error(const Store *store);

/** Whether commits fail, and are tried until one does not. */
bool commit_is_ailing(const Store *store);

/* node.c --------------------------------------------------------------------*/

/** Errors: -ESTALE if there is none. Ownership: content is borrowed. */
int node_load(StoreTxn *txn, StoreNode node, RecordNode *ret_node);
/** As node_load(), but finds what is only left to be erased, too. */
int node_load_any(StoreTxn *txn, StoreNode node, RecordNode *ret_node);
void node_save(StoreTxn *txn, const RecordNode *node);
uint64_t node_new_id(Store *store);
bool node_is_held(const Store *store, StoreNode node);

/** As store_node_path(), locked. Errors: -ENAMETOOLONG where it is deeper than
 * any directory may be. */
int node_path(StoreTxn *txn, StoreNode node, char **ret_path);

/* file.c --------------------------------------------------------------------*/

/** Where a file's chunks are looked up. Errors: -ENOENT if one is missing. */
typedef struct FileSource {
	int (*get)(void *user_data, const RecordKey *key, KvSlice *ret_value);
	void *user_data;
} FileSource;

/** As store_file_read(), of @file, whose chunks are in @source. */
int file_read(const FileSource *source, const RecordNode *file, uint64_t offset,
              void *buf, size_t size, size_t *ret_size);

/* difference.c --------------------------------------------------------------*/

/** As store_file_write(), unlocked, but what is there already is not staged. */
int difference_write(StoreTxn *txn, StoreNode node, uint64_t offset,
                     const void *data, size_t size);

/* dir.c, role.c -------------------------------------------------------------*/

/** Loads a node that must be a directory that has a name, or the root. */
int dir_load(StoreTxn *txn, StoreNode dir, RecordNode *ret_node);
/** The role of directory @dir. */
int dir_role(StoreTxn *txn, StoreNode dir, LayoutDir *ret_role);

/* depth.c -------------------------------------------------------------------*/

/** Whether a directory may be put into @dir. Errors: -ENAMETOOLONG. */
int depth_check(StoreTxn *txn, StoreNode dir);
/** Whether directory @node may go from @from to @to, with all below it. Errors:
 * -ENAMETOOLONG; -EINVAL @to is @node, or below it. */
int depth_check_move(StoreTxn *txn, StoreNode node, StoreNode from,
                     StoreNode to);

/* orphan.c ------------------------------------------------------------------*/

/** Records that @id has lost its name or its node. */
void orphan_add(StoreTxn *txn, uint64_t id, RecordOrphan kind);
/** Queues what the database still has of orphans. */
int orphan_load(Store *store);
/** Queues @id, to be looked at. */
void orphan_queue(Store *store, uint64_t id);
/** Queues the orphans of a transaction that is committed. */
void orphan_queue_layer(Store *store, const ChangeLayer *layer);
/** How many records a round may erase, with the room that there is. */
size_t orphan_budget(Store *store);
/** Erases queued orphans that nobody holds, up to @budget records. Returns
 * whether none is left. */
bool orphan_reap(Store *store, size_t budget);
