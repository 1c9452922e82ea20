/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "fs/ops.h"

static FsLockRange
range_decode(const FsCall *call, const struct flock *lock)
{
	uint64_t first = (uint64_t)lock->l_start;

	return (FsLockRange){
		.node = call->node,
		.space = FS_LOCK_POSIX,
		.first = first,
		.last = lock->l_len == 0 ? UINT64_MAX
		                         : first + (uint64_t)lock->l_len - 1,
		.exclusive = lock->l_type == F_WRLCK,
	};
}

static FsLockOwner
owner_of(const FsCall *call, const struct fuse_file_info *fi)
{
	return (FsLockOwner){
		.owner = fi->lock_owner,
		.handle = fs_handle_of(fi),
		.pid = fuse_req_ctx(call->req)->pid,
	};
}

void
fs_op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
            struct flock *lock)
{
	FsCall call = fs_call_begin(req, "getlk", ino);
	FsLockOwner owner = owner_of(&call, fi);
	FsLockRange range = range_decode(&call, lock);
	FsLockOwner holder;
	FsLockRange held;
	struct flock answer = *lock;

	answer.l_type = F_UNLCK;
	if (fs_range_lock_test(call.mount->locks, &owner, &range, &held,
	                       &holder))
		answer = (struct flock){
			.l_type = held.exclusive ? F_WRLCK : F_RDLCK,
			.l_whence = SEEK_SET,
			.l_start = (off_t)held.first,
			.l_len = held.last > INT64_MAX
			                 ? 0
			                 : (off_t)(held.last - held.first + 1),
			.l_pid = holder.pid,
		};

	fs_reply_lock(&call, &answer);
}

static void
parked_granted(void *user_data, int r)
{
	g_autofree FsCall *call = user_data;

	fs_reply_status(call, r);
}

/* The wait is named by a number and not by a pointer, for it may have ended. */
static void
parked_interrupted(fuse_req_t req, void *wait)
{
	const FsMount *mount = fuse_req_userdata(req);

	fs_range_lock_cancel(mount->locks, GPOINTER_TO_SIZE(wait));
}

static void
lock_wait(const FsCall *call, const FsLockOwner *owner,
          const FsLockRange *range)
{
	FsCall *parked = fs_call_keep(call);
	FsLockWait wait;
	int r;

	r = fs_range_lock_wait(call->mount->locks, owner, range, parked_granted,
	                       parked, &wait);
	if (r < 0) {
		g_free(parked);
		fs_reply_status(call, r);
		return;
	}

	if (wait != 0)
		fuse_req_interrupt_func(call->req, parked_interrupted,
		                        GSIZE_TO_POINTER(wait));
}

void
fs_op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
            struct flock *lock, int sleep)
{
	FsCall call = fs_call_begin(req, "setlk", ino);
	FsLockOwner owner = owner_of(&call, fi);
	FsLockRange range = range_decode(&call, lock);

	if (lock->l_type == F_UNLCK) {
		fs_reply_status(&call, fs_range_lock_drop(call.mount->locks,
		                                          &owner, &range));
	} else if (sleep) {
		lock_wait(&call, &owner, &range);
	} else {
		fs_reply_status(&call, fs_range_lock_try(call.mount->locks,
		                                         &owner, &range));
	}
}

void
fs_op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
	FsCall call = fs_call_begin(req, "flock", ino);
	FsLockOwner owner = owner_of(&call, fi);
	FsLockRange range = {
		.node = call.node,
		.space = FS_LOCK_FLOCK,
		.last = UINT64_MAX,
		.exclusive = (op & LOCK_EX) != 0,
	};

	if ((op & LOCK_UN) != 0) {
		fs_reply_status(&call, fs_range_lock_drop(call.mount->locks,
		                                          &owner, &range));
	} else if ((op & LOCK_NB) == 0) {
		lock_wait(&call, &owner, &range);
	} else {
		fs_reply_status(&call, fs_range_lock_try(call.mount->locks,
		                                         &owner, &range));
	}
}
