/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/intake.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tools/dos_mode.h"
#include "tools/tool.h"

/* Bytes copied at a time. */
#define BUFFER_SIZE ((size_t)1 << 20)

struct ToolIntake {
	StoreTxn *txn;              /* plain; borrowed from the store */
	StoreNode top;              /* where the source's top goes */
	const ToolOwner *owner;     /* borrowed; NULL keeps the source's */
	GArray *parents;            /* StoreNode: where the walk is */
	GByteArray *xattrs;         /* scratch: names */
	char *buffer;               /* scratch: BUFFER_SIZE bytes */
	const ToolReport *expected; /* borrowed */
	ToolReport *found;          /* owned */
	ToolProgress *progress;     /* borrowed */
	GError *error;              /* owned: why the walk was ended */
};

static int
fail(ToolIntake *intake, int r, const ToolSourceItem *item, const char *reason)
{
	g_assert(intake->error == NULL);
	return tool_fail(&intake->error, r, "cannot import %s: %s", item->path,
	                 reason);
}

static int
fail_errno(ToolIntake *intake, int r, const ToolSourceItem *item)
{
	return fail(intake, r, item, g_strerror(-r));
}

static int
fail_changed(ToolIntake *intake, const ToolSourceItem *item)
{
	return fail(intake, -EAGAIN, item, "it changed while it was read");
}

