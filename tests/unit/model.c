/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/model.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "store/name.h"

struct Model {
	ModelNode *root;
	GPtrArray *dirs;  /* ModelNode, borrowed */
	GPtrArray *files; /* ModelNode, borrowed */
};

static char *
folded(const char *name)
{
	char buf[NAME_FOLDED_MAX + 1];

	name_fold(name, buf);
	return g_strdup(buf);
}

static void
node_free(void *data)
{
	ModelNode *node = data;

	g_free(node->name);
	g_clear_pointer(&node->children, g_hash_table_unref);
	g_clear_pointer(&node->bytes, g_byte_array_unref);
	g_hash_table_unref(node->xattrs);
	g_free(node);
}

static ModelNode *
node_new(Model *model, ModelNode *parent, const char *name, uint32_t mode)
{
	ModelNode *node = g_new0(ModelNode, 1);

	node->parent = parent;
	node->mode = mode;
	node->name = g_strdup(name);
	node->xattrs =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	if (S_ISDIR(mode)) {
		node->children = g_hash_table_new_full(g_str_hash, g_str_equal,
		                                       g_free, node_free);
		g_ptr_array_add(model->dirs, node);
	} else {
		node->bytes = g_byte_array_new();
		g_ptr_array_add(model->files, node);
	}
	return node;
}

Model *
model_new(void)
{
	Model *model = g_new0(Model, 1);

	model->dirs = g_ptr_array_new();
	model->files = g_ptr_array_new();
	model->root = node_new(model, NULL, "", S_IFDIR);
	model->root->node = STORE_ROOT;
	return model;
}

void
model_free(Model *model)
{
	node_free(model->root);
	g_ptr_array_unref(model->dirs);
	g_ptr_array_unref(model->files);
	g_free(model);
}

ModelNode *
model_any_dir(Model *model, GRand *rand)
{
	return model->dirs
	        ->pdata[g_rand_int_range(rand, 0, (int)model->dirs->len)];
}

ModelNode *
model_any_file(Model *model, GRand *rand)
{
	if (model->files->len == 0)
		return NULL;
	return model->files
	        ->pdata[g_rand_int_range(rand, 0, (int)model->files->len)];
}

static ModelNode *
find(ModelNode *dir, const char *name)
{
	g_autofree char *key = folded(name);

	return g_hash_table_lookup(dir->children, key);
}

StoreNode
model_find(ModelNode *dir, const char *name)
{
	const ModelNode *node = find(dir, name);

	return node == NULL ? 0 : node->node;
}

ModelNode *
model_node(const Model *model, StoreNode node)
{
	const GPtrArray *all[] = { model->dirs, model->files };
	guint i;

	for (i = 0; i < all[0]->len + all[1]->len; i++) {
		ModelNode *n = i < all[0]->len ? all[0]->pdata[i]
		                               : all[1]->pdata[i - all[0]->len];

		if (n->node == node)
			return n;
	}
	return NULL;
}

static void
copy_into(Model *model, ModelNode *to, const ModelNode *from)
{
	GHashTableIter iter;
	void *key;
	void *value;

	to->node = from->node;
	g_hash_table_iter_init(&iter, from->xattrs);
	while (g_hash_table_iter_next(&iter, &key, &value))
		model_xattr_set(to, key, value);
	if (from->bytes != NULL)
		g_byte_array_append(to->bytes, from->bytes->data,
		                    from->bytes->len);
	if (from->children == NULL)
		return;
	g_hash_table_iter_init(&iter, from->children);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		const ModelNode *child = value;
		ModelNode *copy = node_new(model, to, child->name, child->mode);

		g_hash_table_insert(to->children, g_strdup(key), copy);
		copy_into(model, copy, child);
	}
}

Model *
model_copy(const Model *model)
{
	Model *copy = model_new();

	copy_into(copy, copy->root, model->root);
	return copy;
}

static void
forget(Model *model, ModelNode *node)
{
	g_ptr_array_remove(S_ISDIR(node->mode) ? model->dirs : model->files,
	                   node);
}

int
model_add(Model *model, ModelNode *dir, const char *name, uint32_t mode,
          ModelNode **ret_node)
{
	if (find(dir, name) != NULL)
		return -EEXIST;
	*ret_node = node_new(model, dir, name, mode);
	g_hash_table_insert(dir->children, folded(name), *ret_node);
	return 0;
}

static int
removal_error(const ModelNode *node, uint32_t type)
{
	if (S_ISDIR(node->mode) && !S_ISDIR(type))
		return -EISDIR;
	if (!S_ISDIR(node->mode) && S_ISDIR(type))
		return -ENOTDIR;
	if (S_ISDIR(type) && g_hash_table_size(node->children) > 0)
		return -ENOTEMPTY;
	return 0;
}

static void
drop(Model *model, ModelNode *node)
{
	g_autofree char *key = folded(node->name);

	forget(model, node);
	g_hash_table_remove(node->parent->children, key);
}

int
model_remove(Model *model, ModelNode *dir, const char *name, uint32_t type)
{
	ModelNode *node = find(dir, name);
	int r;

	if (node == NULL)
		return -ENOENT;
	r = removal_error(node, type);
	if (r == 0)
		drop(model, node);
	return r;
}

static bool
is_below(const ModelNode *dir, const ModelNode *node)
{
	for (; dir != NULL; dir = dir->parent)
		if (dir == node)
			return true;
	return false;
}

/* Takes @node out of its directory, without freeing it. */
static void
detach(ModelNode *node)
{
	g_autofree char *key = folded(node->name);
	char *stolen_key = NULL;

	g_hash_table_steal_extended(node->parent->children, key,
	                            (void **)&stolen_key, NULL);
	g_free(stolen_key);
}

