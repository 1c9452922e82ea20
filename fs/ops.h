/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <fuse_lowlevel.h>

#include "fs/config.h"
#include "fs/control.h"
#include "fs/creator.h"
#include "fs/handle.h"
#include "fs/health.h"
#include "fs/later.h"
#include "fs/lock_file.h"
#include "fs/mailbag_lock.h"
#include "fs/metrics.h"
#include "fs/notify.h"
#include "fs/number.h"
#include "fs/range_lock.h"
#include "fs/reply.h"
#include "fs/session.h"
#include "fs/share_mode.h"
#include "fs/thread_group.h"
#include "fs/timer.h"
#include "fs/trace.h"
#include "fs/transaction.h"
#include "fs/view.h"
#include "fs/worker.h"
#include "store/store.h"

/**
 * The operations of the file system. Each decodes what the kernel sent, asks
 * the modules below, and answers through reply.h.
 *
 * Threads: two threads take requests, and now and then another one ends a wait
 * and opens a file for it, or answers a close that it has looked at. Whoever serves has the turn, FsMount.turn, so that
 * operations never run side by side, and requests are served in the order in
 * which they came. Nobody who has it waits for a request.
 */

/** What one mount is made of; all borrowed from the server. */
typedef struct FsMount {
	Store *store;
	const FsConfig *config;
	FsSessionTable *sessions;
	FsHandleTable *handles;
	FsListings *listings;
	FsRangeLock *locks;
	FsMailbagLock *mailbags;
	FsTransactionTable *transactions;
	FsLockFiles *lock_files;
	FsCreators *creators;
	FsNumbers *numbers;
	FsMetrics *metrics;
	FsHealth *health;
	FsTrace *trace;
	FsTimer *wait_timer; /* rings for fs_turn_expire() */
	FsLater *later;
	FsWorkers *workers;
	GThreadPool *edits; /* op_edit.c's */
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

/**
 * The caller's session; from now on @call sees what it sees.
 * Ownership: the caller of this lets go of it.
 */
int fs_call_session(FsCall *call, FsSession **ret_session);

/** From now on @call sees what the session sees whose nodeid it was sent for. */
void fs_call_node(FsCall *call);

/** From now on @call sees what @session sees. */
void fs_call_see(FsCall *call, const FsSession *session);

/** The handle in *@fi; from now on @call sees what its session sees. */
FsHandle *fs_call_handle(FsCall *call, const struct fuse_file_info *fi);

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

/** The handle behind an open file. */
FsHandle *fs_handle_of(const struct fuse_file_info *fi);

/** Called with the turn, before it is given up: sets the alarm of what waits. */
void fs_turn_end(const FsMount *mount);

/** Called with the turn, when the alarm rings. */
void fs_turn_expire(const FsMount *mount);

/** Called with the turn, when a session's process has ended. */
void fs_turn_session_ended(const FsMount *mount, uint64_t serial);

/* ---- op_stage.c ---------------------------------------------------------- */

/**
 * Readies a change of what is at @place, by @session: takes its lock, and
 * makes @call write to where the change goes. fs_commit_settle(), _end() or
 * _reply() must follow.
 *
 * Errors: -ETXTBSY if another session has the lock, -EIO if what the session
 * did was undone and it was not told, -EACCES if it cannot be told from others.
 */
int fs_stage(FsCall *call, FsSession *session, const StorePlace *place);

/** Whether @session may change the name at @place, which is to be plain:
 * -ETXTBSY if another has staged it. */
int fs_stage_check(const FsCall *call, const FsSession *session,
                   const StorePlace *place);

/** As fs_stage(), for @node, whose place is *@ret_place. */
int fs_stage_node(FsCall *call, FsSession *session, StoreNode node,
                  StorePlace *ret_place);

/** Enters that @node has changed; NULL if that went to all. */
FsTransactionFile *fs_stage_note(const FsCall *call, StoreNode node,
                                 const StorePlace *place, bool is_new);

/** The times, rights or extended attributes of what was *@before are others. */
void fs_stage_note_attr(const FsCall *call, const StoreAttr *before,
                        const StorePlace *place);

/** Its name has come, gone or changed. */
void fs_stage_note_name(const FsCall *call, StoreNode node,
                        const StorePlace *place, bool is_new);

/** @size bytes at @offset were written. */
void fs_stage_note_write(const FsCall *call, StoreNode node,
                         const StorePlace *place, uint64_t offset, size_t size);

/** It was given another size. */
void fs_stage_note_size(const FsCall *call, StoreNode node,
                        const StorePlace *place, uint64_t size);

/* ---- op_commit.c --------------------------------------------------------- */

/**
 * After a step of @session: ends or commits what is to be. Returns 0, or the
 * error of what was to be everybody's at once.
 */
int fs_commit_settle(const FsMount *mount, const FsSession *session);

/** The same after a call that came to @r: what it is to be answered. */
int fs_commit_end(const FsCall *call, const FsSession *session, int r);

/** The same, and answers @call: if this was the end, when it is on disk. */
void fs_commit_reply(const FsCall *call, const FsSession *session, int r);

/** Somebody waits for @key: its holder shall commit as soon as it may. */
void fs_commit_press(const FsMount *mount, const char *key);

/** Whether nothing was done for a while through the handles by which @session
 * holds @lock; see idle-open-s. */
bool fs_commit_is_idle(const FsMount *mount, const FsSession *session,
                       const FsTransactionLock *lock);

/** Answers those who wait for an end, and forgets them. */
void fs_commit_answer(GQueue *ends, int r);

/** Ends what has taken too long, and when to look again; see the timer. */
void fs_commit_expire(const FsMount *mount);
int64_t fs_commit_due_us(const FsMount *mount);

/* ---- op_break.c ---------------------------------------------------------- */

/**
 * Answers the command "break" (control.h), of an FsMount: undoes what a session
 * has under way, takes its locks from it and ends its waits. What it had open
 * is of no use to it any more.
 *
 * Threads: the main one; it takes the turn.
 */
GVariant *fs_break_answer(void *user_data, const char *argument,
                          char **ret_error);

/* ---- op_edit.c ----------------------------------------------------------- */

/**
 * Carries out the command "edit" (control.h), of an FsMount: the list of edits
 * (store/edit.h) in the file that was sent along, which must be sealed against
 * writing and shrinking. Its argument, one line, says what it is for. The
 * answer comes when it is on disk; it is an a{sv}, in which "stale" is a
 * sentence if nothing was done because a file is not what it was.
 *
 * Threads: the main one, which takes the turn; what takes long is done on that
 * of FsMount.edits.
 */
void fs_edit_start(void *user_data, const FsControlAsk *ask,
                   FsControlReply *reply);

/** The thread for FsMount.edits, which is there from now on: an edit whose
 * thread could not be made would keep its locks for ever. Returns NULL, having
 * said why, if it cannot be made. Ownership: the caller ends it, which waits,
 * before the store is closed, and runs what was posted for later. */
GThreadPool *fs_edit_pool_new(void);

/* ---- op_sync.c ----------------------------------------------------------- */

/**
 * Carries out the command "sync" (control.h), of an FsMount: what everybody may
 * see is on disk before the answer, an empty a{sv}, so that whoever opens the
 * store then sees it, too. Nobody is kept waiting by it.
 *
 * Threads: the main one.
 */
void fs_sync_start(void *user_data, const FsControlAsk *ask,
                   FsControlReply *reply);

/**
 * Answers @call when what @session has done is on disk. What is staged is not
 * published by that, but found in the quarantine should the server end before
 * the transaction.
 */
void fs_sync_reply(const FsCall *call, const FsSession *session);

/* ---- op_hold.c ----------------------------------------------------------- */

/** Whether opening the file at @place with @flags takes its lock. */
bool fs_hold_is_wanted(const StorePlace *place, int flags);

/** Whether @session may have locks: -EACCES if it is not one client. */
int fs_hold_check(const FsCall *call, const FsSession *session);

/** Tells the administrator of a wait that came to nothing; of an FsMount. */
void fs_hold_refused(void *user_data, const FsMailbagRefusal *refusal);

/** Takes the lock @key in one form more. Errors: -ETXTBSY, -EACCES. */
int fs_hold_take(const FsCall *call, FsSession *session, const char *key,
                 FsLockPurpose purpose);

/** As fs_hold_take(), for one who cannot wait and tries again: it takes a place
 * in the line (fs_mailbag_lock_attempt()). */
int fs_hold_attempt(const FsCall *call, FsSession *session, const char *key,
                    FsLockPurpose purpose);

/** The same for a lock that was waited for and granted. */
void fs_hold_taken(const FsCall *call, FsSession *session, const char *key,
                   FsLockPurpose purpose);

/** Lets go of one form. */
void fs_hold_let_go(const FsMount *mount, const FsSession *session,
                    const char *key);

/**
 * Before @handle is used: takes its lock again, if it was closed.
 *
 * Errors: -EIO if what its session did was undone, -ETXTBSY if its file is
 * another by now, or locked.
 */
int fs_hold_use(const FsCall *call, FsHandle *handle);

/** Whether nothing hangs on how @handle is used and closed. */
bool fs_hold_is_plain(const FsHandle *handle);

/** Whether what @handle kept others from was undone: it is of no use. */
bool fs_hold_is_lost(const FsHandle *handle);

/** -EIO if it was: so its session is told. */
int fs_hold_tell(const FsCall *call, const FsHandle *handle);

/** @handle was closed, though perhaps a copy of it lives on. */
void fs_hold_leave(const FsMount *mount, FsHandle *handle);

/** What was *@before has got other attributes, by @session: for handles of its
 * own that were left this is no change. */
void fs_hold_note_attr(const FsCall *call, const FsSession *session,
                       const StoreAttr *before);

/** Lets go of mailbags that are idle and that somebody waits for. */
void fs_hold_expire(const FsMount *mount);

/** Nobody could ask for anything, or was heard, for the last @us: that makes
 * nobody silent, and no transaction older. */
void fs_hold_excuse(const FsMount *mount, int64_t us);

/** Whether @range through @handle is a form of its mailbag's lock. */
bool fs_hold_is_range(const FsHandle *handle, const FsLockRange *range);

/** A range through @handle was granted, in a form of the lock of its own. */
void fs_hold_range(FsHandle *handle);

/** Lets go of the lock for handles like @of that have no range any more. */
void fs_hold_ranges(const FsMount *mount, const FsHandle *of);

/* ---- op_trace.c ---------------------------------------------------------- */

/** FS_OPS as the kernel calls them: each enters its request in the trace of its
 * session, if that is traced, and goes on to the operation. */
void fs_traced_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_traced_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                      mode_t mode, struct fuse_file_info *fi);
void fs_traced_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_traced_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
                      fuse_ino_t newparent, const char *newname,
                      unsigned flags);
