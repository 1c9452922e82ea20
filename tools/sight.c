/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/sight.h"

#include <errno.h>
#include <string.h>

#include "store/format/mbg.h"
#include "tools/office_file.h"
#include "tools/tool.h"

/* A file. */
typedef struct Seen {
	StoreNode node;
	int64_t touched_ns;
	uint64_t size;
	GBytes *bytes; /* owned; NULL: not looked at */
} Seen;

struct ToolSight {
	char *folder;      /* of the postoffice, "" for the root; owned */
	GHashTable *files; /* path -> Seen, owned */
};

static void
seen_free(void *data)
{
	Seen *seen = data;

	g_clear_pointer(&seen->bytes, g_bytes_unref);
	g_free(seen);
}

void
tool_change_free(void *data)
{
	ToolChange *change = data;

	g_free(change->path);
	g_clear_pointer(&change->bytes[0], g_bytes_unref);
	g_clear_pointer(&change->bytes[1], g_bytes_unref);
	g_free(change);
}

const ToolChange *
tool_change_find(const GPtrArray *changes, const char *path)
{
	guint i;

	for (i = 0; i < changes->len; i++) {
		const ToolChange *change = changes->pdata[i];

		if (strcmp(change->path, path) == 0)
			return change;
	}
	return NULL;
}

void
tool_sight_free(ToolSight *sight)
{
	if (sight == NULL)
		return;
	g_hash_table_unref(sight->files);
	g_free(sight->folder);
	g_free(sight);
}

/* ---- looking ------------------------------------------------------------- */

static int
read_bytes(const ToolOffice *office, const ToolFile *file, size_t max,
           Seen *seen)
{
	g_autofree uint8_t *bytes = g_malloc(max);
	size_t got;
	int r;

	r = store_file_read(office->txn, file->node, 0, bytes, max, &got);
	if (r == 0)
		seen->bytes = g_bytes_new(bytes, got);
	return r;
}

/* Looks at @file, unless it is known from @before. */
static int
look_at(const ToolOffice *office, const ToolFile *file, const Seen *before,
        bool is_first, Seen *seen)
{
	bool is_mailbag =
		file->kind == FORMAT_NAME_KEY || file->kind == FORMAT_NAME_MBG;

	*seen = (Seen){ file->node, file->touched_ns, file->size, NULL };
	if (before != NULL && before->node == seen->node &&
	    before->touched_ns == seen->touched_ns &&
	    before->size == seen->size) {
		if (before->bytes != NULL)
			seen->bytes = g_bytes_ref(before->bytes);
		return 0;
	}
	if (file->kind == FORMAT_NAME_ATT || (is_first && !is_mailbag))
		return 0;
	return read_bytes(
		office, file,
		is_mailbag ? FORMAT_MBG_SIZE_MAX : TOOL_SIGHT_BYTES_MAX, seen);
}

static bool
is_looked_at(FormatNameKind kind)
{
	return kind == FORMAT_NAME_KEY || kind == FORMAT_NAME_MBG ||
	       kind == FORMAT_NAME_MAI || kind == FORMAT_NAME_P1 ||
	       kind == FORMAT_NAME_ENVELOPE || kind == FORMAT_NAME_ATT;
}

static int
look_at_all(const ToolOffice *office, const ToolSight *before, ToolSight *sight)
{
	g_autoptr(ToolFiles) files = NULL;
	guint i;
	int r;

	r = tool_file_list(office, &files);
	for (i = 0; r == 0 && i < files->all->len; i++) {
		const ToolFile *file = &g_array_index(files->all, ToolFile, i);
		Seen *seen;

		if (!is_looked_at(file->kind))
			continue;
		seen = g_new0(Seen, 1);
		g_hash_table_insert(sight->files, g_strdup(file->path), seen);
		r = look_at(office, file,
		            before == NULL ? NULL
		                           : g_hash_table_lookup(before->files,
		                                                 file->path),
		            before == NULL, seen);
	}
	return r;
}

