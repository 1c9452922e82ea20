/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "fs/ops.h"

void
fs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
           struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "read", ino);
	g_autofree char *buf = g_malloc(size);
	size_t got = 0;
	int r;

	r = store_file_read(call.txn, call.node, (uint64_t)offset, buf, size,
	                    &got);
	fs_reply_data(&call, r, buf, got);
}

/* The kernel takes the end of a file from the size that it knows, which for a
 * file with a nodeid a session is that of the session's own last look. */
static int
append_offset(const FsCall *call, uint64_t *ret_offset)
{
	StoreAttr attr;
	int r;

	r = store_attr_get(call->txn, call->node, &attr);
	if (r < 0)
		return r;

	*ret_offset = attr.size;
	return 0;
}

void
fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
            off_t offset, struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "write", ino);
	uint64_t at = (uint64_t)offset;
	int r;

	r = fs_open_use(&call, fs_handle_of(fi));
	if (r == 0 && (fi->flags & O_APPEND) != 0 && fs_view_is_own(ino))
		r = append_offset(&call, &at);
	if (r == 0)
		r = store_file_write(call.txn, call.node, at, data, size);

	fs_reply_written(&call, r, size);
}

/* One close(2) of perhaps many. POSIX locks of the process end here, and what it
 * has to itself while it is open. */
void
fs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "flush", ino);

	fs_range_lock_drop_owner(call.mount->locks, call.node, fi->lock_owner);
	fs_open_let_go(&call, fs_handle_of(fi));
	fs_reply_status(&call, 0);
}

void
fs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "release", ino);
	FsHandle *handle = fs_handle_of(fi);

	fs_range_lock_drop_handle(call.mount->locks, call.node, handle);
	fs_open_close(&call, handle);
	fs_reply_status(&call, 0);
}

static void
fsync_done(void *user_data, int r)
{
	g_autofree FsCall *call = user_data;

	fs_reply_status(call, r);
}

void
fs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
            struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "fsync", ino);

	store_sync(call.mount->store, fsync_done, fs_call_keep(&call));
}

static int
size_grow(const FsCall *call, uint64_t size)
{
	StoreAttr attr;
	int r;

	r = store_attr_get(call->txn, call->node, &attr);
	if (r < 0 || attr.size >= size)
		return r;

	return store_file_truncate(call->txn, call->node, size);
}

/* Room is not set aside; but if there is none now, better say so now. */
static int
room_check(const FsCall *call, uint64_t size)
{
	StoreRoom room;
	int r;

	r = store_room(call->mount->store, &room);
	if (r < 0)
		return r;

	return size <= room.free ? 0 : -ENOSPC;
}

static int
file_allocate(const FsCall *call, int mode, uint64_t offset, uint64_t size)
{
	bool keeps_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
	int r;

	if (size > STORE_FILE_SIZE_MAX || offset > STORE_FILE_SIZE_MAX - size)
		return -EFBIG;

	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case 0:
		r = room_check(call, size);
		break;
	case FALLOC_FL_PUNCH_HOLE:
		if (!keeps_size)
			return -EOPNOTSUPP;
		r = store_file_punch(call->txn, call->node, offset, size);
		break;
	case FALLOC_FL_ZERO_RANGE:
		r = store_file_punch(call->txn, call->node, offset, size);
		break;
	default:
		return -EOPNOTSUPP;
	}

	if (r < 0 || keeps_size)
		return r;

	return size_grow(call, offset + size);
}

void
fs_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
                off_t length, struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "fallocate", ino);
	int r;

	r = fs_open_use(&call, fs_handle_of(fi));
	if (r == 0)
		r = file_allocate(&call, mode, (uint64_t)offset,
		                  (uint64_t)length);

	fs_reply_status(&call, r);
}

void
fs_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
            struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "lseek", ino);
	uint64_t found = 0;
	int r = -EINVAL;

	/* The kernel answers all other kinds itself. */
	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		r = store_file_seek(call.txn, call.node, (uint64_t)offset,
		                    whence == SEEK_DATA ? STORE_SEEK_DATA
		                                        : STORE_SEEK_HOLE,
		                    &found);

	fs_reply_offset(&call, r, found);
}
