/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/office.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/access.h"
#include "tools/key_layout.h"
#include "tools/listing.h"
#include "tools/staging.h"
#include "tools/tool.h"

/* ---- finding them -------------------------------------------------------- */

static void
office_free(void *data)
{
	ToolOffice *office = data;

	g_free(office->path);
	g_free(office);
}

/* A directory that may be a postoffice or have some below it. */
typedef struct Candidate {
	StoreNode node;
	char *path; /* owned */
} Candidate;

static void
candidate_free(void *data)
{
	Candidate *candidate = data;

	g_free(candidate->path);
	g_free(candidate);
}

static void
push_candidate(GQueue *queue, StoreNode node, const char *parent,
               const char *name)
{
	Candidate *candidate = g_new(Candidate, 1);

	candidate->node = node;
	candidate->path = parent[0] != '\0'
	                          ? g_strconcat(parent, "/", name, NULL)
	                          : g_strdup(name);
	g_queue_push_tail(queue, candidate);
}

/* Whether there may be postoffices in directory @entry: not in the directories
 * of one, nor in what an import has not finished. */
static int
may_have_offices(StoreTxn *txn, const StoreEntry *entry, bool *ret_may)
{
	LayoutDir role;
	int r;

	if (!S_ISDIR(entry->mode) || tool_staging_is(txn, entry)) {
		*ret_may = false;
		return 0;
	}
	r = store_dir_role(txn, entry->node, &role);
	if (r == 0)
		*ret_may = role == LAYOUT_DIR_POSTOFFICE ||
		           role == LAYOUT_DIR_FOREIGN;
	return r;
}

static int
push_children(StoreTxn *txn, const Candidate *parent, GQueue *queue)
{
	g_autoptr(GPtrArray) entries = NULL;
	bool may = false;
	guint i;
	int r;

	r = tool_listing_read(txn, parent->node, &entries);
	for (i = 0; r == 0 && i < entries->len; i++) {
		const StoreEntry *entry = entries->pdata[i];

		r = may_have_offices(txn, entry, &may);
		if (r == 0 && may)
			push_candidate(queue, entry->node, parent->path,
			               entry->name);
	}
	return r;
}

/* Adds @candidate to the list if it is a postoffice. */
static int
add_office(ToolOffices *offices, const Candidate *candidate)
{
	StoreTxn *txn = store_plain(offices->store);
	ToolOffice *office;
	LayoutDir role;
	int r;

	r = store_dir_role(txn, candidate->node, &role);
	if (r < 0 || role != LAYOUT_DIR_POSTOFFICE)
		return r;

	office = g_new0(ToolOffice, 1);
	office->txn = txn;
	office->node = candidate->node;
	office->path = g_strdup(candidate->path);
	office->layout = &offices->layout;
	g_ptr_array_add(offices->list, office);
	return 0;
}

/* Goes through the directories, those of a level before the ones below. */
static int
find_offices(ToolOffices *offices)
{
	GQueue queue = G_QUEUE_INIT;
	int r = 0;

	push_candidate(&queue, STORE_ROOT, "", "");
	while (r == 0 && !g_queue_is_empty(&queue)) {
		Candidate *candidate = g_queue_pop_head(&queue);

		r = add_office(offices, candidate);
		if (r == 0)
			r = push_children(store_plain(offices->store),
			                  candidate, &queue);
		candidate_free(candidate);
	}
	g_queue_clear_full(&queue, candidate_free);
	return r;
}

/* Whether @path is what an administrator calls @folder. */
static bool
is_folder(const char *path, const char *folder)
{
	size_t size = strlen(folder);

	while (size > 0 && folder[size - 1] == '/')
		size--;
	return strlen(path) == size &&
	       g_ascii_strncasecmp(path, folder, size) == 0;
}

static void
drop_others(GPtrArray *list, const char *folder)
{
	guint i = 0;

	while (i < list->len) {
		const ToolOffice *office = list->pdata[i];

		if (is_folder(office->path, folder))
			i++;
		else
			g_ptr_array_remove_index(list, i);
	}
}

/* ---- all of them --------------------------------------------------------- */

