/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/ops.h"

/*
 * Names, and what the kernel remembers of them
 *
 * - A file may be spelled in many ways, and the kernel knows each spelling as
 *   a name of its own. It may remember only the stored one (view.h), so that
 *   is the one name to take care of when another spelling was used.
 * - If the file is gone, its attributes are forgotten before the reply: whoever
 *   comes by the remembered name must ask us, is told ESTALE, and looks the
 *   name up again. If it lives on, renamed or open, the name is forgotten.
 * - The kernel itself puts the new spelling of a rename in place of the old,
 *   to be remembered as long as that. If it is not the stored spelling (DOS
 *   names become upper case), it must be forgotten.
 * - A file that is renamed from a mail file's name to another, or back, may be
 *   open under both kinds of nodeid, of which only one is cached. So from then
 *   on it has a nodeid a session, whatever it is called.
 * - A directory that gets the children KEY and MBG becomes a postoffice, and
 *   the mail files in it get nodeids for each session: what is remembered of
 *   them below that directory must be forgotten.
 */

/* A name that was found. */
typedef struct Found {
	StoreEntry entry;
	StoreAttr attr; /* as reported */
} Found;

static int
name_find(const FsCall *call, StoreNode dir, const char *name, Found *ret_found)
{
	Found found;
	int r;

	r = store_name_find(call->txn, dir, name, &found.entry);
	if (r < 0)
		return r;

	r = fs_call_attr(call, found.entry.node, &found.attr);
	if (r < 0)
		return r;

	*ret_found = found;
	return 0;
}

/* Finds whatever is at @place, as @session sees it. */
static int
place_find(const FsCall *call, const FsSession *session,
           const StorePlace *place, Found *ret_found)
{
	int r;

	if (place->kind != LAYOUT_LOCK_FILE)
		return name_find(call, place->dir, place->name, ret_found);

	r = fs_call_lock_find(call, session, place, &ret_found->attr);
	if (r < 0)
		return r;

	ret_found->entry.node = ret_found->attr.node;
	ret_found->entry.mode = S_IFREG;
	g_strlcpy(ret_found->entry.name, place->name,
	          sizeof ret_found->entry.name);
	return 0;
}

static void
name_forget(const FsCall *call, fuse_ino_t dir, const char *name)
{
	if (!fs_notify_names(call->mount->notify))
		fs_notify_entry(call->mount->notify, dir, name);
}

/* Called after @found in @dir, which was @spelled so, has lost its name. */
static void
spelling_forget(const FsCall *call, fuse_ino_t dir, const Found *found,
                const char *spelled)
{
	StoreAttr attr;

	if (strcmp(found->entry.name, spelled) == 0)
		return;

	fs_notify_attr(call->mount->notify, found->entry.node);
	if (fs_call_attr(call, found->entry.node, &attr) == 0)
		name_forget(call, dir, found->entry.name);
}

static bool
directory_forget(void *user_data, const StoreEntry *entry)
{
	const FsCall *call = user_data;

	if (S_ISDIR(entry->mode))
		fs_notify_entry(call->mount->notify, call->nodeid, entry->name);

	return true;
}

/* Called after names in @dir have changed that had the role @before. */
static void
role_settle(const FsCall *call, fuse_ino_t dir, LayoutDir before)
{
	FsCall parent = *call;
	LayoutDir after;
	int r;

	parent.nodeid = dir;
	r = store_dir_role(call->txn, fs_view_node(dir), &after);
	if (r < 0 || after == before || fs_notify_names(call->mount->notify))
		return;

	/* If it fails, the directory is gone, and so are its names. */
	(void)store_name_list(call->txn, fs_view_node(dir), directory_forget,
	                      &parent);
}

