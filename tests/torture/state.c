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

char *
state_of_subject(StateReader *reader, const char *name)
{
	g_autoptr(GTree) files = files_new();
	StoreEntry entry = { .node = STORE_ROOT };

	if (reader == NULL)
		return g_strdup(STATE_ABSENT);
	if (!g_str_equal(name, ".") &&
	    store_name_find(store_plain(reader->store), STORE_ROOT, name,
	                    &entry) < 0)
		return g_strdup(STATE_ABSENT);
	read_node(reader, entry.node, "", files);
	return digest(files);
}
