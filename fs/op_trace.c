/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fs/ops.h"

/*
 * How requests are traced
 *
 * - The kernel calls these functions, and they call the operations. Where
 *   nobody is traced, that is one look at a flag.
 * - Else the request is entered with all that is known of it, and the FsCall
 *   that the operation begins with takes its number, so that its answer,
 *   whenever it comes, is entered, too.
 * - A KEY file is remembered before its session first reads or writes it, and
 *   compared when it is closed.
 */

/* Bytes of a KEY file that are compared; it has 560 (Q77926). */
#define KEY_MAX 1024

/* Bytes of a write to a lock file that are entered. */
#define BYTES_MAX 64

/* Whether anybody is traced. */
static bool
is_on(fuse_req_t req)
{
	const FsMount *mount = fuse_req_userdata(req);

	return G_UNLIKELY(mount->trace->is_on);
}

/* Who asks, and what it sees. */
typedef struct Asker {
	const FsMount *mount;
	FsSession *session; /* a reference; NULL: nobody who is traced */
	uint64_t serial;
	FsCall call;
} Asker;

static void
asker_clear(Asker *asker)
{
	g_clear_pointer(&asker->session, fs_session_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Asker, asker_clear)

/* Through an open file (@fi) it is that file's session that asks. Returns
 * whether it is traced. */
static bool
asker_init(Asker *asker, fuse_req_t req, fuse_ino_t nodeid,
           const struct fuse_file_info *fi)
{
	asker->mount = fuse_req_userdata(req);
	asker->call = (FsCall){
		.mount = asker->mount,
		.node = fs_view_node(nodeid),
	};
	if (fi != NULL)
		asker->session = fs_session_ref(fs_handle_of(fi)->session);
	else if (fs_session_find(asker->mount->sessions, fuse_req_ctx(req)->pid,
	                         &asker->session) < 0)
		return false;
	asker->serial = fs_session_serial(asker->session);
	fs_call_see(&asker->call, asker->session);
	return fs_trace_meet(asker->mount->trace, asker->serial);
}

/* ---- words --------------------------------------------------------------- */

/* The path of @node, with @name below it unless that is NULL, for a line. */
static char *
path_text(const Asker *asker, StoreNode node, const char *name)
{
	const FsMount *mount = asker->mount;
	const FsLockFile *file =
		fs_lock_file_is_node(node)
			? fs_lock_file_find_node(mount->lock_files, node)
			: NULL;
	g_autofree char *parent = NULL;
	g_autofree char *path = NULL;

	if (file != NULL) {
		name = file->name;
		node = file->attr.parent;
	}
	if (store_node_path(asker->call.txn, node, &parent) < 0)
		parent = g_strdup_printf("#%" G_GUINT64_FORMAT, node);
	path = name != NULL ? g_build_filename(parent, name, NULL)
	                    : g_steal_pointer(&parent);
	return g_strescape(path, NULL);
}

/* How a file is opened. */
static char *
flags_text(int flags)
{
	static const char *const modes[] = { "read", "write", "read+write",
		                             "?" };

	return g_strdup_printf("%s%s%s%s", modes[flags & O_ACCMODE],
	                       (flags & O_EXCL) != 0 ? "+exclusive" : "",
	                       (flags & O_TRUNC) != 0 ? "+truncate" : "",
	                       (flags & O_APPEND) != 0 ? "+append" : "");
}

/* Which lock opening the file at @place takes. */
static const char *
lock_text(const StorePlace *place, int flags)
{
	if (place->kind != LAYOUT_LOCK_FILE && !fs_hold_is_wanted(place, flags))
		return "none";
	switch (fs_lock_key_purpose(place)) {
	case FS_LOCK_NONE:
		return "none";
	case FS_LOCK_UPDATE:
		return "update";
	case FS_LOCK_PROCESSING:
		return "processing";
	case FS_LOCK_INQUEUE:
		return "inqueue";
	case FS_LOCK_FILE:
		return "file";
	}
	g_assert_not_reached();
}

/* ---- KEY files ----------------------------------------------------------- */

/* Reads the file of @handle, if it is a KEY. */
static bool
key_read(const Asker *asker, const FsHandle *handle, char **ret_path,
         uint8_t key[KEY_MAX], size_t *ret_size)
{
	g_autofree char *path = path_text(asker, handle->node, NULL);

	if (handle->kind != LAYOUT_MAILBAG || !g_str_has_suffix(path, ".KEY") ||
	    store_file_read(asker->call.txn, handle->node, 0, key, KEY_MAX,
	                    ret_size) < 0)
		return false;
	*ret_path = g_steal_pointer(&path);
	return true;
}

static void
key_begin(const Asker *asker, const FsHandle *handle)
{
	g_autofree char *path = NULL;
	uint8_t key[KEY_MAX];
	size_t size;

	if (key_read(asker, handle, &path, key, &size))
		fs_trace_key_begin(asker->mount->trace, asker->serial,
		                   handle->node, key, size);
}

static void
key_end(const Asker *asker, const FsHandle *handle)
{
	g_autofree char *path = NULL;
	uint8_t key[KEY_MAX];
	size_t size;

	if (key_read(asker, handle, &path, key, &size))
		fs_trace_key_end(asker->mount->trace, asker->serial,
		                 handle->node, path, key, size);
}

/* ---- requests ------------------------------------------------------------ */

/* Enters @op on @name in @parent. */
static void
ask_name(fuse_req_t req, const char *op, fuse_ino_t parent, const char *name)
{
	g_auto(Asker) asker = { NULL };
	g_autofree char *path = NULL;

	if (!asker_init(&asker, req, parent, NULL))
		return;
	path = path_text(&asker, asker.call.node, name);
	fs_trace_ask(asker.mount->trace, asker.serial, op, "path=\"%s\"", path);
}

/* Enters the opening of @name in @nodeid, or of @nodeid if that is NULL. */
static void
ask_open(fuse_req_t req, const char *op, fuse_ino_t nodeid, const char *name,
         int flags)
{
	g_auto(Asker) asker = { NULL };
	g_autofree char *path = NULL;
	g_autofree char *how = flags_text(flags);
	const char *lock = "?";
	StorePlace place;
	int r;

	if (!asker_init(&asker, req, nodeid, NULL))
		return;
	path = path_text(&asker, asker.call.node, name);
	if (name != NULL)
		r = store_place_in(asker.call.txn, asker.call.node, name,
		                   &place);
	else
		r = store_place_of(asker.call.txn, asker.call.node, &place);
	if (r == 0)
		lock = lock_text(&place, flags);
	fs_trace_ask(asker.mount->trace, asker.serial, op,
	             "path=\"%s\" how=%s lock=%s", path, how, lock);
}

/* " bytes=0a0b", of what is written to a lock file: that is nobody's mail, and
 * what the programs write there, if anything, was never published. */
static char *
bytes_text(const struct fuse_file_info *fi, const char *data, size_t size)
{
	GString *text = g_string_new(NULL);
	size_t i;

	if (data == NULL || fs_handle_of(fi)->kind != LAYOUT_LOCK_FILE)
		return g_string_free(text, FALSE);
	g_string_append(text, " bytes=");
	for (i = 0; i < MIN(size, BYTES_MAX); i++)
		g_string_append_printf(text, "%02x", (uint8_t)data[i]);
	return g_string_free(text, FALSE);
}

/* Enters @op of @size bytes (@data, if they are written) at @offset through an
 * open file. */
static void
ask_data(fuse_req_t req, const char *op, fuse_ino_t ino,
         const struct fuse_file_info *fi, off_t offset, const char *data,
         size_t size)
{
	g_auto(Asker) asker = { NULL };
	g_autofree char *bytes = NULL;
	g_autofree char *path = NULL;

	if (!asker_init(&asker, req, ino, fi))
		return;
	key_begin(&asker, fs_handle_of(fi));
	path = path_text(&asker, asker.call.node, NULL);
	bytes = bytes_text(fi, data, size);
	fs_trace_ask(asker.mount->trace, asker.serial, op,
	             "path=\"%s\" offset=%" G_GINT64_FORMAT " size=%zu%s", path,
	             (gint64)offset, size, bytes);
}

/* Enters @op on an open file, the last perhaps. */
static void
ask_close(fuse_req_t req, const char *op, fuse_ino_t ino,
          const struct fuse_file_info *fi)
{
	g_auto(Asker) asker = { NULL };
	g_autofree char *path = NULL;

	if (!asker_init(&asker, req, ino, fi))
		return;
	key_end(&asker, fs_handle_of(fi));
	path = path_text(&asker, asker.call.node, NULL);
	fs_trace_ask(asker.mount->trace, asker.serial, op, "path=\"%s\"", path);
}

/* Enters a lock of bytes. */
static void
ask_range(fuse_req_t req, const char *op, fuse_ino_t ino,
          const struct fuse_file_info *fi, const struct flock *lock, bool waits)
{
	static const char *const types[] = { [F_RDLCK] = "shared",
		                             [F_WRLCK] = "exclusive",
		                             [F_UNLCK] = "unlock" };
	g_auto(Asker) asker = { NULL };
	g_autofree char *path = NULL;

	if (!asker_init(&asker, req, ino, fi))
		return;
	path = path_text(&asker, asker.call.node, NULL);
	fs_trace_ask(asker.mount->trace, asker.serial, op,
	             "path=\"%s\" type=%s offset=%" G_GINT64_FORMAT
	             " size=%" G_GINT64_FORMAT " waits=%s",
	             path,
	             (size_t)lock->l_type < G_N_ELEMENTS(types)
	                     ? types[lock->l_type]
	                     : "?",
	             (gint64)lock->l_start, (gint64)lock->l_len,
	             waits ? "yes" : "no");
}

void
fs_traced_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (is_on(req))
		ask_name(req, "lookup", parent, name);
	fs_op_lookup(req, parent, name);
}