void
fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	FsCall call = fs_call_begin(req, "lookup", parent);
	g_autoptr(FsSession) session = NULL;
	struct fuse_entry_param entry;
	StorePlace place;
	StoreAttr dir;
	Found found;
	int r;

	r = fs_call_session(&call, &session);
	if (r == 0)
		r = fs_call_check(&call, call.node, X_OK, &dir);
	if (r == 0)
		r = store_place_in(call.txn, call.node, name, &place);
	if (r == 0)
		r = place_find(&call, session, &place, &found);
	if (r == 0)
		r = fs_call_entry(&call, session, &dir, name, found.entry.name,
		                  &found.attr, &entry);

	fs_reply_entry(&call, r, &entry);
}

/* Creates a file or directory at @place, in the directory of @call. */
static int
place_create(FsCall *call, FsSession *session, const StorePlace *place,
             mode_t mode, StoreAttr *ret_attr)
{
	StoreAttr wanted = {
		.mode = mode,
		.uid = call->caller.uid,
		.gid = call->caller.gid,
	};
	int r;

	if (place->kind == LAYOUT_LOCK_FILE)
		return fs_call_lock_create(call, session, place, mode,
		                           ret_attr);

	r = fs_stage(call, session, place);
	if (r == 0)
		r = store_name_add(call->txn, call->node, place->name, &wanted,
		                   ret_attr);
	if (r == 0)
		fs_stage_note_name(call, ret_attr->node, place, true);
	return r;
}

/* Adds @name to the directory of @call and says what the kernel is told. */
static int
name_add(FsCall *call, FsSession *session, const char *name, mode_t mode,
         StorePlace *ret_place, struct fuse_entry_param *ret_entry)
{
	StorePlace place;
	StoreAttr dir;
	Found found;
	int r;

	r = fs_call_check(call, call->node, W_OK | X_OK, &dir);
	if (r == 0)
		r = store_place_in(call->txn, call->node, name, &place);
	if (r < 0)
		return r;

	/* Directories are plain, and a lock is a file. */
	if (S_ISDIR(mode) && place.kind == LAYOUT_LOCK_FILE)
		return -EPERM;
	if (S_ISDIR(mode))
		place.kind = LAYOUT_PLAIN;

	r = place_create(call, session, &place, mode, &found.attr);
	if (r < 0)
		return r;

	++*call->mount->names_serial;
	r = place_find(call, session, &place, &found);
	if (r == 0)
		r = fs_call_entry(call, session, &dir, name, found.entry.name,
		                  &found.attr, ret_entry);
	if (r == 0 && place.kind == LAYOUT_MESSAGE)
		fs_creators_add(call->mount->creators,
		                fs_session_serial(session), found.attr.node);
	if (r == 0)
		*ret_place = place;

	return r;
}

void
fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
            dev_t rdev)
{
	FsCall call = fs_call_begin(req, "mknod", parent);
	g_autoptr(FsSession) session = NULL;
	struct fuse_entry_param entry;
	StorePlace place;
	int r;

	r = S_ISREG(mode) ? fs_call_session(&call, &session) : -EPERM;
	if (r == 0)
		r = name_add(&call, session, name, mode, &place, &entry);
	if (r == 0)
		r = fs_commit_settle(call.mount, session);

	fs_reply_entry(&call, r, &entry);
}

void
fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	FsCall call = fs_call_begin(req, "mkdir", parent);
	g_autoptr(FsSession) session = NULL;
	struct fuse_entry_param entry;
	StorePlace place;
	LayoutDir role;
	int r;

	r = fs_call_session(&call, &session);
	if (r == 0)
		r = store_dir_role(call.txn, call.node, &role);
	if (r == 0)
		r = name_add(&call, session, name, S_IFDIR | (mode & 07777),
		             &place, &entry);
	if (r == 0)
		role_settle(&call, parent, role);

	fs_reply_entry(&call, r, &entry);
}

/* The kernel asks to create what it did not find, but another spelling, or
 * another process, may have been first. Nobody waits here. */
static int
create_existing(FsCall *call, FsSession *session, const char *name,
                const struct fuse_file_info *fi, FsOpening *ret_opening,
                struct fuse_entry_param *ret_entry)
{
	StorePlace place;
	StoreAttr dir;
	Found found;
	int r;

	if ((fi->flags & O_EXCL) != 0)
		return -EEXIST;

