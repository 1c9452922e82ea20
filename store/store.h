/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "store/layout.h"

/**
 * The postoffice as a transactional store.
 *
 * It knows directories, files and bytes; it knows nothing of FUSE, of clients
 * or of their locks.
 *
 * Every function returns 0 on success or a negative errno, unless it says
 * otherwise. Outputs come last, are named ret_*, and are written only on
 * success. All offsets and sizes are in bytes, all times in nanoseconds since
 * 1970 (UTC).
 *
 * Errors any function may return: -EIO when the database is damaged or the
 * disk fails (the cause is logged once, by the store); any function that
 * changes something: -EROFS if the store was opened for reading, -ENOSPC when
 * the disk or the map has no room for it. Running out of memory aborts the
 * process, which is safe: what is not committed never happened.
 *
 * Threads: a store is a monitor. Any thread may call any function; each call
 * is atomic with respect to all others.
 */

/** Largest file, in bytes: what DOS can address (4 GiB - 1). */
#define STORE_FILE_SIZE_MAX ((uint64_t)UINT32_MAX)

/** Longest name, in bytes of UTF-8, without the NUL. */
#define STORE_NAME_MAX 255

/** Directories below each other, at most, when one is made or moved. */
#define STORE_DEPTH_MAX 256

/** Largest value of one extended attribute, in bytes. */
#define STORE_XATTR_SIZE_MAX 65536

/** Most extended attributes of one node. */
#define STORE_XATTR_COUNT_MAX 64

/** Default address space of a new store, in bytes; not disk space. */
#define STORE_MAP_SIZE_DEFAULT ((uint64_t)64 << 30)

/**
 * Format written by this program; a store of a higher one is refused, and one of
 * a lower one becomes this when it is opened for writing. 2 has a journal: a
 * program of format 1 would take for lost what its entries keep, and change
 * files behind its back. 3 has a clock of its own in it.
 */
#define STORE_FORMAT 3

/** Names a file or directory for the life of the store; never reused. */
typedef uint64_t StoreNode;

/** The top directory. */
#define STORE_ROOT ((StoreNode)1)

/** An open store. */
typedef struct Store Store;

/**
 * One atomic set of changes, as yet unseen by anybody else; it reads its own
 * writes. Where a function takes a transaction, store_plain() stands for "no
 * transaction": what it changes is seen by everyone at once.
 *
 * It may be as large as the disk allows, but of files that were there before
 * only as much may change as fits into memory: -ENOSPC beyond staged_max, or
 * where all transactions together have staged_all, the last quarter of which is
 * for those that are small.
 *
 * A write that fails with -EIO, -ENOSPC, -EFBIG or -EROFS poisons it: the commit
 * returns that error. A refusal (-EEXIST, -ENOENT, ...) does not.
 *
 * A transaction is no snapshot: what it has not written is read as it is now.
 * That it stays put is the business of the caller's locks.
 */
typedef struct StoreTxn StoreTxn;

/* ---- opening and closing -------------------------------------------------*/

typedef enum StoreAccess {
	STORE_READ, /* beside any number of others; sees the state at opening */
	STORE_WRITE,   /* one process at a time */
	STORE_SALVAGE, /* to read what is left of a damaged one: a directory
	                * lists what is known to be there; while nobody writes
	                * to it */
} StoreAccess;

/** Told that commits begin to fail; store_vitals() says why, and when they no
 * longer do. Called by the committer's thread; it must not block. */
typedef void StoreAiling(void *user_data);

typedef struct StoreOptions {
	uint64_t map_size;       /* bytes; 0 = as created, or the default */
	unsigned sync_ms;        /* plain changes are on disk this long after;
	                       * 0 = as soon as possible */
	uint64_t dirty_limit;    /* bytes changed in memory before writers wait;
	                       * 0 = each waits for the one before */
	uint64_t quarantine_max; /* bytes kept of undone transactions;
	                          * 0 = the default */
	uint64_t staged_limit;   /* bytes that a transaction stages in memory
	                        * before content goes to disk; 0 = the default */
	uint64_t staged_max;     /* most bytes it may, of what cannot go there;
	                        * 0 = the default */
	uint64_t staged_all;     /* most bytes that all transactions stage in
	                        * memory together; 0 = the default */
	uint64_t journal_max;    /* bytes kept of the past; 0 = none */
	uint64_t journal_age_s;  /* for how long the journal remembers, while
	                          * the store is open; 0 = the default */
	StoreAiling *ailing;     /* or NULL */
	void *ailing_data;       /* borrowed */
} StoreOptions;