void fs_traced_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
                       int to_set, struct fuse_file_info *fi);
void fs_traced_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_traced_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi);
void fs_traced_write(fuse_req_t req, fuse_ino_t ino, const char *data,
                     size_t size, off_t offset, struct fuse_file_info *fi);
void fs_traced_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_traced_release(fuse_req_t req, fuse_ino_t ino,
                       struct fuse_file_info *fi);
void fs_traced_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
                     struct fuse_file_info *fi);
void fs_traced_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                     struct flock *lock, int sleep);
void fs_traced_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                     int op);

/** The same for a declared share mode; called by the operation itself. */
void fs_trace_share(fuse_req_t req, fuse_ino_t ino,
                    const struct fuse_file_info *fi, unsigned access,
                    unsigned deny);

/** Enters @event in the trace of @session, if that is traced. */
void fs_trace_tell(const FsMount *mount, const FsSession *session,
                   const char *event);

/**
 * Answers the commands "trace-start" with a session's number, "trace-stop" with
 * one or "all", and "trace-expect" with a client's address (control.h), of an
 * FsMount. The last traces the client's newest session, if it is known where that
 * is, else its next one from the first request on: it is asked again, a second
 * later at most, until it answers with a session's number, not 0.
 *
 * Threads: the main one; they take the turn.
 */
