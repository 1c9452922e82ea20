/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "fs/listing.h"
#include "fs/lock_key.h"
#include "fs/quota.h"
#include "fs/session.h"
#include "fs/share_mode.h"
#include "store/store.h"

/**
 * Open files and directories. A handle remembers the session that opened it,
 * for smbd reads and writes from helper threads; it keeps the content of its
 * node.
 *
 * Threads: one at a time, the one that serves requests.
 */
typedef struct FsHandleTable FsHandleTable;

/** Whether a lock comes with an open file; see op_hold.c. */
typedef enum FsHold {
	FS_HOLD_NONE,
	FS_HOLD_HAS,
	FS_HOLD_LEFT, /* it was closed, but lives on in a copy */
} FsHold;

typedef struct FsHandle {
	FsHandleTable *table; /* borrowed */
	FsSession *session;   /* a reference */
	StoreNode node;
	LayoutKind kind; /* what it was when it was opened */
	unsigned epoch;  /* of the session when it was opened */
	bool is_writable;
	FsShareMode share; /* towards other sessions; op_share.c */
	bool is_closed;    /* it was, but may live on in a copy */
	int64_t used_us;   /* monotonic: the last read, write or lock */

	/* What it keeps others from; op_hold.c. */
	char *key; /* of its file's lock, owned; NULL: it has none */
	FsLockPurpose purpose;
	FsHold hold;
	bool has_range;               /* a byte range keeps the lock, too */
	bool is_writer;               /* it holds up its session's commit */
	int64_t left_ctime_ns;        /* of the file, when the lock was left */
	struct FsLockFile *lock_file; /* held; NULL for other files */

	/* Of a directory that is being read. */
	FsListing *listing;    /* owned; NULL until then */
	uint64_t names_serial; /* of the mount, when it was taken */
} FsHandle;

/** There may be as many as @quota says. @store is borrowed and must outlive the
 * table. */
FsHandleTable *fs_handle_table_new(Store *store, FsQuota quota);

/** Every handle must be closed. NULL is a no-op. */
void fs_handle_table_free(FsHandleTable *table);

/** Whether @session may open one more. Errors: those of fs_quota_check(). */
int fs_handle_check(FsHandleTable *table, const FsSession *session);

/** Opens @node, which is of @kind, for @session. Ownership: until
 * fs_handle_close(). */
FsHandle *fs_handle_open(FsHandleTable *table, FsSession *session,
                         StoreNode node, LayoutKind kind);

/** Closes @handle. NULL is a no-op. */
void fs_handle_close(FsHandle *handle);

/**
 * Whether what its session had under way was undone since @handle was opened:
 * its locks are gone, and what was written through it.
 */
bool fs_handle_is_stale(const FsHandle *handle);

/** Whether anybody has @node open. */
bool fs_handle_is_open(FsHandleTable *table, StoreNode node);

/** Whether a session other than @session has @node open. */
bool fs_handle_is_elsewhere(FsHandleTable *table, StoreNode node,
                            const FsSession *session);

/** The handles of @node, of type FsHandle; NULL if there is none. Ownership:
 * borrowed until one is opened or closed. */
GPtrArray *fs_handle_list(FsHandleTable *table, StoreNode node);

/**
 * The handles through which @session has the lock @key, of type FsHandle.
 * Ownership: the caller unrefs the array, not what is in it.
 */
GPtrArray *fs_handle_of_key(FsHandleTable *table, const FsSession *session,
                            const char *key);

/** All that @session has open, as fs_handle_of_key(). */
GPtrArray *fs_handle_of_session(FsHandleTable *table, const FsSession *session);

/** How many files and directories @session has open. */
unsigned fs_handle_count(FsHandleTable *table, const FsSession *session);

/** How many of them are message files. */
unsigned fs_handle_count_messages(FsHandleTable *table,
                                  const FsSession *session);

/** Any open handle, or NULL. */
FsHandle *fs_handle_any(FsHandleTable *table);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsHandleTable, fs_handle_table_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsHandle, fs_handle_close)
