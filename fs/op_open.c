/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fs/log.h"
#include "fs/op_undo.h"
#include "fs/ops.h"

/*
 * Opening
 *
 * - An open that takes a lock (op_hold.c) which another session has waits: the
 *   request is parked, an smbd's for a moment at a time, as its client hears
 *   nothing until it is answered. Only opening an existing file may wait; a
 *   create holds the directory's lock in the kernel.
 * - An open alone changes nothing: smbd opens, compares deny modes, and may
 *   close again up to six times for one refusal.
 * - Whatever truncates does so after the lock is had.
 */

#define US_PER_S  INT64_C(1000000)
#define US_PER_MS INT64_C(1000)

/* ---- what opening demands ------------------------------------------------ */

static int
access_mask(int flags)
{
	int mask = (flags & O_TRUNC) != 0 ? W_OK : 0;

	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return mask | R_OK;
	case O_WRONLY:
		return mask | W_OK;
	default:
		return mask | R_OK | W_OK;
	}
}

int
fs_open_check(const FsCall *call, const FsSession *session,
              const StoreAttr *attr, const struct fuse_file_info *fi)
{
	const FsMount *mount = call->mount;
	int mask = access_mask(fi->flags);
	int r;

	if (S_ISDIR(attr->mode))
		return -EISDIR;

	r = fs_handle_check(mount->handles, session);
	if (r == 0)
		r = fs_access_check(&call->caller, attr, mask);
	if (r == 0 && (mask & W_OK) != 0 && !fs_lock_file_is_node(attr->node))
		r = fs_access_check_dos(mount->config, &call->caller, call->txn,
		                        attr->node);

	return r;
}

/* ---- truncation ---------------------------------------------------------- */

static void
refusal_log(const FsCall *call, FsSession *session, StoreNode node)
{
	g_autofree char *client = fs_session_client(session);
	g_autofree char *path = NULL;

	(void)store_node_path(call->txn, node, &path);
	fs_log(FS_EVENT_TRUNCATE_REFUSED,
	       FS_LOG_NUMBER("session", fs_session_serial(session)),
	       FS_LOG_NUMBER("pid", fs_session_pid(session)),
	       FS_LOG_TEXT("client", client), FS_LOG_TEXT("path", path),
	       FS_LOG_TEXT("op", call->op));
}

/* Two programs that were given the same number make the same MAI, and the
 * second would empty the first's (Q99204). */
static int
truncate_guard(const FsCall *call, FsSession *session, const StoreAttr *attr,
               const StorePlace *place)
{
	const FsMount *mount = call->mount;

	if (!mount->config->truncate_guard || attr->size == 0 ||
	    fs_creators_has(mount->creators, fs_session_serial(session),
	                    attr->node) ||
	    !layout_is_body(place->role, place->name))
		return 0;

	refusal_log(call, session, attr->node);
	return -ETXTBSY;
}

int
fs_open_resize(FsCall *call, FsSession *session, const StoreAttr *attr,
               uint64_t size)
{
	StorePlace place;
	int r;

	r = fs_stage_node(call, session, attr->node, &place);
	if (r == 0 && size == 0)
		r = truncate_guard(call, session, attr, &place);
	if (r == 0)
		r = store_file_truncate(call->txn, attr->node, size);
	/* DOS programs also write nothing where the file ends anyway. */
	if (r == 0 && size == attr->size)
		fs_stage_note_attr(call, attr, &place);
	else if (r == 0)
		fs_stage_note_size(call, attr->node, &place, size);

	return r;
}

int
fs_open_truncate(FsCall *call, FsSession *session, const StoreAttr *attr,
                 const struct fuse_file_info *fi)
{
	if ((fi->flags & O_TRUNC) == 0 || fs_lock_file_is_node(attr->node))
		return 0;

	return fs_open_resize(call, session, attr, 0);
}

/* ---- open files ---------------------------------------------------------- */

void
fs_opening_init(const StorePlace *place, const FsSession *session, int flags,
                FsOpening *ret_opening)
{
	*ret_opening = (FsOpening){
		.place = *place,
		.flags = flags,
		.key = fs_lock_key(place),
		.purpose = fs_lock_key_purpose(place),
		.wants_lock = place->kind != LAYOUT_LOCK_FILE &&
		              fs_hold_is_wanted(place, flags),
		.share = fs_share_of_open(session, flags),
	};
}

void
fs_opening_clear(FsOpening *opening)
{
	g_clear_pointer(&opening->key, g_free);
}

