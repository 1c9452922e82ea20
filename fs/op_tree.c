/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/listing.h"
#include "fs/ops.h"

#define BLOCK_SIZE 4096
#define MIB        ((uint64_t)1 << 20)

/* ---- attributes ---------------------------------------------------------- */

void
fs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	FsCall call = fs_call_begin(req, "forget", ino);

	fs_reply_none(&call);
}

void
fs_op_forget_multi(fuse_req_t req, size_t count,
                   struct fuse_forget_data *forgets)
{
	FsCall call = fs_call_begin(req, "forget", 0);

	fs_reply_none(&call);
}

static void
attr_reply(const FsCall *call, int r, const StoreAttr *attr)
{
	struct stat stat = { 0 };

	if (r == 0)
		stat = fs_view_stat(call->mount->numbers, attr);

	fs_reply_attr(
		call, r, &stat,
		fs_view_attr_timeout_s(call->mount->config, call->nodeid));
}

void
fs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "getattr", ino);
	StoreAttr attr;
	int r;

	fs_call_node(&call);
	r = fs_call_attr(&call, call.node, &attr);
	attr_reply(&call, r, &attr);
}

/* Translates what the kernel wants set into the store's terms. */
static unsigned
change_decode(const struct stat *wanted, int to_set, StoreAttr *ret_change)
{
	int64_t now_ns = g_get_real_time() * 1000;
	unsigned set = 0;

	*ret_change = (StoreAttr){
		.mode = wanted->st_mode & 07777,
		.uid = wanted->st_uid,
		.gid = wanted->st_gid,
		.atime_ns = fs_view_time_ns(&wanted->st_atim),
		.mtime_ns = fs_view_time_ns(&wanted->st_mtim),
	};

	if ((to_set & FUSE_SET_ATTR_MODE) != 0)
		set |= STORE_SET_MODE;
	if ((to_set & FUSE_SET_ATTR_UID) != 0)
		set |= STORE_SET_UID;
	if ((to_set & FUSE_SET_ATTR_GID) != 0)
		set |= STORE_SET_GID;
	if ((to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) != 0)
		set |= STORE_SET_ATIME;
	if ((to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) != 0)
		set |= STORE_SET_MTIME;
	if ((to_set & FUSE_SET_ATTR_ATIME_NOW) != 0)
		ret_change->atime_ns = now_ns;
	if ((to_set & FUSE_SET_ATTR_MTIME_NOW) != 0)
		ret_change->mtime_ns = now_ns;

	return set;
}

/* To set a time to now takes no more than the right to write. */
static bool
is_explicit_time(int to_set)
{
	bool atime = (to_set & FUSE_SET_ATTR_ATIME) != 0 &&
	             (to_set & FUSE_SET_ATTR_ATIME_NOW) == 0;
	bool mtime = (to_set & FUSE_SET_ATTR_MTIME) != 0 &&
	             (to_set & FUSE_SET_ATTR_MTIME_NOW) == 0;

	return atime || mtime;
}

static int
change_check(const FsCall *call, const StoreAttr *attr, const StoreAttr *change,
             unsigned set, int to_set)
{
	const FsConfig *config = call->mount->config;
	int r = 0;

	if ((set & STORE_SET_MODE) != 0 || is_explicit_time(to_set))
		r = fs_access_check_owner(&call->caller, attr);
	else if ((set & (STORE_SET_ATIME | STORE_SET_MTIME)) != 0 &&
	         fs_access_check_owner(&call->caller, attr) < 0)
		r = fs_access_check(&call->caller, attr, W_OK);
	if (r < 0)
		return r;

	return fs_access_check_chown(
		config, &call->caller, attr,
		(set & STORE_SET_UID) != 0 ? change->uid : attr->uid,
		(set & STORE_SET_GID) != 0 ? change->gid : attr->gid);
}

/* Where uid= or gid= decides, a chown to what is reported is no change. */
static unsigned
change_trim(const FsConfig *config, unsigned set)
{
	if (config->uid != FS_CONFIG_STORED)
		set &= ~(unsigned)STORE_SET_UID;
	if (config->gid != FS_CONFIG_STORED)
		set &= ~(unsigned)STORE_SET_GID;

	return set;
}

