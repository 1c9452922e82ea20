/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "fs/op_undo.h"
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
		.session = fs_session_serial(fs_handle_of(fi)->session),
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

/* A request to lock that may have to wait, for the mailbag and then the range;
 * or to unlock. */
typedef struct Locking {
	FsCall call;
	FsHandle *handle; /* borrowed: it is not released while we answer */
	FsLockOwner owner;
	FsLockRange range;
	bool is_form;   /* it is one of the mailbag's lock */
	unsigned epoch; /* of the session, when that was had */
} Locking;

static void
locking_ended(void *user_data, int r)
{
	g_autofree Locking *locking = user_data;
	const FsCall *call = &locking->call;
	FsHandle *handle = locking->handle;

	/* It may have waited, and it was we who said nothing. */
	fs_session_hear(handle->session);

	/* What its session had was undone while it waited. */
	if (locking->is_form &&
	    locking->epoch != fs_session_epoch(handle->session)) {
		if (r == 0)
			(void)fs_range_lock_drop(call->mount->locks,
			                         &locking->owner,
			                         &locking->range);
		locking->is_form = false;
		r = -EIO;
	}

	if (locking->is_form && (r < 0 || handle->has_range))
		fs_hold_let_go(call->mount, handle->session, handle->key);
	if (locking->is_form && r == 0)
		fs_hold_range(handle);
	fs_reply_status(call, r);
	(void)fs_commit_settle(call->mount, handle->session);
}

/* The wait is named by a number and not by a pointer, for it may have ended. */
static void
range_interrupted(fuse_req_t req, void *wait)
{
	const FsMount *mount = fuse_req_userdata(req);

	fs_range_lock_cancel(mount->locks, GPOINTER_TO_SIZE(wait));
}

static void
mailbag_interrupted(fuse_req_t req, void *wait)
{
	const FsMount *mount = fuse_req_userdata(req);

	fs_mailbag_lock_cancel(mount->mailbags, GPOINTER_TO_SIZE(wait));
}

/* Called when the mailbag is had, if the range is a form of its lock. */
static void
range_wait(Locking *locking)
{
	const FsCall *call = &locking->call;
	fuse_req_t req = call->req;
	FsLockWait wait;
	int r;

	r = fs_range_lock_wait(call->mount->locks, &locking->owner,
	                       &locking->range, locking_ended, locking, &wait);
	if (r == -EDEADLK)
		fs_metrics_count(call->mount->metrics, FS_COUNT_DEADLOCK);
	if (r < 0)
		locking_ended(locking, r);
	else if (wait != 0)
		fuse_req_interrupt_func(req, range_interrupted,
		                        GSIZE_TO_POINTER(wait));
}

static void
mailbag_granted(void *user_data, int r)
{
	Locking *locking = user_data;
	const FsHandle *handle = locking->handle;

	if (r < 0) {
		locking->is_form = false;
		locking_ended(locking, r == -ETXTBSY ? -EDEADLK : r);
		return;
	}

	fs_hold_taken(&locking->call, handle->session, handle->key,
	              handle->purpose);
	locking->epoch = fs_session_epoch(handle->session);
	/* What its session had was undone while it waited, its handle too. */
	r = fs_hold_tell(&locking->call, handle);
	if (r < 0)
		locking_ended(locking, r);
	else
		range_wait(locking);
}

static void
mailbag_wait(Locking *locking)
{
	const FsMount *mount = locking->call.mount;
	const FsHandle *handle = locking->handle;
	g_autofree char *key = g_strdup(handle->key);
	fuse_req_t req = locking->call.req;
	FsMailbagAsk ask = {
		.key = key,
		.session = fs_session_serial(handle->session),
		.now_us = g_get_monotonic_time(),
		.park_us = FS_MAILBAG_STAYS,
	};
	FsMailbagWait wait;
	int r;

	r = fs_mailbag_lock_wait(mount->mailbags, &ask, mailbag_granted,
	                         locking, &wait);
	if (r < 0)
		mailbag_granted(locking, r);
	else if (wait != 0)
		fuse_req_interrupt_func(req, mailbag_interrupted,
		                        GSIZE_TO_POINTER(wait));
	fs_commit_press(mount, key);
}

