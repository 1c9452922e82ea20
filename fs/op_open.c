/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/ops.h"

/*
 * Opening, and the files that one program at a time may write
 *
 * - A session that opens CONTROL.GLB or one of its kin for writing has it to
 *   itself until it closes it; readers are not kept out. The lock is the
 *   node's, in mailbag_lock.h.
 * - Others wait: their request is parked, an smbd's for a moment at a time, as
 *   its client hears nothing until it is answered. Only opening an existing
 *   file may wait; a create holds the directory's lock in the kernel.
 * - The FLUSH of a close lets go, for it is what the client is answered by; a
 *   RELEASE comes later, or with a process that inherited the file much later.
 *   If the open file lives on in a copy, its next write takes the lock again,
 *   unless somebody else has changed the file.
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
	if (r == 0 && (mask & W_OK) != 0)
		r = fs_access_check_dos(mount->config, &call->caller, call->txn,
		                        attr->node);

	return r;
}

/* The part that the directory of @attr's file plays, its path in *@ret_path and
 * its name, the end of that, in *@ret_name. */
static int
file_place(const FsCall *call, const StoreAttr *attr, LayoutDir *ret_role,
           char **ret_path, const char **ret_name)
{
	g_autofree char *path = NULL;
	LayoutDir role;
	int r;

	r = store_dir_role(call->txn, attr->parent, &role);
	if (r == 0)
		r = store_node_path(call->txn, attr->node, &path);
	if (r < 0)
		return r;

	*ret_role = role;
	*ret_name = strrchr(path, '/') + 1;
	*ret_path = g_steal_pointer(&path);
	return 0;
}

bool
fs_open_is_one_owner(const FsCall *call, const StoreAttr *attr)
{
	g_autofree char *path = NULL;
	const char *name;
	LayoutDir role;

	if (!S_ISREG(attr->mode) || attr->parent == 0 ||
	    store_dir_role(call->txn, attr->parent, &role) < 0 ||
	    role != LAYOUT_DIR_GLB)
		return false;

	return file_place(call, attr, &role, &path, &name) == 0 &&
	       layout_is_one_owner(role, name);
}

/* ---- truncation ---------------------------------------------------------- */

static void
refusal_log(const FsCall *call, const FsSession *session, const char *path)
{
	g_autofree char *escaped = g_strescape(path, NULL);

	g_warning("refused=truncate op=%s path=\"%s\" pid=%d "
	          "session=%" G_GUINT64_FORMAT,
	          call->op, escaped, (int)fuse_req_ctx(call->req)->pid,
	          fs_session_serial(session));
}

/* Two programs that were given the same number make the same MAI, and the
 * second would empty the first's (Q99204). */
static int
truncate_guard(const FsCall *call, const FsSession *session,
               const StoreAttr *attr)
{
	const FsMount *mount = call->mount;
	g_autofree char *path = NULL;
	const char *name;
	LayoutDir role;

	if (!mount->config->truncate_guard || attr->size == 0 ||
	    attr->parent == 0 ||
	    fs_creators_has(mount->creators, fs_session_serial(session),
	                    attr->node) ||
	    file_place(call, attr, &role, &path, &name) < 0 ||
	    !layout_is_body(role, name))
		return 0;

	refusal_log(call, session, path);
	return -ETXTBSY;
}

int
fs_open_resize(const FsCall *call, const FsSession *session,
               const StoreAttr *attr, uint64_t size)
{
	int r = 0;

	if (size == 0)
		r = truncate_guard(call, session, attr);
	if (r == 0)
		r = store_file_truncate(call->txn, attr->node, size);

	return r;
}

int
fs_open_truncate(const FsCall *call, const FsSession *session,
                 const StoreAttr *attr, const struct fuse_file_info *fi)
{
	if ((fi->flags & O_TRUNC) == 0)
		return 0;

	return fs_open_resize(call, session, attr, 0);
}

/* ---- locks of handles ---------------------------------------------------- */

FsHandle *
fs_open_into(const FsCall *call, FsSession *session, fuse_ino_t nodeid,
             FsHold hold, struct fuse_file_info *fi)
{
	bool is_own = fs_view_is_own(nodeid);
	FsHandle *handle = fs_handle_open(call->mount->handles, session,
	                                  fs_view_node(nodeid));

	/* What is the same for everybody changes only through the kernel,
	 * whose cache is then right however often the file is opened. */
	fi->direct_io = is_own;
	fi->keep_cache = !is_own;
	fi->fh = (uintptr_t)handle;
	handle->hold = hold;
	return handle;
}

