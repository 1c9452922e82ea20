/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How the store is checked
 *
 * One snapshot, walks in the order of keys: all keys first, then nodes, into a table of
 * what each one is; then every other record against that table; then the
 * table itself: whatever no name and no orphan record has accounted for.
 * Memory: some 100 bytes a node.
 */

#include "store/check.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"
#include "store/name.h"

static void
check_node_free(void *data)
{
	CheckNode *node = data;

	g_free(node->name);
	g_free(node);
}

void
check_found(Check *check, const char *format, ...)
{
	g_autofree char *sentence = NULL;
	va_list args;

	va_start(args, format);
	sentence = g_strdup_vprintf(format, args);
	va_end(args);
	check->count++;
	check->finding(check->user_data, sentence);
}

#define ID "%" G_GUINT64_FORMAT

static void
step(Check *check)
{
	if (check->progress != NULL && ++check->done % 10000 == 0)
		check->progress(check->user_data, check->done,
		                MAX(check->done, check->total));
}

uint64_t *
check_new_id(uint64_t id)
{
	return g_memdup2(&id, sizeof(id));
}

CheckNode *
check_find(Check *check, StoreNode id)
{
	return g_hash_table_lookup(check->nodes, &id);
}

/* ---- nodes ---------------------------------------------------------------*/

void
check_id(Check *check, uint64_t id)
{
	if (id >= check->next_id)
		check_found(check,
		            "id " ID " was never given out (next is " ID ")",
		            id, check->next_id);
}

static void
check_node(Check *check, StoreNode id, KvSlice value)
{
	CheckNode *node;
	RecordNode record;

	if (record_node_decode(id, value, &record) < 0) {
		check_found(check, "node " ID ": the record is malformed", id);
		return;
	}
	check_id(check, id);
	if (S_ISDIR(record.attr.mode) && record.attr.size != 0)
		check_found(check, "directory " ID ": has a size", id);
	node = g_new0(CheckNode, 1);
	node->parent = record.attr.parent;
	node->data = record.data;
	node->size = record.attr.size;
	node->mode = record.attr.mode;
	node->chunk = record.chunk;
	node->name = g_strdup(record.name);
	g_hash_table_insert(check->nodes, check_new_id(id), node);

	if (record.data == 0)
		return;
	check_id(check, record.data);
	if (g_hash_table_contains(check->data, &record.data))
		check_found(check,
		            "node " ID ": shares its content with another", id);
	else
		g_hash_table_insert(check->data, check_new_id(record.data),
		                    node);
}

/* ---- everything else -----------------------------------------------------*/

static void
check_name(Check *check, KvSlice key, KvSlice value)
{
	g_autofree char *folded = record_key_text(key);
	char expected[NAME_FOLDED_MAX + 1];
	CheckNode *node;
	RecordName name;
	uint64_t dir;

	if (!record_key_id(key, &dir) || record_name_decode(value, &name) < 0) {
		check_found(check, "a name is malformed");
		return;
	}
	node = check_find(check, name.node);
	if (name_fold(name.name, expected) == 0 ||
	    strcmp(expected, folded) != 0)
		check_found(check,
		            "directory " ID ": an entry is filed wrongly", dir);
	if (node == NULL) {
		g_autofree char *path = check_path(check, dir, name.name);

		check_found(check,
		            "directory " ID
		            ": an entry names the missing node " ID ": %s is "
		            "lost",
		            dir, name.node, path);
		return;
	}
	if (node->parent != dir || strcmp(node->name, name.name) != 0)
		check_found(check,
		            "node " ID ": is not what directory " ID " says",
		            name.node, dir);
	if (((node->mode ^ name.mode) & S_IFMT) != 0)
		check_found(check,
		            "node " ID ": its directory has another type",
		            name.node);
	if (node->has_name)
		check_found(check, "node " ID ": has two names", name.node);
	node->has_name = true;
}

