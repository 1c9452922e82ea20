/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include "store/store.h"

/**
 * The directory below the root in which an import collects what it brings, so
 * that it can be published in one transaction. A crash leaves it behind; the
 * next import sweeps it away. It has an attribute that tells it from a folder
 * that a client has called so.
 */
#define TOOL_STAGING_NAME "~IMPORT~.TMP"

/** Whether it would be called like @name, in whatever case. */
bool tool_staging_has_name(const char *name);

/** Whether an import made the directory @entry and did not finish. */
bool tool_staging_is(StoreTxn *txn, const StoreEntry *entry);

/** Whether an import left its directory behind. */
bool tool_staging_is_left(Store *store);

/**
 * Whether there is something of that name which no import has made, and which
 * is not empty: a crash may come between the directory and its attribute.
 */
bool tool_staging_is_taken(Store *store);

/** Removes what an import left behind; there may be nothing. Errors: -EEXIST if
 * it is taken. */
int tool_staging_sweep(Store *store);

/** Begins with an empty directory. Errors: -EEXIST if it is taken. */
int tool_staging_begin(Store *store, StoreNode *ret_dir);

/**
 * Makes the staging directory @dir the folder @name of the root, or, if that
 * is NULL, moves what is in it into the root, all at once and durably. A root
 * that was empty takes its attributes, too.
 *
 * Errors: -EEXIST if a name is taken.
 */
int tool_staging_publish(Store *store, StoreNode dir, const char *name);