	r = fs_call_check(call, call->node, X_OK, &dir);
	if (r == 0)
		r = store_place_in(call->txn, call->node, name, &place);
	if (r == 0)
		r = place_find(call, session, &place, &found);
	if (r < 0)
		return r;

	if (S_ISDIR(found.attr.mode))
		return -EISDIR;

	r = fs_open_check(call, session, &found.attr, fi);
	if (r == 0 && place.kind == LAYOUT_LOCK_FILE)
		r = fs_call_lock_open(call, session, found.attr.node, &place);
	if (r < 0)
		return r;

	fs_opening_init(&place, fi->flags, ret_opening);
	if (ret_opening->wants_lock) {
		r = fs_hold_take(call, session, ret_opening->key,
		                 ret_opening->purpose);
		if (r < 0)
			return r;
	}

	r = fs_open_truncate(call, session, &found.attr, fi);
	if (r == 0)
		r = fs_call_attr(call, found.attr.node, &found.attr);
	if (r == 0)
		r = fs_call_entry(call, session, &dir, name, found.entry.name,
		                  &found.attr, ret_entry);
	if (r < 0 && ret_opening->wants_lock)
		fs_hold_undo(call->mount, session, ret_opening->key);

	return r;
}

/* Called after a file was made at @place: takes the lock of an open one. */
static int
create_new(const FsCall *call, FsSession *session, const StorePlace *place,
           const struct fuse_file_info *fi, FsOpening *ret_opening)
{
	fs_opening_init(place, fi->flags, ret_opening);
	if (!ret_opening->wants_lock)
		return 0;

	return fs_hold_take(call, session, ret_opening->key,
	                    ret_opening->purpose);
}

void
fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
             struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "create", parent);
	g_autoptr(FsSession) session = NULL;
	FsOpening opening = { .key = NULL };
	struct fuse_entry_param entry;
	StorePlace place;
	FsHandle *handle;
	int r;

	r = fs_call_session(&call, &session);
	if (r == 0)
		r = fs_handle_check(call.mount->handles, session);
	if (r == 0)
		r = name_add(&call, session, name, S_IFREG | (mode & 07777),
		             &place, &entry);
	if (r == 0)
		r = create_new(&call, session, &place, fi, &opening);
	else if (r == -EEXIST)
		r = create_existing(&call, session, name, fi, &opening, &entry);

	if (r < 0) {
		fs_reply_status(&call, r);
	} else {
		handle = fs_open_into(&call, session, entry.ino, &opening, fi);
		if (fs_reply_create(&call, &entry, fi) < 0)
			fs_open_close(call.mount, handle);
	}
	fs_opening_clear(&opening);
	if (session != NULL)
		(void)fs_commit_settle(call.mount, session);
}

/* Whether the caller may take @attr's node away. DOS does not delete or replace
 * what another program has open. */
static int
node_check_removable(const FsCall *call, const FsSession *session,
                     const StoreAttr *attr)
{
	const FsMount *mount = call->mount;

	if (mount->config->dos_sharing && S_ISREG(attr->mode) &&
	    fs_handle_is_elsewhere(mount->handles, attr->node, session))
		return -ETXTBSY;

	return fs_access_check_dos(mount->config, &call->caller, call->txn,
	                           attr->node);
}

/* Takes away @found, a file at @place. */
static int
place_remove(FsCall *call, FsSession *session, const StorePlace *place,
             const Found *found)
{
	int r;

	if (place->kind == LAYOUT_LOCK_FILE)
		return fs_call_lock_delete(call, session, place);

	r = node_check_removable(call, session, &found->attr);
	if (r == 0)
		r = fs_stage(call, session, place);
	if (r == 0)
		r = store_name_remove(call->txn, place->dir, place->name,
		                      S_IFREG);
	if (r == 0)
		fs_stage_note_name(call, found->attr.node, place, false);
	return r;
}