GVariant *fs_trace_answer_start(void *user_data, const char *argument,
                                char **ret_error);
GVariant *fs_trace_answer_expect(void *user_data, const char *argument,
                                 char **ret_error);
GVariant *fs_trace_answer_stop(void *user_data, const char *argument,
                               char **ret_error);

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

/** Sets the size of @attr's file, if the truncate-guard lets @session. */
int fs_open_resize(FsCall *call, FsSession *session, const StoreAttr *attr,
                   uint64_t size);

/** Does what O_TRUNC in *@fi's flags asks for. */
int fs_open_truncate(FsCall *call, FsSession *session, const StoreAttr *attr,
                     const struct fuse_file_info *fi);

/** An open file to be: what it is and which lock it takes. */
typedef struct FsOpening {
	StorePlace place;
	int flags;
	char *key; /* owned; of its lock, or NULL */
	FsLockPurpose purpose;
	bool wants_lock;
	FsShareMode share;
} FsOpening;

/** Fills in *@ret_opening for the file at @place, by @session. */
void fs_opening_init(const StorePlace *place, const FsSession *session,
                     int flags, FsOpening *ret_opening);
void fs_opening_clear(FsOpening *opening);

/**
 * Opens @nodeid for @session into *@fi, with the lock that it was given if it
 * wants one; never fails. Takes @opening's key.
 */
