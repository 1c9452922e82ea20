/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "store/store.h"
#include "tools/access.h"
#include "tools/dos_mode.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/listing.h"
#include "tools/outlet.h"
#include "tools/progress.h"
#include "tools/target.h"
#include "tools/tool.h"

/* Bytes copied at a time. */
#define BUFFER_SIZE ((size_t)1 << 20)

/* A small file takes about as long as so many bytes of a big one. */
#define NODE_WORK 16384

typedef struct Export {
	const char *path;       /* of the store; borrowed */
	const char *target;     /* borrowed; "-" is the standard output */
	char *folder;           /* the part to export, or NULL; owned */
	StoreTxn *txn;          /* plain; borrowed from the store */
	ToolOutlet *outlet;     /* owned */
	ToolProgress *progress; /* owned */
	GString *item;          /* owned: where the walk is */
	char *buffer;           /* owned: BUFFER_SIZE bytes */
	guint64 files;
	guint64 directories; /* below the top */
	guint64 bytes;
	guint64 work; /* in all; 0 if not known */
	guint64 lost; /* files and directories that cannot be read */
	gboolean is_salvage;
	gint64 start_us;
} Export;

static void
export_clear(Export *export)
{
	g_free(export->folder);
	g_free(export->buffer);
	g_string_free(export->item, TRUE);
	g_clear_pointer(&export->outlet, tool_outlet_free);
	g_clear_pointer(&export->progress, tool_progress_free);
}

static void
xattr_clear(ToolXattr *xattr)
{
	g_free(xattr->name);
	g_bytes_unref(xattr->value);
}

static void
clear_xattr(void *xattr)
{
	xattr_clear(xattr);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Export, export_clear)

static bool
is_tar(const Export *export)
{
	return strcmp(export->target, "-") == 0;
}

static int
fail_read(const Export *export, int r, GError **error)
{
	return tool_fail(error, r, "cannot read %s of the store: %s",
	                 export->item->str, g_strerror(-r));
}

/* Reads attribute @name of @node into @xattrs, unless import derived it. */
static int
read_xattr(const Export *export, const StoreAttr *attr, const char *name,
           GArray *xattrs)
{
	ToolXattr xattr;
	size_t size;
	int r;

	r = store_xattr_get(export->txn, attr->node, name, export->buffer,
	                    BUFFER_SIZE, &size);
	if (r < 0)
		return r;
	if (strcmp(name, DOS_ATTR_XATTR) == 0 &&
	    tool_dos_mode_is_derived(attr->mode, attr->mtime_ns, export->buffer,
	                             size))
		return 0;

	xattr.name = g_strdup(name);
	xattr.value = g_bytes_new(export->buffer, size);
	g_array_append_val(xattrs, xattr);
	return 0;
}

static int
read_xattrs(const Export *export, const StoreAttr *attr, GArray *xattrs)
{
	g_autofree char *names = NULL;
	const char *name;
	size_t size;
	int r;

	r = store_xattr_list(export->txn, attr->node, NULL, 0, &size);
	if (r < 0 || size == 0)
		return r;
	names = g_malloc(size);
	r = store_xattr_list(export->txn, attr->node, names, size, &size);

	for (name = names; r == 0 && name < names + size;
	     name += strlen(name) + 1)
		r = read_xattr(export, attr, name, xattrs);
	return r;
}

/* Finds the next data of file @attr behind *@range. Errors: -ENXIO. */
static int
next_range(const Export *export, const StoreAttr *attr, ToolRange *range)
{
	int r;

	r = store_file_seek(export->txn, attr->node, range->to, STORE_SEEK_DATA,
	                    &range->from);
	return r < 0 ? r
	             : store_file_seek(export->txn, attr->node, range->from,
	                               STORE_SEEK_HOLE, &range->to);
}

/* Lists in @ranges where file @attr has data. One that is all hole counts as
 * having its last byte: GNU tar reads no map without data. */
static int
read_ranges(const Export *export, const StoreAttr *attr, GArray *ranges)
{
	ToolRange range = { 0 };
	int r = 0;

	while (r == 0 && range.to < attr->size) {
		r = next_range(export, attr, &range);
		if (r == 0)
			g_array_append_val(ranges, range);
	}
	if (r == -ENXIO && ranges->len == 0) {
		range = (ToolRange){ attr->size - 1, attr->size };
		g_array_append_val(ranges, range);
	}
	return r == -ENXIO ? 0 : r;
}

static int
copy_range(Export *export, const StoreAttr *attr, const ToolRange *range,
           GError **error)
{
	uint64_t at = range->from;
	size_t size;
	int r;

	while (at < range->to) {
		r = store_file_read(export->txn, attr->node, at, export->buffer,
		                    MIN(BUFFER_SIZE, range->to - at), &size);
		if (r == 0 && size == 0)
			r = -EIO; /* the size is in the same snapshot */
		if (r < 0)
			return fail_read(export, r, error);
		r = tool_outlet_write(export->outlet, at, export->buffer, size,
		                      error);
		if (r < 0)
			return r;
		at += size;
	}
	return 0;
}

