/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/name.h"
#include "store/store.h"
#include "tools/interrupt.h"
#include "tools/tool.h"

/* The walk is below a directory's parents, so a path grows and shrinks. */
typedef struct Walk {
	const ToolSourceVisitor *visitor; /* borrowed */
	void *user_data;
	GString *path; /* owned */
	unsigned depth;
} Walk;

/* One directory on the way. */
typedef struct Level {
	int fd;
	LayoutDir role;
	GHashTable *taken; /* folded name -> name as found, both owned */
} Level;

static void
walk_clear(Walk *walk)
{
	g_string_free(walk->path, TRUE);
}

static void
level_clear(Level *level)
{
	g_hash_table_destroy(level->taken);
}

typedef DIR OpenDir;
typedef int OpenFile;

static void
file_close(const OpenFile *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Walk, walk_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Level, level_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(OpenFile, file_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OpenDir, closedir)

static void
refuse(const Walk *walk, const char *reason)
{
	const char *path = walk->path->len > 0 ? walk->path->str : ".";

	walk->visitor->refuse(walk->user_data, path, reason);
}

/* Opens @name for reading without touching its access time, if one may. */
static int
open_quietly(int dir, const char *name)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(dir, name, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = openat(dir, name, flags);
	return fd < 0 ? -errno : fd;
}

static bool
is_mailbag_dir(const char *name)
{
	return g_ascii_strcasecmp(name, "KEY") == 0 ||
	       g_ascii_strcasecmp(name, "MBG") == 0;
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
	const char *name_a = *(const char *const *)a;
	const char *name_b = *(const char *const *)b;
	int first = is_mailbag_dir(name_b) - is_mailbag_dir(name_a);

	return first != 0 ? first : strcmp(name_a, name_b);
}

/* Lists the names in directory @fd, in the order of the walk. */
static int
read_names(int fd, GPtrArray **ret_names)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(OpenDir) dir = NULL;
	const struct dirent *entry;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	dir = copy >= 0 ? fdopendir(copy) : NULL;
	if (dir == NULL)
		return -errno;

	for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			g_ptr_array_add(names, g_strdup(entry->d_name));
	if (errno != 0)
		return -errno;

	g_ptr_array_sort(names, compare_names);
	*ret_names = g_steal_pointer(&names);
	return 0;
}