FsHandle *fs_open_into(const FsCall *call, FsSession *session,
                       fuse_ino_t nodeid, FsOpening *opening,
                       struct fuse_file_info *fi);

/** Closes @handle with what comes with it. */
void fs_open_close(const FsMount *mount, FsHandle *handle);

/* ---- op_lock_file.c ------------------------------------------------------ */

/** The attributes of a lock file's node, as reported; there always are some. */
void fs_call_lock_attr(const FsCall *call, StoreNode node, StoreAttr *ret_attr);

/**
 * Finds the lock file at @place, real or because the lock is held otherwise;
 * who does not have the lock takes a place in its line.
 *
 * Errors: -ENOENT.
 */
int fs_call_lock_find(const FsCall *call, const FsSession *session,
                      const StorePlace *place, StoreAttr *ret_attr);

/** Creates it for @session. Errors: -EEXIST. */
int fs_call_lock_create(FsCall *call, FsSession *session,
                        const StorePlace *place, mode_t mode,
                        StoreAttr *ret_attr);

/** Deletes it. Errors: -ENOENT, -ETXTBSY if it is another session's. */
int fs_call_lock_delete(const FsCall *call, FsSession *session,
                        const StorePlace *place);

/** The lock file that @call was sent for, if @session made it and so may change
 * it; or NULL. */
FsLockFile *fs_call_lock_own(const FsCall *call, const FsSession *session);

/** The place of lock file @node. Errors: -ETXTBSY if it is another session's. */
int fs_call_lock_open(const FsCall *call, const FsSession *session,
                      StoreNode node, StorePlace *ret_place);

/** Adds the lock files in @dir, as @session sees them, to @listing. */
void fs_call_lock_list(const FsCall *call, const FsSession *session,
                       StoreNode dir, FsListing *listing);

/* ---- op_lock.c ---------------------------------------------------------- */

void fs_op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                 struct flock *lock);
void fs_op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                 struct flock *lock, int sleep);
void fs_op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                 int op);

/* ---- op_share.c --------------------------------------------------------- */

/** What bridge/record.h tells. */
void fs_op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned request, void *arg,
                 struct fuse_file_info *fi, unsigned flags, const void *in,
                 size_t in_size, size_t out_size);

/** The share mode of what @session opens with @flags, until it declares one. */
FsShareMode fs_share_of_open(const FsSession *session, int flags);

/** The same, of a new file. */
FsShareMode fs_share_of_create(const FsSession *session, int flags);

/** -ETXTBSY if another session has @node open so that @mode collides. */
int fs_share_check(const FsCall *call, const FsSession *session, StoreNode node,
                   const FsShareMode *mode);

/** -ETXTBSY if @handle, whose mode is yet to be declared, might collide, so
 * that its file must keep its size. */
int fs_share_check_resize(const FsCall *call, const FsHandle *handle);

/* ---- op_xattr.c --------------------------------------------------------- */

void fs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
                    size_t size);
void fs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
                    const char *value, size_t size, int flags);
void fs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
