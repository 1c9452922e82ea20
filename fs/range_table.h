/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "fs/range_lock.h"
#include "fs/range_tree.h"

/**
 * What range_lock.c keeps behind its mutex: files, who holds and who waits
 * there, and how a range is taken and let go. range_lock.c says how it works,
 * and is the only one to see it.
 *
 * Threads: one at a time.
 */

typedef struct FsRangeFile {
	uint64_t node;
	FsLockSpace space;
	FsRange *held; /* tree of ranges; owned */
	GQueue line;  /* FsRangeWait, in order of arrival; owned by the table */
	bool changed; /* is in the table's changed */
} FsRangeFile;

/* Everything a lock_owner has, so that circles are found by following it. */
typedef struct FsRangeOwner {
	uint64_t id;
	unsigned held;
	GQueue waits; /* FsRangeWait; a process has one a thread */
} FsRangeOwner;

/* What a session has of the quotas. */
typedef struct FsRangeClient {
	uint64_t session;
	unsigned held;
	unsigned waits;
} FsRangeClient;

typedef struct FsRangeWait {
	FsLockWait id;
	FsRangeFile *file; /* borrowed; stays while anybody waits in it */
	FsLockOwner owner;
	FsLockRange range;
	FsLockGrant *grant;
	void *user_data; /* borrowed */
	int r;           /* how it ended */
	uint64_t mark;   /* the last search for a circle that was here */
} FsRangeWait;

struct FsRangeLock {
	GMutex mutex;                         /* protects everything below */
	GHashTable *files[FS_LOCK_FLOCK + 1]; /* node -> FsRangeFile, owned */
	GHashTable *owners;                   /* id -> FsRangeOwner, owned */
	GHashTable *waits;                    /* id -> FsRangeWait, owned */
	GHashTable *clients; /* session -> FsRangeClient, owned */
	FsQuota quota;       /* of ranges */
	GQueue changed;      /* FsRangeFile: someone in its line may go on */
	GQueue ended;        /* FsRangeWait, owned: to be answered */
	unsigned held;
	FsLockWait last_wait;
	uint64_t mark; /* of the last search for a circle */
};

/** Finds or makes the file of @range. */
FsRangeFile *fs_range_table_file(FsRangeLock *table, const FsLockRange *range);

/** Has the line of @file gone through on the way out of the table. */
void fs_range_table_mark(FsRangeLock *table, FsRangeFile *file);

/** Finds or makes the owner @id. */
FsRangeOwner *fs_range_table_owner(FsRangeLock *table, uint64_t id);

/** Frees the owner @id if it neither holds nor waits. */
void fs_range_table_forget(FsRangeLock *table, uint64_t id);

/** Finds or makes what @session has. */
FsRangeClient *fs_range_table_client(FsRangeLock *table, uint64_t session);

/** Frees what @session has if that is nothing. */
void fs_range_table_forget_client(FsRangeLock *table, uint64_t session);

/** Takes all of @held from its owner. */
void fs_range_file_remove(FsRangeLock *table, FsRangeFile *file, FsRange *held);

/** Takes from @owner what it holds from @first to @last. */
void fs_range_file_drop(FsRangeLock *table, FsRangeFile *file,
                        const FsLockOwner *owner, uint64_t first,
                        uint64_t last);

/**
 * Takes @range, which nobody else's lock is in the way of. What the owner holds
 * there is replaced; what it holds of the same kind beside it becomes one with
 * it, unless it came through another handle, whose end it follows.
 */
void fs_range_file_take(FsRangeLock *table, FsRangeFile *file,
                        const FsLockOwner *owner, const FsLockRange *range);