/** What store_open() uses where @options is NULL. */
#define STORE_OPTIONS_DEFAULT                       \
	((StoreOptions){ .sync_ms = 1000,           \
	                 .dirty_limit = 32 << 20,   \
	                 .quarantine_max = 1 << 30, \
	                 .staged_limit = 4 << 20,   \
	                 .staged_max = 32 << 20,    \
	                 .staged_all = 256 << 20,   \
	                 .journal_max = 1 << 30,    \
	                 .journal_age_s = 604800 })

/**
 * Creates an empty store in directory @dir, which must not exist or be empty.
 * A crash leaves either no store or a whole one.
 *
 * Errors: -EEXIST if there is something in @dir. On any error *@ret_reason is
 * one sentence for the administrator.
 * Ownership: the caller frees *@ret_reason.
 */
int store_create(const char *dir, const StoreOptions *options,
                 char **ret_reason);

/**
 * Opens the store in directory @dir. @options may be NULL. A process may have a
 * store open only once (LMDB: its locks belong to the process).
 *
 * Errors: -ENOENT no such store, -EPROTO not a store or of a newer format,
 * -EUCLEAN damaged, -EBUSY already open for writing (the reason names the
 * pid), -EPERM others have access to what is to be written, -EACCES. On any
 * error *@ret_reason is one sentence for the administrator, and nothing was
 * changed.
 * Ownership: the caller closes *@ret_store, or frees *@ret_reason.
 */
int store_open(const char *dir, StoreAccess access, const StoreOptions *options,
               Store **ret_store, char **ret_reason);

/**
 * Commits what is pending and closes @store, also on error. Every transaction
 * must have ended, every node been let go. NULL is a no-op.
 *
 * Errors: that of the last commit; what it did not take is lost.
 */
int store_close(Store *store);

/* ---- transactions and durability -----------------------------------------*/

/** The plain transaction of @store. Ownership: borrowed; it never ends. */
StoreTxn *store_plain(Store *store);

/**
 * Begins an empty transaction. @who, one line, says whose it is where a person
 * reads of it; it is copied.
 *
 * Ownership: the caller ends *@ret_txn with store_txn_commit(),
 * store_txn_publish() or store_txn_abort(); as a g_autoptr it aborts when it
 * leaves its scope.
 */
int store_txn_begin(Store *store, const char *who, StoreTxn **ret_txn);

/** Whether @txn has changed nothing since it began or since its checkpoint. */
bool store_txn_is_empty(const StoreTxn *txn);

/**
 * Told once how a commit ended: 0, or a negative errno and nothing of it
 * happened. Where the disk failed so badly (-EIO) that nobody can tell, it may
 * turn out to have happened, all of it, when the disk is well again.
 *
 * Threads: called on the committer's thread, or on the caller's before the
 * function returns, with the store unlocked. It must not block.
 */
typedef void StoreDone(void *user_data, int r);

/**
 * Makes the changes of *@txn durable, all or none, then seen by everyone, then
 * calls @done.
 *
 * Errors: -ESTALE if something that it changed is not what it was when it was
 * changed first, or a directory in which it named something is gone; the
 * caller's locks should see to it that this does not happen.
 * Ownership: takes *@txn and clears it; @user_data is borrowed until @done.
 */
void store_txn_commit(StoreTxn **txn, StoreDone *done, void *user_data);

/** As store_txn_commit(), but waits for the end and returns it. */
int store_txn_commit_wait(StoreTxn **txn);

