/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "fs/mailbag_lock.h"
#include "fs/transaction.h"
#include "store/journal.h"

/**
 * Gives the store the account of @transaction that its journal shall have of
 * this batch: whose it is, which mailbags' locks it has, for how long it has had
 * them, and for how long it has waited for them. It must have staged something.
 *
 * Threads: one at a time, the one that serves requests.
 */
void fs_account_give(const FsTransaction *transaction, FsMailbagLock *locks,
                     Store *store);

/** The mailbags whose locks @keys (char *) are of, in one line: "/A /LAB/B".
 * Caller frees. */
char *fs_account_mailbags(Store *store, const GPtrArray *keys);