FsHandle *
fs_open_into(const FsCall *call, FsSession *session, fuse_ino_t nodeid,
             FsOpening *opening, struct fuse_file_info *fi)
{
	const FsMount *mount = call->mount;
	bool is_own = fs_view_is_own(nodeid);
	FsHandle *handle =
		fs_handle_open(mount->handles, session, fs_view_node(nodeid),
	                       opening->place.kind);
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);

	/* What is the same for everybody changes only through the kernel,
	 * whose cache is then right however often the file is opened. */
	fi->direct_io = is_own;
	fi->keep_cache = !is_own;
	fi->fh = (uintptr_t)handle;

	handle->is_writable = (fi->flags & O_ACCMODE) != O_RDONLY;
	handle->key = g_steal_pointer(&opening->key);
	handle->purpose = opening->purpose;
	handle->hold = opening->wants_lock ? FS_HOLD_HAS : FS_HOLD_NONE;
	handle->share = opening->share;
	if (handle->kind == LAYOUT_LOCK_FILE) {
		handle->lock_file =
			fs_lock_file_find_node(mount->lock_files, handle->node);
		fs_lock_file_hold(handle->lock_file);
		/* Its directory may have come from another postoffice. */
		g_free(handle->key);
		handle->key = g_strdup(handle->lock_file->key);
	}
	/* Most mailbags are looked up to be opened, and no more. */
	if (handle->kind == LAYOUT_MAILBAG && transaction != NULL)
		fs_transaction_unsee(transaction, handle->node);
	if (handle->kind == LAYOUT_MESSAGE && handle->is_writable &&
	    transaction != NULL &&
	    fs_transaction_file(transaction, handle->node) != NULL) {
		handle->is_writer = true;
		transaction->writers++;
	}
	return handle;
}

void
fs_open_close(const FsMount *mount, FsHandle *handle)
{
	StoreNode node = handle->node;

	fs_hold_leave(mount, handle);
	if (handle->lock_file != NULL)
		fs_lock_file_release(handle->lock_file);
	fs_handle_close(handle);
	if (!fs_handle_is_open(mount->handles, node))
		fs_numbers_settle(mount->numbers, node);
}

/* ---- opening ------------------------------------------------------------- */

/* An open that waits for its lock. */
typedef struct Parked {
	FsCall call;
	FsSession *session; /* a reference */
	FsOpening opening;
	struct fuse_file_info fi;
	ino_t number;    /* of the file, as it was looked up */
	bool comes_back; /* asks again when it is told EAGAIN */
} Parked;

static void
parked_free(Parked *parked)
{
	fs_opening_clear(&parked->opening);
	fs_session_unref(parked->session);
	g_free(parked);
}

/* Answers an open whose lock is had, if it wants one. */
static void
open_finish(FsCall *call, FsSession *session, const StoreAttr *attr,
            FsOpening *opening, struct fuse_file_info *fi)
{
	const FsMount *mount = call->mount;
	FsHandle *handle;
	int r;

	r = fs_share_check(call, session, call->node, &opening->share);
	if (r == 0)
		r = fs_open_truncate(call, session, attr, fi);
	if (r < 0) {
		if (opening->wants_lock)
			fs_hold_let_go(mount, session, opening->key);
		fs_reply_status(call, r);
	} else {
		handle = fs_open_into(call, session, call->nodeid, opening, fi);
		if (fs_reply_open(call, fi) < 0)
			fs_open_close(mount, handle);
	}
	(void)fs_commit_settle(mount, session);
}

/* Called when the lock is had. While it waited, the file may have been removed
 * or replaced, or have got another number: then its name must be looked up
 * again, which a local program's kernel does upon ESTALE. */
static int
parked_check(Parked *parked, StoreAttr *ret_attr)
{
	FsCall *call = &parked->call;
	g_autofree char *key = NULL;
	StorePlace place;
	int r;

	fs_call_see(call, parked->session);
	r = store_place_of(call->txn, call->node, &place);
	if (r == 0) {
		key = fs_lock_key(&place);
		if (g_strcmp0(key, parked->opening.key) != 0)
			r = -ESTALE;
	}
	if (r == 0)
		r = fs_call_attr(call, call->node, ret_attr);
	if (r == 0 &&
	    fs_numbers_get(call->mount->numbers, ret_attr) != parked->number)
		r = -ESTALE;
	if (r == -ESTALE && parked->comes_back)
		r = -EAGAIN;
	if (r == 0)
		r = fs_open_check(call, parked->session, ret_attr, &parked->fi);

	return r;
}

static void
parked_ended(void *user_data, int r)
{
	Parked *parked = user_data;
	const FsMount *mount = parked->call.mount;
	FsOpening *opening = &parked->opening;
	StoreAttr attr;

	/* It was we who said nothing. */
	fs_session_hear(parked->session);
	if (r == 0) {
		fs_hold_taken(&parked->call, parked->session, opening->key,
		              opening->purpose);
		r = parked_check(parked, &attr);
		if (r < 0)
			fs_hold_let_go(mount, parked->session, opening->key);
	}

	if (r == 0) {
		open_finish(&parked->call, parked->session, &attr, opening,
		            &parked->fi);
	} else {
		fs_reply_status(&parked->call, r);
		(void)fs_commit_settle(mount, parked->session);
	}

	parked_free(parked);
}