/* By its name: as an open for writing that is closed at once. */
static int
path_check_size(const FsCall *call, const FsSession *session,
                const StoreAttr *attr)
{
	const FsShareMode writing = { .access = FS_SHARE_WRITE };
	const FsMount *mount = call->mount;
	StorePlace place;
	int r;

	r = fs_access_check(&call->caller, attr, W_OK);
	if (r == 0)
		r = fs_access_check_dos(mount->config, &call->caller, call->txn,
		                        call->node);
	if (r == 0)
		r = store_place_of(call->txn, call->node, &place);
	if (r == 0)
		r = fs_share_check(call, session, call->node, &writing);
	if (r < 0 || place.kind != LAYOUT_PLAIN)
		return r;

	return fs_stage_check(call, session, &place);
}

static int
size_change(FsCall *call, FsSession *session, const StoreAttr *attr,
            uint64_t size, const struct fuse_file_info *fi)
{
	FsHandle *handle;
	int r;

	/* Through an open file the kernel has checked that it is writable. */
	if (fi == NULL) {
		r = path_check_size(call, session, attr);
	} else {
		handle = fs_call_handle(call, fi);
		r = fs_hold_use(call, handle);
		if (r == 0)
			r = fs_share_check_resize(call, handle);
	}
	if (r < 0)
		return r;

	return fs_open_resize(call, session, attr, size);
}

static bool
entry_forget(void *user_data, const StoreEntry *entry)
{
	const FsCall *call = user_data;

	fs_notify_entry(call->mount->notify, call->nodeid, entry->name);
	return true;
}

/* Called after the attributes of @call's node were @before: names in it that
 * everybody was allowed to look up may be so no more. */
static void
names_settle(FsCall *call, const StoreAttr *before, const StoreAttr *after)
{
	const FsConfig *config = call->mount->config;

	if (!S_ISDIR(before->mode) || !fs_call_is_cacheable(config, before) ||
	    fs_call_is_cacheable(config, after))
		return;

	if (fs_notify_names(call->mount->notify))
		return;

	(void)store_name_list(call->txn, call->node, entry_forget, call);
}

/* What @call's session changes of @attr, now that it may. */
static int
attr_apply(FsCall *call, FsSession *session, const StoreAttr *attr,
           const StoreAttr *change, unsigned set)
{
	StorePlace place;
	StoreAttr after;
	int r;

	set = change_trim(call->mount->config, set);
	if (set == 0)
		return 0;

	r = fs_stage_node(call, session, attr->node, &place);
	if (r == 0)
		r = store_attr_set(call->txn, attr->node, change, set, &after);
	if (r == 0)
		fs_stage_note_attr(call, attr, &place);
	return r;
}

static int
attr_change(FsCall *call, FsSession *session, const struct stat *wanted,
            int to_set, const struct fuse_file_info *fi, StoreAttr *ret_attr)
{
	StoreAttr change;
	StoreAttr after;
	StoreAttr attr;
	unsigned set;
	int r;

	r = fs_call_attr(call, call->node, &attr);
	if (r < 0)
		return r;

	set = change_decode(wanted, to_set, &change);
	r = change_check(call, &attr, &change, set, to_set);
	if (r == 0 && (to_set & FUSE_SET_ATTR_SIZE) != 0)
		r = size_change(call, session, &attr, (uint64_t)wanted->st_size,
		                fi);
	if (r == 0)
		r = attr_apply(call, session, &attr, &change, set);
	if (r == 0)
		r = fs_call_attr(call, call->node, &after);
	if (r < 0)
		return r;

	names_settle(call, &attr, &after);
	*ret_attr = after;
	return 0;
}

/* A lock file has a size and times of its own, and nobody cares but for who
 * may set them. */
static int
lock_file_change(const FsCall *call, const FsSession *session,
                 const struct stat *wanted, int to_set,
                 const struct fuse_file_info *fi, StoreAttr *ret_attr)
{
	int64_t now_ns = g_get_real_time() * 1000;
	FsLockFile *file = fs_call_lock_own(call, session);
	StoreAttr change;
	StoreAttr attr;
	unsigned set = change_decode(wanted, to_set, &change);
	int r;

	fs_call_lock_attr(call, call->node, &attr);
	r = change_check(call, &attr, &change, set, to_set);
	if (r == 0 && (to_set & FUSE_SET_ATTR_SIZE) != 0 && fi == NULL)
		r = fs_access_check(&call->caller, &attr, W_OK);
	if (r == 0 && file == NULL)
		r = -ETXTBSY;
	if (r == 0 && (to_set & FUSE_SET_ATTR_SIZE) != 0)
		r = fs_lock_file_truncate(file, (uint64_t)wanted->st_size,
		                          now_ns);
	if (r < 0)
		return r;

	fs_lock_file_set_attr(file, &change,
	                      change_trim(call->mount->config, set), now_ns);
	fs_call_lock_attr(call, call->node, ret_attr);
	return 0;
}

