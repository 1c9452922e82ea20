/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/internal.h"

/**
 * Who waits in the commit queue (commit.c).
 *
 * Threads: the committer's, with the store locked but for waiter_free().
 */
typedef struct CommitWaiter {
	StoreDone *done;
	void *user_data;
	StoreTxn *txn;      /* a reference; NULL: waits for plain changes */
	ChangeLayer *layer; /* of it, to be committed; owned; NULL: waits for
	                     * its draft */
	StoreAccount
		*account;    /* for its entry in the journal; owned; or NULL */
	JournalEntry *entry; /* owned; or NULL */
	int r;               /* how it ended; < 0: not in the batch */
	bool is_doubtful;    /* answered, but the batch may yet be there */
} CommitWaiter;

/** Frees it, with what it has. */
void waiter_free(CommitWaiter *waiter);

/**
 * Of one who waits for a draft: its r says if a checkpoint has failed. Returns
 * whether none is under way, for he waits for that, too.
 */
bool waiter_looks_at_draft(CommitWaiter *waiter);

/** Tells its transaction how its changes ended. */
void waiter_land(Store *store, CommitWaiter *waiter);

/**
 * Moves the changes of those that are on disk to the frozen layer: where nothing
 * can be read there, nobody shall see what was before.
 */
void waiter_stay_frozen(Store *store, const GQueue *waiters);

/**
 * Keeps it, which is about to be told of a failure, until it is known whether
 * its changes are there. Meanwhile its transaction can only be ended.
 * Ownership: takes @waiter.
 */
void waiter_doubt(Store *store, CommitWaiter *waiter);

/** Lands all that were kept: their batch is there (0), or it is not. */
void waiter_settle(Store *store, int r);