void
fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	FsCall call = fs_call_begin(req, "unlink", parent);
	g_autoptr(FsSession) session = NULL;
	StorePlace place;
	StoreAttr dir;
	Found found;
	int r;

	r = fs_call_session(&call, &session);
	if (r < 0) {
		fs_reply_status(&call, r);
		return;
	}

	r = fs_call_check(&call, call.node, W_OK | X_OK, &dir);
	if (r == 0)
		r = store_place_in(call.txn, call.node, name, &place);
	if (r == 0)
		r = place_find(&call, session, &place, &found);
	if (r == 0)
		r = place_remove(&call, session, &place, &found);
	if (r == 0) {
		g_hash_table_remove(call.mount->own_nodes,
		                    GSIZE_TO_POINTER(found.attr.node));
		++*call.mount->names_serial;
		spelling_forget(&call, parent, &found, name);
	}

	fs_commit_reply(&call, session, r);
}

void
fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	FsCall call = fs_call_begin(req, "rmdir", parent);
	StoreAttr dir;
	LayoutDir role;
	Found found;
	int r;

	r = fs_call_check(&call, call.node, W_OK | X_OK, &dir);
	if (r == 0)
		r = store_dir_role(call.txn, call.node, &role);
	if (r == 0)
		r = name_find(&call, call.node, name, &found);
	if (r == 0)
		r = store_name_remove(call.txn, call.node, name, S_IFDIR);
	if (r == 0) {
		++*call.mount->names_serial;
		spelling_forget(&call, parent, &found, name);
		role_settle(&call, parent, role);
	}

	fs_reply_status(&call, r);
}

/* A rename on its way. */
typedef struct Move {
	fuse_ino_t dir;
	const char *name;
	fuse_ino_t new_dir;
	const char *new_name;
	StoreMove how;
	StorePlace place;
	StorePlace new_place;
	Found source;
	Found target; /* with node 0 if there is none */
} Move;

static int
move_how(unsigned flags, StoreMove *ret_how)
{
	switch (flags) {
	case 0:
		*ret_how = STORE_MOVE_REPLACE;
		return 0;
	case RENAME_NOREPLACE:
		*ret_how = STORE_MOVE_NOREPLACE;
		return 0;
	case RENAME_EXCHANGE:
		*ret_how = STORE_MOVE_EXCHANGE;
		return 0;
	default:
		return -EINVAL;
	}
}

static int
move_find(const FsCall *call, Move *move)
{
	StoreNode dir = fs_view_node(move->dir);
	StoreNode new_dir = fs_view_node(move->new_dir);
	StoreAttr attr;
	int r;

	r = fs_call_check(call, dir, W_OK | X_OK, &attr);
	if (r == 0)
		r = fs_call_check(call, new_dir, W_OK | X_OK, &attr);
	if (r == 0)
		r = store_place_in(call->txn, dir, move->name, &move->place);
	if (r == 0)
		r = store_place_in(call->txn, new_dir, move->new_name,
		                   &move->new_place);
	/* A lock file is what it is called. */
	if (r == 0 && (move->place.kind == LAYOUT_LOCK_FILE ||
	               move->new_place.kind == LAYOUT_LOCK_FILE))
		r = -EPERM;
	if (r == 0)
		r = name_find(call, dir, move->name, &move->source);
	if (r < 0)
		return r;

	/* Directories are plain, whatever they are called. */
	if (S_ISDIR(move->source.attr.mode))
		move->place.kind = move->new_place.kind = LAYOUT_PLAIN;

	r = name_find(call, new_dir, move->new_name, &move->target);
	return r == -ENOENT ? 0 : r;
}

/* What is renamed may be read-only, but nobody else's; what is replaced must be
 * neither. */
static int
move_check(const FsCall *call, const FsSession *session, const Move *move)
{
	const FsMount *mount = call->mount;
	StoreNode source = move->source.attr.node;
	StoreNode target = move->target.attr.node;

	if (mount->config->dos_sharing && S_ISREG(move->source.attr.mode) &&
	    fs_handle_is_elsewhere(mount->handles, source, session))
		return -ETXTBSY;

	if (target == 0 || target == source ||
	    move->how == STORE_MOVE_NOREPLACE)
		return 0;

	return node_check_removable(call, session, &move->target.attr);
}

