/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/lock_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <xxhash.h>

#include "fs/quota.h"

/*
 * How the table works
 *
 * - A file with a name is found by its number, which its directory and name
 *   give; a directory knows its files for the listing.
 * - A file without a name is held by somebody, and is in a list of its own, for
 *   another file may have its number by then.
 * - An owner is a session that has made files. It knows all of them, with a
 *   name or without, and their bytes: there are limits for a session and for
 *   all.
 */

#define NODE_BIT       (UINT64_C(1) << 47)
#define XATTR_NAME_MAX 255

typedef struct FsLockFileOwner {
	uint64_t session;
	GHashTable *files; /* set of FsLockFile, owned */
	size_t size;       /* bytes of all their contents */
} Owner;

struct FsLockFiles {
	GHashTable *named;  /* number -> FsLockFile */
	GHashTable *dirs;   /* directory -> set of FsLockFile */
	GHashTable *owners; /* session -> Owner, owned */
	GQueue nameless;    /* FsLockFile, the last first */
	size_t count;       /* of all sessions */
	size_t size;        /* bytes of all their contents */
};

static const FsQuota FILES = { FS_LOCK_FILES_MAX, FS_LOCK_FILES_ALL };
static const FsQuota BYTES = { FS_LOCK_FILE_BYTES_MAX, FS_LOCK_FILE_BYTES_ALL };

StoreNode
fs_lock_file_node(StoreNode dir, const char *name)
{
	g_autofree char *upper = g_ascii_strup(name, -1);
	uint64_t hash = XXH3_64bits_withSeed(upper, strlen(upper), dir);

	return (hash & (NODE_BIT - 1)) | NODE_BIT;
}

bool
fs_lock_file_is_node(StoreNode node)
{
	return (node & NODE_BIT) != 0;
}

/* ---- the table -----------------------------------------------------------*/

static void
file_free(void *data)
{
	FsLockFile *file = data;

	file->files->count--;
	file->files->size -= file->content->len;
	g_free(file->name);
	g_free(file->key);
	g_byte_array_unref(file->content);
	if (file->xattrs != NULL)
		g_hash_table_unref(file->xattrs);
	g_free(file);
}

static void
owner_free(void *data)
{
	Owner *owner = data;

	g_hash_table_unref(owner->files);
	g_free(owner);
}

static Owner *
files_owner(FsLockFiles *files, uint64_t session)
{
	Owner *owner = g_hash_table_lookup(files->owners, &session);

	if (owner == NULL) {
		owner = g_new0(Owner, 1);
		owner->session = session;
		owner->files =
			g_hash_table_new_full(NULL, NULL, file_free, NULL);
		g_hash_table_insert(files->owners, &owner->session, owner);
	}
	return owner;
}

static void
dir_add(FsLockFiles *files, FsLockFile *file)
{
	GHashTable *dir = g_hash_table_lookup(files->dirs, &file->attr.parent);

	if (dir == NULL) {
		dir = g_hash_table_new(NULL, NULL);
		g_hash_table_insert(
			files->dirs,
			g_memdup2(&file->attr.parent, sizeof(StoreNode)), dir);
	}
	g_hash_table_add(dir, file);
}

static void
dir_remove(FsLockFiles *files, FsLockFile *file)
{
	GHashTable *dir = g_hash_table_lookup(files->dirs, &file->attr.parent);

	g_hash_table_remove(dir, file);
	if (g_hash_table_size(dir) == 0)
		g_hash_table_remove(files->dirs, &file->attr.parent);
}

FsLockFiles *
fs_lock_files_new(void)
{
	FsLockFiles *files = g_new0(FsLockFiles, 1);

	files->named = g_hash_table_new(g_int64_hash, g_int64_equal);
	files->dirs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
	                                    (GDestroyNotify)g_hash_table_unref);
	files->owners = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
	                                      owner_free);
	g_queue_init(&files->nameless);
	return files;
}

void
fs_lock_files_free(FsLockFiles *files)
{
	if (files == NULL)
		return;

	g_assert(files->nameless.length == 0);
	g_hash_table_unref(files->named);
	g_hash_table_unref(files->dirs);
	g_hash_table_unref(files->owners);
	g_free(files);
}

/* ---- names ---------------------------------------------------------------*/

int
fs_lock_file_create(FsLockFiles *files, const FsLockFileNew *wanted,
                    FsLockFile **ret_file)
{
	StoreNode node = fs_lock_file_node(wanted->dir, wanted->name);
	FsLockFile *file;
	Owner *owner;
	int r;

	if (g_hash_table_contains(files->named, &node))
		return -EEXIST;

	/* Who is refused his first one does not become an owner. */
	owner = g_hash_table_lookup(files->owners, &wanted->session);
	r = fs_quota_check(&FILES,
	                   owner != NULL ? g_hash_table_size(owner->files) : 0,
	                   files->count, 1);
	if (r < 0)
		return r;

	owner = files_owner(files, wanted->session);
	files->count++;
	file = g_new0(FsLockFile, 1);
	file->files = files;
	file->attr = (StoreAttr){
		.node = node,
		.parent = wanted->dir,
		.mode = S_IFREG | (wanted->mode & 07777),
		.uid = wanted->uid,
		.gid = wanted->gid,
		.atime_ns = wanted->now_ns,
		.mtime_ns = wanted->now_ns,
		.ctime_ns = wanted->now_ns,
		.btime_ns = wanted->now_ns,
	};
	file->name = g_strdup(wanted->name);
	file->key = g_strdup(wanted->key);
	file->session = wanted->session;
	file->owner = owner;
	file->content = g_byte_array_new();
	g_hash_table_add(owner->files, file);
	g_hash_table_insert(files->named, &file->attr.node, file);
	dir_add(files, file);
	*ret_file = file;
	return 0;
}

