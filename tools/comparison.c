/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/comparison.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tools/dos_mode.h"
#include "tools/listing.h"
#include "tools/source.h"
#include "tools/tool.h"

/* Bytes compared at a time. */
#define BUFFER_SIZE ((size_t)1 << 20)

#define NS_PER_S INT64_C(1000000000)

/* The attributes that DOS shows. */
#define DOS_ATTRIBUTES                                            \
	(DOS_ATTR_READ_ONLY | DOS_ATTR_HIDDEN | DOS_ATTR_SYSTEM | \
	 DOS_ATTR_ARCHIVE)

/* A directory on the way, in the store. */
typedef struct Level {
	StoreNode node;   /* 0: it is not there */
	GHashTable *seen; /* StoreNode, owned: what the tree has, too */
} Level;

typedef struct Comparison {
	StoreTxn *txn; /* plain; borrowed from the store */
	StoreNode top;
	ToolDifferenceFound *found;
	void *user_data;
	GArray *levels;         /* owned: Level */
	char *stored;           /* owned: BUFFER_SIZE bytes */
	char *read;             /* owned: BUFFER_SIZE bytes */
	ToolProgress *progress; /* borrowed */
	guint64 total;          /* files in the store; 0 if not known */
	guint64 files;
	GError *error; /* owned: why the walk was ended */
} Comparison;

static void
level_clear(void *data)
{
	Level *level = data;

	g_hash_table_unref(level->seen);
}