char *
fs_open_key(StoreNode node)
{
	return g_strdup_printf("N:%" G_GUINT64_FORMAT, node);
}

static bool
wants_lock(const FsCall *call, const StoreAttr *attr,
           const struct fuse_file_info *fi)
{
	return (access_mask(fi->flags) & W_OK) != 0 &&
	       fs_open_is_one_owner(call, attr);
}

int
fs_open_take(const FsCall *call, const FsSession *session,
             const StoreAttr *attr, const struct fuse_file_info *fi,
             FsHold *ret_hold)
{
	g_autofree char *key = NULL;
	FsHold hold = FS_HOLD_NONE;
	int r;

	if (wants_lock(call, attr, fi)) {
		key = fs_open_key(attr->node);
		r = fs_mailbag_lock_try(call->mount->mailbags,
		                        fs_session_serial(session), key,
		                        g_get_monotonic_time());
		if (r < 0)
			return r;
		hold = FS_HOLD_HAS;
	}

	*ret_hold = hold;
	return 0;
}

void
fs_open_undo(const FsCall *call, const FsSession *session, StoreNode node,
             FsHold hold)
{
	g_autofree char *key = NULL;

	if (hold != FS_HOLD_HAS)
		return;

	key = fs_open_key(node);
	fs_mailbag_lock_drop(call->mount->mailbags, fs_session_serial(session),
	                     key, g_get_monotonic_time());
}

void
fs_open_close(const FsCall *call, FsHandle *handle)
{
	FsHold hold = handle->hold;

	handle->hold = FS_HOLD_NONE;
	fs_open_undo(call, handle->session, handle->node, hold);
	fs_handle_close(handle);
}

void
fs_open_let_go(const FsCall *call, FsHandle *handle)
{
	g_autoptr(FsSession) session = NULL;
	StoreAttr attr;

	if (handle->hold != FS_HOLD_HAS)
		return;

	/* Another process that inherited the file may close it. */
	if (fs_call_session(call, &session) < 0 || session != handle->session)
		return;

	handle->left_ctime_ns =
		store_attr_get(call->txn, handle->node, &attr) == 0
			? attr.ctime_ns
			: 0;
	fs_open_undo(call, session, handle->node, FS_HOLD_HAS);
	handle->hold = FS_HOLD_LEFT;
}

/* A handle that was closed, and lives on in a copy, is written again. */
static int
lock_renew(const FsCall *call, FsHandle *handle)
{
	g_autofree char *key = fs_open_key(handle->node);
	StoreAttr attr;
	int r;

	r = store_attr_get(call->txn, handle->node, &attr);
	if (r < 0)
		return r;
	if (attr.ctime_ns != handle->left_ctime_ns)
		return -ETXTBSY;

	r = fs_mailbag_lock_try(call->mount->mailbags,
	                        fs_session_serial(handle->session), key,
	                        g_get_monotonic_time());
	if (r == 0)
		handle->hold = FS_HOLD_HAS;
	return r;
}

/* Its session may have ended while a child still writes. */
static int
lock_check(const FsCall *call, const FsHandle *handle)
{
	g_autofree char *key = fs_open_key(handle->node);

	return fs_mailbag_lock_is_held(call->mount->mailbags,
	                               fs_session_serial(handle->session), key)
	               ? 0
	               : -ETXTBSY;
}

int
fs_open_use(const FsCall *call, FsHandle *handle)
{
	switch (handle->hold) {
	case FS_HOLD_NONE:
		return 0;
	case FS_HOLD_LEFT:
		return lock_renew(call, handle);
	case FS_HOLD_HAS:
	default:
		return lock_check(call, handle);
	}
}

/* ---- opening ------------------------------------------------------------- */

/* An open that may have to wait. */
typedef struct Opening {
	FsCall call;
	FsSession *session; /* a reference */
	StoreNode dir;      /* where its name was found */
	struct fuse_file_info fi;
	bool comes_back; /* asks again when it is told EAGAIN */
} Opening;

static void
opening_free(Opening *opening)
{
	fs_session_unref(opening->session);
	g_free(opening);
}

/* Called when the lock is had. While it waited, the file may have been removed
 * or replaced: then its name must be looked up again, which a local program's
 * kernel does upon ESTALE. */
