/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include "fs/ops.h"

/* ---- what everybody sees ------------------------------------------------- */

/* A question that waits for the disk. */
typedef struct Sync {
	FsLater *later;        /* borrowed */
	FsControlReply *reply; /* owned until it is answered */
	int r;
} Sync;

static void
sync_answer(void *user_data)
{
	Sync *sync = user_data;

	if (sync->r < 0)
		fs_control_reply(sync->reply, g_strerror(-sync->r), NULL);
	else
		fs_control_reply(
			sync->reply, NULL,
			g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0));
	g_free(sync);
}

/* Called by the store's own thread. */
static void
sync_done(void *user_data, int r)
{
	Sync *sync = user_data;

	sync->r = r;
	fs_later_post(sync->later, sync_answer, sync);
}

void
fs_sync_start(void *user_data, const FsControlAsk *ask, FsControlReply *reply)
{
	const FsMount *mount = user_data;
	Sync *sync = g_new(Sync, 1);

	(void)ask;
	*sync = (Sync){ .later = mount->later, .reply = reply };
	store_sync(mount->store, sync_done, sync);
}

/* ---- what a session has done --------------------------------------------- */

/* A call that waits for the disk. */
typedef struct Fsync {
	FsCall call;
	int r;
} Fsync;

/* On the main thread. */
static void
fsync_failed(void *user_data)
{
	g_autofree Fsync *fsync = user_data;
	const FsMount *mount = fsync->call.mount;

	g_mutex_lock(mount->turn);
	fs_reply_status(&fsync->call, fsync->r);
	fs_turn_end(mount);
	g_mutex_unlock(mount->turn);
}

/* Called on the committer's thread, which has no turn: an error, which tells of
 * the store's health, takes one. */
static void
fsync_done(void *user_data, int r)
{
	Fsync *fsync = user_data;

	if (r < 0) {
		/* Others would tell the kernel something else. */
		fsync->r = r == -ENOSPC ? r : -EIO;
		fs_later_post(fsync->call.mount->later, fsync_failed, fsync);
		return;
	}

	fs_reply_status(&fsync->call, 0);
	g_free(fsync);
}

/* What is staged is not published by a sync, but found in the quarantine should
 * the server end before the transaction, or what is on its way not arrive. What
 * was undone is there already, and not where it was written to. */
static int
session_sync(const FsMount *mount, const FsSession *session, Fsync *fsync)
{
	const FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);
	StoreCause cause = { .reason = "the server ended" };

	if (transaction == NULL || (!fs_transaction_is_staged(transaction) &&
	                            !transaction->is_flying)) {
		store_sync(mount->store, fsync_done, fsync);
		return 0;
	}

	cause.begun_ns = transaction->begun_ns;
	return store_txn_save(transaction->txn, &cause, fsync_done, fsync);
}

void
fs_sync_reply(const FsCall *call, const FsSession *session)
{
	Fsync *fsync = g_new(Fsync, 1);
	int r;

	*fsync = (Fsync){ .call = *call };
	r = session_sync(call->mount, session, fsync);
	if (r < 0) {
		g_free(fsync);
		fs_reply_status(call, r);
	}
}
