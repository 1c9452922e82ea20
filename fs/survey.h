/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "fs/handle.h"
#include "fs/lock_file.h"
#include "fs/mailbag_lock.h"
#include "fs/session.h"
#include "fs/transaction.h"
#include "store/store.h"

/**
 * What `poctl sessions` and `poctl locks` are told: who is there, who has what,
 * who waits. All borrowed.
 *
 * Threads: the main one. It has the turn only while it copies what it needs,
 * so that looking stops nobody.
 */
typedef struct FsSurvey {
	GMutex *turn; /* of whoever serves; protects the tables below */
	Store *store;
	FsSessionTable *sessions;
	FsHandleTable *handles;
	FsMailbagLock *mailbags;
	FsTransactionTable *transactions;
	FsLockFiles *lock_files;
} FsSurvey;

/** Answers the command "sessions" (control.h) with aa{sv}, of an FsSurvey. */
GVariant *fs_survey_sessions(void *user_data, const char *argument,
                             char **ret_error);

/** The same for "locks". */
GVariant *fs_survey_locks(void *user_data, const char *argument,
                          char **ret_error);
