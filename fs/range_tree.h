/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "fs/range_lock.h"

/**
 * The ranges held on one file, found by where they are.
 *
 * A treap ordered by first byte, in which each node knows the farthest byte
 * below it: what overlaps a range is found in logarithmic time, however many
 * ranges there are.
 *
 * Threads: none of its own; range_lock.c keeps it under its mutex.
 */
typedef struct FsRange FsRange;

struct FsRange {
	uint64_t first; /* bytes, both ends included */
	uint64_t last;
	bool exclusive;
	FsLockOwner owner;
	/* The tree's own. */
	FsRange *left;
	FsRange *right;
	uint64_t reach;   /* the greatest last of this and all below */
	guint32 priority; /* random: keeps the treap flat */
};

/** Adds a range to the tree at *@tree, which owns it; NULL is an empty tree. */
void fs_range_tree_add(FsRange **tree, const FsLockOwner *owner, uint64_t first,
                       uint64_t last, bool exclusive);

/** Removes @range, which must be in the tree, and frees it. */
void fs_range_tree_remove(FsRange **tree, FsRange *range);

/**
 * The first of the ranges that keep @owner from @range: another owner's, where
 * one of the two is exclusive. NULL if nothing does. Borrowed.
 */
FsRange *fs_range_tree_obstacle(FsRange *tree, const FsLockOwner *owner,
                                const FsLockRange *range);

/** All that keep @owner from @range, in order; each is borrowed. */
GPtrArray *fs_range_tree_obstacles(FsRange *tree, const FsLockOwner *owner,
                                   const FsLockRange *range);

/** All of @owner that overlap @first to @last, in order; each is borrowed. */
GPtrArray *fs_range_tree_of_owner(FsRange *tree, uint64_t owner, uint64_t first,
                                  uint64_t last);

/** All that were taken through @handle, in order; each is borrowed. */
GPtrArray *fs_range_tree_of_handle(FsRange *tree, const void *handle);

/** Whether one that begins below byte @below was taken through @handle. */
bool fs_range_tree_has_handle(FsRange *tree, const void *handle,
                              uint64_t below);

/** Frees every range of @tree. */
void fs_range_tree_free(FsRange *tree);
