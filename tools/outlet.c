/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/outlet.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/tool.h"

#define NS_PER_S 1000000000

struct ToolOutlet {
	struct archive *archive; /* owned */
	bool is_tar;
	uint64_t position; /* bytes of the item that are written */
	guint64 unkept;    /* items that lost some attributes */
	char *first;       /* owned: the first of them, and why */
	char *path;        /* owned: the item, for messages */
};

typedef struct archive_entry Entry;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Entry, archive_entry_free)

static int
fail(const ToolOutlet *outlet, GError **error)
{
	int number = archive_errno(outlet->archive);

	/* libarchive's own numbers are negative, its sentences for a system's
	 * error do not name it. */
	if (number > 0)
		return tool_fail(error, -number, "cannot write %s: %s",
		                 outlet->path, g_strerror(number));
	return tool_fail(error, -EIO, "cannot write %s: %s", outlet->path,
	                 archive_error_string(outlet->archive));
}

static ToolOutlet *
outlet_new(struct archive *archive, bool is_tar)
{
	ToolOutlet *a = g_new0(ToolOutlet, 1);

	a->archive = archive;
	a->is_tar = is_tar;
	a->path = g_strdup(is_tar ? "the tar stream" : ".");
	return a;
}

/* Makes the target directory, unless it is there and empty. */
static int
make_directory(const char *path, GError **error)
{
	g_autoptr(GDir) dir = NULL;

	if (mkdir(path, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return tool_fail(error, -errno, "cannot create %s: %s", path,
		                 g_strerror(errno));

	dir = g_dir_open(path, 0, NULL);
	if (dir == NULL)
		return tool_fail(error, -ENOTDIR,
		                 "%s is not a directory that "
		                 "can be read",
		                 path);
	if (g_dir_read_name(dir) != NULL)
		return tool_fail(error, -ENOTEMPTY, "%s is not empty", path);
	return 0;
}

int
tool_outlet_open_dir(const char *dir, ToolOutlet **ret_outlet, GError **error)
{
	int flags = ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM |
	            ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
	            ARCHIVE_EXTRACT_SECURE_NODOTDOT;
	struct archive *archive;
	int r;

	r = make_directory(dir, error);
	if (r < 0)
		return r;
	if (chdir(dir) < 0)
		return tool_fail(error, -errno, "cannot enter %s: %s", dir,
		                 g_strerror(errno));
	if (geteuid() == 0)
		flags |= ARCHIVE_EXTRACT_OWNER;

	archive = archive_write_disk_new();
	g_assert(archive != NULL);
	archive_write_disk_set_options(archive, flags);
	*ret_outlet = outlet_new(archive, false);
	return 0;
}

int
tool_outlet_open_tar(int fd, ToolOutlet **ret_outlet, GError **error)
{
	g_autoptr(ToolOutlet) outlet = NULL;

	outlet = outlet_new(archive_write_new(), true);
	g_assert(outlet->archive != NULL);
	if (archive_write_set_format_pax(outlet->archive) < ARCHIVE_OK ||
	    archive_write_open_fd(outlet->archive, fd) < ARCHIVE_OK)
		return fail(outlet, error);

	*ret_outlet = g_steal_pointer(&outlet);
	return 0;
}

/* Whether the ranges leave out some of the @size bytes of a file. */
static bool
has_holes(const GArray *ranges, uint64_t size)
{
	uint64_t data = 0;
	guint i;

	for (i = 0; i < ranges->len; i++) {
		const ToolRange *range = &g_array_index(ranges, ToolRange, i);

		data += range->to - range->from;
	}
	return data < size;
}

static void
set_ranges(struct archive_entry *entry, const GArray *ranges)
{
	guint i;

	for (i = 0; i < ranges->len; i++) {
		const ToolRange *range = &g_array_index(ranges, ToolRange, i);

		archive_entry_sparse_add_entry(
			entry, (int64_t)range->from,
			(int64_t)(range->to - range->from));
	}
}

/* Seconds, rounded down, and nanoseconds of the second. */
static void
split_time(int64_t time_ns, time_t *ret_s, long *ret_ns)
{
	int64_t ns = time_ns % NS_PER_S;

	ns += ns < 0 ? NS_PER_S : 0;
	*ret_s = (time_t)((time_ns - ns) / NS_PER_S);
	*ret_ns = (long)ns;
}

static struct archive_entry *
entry_new(const ToolOutletItem *item)
{
	const StoreAttr *attr = item->attr;
	struct archive_entry *entry = archive_entry_new();
	time_t time_s;
	long ns;
	guint i;

	g_assert(entry != NULL);
	archive_entry_set_pathname(entry, item->path);
	archive_entry_set_filetype(entry, attr->mode & S_IFMT);
	archive_entry_set_perm(entry, attr->mode & 07777);
	archive_entry_set_uid(entry, attr->uid);
	archive_entry_set_gid(entry, attr->gid);
	archive_entry_set_size(entry, (int64_t)attr->size);
	split_time(attr->mtime_ns, &time_s, &ns);
	archive_entry_set_mtime(entry, time_s, ns);
	split_time(attr->atime_ns, &time_s, &ns);
	archive_entry_set_atime(entry, time_s, ns);

	for (i = 0; i < item->xattrs->len; i++) {
		const ToolXattr *x = &g_array_index(item->xattrs, ToolXattr, i);
		gsize size;
		const void *value = g_bytes_get_data(x->value, &size);

		archive_entry_xattr_add_entry(entry, x->name, value, size);
	}
	if (S_ISREG(attr->mode) && has_holes(item->ranges, attr->size))
		set_ranges(entry, item->ranges);
	return entry;
}

int
tool_outlet_add(ToolOutlet *outlet, const ToolOutletItem *item, GError **error)
{
	g_autoptr(Entry) entry = entry_new(item);

	g_free(outlet->path);
	outlet->path = g_strdup(item->path);
	outlet->position = 0;
	if (archive_write_header(outlet->archive, entry) < ARCHIVE_OK)
		return fail(outlet, error);
	return 0;
}

static int
write_bytes(ToolOutlet *outlet, const void *data, size_t size, GError **error)
{
	if (archive_write_data(outlet->archive, data, size) < 0)
		return fail(outlet, error);
	outlet->position += size;
	return 0;
}

/* A tar stream is told of the holes beforehand, and given their zeros. */
static int
write_zeros(ToolOutlet *outlet, uint64_t up_to, GError **error)
{
	static const char zeros[65536];
	int r = 0;

	while (r == 0 && outlet->position < up_to)
		r = write_bytes(outlet, zeros,
		                MIN(sizeof(zeros), up_to - outlet->position),
		                error);
	return r;
}

int
tool_outlet_write(ToolOutlet *outlet, uint64_t offset, const void *data,
                  size_t size, GError **error)
{
	int r;

	if (outlet->is_tar) {
		r = write_zeros(outlet, offset, error);
		if (r < 0)
			return r;
		return write_bytes(outlet, data, size, error);
	}
	if (archive_write_data_block(outlet->archive, data, size,
	                             (int64_t)offset) < ARCHIVE_OK)
		return fail(outlet, error);
	return 0;
}

int
tool_outlet_end(ToolOutlet *outlet, GError **error)
{
	int r;

	r = archive_write_finish_entry(outlet->archive);
	if (r == ARCHIVE_WARN) {
		/* The bytes are there, some attribute is not. */
		if (outlet->unkept++ == 0)
			outlet->first = g_strdup_printf(
				"%s: %s", outlet->path,
				archive_error_string(outlet->archive));
		return 0;
	}
	return r < ARCHIVE_OK ? fail(outlet, error) : 0;
}

int
tool_outlet_close(ToolOutlet **outlet, char **ret_warning, GError **error)
{
	g_autoptr(ToolOutlet) a = g_steal_pointer(outlet);
	g_autofree char *count = NULL;

	g_free(a->path);
	a->path = g_strdup(a->is_tar ? "the tar stream"
	                             : "the times of directories");
	if (archive_write_close(a->archive) < ARCHIVE_OK)
		return fail(a, error);

	*ret_warning = NULL;
	if (a->unkept == 0)
		return 0;
	count = tool_count(a->unkept, "file or directory",
	                   "files or directories");
	*ret_warning = g_strdup_printf("%s could not be given all attributes, "
	                               "first %s",
	                               count, a->first);
	return 0;
}

void
tool_outlet_free(ToolOutlet *outlet)
{
	if (outlet == NULL)
		return;
	(void)archive_write_free(outlet->archive);
	g_free(outlet->first);
	g_free(outlet->path);
	g_free(outlet);
}
