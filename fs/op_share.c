/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "fs/bridge/record.h"
#include "fs/ops.h"

/*
 * Share modes
 *
 * - smbd keeps those of its clients among itself; where the bridge is installed
 *   it declares each to us, right after the open and before it answers. So
 *   local programs meet the deny modes of clients, and clients what local
 *   programs have open.
 * - Between two opens of one session smbd has judged; we do between sessions.
 * - What a client's open denies is not known until it is declared. Until then
 *   it is in nobody's way, but for a new file, which is its creator's alone: a
 *   declaration that was refused would leave the file behind. For the same
 *   reason it may empty no file that a local program has open, whatever it is
 *   about to declare.
 * - Who denies others anything in a mailbag has its lock, in one form more. It
 *   is let go when the file is closed, not when smbd clears the mode before:
 *   only the close says whether the client lives.
 */

/* As they are declared. */
#define DENY_DELETE 4u
#define DENY_ALL    (FS_SHARE_BOTH | DENY_DELETE)

/* ---- who has what -------------------------------------------------------- */

/* Whether @handle is in the way of @session, whatever it shares. */
static bool
is_rival(const FsHandle *handle, const FsSession *session)
{
	return handle->session != session && !handle->is_closed &&
	       !fs_hold_is_lost(handle);
}

/* A local program that looks at mail sees what was committed, whatever becomes
 * of the file, and keeps nobody from it. */
static bool
is_looking(const FsHandle *handle)
{
	return handle->kind != LAYOUT_PLAIN && !handle->share.is_declared &&
	       handle->share.access == FS_SHARE_READ;
}

int
fs_share_check(const FsCall *call, const FsSession *session, StoreNode node,
               const FsShareMode *mode)
{
	const FsMount *mount = call->mount;
	GPtrArray *handles = fs_handle_list(mount->handles, node);

	if (!mount->config->dos_sharing)
		return 0;

	for (guint i = 0; handles != NULL && i < handles->len; i++) {
		const FsHandle *handle = handles->pdata[i];

		if (is_rival(handle, session) && !is_looking(handle) &&
		    fs_share_mode_collides(mode, &handle->share))
			return -ETXTBSY;
	}
	return 0;
}

FsShareMode
fs_share_of_open(const FsSession *session, int flags)
{
	return fs_session_is_bridged(session) ? (FsShareMode){ .access = 0 }
	                                      : fs_share_mode_of_flags(flags);
}

FsShareMode
fs_share_of_create(const FsSession *session, int flags)
{
	FsShareMode mode = fs_share_of_open(session, flags);

	if (fs_session_is_bridged(session))
		mode.deny = FS_SHARE_BOTH;
	return mode;
}

int
fs_share_check_resize(const FsCall *call, const FsHandle *handle)
{
	const FsMount *mount = call->mount;
	GPtrArray *handles = fs_handle_list(mount->handles, handle->node);

	if (!mount->config->dos_sharing || handle->share.is_declared ||
	    !fs_session_is_bridged(handle->session))
		return 0;

	for (guint i = 0; i < handles->len; i++) {
		const FsHandle *rival = handles->pdata[i];

		if (is_rival(rival, handle->session) &&
		    !rival->share.is_declared && rival->share.access != 0)
			return -ETXTBSY;
	}
	return 0;
}

/* ---- declaring ----------------------------------------------------------- */

/* Whoever denies anything has the mailbag. That all was undone is told by what
 * comes next: smbd takes any error for a refusal, and declares it again. */
static int
declare_lock(const FsCall *call, FsHandle *handle)
{
	int r;

	if (handle->purpose != FS_LOCK_UPDATE || handle->hold == FS_HOLD_HAS)
		return 0;

	r = fs_hold_check(call, handle->session);
	if (r == 0)
		r = fs_hold_attempt(call, handle->session, handle->key,
		                    handle->purpose);
	if (r == 0)
		handle->hold = FS_HOLD_HAS;
	return r;
}

static int
declare(const FsCall *call, FsHandle *handle, const FsBridgeShare *record)
{
	FsShareMode mode = {
		.access = record->access,
		.deny = record->deny & FS_SHARE_BOTH,
		.is_declared = true,
	};
	int r;

	if ((record->access & ~FS_SHARE_BOTH) != 0 ||
	    (record->deny & ~DENY_ALL) != 0)
		return -EINVAL;

	r = fs_hold_use(call, handle);
	if (r == 0)
		r = fs_share_check(call, handle->session, handle->node, &mode);
	if (r == 0 && mode.deny != 0)
		r = declare_lock(call, handle);
	if (r == 0)
		handle->share = mode;
	return r;
}

/* Whether @text, of @size bytes, is what an address is printed with. */
static bool
is_address(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	return length < size &&
	       strspn(text, "0123456789abcdefABCDEF.:[]%") == length;
}

/* ---- requests ------------------------------------------------------------ */

/* Whether the caller may speak for the session that has opened @handle. */
static int
speaker_check(FsCall *call, const FsHandle *handle)
{
	g_autoptr(FsSession) session = NULL;
	int r;

	r = fs_call_session(call, &session);
	if (r < 0)
		return r;

	/* Callers that cannot be told from each other have nothing to declare
	 * to each other. */
	if (fs_session_pid(session) == 0)
		return -ENOTTY;
	return session == handle->session ? 0 : -EPERM;
}

static void
hello_serve(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi,
            const void *in)
{
	FsCall call = fs_call_begin(req, "ioctl", ino);
	const FsHandle *handle = fs_handle_of(fi);
	FsBridgeHello record;
	int r;

	memcpy(&record, in, sizeof record);
	r = speaker_check(&call, handle);
	if (r == 0 && !is_address(record.client, sizeof record.client))
		r = -EINVAL;
	if (r == 0)
		fs_session_set_bridged(handle->session, record.client);
	fs_reply_done(&call, r);
}

static void
share_serve(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi,
            const void *in)
{
	FsHandle *handle = fs_handle_of(fi);
	FsBridgeShare record;
	FsCall call;
	int r;

	memcpy(&record, in, sizeof record);
	fs_trace_share(req, ino, fi, record.access, record.deny);
	call = fs_call_begin(req, "ioctl", ino);
	(void)fs_call_handle(&call, fi);
	r = speaker_check(&call, handle);
	/* A lock file is its maker's alone anyway. */
	if (r == 0 && handle->lock_file == NULL)
		r = declare(&call, handle, &record);
	fs_reply_done(&call, r);
	(void)fs_commit_settle(call.mount, handle->session);
}

void
fs_op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned request, void *arg,
            struct fuse_file_info *fi, unsigned flags, const void *in,
            size_t in_size, size_t out_size)
{
	bool is_dir = (flags & FUSE_IOCTL_DIR) != 0;
	FsCall call;

	if (is_dir && request == FS_BRIDGE_HELLO &&
	    in_size == sizeof(FsBridgeHello)) {
		hello_serve(req, ino, fi, in);
	} else if (!is_dir && request == FS_BRIDGE_SHARE &&
	           in_size == sizeof(FsBridgeShare)) {
		share_serve(req, ino, fi, in);
	} else {
		call = fs_call_begin(req, "ioctl", ino);
		fs_reply_status(&call, -ENOTTY);
	}
}