void
fs_traced_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                 mode_t mode, struct fuse_file_info *fi)
{
	if (is_on(req))
		ask_open(req, "create", parent, name, fi->flags);
	fs_op_create(req, parent, name, mode, fi);
}

void
fs_traced_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (is_on(req))
		ask_name(req, "unlink", parent, name);
	fs_op_unlink(req, parent, name);
}

static void
ask_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
           fuse_ino_t newparent, const char *newname)
{
	g_auto(Asker) asker = { NULL };
	g_autofree char *path = NULL;
	g_autofree char *to = NULL;

	if (!asker_init(&asker, req, parent, NULL))
		return;
	path = path_text(&asker, asker.call.node, name);
	to = path_text(&asker, fs_view_node(newparent), newname);
	fs_trace_ask(asker.mount->trace, asker.serial, "rename",
	             "path=\"%s\" to=\"%s\"", path, to);
}

void
fs_traced_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
                 fuse_ino_t newparent, const char *newname, unsigned flags)
{
	if (is_on(req))
		ask_rename(req, parent, name, newparent, newname);
	fs_op_rename(req, parent, name, newparent, newname, flags);
}

static void
ask_setattr(fuse_req_t req, fuse_ino_t ino, const struct stat *attr, int to_set,
            const struct fuse_file_info *fi)
{
	g_autofree char *size = g_strdup_printf(" size=%" G_GINT64_FORMAT,
	                                        (gint64)attr->st_size);
	g_auto(Asker) asker = { NULL };
	g_autofree char *path = NULL;

	if (!asker_init(&asker, req, ino, fi))
		return;
	path = path_text(&asker, asker.call.node, NULL);
	fs_trace_ask(asker.mount->trace, asker.serial, "setattr",
	             "path=\"%s\"%s%s%s", path,
	             (to_set & FUSE_SET_ATTR_SIZE) != 0 ? size : "",
	             (to_set & FUSE_SET_ATTR_MTIME) != 0 ? " time=yes" : "",
	             (to_set & FUSE_SET_ATTR_MODE) != 0 ? " mode=yes" : "");
}

