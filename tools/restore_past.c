/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/restore_past.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/journal.h"
#include "tools/apply.h"
#include "tools/moment.h"

#define NS_PER_S 1000000000

typedef struct Looking {
	int64_t at_ns;
	const char *path; /* of the command line */
	size_t files;     /* that were there then */

	/* While it looks. */
	StoreTxn *past; /* borrowed */
	StoreTxn *now;  /* borrowed */
	StoreEdits *edits;
} Looking;

static char *
time_text(int64_t ns)
{
	g_autoptr(GDateTime) time =
		g_date_time_new_from_unix_local(ns / NS_PER_S);

	return time != NULL ? g_date_time_format(time, "%F %T") : g_strdup("?");
}

/* ---- files ---------------------------------------------------------------- */

static int
read_all(StoreTxn *txn, StoreNode node, GBytes **ret_bytes)
{
	g_autofree char *bytes = NULL;
	StoreAttr attr;
	size_t size;
	int r;

	r = store_attr_get(txn, node, &attr);
	if (r == 0 && attr.size > STORE_EDITS_BYTES_MAX)
		r = -EFBIG;
	if (r < 0)
		return r;
	bytes = g_malloc(attr.size + 1);
	r = store_file_read(txn, node, 0, bytes, attr.size, &size);
	if (r == 0)
		*ret_bytes = g_bytes_new_take(g_steal_pointer(&bytes), size);
	return r;
}

/* Finds @path, from the top. */
static int
find(StoreTxn *txn, const char *path, StoreEntry *ret_entry)
{
	g_auto(GStrv) words = g_strsplit(path, "/", -1);
	StoreEntry entry = { .node = STORE_ROOT, .mode = S_IFDIR };
	int r = 0;

	for (guint i = 0; r == 0 && words[i] != NULL; i++)
		if (words[i][0] != '\0')
			r = store_name_find(txn, entry.node, words[i], &entry);
	if (r == 0)
		*ret_entry = entry;
	return r;
}

/* Whether @path is now what it was. */
static bool
is_same(const Looking *looking, const char *path, GBytes *was)
{
	g_autoptr(GBytes) is = NULL;
	StoreEntry entry;

	return find(looking->now, path, &entry) == 0 && S_ISREG(entry.mode) &&
	       read_all(looking->now, entry.node, &is) == 0 &&
	       g_bytes_equal(is, was);
}

static int
file_fail(const char *path, int r, GError **error)
{
	switch (r) {
	case -ENODATA:
		return tool_fail(error, r,
		                 "%s was changed without a transaction since "
		                 "then: what it was is not known",
		                 path);
	case -EIO:
		return tool_fail(error, r,
		                 "%s was damaged then: what it was cannot be "
		                 "read",
		                 path);
	case -ENOENT:
		return tool_fail(error, r, "%s: its directory is gone", path);
	default:
		return tool_fail(error, r, "%s: %s", path, g_strerror(-r));
	}
}

static int
add_file(Looking *looking, StoreNode node, const char *path, GError **error)
{
	g_autoptr(GBytes) was = NULL;
	int r;

	looking->files++;
	r = read_all(looking->past, node, &was);
	if (r == 0 && !is_same(looking, path, was))
		r = store_edits_add(looking->edits, looking->now,
		                    STORE_EDIT_WRITE, path, 0, was);
	return r < 0 ? file_fail(path, r, error) : 0;
}

static bool
keep_entry(void *user_data, const StoreEntry *entry)
{
	g_array_append_vals(user_data, entry, 1);
	return true;
}

static int
add_entry(Looking *looking, const StoreEntry *entry, const char *path,
          GError **error)
{
	g_autoptr(GArray) entries =
		g_array_new(FALSE, FALSE, sizeof(StoreEntry));
	int r;

	if (S_ISREG(entry->mode))
		return add_file(looking, entry->node, path, error);
	r = store_name_list(looking->past, entry->node, keep_entry, entries);
	if (r < 0)
		return file_fail(path, r, error);
	for (guint i = 0; r == 0 && i < entries->len; i++) {
		const StoreEntry *below =
			&g_array_index(entries, StoreEntry, i);
		g_autofree char *name =
			g_strconcat(path, "/", below->name, NULL);

		r = add_entry(looking, below, name, error);
	}
	return r;
}

/* ---- planning ------------------------------------------------------------- */

static int
past_fail(const Looking *looking, Store *store, int r, GError **error)
{
	g_autofree char *text = NULL;
	int64_t reach_ns;

	if (r != -ENODATA || store_past_reach(store, &reach_ns) < 0)
		return tool_fail(error, r, "cannot read the journal: %s",
		                 g_strerror(-r));
	/* The first full second that it reaches. */
	text = time_text(reach_ns + NS_PER_S - 1);
	return tool_fail(error, r, "the past is kept from %s on", text);
}

/* The path without what does not matter, beginning with a slash. */
static char *
plain_path(const char *path)
{
	g_auto(GStrv) words = g_strsplit(path, "/", -1);
	GString *text = g_string_new(NULL);

	for (guint i = 0; words[i] != NULL; i++)
		if (words[i][0] != '\0')
			g_string_append_printf(text, "/%s", words[i]);
	return g_string_free(text, FALSE);
}

static int
plan_past(void *user_data, const ToolOffices *offices, StoreEdits *edits,
          GError **error)
{
	Looking *looking = user_data;
	g_autofree char *path = plain_path(looking->path);
	g_autofree char *time = time_text(looking->at_ns);
	g_autoptr(StoreTxn) past = NULL;
	StoreEntry entry;
	int r;

	r = store_past_open(offices->store, looking->at_ns, &past);
	if (r < 0)
		return past_fail(looking, offices->store, r, error);
	looking->past = past;
	looking->now = store_plain(offices->store);
	looking->edits = edits;
	looking->files = 0;
	r = find(past, path, &entry);
	if (r < 0)
		return tool_fail(error, r, "there was no %s at %s",
		                 looking->path, time);
	return add_entry(looking, &entry, path, error);
}

ToolExit
tool_restore_past(const ToolOptions *options, const char *when, GError **error)
{
	g_autofree char *what = g_strdup_printf("restore --at %s %s", when,
	                                        options->arguments[1]);
	g_auto(ToolApply) apply = { .store = options->arguments[0],
		                    .what = what,
		                    .is_listed = true };
	Looking looking = { .path = options->arguments[1] };
	g_autofree char *files = NULL;
	size_t count = 0;

	if (tool_moment_read(when, &looking.at_ns, error) < 0)
		return TOOL_USAGE;
	if (tool_apply(&apply, plan_past, &looking, &count, error) < 0)
		return TOOL_FAILED;
	files = tool_count(looking.files, "file", "files");
	tool_apply_print(&apply, options, "Restored %" G_GSIZE_FORMAT " of %s.",
	                 count, files);
	return TOOL_OK;
}
