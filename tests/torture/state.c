/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/torture/state.h"

#include <err.h>
#include <string.h>
#include <sys/stat.h>

#include "store/store.h"

struct StateReader {
	Store *store;
	char *finding; /* the first one; owned */
};

static int
compare(const void *a, const void *b, void *user_data)
{
	return strcmp(a, b);
}

static void
bytes_free(void *bytes)
{
	g_bytes_unref(bytes);
}

/* path -> GBytes */
static GTree *
files_new(void)
{
	return g_tree_new_full(compare, NULL, g_free, bytes_free);
}

static gboolean
add_file(void *key, void *value, void *data)
{
	GChecksum *sum = data;
	gsize size;
	const void *bytes = g_bytes_get_data(value, &size);
	guint64 length = GUINT64_TO_LE(size);

	g_checksum_update(sum, key, (gssize)strlen(key) + 1);
	g_checksum_update(sum, (const guchar *)&length, sizeof(length));
	g_checksum_update(sum, bytes, (gssize)size);
	return FALSE;
}

static char *
digest(GTree *files)
{
	GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
	char *word;

	g_tree_foreach(files, add_file, sum);
	word = g_strdup(g_checksum_get_string(sum));
	g_checksum_free(sum);
	return word;
}

static char *
join(const char *prefix, const char *name)
{
	return *prefix == '\0' ? g_strdup(name)
	                       : g_strconcat(prefix, "/", name, NULL);
}

/* ---- a file system -------------------------------------------------------*/

static void
read_directory(const char *dir, const char *prefix, GTree *files)
{
	g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
	const char *name;

	while (entries != NULL && (name = g_dir_read_name(entries)) != NULL) {
		g_autofree char *path = g_build_filename(dir, name, NULL);
		g_autofree char *below = join(prefix, name);
		char *content;
		gsize size;

		if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
			read_directory(path, below, files);
			continue;
		}
		if (!g_file_get_contents(path, &content, &size, NULL))
			errx(2, "%s: cannot be read", path);
		g_tree_insert(files, g_steal_pointer(&below),
		              g_bytes_new_take(content, size));
	}
}

char *
state_of_directory(const char *dir)
{
	g_autoptr(GTree) files = files_new();

	if (!g_file_test(dir, G_FILE_TEST_IS_DIR))
		return g_strdup(STATE_ABSENT);
	read_directory(dir, "", files);
	return digest(files);
}

/* ---- a store -------------------------------------------------------------*/

/* What poctl would take for an empty directory. */
static bool
is_vacant(const char *dir)
{
	g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
	const char *name;

	while (entries != NULL && (name = g_dir_read_name(entries)) != NULL)
		if (!g_str_has_prefix(name, ".new-"))
			return false;
	return true;
}

static void
keep_first(void *user_data, const char *sentence)
{
	StateReader *reader = user_data;

	if (reader->finding == NULL)
		reader->finding = g_strdup(sentence);
}

StateReader *
state_reader_open(const char *dir, char **ret_reason)
{
	StateReader *reader;
	uint64_t count = 0;
	Store *store;
	int r;

	*ret_reason = NULL;
	if (is_vacant(dir))
		return NULL;
	r = store_open(dir, STORE_READ, NULL, &store, ret_reason);
	if (r < 0)
		return NULL;
	reader = g_new0(StateReader, 1);
	reader->store = store;
	r = store_check(store, keep_first, NULL, reader, &count);
	if (r == 0 && count == 0)
		return reader;
	*ret_reason = reader->finding != NULL
	                      ? g_steal_pointer(&reader->finding)
	                      : g_strdup("it cannot be checked");
	state_reader_close(reader);
	return NULL;
}

void
state_reader_close(StateReader *reader)
{
	if (reader == NULL)
		return;
	(void)store_close(reader->store);
	g_free(reader->finding);
	g_free(reader);
}

static bool
keep_entry(void *user_data, const StoreEntry *entry)
{
	g_array_append_vals(user_data, entry, 1);
	return true;
}

