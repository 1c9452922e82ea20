/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "fs/handle.h"
#include "fs/lock_file.h"
#include "fs/mailbag_lock.h"
#include "fs/metrics.h"
#include "fs/session.h"
#include "fs/transaction.h"
#include "store/store.h"

/**
 * What `poctl sessions`, `poctl locks` and `poctl metrics` are told: who is
 * there, who has what, who waits, and how much of it all. All borrowed.
 *
 * Threads: any, side by side. It has the turn only while it copies what it
 * needs, so that looking stops nobody.
 */
typedef struct FsSurvey {
	GMutex *turn; /* of whoever serves; protects the tables below */
	Store *store;
	FsSessionTable *sessions;
	FsHandleTable *handles;
	FsMailbagLock *mailbags;
	FsTransactionTable *transactions;
	FsLockFiles *lock_files;
	FsMetrics *metrics;
} FsSurvey;

/** Answers the command "sessions" (control.h) with aa{sv}, of an FsSurvey. Who
 * they are it finds out first, so it is not for the main thread. */
GVariant *fs_survey_sessions(void *user_data, const char *argument,
                             char **ret_error);

/** The same for "locks". */
GVariant *fs_survey_locks(void *user_data, const char *argument,
                          char **ret_error);

/**
 * Answers the command "metrics" with a{sv}: what fs_metrics_list() gives, how
 * much there is now, and how the store does.
 */
GVariant *fs_survey_metrics(void *user_data, const char *argument,
                            char **ret_error);