void
fs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *wanted, int to_set,
              struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "setattr", ino);
	g_autoptr(FsSession) session = NULL;
	StoreAttr attr;
	int r;

	r = fs_call_session(&call, &session);
	if (r < 0) {
		fs_reply_status(&call, r);
		return;
	}

	/* Through an open file it is that file's session who does it. */
	if (fi != NULL) {
		g_clear_pointer(&session, fs_session_unref);
		session = fs_session_ref(fs_call_handle(&call, fi)->session);
	}
	r = fs_lock_file_is_node(call.node)
	            ? lock_file_change(&call, session, wanted, to_set, fi,
	                               &attr)
	            : attr_change(&call, session, wanted, to_set, fi, &attr);
	r = fs_commit_end(&call, session, r);
	attr_reply(&call, r, &attr);
}

void
fs_op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	FsCall call = fs_call_begin(req, "access", ino);
	StoreAttr attr;

	fs_call_node(&call);
	fs_reply_status(&call, fs_call_check(&call, call.node, mask, &attr));
}

void
fs_op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	FsCall call = fs_call_begin(req, "readlink", ino);

	fs_reply_status(&call, -EINVAL);
}

/* ---- directories --------------------------------------------------------- */

void
fs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "opendir", ino);
	g_autoptr(FsSession) session = NULL;
	FsHandle *handle;
	StoreAttr attr;
	int r;

	r = fs_call_session(&call, &session);
	if (r == 0)
		r = fs_handle_check(call.mount->handles, session);
	if (r == 0)
		r = fs_call_check(&call, call.node, R_OK, &attr);
	if (r < 0) {
		fs_reply_status(&call, r);
		return;
	}

	handle = fs_handle_open(call.mount->handles, session, call.node,
	                        LAYOUT_PLAIN);
	fi->fh = (uintptr_t)handle;
	if (fs_reply_open(&call, fi) < 0)
		fs_handle_close(handle);
}

void
fs_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "releasedir", ino);

	fs_handle_close(fs_handle_of(fi));
	fs_reply_status(&call, 0);
}

/* Lock files come last. */
static void
listing_finish(const FsCall *call, const FsHandle *handle)
{
	FsListing *listing = handle->listing;

	if (fs_listing_is_whole(listing))
		fs_call_lock_list(call, handle->session, call->node, listing);
	(void)fs_listing_use(listing);
}

static int
listing_take(const FsCall *call, const StoreAttr *attr, FsHandle *handle)
{
	StoreNode parent = attr->parent != 0 ? attr->parent : attr->node;
	g_autoptr(FsListing) listing = NULL;
	int r;

	r = fs_listing_take(call->mount->listings, call->txn, attr->node,
	                    parent, &listing);
	if (r < 0)
		return r;

	fs_listing_free(handle->listing);
	handle->listing = g_steal_pointer(&listing);
	handle->names_serial = *call->mount->names_serial;
	listing_finish(call, handle);
	return 0;
}

/* One reply to a reading of a directory. */
typedef struct Reading {
	const FsCall *call;
	FsSession *session; /* NULL: names only, no lookups */
	StoreAttr dir;
	bool is_fresh; /* no name has changed since the listing */
	char *buf;     /* owned */
	size_t size;
	size_t used;
} Reading;

/* What readdirplus tells the kernel of a name is remembered like a lookup, so
 * it must be true now, not when the listing was taken: another file may have
 * the name. -ENOENT, -ESTALE: none has. */
static int
reading_lookup(const Reading *reading, const FsListingEntry *item,
               struct fuse_entry_param *ret_entry)
{
	const FsCall *call = reading->call;
	StoreEntry found = { .node = item->node };
	StoreAttr attr;
	int r;

	if (!reading->is_fresh && !fs_lock_file_is_node(item->node)) {
		r = store_name_find(call->txn, reading->dir.node, item->name,
		                    &found);
		if (r < 0)
			return r;
		if (strcmp(found.name, item->name) != 0)
			return -ENOENT;
	}

	r = fs_call_attr(call, found.node, &attr);
	if (r < 0)
		return r;

	return fs_call_entry(call, reading->session, &reading->dir, item->name,
	                     item->name, &attr, ret_entry);
}

static ino_t
reading_number(const Reading *reading, const FsListingEntry *item)
{
	StoreAttr attr = { .node = item->node, .mode = item->mode };

	if (fs_lock_file_is_node(item->node))
		(void)fs_call_attr(reading->call, item->node, &attr);
	return fs_numbers_get(reading->call->mount->numbers, &attr);
}