/**
 * As store_txn_commit() for what @txn has changed until now, while @txn goes
 * on: it sees that, and what it changes from now on is a matter of its next
 * checkpoint or commit. Once one has failed, whatever follows fails likewise.
 * Where nothing was changed, @done is called at once.
 *
 * One checkpoint of a transaction may be under way. To commit or abort it then
 * is allowed: the checkpoint is carried out in any case.
 */
void store_txn_checkpoint(StoreTxn *txn, StoreDone *done, void *user_data);

/**
 * Ends *@txn and makes its changes plain ones, all or none: seen by everyone at
 * once, and on disk as those are.
 *
 * Errors: -ESTALE as store_txn_commit(), also if another transaction that is
 * just being committed has changed the same; -EBUSY while a checkpoint is under
 * way: then *@txn is as before. On any other error it has ended, too.
 */
int store_txn_publish(StoreTxn **txn);

/** Ends @txn and forgets its changes. NULL is a no-op. */
void store_txn_abort(StoreTxn *txn);

/**
 * Calls @done when every plain change made before this call is on disk.
 * Many callers share one sync.
 */
void store_sync(Store *store, StoreDone *done, void *user_data);

/** As store_sync(), but waits for the end and returns it. */
int store_sync_wait(Store *store);

/* ---- what was undone: the quarantine -------------------------------------*/

/** Why a transaction was undone. */
typedef struct StoreCause {
	const char *reason; /* one line, of up to 255 bytes */
	int64_t begun_ns;   /* when what was undone began */
	uint64_t *ret_id;   /* told its id, if it is kept; or NULL */
} StoreCause;

/**
 * Keeps a draft of what @txn has staged: it is in the quarantine, with @cause,
 * if the process ends before @txn does. That makes what a client has written safe
 * without showing it to anybody. The next draft replaces it; it goes with any end
 * of @txn, and with its next checkpoint. On disk as plain changes are: unless
 * @done is NULL, it is called as by store_sync() when it is there, with -ENOSPC
 * if it was given up for want of room. It waits for a checkpoint that is under
 * way, too, and is told how that failed.
 *
 * Errors: -ENOSPC, -EIO; @done is not called then.
 */
int store_txn_save(StoreTxn *txn, const StoreCause *cause, StoreDone *done,
                   void *user_data);

/**
 * Ends *@txn. What it has staged is not done, but kept in the quarantine, on
 * disk as plain changes are. Where nothing was staged, nothing is kept. If the
 * quarantine gets larger than its limit, the oldest are discarded.
 *
 * What a checkpoint or a commit that fails had is kept by itself, too; that of
 * a checkpoint once its transaction ends, however it ends.
 *
 * Errors: -ENOSPC, -EIO if it could not be kept; then what was saved before is.
 */
int store_txn_quarantine(StoreTxn **txn, const StoreCause *cause);

/** A transaction that was undone. */
typedef struct StoreUndone {
	uint64_t id; /* rises with time */
	const char *who;
	const char *reason;
	int64_t begun_ns;
	int64_t undone_ns;
	uint64_t files; /* that it had staged */
	uint64_t bytes; /* of their content */
} StoreUndone;

/**
 * Told of one; returns false to end the listing. It must not call the store.
 * Ownership: @undone and its texts are borrowed until it returns.
 */
typedef bool StoreUndoneVisit(void *user_data, const StoreUndone *undone);

/** Calls @visit for each that can be read, oldest first. */
int store_quarantine_list(Store *store, StoreUndoneVisit *visit,
                          void *user_data);

typedef enum StoreUndoneWhat {
	STORE_UNDONE_CREATED,
	STORE_UNDONE_CHANGED,
	STORE_UNDONE_RENAMED, /* and perhaps changed */
	STORE_UNDONE_REMOVED,
} StoreUndoneWhat;

/** A file or directory that an undone transaction had staged. */
typedef struct StoreUndoneFile {
	StoreNode node;
	uint32_t mode;
	StoreUndoneWhat what;
	const char *path; /* as it would be; of a removed one, as it was */
	uint64_t size;    /* bytes, as it would be */
	uint64_t bytes;   /* of its content that were staged */
} StoreUndoneFile;