/* The only postoffice, or the one in the root. */
static const ToolOffice *
office_of(const ToolOffices *offices)
{
	guint i;

	for (i = 0; i < offices->list->len; i++) {
		const ToolOffice *office = offices->list->pdata[i];

		if (offices->list->len == 1 || office->path[0] == '\0')
			return office;
	}
	return NULL;
}

int
tool_sight_take(const char *dir, const char *office, const ToolSight *before,
                ToolSight **ret_sight, GError **error)
{
	g_autofree char *folder = g_strdup(office);
	ToolOfficeChoice choice = { .folder = folder };
	g_auto(ToolOffices) offices = { 0 };
	g_autoptr(ToolSight) sight = NULL;
	const ToolOffice *of;
	int r;

	r = tool_offices_open(dir, &choice, &offices, error);
	if (r < 0)
		return r;
	of = office_of(&offices);
	if (of == NULL)
		return tool_fail(error, -EINVAL,
		                 "there are %u postoffices: name one with "
		                 "--postoffice",
		                 offices.list->len);
	sight = g_new0(ToolSight, 1);
	sight->folder = g_strdup(of->path);
	sight->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
	                                     seen_free);
	r = look_at_all(of, before, sight);
	if (r < 0)
		return tool_fail(error, r, "cannot read %s: %s", dir,
		                 g_strerror(-r));
	*ret_sight = g_steal_pointer(&sight);
	return 0;
}

/* ---- comparing ----------------------------------------------------------- */

/* Whether both are the same file with the same content, as far as is known. */
static bool
is_equal(const Seen *a, const Seen *b)
{
	if (a == NULL || b == NULL || a->size != b->size)
		return false;
	if (a->bytes != NULL && b->bytes != NULL)
		return g_bytes_equal(a->bytes, b->bytes);
	return a->node == b->node && a->touched_ns == b->touched_ns;
}

static void
add_change(GPtrArray *changes, const char *path, const Seen *before,
           const Seen *after)
{
	const Seen *const seen[2] = { before, after };
	ToolChange *change;
	size_t i;

	if (is_equal(before, after))
		return;
	change = g_new0(ToolChange, 1);
	change->path = g_strdup(path);
	for (i = 0; i < 2; i++) {
		change->sizes[i] = seen[i] != NULL ? (int64_t)seen[i]->size
		                                   : TOOL_SIGHT_NONE;
		if (seen[i] != NULL && seen[i]->bytes != NULL)
			change->bytes[i] = g_bytes_ref(seen[i]->bytes);
	}
	g_ptr_array_add(changes, change);
}

static gint
compare_paths(gconstpointer a, gconstpointer b)
{
	const ToolChange *const *x = a;
	const ToolChange *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

GPtrArray *
tool_sight_compare(const ToolSight *before, const ToolSight *after)
{
	GPtrArray *changes = g_ptr_array_new_with_free_func(tool_change_free);
	GHashTableIter iter;
	gpointer path;
	gpointer seen;

	g_hash_table_iter_init(&iter, after->files);
	while (g_hash_table_iter_next(&iter, &path, &seen))
		add_change(changes, path,
		           g_hash_table_lookup(before->files, path), seen);
	g_hash_table_iter_init(&iter, before->files);
	while (g_hash_table_iter_next(&iter, &path, &seen))
		if (!g_hash_table_contains(after->files, path))
			add_change(changes, path, seen, NULL);
	g_ptr_array_sort(changes, compare_paths);
	return changes;
}

const char *
tool_sight_folder(const ToolSight *sight)
{
	return sight->folder;
}

GBytes *
tool_sight_bytes(const ToolSight *sight, const char *path)
{
	const Seen *seen = g_hash_table_lookup(sight->files, path);

	return seen != NULL ? seen->bytes : NULL;
}
