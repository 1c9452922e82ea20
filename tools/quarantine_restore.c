/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "store/store.h"
#include "tools/access.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/outlet.h"
#include "tools/target.h"
#include "tools/tool.h"
#include "tools/undone.h"

/* Bytes copied at a time. */
#define BUFFER_SIZE ((size_t)1 << 20)

typedef struct Restore {
	Store *store; /* owned */
	uint64_t id;
	ToolOutlet *outlet; /* owned */
	char *buffer;       /* owned: BUFFER_SIZE bytes */
	int64_t undone_ns;
	guint64 files;
	guint64 bytes;
} Restore;

static void
restore_clear(Restore *restore)
{
	(void)store_close(restore->store);
	g_clear_pointer(&restore->outlet, tool_outlet_free);
	g_free(restore->buffer);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Restore, restore_clear)

/* The path of @file below the root; "" for the root itself. Where a directory
 * is gone, its name is all that is known. */
static const char *
path_below(const StoreUndoneFile *file)
{
	return file->path + strspn(file->path, "/");
}

static int
copy_bytes(Restore *restore, const StoreUndoneFile *file, GError **error)
{
	uint64_t at = 0;
	size_t size;
	int r = 0;

	while (r == 0 && at < file->size) {
		r = store_quarantine_read(restore->store, restore->id,
		                          file->node, at, restore->buffer,
		                          BUFFER_SIZE, &size);
		if (r == 0 && size == 0)
			r = -EIO; /* the size is in the same snapshot */
		if (r < 0)
			return tool_fail(error, r, "cannot read %s: %s",
			                 file->path, g_strerror(-r));
		r = tool_outlet_write(restore->outlet, at, restore->buffer,
		                      size, error);
		at += size;
	}
	restore->bytes += at;
	return r;
}

/* What it writes is mail: for whoever restores it, and nobody else. */
static int
restore_file(Restore *restore, const StoreUndoneFile *file, GError **error)
{
	g_autoptr(GArray) xattrs = g_array_new(FALSE, FALSE, sizeof(ToolXattr));
	g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(ToolRange));
	const ToolRange all = { 0, file->size };
	const StoreAttr attr = {
		.mode = S_ISDIR(file->mode) ? S_IFDIR | 0700 : S_IFREG | 0600,
		.uid = geteuid(),
		.gid = getegid(),
		.size = file->size,
		.atime_ns = restore->undone_ns,
		.mtime_ns = restore->undone_ns,
	};
	const ToolOutletItem item = {
		.path = path_below(file),
		.attr = &attr,
		.xattrs = xattrs,
		.ranges = ranges,
	};
	int r;

	g_array_append_val(ranges, all);
	r = tool_outlet_add(restore->outlet, &item, error);
	if (r == 0 && S_ISREG(attr.mode))
		r = copy_bytes(restore, file, error);
	if (r == 0)
		r = tool_outlet_end(restore->outlet, error);
	if (r == 0 && S_ISREG(attr.mode))
		restore->files++;
	return r;
}

/* What was removed has no content that the transaction had staged. */
static int
restore_files(Restore *restore, const GPtrArray *files, GError **error)
{
	g_autofree char *warning = NULL;
	guint i;
	int r = 0;

	for (i = 0; r == 0 && i < files->len; i++) {
		const StoreUndoneFile *file = files->pdata[i];

		if (tool_interrupt_is_asked())
			return tool_fail(error, -EINTR, "interrupted");
		if (file->what != STORE_UNDONE_REMOVED &&
		    path_below(file)[0] != '\0')
			r = restore_file(restore, file, error);
	}
	if (r == 0)
		r = tool_outlet_close(&restore->outlet, &warning, error);
	if (warning != NULL)
		tool_warn("%s", warning);
	return r;
}

static bool
keep_time(void *user_data, const StoreUndone *undone)
{
	Restore *restore = user_data;

	if (undone->id != restore->id)
		return true;
	restore->undone_ns = undone->undone_ns;
	return false;
}

static int
restore_entry(Restore *restore, const char *dir, GError **error)
{
	g_autoptr(GPtrArray) files = NULL;
	g_autoptr(GError) problem = NULL;
	int r;

	r = tool_undone_files(restore->store, restore->id, &files, error);
	if (r < 0)
		return r;
	r = store_quarantine_list(restore->store, keep_time, restore);
	if (r < 0)
		return tool_undone_fail(restore->id, r, error);
	r = tool_outlet_open_dir(dir, &restore->outlet, error);
	if (r < 0)
		return r;
	r = restore_files(restore, files, &problem);
	if (r < 0)
		return tool_fail(error, r, "%s is incomplete: %s", dir,
		                 problem->message);
	return 0;
}

static void
print_summary(const Restore *restore, const ToolOptions *options)
{
	g_autofree char *files = tool_count(restore->files, "file", "files");
	g_autofree char *bytes = tool_count(restore->bytes, "byte", "bytes");
	g_autoptr(ToolJson) json = NULL;

	if (options->json) {
		json = tool_json_new();
		tool_json_number(json, "files", restore->files);
		tool_json_number(json, "bytes", restore->bytes);
		tool_json_print(&json);
	} else if (!options->quiet) {
		tool_say("Restored %s with %s to %s.", files, bytes,
		         options->arguments[2]);
	}
}

ToolExit
tool_quarantine_restore(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(Restore) restore = { .buffer = g_malloc(BUFFER_SIZE) };
	const GOptionEntry entries[] = { { NULL } };

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if (tool_undone_id(options.arguments[1], &restore.id, error) < 0 ||
	    tool_target_check(options.arguments[0], options.arguments[2],
	                      error) < 0)
		return TOOL_USAGE;
	tool_interrupt_begin();
	(void)umask(077);
	if (tool_access_open(options.arguments[0], STORE_READ, &restore.store,
	                     error) < 0 ||
	    restore_entry(&restore, options.arguments[2], error) < 0)
		return TOOL_FAILED;
	print_summary(&restore, &options);
	return TOOL_OK;
}
