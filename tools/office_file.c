/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/office_file.h"

#include <sys/stat.h>

#include "tools/listing.h"

/* A directory that is still to be listed. */
typedef struct Todo {
	StoreNode node;
	char *path; /* borrowed from the list's texts */
} Todo;

static void
push_dir(ToolFiles *files, GArray *todo, StoreNode node, const char *path)
{
	Todo dir = { .node = node,
		     .path = g_string_chunk_insert(files->texts, path) };

	g_array_append_val(todo, dir);
	g_hash_table_add(files->directories, dir.path);
}

/* Whether directory @node, below a directory of the postoffice, is its own. */
static int
is_own(const ToolOffice *office, StoreNode node, bool *ret_is)
{
	LayoutDir role;
	int r;

	r = store_dir_role(office->txn, node, &role);
	if (r == 0)
		*ret_is = role != LAYOUT_DIR_FOREIGN &&
		          role != LAYOUT_DIR_POSTOFFICE;
	return r;
}

static int
add_file(const ToolOffice *office, ToolFiles *files, StoreNode node,
         const char *path)
{
	ToolFile file = { .node = node };
	FormatName name;
	StoreAttr attr;
	int r;

	r = store_attr_get(office->txn, node, &attr);
	if (r < 0)
		return r;
	format_name_parse(path, &name);
	file.size = attr.size;
	file.touched_ns = tool_file_touched(&attr);
	file.path = g_string_chunk_insert(files->texts, path);
	file.kind = name.kind;
	file.number = name.number;
	file.is_misplaced = name.is_misplaced;
	file.is_lower = name.is_lower;
	g_array_append_val(files->all, file);
	return 0;
}

static int
list_dir(const ToolOffice *office, ToolFiles *files, const Todo *dir,
         GArray *todo)
{
	g_autoptr(GPtrArray) entries = NULL;
	bool own = false;
	guint i;
	int r;

	r = tool_listing_read(office->txn, dir->node, &entries);
	for (i = 0; r == 0 && i < entries->len; i++) {
		const StoreEntry *entry = entries->pdata[i];
		g_autofree char *path =
			dir->path[0] != '\0'
				? g_strconcat(dir->path, "/", entry->name, NULL)
				: g_strdup(entry->name);

		if (!S_ISDIR(entry->mode)) {
			r = add_file(office, files, entry->node, path);
			continue;
		}
		r = is_own(office, entry->node, &own);
		if (r == 0 && own)
			push_dir(files, todo, entry->node, path);
	}
	return r;
}

static int
list_all(const ToolOffice *office, ToolFiles *files)
{
	g_autoptr(GArray) todo = g_array_new(FALSE, FALSE, sizeof(Todo));
	int r = 0;

	push_dir(files, todo, office->node, "");
	while (r == 0 && todo->len > 0) {
		Todo dir = g_array_index(todo, Todo, todo->len - 1);

		g_array_set_size(todo, todo->len - 1);
		r = list_dir(office, files, &dir, todo);
	}
	return r;
}

/* ---- by number ----------------------------------------------------------- */

static int
compare_numbers(gconstpointer a, gconstpointer b)
{
	const ToolFile *const *x = a;
	const ToolFile *const *y = b;

	return ((*x)->number > (*y)->number) - ((*x)->number < (*y)->number);
}

static void
index_files(ToolFiles *files)
{
	guint i;

	for (i = 0; i < files->all->len; i++) {
		ToolFile *file = &g_array_index(files->all, ToolFile, i);

		if (file->is_misplaced)
			continue;
		if (file->kind == FORMAT_NAME_MAI)
			g_ptr_array_add(files->messages, file);
		else if (file->kind == FORMAT_NAME_ATT)
			g_ptr_array_add(files->attachments, file);
		else if (file->kind == FORMAT_NAME_P1)
			g_ptr_array_add(files->envelopes, file);
	}
	g_ptr_array_sort(files->messages, compare_numbers);
	g_ptr_array_sort(files->attachments, compare_numbers);
	g_ptr_array_sort(files->envelopes, compare_numbers);
}

int
tool_file_list(const ToolOffice *office, ToolFiles **ret_files)
{
	g_autoptr(ToolFiles) files = g_new0(ToolFiles, 1);
	int r;

	files->all = g_array_new(FALSE, FALSE, sizeof(ToolFile));
	files->messages = g_ptr_array_new();
	files->attachments = g_ptr_array_new();
	files->envelopes = g_ptr_array_new();
	files->directories = g_hash_table_new(g_str_hash, g_str_equal);
	files->texts = g_string_chunk_new(1 << 16);
	r = list_all(office, files);
	if (r < 0)
		return r;
	index_files(files);
	*ret_files = g_steal_pointer(&files);
	return 0;
}

int64_t
tool_file_touched(const StoreAttr *attr)
{
	return MAX(attr->mtime_ns, MAX(attr->ctime_ns, attr->btime_ns));
}

guint
tool_file_place(const GPtrArray *files, uint32_t number)
{
	guint low = 0;
	guint high = files->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		const ToolFile *file = files->pdata[middle];

		if (file->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const ToolFile *
tool_file_find(const GPtrArray *files, uint32_t number)
{
	guint place = tool_file_place(files, number);
	const ToolFile *file = place < files->len ? files->pdata[place] : NULL;

	return file != NULL && file->number == number ? file : NULL;
}

void
tool_files_free(ToolFiles *files)
{
	if (files == NULL)
		return;
	g_clear_pointer(&files->all, g_array_unref);
	g_clear_pointer(&files->messages, g_ptr_array_unref);
	g_clear_pointer(&files->attachments, g_ptr_array_unref);
	g_clear_pointer(&files->envelopes, g_ptr_array_unref);
	g_clear_pointer(&files->directories, g_hash_table_unref);
	g_clear_pointer(&files->texts, g_string_chunk_free);
	g_free(files);
}
