/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include "fs/op_undo.h"
#include "fs/ops.h"

/*
 * Who sees what, and where a change goes
 *
 * - A session sees what it has staged itself, over what everybody sees.
 * - A change of a plain file is seen by everybody at once. One of a mailbag or
 *   message file is staged: its lock is taken first, or else it is refused.
 * - A file that was renamed between the two kinds of names is staged under
 *   both: what is done with the plain one goes on there, until that is
 *   committed. So it is with a file whose directory was renamed. A directory is
 *   never staged, so it cannot have such a name.
 * - What a change may have to wait for was waited for when its file was opened;
 *   here nobody waits.
 */

/* ---- seeing -------------------------------------------------------------- */

void
fs_call_see(FsCall *call, const FsSession *session)
{
	const FsMount *mount = call->mount;
	const FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);

	call->txn = transaction != NULL && transaction->txn != NULL
	                    ? transaction->txn
	                    : store_plain(mount->store);
}

int
fs_call_session(FsCall *call, FsSession **ret_session)
{
	FsSession *session;
	int r;

	r = fs_session_find(call->mount->sessions, fuse_req_ctx(call->req)->pid,
	                    &session);
	if (r < 0)
		return r;

	fs_session_hear(session);
	fs_call_see(call, session);
	*ret_session = session;
	return 0;
}

void
fs_call_node(FsCall *call)
{
	g_autoptr(FsSession) session = NULL;

	if (!fs_view_is_own(call->nodeid))
		return;

	session = fs_session_by_slot(call->mount->sessions,
	                             fs_view_slot(call->nodeid));
	if (session != NULL)
		fs_call_see(call, session);
}

FsHandle *
fs_call_handle(FsCall *call, const struct fuse_file_info *fi)
{
	FsHandle *handle = fs_handle_of(fi);

	fs_session_hear(handle->session);
	handle->used_us = fs_session_heard_us(handle->session);
	fs_call_see(call, handle->session);
	return handle;
}

/* ---- staging ------------------------------------------------------------- */

/* Looks @session's transaction up itself: to ask others may end what there was
 * of it, if it waits in another thread. */
static int
lock_try(const FsMount *mount, FsSession *session, const char *key,
         FsLockPurpose purpose)
{
	FsTransaction *transaction =
		fs_transaction_obtain(mount->transactions, session);

	return fs_transaction_take(transaction, key, purpose,
	                           g_get_monotonic_time());
}

/* Takes @key for @session. Whoever merely keeps it may give it up at once, if
 * he is asked. */
static int
lock_take(const FsMount *mount, FsSession *session, const char *key,
          FsLockPurpose purpose)
{
	int r;

	r = lock_try(mount, session, key, purpose);
	if (r != -ETXTBSY)
		return r;

	fs_commit_press(mount, key);
	return lock_try(mount, session, key, purpose);
}

/* Makes @call write to @transaction. */
static int
stage_begin(FsCall *call, FsTransaction *transaction)
{
	const FsMount *mount = call->mount;
	int r;

	/* Should what it stages be undone, it may be because it is gone. */
	if (transaction->txn == NULL)
		fs_session_find_peer(transaction->session);
	r = fs_transaction_begin(transaction, mount->store);
	if (r < 0)
		return r;

	call->transaction = transaction;
	call->txn = transaction->txn;
	return 0;
}

/* Whether @transaction has staged the plain name at @place: what has it, or had
 * it, was renamed, and everybody else sees it otherwise. */
static bool
is_name_staged(const FsMount *mount, const FsTransaction *transaction,
               const StorePlace *place)
{
	StoreEntry own = { .node = 0 };
	StoreEntry all = { .node = 0 };

	if (transaction == NULL || transaction->txn == NULL)
		return false;

	(void)store_name_find(transaction->txn, place->dir, place->name, &own);
	(void)store_name_find(store_plain(mount->store), place->dir,
	                      place->name, &all);
	return own.node != all.node ||
	       fs_transaction_touches(transaction, own.node);
}

int
fs_stage(FsCall *call, FsSession *session, const StorePlace *place)
{
	const FsMount *mount = call->mount;
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);
	g_autofree char *key = NULL;
	int r;

	call->transaction = NULL;
	call->txn = store_plain(mount->store);
	if (place->kind == LAYOUT_PLAIN)
		return is_name_staged(mount, transaction, place)
		               ? stage_begin(call, transaction)
		               : 0;

	r = fs_undo_tell(call, session);
	if (r == 0)
		r = fs_hold_check(call, session);
	if (r < 0)
		return r;

	key = fs_lock_key(place);
	r = lock_take(mount, session, key, fs_lock_key_purpose(place));
	if (r < 0)
		return r;

	transaction = fs_transaction_find(mount->transactions, session);
	return stage_begin(call, transaction);
}

