/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/op_name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Names, and what the kernel remembers of them
 *
 * - A file may be spelled in many ways, and the kernel knows each spelling as
 *   a name of its own. It may remember only the stored one (view.h), so that
 *   is the one name to take care of when another spelling was used.
 * - That name is forgotten, and the attributes before the reply: whoever still
 *   comes by it must ask us, is told ESTALE, and looks the name up again. smbd
 *   does not, which opens a path and then asks what it has there.
 * - A directory that gets the children KEY and MBG becomes a postoffice, and
 *   the mail files in it get nodeids for each session: what is remembered of
 *   them below that directory must be forgotten.
 */

int
fs_name_find(const FsCall *call, StoreNode dir, const char *name,
             FsFound *ret_found)
{
	FsFound found;
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
           const StorePlace *place, FsFound *ret_found)
{
	int r;

	if (place->kind != LAYOUT_LOCK_FILE)
		return fs_name_find(call, place->dir, place->name, ret_found);

	r = fs_call_lock_find(call, session, place, &ret_found->attr);
	if (r < 0)
		return r;

	ret_found->entry.node = ret_found->attr.node;
	ret_found->entry.mode = S_IFREG;
	g_strlcpy(ret_found->entry.name, place->name,
	          sizeof ret_found->entry.name);
	return 0;
}

void
fs_name_forget(const FsCall *call, fuse_ino_t dir, const char *name)
{
	if (!fs_notify_names(call->mount->notify))
		fs_notify_entry(call->mount->notify, dir, name);
}

void
fs_name_lost(const FsCall *call, fuse_ino_t dir, const FsFound *found,
             const char *spelled)
{
	if (strcmp(found->entry.name, spelled) == 0)
		return;

	fs_notify_attr(call->mount->notify, found->entry.node);
	fs_name_forget(call, dir, found->entry.name);
}

/* For everybody else it may have a plain name until this is committed, or again
 * when it is undone: beyond that the kernel must not remember it. */
void
fs_name_disown(const FsCall *call, StoreNode node)
{
	const FsMount *mount = call->mount;
	gpointer key = GSIZE_TO_POINTER(node);
	StorePlace place;

	if (store_place_of(store_plain(mount->store), node, &place) == 0 &&
	    place.kind == LAYOUT_PLAIN)
		g_hash_table_add(mount->own_nodes, key);
	else
		g_hash_table_remove(mount->own_nodes, key);
}

static void
files_disown(const FsMount *mount, GHashTable *files)
{
	GHashTableIter iter;
	gpointer file;

	g_hash_table_iter_init(&iter, files);
	while (g_hash_table_iter_next(&iter, NULL, &file)) {
		StoreNode node = ((const FsTransactionFile *)file)->node;

		g_hash_table_add(mount->own_nodes, GSIZE_TO_POINTER(node));
	}
}

void
fs_name_disown_staged(const FsMount *mount)
{
	g_autoptr(GArray) serials = fs_transaction_serials(mount->transactions);

	for (guint i = 0; i < serials->len; i++) {
		const FsTransaction *transaction = fs_transaction_of_serial(
			mount->transactions,
			g_array_index(serials, uint64_t, i));

		files_disown(mount, transaction->files);
		if (transaction->flying != NULL)
			files_disown(mount, transaction->flying);
	}
}

static bool
directory_forget(void *user_data, const StoreEntry *entry)
{
	const FsCall *call = user_data;

	if (S_ISDIR(entry->mode))
		fs_notify_entry(call->mount->notify, call->nodeid, entry->name);

	return true;
}

void
fs_name_settle_role(const FsCall *call, fuse_ino_t dir, LayoutDir before)
{
	FsCall parent = *call;
	LayoutDir after;
	int r;

	parent.nodeid = dir;
	r = store_dir_role(call->txn, fs_view_node(dir), &after);
	if (r < 0 || after == before)
		return;

	fs_name_disown_staged(call->mount);
	if (fs_notify_names(call->mount->notify))
		return;

	/* If it fails, the directory is gone, and so are its names. */
	(void)store_name_list(call->txn, fs_view_node(dir), directory_forget,
	                      &parent);
}