/* Called after @moved, a file of @before, has got the name @spelled in @dir. */
static void
moved_settle(const FsCall *call, const Found *moved, LayoutKind before,
             fuse_ino_t dir, LayoutDir role, const char *spelled)
{
	const FsMount *mount = call->mount;
	bool is_own_now = false;
	StoreEntry stored;

	if (store_name_find(call->txn, fs_view_node(dir), spelled, &stored) < 0)
		return;

	if (S_ISREG(moved->attr.mode) &&
	    (before == LAYOUT_PLAIN) !=
	            (layout_kind(role, stored.name) == LAYOUT_PLAIN))
		is_own_now = g_hash_table_add(mount->own_nodes,
		                              GSIZE_TO_POINTER(stored.node));

	if (is_own_now)
		fs_notify_attr(mount->notify, stored.node);
	if (is_own_now || strcmp(stored.name, spelled) != 0)
		name_forget(call, dir, spelled);
}

static void
move_settle(const FsCall *call, const Move *move)
{
	const char *old_name = move->source.entry.name;
	const char *target_name = move->target.entry.name;

	++*call->mount->names_serial;
	spelling_forget(call, move->dir, &move->source, move->name);
	moved_settle(call, &move->source,
	             layout_kind(move->place.role, old_name), move->new_dir,
	             move->new_place.role, move->new_name);

	if (move->target.attr.node != 0)
		spelling_forget(call, move->new_dir, &move->target,
		                move->new_name);
	if (move->how == STORE_MOVE_EXCHANGE)
		moved_settle(call, &move->target,
		             layout_kind(move->new_place.role, target_name),
		             move->dir, move->place.role, move->name);

	role_settle(call, move->dir, move->place.role);
	role_settle(call, move->new_dir, move->new_place.role);
}

/* Readies the change at both places. What is plain at one end only is staged,
 * too: the move is one change. */
static int
move_stage(FsCall *call, FsSession *session, const Move *move)
{
	const StorePlace *first = &move->place;
	const StorePlace *last = &move->new_place;
	int r;

	if (last->kind == LAYOUT_PLAIN) {
		first = &move->new_place;
		last = &move->place;
	}
	r = fs_stage(call, session, first);
	if (r == 0)
		r = fs_stage(call, session, last);
	return r;
}

static void
move_note(const FsCall *call, const Move *move)
{
	fs_stage_note_name(call, move->source.attr.node, &move->place, false);
	if (move->target.attr.node != 0)
		fs_stage_note_name(call, move->target.attr.node,
		                   &move->new_place, false);
	fs_stage_note_name(call, move->source.attr.node, &move->new_place,
	                   false);
}

void
fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
             fuse_ino_t newparent, const char *newname, unsigned flags)
{
	FsCall call = fs_call_begin(req, "rename", parent);
	g_autoptr(FsSession) session = NULL;
	Move move = {
		.dir = parent,
		.name = name,
		.new_dir = newparent,
		.new_name = newname,
	};
	int r;

	r = fs_call_session(&call, &session);
	if (r < 0) {
		fs_reply_status(&call, r);
		return;
	}

	r = move_how(flags, &move.how);
	if (r == 0)
		r = move_find(&call, &move);
	if (r == 0)
		r = move_check(&call, session, &move);
	if (r == 0)
		r = move_stage(&call, session, &move);
	if (r == 0)
		r = store_name_move(call.txn, fs_view_node(parent), name,
		                    fs_view_node(newparent), newname, move.how);
	if (r == 0) {
		move_note(&call, &move);
		move_settle(&call, &move);
	}

	fs_commit_reply(&call, session, r);
}

/* DOS knows no links. */

void
fs_op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
              const char *name)
{
	FsCall call = fs_call_begin(req, "symlink", parent);

	fs_reply_status(&call, -EPERM);
}

void
fs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
           const char *newname)
{
	FsCall call = fs_call_begin(req, "link", ino);

	fs_reply_status(&call, -EPERM);
}