static void
check_chunk(Check *check, KvSlice key, KvSlice value)
{
	const CheckNode *node;
	uint64_t data;
	uint64_t number;

	if (!record_key_id(key, &data) ||
	    !record_key_chunk_number(key, &number)) {
		check_found(check, "the key of a chunk is malformed");
		return;
	}
	if (g_hash_table_contains(check->orphan_data, &data) ||
	    g_hash_table_contains(check->kept_data, &data))
		return;
	node = g_hash_table_lookup(check->data, &data);
	if (node == NULL) {
		check_found(check, "content " ID ": belongs to no node", data);
		return;
	}
	if (value.size > node->chunk)
		check_found(check, "content " ID ": chunk " ID " is too long",
		            data, number);
	else if (number * node->chunk + value.size > node->size)
		check_found(check,
		            "content " ID ": chunk " ID " is behind the end",
		            data, number);
}

static void
check_xattr(Check *check, KvSlice key)
{
	uint64_t id;

	if (!record_key_id(key, &id))
		check_found(check,
		            "the key of an extended attribute is malformed");
	else if (check_find(check, id) == NULL)
		check_found(check,
		            "node " ID ": has an extended attribute, but is "
		            "missing",
		            id);
}

static void
check_orphan(Check *check, KvSlice key, KvSlice value)
{
	CheckNode *node;
	uint64_t id;
	uint8_t kind = 0;

	if (value.size == 1)
		memcpy(&kind, value.data, 1);
	if (!record_key_id(key, &id) ||
	    (kind != RECORD_ORPHAN_NODE && kind != RECORD_ORPHAN_DATA)) {
		check_found(check, "the record of an orphan is malformed");
		return;
	}
	if (kind == RECORD_ORPHAN_DATA) {
		g_hash_table_add(check->orphan_data, check_new_id(id));
		if (g_hash_table_contains(check->data, &id))
			check_found(check,
			            "content " ID ": is an orphan and is not",
			            id);
		return;
	}
	node = check_find(check, id);
	if (node == NULL)
		check_found(check, "node " ID ": an orphan that is missing",
		            id);
	else
		node->is_orphan = true;
}

void
check_keep_data(Check *check, const char *what, uint64_t data)
{
	if (g_hash_table_contains(check->data, &data))
		check_found(check, "%s: content " ID " is a node's", what,
		            data);
	if (g_hash_table_contains(check->orphan_data, &data))
		check_found(check, "%s: content " ID " is an orphan", what,
		            data);
	if (!g_hash_table_add(check->kept_data, check_new_id(data)))
		check_found(check, "%s: content " ID " is another's, too", what,
		            data);
}

/* Content that goes with an entry belongs to nobody else. */
static void
check_undone_content(Check *check, uint64_t id, KvSlice of)
{
	g_autofree char *what = g_strdup_printf("undone " ID, id);
	uint64_t data;

	if (!record_part_id(of, &data)) {
		check_found(check, "%s: the key of content is malformed", what);
		return;
	}
	check_id(check, data);
	check_keep_data(check, what, data);
}

bool
check_is_sane(KvSlice key, KvSlice value)
{
	uint8_t table = key.size > 0 ? *(const uint8_t *)key.data : 0;
	RecordNode node;
	RecordName name;
	uint64_t id;

	if (!record_key_id(key, &id))
		return false;
	if (table == RECORD_NODE)
		return record_node_decode(id, value, &node) == 0;
	if (table == RECORD_NAME)
		return record_name_decode(value, &name) == 0;
	return table == RECORD_CHUNK || table == RECORD_XATTR;
}

static bool
undone_is_sane(uint64_t id, RecordPart part, KvSlice of, KvSlice value)
{
	char text[2 * (RECORD_TEXT_MAX + 1)];
	g_autofree char *path = NULL;
	StoreUndoneFile file;
	RecordHead head;
	uint64_t node_id;

	switch (part) {
	case RECORD_PART_HEAD:
		return of.size == 0 &&
		       record_head_decode(id, value, &head, text) == 0;
	case RECORD_PART_FILE:
		return record_part_id(of, &node_id) &&
		       record_file_decode(node_id, value, &file, &path) == 0;
	case RECORD_PART_PUT:
		return check_is_sane(of, value);
	case RECORD_PART_DELETE:
	case RECORD_PART_CONTENT:
	default:
		return value.size == 0;
	}
}