static int64_t
to_ns(struct timespec time)
{
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static StoreAttr
attributes(const ToolIntake *intake, const struct stat *st)
{
	const ToolOwner *owner = intake->owner;

	return (StoreAttr){
		.mode = st->st_mode & (S_IFMT | 07777),
		.uid = owner != NULL ? owner->uid : st->st_uid,
		.gid = owner != NULL ? owner->gid : st->st_gid,
		.atime_ns = to_ns(st->st_atim),
		.mtime_ns = to_ns(st->st_mtim),

		/* No copy tool keeps them, but it was not born later; and an
		 * import changes nothing. */
		.ctime_ns = to_ns(st->st_mtim),
		.btime_ns = to_ns(st->st_mtim),
	};
}

/* Copies attribute @name, if one may, of @item to @node. */
static int
copy_xattr(ToolIntake *intake, const ToolSourceItem *item, StoreNode node,
           const char *name)
{
	ssize_t size;
	int r;

	if (!tool_source_has_xattr(name))
		return 0;

	size = fgetxattr(item->fd, name, intake->buffer, BUFFER_SIZE);
	if (size < 0)
		return fail_errno(intake, -errno, item);
	r = store_xattr_set(intake->txn, node, name, intake->buffer,
	                    (size_t)size, 0);
	return r < 0 ? fail_errno(intake, r, item) : 0;
}

static int
copy_xattrs(ToolIntake *intake, const ToolSourceItem *item, StoreNode node)
{
	uint8_t value[DOS_ATTR_SIZE];
	bool has_dos = false;
	guint i;
	int r;

	r = tool_source_xattrs(item->fd, intake->xattrs);
	if (r < 0)
		return fail_errno(intake, r, item);

	for (i = 0; i < intake->xattrs->len;) {
		const char *name = (const char *)intake->xattrs->data + i;

		r = copy_xattr(intake, item, node, name);
		if (r < 0)
			return r;
		has_dos = has_dos || strcmp(name, DOS_ATTR_XATTR) == 0;
		i += (guint)strlen(name) + 1;
	}
	if (has_dos || !tool_dos_mode_derive(item->st.st_mode,
	                                     to_ns(item->st.st_mtim), value))
		return 0;
	r = store_xattr_set(intake->txn, node, DOS_ATTR_XATTR, value,
	                    sizeof(value), 0);
	return r < 0 ? fail_errno(intake, r, item) : 0;
}

/* Copies the bytes from @from up to @to. */
static int
copy_range(ToolIntake *intake, const ToolSourceItem *item, StoreNode node,
           off_t from, off_t to)
{
	off_t at = from;
	ssize_t size;
	int r;

	while (at < to) {
		size = pread(item->fd, intake->buffer,
		             MIN(BUFFER_SIZE, (size_t)(to - at)), at);
		if (size < 0)
			return fail_errno(intake, -errno, item);
		if (size == 0)
			return fail_changed(intake, item);
		r = store_file_write(intake->txn, node, (uint64_t)at,
		                     intake->buffer, (size_t)size);
		if (r < 0)
			return fail_errno(intake, r, item);
		at += size;
	}
	return 0;
}

/* Finds the next data of @item from @at on: *@ret_from up to *@ret_to, which
 * both are its size if there is none. */
static void
find_data(const ToolSourceItem *item, off_t at, off_t *ret_from, off_t *ret_to)
{
	off_t size = item->st.st_size;
	off_t from = at;
	off_t to = size;

	/* Where the file system knows of no holes, all is data. */
	if ((off_t)item->st.st_blocks * 512 < size) {
		from = lseek(item->fd, at, SEEK_DATA);
		if (from < 0)
			from = errno == ENXIO ? size : at;
		to = from < size ? lseek(item->fd, from, SEEK_HOLE) : size;
	}
	*ret_from = MIN(from, size);
	*ret_to = to > from ? MIN(to, size) : size;
}

static int
copy_content(ToolIntake *intake, const ToolSourceItem *item, StoreNode node)
{
	off_t size = item->st.st_size;
	off_t at = 0;
	off_t end = 0; /* of the last data */
	int r;

	while (at < size) {
		off_t from;

		find_data(item, at, &from, &at);
		r = copy_range(intake, item, node, from, at);
		if (r < 0)
			return r;
		end = from < at ? at : end;
	}
	if (end == size)
		return 0;

	/* It ends with a hole. */
	r = store_file_truncate(intake->txn, node, (uint64_t)size);
	return r < 0 ? fail_errno(intake, r, item) : 0;
}

/* The times last: copying the rest has changed them. */
static int
copy_times(ToolIntake *intake, const ToolSourceItem *item, StoreNode node)
{
	StoreAttr attr = attributes(intake, &item->st);
	int r;

	r = store_attr_set(intake->txn, node, &attr,
	                   STORE_SET_ATIME | STORE_SET_MTIME | STORE_SET_CTIME |
	                           STORE_SET_BTIME,
	                   &attr);
	return r < 0 ? fail_errno(intake, r, item) : 0;
}

/* Adds @item, which is not the top, where the walk is. */
static int
add_item(ToolIntake *intake, const ToolSourceItem *item, StoreNode *ret_node)
{
	StoreAttr attr = attributes(intake, &item->st);
	StoreNode parent = g_array_index(intake->parents, StoreNode,
	                                 intake->parents->len - 1);
	int r;

	r = store_name_add(intake->txn, parent, item->name, &attr, &attr);
	if (r < 0)
		return fail_errno(intake, r, item);
	*ret_node = attr.node;
	return 0;
}

/* Makes the empty directory, which is there already, what the top is. */
static int
enter_top(ToolIntake *intake, const ToolSourceItem *top)
{
	StoreAttr attr = attributes(intake, &top->st);
	int r;

	r = store_attr_set(intake->txn, intake->top, &attr,
	                   STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID,
	                   &attr);
	return r < 0 ? fail_errno(intake, r, top) : 0;
}

static void
show_progress(const ToolIntake *intake)
{
	tool_progress_show(intake->progress, tool_report_work(intake->found),
	                   tool_report_work(intake->expected));
}

static int
enter(void *user_data, const ToolSourceItem *dir)
{
	ToolIntake *intake = user_data;
	StoreNode node = intake->top;
	int r;

	r = dir->depth == 0 ? enter_top(intake, dir)
	                    : add_item(intake, dir, &node);
	if (r == 0)
		r = copy_xattrs(intake, dir, node);
	if (r < 0)
		return r;

	g_array_append_val(intake->parents, node);
	return tool_report_visitor.enter(intake->found, dir);
}

/* A tree that is in use is no tree to import: half a delivery may be in it. */
static int
check_unchanged(ToolIntake *intake, const ToolSourceItem *item)
{
	struct stat st;

	if (fstat(item->fd, &st) < 0 || st.st_size != item->st.st_size ||
	    to_ns(st.st_mtim) != to_ns(item->st.st_mtim))
		return fail_changed(intake, item);
	return 0;
}

static int
leave(void *user_data, const ToolSourceItem *dir)
{
	ToolIntake *intake = user_data;
	guint last = intake->parents->len - 1;
	StoreNode node = g_array_index(intake->parents, StoreNode, last);
	int r;

	g_array_set_size(intake->parents, last);
	if (last == 0 && !tool_report_is_equal(intake->expected, intake->found))
		return fail_changed(intake, dir);
	r = check_unchanged(intake, dir);
	return r < 0 ? r : copy_times(intake, dir, node);
}

static int
file(void *user_data, const ToolSourceItem *item)
{
	ToolIntake *intake = user_data;
	StoreNode node = 0;
	int r;

	r = add_item(intake, item, &node);
	if (r == 0)
		r = copy_xattrs(intake, item, node);
	if (r == 0)
		r = copy_content(intake, item, node);
	if (r == 0)
		r = copy_times(intake, item, node);
	if (r == 0)
		r = check_unchanged(intake, item);
	if (r < 0)
		return r;

	show_progress(intake);
	return tool_report_visitor.file(intake->found, item);
}

static void
refuse(void *user_data, const char *path, const char *reason)
{
	ToolIntake *intake = user_data;

	tool_report_visitor.refuse(intake->found, path, reason);
}

static void
skip(void *user_data, const char *path)
{
	ToolIntake *intake = user_data;

	tool_report_visitor.skip(intake->found, path);
}

const ToolSourceVisitor tool_intake_visitor = {
	.enter = enter,
	.leave = leave,
	.file = file,
	.refuse = refuse,
	.skip = skip,
};

ToolIntake *
tool_intake_new(Store *store, StoreNode top, const ToolReport *expected,
                const ToolOwner *owner, ToolProgress *progress)
{
	ToolIntake *intake = g_new0(ToolIntake, 1);

	intake->txn = store_plain(store);
	intake->top = top;
	intake->owner = owner;
	intake->parents = g_array_new(FALSE, FALSE, sizeof(StoreNode));
	intake->xattrs = g_byte_array_new();
	intake->buffer = g_malloc(BUFFER_SIZE);
	intake->expected = expected;
	intake->found = tool_report_new();
	intake->progress = progress;
	return intake;
}

void
tool_intake_take_error(ToolIntake *intake, GError **error)
{
	if (intake->error != NULL)
		g_propagate_error(error, g_steal_pointer(&intake->error));
}

void
tool_intake_free(ToolIntake *intake)
{
	if (intake == NULL)
		return;
	g_array_free(intake->parents, TRUE);
	g_byte_array_unref(intake->xattrs);
	g_free(intake->buffer);
	tool_report_free(intake->found);
	g_clear_error(&intake->error);
	g_free(intake);
}
