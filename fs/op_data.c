/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "fs/op_undo.h"
#include "fs/ops.h"

void
fs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
           struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "read", ino);
	FsHandle *handle = fs_call_handle(&call, fi);
	g_autofree char *buf = g_malloc(size);
	size_t got = 0;
	int r;

	r = fs_hold_use(&call, handle);
	if (r == 0 && handle->lock_file != NULL)
		got = fs_lock_file_read(handle->lock_file, (uint64_t)offset,
		                        buf, size);
	else if (r == 0)
		r = store_file_read(call.txn, call.node, (uint64_t)offset, buf,
		                    size, &got);

	fs_reply_data(&call, r, buf, got);
}

/* The kernel takes the end of a file from the size that it knows, which for a
 * file with a nodeid a session is that of the session's own last look. */
static int
append_offset(const FsCall *call, uint64_t *ret_offset)
{
	StoreAttr attr;
	int r;

	r = fs_call_attr(call, call->node, &attr);
	if (r < 0)
		return r;

	*ret_offset = attr.size;
	return 0;
}

static int
file_write(FsCall *call, FsHandle *handle, const char *data, size_t size,
           uint64_t offset)
{
	StorePlace place;
	int r;

	if (handle->lock_file != NULL)
		return fs_lock_file_write(handle->lock_file, offset, data, size,
		                          g_get_real_time() * 1000);

	r = fs_stage_node(call, handle->session, call->node, &place);
	if (r == 0)
		r = store_file_write(call->txn, call->node, offset, data, size);
	if (r == 0)
		fs_stage_note_write(call, call->node, &place, offset, size);
	return r;
}

void
fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
            off_t offset, struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "write", ino);
	FsHandle *handle = fs_call_handle(&call, fi);
	uint64_t at = (uint64_t)offset;
	int r;

	r = fs_hold_use(&call, handle);
	if (r == 0 && (fi->flags & O_APPEND) != 0 && fs_view_is_own(ino))
		r = append_offset(&call, &at);
	if (r == 0)
		r = file_write(&call, handle, data, size, at);
	r = fs_commit_end(&call, handle->session, r);

	fs_reply_written(&call, r, size);
}

/* A close that was looked at. */
static void
flush_end(const FsCall *call, FsHandle *handle, FsSession *session, int r)
{
	const FsMount *mount = call->mount;

	fs_hold_ranges(mount, handle);
	fs_hold_leave(mount, handle);
	fs_commit_reply(call, session, r);
}

/* A process that did not open the file closes it. */
static void
flush_foreign(const FsCall *call, const FsHandle *handle)
{
	fs_hold_ranges(call->mount, handle);
	fs_reply_status(call, 0);
	(void)fs_commit_settle(call->mount, handle->session);
}

/* A close that may be the last thing a process does. */
typedef struct Flush {
	FsCall call;
	FsHandle *handle; /* borrowed: it is not released while we look */
	bool is_foreign;
	bool is_staged;   /* else there is nothing to undo */
	GPtrArray *users; /* owned, of references: whose end counts, too */
} Flush;

/* Whether one of the users dies, or has died; those that ended otherwise, or are
 * done with it, are forgotten. */
static FsReason
users_look(const Flush *flush, const FsMount *mount, const FsSession *session)
{
	GPtrArray *users = flush->users;
	FsReason fault = { .why = FS_UNDONE_NOT };

	for (guint i = 0; i < users->len && fault.why == FS_UNDONE_NOT; i++) {
		FsTransaction *transaction;
		bool is_over;

		fault = fs_undo_look_user(users->pdata[i],
		                          flush->is_foreign ? session : NULL,
		                          &is_over);
		if (!is_over)
			continue;
		g_mutex_lock(mount->turn);
		transaction = fs_transaction_find(mount->transactions, session);
		if (transaction != NULL)
			fs_transaction_remove_user(transaction,
			                           users->pdata[i]);
		g_mutex_unlock(mount->turn);
	}
	return fault;
}

/* Answers a close that was looked at, and found to be good or not. */
static void
flush_answer(const Flush *flush, FsSession *session, FsReason fault)
{
	const FsMount *mount = flush->call.mount;
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);
	bool is_staged =
		flush->is_staged ||
		(transaction != NULL && fs_transaction_is_staged(transaction));
	int r = 0;

	if (fault.why != FS_UNDONE_NOT && !is_staged) {
		/* An smbd that lives takes its marks away. */
		if (transaction != NULL && fault.why == FS_UNDONE_DEATH)
			fs_undo_renumber(mount, transaction);
		fault.why = FS_UNDONE_NOT;
	}
	if (fault.why != FS_UNDONE_NOT && transaction != NULL)
		fs_undo(mount, transaction, fault,
		        !flush->is_foreign &&
		                fault.why != FS_UNDONE_DISCONNECT);
	if (flush->is_foreign) {
		flush_foreign(&flush->call, flush->handle);
		return;
	}

	/* Another one's look may have undone it meanwhile. */
	if (fault.why != FS_UNDONE_NOT || fs_hold_is_lost(flush->handle)) {
		fs_undo_told(&flush->call, session);
		r = -EIO;
	}
	flush_end(&flush->call, flush->handle, session, r);
}