/* The wait is named by a number and not by a pointer, for it may have ended. */
static void
parked_interrupted(fuse_req_t req, void *wait)
{
	const FsMount *mount = fuse_req_userdata(req);

	fs_mailbag_lock_cancel(mount->mailbags, GPOINTER_TO_SIZE(wait));
}

/* Should it wait in vain, the administrator is told who it was, and who had the
 * lock. */
static void
wait_introduce(const FsMount *mount, FsSession *session, const char *key)
{
	g_autoptr(FsSession) holder = NULL;
	uint64_t serial;

	fs_session_find_peer(session);
	if (fs_mailbag_lock_holder(mount->mailbags, key, &serial))
		holder = fs_session_by_serial(mount->sessions, serial);
	if (holder != NULL)
		fs_session_find_peer(holder);
}

/* Waits for the lock, and answers then. Takes @opening's key. */
static void
open_park(const FsCall *call, FsSession *session, const StoreAttr *attr,
          FsOpening *opening, const struct fuse_file_info *fi)
{
	const FsMount *mount = call->mount;
	Parked *parked = g_new(Parked, 1);
	g_autofree char *key = g_strdup(opening->key);
	FsMailbagWait wait;
	FsMailbagAsk ask;
	int r;

	*parked = (Parked){
		.call = *call,
		.session = fs_session_ref(session),
		.opening = *opening,
		.fi = *fi,
		.number = fs_numbers_get(mount->numbers, attr),
		.comes_back = fs_session_is_smbd(session),
	};
	opening->key = NULL;

	wait_introduce(mount, session, key);
	ask = (FsMailbagAsk){
		.key = key,
		.session = fs_session_serial(session),
		.now_us = g_get_monotonic_time(),
		.park_us = parked->comes_back
		                   ? mount->config->smbd_park_ms * US_PER_MS
		                   : FS_MAILBAG_STAYS,
	};
	r = fs_mailbag_lock_wait(mount->mailbags, &ask, parked_ended, parked,
	                         &wait);
	if (r < 0) {
		parked_free(parked);
		fs_reply_status(call, r);
	} else if (wait != 0) {
		fuse_req_interrupt_func(call->req, parked_interrupted,
		                        GSIZE_TO_POINTER(wait));
	}
	fs_commit_press(mount, key);
}

/* Takes the lock without waiting, if one is wanted. */
static int
open_try(const FsCall *call, FsSession *session, const FsOpening *opening)
{
	return opening->wants_lock ? fs_hold_take(call, session, opening->key,
	                                          opening->purpose)
	                           : 0;
}

static int
open_begin(FsCall *call, FsSession *session, int flags, FsOpening *ret_opening)
{
	StorePlace place;
	int r;

	if (fs_lock_file_is_node(call->node))
		r = fs_call_lock_open(call, session, call->node, &place);
	else
		r = store_place_of(call->txn, call->node, &place);
	/* It was plain until its directory became a postoffice's: whoever looks
	 * its name up now finds a lock file there, or nothing. */
	if (r == 0 && place.kind == LAYOUT_LOCK_FILE &&
	    !fs_lock_file_is_node(call->node))
		r = -ESTALE;
	if (r == 0)
		fs_opening_init(&place, session, flags, ret_opening);
	return r;
}

void
fs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "open", ino);
	g_autoptr(FsSession) session = NULL;
	FsOpening opening = { .key = NULL };
	StoreAttr attr;
	int r;

	r = fs_call_session(&call, &session);
	if (r == 0)
		r = fs_call_attr(&call, call.node, &attr);
	/* Found under a spelling that the kernel has yet to forget. */
	if (r == 0 && attr.parent == 0)
		r = -ESTALE;
	if (r == 0)
		r = fs_open_check(&call, session, &attr, fi);
	if (r == 0)
		r = open_begin(&call, session, fi->flags, &opening);
	if (r == 0 && opening.wants_lock)
		r = fs_undo_tell(&call, session);
	if (r == 0)
		r = open_try(&call, session, &opening);
	/* Removed or replaced since it was looked up; as after a wait. */
	if (r == -ESTALE && fs_session_is_smbd(session))
		r = -EAGAIN;

	if (r == 0)
		open_finish(&call, session, &attr, &opening, fi);
	else if (r == -ETXTBSY && opening.wants_lock)
		open_park(&call, session, &attr, &opening, fi);
	else
		fs_reply_status(&call, r);
	fs_opening_clear(&opening);
}