static void
count(Export *export, const StoreAttr *attr)
{
	if (S_ISREG(attr->mode))
		export->files++;
	else if (export->item->len > 0)
		export->directories++;
	export->bytes += S_ISREG(attr->mode) ? attr->size : 0;
	if (export->work > 0)
		tool_progress_show(
			export->progress,
			export->bytes + (export->files + export->directories) *
						NODE_WORK,
			export->work);
}

/* Whether all that there is of a file can be read. */
static bool
is_readable(const Export *export, const StoreAttr *attr, const GArray *ranges)
{
	size_t size = 1;
	uint64_t at;
	guint i;

	for (i = 0; i < ranges->len; i++) {
		const ToolRange *range = &g_array_index(ranges, ToolRange, i);

		for (at = range->from; at < range->to; at += size)
			if (store_file_read(export->txn, attr->node, at,
			                    export->buffer,
			                    MIN(BUFFER_SIZE, range->to - at),
			                    &size) < 0 ||
			    size == 0)
				return false;
	}
	return true;
}

/* What cannot be read is left out where as much as possible is wanted; else it
 * is the end. */
static int
lose(Export *export, int r, GError **error)
{
	if (!export->is_salvage || r == -EINTR)
		return fail_read(export, r, error);
	export->lost++;
	tool_warn("%s: cannot be read: %s", export->item->str, g_strerror(-r));
	return 0;
}

/* Writes the node @attr, at which the walk is, but nothing below it. */
static int
copy_node(Export *export, const StoreAttr *attr, GError **error)
{
	g_autoptr(GArray) xattrs = g_array_new(FALSE, FALSE, sizeof(ToolXattr));
	g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(ToolRange));
	const ToolOutletItem item = {
		.path = export->item->len > 0 ? export->item->str : ".",
		.attr = attr,
		.xattrs = xattrs,
		.ranges = ranges,
	};
	guint i;
	int r;

	g_array_set_clear_func(xattrs, clear_xattr);
	r = read_xattrs(export, attr, xattrs);
	if (r == 0 && S_ISREG(attr->mode))
		r = read_ranges(export, attr, ranges);
	if (r == 0 && export->is_salvage && !is_readable(export, attr, ranges))
		r = -EIO;
	if (r < 0)
		return lose(export, r, error);

	r = tool_outlet_add(export->outlet, &item, error);
	for (i = 0; r == 0 && i < ranges->len; i++)
		r = copy_range(export, attr,
		               &g_array_index(ranges, ToolRange, i), error);
	if (r == 0)
		r = tool_outlet_end(export->outlet, error);
	if (r == 0)
		count(export, attr);
	return r;
}

static int copy_tree(Export *export, StoreNode node, GError **error);

static int
copy_content(Export *export, StoreNode dir, GError **error)
{
	g_autoptr(GPtrArray) entries = NULL;
	gsize length = export->item->len;
	guint i;
	int r;

	r = tool_listing_read(export->txn, dir, &entries);
	if (r < 0)
		return lose(export, r, error);

	for (i = 0; i < entries->len && r == 0; i++) {
		const StoreEntry *entry = entries->pdata[i];

		if (tool_interrupt_is_asked())
			return tool_fail(error, -EINTR, "interrupted");
		g_string_append_printf(export->item, "%s%s",
		                       length > 0 ? "/" : "", entry->name);
		r = copy_tree(export, entry->node, error);
		if (r == 0)
			g_string_truncate(export->item, length);
	}
	return r;
}

/* Writes @node, at which the walk is, and what is below it. The top itself
 * comes last: it is there already, and its content changes its times. */
static int
copy_tree(Export *export, StoreNode node, GError **error)
{
	bool is_top = export->item->len == 0;
	StoreAttr attr;
	int r;

	r = store_attr_get(export->txn, node, &attr);
	if (r < 0)
		return lose(export, r, error);

	if (!is_top)
		r = copy_node(export, &attr, error);
	if (r == 0 && S_ISDIR(attr.mode))
		r = copy_content(export, node, error);
	if (r == 0 && is_top)
		r = copy_node(export, &attr, error);
	return r;
}

static int
open_target(Export *export, GError **error)
{
	if (!is_tar(export))
		return tool_outlet_open_dir(export->target, &export->outlet,
		                            error);
	if (isatty(STDOUT_FILENO))
		return tool_misuse(error, "a tar stream is not written to a "
		                          "terminal");
	return tool_outlet_open_tar(STDOUT_FILENO, &export->outlet, error);
}

/* Copies what is below @top, or says what is wrong with the copy. */
static int
fill_target(Export *export, StoreNode top, char **ret_warning, GError **error)
{
	g_autoptr(GError) problem = NULL;
	int r;

	r = copy_tree(export, top, &problem);
	if (r == 0)
		r = tool_outlet_close(&export->outlet, ret_warning, &problem);
	if (r < 0)
		return tool_fail(error, r, "%s is incomplete: %s",
		                 is_tar(export) ? "the tar stream"
		                                : export->target,
		                 problem->message);
	return 0;
}

