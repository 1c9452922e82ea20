/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <unistd.h>

#include "fs/ops.h"

/* Extended attributes. smbd keeps DOS attributes in one; it also asks for ACLs
 * and capabilities all the time, and must be told quickly that there are none.
 * (ENOSYS would be quicker, but ends all extended attributes of the mount.) */
static int
name_check(const char *name)
{
	return g_str_has_prefix(name, "user.") ? 0 : -EOPNOTSUPP;
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

	r = name_check(name);
	if (r == 0)
		r = fs_call_check(&call, call.node, R_OK, &attr);
	if (r == 0)
		r = store_xattr_get(call.txn, call.node, name, buf, room, &got);

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
	size_t got = 0;
	int r;

	r = store_xattr_list(call.txn, call.node, buf, room, &got);

	if (size == 0)
		fs_reply_length(&call, r, got);
	else
		fs_reply_data(&call, r, buf, got);
}

void
fs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
               const char *value, size_t size, int flags)
{
	FsCall call = fs_call_begin(req, "setxattr", ino);
	StoreAttr attr;
	int r;

	r = name_check(name);
	if (r == 0)
		r = fs_call_check(&call, call.node, W_OK, &attr);
	if (r == 0)
		r = store_xattr_set(call.txn, call.node, name, value, size,
		                    flags);

	fs_reply_status(&call, r);
}

void
fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	FsCall call = fs_call_begin(req, "removexattr", ino);
	StoreAttr attr;
	int r;

	r = name_check(name);
	if (r == 0)
		r = fs_call_check(&call, call.node, W_OK, &attr);
	if (r == 0)
		r = store_xattr_remove(call.txn, call.node, name);

	fs_reply_status(&call, r);
}