/** As StoreUndoneVisit, of a file. */
typedef bool StoreUndoneFileVisit(void *user_data, const StoreUndoneFile *file);

/** Calls @visit for each file of @id. Errors: -ENOENT. */
int store_quarantine_files(Store *store, uint64_t id,
                           StoreUndoneFileVisit *visit, void *user_data);

/**
 * Reads file @node of @id as store_file_read() does: the bytes that were
 * staged. What the transaction had not written of a file that was there before
 * is read as it is now; if the file is gone, as zeros.
 *
 * Errors: -ENOENT, -EISDIR.
 */
int store_quarantine_read(Store *store, uint64_t id, StoreNode node,
                          uint64_t offset, void *buf, size_t size,
                          size_t *ret_size);

/** Forgets @id, damaged or not. Errors: -ENOENT. */
int store_quarantine_discard(Store *store, uint64_t id);

/* ---- nodes ---------------------------------------------------------------*/

typedef struct StoreAttr {
	StoreNode node;
	StoreNode parent; /* directory that names it; 0 if none does */
	uint32_t mode;    /* S_IFREG or S_IFDIR, and the permission bits */
	uint32_t uid;
	uint32_t gid;
	uint64_t size; /* bytes; 0 for a directory */
	int64_t atime_ns;
	int64_t mtime_ns;
	int64_t ctime_ns;
	int64_t btime_ns;
} StoreAttr;

/** Which members of a StoreAttr store_attr_set() shall set. */
typedef enum StoreAttrSet {
	STORE_SET_MODE = 1 << 0, /* permission bits only */
	STORE_SET_UID = 1 << 1,
	STORE_SET_GID = 1 << 2,
	STORE_SET_ATIME = 1 << 3,
	STORE_SET_MTIME = 1 << 4,
	STORE_SET_CTIME = 1 << 5, /* else it becomes now */
	STORE_SET_BTIME = 1 << 6,
} StoreAttrSet;

/** Errors: -ESTALE if @node is gone; so for all functions that take one. */
int store_attr_get(StoreTxn *txn, StoreNode node, StoreAttr *ret_attr);

/** Sets the members of @attr that @set names (StoreAttrSet bits). */
int store_attr_set(StoreTxn *txn, StoreNode node, const StoreAttr *attr,
                   unsigned set, StoreAttr *ret_attr);

/**
 * Keeps the content of @node after its name is removed, until as many calls of
 * store_node_release() as there were of this. A crash releases all.
 */
void store_node_hold(Store *store, StoreNode node);
void store_node_release(Store *store, StoreNode node);

/** The path of @node below the root ("/KEY/A.KEY"). Caller frees *@ret_path.
 * Errors: -ENAMETOOLONG if an older program has moved it far too deep. */
int store_node_path(StoreTxn *txn, StoreNode node, char **ret_path);

/* ---- names ---------------------------------------------------------------*/

typedef struct StoreEntry {
	StoreNode node;
	uint32_t mode;                 /* S_IFREG or S_IFDIR */
	char name[STORE_NAME_MAX + 1]; /* as created */
} StoreEntry;

/**
 * Finds @name in @dir, whatever its case (see name.h).
 *
 * Errors: -ENOENT, -ENOTDIR, -ENAMETOOLONG. A name that could not be created
 * for another reason is -ENOENT.
 */
int store_name_find(StoreTxn *txn, StoreNode dir, const char *name,
                    StoreEntry *ret_entry);

/**
 * Creates the empty file or directory @name in @dir. Of @attr mode, uid and
 * gid count; the times become now. Inside a postoffice's own directories the
 * name is stored in upper case and must be 8.3 (layout.h).
 *
 * Errors: -EEXIST, -EINVAL for a name that no DOS or Windows client can use,
 * -ENAMETOOLONG (also for directories too deep), -ENOTDIR, -ESTALE if @dir is gone.
 */
