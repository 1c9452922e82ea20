/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/waiter.h"

/** What of the pending changes is left for later. */
typedef enum DeferralScope {
	DEFER_NOTHING,
	DEFER_SPILLED, /**< content of transactions, which has no name yet */
	DEFER_UNDONE,  /**< that, and what was undone, or saved as a draft */
} DeferralScope;

/**
 * Takes what is to be left out of the active layer of @store, while those of
 * @waiters that have a layer are committed. What is left in it can be committed
 * by itself; what was taken, after it or with it.
 *
 * Ownership: the caller's.
 * Threads: the committer's, with the store locked and no batch on its way.
 */
ChangeLayer *deferral_take(Store *store, const GQueue *waiters,
                           DeferralScope scope);
