/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/op_undo.h"
#include "fs/ops.h"

/*
 * Lock files, as the programs see them
 *
 * - Creating one takes the lock, and deleting it lets go, or, if it is still
 *   open then, its last close: delete-on-close deletes first, and only the
 *   close shows whether the client lives.
 * - While another session has the lock, in whatever form, the file exists, but
 *   can be neither opened nor changed nor deleted. So a program that locks by
 *   file and one that locks by opening keep each other out without knowing it.
 */

/* What listings show of an inqueue that is locked otherwise (Q103960). */
static const char *const INQUEUE_NAMES[] = { "INQUEUE.0LK", "INQUEUE3.0LK" };

static bool
is_elsewhere(const FsCall *call, const FsSession *session,
             const StorePlace *place)
{
	g_autofree char *key = fs_lock_key(place);
	FsMailbagLock *mailbags = call->mount->mailbags;
	uint64_t holder;

	return fs_mailbag_lock_holder(mailbags, key, &holder) &&
	       !fs_mailbag_lock_is_held(mailbags, fs_session_serial(session),
	                                key);
}

static FsLockFile *
file_at(const FsCall *call, const StorePlace *place)
{
	return fs_lock_file_find(call->mount->lock_files, place->dir,
	                         place->name);
}

void
fs_call_lock_attr(const FsCall *call, StoreNode node, StoreAttr *ret_attr)
{
	FsLockFile *file =
		fs_lock_file_find_node(call->mount->lock_files, node);

	/* That it vanished a moment ago is none of the caller's business: what
	 * it does next tells it. */
	*ret_attr = (StoreAttr){
		.node = node,
		.parent = STORE_ROOT,
		.mode = S_IFREG | 0777,
		.uid = getuid(),
		.gid = getgid(),
	};
	if (file != NULL)
		*ret_attr = file->attr;
	/* Deleted while it is open, it still is there for everybody else. */
	if (ret_attr->parent == 0)
		ret_attr->parent = STORE_ROOT;
	fs_access_report(call->mount->config, ret_attr);
}

int
fs_call_lock_find(const FsCall *call, const FsSession *session,
                  const StorePlace *place, StoreAttr *ret_attr)
{
	const FsLockFile *file = file_at(call, place);
	g_autofree char *key = fs_lock_key(place);

	if (is_elsewhere(call, session, place)) {
		fs_metrics_count(call->mount->metrics,
		                 FS_COUNT_REFUSED_LOCK_FILE);
		(void)fs_mailbag_lock_attempt(call->mount->mailbags,
		                              fs_session_serial(session), key,
		                              g_get_monotonic_time());
		fs_commit_press(call->mount, key);
	} else if (file == NULL) {
		return -ENOENT;
	}

	fs_call_lock_attr(call, fs_lock_file_node(place->dir, place->name),
	                  ret_attr);
	return 0;
}

static int
file_create(const FsCall *call, const FsSession *session,
            const StorePlace *place, const char *key, mode_t mode)
{
	FsLockFileNew wanted = {
		.dir = place->dir,
		.name = place->name,
		.key = key,
		.session = fs_session_serial(session),
		.mode = mode & 0777,
		.uid = call->caller.uid,
		.gid = call->caller.gid,
		.now_ns = g_get_real_time() * 1000,
	};
	FsLockFile *file;

	return fs_lock_file_create(call->mount->lock_files, &wanted, &file);
}

int
fs_call_lock_create(FsCall *call, FsSession *session, const StorePlace *place,
                    mode_t mode, StoreAttr *ret_attr)
{
	g_autofree char *key = fs_lock_key(place);
	int r;

	r = fs_undo_tell(call, session);
	if (r == 0)
		r = fs_hold_check(call, session);
	if (r < 0)
		return r;

	if (file_at(call, place) != NULL)
		return -EEXIST;
	if (fs_hold_attempt(call, session, key, fs_lock_key_purpose(place)) < 0)
		return -EEXIST;

	r = file_create(call, session, place, key, mode);
	if (r < 0) {
		fs_hold_let_go(call->mount, session, key);
		(void)fs_commit_settle(call->mount, session);
		return r;
	}

	fs_call_lock_attr(call, fs_lock_file_node(place->dir, place->name),
	                  ret_attr);
	return 0;
}

/* Whoever still has the deleted @file open has its lock now. */
static void
lock_hand_over(const FsCall *call, const FsSession *session,
               const FsLockFile *file)
{
	const FsMount *mount = call->mount;
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);
	GPtrArray *handles = fs_handle_list(mount->handles, file->attr.node);

	for (guint i = 0; handles != NULL && i < handles->len; i++) {
		FsHandle *handle = handles->pdata[i];

		if (handle->lock_file != file || handle->is_closed)
			continue;
		fs_transaction_hold(transaction, handle->key);
		handle->hold = FS_HOLD_HAS;
	}
}

int
fs_call_lock_delete(const FsCall *call, FsSession *session,
                    const StorePlace *place)
{
	FsLockFile *file = file_at(call, place);
	g_autofree char *key = NULL;
	int r;

	/* It went with what was undone. */
	r = fs_undo_tell(call, session);
	if (r < 0)
		return r;

	if (is_elsewhere(call, session, place))
		return -ETXTBSY;
	if (file == NULL)
		return -ENOENT;
	/* Its directory has come from another postoffice. */
	if (file->session != fs_session_serial(session))
		return -ETXTBSY;

	key = g_strdup(file->key);
	lock_hand_over(call, session, file);
	fs_lock_file_remove(file);
	fs_hold_let_go(call->mount, session, key);
	return 0;
}

FsLockFile *
fs_call_lock_own(const FsCall *call, const FsSession *session)
{
	FsLockFile *file =
		fs_lock_file_find_node(call->mount->lock_files, call->node);

	return file != NULL && file->session == fs_session_serial(session)
	               ? file
	               : NULL;
}

int
fs_call_lock_open(const FsCall *call, const FsSession *session, StoreNode node,
                  StorePlace *ret_place)
{
	const FsLockFile *file =
		fs_lock_file_find_node(call->mount->lock_files, node);

	/* Never "not found": as an error that reaches the client it would be
	 * the end of a message, while a busy file is tried again. */
	if (file == NULL || file->attr.parent == 0 ||
	    file->session != fs_session_serial(session))
		return -ETXTBSY;

	return store_place_in(call->txn, file->attr.parent, file->name,
	                      ret_place);
}

/* ---- listings ------------------------------------------------------------ */

static void
file_list(void *user_data, FsLockFile *file)
{
	fs_listing_add(user_data, file->attr.node, S_IFREG, file->name);
}

void
fs_call_lock_list(const FsCall *call, const FsSession *session, StoreNode dir,
                  FsListing *listing)
{
	StorePlace place;

	fs_lock_file_list(call->mount->lock_files, dir, file_list, listing);

	for (size_t i = 0; i < G_N_ELEMENTS(INQUEUE_NAMES); i++) {
		if (store_place_in(call->txn, dir, INQUEUE_NAMES[i], &place) <
		            0 ||
		    place.role != LAYOUT_DIR_P1 ||
		    file_at(call, &place) != NULL ||
		    !is_elsewhere(call, session, &place))
			continue;
		fs_listing_add(listing, fs_lock_file_node(dir, place.name),
		               S_IFREG, place.name);
	}
}