static int
export_store(Export *export, Store *store, bool is_quiet, GError **error)
{
	g_autofree char *warning = NULL;
	StoreNode top = STORE_ROOT;
	StoreStat st;
	int r = 0;

	export->txn = store_plain(store);
	if (export->folder != NULL)
		r = tool_listing_find(export->txn, export->path, export->folder,
		                      &top, error);
	if (r < 0)
		return r;
	r = open_target(export, error);
	if (r < 0)
		return r;

	export->progress = tool_progress_new("exporting", is_quiet);
	if (export->folder == NULL && isatty(STDERR_FILENO) &&
	    store_stat(store, &st) == 0)
		export->work =
			st.bytes + (st.files + st.directories) * NODE_WORK;
	r = fill_target(export, top, &warning, error);
	g_clear_pointer(&export->progress, tool_progress_free);
	if (warning != NULL)
		tool_warn("%s", warning);
	return r;
}

static void
hear_nothing(void *user_data, const char *sentence)
{
	(void)user_data;
	(void)sentence;
}

/* What has no name any more is in no directory: only a check finds it. */
static int
fail_if_lost(const Export *export, Store *store, GError **error)
{
	g_autofree char *lost = tool_count(export->lost, "file or directory",
	                                   "files and directories");
	uint64_t findings = 0;
	int r = 0;

	if (export->is_salvage)
		r = store_check(store, hear_nothing, NULL, NULL, &findings);
	if (r == 0 && export->lost == 0 && findings == 0)
		return 0;
	return tool_fail(error, -EUCLEAN,
	                 "%s is what is left of a damaged store: %s could not "
	                 "be read; \"poctl check %s\" says what is lost",
	                 is_tar(export) ? "the tar stream" : export->target,
	                 lost, export->path);
}

static void
print_summary(const Export *export, const ToolOptions *options)
{
	double seconds = (double)(g_get_monotonic_time() - export->start_us) /
	                 G_USEC_PER_SEC;
	g_autofree char *files = tool_count(export->files, "file", "files");
	g_autofree char *directories =
		tool_count(export->directories, "directory", "directories");
	g_autofree char *bytes = tool_count(export->bytes, "byte", "bytes");
	g_autoptr(ToolJson) json = NULL;

	if (!options->json) {
		(void)fprintf(is_tar(export) ? stderr : stdout,
		              "Exported %s and %s with %s in %.1f s.\n", files,
		              directories, bytes, seconds);
		return;
	}
	json = tool_json_new();
	tool_json_string(json, "store", export->path);
	tool_json_number(json, "files", export->files);
	tool_json_number(json, "directories", export->directories);
	tool_json_number(json, "bytes", export->bytes);
	tool_json_real(json, "seconds", seconds);
	tool_json_print(&json);
}

/* A damaged page could hide a directory, and nobody would know. */
static int
open_source(const Export *export, Store **ret_store, GError **error)
{
	g_autoptr(Store) store = NULL;
	int r;

	r = tool_access_open(export->path,
	                     export->is_salvage ? STORE_SALVAGE : STORE_READ,
	                     &store, error);
	if (r < 0)
		return r;
	r = export->is_salvage ? 0 : store_verify(store);
	if (r < 0)
		return tool_fail(error, r,
		                 "%s: the database is damaged: see poctl "
		                 "check, and export --salvage",
		                 export->path);
	*ret_store = g_steal_pointer(&store);
	return 0;
}

static ToolExit
run(Export *export, const ToolOptions *options, GError **error)
{
	g_autoptr(Store) store = NULL;

	export->path = options->arguments[0];
	export->target = options->arguments[1];
	export->start_us = g_get_monotonic_time();
	if (options->json && is_tar(export)) {
		(void)tool_misuse(error, "--json and the tar stream cannot "
		                         "both be on the standard output");
		return TOOL_USAGE;
	}
	if (!is_tar(export) &&
	    tool_target_check(export->path, export->target, error) < 0)
		return TOOL_USAGE;
	tool_interrupt_begin();
	if (open_source(export, &store, error) < 0 ||
	    export_store(export, store, options->quiet, error) < 0)
		return TOOL_FAILED;
	if (options->json || !options->quiet)
		print_summary(export, options);
	return fail_if_lost(export, store, error) < 0 ? TOOL_FAILED : TOOL_OK;
}

ToolExit
tool_export(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(Export) export = { .item = g_string_new(NULL),
		                  .buffer = g_malloc(BUFFER_SIZE) };
	const GOptionEntry entries[] = {
		{ "postoffice", 0, 0, G_OPTION_ARG_FILENAME, &export.folder,
		  "Export what is in folder NAME only", "NAME" },
		{ "salvage", 0, 0, G_OPTION_ARG_NONE, &export.is_salvage,
		  "Export what can be read of a damaged store", NULL },
		{ NULL },
	};

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;
	return run(&export, &options, error);
}
