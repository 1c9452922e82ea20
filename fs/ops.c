/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/ops.h"

#include <errno.h>
#include <unistd.h>

#include "fs/op_undo.h"

/* Largest write in one request, in bytes. */
#define WRITE_MAX (1 << 20)

/* Requests that the kernel may have in flight on its own account. A release is
 * one of them, and must not queue behind others: until it comes, a file counts
 * as open and cannot be deleted by other sessions. */
#define BACKGROUND_MAX 256

/* How often those are looked at who keep others waiting, in microseconds. */
#define LOOK_US 500000

/* What we want of the kernel. Not its writeback cache, ever: a write must be
 * ours when the caller's write(2) returns. Not its splice either, as every
 * byte is copied out of the store anyway. */
#define CAPABILITIES_WANTED                                    \
	(FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC |       \
	 FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_PARALLEL_DIROPS | \
	 FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |    \
	 FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_IOCTL_DIR)

static void
fs_op_init(void *user_data, struct fuse_conn_info *conn)
{
	conn->want = conn->capable & CAPABILITIES_WANTED;
	conn->max_write = WRITE_MAX;
	conn->max_background = BACKGROUND_MAX;
	conn->time_gran = 1;
}

int
fs_call_attr(const FsCall *call, StoreNode node, StoreAttr *ret_attr)
{
	StoreAttr attr;
	int r;

	if (fs_lock_file_is_node(node)) {
		fs_call_lock_attr(call, node, ret_attr);
		return 0;
	}

	r = store_attr_get(call->txn, node, &attr);
	if (r < 0)
		return r;

	if (attr.parent == 0 && node != STORE_ROOT &&
	    !fs_handle_is_open(call->mount->handles, node))
		return -ESTALE;

	fs_access_report(call->mount->config, &attr);
	*ret_attr = attr;
	return 0;
}

int
fs_call_check(const FsCall *call, StoreNode node, int mask, StoreAttr *ret_attr)
{
	StoreAttr attr;
	int r;

	r = fs_call_attr(call, node, &attr);
	if (r < 0)
		return r;

	r = fs_access_check(&call->caller, &attr, mask);
	if (r < 0)
		return r;

	*ret_attr = attr;
	return 0;
}

int
fs_call_nodeid(const FsCall *call, const FsSession *session, StoreNode dir,
               const char *name, const StoreAttr *attr, fuse_ino_t *ret_nodeid)
{
	LayoutKind kind = LAYOUT_PLAIN;
	LayoutDir role;
	int r;

	if (S_ISREG(attr->mode)) {
		r = store_dir_role(call->txn, dir, &role);
		if (r < 0)
			return r;
		kind = layout_kind(role, name);
		if (kind == LAYOUT_PLAIN &&
		    g_hash_table_contains(call->mount->own_nodes,
		                          GSIZE_TO_POINTER(attr->node)))
			kind = LAYOUT_MESSAGE;
	}

	*ret_nodeid =
		fs_view_nodeid(fs_session_slot(session), kind, attr->node);
	return 0;
}

/* ---- between requests ---------------------------------------------------- */

/* When to look next; the same however often it is asked for. */
static int64_t
look_us(void)
{
	return (g_get_monotonic_time() / LOOK_US + 1) * LOOK_US;
}

void
fs_turn_end(const FsMount *mount)
{
	int64_t lock_us = fs_mailbag_lock_due_us(mount->mailbags);
	int64_t commit_us = fs_commit_due_us(mount);

	/* While somebody waits, handles are looked at that may be idle; and
	 * what could not be committed when it was due is tried again. */
	if (lock_us != INT64_MAX)
		lock_us = MIN(lock_us, look_us());
	if (commit_us <= g_get_monotonic_time())
		commit_us = look_us();
	if (mount->health->error != 0)
		commit_us = MIN(commit_us, look_us());
	fs_timer_set(mount->wait_timer, MIN(lock_us, commit_us));
}