static void
lock_take(const FsCall *call, const FsLockOwner *owner,
          const FsLockRange *range, FsHandle *handle, bool waits)
{
	Locking *locking = g_new(Locking, 1);
	int r = 0;

	*locking = (Locking){
		.call = *call,
		.handle = handle,
		.owner = *owner,
		.range = *range,
		.is_form = fs_hold_is_range(handle, range),
		.epoch = fs_session_epoch(handle->session),
	};

	if (locking->is_form)
		r = fs_hold_take(call, handle->session, handle->key,
		                 handle->purpose);
	if (r == -ETXTBSY && waits) {
		mailbag_wait(locking);
	} else if (r < 0) {
		locking->is_form = false;
		locking_ended(locking, r == -ETXTBSY ? -EAGAIN : r);
	} else if (waits) {
		range_wait(locking);
	} else {
		locking_ended(locking, fs_range_lock_try(call->mount->locks,
		                                         owner, range));
	}
}

/* To unlock is to be told what became of what was done under the lock. */
static void
lock_drop(const FsCall *call, const FsLockOwner *owner,
          const FsLockRange *range, const FsHandle *handle)
{
	int lost;
	int r;

	if (handle->has_range)
		(void)fs_undo_lost(call, handle->session);
	lost = fs_hold_tell(call, handle);
	r = fs_range_lock_drop(call->mount->locks, owner, range);
	fs_hold_ranges(call->mount, handle);
	fs_commit_reply(call, handle->session, lost < 0 ? lost : r);
}

/* By a worker, as a close. */
static void
unlock_look(void *user_data)
{
	g_autofree Locking *unlocking = user_data;
	const FsMount *mount = unlocking->call.mount;
	g_autoptr(FsSession) session =
		fs_session_ref(unlocking->handle->session);

	fs_session_find_name(session);
	g_mutex_lock(mount->turn);
	lock_drop(&unlocking->call, &unlocking->owner, &unlocking->range,
	          unlocking->handle);
	fs_turn_end(mount);
	g_mutex_unlock(mount->turn);
}

/* Unlocks, when it is known whether it may be an smbd that does so. */
static void
unlock(const FsCall *call, const FsLockOwner *owner, const FsLockRange *range,
       FsHandle *handle)
{
	Locking *unlocking;

	if (!handle->has_range || !fs_undo_is_doubtful(call, handle->session)) {
		lock_drop(call, owner, range, handle);
		return;
	}

	unlocking = g_new(Locking, 1);
	*unlocking = (Locking){
		.call = *call,
		.handle = handle,
		.owner = *owner,
		.range = *range,
	};
	fs_workers_post(call->mount->workers, unlock_look, unlocking);
}

/* Answers a request to lock or unlock through @fi's handle. */
static void
lock_change(FsCall *call, const struct fuse_file_info *fi,
            const FsLockRange *range, bool is_unlock, bool waits)
{
	FsLockOwner owner = owner_of(call, fi);
	FsHandle *handle = fs_call_handle(call, fi);
	int r;

	if (is_unlock) {
		unlock(call, &owner, range, handle);
		return;
	}

	r = fs_hold_use(call, handle);
	if (r < 0)
		fs_reply_status(call, r);
	else
		lock_take(call, &owner, range, handle, waits);
}

void
fs_op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
            struct flock *lock, int sleep)
{
	FsCall call = fs_call_begin(req, "setlk", ino);
	FsLockRange range = range_decode(&call, lock);

	lock_change(&call, fi, &range, lock->l_type == F_UNLCK, sleep != 0);
}

void
fs_op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
	FsCall call = fs_call_begin(req, "flock", ino);
	FsLockRange range = {
		.node = call.node,
		.space = FS_LOCK_FLOCK,
		.last = UINT64_MAX,
		.exclusive = (op & LOCK_EX) != 0,
	};

	lock_change(&call, fi, &range, (op & LOCK_UN) != 0,
	            (op & LOCK_NB) == 0);
}