static void
check_undone(Check *check, KvSlice key, KvSlice value)
{
	RecordPart part;
	uint64_t id;
	KvSlice of;

	if (!record_key_id(key, &id)) {
		check_found(check, "a record of the quarantine is malformed");
		return;
	}
	if (!record_key_part_of(key, &part, &of) ||
	    !undone_is_sane(id, part, of, value)) {
		check_found(check, "undone " ID ": a record is malformed", id);
		return;
	}
	if (part == RECORD_PART_HEAD) {
		check_id(check, id);
		check->undone = id;
	}
	if (check->undone != id)
		check_found(check, "undone " ID ": has no head", id);
	if (part == RECORD_PART_CONTENT)
		check_undone_content(check, id, of);
}

static void
check_record(Check *check, RecordTable table, KvSlice key, KvSlice value)
{
	switch (table) {
	case RECORD_NAME:
		check_name(check, key, value);
		break;
	case RECORD_CHUNK:
		check_chunk(check, key, value);
		break;
	case RECORD_XATTR:
		check_xattr(check, key);
		break;
	case RECORD_ORPHAN:
		check_orphan(check, key, value);
		break;
	case RECORD_UNDONE:
		check_undone(check, key, value);
		break;
	case RECORD_JOURNAL:
		check_journal(check, key, value);
		break;
	case RECORD_META:
	case RECORD_NODE:
	default:
		break;
	}
}

/* ---- walks ---------------------------------------------------------------*/

/* Checks the records of one table; a NULL @value stands for a bad checksum. */
static int
walk(Check *check, RecordTable table)
{
	uint8_t first = (uint8_t)table;
	g_autoptr(KvIter) iter = NULL;
	KvSlice key;
	KvSlice value;
	uint64_t id;
	int r;

	r = kv_iter(check->snapshot, (KvSlice){ &first, 1 }, &iter);
	while (r == 0) {
		r = kv_iter_next(iter, &key, &value);
		if (r < 0 || *(const uint8_t *)key.data != first)
			break;
		step(check);
		if (record_unseal(key, &value) < 0) {
			g_autofree char *what = check_text(check, key);

			check_found(check, "%s is damaged (checksum)", what);
		} else if (table != RECORD_NODE)
			check_record(check, table, key, value);
		else if (record_key_id(key, &id))
			check_node(check, id, value);
		else
			check_found(check, "the key of a node is malformed");
	}
	return r == -ENOENT ? 0 : r;
}

/* Bytes of a key of @table: at least, and at most. */
static bool
key_fits(uint8_t table, size_t size)
{
	switch (table) {
	case RECORD_NODE:
	case RECORD_ORPHAN:
		return size == 9;
	case RECORD_CHUNK:
		return size == 17;
	case RECORD_NAME:
	case RECORD_XATTR:
	case RECORD_UNDONE:
		return size > 9;
	case RECORD_META:
	case RECORD_JOURNAL:
		return size > 1;
	default:
		return false;
	}
}

/* Looks at every key for what belongs to no table. */
static int
walk_keys(Check *check)
{
	g_autoptr(KvIter) iter = NULL;
	KvSlice key;
	KvSlice value;
	int r;

	r = kv_iter(check->snapshot, (KvSlice){ "", 1 }, &iter);
	while (r == 0) {
		r = kv_iter_next(iter, &key, &value);
		if (r == 0 && !key_fits(*(const uint8_t *)key.data, key.size))
			check_found(check, "a record belongs to no table");
	}
	return r == -ENOENT ? 0 : r;
}

static void
check_root(Check *check)
{
	const CheckNode *root = check_find(check, STORE_ROOT);

	if (root == NULL)
		check_found(check, "there is no top directory");
	else if (!S_ISDIR(root->mode) || root->parent != 0 || root->has_name ||
	         root->is_orphan)
		check_found(check,
		            "the top directory is not what it should be");
}

/* Whether the chain of parents ends at the root or at an orphan. */
static bool
is_connected(Check *check, StoreNode id)
{
	guint left = g_hash_table_size(check->nodes);

	while (id != STORE_ROOT && left-- > 0) {
		const CheckNode *node = check_find(check, id);

		if (node == NULL)
			return false;
		if (node->is_orphan || node->is_kept)
			return true;
		id = node->parent;
	}
	return id == STORE_ROOT;
}