void
fs_turn_expire(const FsMount *mount)
{
	fs_commit_expire(mount);
	fs_hold_expire(mount);
	fs_mailbag_lock_expire(mount->mailbags, g_get_monotonic_time());
	fs_health_look(mount->health);
	fs_turn_end(mount);
}

void
fs_turn_session_ended(const FsMount *mount, uint64_t serial)
{
	g_autoptr(FsSession) session =
		fs_session_by_serial(mount->sessions, serial);

	if (session != NULL) {
		fs_undo_session(
			mount, session,
			(FsReason){ FS_UNDONE_DEATH, "its process ended" });
		fs_undo_user_ended(mount, session);
		/* Its children may still have its files open. */
		fs_session_next_epoch(session);
	}
	fs_lock_file_end(mount->lock_files, serial);
	fs_mailbag_lock_leave(mount->mailbags, serial, g_get_monotonic_time());
	fs_creators_end(mount->creators, serial);
	(void)fs_trace_stop(mount->trace, serial);
	fs_turn_end(mount);
}

bool
fs_call_is_cacheable(const FsConfig *config, const StoreAttr *dir)
{
	return config->umask != FS_CONFIG_STORED || (dir->mode & S_IXOTH) != 0;
}

int
fs_call_entry(const FsCall *call, const FsSession *session,
              const StoreAttr *dir, const char *spelled, const char *stored,
              const StoreAttr *attr, struct fuse_entry_param *ret_entry)
{
	const FsConfig *config = call->mount->config;
	double timeout_s = 0;
	fuse_ino_t nodeid;
	int r;

	r = fs_call_nodeid(call, session, dir->node, stored, attr, &nodeid);
	if (r < 0)
		return r;

	if (fs_call_is_cacheable(config, dir))
		timeout_s = fs_view_entry_timeout_s(config, nodeid, spelled,
		                                    stored);

	*ret_entry = (struct fuse_entry_param){
		.ino = nodeid,
		.generation =
			fs_view_is_own(nodeid) ? fs_session_serial(session) : 0,
		.attr = fs_view_stat(call->mount->numbers, attr),
		.attr_timeout = fs_view_attr_timeout_s(config, nodeid),
		.entry_timeout = timeout_s,
	};
	return 0;
}

FsHandle *
fs_handle_of(const struct fuse_file_info *fi)
{
	return (FsHandle *)(uintptr_t)fi->fh;
}

const struct fuse_lowlevel_ops FS_OPS = {
	.init = fs_op_init,
	.lookup = fs_traced_lookup,
	.forget = fs_op_forget,
	.forget_multi = fs_op_forget_multi,
	.getattr = fs_op_getattr,
	.setattr = fs_traced_setattr,
	.access = fs_op_access,
	.readlink = fs_op_readlink,
	.mknod = fs_op_mknod,
	.mkdir = fs_op_mkdir,
	.create = fs_traced_create,
	.unlink = fs_traced_unlink,
	.rmdir = fs_op_rmdir,
	.rename = fs_traced_rename,
	.symlink = fs_op_symlink,
	.link = fs_op_link,
	.open = fs_traced_open,
	.read = fs_traced_read,
	.write = fs_traced_write,
	.flush = fs_traced_flush,
	.release = fs_traced_release,
	.fsync = fs_traced_fsync,
	.fallocate = fs_op_fallocate,
	.lseek = fs_op_lseek,
	.opendir = fs_op_opendir,
	.readdir = fs_op_readdir,
	.readdirplus = fs_op_readdirplus,
	.releasedir = fs_op_releasedir,
	.fsyncdir = fs_op_fsync,
	.statfs = fs_op_statfs,
	.getxattr = fs_op_getxattr,
	.setxattr = fs_op_setxattr,
	.listxattr = fs_op_listxattr,
	.removexattr = fs_op_removexattr,
	.getlk = fs_op_getlk,
	.setlk = fs_traced_setlk,
	.flock = fs_traced_flock,
	.ioctl = fs_op_ioctl,
};
