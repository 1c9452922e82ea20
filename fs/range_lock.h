/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "fs/quota.h"

/**
 * Byte-range and whole-file locks of open files, as fcntl(2) and flock(2) have
 * them, keyed by the real inode, so that sessions with different nodeids meet.
 *
 * An owner is the kernel's lock_owner (a process for classic POSIX locks, an
 * open file for OFD locks and flock) together with the handle that took it:
 * smbd takes OFD locks, whose owner differs from that of its FLUSH, and closing
 * such a file sends no unlock. So a FLUSH drops by owner, a RELEASE by handle.
 *
 * A waiter is not a blocked thread: its request is parked here, and whoever
 * drops the range grants it, first come, first served.
 *
 * Threads: every function locks the table itself. A grant is called with the
 * table unlocked, on the thread that dropped the range.
 */
typedef struct FsRangeLock FsRangeLock;

/** The two kinds of lock, which ignore each other, as on Linux. */
typedef enum FsLockSpace {
	FS_LOCK_POSIX, /* fcntl: ranges, split and merged */
	FS_LOCK_FLOCK, /* flock: the whole file; owner is the open file */
} FsLockSpace;

/** A range of one file. */
typedef struct FsLockRange {
	uint64_t node; /* real inode */
	FsLockSpace space;
	uint64_t first; /* bytes, both ends included */
	uint64_t last;  /* UINT64_MAX means to the end of time */
	bool exclusive;
} FsLockRange;

/** Who holds or wants a range. */
typedef struct FsLockOwner {
	uint64_t owner;     /* the kernel's lock_owner */
	const void *handle; /* the open file it came through; only compared */
	uint64_t session;   /* whose quota it counts against */
	pid_t pid;          /* for getlk; no more than a label */
} FsLockOwner;

/** Names one parked wait; 0 is none. */
typedef uint64_t FsLockWait;

/** Says how a parked wait ended: 0 if granted, -EINTR if cancelled. */
typedef void FsLockGrant(void *user_data, int r);

/** Most who wait for a range. */
#define FS_RANGE_WAITS ((FsQuota){ .client = 256, .all = 1024 })

/** As many ranges may be held as @quota says, and FS_RANGE_WAITS wait. */
FsRangeLock *fs_range_lock_new(FsQuota quota);

/** Frees @table; nothing may be parked in it. NULL is a no-op. */
void fs_range_lock_free(FsRangeLock *table);

/**
 * Finds a lock of another owner that keeps @owner from @range.
 *
 * Returns true and the lock and its holder in *@ret_range and *@ret_owner, or
 * false if there is none.
 */
bool fs_range_lock_test(FsRangeLock *table, const FsLockOwner *owner,
                        const FsLockRange *range, FsLockRange *ret_range,
                        FsLockOwner *ret_owner);

/**
 * Whether a lock on @node, of either space, that was taken through @handle and
 * begins below byte @below is held.
 */
bool fs_range_lock_has(FsRangeLock *table, uint64_t node, const void *handle,
                       uint64_t below);

/**
 * Takes @range for @owner, replacing what it holds there (upgrade, downgrade,
 * split and merge as POSIX says), if no other owner's lock is in the way.
 *
 * Errors: -EAGAIN if one is, -ENOLCK beyond the quota.
 */
int fs_range_lock_try(FsRangeLock *table, const FsLockOwner *owner,
                      const FsLockRange *range);

/**
 * As fs_range_lock_try(), but parks the request while a lock is in the way and
 * calls @grant exactly once, perhaps before this returns. *@ret_wait is for
 * fs_range_lock_cancel(); 0 if @grant was called already.
 *
 * Errors: -EDEADLK if waiting would close a circle of owners, -ENOLCK; @grant
 * is then not called.
 * Ownership: @user_data is borrowed until @grant has been called.
 */
int fs_range_lock_wait(FsRangeLock *table, const FsLockOwner *owner,
                       const FsLockRange *range, FsLockGrant *grant,
                       void *user_data, FsLockWait *ret_wait);

/** Ends a parked wait with -EINTR; a no-op if it has ended already. */
void fs_range_lock_cancel(FsRangeLock *table, FsLockWait wait);

/**
 * Drops what @owner holds in @range (space and ends count).
 *
 * Errors: -ENOLCK if that would split a lock and there is no room for two; it
 * then stays whole, so that nobody is let in where a program thinks it is
 * alone.
 */
int fs_range_lock_drop(FsRangeLock *table, const FsLockOwner *owner,
                       const FsLockRange *range);

/** Drops all POSIX locks of lock_owner @owner on @node: a FLUSH. */
void fs_range_lock_drop_owner(FsRangeLock *table, uint64_t node,
                              uint64_t owner);

/**
 * Drops all locks that were taken through @handle, of both spaces, and cancels
 * its waits: a RELEASE.
 */
void fs_range_lock_drop_handle(FsRangeLock *table, uint64_t node,
                               const void *handle);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsRangeLock, fs_range_lock_free)
