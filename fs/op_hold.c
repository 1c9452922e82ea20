/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>

#include "fs/ops.h"

/*
 * The locks that come with open files
 *
 * - Opening KEY or MBG of an inqueue takes its lock, in whatever mode; of every
 *   other mailbag its update lock, if it is opened for writing. A message file
 *   that is opened for writing, and CONTROL.GLB and its kin, have a lock each.
 * - The FLUSH of a close lets go, for it is what the client is answered by; a
 *   RELEASE comes later, or with a process that inherited the file much later.
 *   If the open file lives on in a copy, its next use takes the lock again,
 *   unless somebody else has changed the file.
 */

/* Byte ranges from here on are not of the mail programs: dosemu2 keeps its
 * share modes in lock bytes far above. */
#define RANGES_END ((uint64_t)1 << 31)

static bool
flags_write(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

bool
fs_hold_is_wanted(const StorePlace *place, int flags)
{
	switch (fs_lock_key_purpose(place)) {
	case FS_LOCK_INQUEUE:
		return true;
	case FS_LOCK_UPDATE:
	case FS_LOCK_FILE:
		return flags_write(flags);
	case FS_LOCK_PROCESSING:
	case FS_LOCK_NONE:
	default:
		return false;
	}
}

int
fs_hold_take(const FsCall *call, FsSession *session, const char *key,
             FsLockPurpose purpose)
{
	const FsMount *mount = call->mount;
	FsTransaction *transaction =
		fs_transaction_obtain(mount->transactions, session);
	int r;

	r = fs_transaction_take(transaction, key, purpose,
	                        g_get_monotonic_time());
	if (r == 0) {
		fs_transaction_hold(transaction, key);
		return 0;
	}

	fs_transaction_tidy(transaction);
	fs_commit_press(mount, key);
	return r;
}

void
fs_hold_taken(const FsCall *call, FsSession *session, const char *key,
              FsLockPurpose purpose)
{
	FsTransaction *transaction =
		fs_transaction_obtain(call->mount->transactions, session);

	fs_transaction_taken(transaction, key, purpose);
	fs_transaction_hold(transaction, key);
}

void
fs_hold_undo(const FsMount *mount, const FsSession *session, const char *key)
{
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);

	if (transaction != NULL && fs_transaction_has(transaction, key))
		fs_transaction_let_go(transaction, key);
}

/* ---- handles ------------------------------------------------------------- */

/* A handle that was closed, and lives on in a copy, is used again. */
static int
hold_renew(const FsCall *call, FsHandle *handle)
{
	StoreAttr attr;
	int r;

	r = store_attr_get(call->txn, handle->node, &attr);
	if (r < 0)
		return r;
	if (attr.ctime_ns != handle->left_ctime_ns)
		return -ETXTBSY;

	r = fs_hold_take(call, handle->session, handle->key, handle->purpose);
	if (r == 0)
		handle->hold = FS_HOLD_HAS;
	return r;
}

int
fs_hold_use(const FsCall *call, FsHandle *handle)
{
	int r = 0;

	if (fs_handle_is_stale(handle) &&
	    (handle->kind != LAYOUT_PLAIN || handle->hold != FS_HOLD_NONE))
		return -EIO;

	if (handle->hold == FS_HOLD_LEFT)
		r = hold_renew(call, handle);
	if (r == 0)
		handle->is_closed = false;
	return r;
}

void
fs_hold_leave(const FsMount *mount, FsHandle *handle)
{
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, handle->session);
	StoreAttr attr;

	if (fs_handle_is_stale(handle))
		transaction = NULL;

	if (handle->is_writer && transaction != NULL)
		transaction->writers--;
	handle->is_writer = false;
	handle->is_closed = true;
	if (handle->hold != FS_HOLD_HAS)
		return;

	handle->left_ctime_ns =
		store_attr_get(transaction != NULL && transaction->txn != NULL
	                               ? transaction->txn
	                               : store_plain(mount->store),
	                       handle->node, &attr) == 0
			? attr.ctime_ns
			: 0;
	handle->hold = FS_HOLD_LEFT;
	if (transaction != NULL)
		fs_hold_undo(mount, handle->session, handle->key);
}

/* ---- byte ranges --------------------------------------------------------- */

bool
fs_hold_is_range(const FsHandle *handle, const FsLockRange *range)
{
	return handle->key != NULL && range->first < RANGES_END &&
	       (handle->purpose == FS_LOCK_UPDATE ||
	        handle->purpose == FS_LOCK_INQUEUE);
}

void
fs_hold_range(FsHandle *handle)
{
	handle->has_range = true;
}

void
fs_hold_ranges(const FsMount *mount, const FsHandle *of)
{
	GPtrArray *handles = fs_handle_list(mount->handles, of->node);

	for (guint i = 0; handles != NULL && i < handles->len; i++) {
		FsHandle *handle = handles->pdata[i];

		if (!handle->has_range || handle->session != of->session ||
		    fs_range_lock_has(mount->locks, handle->node, handle,
		                      RANGES_END))
			continue;
		handle->has_range = false;
		if (!fs_handle_is_stale(handle))
			fs_hold_undo(mount, handle->session, handle->key);
	}
}
