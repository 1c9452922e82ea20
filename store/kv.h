/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/**
 * An ordered key-value engine: snapshots to read, one atomic batch to write.
 *
 * Keys are at most KV_KEY_MAX bytes, in memcmp order, in one key space. The
 * rest of the store knows no more of its database than this, so that another
 * engine can stand in for LMDB; tests/unit/kv_fault.c is one.
 *
 * Functions return 0 or a negative errno: -EIO when the disk or the database
 * fails, which any call may do.
 */

#define KV_KEY_MAX 511

/** Borrowed bytes. */
typedef struct KvSlice {
	const void *data;
	size_t size;
} KvSlice;

/** How a commit ended. */
typedef enum KvResult {
	KV_COMMITTED, /* on disk, all of it */
	KV_REFUSED,   /* a guard did not hold: nothing happened */
	KV_NOSPACE,   /* no room on the disk or in the map: nothing happened */
	KV_IO,        /* failed; after kv_reopen() nothing of it is there */
	KV_UNKNOWN,   /* failed, and may have happened: kv_reopen() and look */
} KvResult;

/** A record, borrowed; key.data NULL: none. */
typedef struct KvRecord {
	KvSlice key;
	KvSlice value;
} KvRecord;

/** One change: put, or with value.data NULL delete. */
typedef struct KvChange {
	KvSlice key;
	KvSlice value;
} KvChange;

/** Changes that happen all or not at all, in any order of keys; of two of one
 * key the later one counts. */
typedef struct KvBatch {
	const KvChange *changes;
	size_t count;
	KvChange guard; /* the value that its key must have; NULL: no key */
} KvBatch;

/** Told once how a commit ended, on any thread. */
typedef void KvDone(void *user_data, KvResult result);

/** How much the engine holds and may still take, in bytes. */
typedef struct KvRoom {
	uint64_t map_size; /* upper bound of the database */
	uint64_t total;    /* what the database may grow to, as it is now */
	uint64_t used;     /* size of the database on disk */
	uint64_t free;  /* what batches may still add, in the map and on disk */
	uint64_t freed; /* what the next commit will add to that */
	uint64_t pinned; /* and what others will who read it, when they end */
} KvRoom;

/** Told what is wrong with the database itself, in one sentence. */
typedef void KvFinding(void *user_data, const char *sentence);

typedef struct Kv Kv;
typedef struct KvSnapshot KvSnapshot;
typedef struct KvIter KvIter;

/** An engine's functions; the inline functions below call them. */
typedef struct KvEngine {
	int (*snapshot)(Kv *kv, KvSnapshot **ret_snapshot);
	void (*snapshot_end)(KvSnapshot *snapshot);
	int (*get)(KvSnapshot *snapshot, KvSlice key, KvSlice *ret_value);
	int (*near)(KvSnapshot *snapshot, KvSlice key, KvRecord *ret_before,
	            KvRecord *ret_after);
	int (*iter)(KvSnapshot *snapshot, KvSlice from, KvIter **ret_iter);
	int (*iter_next)(KvIter *iter, KvSlice *ret_key, KvSlice *ret_value);
	void (*iter_end)(KvIter *iter);
	void (*commit)(Kv *kv, const KvBatch *batch, KvDone *done,
	               void *user_data);
	int (*room)(KvSnapshot *snapshot, KvRoom *ret_room);
	int (*verify)(Kv *kv, KvFinding *finding, void *user_data,
	              uint64_t *ret_count);
	int (*reopen)(Kv *kv, bool *ret_is_settled);
	void (*close)(Kv *kv);
} KvEngine;

/** Every engine's object begins with this. */
struct Kv {
	const KvEngine *engine;
};
struct KvSnapshot {
	Kv *kv;
};
struct KvIter {
	KvSnapshot *snapshot;
};

/**
 * Begins a snapshot: the state at this moment, whatever is committed later.
 * Threads: any may use it, one at a time. Ownership: kv_snapshot_end().
 */
static inline int
kv_snapshot(Kv *kv, KvSnapshot **ret_snapshot)
{
	return kv->engine->snapshot(kv, ret_snapshot);
}

/** Ends @snapshot and all that was borrowed from it. NULL is a no-op. */
static inline void
kv_snapshot_end(KvSnapshot *snapshot)
{
	if (snapshot != NULL)
		snapshot->kv->engine->snapshot_end(snapshot);
}

/** Errors: -ENOENT. Ownership: *@ret_value is borrowed from @snapshot. */
static inline int
kv_get(KvSnapshot *snapshot, KvSlice key, KvSlice *ret_value)
{
	return snapshot->kv->engine->get(snapshot, key, ret_value);
}