/* If @session dies, it may have been about to delete the file at @place. The
 * deletion of a plain one is not undone. */
static void
file_note_seen(const FsCall *call, const FsSession *session,
               const StorePlace *place, const StoreAttr *attr)
{
	FsTransaction *transaction =
		fs_transaction_find(call->mount->transactions, session);

	if (transaction != NULL && S_ISREG(attr->mode) &&
	    (place->kind == LAYOUT_MAILBAG || place->kind == LAYOUT_MESSAGE))
		fs_transaction_see(transaction, attr->node);
}

void
fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	FsCall call = fs_call_begin(req, "lookup", parent);
	g_autoptr(FsSession) session = NULL;
	struct fuse_entry_param entry;
	StorePlace place;
	StoreAttr dir;
	FsFound found;
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
	if (r == 0)
		file_note_seen(&call, session, &place, &found.attr);

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
	if (r == 0 && S_ISDIR(mode) && call->transaction != NULL)
		r = -ETXTBSY;
	if (r == 0)
		r = store_name_add(call->txn, call->node, place->name, &wanted,
		                   ret_attr);
	if (r < 0)
		return r;

	fs_stage_note_name(call, ret_attr->node, place, true);
	if (place->kind == LAYOUT_PLAIN && call->transaction != NULL)
		g_hash_table_add(call->mount->own_nodes,
		                 GSIZE_TO_POINTER(ret_attr->node));
	return 0;
}

/* Takes the lock of what is to be made at @place and opened, if it has one,
 * before there is anything to leave behind. */
static int
create_begin(const FsCall *call, FsSession *session, const StorePlace *place,
             FsOpening *opening)
{
	StoreEntry entry;
	int r;

	fs_opening_init(place, session, opening->flags, opening);
	opening->share = fs_share_of_create(session, opening->flags);
	if (!opening->wants_lock)
		return 0;

	r = fs_hold_take(call, session, opening->key, opening->purpose);
	/* What is there is, whoever has it. */
	if (r == -ETXTBSY &&
	    store_name_find(call->txn, place->dir, place->name, &entry) == 0)
		r = -EEXIST;
	if (r < 0)
		opening->wants_lock = false;
	return r;
}

/* Adds @name to the directory of @call and says what the kernel is told. Unless
 * @opening, of which the flags are known, is NULL, it is to be opened, too. */
static int
name_add(FsCall *call, FsSession *session, const char *name, mode_t mode,
         FsOpening *opening, struct fuse_entry_param *ret_entry)
{
	StorePlace place;
	StoreAttr dir;
	FsFound found;
	int r;

	r = fs_call_check(call, call->node, W_OK | X_OK, &dir);
	if (r == 0)
		r = store_place_in(call->txn, call->node, name, &place);
	if (r < 0)
		return r;

	/* Directories are plain, and a lock is a file. */
	if (S_ISDIR(mode) && place.kind == LAYOUT_LOCK_FILE)
		return -EPERM;
	if (S_ISDIR(mode)) {
		r = fs_stage_check(call, session, &place);
		place.kind = LAYOUT_PLAIN;
	}

	if (r == 0 && opening != NULL)
		r = create_begin(call, session, &place, opening);
	if (r == 0)
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
	return r;
}

void
fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
            dev_t rdev)
{
	FsCall call = fs_call_begin(req, "mknod", parent);
	g_autoptr(FsSession) session = NULL;
	struct fuse_entry_param entry;
	int r;

	r = S_ISREG(mode) ? fs_call_session(&call, &session) : -EPERM;
	if (r == 0)
		r = name_add(&call, session, name, mode, NULL, &entry);
	if (session != NULL)
		r = fs_commit_end(&call, session, r);

	fs_reply_entry(&call, r, &entry);
}

