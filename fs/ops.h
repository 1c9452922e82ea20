/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <fuse_lowlevel.h>

#include "fs/config.h"
#include "fs/creator.h"
#include "fs/handle.h"
#include "fs/mailbag_lock.h"
#include "fs/notify.h"
#include "fs/range_lock.h"
#include "fs/reply.h"
#include "fs/session.h"
#include "fs/timer.h"
#include "fs/view.h"
#include "store/store.h"

/**
 * The operations of the file system. Each decodes what the kernel sent, asks
 * the modules below, and answers through reply.h.
 *
 * Threads: two threads take requests, and now and then another one ends a wait
 * and opens a file for it. Whoever serves has the turn, FsMount.turn, so that
 * operations never run side by side, and requests are served in the order in
 * which they came. Nobody who has it waits for a request.
 */

/** What one mount is made of; all borrowed from the server. */
typedef struct FsMount {
	Store *store;
	const FsConfig *config;
	FsSessionTable *sessions;
	FsHandleTable *handles;
	FsRangeLock *locks;
	FsMailbagLock *mailbags;
	FsCreators *creators;
	FsTimer *wait_timer; /* rings for fs_open_expire() */
	GMutex *turn;
	FsNotify *notify;
	bool verbose;
	uint64_t *names_serial; /* counts changes of names; see readdirplus */
	GHashTable *own_nodes; /* like mail files for a rename; see op_name.c */
} FsMount;

/** What the kernel calls, with an FsMount as user data. */
extern const struct fuse_lowlevel_ops FS_OPS;

/* ---- for the operations ------------------------------------------------- */

/**
 * The attributes of @node, as they are reported. -ESTALE if it has lost its
 * name and nobody has it open: the kernel then looks the name up again.
 */
int fs_call_attr(const FsCall *call, StoreNode node, StoreAttr *ret_attr);

/** As fs_call_attr(), if the caller has @mask (R_OK, W_OK, X_OK) on it. */
int fs_call_check(const FsCall *call, StoreNode node, int mask,
                  StoreAttr *ret_attr);

/** The caller's session. Ownership: the caller of this lets go of it. */
int fs_call_session(const FsCall *call, FsSession **ret_session);

/** The nodeid by which @session knows @name in directory @dir. */
int fs_call_nodeid(const FsCall *call, const FsSession *session, StoreNode dir,
                   const char *name, const StoreAttr *attr,
                   fuse_ino_t *ret_nodeid);

/**
 * Whether the kernel may remember the names in a reported @dir. It checks
 * nothing when it finds one: so only if everybody may search the directory, or
 * if umask= makes the files in it no more open than the directory is.
 */
bool fs_call_is_cacheable(const FsConfig *config, const StoreAttr *dir);

/**
 * What the kernel is told of a node: @spelled is the name it asked for,
 * @stored the one that the store has, @attr as reported.
 */
int fs_call_entry(const FsCall *call, const FsSession *session,
                  const StoreAttr *dir, const char *spelled, const char *stored,
                  const StoreAttr *attr, struct fuse_entry_param *ret_entry);

/* The handle behind an open file. */
FsHandle *fs_handle_of(const struct fuse_file_info *fi);

/* ---- op_name.c ---------------------------------------------------------- */

void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
                 mode_t mode, dev_t rdev);
void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
                 mode_t mode);
void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                  mode_t mode, struct fuse_file_info *fi);
void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
                  fuse_ino_t newparent, const char *newname, unsigned flags);
void fs_op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
                   const char *name);
void fs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
                const char *newname);

/* ---- op_tree.c ---------------------------------------------------------- */

void fs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void fs_op_forget_multi(fuse_req_t req, size_t count,
                        struct fuse_forget_data *forgets);
void fs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
                   int to_set, struct fuse_file_info *fi);
void fs_op_access(fuse_req_t req, fuse_ino_t ino, int mask);
void fs_op_readlink(fuse_req_t req, fuse_ino_t ino);
void fs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                   struct fuse_file_info *fi);
void fs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
                       off_t offset, struct fuse_file_info *fi);
void fs_op_releasedir(fuse_req_t req, fuse_ino_t ino,
                      struct fuse_file_info *fi);
void fs_op_statfs(fuse_req_t req, fuse_ino_t ino);

/* ---- op_data.c ---------------------------------------------------------- */

void fs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                struct fuse_file_info *fi);
void fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
                 off_t offset, struct fuse_file_info *fi);
void fs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
                 struct fuse_file_info *fi);
void fs_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
                     off_t length, struct fuse_file_info *fi);
void fs_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
                 struct fuse_file_info *fi);

/* ---- op_open.c ---------------------------------------------------------- */

void fs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/** What opening @attr's file with the flags of *@fi demands. */
int fs_open_check(const FsCall *call, const FsSession *session,
                  const StoreAttr *attr, const struct fuse_file_info *fi);

/** Whether one program at a time may write @attr's file. */
bool fs_open_is_one_owner(const FsCall *call, const StoreAttr *attr);

/**
 * Takes the lock that *@fi's flags need on @attr's file, without waiting.
 * -ETXTBSY if another session has it. fs_open_into() or fs_open_undo() follows.
 */
int fs_open_take(const FsCall *call, const FsSession *session,
                 const StoreAttr *attr, const struct fuse_file_info *fi,
                 FsHold *ret_hold);

/** Lets go of what fs_open_take() took. */
void fs_open_undo(const FsCall *call, const FsSession *session, StoreNode node,
                  FsHold hold);

/** Does what O_TRUNC in *@fi's flags asks for; the lock is had. */
int fs_open_truncate(const FsCall *call, const FsSession *session,
                     const StoreAttr *attr, const struct fuse_file_info *fi);

/** Opens @nodeid for the caller's @session into *@fi; never fails. */
FsHandle *fs_open_into(const FsCall *call, FsSession *session,
                       fuse_ino_t nodeid, FsHold hold,
                       struct fuse_file_info *fi);

/** Sets the size of @attr's file, if the truncate-guard lets @session. */
int fs_open_resize(const FsCall *call, const FsSession *session,
                   const StoreAttr *attr, uint64_t size);

/** Before @handle is written through: has it its lock? If not, -ETXTBSY. */
int fs_open_use(const FsCall *call, FsHandle *handle);

/** One close of @handle, perhaps of a copy: lets go of its lock. */
void fs_open_let_go(const FsCall *call, FsHandle *handle);

/** Closes @handle with what comes with it. */
void fs_open_close(const FsCall *call, FsHandle *handle);

/** Called with the turn: ends the waits that are due. */
void fs_open_expire(const FsMount *mount);

/** Called with the turn, when a session's process has ended. */
void fs_open_session_ended(const FsMount *mount, uint64_t serial);

/** The key of @node's lock. Ownership: the caller's. */
char *fs_open_key(StoreNode node);

/** The locks of a mount with @config. */
FsMailbagLock *fs_open_locks_new(const FsConfig *config);

/* ---- op_lock.c ---------------------------------------------------------- */

void fs_op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                 struct flock *lock);
void fs_op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                 struct flock *lock, int sleep);
void fs_op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                 int op);

/* ---- op_xattr.c --------------------------------------------------------- */

void fs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
                    size_t size);
void fs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
                    const char *value, size_t size, int flags);
void fs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
