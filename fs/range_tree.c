/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/range_tree.h"

static void
range_update(FsRange *range)
{
	range->reach = range->last;
	if (range->left != NULL)
		range->reach = MAX(range->reach, range->left->reach);
	if (range->right != NULL)
		range->reach = MAX(range->reach, range->right->reach);
}

/* Many may begin at one byte; their addresses tell them apart. */
static bool
range_is_before(const FsRange *a, const FsRange *b)
{
	if (a->first != b->first)
		return a->first < b->first;
	return (uintptr_t)a < (uintptr_t)b;
}

/* Joins two trees of which all of @a is before all of @b. */
static FsRange *
tree_join(FsRange *a, FsRange *b)
{
	if (a == NULL)
		return b;
	if (b == NULL)
		return a;

	if (a->priority > b->priority) {
		a->right = tree_join(a->right, b);
		range_update(a);
		return a;
	}
	b->left = tree_join(a, b->left);
	range_update(b);
	return b;
}

/* Parts @tree into what is before @at and the rest. */
static void
tree_split(FsRange *tree, const FsRange *at, FsRange **ret_before,
           FsRange **ret_rest)
{
	if (tree == NULL) {
		*ret_before = NULL;
		*ret_rest = NULL;
	} else if (range_is_before(tree, at)) {
		tree_split(tree->right, at, &tree->right, ret_rest);
		range_update(tree);
		*ret_before = tree;
	} else {
		tree_split(tree->left, at, ret_before, &tree->left);
		range_update(tree);
		*ret_rest = tree;
	}
}

void
fs_range_tree_add(FsRange **tree, const FsLockOwner *owner, uint64_t first,
                  uint64_t last, bool exclusive)
{
	FsRange *range = g_new0(FsRange, 1);
	FsRange *before;
	FsRange *rest;

	range->first = first;
	range->last = last;
	range->exclusive = exclusive;
	range->owner = *owner;
	range->priority = g_random_int();
	range_update(range);

	tree_split(*tree, range, &before, &rest);
	*tree = tree_join(tree_join(before, range), rest);
}

static FsRange *
tree_without(FsRange *tree, const FsRange *range)
{
	g_assert(tree != NULL);

	if (tree == range)
		return tree_join(tree->left, tree->right);

	if (range_is_before(range, tree))
		tree->left = tree_without(tree->left, range);
	else
		tree->right = tree_without(tree->right, range);
	range_update(tree);
	return tree;
}

void
fs_range_tree_remove(FsRange **tree, FsRange *range)
{
	*tree = tree_without(*tree, range);
	g_free(range);
}

/* Whether @range is one that is looked for. */
typedef bool RangeMatch(const FsRange *range, const void *user_data);

typedef struct Search {
	uint64_t first;
	uint64_t last;
	RangeMatch *match;
	const void *user_data;
} Search;

static bool
search_matches(const Search *search, const FsRange *range)
{
	return range->last >= search->first &&
	       search->match(range, search->user_data);
}

static FsRange *
tree_find(FsRange *tree, const Search *search)
{
	FsRange *found;

	if (tree == NULL || tree->reach < search->first)
		return NULL;

	found = tree_find(tree->left, search);
	if (found != NULL || tree->first > search->last)
		return found;
	if (search_matches(search, tree))
		return tree;
	return tree_find(tree->right, search);
}

static void
tree_list(FsRange *tree, const Search *search, GPtrArray *found)
{
	if (tree == NULL || tree->reach < search->first)
		return;

	tree_list(tree->left, search, found);
	if (tree->first > search->last)
		return;
	if (search_matches(search, tree))
		g_ptr_array_add(found, tree);
	tree_list(tree->right, search, found);
}

/* What somebody asks for. */
typedef struct Request {
	const FsLockOwner *owner;
	const FsLockRange *range;
} Request;

static bool
match_obstacle(const FsRange *held, const void *user_data)
{
	const Request *request = user_data;

	return held->owner.owner != request->owner->owner &&
	       (held->exclusive || request->range->exclusive);
}

static bool
match_owner(const FsRange *held, const void *user_data)
{
	const uint64_t *owner = user_data;

	return held->owner.owner == *owner;
}

static bool
match_handle(const FsRange *held, const void *user_data)
{
	return held->owner.handle == user_data;
}

FsRange *
fs_range_tree_obstacle(FsRange *tree, const FsLockOwner *owner,
                       const FsLockRange *range)
{
	const Request request = { .owner = owner, .range = range };
	const Search search = { range->first, range->last, match_obstacle,
		                &request };

	return tree_find(tree, &search);
}

GPtrArray *
fs_range_tree_obstacles(FsRange *tree, const FsLockOwner *owner,
                        const FsLockRange *range)
{
	GPtrArray *found = g_ptr_array_new();
	const Request request = { .owner = owner, .range = range };
	const Search search = { range->first, range->last, match_obstacle,
		                &request };

	tree_list(tree, &search, found);
	return found;
}

GPtrArray *
fs_range_tree_of_owner(FsRange *tree, uint64_t owner, uint64_t first,
                       uint64_t last)
{
	GPtrArray *found = g_ptr_array_new();
	const Search search = { first, last, match_owner, &owner };

	tree_list(tree, &search, found);
	return found;
}

GPtrArray *
fs_range_tree_of_handle(FsRange *tree, const void *handle)
{
	GPtrArray *found = g_ptr_array_new();
	const Search search = { 0, UINT64_MAX, match_handle, handle };

	tree_list(tree, &search, found);
	return found;
}

bool
fs_range_tree_has_handle(FsRange *tree, const void *handle, uint64_t below)
{
	const Search search = { 0, below - 1, match_handle, handle };

	return below > 0 && tree_find(tree, &search) != NULL;
}

void
fs_range_tree_free(FsRange *tree)
{
	if (tree == NULL)
		return;

	fs_range_tree_free(tree->left);
	fs_range_tree_free(tree->right);
	g_free(tree);
}