static int
opening_check(const Opening *opening)
{
	const FsCall *call = &opening->call;
	StoreAttr attr;
	int r;

	r = fs_call_attr(call, call->node, &attr);
	if (r == 0 &&
	    (attr.parent != opening->dir || !fs_open_is_one_owner(call, &attr)))
		r = -ESTALE;
	if (r == -ESTALE && opening->comes_back)
		r = -EAGAIN;
	if (r == 0)
		r = fs_open_check(call, opening->session, &attr, &opening->fi);
	if (r == 0)
		r = fs_open_truncate(call, opening->session, &attr,
		                     &opening->fi);

	return r;
}

static void
opening_ended(void *user_data, int r)
{
	Opening *opening = user_data;
	const FsCall *call = &opening->call;
	FsHandle *handle;

	if (r == 0) {
		r = opening_check(opening);
		if (r < 0)
			fs_open_undo(call, opening->session, call->node,
			             FS_HOLD_HAS);
	}

	if (r == 0) {
		handle = fs_open_into(call, opening->session, call->nodeid,
		                      FS_HOLD_HAS, &opening->fi);
		if (fs_reply_open(call, &opening->fi) < 0)
			fs_open_close(call, handle);
	} else {
		fs_reply_status(call, r);
	}

	opening_free(opening);
}

/* The wait is named by a number and not by a pointer, for it may have ended. */
static void
opening_interrupted(fuse_req_t req, void *wait)
{
	const FsMount *mount = fuse_req_userdata(req);

	fs_mailbag_lock_cancel(mount->mailbags, GPOINTER_TO_SIZE(wait));
}

/* Takes the lock of @attr's file, at once or later, and answers then. */
static void
opening_begin(const FsCall *call, FsSession *session, const StoreAttr *attr,
              const struct fuse_file_info *fi)
{
	const FsMount *mount = call->mount;
	g_autofree char *key = fs_open_key(attr->node);
	uint64_t serial = fs_session_serial(session);
	int64_t now_us = g_get_monotonic_time();
	Opening *opening = g_new(Opening, 1);
	FsMailbagWait wait;
	FsMailbagAsk ask;
	int r;

	*opening = (Opening){
		.call = *call,
		.session = fs_session_ref(session),
		.dir = attr->parent,
		.fi = *fi,
	};
	if (fs_mailbag_lock_is_elsewhere(mount->mailbags, serial, key, now_us))
		opening->comes_back = fs_session_is_smbd(session);

	ask = (FsMailbagAsk){
		.key = key,
		.session = serial,
		.now_us = now_us,
		.park_us = opening->comes_back
		                   ? mount->config->smbd_park_ms * US_PER_MS
		                   : FS_MAILBAG_STAYS,
	};
	r = fs_mailbag_lock_wait(mount->mailbags, &ask, opening_ended, opening,
	                         &wait);
	if (r < 0) {
		opening_free(opening);
		fs_reply_status(call, r);
		return;
	}

	if (wait != 0) {
		fs_timer_set(mount->wait_timer,
		             fs_mailbag_lock_due_us(mount->mailbags));
		fuse_req_interrupt_func(call->req, opening_interrupted,
		                        GSIZE_TO_POINTER(wait));
	}
}

void
fs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "open", ino);
	g_autoptr(FsSession) session = NULL;
	FsHandle *handle;
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
	if (r == 0 && wants_lock(&call, &attr, fi)) {
		opening_begin(&call, session, &attr, fi);
		return;
	}
	if (r == 0)
		r = fs_open_truncate(&call, session, &attr, fi);
	if (r < 0) {
		fs_reply_status(&call, r);
		return;
	}

	handle = fs_open_into(&call, session, ino, FS_HOLD_NONE, fi);
	if (fs_reply_open(&call, fi) < 0)
		fs_open_close(&call, handle);
}

/* ---- what happens between requests --------------------------------------- */

void
fs_open_expire(const FsMount *mount)
{
	fs_mailbag_lock_expire(mount->mailbags, g_get_monotonic_time());
	fs_timer_set(mount->wait_timer,
	             fs_mailbag_lock_due_us(mount->mailbags));
}

void
fs_open_session_ended(const FsMount *mount, uint64_t serial)
{
	fs_mailbag_lock_end(mount->mailbags, serial, g_get_monotonic_time());
	fs_creators_end(mount->creators, serial);
}

FsMailbagLock *
fs_open_locks_new(const FsConfig *config)
{
	return fs_mailbag_lock_new(config->lock_wait_s * US_PER_S);
}