static bool
has_directory(int fd, const GPtrArray *names, const char *wanted)
{
	struct stat st;
	guint i;

	for (i = 0; i < names->len; i++)
		if (g_ascii_strcasecmp(names->pdata[i], wanted) == 0 &&
		    fstatat(fd, names->pdata[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			return S_ISDIR(st.st_mode);
	return false;
}

/* Why the directory of @role cannot have the name @name, or NULL; @ret_name
 * is what it would be called. */
static const char *
judge_name(LayoutDir role, const char *name, char ret_name[256])
{
	int r = name_check(name);

	if (r == -ENAMETOOLONG)
		return "its name is longer than 255 bytes";
	if (r < 0)
		return g_utf8_validate(name, -1, NULL)
		               ? "no DOS or Windows program could use its name"
		               : "its name is not UTF-8";
	if (!layout_is_dos(role)) {
		(void)g_strlcpy(ret_name, name, 256);
		return NULL;
	}
	return name_to_dos(name, ret_name) < 0
	               ? "mail programs could not use its name, which is not "
	                 "8.3"
	               : NULL;
}

/* Why a file like @st cannot be kept, or NULL. */
static const char *
judge_type(const struct stat *st)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFDIR:
		return NULL;
	case S_IFREG:
		return (guint64)st->st_size > STORE_FILE_SIZE_MAX
		               ? "it is larger than DOS can address (4 GiB - 1)"
		               : NULL;
	case S_IFLNK:
		return "it is a symbolic link";
	case S_IFIFO:
		return "it is a named pipe";
	case S_IFSOCK:
		return "it is a socket";
	default:
		return "it is a device";
	}
}

/* Whether @time, in nanoseconds since 1970, fits 64 bits. */
static bool
is_storable(struct timespec time)
{
	int64_t limit_s = G_MAXINT64 / 1000000000 - 1;

	return time.tv_sec < limit_s && time.tv_sec > -limit_s;
}

bool
tool_source_has(const char *dir, const char *path)
{
	g_autofree char *absolute = g_canonicalize_filename(path, NULL);
	g_autofree char *parent = g_path_get_dirname(absolute);
	g_autofree char *real_parent = realpath(parent, NULL);
	g_autofree char *base = g_path_get_basename(absolute);
	g_autofree char *real_dir = realpath(dir, NULL);
	g_autofree char *real = realpath(path, NULL);
	g_autofree char *below = NULL;
	g_autofree char *prefix = NULL;

	if (real_parent == NULL || real_dir == NULL)
		return false;
	if (real == NULL)
		real = g_build_filename(real_parent, base, NULL);

	below = g_build_filename(real, "/", NULL);
	prefix = g_build_filename(real_dir, "/", NULL);
	return g_str_has_prefix(below, prefix);
}

bool
tool_source_has_xattr(const char *name)
{
	return g_str_has_prefix(name, "user.");
}

int
tool_source_xattrs(int fd, GByteArray *ret_names)
{
	ssize_t size;

	do {
		size = flistxattr(fd, NULL, 0);
		if (size < 0)
			break;
		g_byte_array_set_size(ret_names, (guint)size);
		size = flistxattr(fd, (char *)ret_names->data, (size_t)size);
	} while (size < 0 && errno == ERANGE);

	if (size < 0 && errno != ENOTSUP)
		return -errno;
	g_byte_array_set_size(ret_names, size < 0 ? 0 : (guint)size);
	return 0;
}

/* Why the attributes of file @fd cannot be kept, or NULL. */
static const char *
judge_xattrs(int fd)
{
	g_autoptr(GByteArray) names = g_byte_array_new();
	unsigned count = 0;
	guint i = 0;

	if (tool_source_xattrs(fd, names) < 0)
		return "its extended attributes cannot be read";
	while (i < names->len) {
		const char *name = (const char *)names->data + i;

		count += tool_source_has_xattr(name) ? 1 : 0;
		i += (guint)strlen(name) + 1;
	}
	return count > STORE_XATTR_COUNT_MAX
	               ? "it has too many extended attributes"
	               : NULL;
}

/* Takes @name for the file @found, or says whose it is already. */
static bool
take_name(const Walk *walk, const Level *level, const char *name,
          const char *found)
{
	char folded[NAME_FOLDED_MAX + 1];
	const char *other;
	g_autofree char *reason = NULL;

	(void)name_fold(name, folded);
	other = g_hash_table_lookup(level->taken, folded);
	if (other == NULL) {
		g_hash_table_insert(level->taken, g_strdup(folded),
		                    g_strdup(found));
		return true;
	}
	reason = g_strdup_printf("to DOS it has the same name as %s beside it",
	                         other);
	refuse(walk, reason);
	return false;
}

static int walk_dir(Walk *walk, ToolSourceItem *dir, LayoutDir role);

/* Visits the judged @item of a directory of @role. */
static int
visit(Walk *walk, ToolSourceItem *item, LayoutDir role)
{
	const char *reason = judge_type(&item->st);

	if (!is_storable(item->st.st_mtim) || !is_storable(item->st.st_atim))
		reason = "its time is before 1678 or after 2261";
	if (reason == NULL)
		reason = judge_xattrs(item->fd);
	if (reason != NULL) {
		refuse(walk, reason);
		return 0;
	}
	if (S_ISREG(item->st.st_mode))
		return walk->visitor->file(walk->user_data, item);
	if (item->depth > TOOL_SOURCE_DEPTH_MAX) {
		refuse(walk, "it is nested too deeply");
		return 0;
	}
	return walk_dir(walk, item, layout_child(role, item->name));
}

/* Judges what is called @found in the directory @level, and visits it. */
static int
walk_name(Walk *walk, const Level *level, const char *found)
{
	char name[256];
	ToolSourceItem item = { .path = walk->path->str,
		                .name = name,
		                .depth = walk->depth };
	g_auto(OpenFile) fd = -1;
	const char *reason;

	if (fstatat(level->fd, found, &item.st, AT_SYMLINK_NOFOLLOW) < 0) {
		refuse(walk, g_strerror(errno));
		return 0;
	}
	if (S_ISREG(item.st.st_mode) &&
	    layout_kind(level->role, found) == LAYOUT_LOCK_FILE) {
		walk->visitor->skip(walk->user_data, walk->path->str);
		return 0;
	}
	reason = judge_type(&item.st);
	if (walk->path->len >= PATH_MAX)
		reason = "its path is longer than any program could use";
	if (reason == NULL)
		reason = judge_name(level->role, found, name);
	if (reason != NULL) {
		refuse(walk, reason);
		return 0;
	}
	if (!take_name(walk, level, name, found))
		return 0;

	fd = open_quietly(level->fd, found);
	if (fd < 0 || fstat(fd, &item.st) < 0) {
		refuse(walk, g_strerror(fd < 0 ? -fd : errno));
		return 0;
	}
	item.fd = fd;
	item.is_upper = strcmp(name, found) != 0;
	return visit(walk, &item, level->role);
}

static int
walk_names(Walk *walk, const Level *level, const GPtrArray *names)
{
	gsize length = walk->path->len;
	guint i;
	int r = 0;

	walk->depth++;
	for (i = 0; i < names->len && r == 0; i++) {
		g_string_append_printf(walk->path, "%s%s",
		                       length > 0 ? "/" : "",
		                       (const char *)names->pdata[i]);
		r = tool_interrupt_is_asked()
		            ? -EINTR
		            : walk_name(walk, level, names->pdata[i]);
		g_string_truncate(walk->path, length);
	}
	walk->depth--;
	return r;
}

/* Walks the open directory @dir, which has @role unless it is a postoffice. */
static int
walk_dir(Walk *walk, ToolSourceItem *dir, LayoutDir role)
{
	g_autoptr(GPtrArray) names = NULL;
	g_auto(Level) level = { .fd = dir->fd, .role = role };
	int r;

	level.taken =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	r = read_names(dir->fd, &names);
	if (r < 0) {
		refuse(walk, g_strerror(-r));
		return 0;
	}
	g_assert(names != NULL);
	if (has_directory(dir->fd, names, "KEY") &&
	    has_directory(dir->fd, names, "MBG"))
		level.role = LAYOUT_DIR_POSTOFFICE;

	r = walk->visitor->enter(walk->user_data, dir);
	if (r == 0)
		r = walk_names(walk, &level, names);
	if (r < 0)
		return r;

	/* The path may have moved while it was longer. */
	if (dir->depth > 0)
		dir->path = walk->path->str;
	return walk->visitor->leave(walk->user_data, dir);
}

int
tool_source_walk(const char *dir, LayoutDir role,
                 const ToolSourceVisitor *visitor, void *user_data,
                 GError **error)
{
	g_auto(Walk) walk = { .visitor = visitor,
		              .user_data = user_data,
		              .path = g_string_new(NULL) };
	ToolSourceItem top = { .path = ".", .name = "" };
	g_auto(OpenFile) fd = open_quietly(AT_FDCWD, dir);
	int r = fd;

	/* A link that the administrator named is followed. */
	if (r == -ELOOP) {
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 ? -errno : fd;
	}
	if (r >= 0)
		r = fstat(fd, &top.st) < 0 ? -errno : 0;
	if (r < 0)
		return tool_fail(error, r, "cannot read %s: %s", dir,
		                 g_strerror(-r));
	if (!S_ISDIR(top.st.st_mode))
		return tool_fail(error, -ENOTDIR, "%s is not a directory", dir);

	top.fd = fd;
	return walk_dir(&walk, &top, role);
}
