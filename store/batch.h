/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/waiter.h"

/**
 * A batch of commit.c's, and what becomes of it.
 *
 * Threads: the committer's, with the store locked.
 */

/**
 * Gets back the base that an earlier batch had to give up. The layer that it left
 * frozen is of a batch in doubt, of which it is known then what it came to.
 * Returns whether anything can be committed.
 */
bool batch_has_base(Store *store);

/**
 * Sends the frozen layer, and those of @waiters that have not failed; unlocks
 * meanwhile. Returns 0 if all of it is on the disk, even if nothing can be read
 * there any more: then there is no base. The frozen layer is gone, or active
 * again; but where nobody can read what became of it, it stays frozen.
 *
 * Errors: -ENOSPC; -EIO.
 */
int batch_commit(Store *store, const GQueue *waiters);