static void
check_nameless(Check *check, StoreNode id, const CheckNode *node)
{
	g_autofree char *path = check_path(check, node->parent, node->name);

	check_found(check, "node " ID ": no directory names it; it was %s", id,
	            path);
}

static void
check_leftovers(Check *check)
{
	GHashTableIter iter;
	void *key;
	void *value;

	g_hash_table_iter_init(&iter, check->nodes);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		StoreNode id = *(StoreNode *)key;
		const CheckNode *node = value;
		const CheckNode *parent = check_find(check, node->parent);

		if (id == STORE_ROOT)
			continue;
		if (!node->has_name && !node->is_orphan && !node->is_kept)
			check_nameless(check, id, node);
		if (node->has_name && node->is_orphan)
			check_found(check,
			            "node " ID ": is an orphan and has a name",
			            id);
		if (node->has_name && node->is_kept)
			check_found(check,
			            "node " ID
			            ": the journal keeps it, and it has a name",
			            id);
		if (node->has_name &&
		    (parent == NULL || !S_ISDIR(parent->mode)))
			check_found(check,
			            "node " ID ": its parent is no directory",
			            id);
		else if (S_ISDIR(node->mode) && !is_connected(check, id))
			check_found(check,
			            "directory " ID ": cannot be reached", id);
	}
	check_root(check);
}

static int
walk_all(Check *check)
{
	/* Orphans, the quarantine and the journal before chunks: their content
	 * belongs to no node. */
	static const RecordTable tables[] = { RECORD_META,    RECORD_NODE,
		                              RECORD_ORPHAN,  RECORD_UNDONE,
		                              RECORD_JOURNAL, RECORD_NAME,
		                              RECORD_XATTR,   RECORD_CHUNK };
	size_t i;
	int r;

	r = walk_keys(check);
	for (i = 0; r == 0 && i < G_N_ELEMENTS(tables); i++)
		r = walk(check, tables[i]);
	if (r == 0) {
		check_journal_end(check);
		check_leftovers(check);
	}
	return r;
}

/* Ids given out but not yet committed do not count: all is of one snapshot. */
static void
read_next_id(Check *check)
{
	RecordKey key = record_key_meta(RECORD_META_NEXT);
	KvSlice value;
	int r;

	r = kv_get(check->snapshot, record_slice(&key), &value);
	if (r == 0)
		r = record_unseal(record_slice(&key), &value);
	if (r == 0)
		r = record_u64_decode(value, &check->next_id);
	if (r == 0)
		return;
	check_found(check, "the next id is damaged or missing");
	check->next_id = UINT64_MAX;
}

int
store_check(Store *store, StoreFinding *finding, StoreProgress *progress,
            void *user_data, uint64_t *ret_count)
{
	g_autoptr(GHashTable) nodes = g_hash_table_new_full(
		g_int64_hash, g_int64_equal, g_free, check_node_free);
	g_autoptr(GHashTable) data = g_hash_table_new_full(
		g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr(GHashTable) orphans = g_hash_table_new_full(
		g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr(GHashTable) kept = g_hash_table_new_full(
		g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr(GHashTable) entries = g_hash_table_new_full(
		g_int64_hash, g_int64_equal, g_free, g_free);
	g_autoptr(KvSnapshot) snapshot = NULL;
	Check check = { .nodes = nodes,
		        .data = data,
		        .orphan_data = orphans,
		        .kept_data = kept,
		        .entries = entries,
		        .finding = finding,
		        .progress = progress,
		        .user_data = user_data };
	KvRoom room;
	int r;

	r = check_pages(&check, store->kv, store->access == STORE_SALVAGE);
	if (r == 0)
		r = kv_snapshot(store->kv, &snapshot);
	if (r < 0)
		return r;
	check.snapshot = snapshot;
	if (kv_room(snapshot, &room) == 0)
		check.total = room.used / 2048;
	read_next_id(&check);
	r = walk_all(&check);
	if (r < 0)
		return r;
	if (store->access == STORE_SALVAGE)
		check_lost(&check);
	*ret_count = check.count;
	return 0;
}

int
store_verify(Store *store)
{
	return check_pages(NULL, store->kv, false);
}