static void
attach(ModelNode *node, ModelNode *dir, const char *name)
{
	char *copy = g_strdup(name);

	g_free(node->name);
	node->name = copy;
	node->parent = dir;
	g_hash_table_insert(dir->children, folded(copy), node);
}

static int
exchange(ModelNode *node, ModelNode *dir, ModelNode *target, ModelNode *to,
         const char *new_name)
{
	g_autofree char *old_name = g_strdup(node->name);

	detach(node);
	if (target != node) {
		detach(target);
		attach(target, dir, old_name);
	}
	attach(node, to, new_name);
	return 0;
}

int
model_move(Model *model, ModelNode *dir, const char *name, ModelNode *to,
           const char *new_name, StoreMove how)
{
	ModelNode *node = find(dir, name);
	ModelNode *target = find(to, new_name);
	int r;

	if (node == NULL || (how == STORE_MOVE_EXCHANGE && target == NULL))
		return -ENOENT;
	if (is_below(to, node) ||
	    (how == STORE_MOVE_EXCHANGE && is_below(dir, target)))
		return -EINVAL;
	if (how == STORE_MOVE_EXCHANGE)
		return exchange(node, dir, target, to, new_name);
	if (target != NULL && target != node) {
		if (how == STORE_MOVE_NOREPLACE)
			return -EEXIST;
		r = removal_error(target, node->mode);
		if (r < 0)
			return r;
		drop(model, target);
	}
	detach(node);
	attach(node, to, new_name);
	return 0;
}

void
model_xattr_set(ModelNode *node, const char *name, const char *value)
{
	g_hash_table_insert(node->xattrs, g_strdup(name), g_strdup(value));
}

int
model_xattr_remove(ModelNode *node, const char *name)
{
	return g_hash_table_remove(node->xattrs, name) ? 0 : -ENODATA;
}

void
model_truncate(ModelNode *file, uint64_t size)
{
	guint old = file->bytes->len;

	g_byte_array_set_size(file->bytes, (guint)size);
	if (size > old)
		memset(file->bytes->data + old, 0, size - old);
}

void
model_write(ModelNode *file, uint64_t offset, const void *data, size_t size)
{
	if (size == 0)
		return;
	if (offset + size > file->bytes->len)
		model_truncate(file, offset + size);
	memcpy(file->bytes->data + offset, data, size);
}

void
model_punch(ModelNode *file, uint64_t offset, uint64_t size)
{
	uint64_t end = MIN(offset + size, file->bytes->len);

	if (offset < end)
		memset(file->bytes->data + offset, 0, end - offset);
}

size_t
model_read(const ModelNode *file, uint64_t offset, void *buf, size_t size)
{
	if (offset >= file->bytes->len)
		return 0;
	size = MIN(size, file->bytes->len - offset);
	memcpy(buf, file->bytes->data + offset, size);
	return size;
}

/* ---- comparing -----------------------------------------------------------*/

static bool
count_entry(void *user_data, const StoreEntry *entry)
{
	(*(guint *)user_data)++;
	return true;
}

static void
compare_bytes(const ModelNode *file, StoreTxn *txn, StoreNode there)
{
	g_autofree uint8_t *bytes = g_malloc(file->bytes->len + 1);
	size_t size = 0;

	assert_int_equal(store_file_read(txn, there, 0, bytes,
	                                 file->bytes->len + 1, &size),
	                 0);
	assert_int_equal(size, file->bytes->len);
	/* Most are equal, and cmocka compares byte by byte. */
	if (size > 0 && memcmp(bytes, file->bytes->data, size) != 0)
		assert_memory_equal(bytes, file->bytes->data, size);
}

static void
compare_xattrs(const ModelNode *node, StoreTxn *txn, StoreNode there)
{
	GHashTableIter iter;
	void *name;
	void *text;
	size_t want = 0;
	size_t size = 0;

	g_hash_table_iter_init(&iter, node->xattrs);
	while (g_hash_table_iter_next(&iter, &name, &text)) {
		char value[64] = "";

		want += strlen(name) + 1;
		assert_int_equal(store_xattr_get(txn, there, name, value,
		                                 sizeof(value) - 1, &size),
		                 0);
		assert_string_equal(value, text);
	}
	assert_int_equal(store_xattr_list(txn, there, NULL, 0, &size), 0);
	assert_int_equal(size, want);
}

/* @there is what stands for @node; below it, nodes must be the same if
 * @is_same. */
static void
compare_node(const ModelNode *node, StoreTxn *txn, StoreNode there,
             bool is_same)
{
	GHashTableIter iter;
	StoreAttr attr;
	void *child;
	guint count = 0;

	assert_int_equal(store_attr_get(txn, there, &attr), 0);
	assert_int_equal(attr.mode & S_IFMT, node->mode & S_IFMT);
	compare_xattrs(node, txn, there);
	if (!S_ISDIR(node->mode)) {
		compare_bytes(node, txn, there);
		return;
	}

	assert_int_equal(store_name_list(txn, there, count_entry, &count), 0);
	assert_int_equal(count, g_hash_table_size(node->children));
	g_hash_table_iter_init(&iter, node->children);
	while (g_hash_table_iter_next(&iter, NULL, &child)) {
		const ModelNode *c = child;
		StoreEntry entry;

		assert_int_equal(store_name_find(txn, there, c->name, &entry),
		                 0);
		if (is_same)
			assert_int_equal(entry.node, c->node);
		assert_string_equal(entry.name, c->name);
		compare_node(c, txn, entry.node, is_same);
	}
}

void
model_compare(Model *model, StoreTxn *txn)
{
	compare_node(model->root, txn, STORE_ROOT, true);
}

void
model_compare_names(Model *model, StoreTxn *txn)
{
	compare_node(model->root, txn, STORE_ROOT, false);
}
