/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/op_name.h"

/*
 * Renaming, and what the kernel remembers of it (see op_name.c)
 *
 * - The kernel itself puts the new spelling of a rename in place of the old,
 *   to be remembered as long as that. If it is not the stored spelling (DOS
 *   names become upper case), it must be forgotten.
 * - What is in a directory may be mail, or a lock, by what that is called, or by
 *   where it is: when it is renamed, all names below it must be forgotten, too,
 *   and what was staged there as mail is plain, and yet not everybody's.
 * - A file that is renamed from a mail file's name to another, or back, may be
 *   open under both kinds of nodeid, of which only one is cached; and where the
 *   rename is staged, a plain name is not everybody's. So from then on it has a
 *   nodeid a session, whatever it is called.
 */

/* A rename on its way. */
typedef struct Move {
	fuse_ino_t dir;
	const char *name;
	fuse_ino_t new_dir;
	const char *new_name;
	StoreMove how;
	StorePlace place;
	StorePlace new_place;
	FsFound source;
	FsFound target; /* with node 0 if there is none */
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
move_find(const FsCall *call, const FsSession *session, Move *move)
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
		r = fs_name_find(call, dir, move->name, &move->source);
	if (r < 0)
		return r;

	/* Directories are plain, whatever they are called. */
	if (S_ISDIR(move->source.attr.mode)) {
		r = fs_stage_check(call, session, &move->new_place);
		move->place.kind = move->new_place.kind = LAYOUT_PLAIN;
	}
	if (r < 0)
		return r;

	r = fs_name_find(call, new_dir, move->new_name, &move->target);
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

	return fs_name_check_removable(call, session, &move->target.attr);
}

/* Called after @moved, a file of @before, has got the name @spelled in @dir. */
static void
moved_settle(const FsCall *call, const FsFound *moved, LayoutKind before,
             fuse_ino_t dir, LayoutDir role, const char *spelled)
{
	const FsMount *mount = call->mount;
	bool is_own_now = false;
	StoreEntry stored;

	if (store_name_find(call->txn, fs_view_node(dir), spelled, &stored) < 0)
		return;

	if (call->transaction != NULL && S_ISREG(moved->attr.mode) &&
	    (before == LAYOUT_PLAIN ||
	     layout_kind(role, stored.name) == LAYOUT_PLAIN))
		is_own_now = g_hash_table_add(mount->own_nodes,
		                              GSIZE_TO_POINTER(stored.node));

	if (S_ISDIR(moved->attr.mode))
		fs_name_disown_staged(mount);
	if (is_own_now)
		fs_notify_attr(mount->notify, stored.node);
	if (is_own_now || S_ISDIR(moved->attr.mode) ||
	    strcmp(stored.name, spelled) != 0)
		fs_name_forget(call, dir, spelled);
}

static void
move_settle(const FsCall *call, const Move *move)
{
	const char *old_name = move->source.entry.name;
	const char *target_name = move->target.entry.name;

	++*call->mount->names_serial;
	fs_name_lost(call, move->dir, &move->source, move->name);
	moved_settle(call, &move->source,
	             layout_kind(move->place.role, old_name), move->new_dir,
	             move->new_place.role, move->new_name);

	if (move->target.attr.node != 0)
		fs_name_lost(call, move->new_dir, &move->target,
		             move->new_name);
	if (move->how == STORE_MOVE_EXCHANGE)
		moved_settle(call, &move->target,
		             layout_kind(move->new_place.role, target_name),
		             move->dir, move->place.role, move->name);
	else if (move->target.attr.node != 0 &&
	         move->target.attr.node != move->source.attr.node)
		fs_name_disown(call, move->target.attr.node);

	fs_name_settle_role(call, move->dir, move->place.role);
	fs_name_settle_role(call, move->new_dir, move->new_place.role);
}

/* Readies the change at both places. What is plain at one end only is staged,
 * too: the move is one change. */
static int
move_stage(FsCall *call, FsSession *session, const Move *move)
{
	bool has_dir = S_ISDIR(move->source.attr.mode) ||
	               (move->how == STORE_MOVE_EXCHANGE &&
	                S_ISDIR(move->target.attr.mode));
	int r;

	r = fs_stage(call, session, &move->place);
	if (r == 0)
		r = fs_stage(call, session, &move->new_place);
	if (r == 0 && call->transaction == NULL)
		r = fs_stage(call, session, &move->place);
	if (r == 0 && has_dir && call->transaction != NULL)
		r = -ETXTBSY;
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
		r = move_find(&call, session, &move);
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
