/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "fs/ops.h"

/**
 * The locks of all files that an administrator's edits concern; see op_edit.c.
 *
 * Threads: one at a time; with the turn where it says so.
 */
typedef struct FsEditLock FsEditLock;

/** None, yet, for @session. Ownership: @mount is borrowed. */
FsEditLock *fs_edit_lock_new(const FsMount *mount, FsSession *session);

/** All must have been dropped. NULL is a no-op. */
void fs_edit_lock_free(FsEditLock *lock);

/** Adds those of the file at @place, which changes: of a mailbag, its processing
 * lock, too. */
void fs_edit_lock_add(FsEditLock *lock, const StorePlace *place);

/** Adds that of the file at @place, which is to stay as it is. */
void fs_edit_lock_expect(FsEditLock *lock, const StorePlace *place);

/** The keys of what changes (lock_key.h). Ownership: the caller's, what is in it
 * is borrowed. */
GPtrArray *fs_edit_lock_keys(const FsEditLock *lock);

/**
 * Takes all of them, or none. Called with the turn. Where one is taken, @grant
 * is called when its wait has ended, and fs_edit_lock_granted() must follow.
 *
 * Errors: -EINPROGRESS it waits for one; -ETXTBSY one is taken, and it does not
 * wait: fs_edit_lock_text() says which.
 */
int fs_edit_lock_take(FsEditLock *lock, FsMailbagGrant *grant, void *user_data);

/** The wait for one has come to @r. Called with the turn. */
void fs_edit_lock_granted(FsEditLock *lock, int r);

/** Lets go of all that it has. Called with the turn. */
void fs_edit_lock_drop(FsEditLock *lock);

/** Who has the one that it waited for, for the administrator: a sentence.
 * Ownership: the caller's. */
char *fs_edit_lock_text(const FsEditLock *lock);