void
fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	FsCall call = fs_call_begin(req, "mkdir", parent);
	g_autoptr(FsSession) session = NULL;
	struct fuse_entry_param entry;
	LayoutDir role;
	int r;

	r = fs_call_session(&call, &session);
	if (r == 0)
		r = store_dir_role(call.txn, call.node, &role);
	if (r == 0)
		r = name_add(&call, session, name, S_IFDIR | (mode & 07777),
		             NULL, &entry);
	if (r == 0)
		fs_name_settle_role(&call, parent, role);

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
	FsFound found;
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

	fs_opening_init(&place, session, fi->flags, ret_opening);
	if (ret_opening->wants_lock) {
		r = fs_hold_take(call, session, ret_opening->key,
		                 ret_opening->purpose);
		if (r < 0)
			return r;
	}

	r = fs_share_check(call, session, found.attr.node, &ret_opening->share);
	if (r == 0)
		r = fs_open_truncate(call, session, &found.attr, fi);
	if (r == 0)
		r = fs_call_attr(call, found.attr.node, &found.attr);
	if (r == 0)
		r = fs_call_entry(call, session, &dir, name, found.entry.name,
		                  &found.attr, ret_entry);
	if (r < 0 && ret_opening->wants_lock)
		fs_hold_let_go(call->mount, session, ret_opening->key);

	return r;
}

static int
create_new(FsCall *call, FsSession *session, const char *name, mode_t mode,
           FsOpening *opening, struct fuse_entry_param *ret_entry)
{
	int r;

	r = name_add(call, session, name, S_IFREG | (mode & 07777), opening,
	             ret_entry);
	if (r < 0 && opening->wants_lock)
		fs_hold_let_go(call->mount, session, opening->key);
	if (r < 0)
		fs_opening_clear(opening);
	return r;
}

void
fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
             struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "create", parent);
	g_autoptr(FsSession) session = NULL;
	FsOpening opening = { .flags = fi->flags };
	struct fuse_entry_param entry;
	FsHandle *handle;
	int r;

	r = fs_call_session(&call, &session);
	if (r == 0)
		r = fs_handle_check(call.mount->handles, session);
	if (r == 0)
		r = create_new(&call, session, name, mode, &opening, &entry);
	if (r == -EEXIST)
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

int
fs_name_check_removable(const FsCall *call, const FsSession *session,
                        const StoreAttr *attr)
{
	const FsMount *mount = call->mount;

	if (mount->config->dos_sharing && S_ISREG(attr->mode) &&
	    fs_handle_is_elsewhere(mount->handles, attr->node, session))
		return -ETXTBSY;
	/* It may be another's mark that smbd carries out; number.h. */
	if (fs_numbers_owes(mount->numbers, attr->node))
		return -ETXTBSY;

	return fs_access_check_dos(mount->config, &call->caller, call->txn,
	                           attr->node);
}

/* Takes away @found, a file at @place. */
static int
place_remove(FsCall *call, FsSession *session, const StorePlace *place,
             const FsFound *found)
{
	int r;

	if (place->kind == LAYOUT_LOCK_FILE)
		return fs_call_lock_delete(call, session, place);

	r = fs_name_check_removable(call, session, &found->attr);
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
	FsFound found;
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
		fs_name_disown(&call, found.attr.node);
		++*call.mount->names_serial;
		fs_name_lost(&call, parent, &found, name);
	}

	fs_commit_reply(&call, session, r);
}

void
fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	FsCall call = fs_call_begin(req, "rmdir", parent);
	StoreAttr dir;
	LayoutDir role;
	FsFound found;
	int r;

	r = fs_call_check(&call, call.node, W_OK | X_OK, &dir);
	if (r == 0)
		r = store_dir_role(call.txn, call.node, &role);
	if (r == 0)
		r = fs_name_find(&call, call.node, name, &found);
	if (r == 0)
		r = store_name_remove(call.txn, call.node, name, S_IFDIR);
	if (r == 0) {
		++*call.mount->names_serial;
		fs_name_lost(&call, parent, &found, name);
		fs_name_settle_role(&call, parent, role);
	}

	fs_reply_status(&call, r);
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