/* Adds entry @index. Returns false if there is no room for it. */
static bool
reading_add(Reading *reading, const FsListing *listing, guint index)
{
	FsListingEntry item = fs_listing_entry(listing, index);
	struct fuse_entry_param entry = {
		.attr = { .st_ino = reading_number(reading, &item),
		          .st_mode = item.mode },
	};
	char *end = reading->buf + reading->used;
	size_t left = reading->size - reading->used;
	size_t size;
	int r = 0;

	if (reading->session == NULL) {
		size = fuse_add_direntry(reading->call->req, end, left,
		                         item.name, &entry.attr, index + 1);
	} else {
		/* The first two are "." and "..", which are never looked up. */
		if (index >= 2)
			r = reading_lookup(reading, &item, &entry);
		/* One that cannot be read is there: who looks is told. */
		if (r == -ENOENT || r == -ESTALE)
			return true;
		size = fuse_add_direntry_plus(reading->call->req, end, left,
		                              item.name, &entry, index + 1);
	}

	if (size > left)
		return false;

	reading->used += size;
	return true;
}

/* Has the listing of @handle know what is at @offset, if anything is. */
static int
listing_reach(FsCall *call, const StoreAttr *attr, FsHandle *handle,
              off_t offset)
{
	int r = 0;

	if (handle->listing == NULL || offset == 0 ||
	    !fs_listing_use(handle->listing))
		r = listing_take(call, attr, handle);
	while (r == 0 && offset >= fs_listing_count(handle->listing) &&
	       !fs_listing_is_whole(handle->listing)) {
		r = fs_listing_take_more(handle->listing, call->txn,
		                         attr->node);
		if (r == 0)
			listing_finish(call, handle);
	}
	return r;
}

static int
directory_read(FsCall *call, FsHandle *handle, FsSession *session, off_t offset,
               Reading *reading)
{
	int r;

	r = fs_call_attr(call, call->node, &reading->dir);
	if (r < 0)
		return r;

	reading->session = session;
	for (off_t i = offset;; i++) {
		r = listing_reach(call, &reading->dir, handle, i);
		if (r < 0)
			return r;
		reading->is_fresh =
			handle->names_serial == *call->mount->names_serial;
		if (i >= fs_listing_count(handle->listing) ||
		    !reading_add(reading, handle->listing, (guint)i))
			return 0;
	}
}

void
fs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
              struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "readdir", ino);
	g_autofree char *buf = g_malloc(size);
	Reading reading = { .call = &call, .buf = buf, .size = size };
	int r;

	r = directory_read(&call, fs_call_handle(&call, fi), NULL, offset,
	                   &reading);
	fs_reply_data(&call, r, buf, reading.used);
}

void
fs_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                  struct fuse_file_info *fi)
{
	FsCall call = fs_call_begin(req, "readdirplus", ino);
	g_autoptr(FsSession) session = NULL;
	g_autofree char *buf = g_malloc(size);
	Reading reading = { .call = &call, .buf = buf, .size = size };
	StoreAttr attr;
	int r;

	r = fs_call_session(&call, &session);
	if (r == 0 && fs_call_check(&call, call.node, X_OK, &attr) < 0)
		g_clear_pointer(&session, fs_session_unref);
	if (r == 0)
		r = directory_read(&call, fs_call_handle(&call, fi), session,
		                   offset, &reading);
	fs_reply_data(&call, r, buf, reading.used);
}

/* ---- the whole ----------------------------------------------------------- */

void
fs_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	FsCall call = fs_call_begin(req, "statfs", ino);
	uint64_t limit = (uint64_t)call.mount->config->report_free_mib * MIB;
	struct statvfs stat = { 0 };
	StoreRoom room;
	int r;

	r = store_room(call.mount->store, &room);
	if (r == 0) {
		uint64_t available = room.free;

		/* Programs of the time add the sizes of clusters in 31 bits. */
		if (limit > 0)
			available = MIN(available, limit - BLOCK_SIZE);

		stat = (struct statvfs){
			.f_bsize = BLOCK_SIZE,
			.f_frsize = BLOCK_SIZE,
			.f_blocks = room.total / BLOCK_SIZE,
			.f_bfree = room.free / BLOCK_SIZE,
			.f_bavail = available / BLOCK_SIZE,
			.f_namemax = STORE_NAME_MAX,
		};
	}

	fs_reply_statfs(&call, r, &stat);
}