void
fs_traced_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                  struct fuse_file_info *fi)
{
	if (is_on(req))
		ask_setattr(req, ino, attr, to_set, fi);
	fs_op_setattr(req, ino, attr, to_set, fi);
}

void
fs_traced_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (is_on(req))
		ask_open(req, "open", ino, NULL, fi->flags);
	fs_op_open(req, ino, fi);
}

void
fs_traced_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
               struct fuse_file_info *fi)
{
	if (is_on(req))
		ask_data(req, "read", ino, fi, offset, NULL, size);
	fs_op_read(req, ino, size, offset, fi);
}

void
fs_traced_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
                off_t offset, struct fuse_file_info *fi)
{
	if (is_on(req))
		ask_data(req, "write", ino, fi, offset, data, size);
	fs_op_write(req, ino, data, size, offset, fi);
}

void
fs_traced_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (is_on(req))
		ask_close(req, "close", ino, fi);
	fs_op_flush(req, ino, fi);
}

void
fs_traced_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (is_on(req))
		ask_close(req, "release", ino, fi);
	fs_op_release(req, ino, fi);
}

void
fs_traced_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
                struct fuse_file_info *fi)
{
	if (is_on(req))
		ask_close(req, "fsync", ino, fi);
	fs_op_fsync(req, ino, datasync, fi);
}

void
fs_traced_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                struct flock *lock, int sleep)
{
	if (is_on(req))
		ask_range(req, "range", ino, fi, lock, sleep != 0);
	fs_op_setlk(req, ino, fi, lock, sleep);
}

void
fs_traced_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
                int op)
{
	if (is_on(req))
		ask_close(req, "flock", ino, fi);
	fs_op_flock(req, ino, fi, op);
}

void
fs_trace_share(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi,
               unsigned access, unsigned deny)
{
	static const char *const sets[] = { "nothing", "read", "write",
		                            "read+write" };
	g_auto(Asker) asker = { NULL };
	g_autofree char *path = NULL;

	if (!is_on(req) || !asker_init(&asker, req, ino, fi))
		return;
	path = path_text(&asker, asker.call.node, NULL);
	fs_trace_ask(asker.mount->trace, asker.serial, "share",
	             "path=\"%s\" access=%s deny=%s", path,
	             sets[access & FS_SHARE_BOTH], sets[deny & FS_SHARE_BOTH]);
}

/* ---- events -------------------------------------------------------------- */

void
fs_trace_tell(const FsMount *mount, const FsSession *session, const char *event)
{
	if (G_UNLIKELY(mount->trace->is_on))
		fs_trace_event(mount->trace, fs_session_serial(session), event);
}