static void
comparison_clear(Comparison *comparison)
{
	g_array_unref(comparison->levels);
	g_free(comparison->stored);
	g_free(comparison->read);
	g_clear_error(&comparison->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Comparison, comparison_clear)

static void
tell(const Comparison *comparison, const char *path, const char *what,
     const char *in_store, const char *in_tree)
{
	const ToolDifference difference = { path, what, in_store, in_tree };

	comparison->found(comparison->user_data, &difference);
}

static int
fail_store(Comparison *comparison, int r, const char *path)
{
	return tool_fail(&comparison->error, r,
	                 "cannot read %s of the store: %s", path,
	                 g_strerror(-r));
}

static const char *
type_text(uint32_t mode)
{
	return S_ISDIR(mode) ? "directory" : "file";
}

/* ---- attributes ----------------------------------------------------------*/

static int64_t
to_ns(struct timespec time)
{
	return (int64_t)time.tv_sec * NS_PER_S + time.tv_nsec;
}

/* Local time, to the nanosecond. */
static char *
time_text(int64_t time_ns)
{
	int64_t ns = (time_ns % NS_PER_S + NS_PER_S) % NS_PER_S;
	g_autoptr(GDateTime) time =
		g_date_time_new_from_unix_local((time_ns - ns) / NS_PER_S);
	g_autofree char *text =
		time != NULL ? g_date_time_format(time, "%F %T") : NULL;

	return g_strdup_printf("%s.%09d", text != NULL ? text : "?", (int)ns);
}

static void
compare_times(const Comparison *comparison, const ToolSourceItem *item,
              const StoreAttr *attr)
{
	int64_t mtime_ns = to_ns(item->st.st_mtim);
	g_autofree char *in_store = NULL;
	g_autofree char *in_tree = NULL;

	if (attr->mtime_ns == mtime_ns)
		return;
	in_store = time_text(attr->mtime_ns);
	in_tree = time_text(mtime_ns);
	tell(comparison, item->path, "modified", in_store, in_tree);
}

/* "RHSA", as far as they are in @attributes. */
static char *
attributes_text(uint32_t attributes)
{
	return g_strdup_printf("%s%s%s%s",
	                       attributes & DOS_ATTR_READ_ONLY ? "R" : "",
	                       attributes & DOS_ATTR_HIDDEN ? "H" : "",
	                       attributes & DOS_ATTR_SYSTEM ? "S" : "",
	                       attributes & DOS_ATTR_ARCHIVE ? "A" : "");
}

/* The DOS attributes in the value of user.DOSATTRIB. */
static uint32_t
decode(const void *value, size_t size)
{
	uint32_t attributes;

	if (!dos_attr_decode(value, size, &attributes))
		return 0;
	return attributes & DOS_ATTRIBUTES;
}

static int
stored_attributes(const Comparison *comparison, StoreNode node,
                  uint32_t *ret_attributes)
{
	size_t size;
	int r;

	r = store_xattr_get(comparison->txn, node, DOS_ATTR_XATTR,
	                    comparison->stored, BUFFER_SIZE, &size);
	*ret_attributes = r == 0 ? decode(comparison->stored, size) : 0;
	return r == -ENODATA ? 0 : r;
}

/* As an import would take them. */
static uint32_t
tree_attributes(const Comparison *comparison, const ToolSourceItem *item)
{
	uint8_t derived[DOS_ATTR_SIZE];
	ssize_t size;

	size = fgetxattr(item->fd, DOS_ATTR_XATTR, comparison->read,
	                 BUFFER_SIZE);
	if (size >= 0)
		return decode(comparison->read, (size_t)size);
	if (tool_dos_mode_derive(item->st.st_mode, 0, derived))
		return decode(derived, sizeof(derived));
	return 0;
}

static int
compare_attributes(Comparison *comparison, const ToolSourceItem *item,
                   StoreNode node)
{
	uint32_t read = tree_attributes(comparison, item);
	g_autofree char *in_store = NULL;
	g_autofree char *in_tree = NULL;
	uint32_t stored = 0;
	int r;

	r = stored_attributes(comparison, node, &stored);
	if (r < 0)
		return fail_store(comparison, r, item->path);
	if (stored == read)
		return 0;
	in_store = attributes_text(stored);
	in_tree = attributes_text(read);
	tell(comparison, item->path, "attributes", in_store, in_tree);
	return 0;
}

/* ---- content -------------------------------------------------------------*/

static void
compare_size(const Comparison *comparison, const ToolSourceItem *item,
             uint64_t size)
{
	g_autofree char *in_store = g_strdup_printf("%" G_GUINT64_FORMAT, size);
	g_autofree char *in_tree =
		g_strdup_printf("%" G_GINT64_FORMAT, (gint64)item->st.st_size);

	if (strcmp(in_store, in_tree) != 0)
		tell(comparison, item->path, "size", in_store, in_tree);
}

/* Says which of @size bytes at @at is the first that differs. */
static void
tell_content(const Comparison *comparison, const ToolSourceItem *item,
             uint64_t at, size_t size)
{
	g_autofree char *in_store = NULL;
	g_autofree char *in_tree = NULL;
	size_t i = 0;

	while (i < size - 1 && comparison->stored[i] == comparison->read[i])
		i++;
	in_store =
		g_strdup_printf("%02X at byte %" G_GUINT64_FORMAT,
	                        (unsigned char)comparison->stored[i], at + i);
	in_tree = g_strdup_printf("%02X", (unsigned char)comparison->read[i]);
	tell(comparison, item->path, "content", in_store, in_tree);
}

/* Compares the bytes that both have. */
static int
compare_content(Comparison *comparison, const ToolSourceItem *item,
                StoreNode node)
{
	uint64_t at = 0;
	ssize_t read;
	size_t size;
	int r;

	for (;;) {
		r = store_file_read(comparison->txn, node, at,
		                    comparison->stored, BUFFER_SIZE, &size);
		if (r < 0)
			return fail_store(comparison, r, item->path);
		read = pread(item->fd, comparison->read, size, (off_t)at);
		if (read < 0)
			return tool_fail(&comparison->error, -errno,
			                 "cannot read %s: %s", item->path,
			                 g_strerror(errno));
		if (read == 0)
			return 0;
		if (memcmp(comparison->stored, comparison->read,
		           (size_t)read) != 0) {
			tell_content(comparison, item, at, (size_t)read);
			return 0;
		}
		at += (uint64_t)read;
	}
}

/* ---- the walk ------------------------------------------------------------*/

static Level *
last_level(const Comparison *comparison)
{
	return &g_array_index(comparison->levels, Level,
	                      comparison->levels->len - 1);
}

static void
push(Comparison *comparison, StoreNode node)
{
	Level level = { node, g_hash_table_new_full(g_int64_hash, g_int64_equal,
		                                    g_free, NULL) };

	g_array_append_val(comparison->levels, level);
}

/* Finds what the store has in the place of @item; 0 if nothing that could be
 * compared, which is told once, of the topmost. */
static int
find(Comparison *comparison, const ToolSourceItem *item, StoreNode *ret_node)
{
	Level *level = last_level(comparison);
	uint32_t type = item->st.st_mode & S_IFMT;
	StoreEntry entry;
	int r;

	*ret_node = 0;
	if (level->node == 0)
		return 0;
	r = store_name_find(comparison->txn, level->node, item->name, &entry);
	if (r == -ENOENT) {
		tell(comparison, item->path, "name", "", type_text(type));
		return 0;
	}
	if (r < 0)
		return fail_store(comparison, r, item->path);
	g_hash_table_add(level->seen,
	                 g_memdup2(&entry.node, sizeof(entry.node)));
	if ((entry.mode & S_IFMT) != type)
		tell(comparison, item->path, "type", type_text(entry.mode),
		     type_text(type));
	else
		*ret_node = entry.node;
	return 0;
}

static int
enter(void *user_data, const ToolSourceItem *dir)
{
	Comparison *comparison = user_data;
	StoreNode node = comparison->top;
	int r = 0;

	if (dir->depth > 0)
		r = find(comparison, dir, &node);
	if (r == 0 && node != 0)
		r = compare_attributes(comparison, dir, node);
	if (r == 0)
		push(comparison, node);
	return r;
}

static int
file(void *user_data, const ToolSourceItem *item)
{
	Comparison *comparison = user_data;
	StoreNode node = 0;
	StoreAttr attr;
	int r;

	r = find(comparison, item, &node);
	if (r < 0 || node == 0)
		return r;
	r = store_attr_get(comparison->txn, node, &attr);
	if (r < 0)
		return fail_store(comparison, r, item->path);
	compare_size(comparison, item, attr.size);
	r = compare_content(comparison, item, node);
	if (r < 0)
		return r;
	compare_times(comparison, item, &attr);
	tool_progress_show(comparison->progress, ++comparison->files,
	                   comparison->total);
	return compare_attributes(comparison, item, node);
}

/* Tells of what only the store has in the directory that is left. */
static int
leave(void *user_data, const ToolSourceItem *dir)
{
	Comparison *comparison = user_data;
	const Level *level = last_level(comparison);
	g_autoptr(GPtrArray) entries = NULL;
	guint i;
	int r = 0;

	if (level->node != 0)
		r = tool_listing_read(comparison->txn, level->node, &entries);
	if (r < 0)
		return fail_store(comparison, r, dir->path);
	for (i = 0; entries != NULL && i < entries->len; i++) {
		const StoreEntry *entry = entries->pdata[i];
		g_autofree char *path =
			dir->depth == 0 ? g_strdup(entry->name)
					: g_build_filename(dir->path,
		                                           entry->name, NULL);

		if (!g_hash_table_contains(level->seen, &entry->node))
			tell(comparison, path, "name", type_text(entry->mode),
			     "");
	}
	g_array_set_size(comparison->levels, comparison->levels->len - 1);
	return 0;
}

static void
refuse(void *user_data, const char *path, const char *reason)
{
	const Comparison *comparison = user_data;
	g_autofree char *text = g_strdup_printf("refused: %s", reason);

	tell(comparison, path, "name", "", text);
}

static void
skip(void *user_data, const char *path)
{
}

static const ToolSourceVisitor visitor = {
	.enter = enter,
	.leave = leave,
	.file = file,
	.refuse = refuse,
	.skip = skip,
};

int
tool_comparison_run(Store *store, StoreNode top, const char *dir,
                    ToolDifferenceFound *found, void *user_data,
                    ToolProgress *progress, guint64 *ret_files, GError **error)
{
	g_auto(Comparison) comparison = {
		.txn = store_plain(store),
		.top = top,
		.found = found,
		.user_data = user_data,
		.levels = g_array_new(FALSE, FALSE, sizeof(Level)),
		.stored = g_malloc(BUFFER_SIZE),
		.read = g_malloc(BUFFER_SIZE),
		.progress = progress,
	};
	LayoutDir role;
	StoreStat stat;
	int r;

	g_array_set_clear_func(comparison.levels, level_clear);
	r = store_stat(store, &stat);
	if (r == 0)
		r = store_dir_role(comparison.txn, top, &role);
	if (r < 0)
		return tool_fail(error, r, "cannot read the store: %s",
		                 g_strerror(-r));
	comparison.total = stat.files;
	r = tool_source_walk(dir, role, &visitor, &comparison, error);
	if (comparison.error != NULL)
		g_propagate_error(error, g_steal_pointer(&comparison.error));
	else if (r == -EINTR)
		return tool_fail(error, r, "interrupted");
	if (r == 0)
		*ret_files = comparison.files;
	return r;
}