/**
 * The last record before @key, and the first at it or behind it, as they are
 * found: in a database that is damaged they may not be in order.
 * Ownership: borrowed from @snapshot.
 */
static inline int
kv_near(KvSnapshot *snapshot, KvSlice key, KvRecord *ret_before,
        KvRecord *ret_after)
{
	return snapshot->kv->engine->near(snapshot, key, ret_before, ret_after);
}

/** Begins a scan at the first key >= @from. Ownership: kv_iter_end(). */
static inline int
kv_iter(KvSnapshot *snapshot, KvSlice from, KvIter **ret_iter)
{
	return snapshot->kv->engine->iter(snapshot, from, ret_iter);
}

/** The next key and value. Errors: -ENOENT at the end. */
static inline int
kv_iter_next(KvIter *iter, KvSlice *ret_key, KvSlice *ret_value)
{
	return iter->snapshot->kv->engine->iter_next(iter, ret_key, ret_value);
}

/** NULL is a no-op. */
static inline void
kv_iter_end(KvIter *iter)
{
	if (iter != NULL)
		iter->snapshot->kv->engine->iter_end(iter);
}

/**
 * Commits @batch and syncs, then calls @done once, perhaps before this
 * returns. One commit at a time. Ownership: @batch and what it points to are
 * borrowed until @done.
 */
static inline void
kv_commit(Kv *kv, const KvBatch *batch, KvDone *done, void *user_data)
{
	kv->engine->commit(kv, batch, done, user_data);
}

/**
 * Tells what room there is, as far as the newest @snapshot knows what can be used
 * again. Nothing is written for it, which might wait for a file system that is
 * frozen. Cheap. Errors: -EIO, also if there is no snapshot.
 */
static inline int
kv_room(KvSnapshot *snapshot, KvRoom *ret_room)
{
	return snapshot == NULL
	               ? -EIO
	               : snapshot->kv->engine->room(snapshot, ret_room);
}

/**
 * Looks at how the database is built, of which no record is a part: whatever
 * could hide one, or have one overwritten. *@ret_count is the number of
 * findings. Slow: all of it is read but the contents of large values.
 */
static inline int
kv_verify(Kv *kv, KvFinding *finding, void *user_data, uint64_t *ret_count)
{
	return kv->engine->verify(kv, finding, user_data, ret_count);
}

/**
 * Closes the database and opens it again, after KV_IO or KV_UNKNOWN. All
 * snapshots must have ended. On failure the engine stays closed; every call
 * but this and kv_close() then fails with -EIO.
 *
 * *@ret_is_settled says whether what can be read now is certainly on disk. If
 * not, each commit tries to settle that first.
 */
static inline int
kv_reopen(Kv *kv, bool *ret_is_settled)
{
	return kv->engine->reopen(kv, ret_is_settled);
}

/** All snapshots must have ended. NULL is a no-op. */
static inline void
kv_close(Kv *kv)
{
	if (kv != NULL)
		kv->engine->close(kv);
}

/* ---- the LMDB engine -----------------------------------------------------*/

/**
 * Creates an empty LMDB environment in directory @dir (which exists) and syncs
 * it. Ownership: the caller frees *@ret_reason, one sentence, on an error.
 */
int kv_lmdb_create(const char *dir, uint64_t map_size, char **ret_reason);

/**
 * Opens the environment in @dir. @map_size 0 means as created. A writer takes
 * the headship: only one process has it.
 *
 * Errors: -EBUSY somebody else writes (the reason names the pid), -EUCLEAN
 * damaged, -EPROTO not LMDB's, -EPERM others have access to it (place.h),
 * -EACCES, -ENOENT.
 * Ownership: kv_close(), or free *@ret_reason.
 */
int kv_lmdb_open(const char *dir, bool writer, uint64_t map_size, Kv **ret_kv,
                 char **ret_reason);

/**
 * Opens what is left of the database in @dir, however damaged it is, to read
 * only; nobody may write to it meanwhile. LMDB has no part in it. What is found
 * is a record of the newest state, but some may be missing: kv_get() of one that
 * may be is -EIO, and a scan goes on behind it. kv_verify() says what is wrong.
 *
 * Errors: -EPROTO nothing is left of it.
 * Ownership: kv_close(), or free *@ret_reason.
 */
int kv_lmdb_salvage(const char *dir, Kv **ret_kv, char **ret_reason);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Kv, kv_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KvSnapshot, kv_snapshot_end)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KvIter, kv_iter_end)
