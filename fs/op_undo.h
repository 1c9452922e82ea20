/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "fs/ops.h"

/** Why something is undone, for the counters and for a person. */
typedef struct FsReason {
	FsUndone why;
	const char *text; /* one line; borrowed */
} FsReason;

/**
 * Undoes @transaction because of @reason; if @is_told, its session is
 * answered with an error by who calls this.
 */
void fs_undo(const FsMount *mount, FsTransaction *transaction, FsReason reason,
             bool is_told);

/** Undoes what @session has under way, if there is anything. */
void fs_undo_session(const FsMount *mount, const FsSession *session,
                     FsReason reason);

/** Undoes everything: the mount is over. */
void fs_undo_stop(const FsMount *mount, FsReason reason);

/** -EIO if @session has yet to be told that it was undone, once. */
int fs_undo_tell(const FsCall *call, FsSession *session);

/** It is told by the answer to @call, if anybody hears that. */
void fs_undo_told(const FsCall *call, FsSession *session);

/** Whether it matters how the caller, of @session, lets go of something. */
bool fs_undo_is_due(const FsCall *call, const FsSession *session);

/** Whether @session may be about to delete a file, in a transaction. */
bool fs_undo_may_delete(const FsCall *call, const FsSession *session);

/** The session of @transaction has died, or is undone: what it may have marked to
 * be deleted gets another number; see number.h. */
void fs_undo_renumber(const FsMount *mount, FsTransaction *transaction);

/**
 * Finds whether the caller closes because it dies: the reason to undo what it
 * has staged, or FS_UNDONE_NOT. Takes its time; called by a worker, without the
 * turn.
 */
FsReason fs_undo_look(const FsCall *call, FsSession *session);

/** Whether the process of @user uses what @session has open, and it matters how
 * it ends. */
bool fs_undo_is_user(const FsCall *call, const FsSession *session,
                     FsSession *user);

/**
 * The same as fs_undo_look() of the process of @user, which uses what another
 * one has open: whether that is to be undone because it has ended, or ends now.
 * *@ret_is_over: it has, and that is no reason; or it goes on, is a child of
 * @closes_of, and closes a file of that one's now. NULL: it closes none.
 */
FsReason fs_undo_look_user(const FsSession *user, const FsSession *closes_of,
                           bool *ret_is_over);

/** The process of @user has ended: undoes what it did through files that others
 * have opened. Called with the turn. */
void fs_undo_user_ended(const FsMount *mount, const FsSession *user);

/** Whether it may be undone by fs_undo_lost() for the only reason that nobody
 * has found out yet what @session's process is called. */
bool fs_undo_is_doubtful(const FsCall *call, FsSession *session);

/** Undoes it if the caller is an smbd that has lost its client; whether. */
bool fs_undo_lost(const FsCall *call, FsSession *session);