/* By a worker: who is looked at may keep it waiting, and nobody else. */
static void
flush_look(void *user_data)
{
	Flush *flush = user_data;
	const FsMount *mount = flush->call.mount;
	g_autoptr(FsSession) session = fs_session_ref(flush->handle->session);
	FsReason fault = { .why = FS_UNDONE_NOT };

	/* The journal is to say whose it was. */
	if (flush->is_staged)
		fs_session_await_peer(session);
	if (!flush->is_foreign)
		fault = fs_undo_look(&flush->call, session);
	if (fault.why == FS_UNDONE_NOT)
		fault = users_look(flush, mount, session);

	g_mutex_lock(mount->turn);
	flush_answer(flush, session, fault);
	fs_turn_end(mount);
	g_mutex_unlock(mount->turn);

	g_ptr_array_unref(flush->users);
	g_free(flush);
}

static void
user_unref(void *user)
{
	fs_session_unref(user);
}

/* Looks before it answers: at all who use what the session has open, or at
 * @user alone, which does and closes it. */
static void
flush_begin(const FsCall *call, FsHandle *handle, FsSession *user)
{
	const FsTransaction *transaction =
		fs_transaction_find(call->mount->transactions, handle->session);
	Flush *flush = g_new(Flush, 1);
	GHashTableIter iter;
	gpointer each;

	*flush = (Flush){
		.call = *call,
		.handle = handle,
		.is_foreign = user != NULL,
		.is_staged = fs_transaction_is_staged(transaction),
		.users = g_ptr_array_new_with_free_func(user_unref),
	};
	g_hash_table_iter_init(&iter, transaction->users);
	while (g_hash_table_iter_next(&iter, &each, NULL))
		if (flush->is_staged && (user == NULL || each == user))
			g_ptr_array_add(flush->users, fs_session_ref(each));
	fs_workers_post(call->mount->workers, flush_look, flush);
}

/* One close(2) of perhaps many. POSIX locks of the process end here, and what it
 * has to itself while it is open. */
void
fs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "flush", ino);
	FsHandle *handle = fs_call_handle(&call, fi);
	g_autoptr(FsSession) session = NULL;

	fs_range_lock_drop_owner(call.mount->locks, call.node, fi->lock_owner);
	if (fs_hold_is_plain(handle)) {
		fs_reply_status(&call, 0);
	} else if (fs_call_session(&call, &session) < 0) {
		flush_foreign(&call, handle);
	} else if (session != handle->session) {
		if (fs_undo_is_user(&call, handle->session, session))
			flush_begin(&call, handle, session);
		else
			flush_foreign(&call, handle);
	} else if (fs_hold_tell(&call, handle) < 0) {
		flush_end(&call, handle, session, -EIO);
	} else if (!fs_undo_is_due(&call, session) &&
	           !fs_undo_may_delete(&call, session)) {
		flush_end(&call, handle, session, 0);
	} else {
		flush_begin(&call, handle, NULL);
	}
}

void
fs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "release", ino);
	FsHandle *handle = fs_call_handle(&call, fi);
	g_autoptr(FsSession) session = fs_session_ref(handle->session);

	fs_range_lock_drop_handle(call.mount->locks, call.node, handle);
	fs_hold_ranges(call.mount, handle);
	fs_open_close(call.mount, handle);
	fs_reply_status(&call, 0);
	(void)fs_commit_settle(call.mount, session);
}

void
fs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
            struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "fsync", ino);
	const FsHandle *handle = fs_call_handle(&call, fi);
	int r;

	r = fs_hold_tell(&call, handle);
	if (r < 0)
		fs_reply_status(&call, r);
	else
		fs_sync_reply(&call, handle->session);
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
	FsHandle *handle = fs_call_handle(&call, fi);
	StorePlace place;
	int r;

	r = handle->lock_file != NULL ? -EOPNOTSUPP
	                              : fs_hold_use(&call, handle);
	if (r == 0)
		r = fs_stage_node(&call, handle->session, call.node, &place);
	if (r == 0)
		r = file_allocate(&call, mode, (uint64_t)offset,
		                  (uint64_t)length);
	if (r == 0)
		(void)fs_stage_note(&call, call.node, &place, false);

	fs_commit_reply(&call, handle->session, r);
}

/* All of a lock file is data. */
static int
lock_file_seek(const FsLockFile *file, uint64_t offset, int whence,
               uint64_t *ret_found)
{
	if (offset >= file->attr.size)
		return -ENXIO;

	*ret_found = whence == SEEK_DATA ? offset : file->attr.size;
	return 0;
}

void
fs_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
            struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "lseek", ino);
	const FsHandle *handle = fs_call_handle(&call, fi);
	uint64_t found = 0;
	int r;

	/* The kernel answers all other kinds itself. */
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		r = -EINVAL;
	else if (handle->lock_file != NULL)
		r = lock_file_seek(handle->lock_file, (uint64_t)offset, whence,
		                   &found);
	else
		r = store_file_seek(call.txn, call.node, (uint64_t)offset,
		                    whence == SEEK_DATA ? STORE_SEEK_DATA
		                                        : STORE_SEEK_HOLE,
		                    &found);

	fs_reply_offset(&call, r, found);
}
