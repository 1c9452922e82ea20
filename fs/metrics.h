/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

#include <glib.h>

#include "fs/lock_key.h"

/**
 * Counters: how often something has happened since the mount, and how long it
 * took. To count allocates nothing, waits for nobody and never fails.
 *
 * Threads: any. What is read while others count may be one behind.
 */
typedef struct FsMetrics FsMetrics;

/** What is counted, each by one. */
typedef enum FsCount {
	FS_COUNT_COMMITTED, /* a transaction's batch is on disk, and seen */
	FS_COUNT_PUBLISHED, /* one without a mailbag's lock: seen at once */

	/* Waits for a lock that came to nothing. */
	FS_COUNT_TIMEOUT,  /* at lock-wait-s */
	FS_COUNT_DEADLOCK, /* never begun: it would have closed a circle */
	FS_COUNT_ROUND,    /* an smbd was told to ask again */

	/* What a program was refused because of another's lock. */
	FS_COUNT_REFUSED_SHARING,   /* sharing violation, error 32 */
	FS_COUNT_REFUSED_RANGE,     /* lock violation, error 33 */
	FS_COUNT_REFUSED_LOCK_FILE, /* the lock file exists */

	/* Requests answered with such an error. */
	FS_COUNT_EIO,
	FS_COUNT_ENOSPC,
	FS_COUNT_END, /* how many there are */
} FsCount;

/** Why what a transaction had staged was undone. */
typedef enum FsUndone {
	FS_UNDONE_NOT, /* it was not */
	FS_UNDONE_DEATH,
	FS_UNDONE_DISCONNECT,
	FS_UNDONE_BREAK,
	FS_UNDONE_AGE,
	FS_UNDONE_TORN,
	FS_UNDONE_ERROR, /* it could not be committed */
	FS_UNDONE_STOP,  /* the mount ended */
	FS_UNDONE_END,   /* how many there are */
} FsUndone;

FsMetrics *fs_metrics_new(void);

/** NULL is a no-op, here and as @metrics in all of the following. */
void fs_metrics_free(FsMetrics *metrics);

void fs_metrics_count(FsMetrics *metrics, FsCount count);

/** The word for @why, which is not FS_UNDONE_NOT. */
const char *fs_metrics_undone_name(FsUndone why);

void fs_metrics_undone(FsMetrics *metrics, FsUndone why);

/** A request @op (reply.h) has come. */
void fs_metrics_request(FsMetrics *metrics, const char *op);

/** It is answered with @r, which may be an error that is counted. */
void fs_metrics_answer(FsMetrics *metrics, const char *op, int r);

/** A commit took @us from the ask to the answer. */
void fs_metrics_commit(FsMetrics *metrics, int64_t us);

/** The lock @key (lock_key.h) was had after @us in the line for it. */
void fs_metrics_wait(FsMetrics *metrics, const char *key, int64_t us);

/** The lock @key is free again after @us. */
void fs_metrics_hold(FsMetrics *metrics, const char *key, int64_t us);

/**
 * Adds everything to @answer, of type a{sv}: a count is t, one by label a{st},
 * a histogram (ta(tt)): the sum in microseconds, and for each bucket its upper
 * end in microseconds (G_MAXUINT64: none) and the count in it alone; one by
 * label a{s(ta(tt))}.
 */
void fs_metrics_list(FsMetrics *metrics, GVariantBuilder *answer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsMetrics, fs_metrics_free)