int
tool_offices_open(const char *dir, const ToolOfficeChoice *choice,
                  ToolOffices *ret_offices, GError **error)
{
	int r;

	*ret_offices = (ToolOffices){ 0 };
	r = tool_key_layout_read(dir, choice->config, &ret_offices->layout,
	                         error);
	if (r == 0)
		r = tool_access_open(dir, STORE_READ, &ret_offices->store,
		                     error);
	if (r < 0)
		return r;

	ret_offices->list = g_ptr_array_new_with_free_func(office_free);
	r = find_offices(ret_offices);
	if (r < 0)
		return tool_fail(error, r, "cannot read %s: %s", dir,
		                 g_strerror(-r));
	if (choice->folder != NULL)
		drop_others(ret_offices->list, choice->folder);
	if (ret_offices->list->len == 0)
		return tool_fail(error, -ENOENT, "%s has no postoffice%s%s",
		                 dir, choice->folder != NULL ? " " : "",
		                 choice->folder != NULL ? choice->folder : "");
	return 0;
}

void
tool_offices_close(ToolOffices *offices)
{
	g_clear_pointer(&offices->list, g_ptr_array_unref);
	if (offices->store != NULL)
		(void)store_close(g_steal_pointer(&offices->store));
}

int
tool_offices_choose(const ToolOffices *offices, const char *name,
                    const ToolOffice **ret_office, const char **ret_rest,
                    GError **error)
{
	const char *slash = strrchr(name, '/');
	g_autofree char *folder =
		slash != NULL ? g_strndup(name, (gsize)(slash - name)) : NULL;
	guint i;

	if (folder == NULL && offices->list->len > 1)
		return tool_misuse(
			error,
			"there are %u postoffices: which %s, for "
			"example %s/%s?",
			offices->list->len, name,
			((ToolOffice *)offices->list->pdata[1])->path, name);
	for (i = 0; i < offices->list->len; i++) {
		const ToolOffice *office = offices->list->pdata[i];

		if (folder != NULL && !is_folder(office->path, folder))
			continue;
		*ret_office = office;
		*ret_rest = slash != NULL ? slash + 1 : name;
		return 0;
	}
	return tool_fail(error, -ENOENT, "there is no postoffice %s", folder);
}

/* ---- one of them --------------------------------------------------------- */

char *
tool_office_name(const ToolOffice *office, const char *name)
{
	if (office->path[0] == '\0')
		return g_strdup(name);
	return g_strconcat(office->path, "/", name, NULL);
}

static int
find_path(const ToolOffice *office, const char *path, StoreEntry *ret_entry)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	StoreEntry entry = { .node = office->node, .mode = S_IFDIR };
	size_t i;
	int r = 0;

	for (i = 0; parts[i] != NULL && r == 0; i++)
		r = store_name_find(office->txn, entry.node, parts[i], &entry);
	if (r == 0)
		*ret_entry = entry;
	return r == -ENOTDIR ? -ENOENT : r;
}

int
tool_office_find(const ToolOffice *office, const char *path,
                 StoreAttr *ret_attr)
{
	StoreEntry entry;
	int r;

	r = find_path(office, path, &entry);
	if (r == 0 && !S_ISREG(entry.mode))
		r = -ENOENT;
	return r < 0 ? r : store_attr_get(office->txn, entry.node, ret_attr);
}

int
tool_office_find_dir(const ToolOffice *office, const char *path,
                     StoreNode *ret_dir)
{
	StoreEntry entry;
	int r;

	r = find_path(office, path, &entry);
	if (r == 0 && !S_ISDIR(entry.mode))
		r = -ENOENT;
	if (r == 0)
		*ret_dir = entry.node;
	return r;
}

int
tool_office_read(const ToolOffice *office, const char *path, size_t max,
                 GBytes **ret_bytes)
{
	g_autofree uint8_t *bytes = NULL;
	StoreAttr attr;
	size_t size;
	int r;

	r = tool_office_find(office, path, &attr);
	if (r < 0)
		return r;
	size = (size_t)MIN(attr.size, max);
	bytes = g_malloc(MAX(size, 1));
	r = store_file_read(office->txn, attr.node, 0, bytes, size, &size);
	if (r < 0)
		return r;
	*ret_bytes = g_bytes_new_take(g_steal_pointer(&bytes), size);
	return 0;
}
