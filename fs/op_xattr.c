/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/ops.h"

#define PREFIX "user."

/* Extended attributes. smbd keeps DOS attributes in one; it also asks for ACLs
 * and capabilities all the time, and must be told quickly that there are none.
 * (ENOSYS would be quicker, but ends all extended attributes of the mount.) */
static int
name_check(const char *name)
{
	if (!g_str_has_prefix(name, PREFIX))
		return -EOPNOTSUPP;

	return name[strlen(PREFIX)] != '\0' ? 0 : -EINVAL;
}

static FsLockFile *
lock_file_of(const FsCall *call)
{
	return fs_lock_file_find_node(call->mount->lock_files, call->node);
}

static int
xattr_get(const FsCall *call, const char *name, void *buf, size_t size,
          size_t *ret_size)
{
	const FsLockFile *file;

	if (!fs_lock_file_is_node(call->node))
		return store_xattr_get(call->txn, call->node, name, buf, size,
		                       ret_size);

	file = lock_file_of(call);
	return file != NULL
	               ? fs_lock_file_xattr_get(file, name, buf, size, ret_size)
	               : -ENODATA;
}

void
fs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	FsCall call = fs_call_begin(req, "getxattr", ino);
	size_t room = MIN(size, STORE_XATTR_SIZE_MAX);
	g_autofree char *buf = g_malloc(room);
	StoreAttr attr;
	size_t got = 0;
	int r;

	fs_call_node(&call);
	r = name_check(name);
	if (r == 0)
		r = fs_call_check(&call, call.node, R_OK, &attr);
	if (r == 0)
		r = xattr_get(&call, name, buf, room, &got);

	if (size == 0)
		fs_reply_length(&call, r, got);
	else
		fs_reply_data(&call, r, buf, got);
}

void
fs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	FsCall call = fs_call_begin(req, "listxattr", ino);
	size_t room = MIN(size, STORE_XATTR_SIZE_MAX);
	g_autofree char *buf = g_malloc(room);
	const FsLockFile *file = lock_file_of(&call);
	size_t got = 0;
	int r = 0;

	fs_call_node(&call);
	if (!fs_lock_file_is_node(call.node))
		r = store_xattr_list(call.txn, call.node, buf, room, &got);
	else if (file != NULL)
		r = fs_lock_file_xattr_list(file, buf, room, &got);

	if (size == 0)
		fs_reply_length(&call, r, got);
	else
		fs_reply_data(&call, r, buf, got);
}

/* A change of an attribute of the file of @attr, for which @call was sent: a
 * removal if @value is NULL. */
static int
xattr_change(FsCall *call, FsSession *session, const StoreAttr *attr,
             const char *name, const char *value, size_t size, int flags)
{
	StorePlace place;
	int r;

	r = fs_stage_node(call, session, call->node, &place);
	if (r < 0)
		return r;

	r = value != NULL ? store_xattr_set(call->txn, call->node, name, value,
	                                    size, flags)
	                  : store_xattr_remove(call->txn, call->node, name);
	if (r == 0)
		fs_stage_note_attr(call, attr, &place);
	return r;
}

static int
lock_file_change(const FsCall *call, const FsSession *session, const char *name,
                 const char *value, size_t size, int flags)
{
	int64_t now_ns = g_get_real_time() * 1000;
	FsLockFile *file = fs_call_lock_own(call, session);

	if (file == NULL)
		return -ETXTBSY;

	return value != NULL ? fs_lock_file_xattr_set(file, name, value, size,
	                                              flags, now_ns)
	                     : fs_lock_file_xattr_remove(file, name, now_ns);
}

static void
xattr_answer(FsCall *call, const char *name, const char *value, size_t size,
             int flags)
{
	g_autoptr(FsSession) session = NULL;
	StoreAttr attr;
	int r;

	r = fs_call_session(call, &session);
	if (r < 0) {
		fs_reply_status(call, r);
		return;
	}

	r = name_check(name);
	if (r == 0)
		r = fs_call_check(call, call->node, W_OK, &attr);
	if (r == 0 && fs_lock_file_is_node(call->node))
		r = lock_file_change(call, session, name, value, size, flags);
	else if (r == 0)
		r = xattr_change(call, session, &attr, name, value, size,
		                 flags);

	fs_commit_reply(call, session, r);
}

void
fs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
               const char *value, size_t size, int flags)
{
	FsCall call = fs_call_begin(req, "setxattr", ino);

	xattr_answer(&call, name, value != NULL ? value : "", size, flags);
}

void
fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	FsCall call = fs_call_begin(req, "removexattr", ino);

	xattr_answer(&call, name, NULL, 0, 0);
}
