/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/reply.h"

#include "fs/log.h"
#include "fs/ops.h"
#include "fs/view.h"

FsCall
fs_call_begin(fuse_req_t req, const char *op, fuse_ino_t nodeid)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	const FsMount *mount = fuse_req_userdata(req);

	fs_metrics_request(mount->metrics, op);
	return (FsCall){
		.req = req,
		.mount = mount,
		.op = op,
		.nodeid = nodeid,
		.node = fs_view_node(nodeid),
		.txn = store_plain(mount->store),
		.caller = { .uid = ctx->uid, .gid = ctx->gid },
		.trace = fs_trace_take(mount->trace),
		.start_us = mount->verbose ? g_get_monotonic_time() : 0,
	};
}

FsCall *
fs_call_keep(const FsCall *call)
{
	FsCall *copy = g_new(FsCall, 1);

	*copy = *call;
	return copy;
}

/* Before the answer: after it, the mount may be gone. */
static void
call_log(const FsCall *call, int r, size_t size)
{
	if (G_UNLIKELY(call->trace.number != 0))
		fs_trace_answer(call->mount->trace, &call->trace, r, size);
	if (!call->mount->verbose)
		return;

	fs_log(FS_EVENT_REQUEST, FS_LOG_TEXT("op", call->op),
	       FS_LOG_NUMBER("slot", call->nodeid >> 48),
	       FS_LOG_NUMBER("node", call->node), FS_LOG_NUMBER("size", size),
	       FS_LOG_NUMBER("r", r),
	       FS_LOG_NUMBER("us", g_get_monotonic_time() - call->start_us));
}

/* The replies' own results are ignored where nothing hangs on them: they fail
 * if the caller was interrupted or the mount is gone, and it is over then. */

void
fs_reply_status(const FsCall *call, int r)
{
	call_log(call, r, 0);
	fs_metrics_answer(call->mount->metrics, call->op, r);
	fs_health_answered(call->mount->health, call->op, r);
	(void)fuse_reply_err(call->req, -r);
}

void
fs_reply_done(const FsCall *call, int r)
{
	if (r < 0) {
		fs_reply_status(call, r);
		return;
	}

	call_log(call, 0, 0);
	(void)fuse_reply_ioctl(call->req, 0, NULL, 0);
}

void
fs_reply_none(const FsCall *call)
{
	call_log(call, 0, 0);
	fuse_reply_none(call->req);
}

void
fs_reply_entry(const FsCall *call, int r, const struct fuse_entry_param *entry)
{
	if (r < 0) {
		fs_reply_status(call, r);
		return;
	}

	call_log(call, 0, 0);
	(void)fuse_reply_entry(call->req, entry);
}

void
fs_reply_attr(const FsCall *call, int r, const struct stat *attr,
              double timeout_s)
{
	if (r < 0) {
		fs_reply_status(call, r);
		return;
	}

	call_log(call, 0, 0);
	(void)fuse_reply_attr(call->req, attr, timeout_s);
}

int
fs_reply_open(const FsCall *call, const struct fuse_file_info *fi)
{
	call_log(call, 0, 0);
	return fuse_reply_open(call->req, fi);
}

int
fs_reply_create(const FsCall *call, const struct fuse_entry_param *entry,
                const struct fuse_file_info *fi)
{
	call_log(call, 0, 0);
	return fuse_reply_create(call->req, entry, fi);
}

void
fs_reply_data(const FsCall *call, int r, const void *data, size_t size)
{
	if (r < 0) {
		fs_reply_status(call, r);
		return;
	}

	call_log(call, 0, size);
	(void)fuse_reply_buf(call->req, data, size);
}

void
fs_reply_written(const FsCall *call, int r, size_t size)
{
	if (r < 0) {
		fs_reply_status(call, r);
		return;
	}

	call_log(call, 0, size);
	(void)fuse_reply_write(call->req, size);
}

void
fs_reply_length(const FsCall *call, int r, size_t length)
{
	if (r < 0) {
		fs_reply_status(call, r);
		return;
	}

	call_log(call, 0, length);
	(void)fuse_reply_xattr(call->req, length);
}

void
fs_reply_statfs(const FsCall *call, int r, const struct statvfs *stat)
{
	if (r < 0) {
		fs_reply_status(call, r);
		return;
	}

	call_log(call, 0, 0);
	(void)fuse_reply_statfs(call->req, stat);
}

void
fs_reply_offset(const FsCall *call, int r, uint64_t offset)
{
	if (r < 0) {
		fs_reply_status(call, r);
		return;
	}

	call_log(call, 0, 0);
	(void)fuse_reply_lseek(call->req, (off_t)offset);
}

void
fs_reply_lock(const FsCall *call, const struct flock *lock)
{
	call_log(call, 0, 0);
	(void)fuse_reply_lock(call->req, lock);
}
