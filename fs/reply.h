/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <fuse_lowlevel.h>
#include <glib.h>

#include "fs/access.h"
#include "fs/range_lock.h"
#include "fs/trace.h"
#include "store/store.h"

/**
 * A request, and the one way out of it: every request is answered exactly once,
 * by one of these functions, which also logs it (with -v).
 *
 * Each answers an error if @r is negative, and otherwise what its name says.
 *
 * Threads: any, one at a time for one request.
 */
typedef struct FsCall {
	fuse_req_t req;
	const struct FsMount *mount; /* borrowed */
	const char *op;              /* its name, for the log */
	fuse_ino_t nodeid;           /* that it was sent for */
	StoreNode node;              /* the same, as the store knows it */
	StoreTxn *txn;               /* borrowed: what the caller sees; while
	                              * it changes something, where that goes */
	struct FsTransaction *transaction; /* borrowed; NULL: it goes to all */
	FsCaller caller;
	FsTraceCall trace;
	int64_t start_us;
} FsCall;

FsCall fs_call_begin(fuse_req_t req, const char *op, fuse_ino_t nodeid);

/** A copy that outlives the handler. Ownership: the caller frees it. */
FsCall *fs_call_keep(const FsCall *call);

/** Success, or an error. */
void fs_reply_status(const FsCall *call, int r);

/** As fs_reply_status(), to an ioctl. */
void fs_reply_done(const FsCall *call, int r);

/** Forgets need no answer. */
void fs_reply_none(const FsCall *call);

void fs_reply_entry(const FsCall *call, int r,
                    const struct fuse_entry_param *entry);

void fs_reply_attr(const FsCall *call, int r, const struct stat *attr,
                   double timeout_s);

/**
 * Opened: *@fi. Returns 0, or -ENOENT if the caller was interrupted meanwhile:
 * then no release will come.
 */
int fs_reply_open(const FsCall *call, const struct fuse_file_info *fi);

/** As fs_reply_open(), for a new file. */
int fs_reply_create(const FsCall *call, const struct fuse_entry_param *entry,
                    const struct fuse_file_info *fi);

void fs_reply_data(const FsCall *call, int r, const void *data, size_t size);

void fs_reply_written(const FsCall *call, int r, size_t size);

/** The length of an attribute's value, to a caller who asked for that only. */
void fs_reply_length(const FsCall *call, int r, size_t length);

void fs_reply_statfs(const FsCall *call, int r, const struct statvfs *stat);

void fs_reply_offset(const FsCall *call, int r, uint64_t offset);

/** The lock in the way. */
void fs_reply_lock(const FsCall *call, const struct flock *lock);