FsLockFile *
fs_lock_file_find(FsLockFiles *files, StoreNode dir, const char *name)
{
	StoreNode node = fs_lock_file_node(dir, name);
	FsLockFile *file = g_hash_table_lookup(files->named, &node);

	/* Another may have its number. */
	if (file == NULL || file->attr.parent != dir ||
	    g_ascii_strcasecmp(file->name, name) != 0)
		return NULL;

	return file;
}

FsLockFile *
fs_lock_file_find_node(FsLockFiles *files, StoreNode node)
{
	FsLockFile *file = g_hash_table_lookup(files->named, &node);

	for (GList *l = files->nameless.head; file == NULL && l != NULL;
	     l = l->next)
		if (((FsLockFile *)l->data)->attr.node == node)
			file = l->data;
	return file;
}

void
fs_lock_file_list(FsLockFiles *files, StoreNode dir, FsLockFileVisit *visit,
                  void *user_data)
{
	GHashTable *set = g_hash_table_lookup(files->dirs, &dir);
	GHashTableIter iter;
	gpointer file;

	if (set == NULL)
		return;

	g_hash_table_iter_init(&iter, set);
	while (g_hash_table_iter_next(&iter, &file, NULL))
		visit(user_data, file);
}

unsigned
fs_lock_file_count(FsLockFiles *files, uint64_t session)
{
	const Owner *owner = g_hash_table_lookup(files->owners, &session);
	unsigned count = 0;
	GHashTableIter iter;
	gpointer file;

	if (owner == NULL)
		return 0;

	g_hash_table_iter_init(&iter, owner->files);
	while (g_hash_table_iter_next(&iter, &file, NULL))
		if (((const FsLockFile *)file)->attr.parent != 0)
			count++;
	return count;
}

/* Called when @file has no name and nobody holds it. */
static void
file_forget(FsLockFile *file)
{
	FsLockFiles *files = file->files;
	Owner *owner = file->owner;

	owner->size -= file->content->len;
	g_hash_table_remove(owner->files, file);
	if (g_hash_table_size(owner->files) == 0)
		g_hash_table_remove(files->owners, &owner->session);
}

void
fs_lock_file_remove(FsLockFile *file)
{
	FsLockFiles *files = file->files;

	if (file->attr.parent == 0)
		return;

	g_hash_table_remove(files->named, &file->attr.node);
	dir_remove(files, file);
	file->attr.parent = 0;
	if (file->opened > 0)
		g_queue_push_head(&files->nameless, file);
	else
		file_forget(file);
}

void
fs_lock_file_end(FsLockFiles *files, uint64_t session)
{
	const Owner *owner = g_hash_table_lookup(files->owners, &session);
	g_autoptr(GList) all = NULL;

	if (owner == NULL)
		return;

	all = g_hash_table_get_keys(owner->files);
	for (GList *l = all; l != NULL; l = l->next)
		fs_lock_file_remove(l->data);
}

void
fs_lock_file_hold(FsLockFile *file)
{
	file->opened++;
}

void
fs_lock_file_release(FsLockFile *file)
{
	g_assert(file->opened > 0);

	file->opened--;
	if (file->opened > 0 || file->attr.parent != 0)
		return;

	g_queue_remove(&file->files->nameless, file);
	file_forget(file);
}

/* ---- content -------------------------------------------------------------*/

size_t
fs_lock_file_read(const FsLockFile *file, uint64_t offset, void *buf,
                  size_t size)
{
	if (offset >= file->content->len)
		return 0;

	size = MIN(size, file->content->len - (size_t)offset);
	memcpy(buf, file->content->data + offset, size);
	return size;
}

/* Makes @file @size bytes long; what is new is zero. */
static int
file_resize(FsLockFile *file, size_t size)
{
	size_t old_size = file->content->len;
	size_t others = file->owner->size - old_size;
	size_t all = file->files->size - old_size;

	if (size > old_size && fs_quota_check(&BYTES, others, all, size) < 0)
		return -ENOSPC;

	g_byte_array_set_size(file->content, (guint)size);
	if (size > old_size)
		memset(file->content->data + old_size, 0, size - old_size);
	file->owner->size = others + size;
	file->files->size = all + size;
	file->attr.size = size;
	return 0;
}