static void
read_file(StateReader *reader, StoreNode node, char *path, GTree *files)
{
	StoreAttr attr;
	uint8_t *bytes;
	size_t size;

	if (store_attr_get(store_plain(reader->store), node, &attr) < 0)
		errx(2, "%s: no attributes", path);
	bytes = g_malloc(attr.size);
	if (store_file_read(store_plain(reader->store), node, 0, bytes,
	                    attr.size, &size) < 0)
		errx(2, "%s: cannot be read", path);
	g_tree_insert(files, path, g_bytes_new_take(bytes, size));
}

static void
read_node(StateReader *reader, StoreNode dir, const char *prefix, GTree *files)
{
	g_autoptr(GArray) entries =
		g_array_new(FALSE, FALSE, sizeof(StoreEntry));

	if (store_name_list(store_plain(reader->store), dir, keep_entry,
	                    entries) < 0)
		errx(2, "%s: cannot be listed", prefix);
	for (guint i = 0; i < entries->len; i++) {
		const StoreEntry *entry =
			&g_array_index(entries, StoreEntry, i);
		char *path = join(prefix, entry->name);

		if (!S_ISDIR(entry->mode)) {
			read_file(reader, entry->node, path, files);
			continue;
		}
		read_node(reader, entry->node, path, files);
		g_free(path);
	}
}

/* ---- the quarantine of a store -------------------------------------------*/

/* A file of an entry that has its content. */
typedef struct UndoneFile {
	StoreNode node;
	uint64_t size;
	char *path; /* owned */
} UndoneFile;

static void
undone_file_free(void *data)
{
	UndoneFile *file = data;

	g_free(file->path);
	g_free(file);
}

static bool
keep_id(void *user_data, const StoreUndone *undone)
{
	g_array_append_val((GArray *)user_data, undone->id);
	return true;
}

static bool
keep_undone_file(void *user_data, const StoreUndoneFile *file)
{
	UndoneFile *kept;

	if (!S_ISREG(file->mode) || file->what == STORE_UNDONE_REMOVED)
		return true;
	kept = g_new(UndoneFile, 1);
	*kept = (UndoneFile){ file->node, file->size, g_strdup(file->path) };
	g_ptr_array_add(user_data, kept);
	return true;
}

/* Of entry @id what is below directory @name; returns whether there is any. */
static bool
read_entry(StateReader *reader, uint64_t id, const char *name, guint number,
           GTree *files)
{
	g_autofree char *prefix = g_strdup_printf("/%s/", name);
	g_autoptr(GPtrArray) undone =
		g_ptr_array_new_with_free_func(undone_file_free);
	bool is_any = false;

	if (store_quarantine_files(reader->store, id, keep_undone_file,
	                           undone) < 0)
		errx(2, "an entry of the quarantine cannot be read");
	for (guint i = 0; i < undone->len; i++) {
		const UndoneFile *file = undone->pdata[i];
		uint8_t *bytes;
		size_t size;

		if (!g_str_has_prefix(file->path, prefix))
			continue;
		bytes = g_malloc(file->size);
		if (store_quarantine_read(reader->store, id, file->node, 0,
		                          bytes, file->size, &size) < 0)
			errx(2, "%s: undone, cannot be read", file->path);
		g_tree_insert(files,
		              g_strdup_printf("%u/%s", number,
		                              file->path + strlen(prefix)),
		              g_bytes_new_take(bytes, size));
		is_any = true;
	}
	return is_any;
}

static void
read_quarantine(StateReader *reader, const char *name, GTree *files)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	guint number = 0;

	if (store_quarantine_list(reader->store, keep_id, ids) < 0)
		errx(2, "the quarantine cannot be read");
	for (guint i = 0; i < ids->len; i++)
		number += read_entry(reader, g_array_index(ids, uint64_t, i),
		                     name, number, files);
}

char *
state_of_subject(StateReader *reader, const char *name)
{
	g_autoptr(GTree) files = files_new();
	StoreEntry entry = { .node = STORE_ROOT };

	if (reader == NULL)
		return g_strdup(STATE_ABSENT);
	if (g_str_has_prefix(name, STATE_QUARANTINE)) {
		read_quarantine(reader, name + strlen(STATE_QUARANTINE), files);
		return digest(files);
	}
	if (!g_str_equal(name, ".") &&
	    store_name_find(store_plain(reader->store), STORE_ROOT, name,
	                    &entry) < 0)
		return g_strdup(STATE_ABSENT);
	read_node(reader, entry.node, "", files);
	return digest(files);
}
