/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/change.h"

#include <string.h>

/* What a change costs beside its key and value: itself and its tree node. */
#define OVERHEAD (sizeof(Change) + 80)

struct ChangeLayer {
	GTree *tree;  /* Change, ordered by key; owned */
	size_t bytes; /* of memory */
};

int
change_compare_keys(KvSlice a, KvSlice b)
{
	int order = memcmp(a.data, b.data, MIN(a.size, b.size));

	if (order != 0)
		return order;
	return a.size < b.size ? -1 : a.size > b.size;
}

/* The tree's keys are those of the changes themselves, or one to search for. */
static int
compare_slices(const void *a, const void *b, void *user_data)
{
	const KvSlice *slice_a = a;
	const KvSlice *slice_b = b;

	return change_compare_keys(*slice_a, *slice_b);
}

static void
change_free(void *data)
{
	Change *change = data;

	g_free(change->value);
	g_free(change);
}

static size_t
cost(const Change *change)
{
	return OVERHEAD + change->key.size + change->capacity;
}

ChangeLayer *
change_layer_new(void)
{
	ChangeLayer *layer = g_new0(ChangeLayer, 1);

	layer->tree = g_tree_new_full(compare_slices, NULL, NULL, change_free);
	return layer;
}

void
change_layer_free(ChangeLayer *layer)
{
	if (layer == NULL)
		return;
	g_tree_unref(layer->tree);
	g_free(layer);
}

size_t
change_layer_count(const ChangeLayer *layer)
{
	return (size_t)g_tree_nnodes(layer->tree);
}

size_t
change_layer_bytes(const ChangeLayer *layer)
{
	return layer->bytes;
}

Change *
change_layer_find(const ChangeLayer *layer, KvSlice key)
{
	return g_tree_lookup(layer->tree, &key);
}

/* Adds @change, whose key is not there yet. */
static void
add(ChangeLayer *layer, Change *change)
{
	g_tree_insert(layer->tree, &change->key, change);
	layer->bytes += cost(change);
}

/* Finds the change of @key or makes one that deletes. */
static Change *
obtain(ChangeLayer *layer, KvSlice key)
{
	Change *change = change_layer_find(layer, key);

	if (change != NULL)
		return change;

	change = g_malloc0(sizeof(Change) + key.size);
	memcpy(change->key_bytes, key.data, key.size);
	change->key = (KvSlice){ change->key_bytes, key.size };
	add(layer, change);
	return change;
}

/* Makes room for @size bytes; what is there stays. Files grow by appending,
 * so the room is doubled while it is small. */
static void
reserve(ChangeLayer *layer, Change *change, size_t size)
{
	size_t capacity;

	if (change->value != NULL && change->capacity >= size)
		return;

	capacity = MAX(size, MIN(change->capacity * 2, size + 4096));
	change->value = g_realloc(change->value, capacity + CHANGE_TRAILER);
	layer->bytes += capacity - change->capacity;
	change->capacity = capacity;
}

void
change_layer_put(ChangeLayer *layer, KvSlice key, KvSlice value)
{
	Change *change = obtain(layer, key);

	reserve(layer, change, value.size);
	if (value.size > 0)
		memcpy(change->value, value.data, value.size);
	change->size = value.size;
}

void
change_layer_delete(ChangeLayer *layer, KvSlice key)
{
	Change *change = obtain(layer, key);

	layer->bytes -= change->capacity;
	g_clear_pointer(&change->value, g_free);
	change->size = 0;
	change->capacity = 0;
}

uint8_t *
change_layer_resize(ChangeLayer *layer, KvSlice key, size_t size)
{
	Change *change = obtain(layer, key);

	reserve(layer, change, size);
	if (size > change->size)
		memset(change->value + change->size, 0, size - change->size);
	change->size = size;
	return change->value;
}

void
change_layer_forget(ChangeLayer *layer, KvSlice key)
{
	const Change *change = change_layer_find(layer, key);

	if (change == NULL)
		return;
	layer->bytes -= cost(change);
	g_tree_remove(layer->tree, &key);
}

ChangePlace *
change_layer_seek(const ChangeLayer *layer, KvSlice from)
{
	return g_tree_lower_bound(layer->tree, &from);
}

const Change *
change_place_get(ChangePlace *place)
{
	return g_tree_node_value(place);
}

ChangePlace *
change_place_next(ChangePlace *place)
{
	return g_tree_node_next(place);
}

/* Takes every change out of @layer, into an array that owns them. */
static GPtrArray *
take_all(ChangeLayer *layer)
{
	GPtrArray *all = g_ptr_array_new();
	GTreeNode *node;
	guint i;

	for (node = g_tree_node_first(layer->tree); node != NULL;
	     node = g_tree_node_next(node))
		g_ptr_array_add(all, g_tree_node_value(node));
	for (i = 0; i < all->len; i++) {
		Change *change = all->pdata[i];

		g_tree_steal(layer->tree, &change->key);
		layer->bytes -= cost(change);
	}
	return all;
}

void
change_layer_move_under(ChangeLayer *from, ChangeLayer *onto)
{
	g_autoptr(GPtrArray) all = take_all(from);
	guint i;

	for (i = 0; i < all->len; i++) {
		Change *change = all->pdata[i];
		Change *over = change_layer_find(onto, change->key);

		if (over == NULL) {
			add(onto, change);
			continue;
		}
		/* It replaces what that has replaced. */
		over->beneath = change->beneath;
		change_free(change);
	}
}

void
change_layer_move_over(ChangeLayer *from, ChangeLayer *onto)
{
	g_autoptr(GPtrArray) all = take_all(from);
	guint i;

	for (i = 0; i < all->len; i++) {
		Change *change = all->pdata[i];

		change_layer_forget(onto, change->key);
		add(onto, change);
	}
}

bool
change_place_has_prefix(ChangePlace *place, KvSlice prefix)
{
	const Change *change = place == NULL ? NULL : change_place_get(place);

	return change != NULL && change->key.size >= prefix.size &&
	       memcmp(change->key_bytes, prefix.data, prefix.size) == 0;
}

bool
change_layer_has_prefix(const ChangeLayer *layer, KvSlice prefix)
{
	return change_place_has_prefix(change_layer_seek(layer, prefix),
	                               prefix);
}

void
change_layer_move_prefix(ChangeLayer *from, KvSlice prefix, ChangeLayer *onto)
{
	ChangePlace *place;

	while (place = change_layer_seek(from, prefix),
	       change_place_has_prefix(place, prefix)) {
		Change *change = g_tree_node_value(place);

		g_tree_steal(from->tree, &change->key);
		from->bytes -= cost(change);
		change_layer_forget(onto, change->key);
		add(onto, change);
	}
}