int
fs_stage_check(const FsCall *call, const FsSession *session,
               const StorePlace *place)
{
	g_autofree char *key = fs_lock_key(place);

	return key != NULL && fs_mailbag_lock_is_elsewhere(
				      call->mount->mailbags,
				      fs_session_serial(session), key,
				      g_get_monotonic_time())
	               ? -ETXTBSY
	               : 0;
}

/* A file that its session has staged goes on there whatever it is called by
 * now: under a plain name, or none. */
static int
stage_touched(FsCall *call, FsTransaction *transaction, StoreNode node,
              const StorePlace *place)
{
	/* What was removed by a batch on its way may be gone when the next one
	 * arrives. */
	if (place->dir == 0 && fs_transaction_file(transaction, node) == NULL)
		return -ETXTBSY;

	return stage_begin(call, transaction);
}

int
fs_stage_node(FsCall *call, FsSession *session, StoreNode node,
              StorePlace *ret_place)
{
	FsTransaction *transaction =
		fs_transaction_find(call->mount->transactions, session);
	StorePlace place;
	int r;

	r = store_place_of(call->txn, node, &place);
	if (r == -ESTALE)
		place = (StorePlace){ .kind = LAYOUT_PLAIN };
	else if (r < 0)
		return r;

	*ret_place = place;
	if (place.kind == LAYOUT_PLAIN && transaction != NULL &&
	    fs_transaction_touches(transaction, node))
		return stage_touched(call, transaction, node, &place);
	return fs_stage(call, session, &place);
}

/* Handles of the session through which @node may still be written hold up the
 * commit: a message is not published before it is whole. */
static void
writers_count(const FsCall *call, FsTransaction *transaction, StoreNode node)
{
	GPtrArray *handles = fs_handle_list(call->mount->handles, node);

	for (guint i = 0; handles != NULL && i < handles->len; i++) {
		FsHandle *handle = handles->pdata[i];

		if (handle->session != transaction->session ||
		    fs_handle_is_stale(handle) || handle->is_writer ||
		    handle->is_closed || !handle->is_writable)
			continue;
		handle->is_writer = true;
		transaction->writers++;
	}
}

FsTransactionFile *
fs_stage_note(const FsCall *call, StoreNode node, const StorePlace *place,
              bool is_new)
{
	FsTransactionFile *file;

	if (call->transaction == NULL)
		return NULL;

	file = fs_transaction_note(call->transaction, node, place, is_new);
	if (place->kind == LAYOUT_MESSAGE)
		writers_count(call, call->transaction, node);
	return file;
}

/* smbd sets the time of what was written when that is closed, be it the
 * inqueue's KEY: no message is half done by that. And before it writes for the
 * first time it sets the archive bit: what was left open has not changed by
 * that. */
void
fs_stage_note_attr(const FsCall *call, const StoreAttr *before,
                   const StorePlace *place)
{
	FsTransaction *transaction = call->transaction;
	bool is_whole =
		transaction != NULL && (transaction->is_last_index ||
	                                !fs_transaction_is_staged(transaction));

	if (fs_stage_note(call, before->node, place, false) == NULL)
		return;

	transaction->is_last_index = is_whole;
	fs_hold_note_attr(call, transaction->session, before);
}

void
fs_stage_note_name(const FsCall *call, StoreNode node, const StorePlace *place,
                   bool is_new)
{
	if (fs_stage_note(call, node, place, is_new) != NULL)
		g_hash_table_add(call->transaction->dirs,
		                 g_memdup2(&place->dir, sizeof place->dir));
}

void
fs_stage_note_write(const FsCall *call, StoreNode node, const StorePlace *place,
                    uint64_t offset, size_t size)
{
	FsTransactionFile *file = fs_stage_note(call, node, place, false);

	if (file == NULL)
		return;

	call->transaction->bytes += size;
	if (file->written != NULL)
		fs_written_add(file->written, offset, size);
	call->transaction->is_last_index = file->purpose == FS_LOCK_INQUEUE &&
	                                   place->role == LAYOUT_DIR_KEY;
}

void
fs_stage_note_size(const FsCall *call, StoreNode node, const StorePlace *place,
                   uint64_t size)
{
	FsTransactionFile *file = fs_stage_note(call, node, place, false);

	if (file != NULL && file->written != NULL)
		fs_written_cut(file->written, size);
}