int store_name_add(StoreTxn *txn, StoreNode dir, const char *name,
                   const StoreAttr *attr, StoreAttr *ret_attr);

/**
 * Removes @name, which must be of @type (S_IFREG or S_IFDIR), from @dir. The
 * content goes with it unless the node is held.
 *
 * Errors: -ENOENT, -EISDIR, -ENOTDIR, -ENOTEMPTY.
 */
int store_name_remove(StoreTxn *txn, StoreNode dir, const char *name,
                      uint32_t type);

typedef enum StoreMove {
	STORE_MOVE_REPLACE,   /* an existing target is removed */
	STORE_MOVE_NOREPLACE, /* an existing target is -EEXIST */
	STORE_MOVE_EXCHANGE,  /* both must exist; they change places */
} StoreMove;

/**
 * Renames @name in @dir to @new_name in @new_dir, as rename(2) does.
 *
 * Errors: -ENOENT, -EEXIST, -EISDIR, -ENOTDIR, -ENOTEMPTY, -EINVAL for a bad
 * new name or a directory moved into itself, -ENAMETOOLONG (also too deep).
 */
int store_name_move(StoreTxn *txn, StoreNode dir, const char *name,
                    StoreNode new_dir, const char *new_name, StoreMove how);

/**
 * Told of one entry of a directory; returns false to end the listing. It must
 * not call the store.
 */
typedef bool StoreVisit(void *user_data, const StoreEntry *entry);

/** Calls @visit for every entry of @dir, in the order of folded names. */
int store_name_list(StoreTxn *txn, StoreNode dir, StoreVisit *visit,
                    void *user_data);
/** The same, for those that come after @name, which need not be there. */
int store_name_list_after(StoreTxn *txn, StoreNode dir, const char *name,
                          StoreVisit *visit, void *user_data);

/** What role directory @dir plays in a postoffice (see layout.h). */
int store_dir_role(StoreTxn *txn, StoreNode dir, LayoutDir *ret_role);

/** A name in a directory, and what the two make of a file. */
typedef struct StorePlace {
	StoreNode dir;
	StoreNode office; /* the postoffice that dir is a part of; 0: none */
	LayoutDir role;   /* of dir */
	LayoutKind kind;  /* of a file of that name there */
	char name[STORE_NAME_MAX + 1]; /* as it is or would be stored */
} StorePlace;

/** The place of @name in @dir, whether or not there is something. */
int store_place_in(StoreTxn *txn, StoreNode dir, const char *name,
                   StorePlace *ret_place);

/** The place of @node. Errors: -ESTALE if it has no name. */
int store_place_of(StoreTxn *txn, StoreNode node, StorePlace *ret_place);

/* ---- content -------------------------------------------------------------*/

/**
 * Reads up to @size bytes of file @node at @offset into @buf, which must have
 * room for them; *@ret_size is less than @size only at the end of the file.
 * What was never written reads as zeros. Reading does not change atime.
 *
 * Errors: -EISDIR.
 */
int store_file_read(StoreTxn *txn, StoreNode node, uint64_t offset, void *buf,
                    size_t size, size_t *ret_size);

/**
 * Writes all @size bytes of @data to file @node at @offset, growing the file
 * as needed. All of it happens or none.
 *
 * Errors: -EFBIG past STORE_FILE_SIZE_MAX, -EISDIR.
 */
int store_file_write(StoreTxn *txn, StoreNode node, uint64_t offset,
                     const void *data, size_t size);

/** Cuts or grows file @node to @size. Errors: -EFBIG, -EISDIR. */
int store_file_truncate(StoreTxn *txn, StoreNode node, uint64_t size);

/** Makes @size bytes at @offset read as zeros; the size stays. */
int store_file_punch(StoreTxn *txn, StoreNode node, uint64_t offset,
                     uint64_t size);

typedef enum StoreSeek {
	STORE_SEEK_DATA,
	STORE_SEEK_HOLE,
} StoreSeek;

/** As lseek(2). Errors: -ENXIO. */
int store_file_seek(StoreTxn *txn, StoreNode node, uint64_t offset,
                    StoreSeek what, uint64_t *ret_offset);