static void
file_touch(FsLockFile *file, int64_t now_ns)
{
	file->attr.mtime_ns = now_ns;
	file->attr.ctime_ns = now_ns;
}

int
fs_lock_file_write(FsLockFile *file, uint64_t offset, const void *data,
                   size_t size, int64_t now_ns)
{
	int r = 0;

	if (size == 0)
		return 0;
	if (offset > FS_LOCK_FILE_SIZE_MAX ||
	    size > FS_LOCK_FILE_SIZE_MAX - offset)
		return -EFBIG;

	if (offset + size > file->content->len)
		r = file_resize(file, (size_t)offset + size);
	if (r < 0)
		return r;

	memcpy(file->content->data + offset, data, size);
	file_touch(file, now_ns);
	return 0;
}

int
fs_lock_file_truncate(FsLockFile *file, uint64_t size, int64_t now_ns)
{
	int r;

	if (size > FS_LOCK_FILE_SIZE_MAX)
		return -EFBIG;

	r = file_resize(file, (size_t)size);
	if (r == 0)
		file_touch(file, now_ns);
	return r;
}

/* ---- attributes ----------------------------------------------------------*/

void
fs_lock_file_set_attr(FsLockFile *file, const StoreAttr *attr, unsigned set,
                      int64_t now_ns)
{
	StoreAttr *own = &file->attr;

	if ((set & STORE_SET_MODE) != 0)
		own->mode = S_IFREG | (attr->mode & 07777);
	if ((set & STORE_SET_UID) != 0)
		own->uid = attr->uid;
	if ((set & STORE_SET_GID) != 0)
		own->gid = attr->gid;
	if ((set & STORE_SET_ATIME) != 0)
		own->atime_ns = attr->atime_ns;
	if ((set & STORE_SET_MTIME) != 0)
		own->mtime_ns = attr->mtime_ns;
	if ((set & STORE_SET_BTIME) != 0)
		own->btime_ns = attr->btime_ns;
	own->ctime_ns = (set & STORE_SET_CTIME) != 0 ? attr->ctime_ns : now_ns;
}

/* Hands out @size bytes as getxattr(2) does. */
static int
copy_out(const void *from, size_t from_size, void *buf, size_t size,
         size_t *ret_size)
{
	if (size > 0 && size < from_size)
		return -ERANGE;

	if (size > 0 && from_size > 0)
		memcpy(buf, from, from_size);
	*ret_size = from_size;
	return 0;
}

static GBytes *
xattr_find(const FsLockFile *file, const char *name)
{
	return file->xattrs == NULL ? NULL
	                            : g_hash_table_lookup(file->xattrs, name);
}

int
fs_lock_file_xattr_get(const FsLockFile *file, const char *name, void *buf,
                       size_t size, size_t *ret_size)
{
	GBytes *value = xattr_find(file, name);

	if (value == NULL)
		return -ENODATA;

	return copy_out(g_bytes_get_data(value, NULL), g_bytes_get_size(value),
	                buf, size, ret_size);
}

static int
xattr_check(const FsLockFile *file, const char *name, size_t size, int flags)
{
	size_t name_size = strlen(name);

	if (name_size == 0 || name_size > XATTR_NAME_MAX)
		return -ERANGE;
	if (size > FS_LOCK_FILE_XATTR_SIZE_MAX)
		return -E2BIG;

	if (xattr_find(file, name) != NULL)
		return (flags & XATTR_CREATE) != 0 ? -EEXIST : 0;
	if ((flags & XATTR_REPLACE) != 0)
		return -ENODATA;

	return file->xattrs != NULL && g_hash_table_size(file->xattrs) >=
	                                       FS_LOCK_FILE_XATTRS_MAX
	               ? -ENOSPC
	               : 0;
}

int
fs_lock_file_xattr_set(FsLockFile *file, const char *name, const void *value,
                       size_t size, int flags, int64_t now_ns)
{
	int r;

	r = xattr_check(file, name, size, flags);
	if (r < 0)
		return r;

	if (file->xattrs == NULL)
		file->xattrs =
			g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
		                              (GDestroyNotify)g_bytes_unref);
	g_hash_table_replace(file->xattrs, g_strdup(name),
	                     g_bytes_new(value, size));
	file->attr.ctime_ns = now_ns;
	return 0;
}

int
fs_lock_file_xattr_list(const FsLockFile *file, char *buf, size_t size,
                        size_t *ret_size)
{
	g_autoptr(GByteArray) names = g_byte_array_new();
	GHashTableIter iter;
	gpointer name;

	if (file->xattrs != NULL) {
		g_hash_table_iter_init(&iter, file->xattrs);
		while (g_hash_table_iter_next(&iter, &name, NULL))
			g_byte_array_append(names, name,
			                    (guint)strlen(name) + 1);
	}
	return copy_out(names->data, names->len, buf, size, ret_size);
}

int
fs_lock_file_xattr_remove(FsLockFile *file, const char *name, int64_t now_ns)
{
	if (file->xattrs == NULL || !g_hash_table_remove(file->xattrs, name))
		return -ENODATA;

	file->attr.ctime_ns = now_ns;
	return 0;
}