/* ---- extended attributes -------------------------------------------------*/

/**
 * Reads attribute @name of @node. @size 0 asks for the length only.
 *
 * Errors: -ENODATA, -ERANGE if @buf is too small.
 */
int store_xattr_get(StoreTxn *txn, StoreNode node, const char *name, void *buf,
                    size_t size, size_t *ret_size);

/**
 * Sets attribute @name of @node; @flags as setxattr(2). Which names are
 * allowed is the caller's business.
 *
 * Errors: -EEXIST, -ENODATA, -E2BIG, -ERANGE for a name over 255 bytes,
 * -ENOSPC beyond STORE_XATTR_COUNT_MAX.
 */
int store_xattr_set(StoreTxn *txn, StoreNode node, const char *name,
                    const void *value, size_t size, int flags);

/** Lists the names, each ended by a NUL. @size 0 asks for the length only. */
int store_xattr_list(StoreTxn *txn, StoreNode node, char *buf, size_t size,
                     size_t *ret_size);

/** Errors: -ENODATA. */
int store_xattr_remove(StoreTxn *txn, StoreNode node, const char *name);

/* ---- for the administrator -----------------------------------------------*/

typedef struct StoreStat {
	uint64_t format;
	char uuid[37];          /* of this store, set at creation */
	uint64_t files;         /* counted by a walk */
	uint64_t directories;   /* counted by a walk */
	uint64_t bytes;         /* content of all files */
	uint64_t orphans;       /* removed, but still to be swept */
	uint64_t undone;        /* transactions in the quarantine */
	uint64_t undone_bytes;  /* of their content */
	uint64_t journal;       /* entries */
	uint64_t journal_bytes; /* that their past takes */
	uint64_t commits;       /* since creation */
	uint64_t map_size;      /* bytes of address space */
	uint64_t disk_used;     /* bytes of the database file */
	bool clean;   /* closed cleanly; of no meaning with a writer */
	pid_t writer; /* has it open for writing; 0 = nobody */
} StoreStat;

int store_stat(Store *store, StoreStat *ret_stat);

typedef struct StoreRoom {
	uint64_t total; /* bytes: what is used and what is free */
	uint64_t free;  /* bytes that may still be written */
} StoreRoom;

/** What the disk and the map leave; cheap. */
int store_room(Store *store, StoreRoom *ret_room);

/** How the store does; for one that is open for writing. */
typedef struct StoreVitals {
	uint64_t commits;      /* since creation */
	uint64_t undone;       /* transactions in the quarantine */
	uint64_t undone_bytes; /* of their content */
	uint64_t disk_used;    /* bytes of the database file */
	StoreRoom room;
	int error; /* why no mail can be written, an errno: ENOSPC if there is
	            * no room for a small message; 0: all is well */
	bool was_clean; /* when it was opened: it had been closed */
} StoreVitals;

/** As store_stat(), as far as that is cheap. */
int store_vitals(Store *store, StoreVitals *ret_vitals);

/**
 * Looks at the pages of the database, of which a damaged one may hide records
 * from who reads them. Errors: -EUCLEAN.
 */
int store_verify(Store *store);

/** Told of one broken invariant in one sentence. */
typedef void StoreFinding(void *user_data, const char *sentence);

/** Told how far a long walk is, at most some times a second. */
typedef void StoreProgress(void *user_data, uint64_t done, uint64_t total);

/**
 * Walks the whole store as last committed and reports every broken invariant:
 * of the database's pages, checksums, records, names against nodes, content
 * against sizes, orphans.
 * @progress may be NULL. *@ret_count is the number of findings. For a store
 * that is open for reading; beside a writer of this process only while its
 * disk is well.
 *
 * Errors: -EUCLEAN the database's pages are damaged, and nothing was told:
 * STORE_SALVAGE can check what is left.
 */
int store_check(Store *store, StoreFinding *finding, StoreProgress *progress,
                void *user_data, uint64_t *ret_count);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreTxn, store_txn_abort)
