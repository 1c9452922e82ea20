/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How deep directories are
 *
 * - Not ever deeper: every walk up to the root takes as long, and every path is
 *   as long.
 * - What is moved takes all below it along. How high that is takes a walk over
 *   all names in it, so it is looked at only where it would be deeper than it
 *   was; a rename within a directory, or up, is as quick as any.
 */

#include <errno.h>
#include <sys/stat.h>

#include "store/internal.h"

/* How many directories @dir is below the root. Errors: -ENAMETOOLONG too many,
 * -EINVAL it is @node, or below that; -ESTALE. */
static int
find_depth(StoreTxn *txn, StoreNode dir, StoreNode node, unsigned *ret_depth)
{
	RecordNode record;
	unsigned depth;
	int r;

	for (depth = 0; depth <= STORE_DEPTH_MAX; depth++) {
		if (dir == node)
			return -EINVAL;
		if (dir == STORE_ROOT) {
			*ret_depth = depth;
			return 0;
		}
		r = node_load(txn, dir, &record);
		if (r == 0 && record.attr.parent == 0)
			r = -ESTALE;
		if (r < 0)
			return r;
		dir = record.attr.parent;
	}
	return -ENAMETOOLONG;
}

/* Adds the directories in @dir. */
static int
add_dirs(StoreTxn *txn, StoreNode dir, GArray *dirs)
{
	RecordKey prefix = record_key_name(dir, "");
	RecordName name;
	TxnIter iter;
	KvSlice key;
	KvSlice value;
	int r;

	r = txn_iter_begin(txn, &prefix, &prefix, &iter);
	while (r == 0) {
		r = txn_iter_next(&iter, &key, &value);
		if (r == 0)
			r = record_name_decode(value, &name);
		if (r == 0 && S_ISDIR(name.mode))
			g_array_append_val(dirs, name.node);
	}
	txn_iter_end(&iter);
	return r == -ENOENT ? 0 : r;
}

/* Whether there are no more than @max directories below each other in @dir. */
static int
check_height(StoreTxn *txn, StoreNode dir, unsigned max)
{
	g_autoptr(GArray) level = g_array_new(FALSE, FALSE, sizeof(dir));
	unsigned height;
	guint i;
	int r = 0;

	g_array_append_val(level, dir);
	for (height = 0; r == 0 && level->len > 0; height++) {
		g_autoptr(GArray) above = g_steal_pointer(&level);

		if (height > max)
			return -ENAMETOOLONG;
		level = g_array_new(FALSE, FALSE, sizeof(dir));
		for (i = 0; r == 0 && i < above->len; i++)
			r = add_dirs(txn, g_array_index(above, StoreNode, i),
			             level);
	}
	return r;
}

int
depth_check(StoreTxn *txn, StoreNode dir)
{
	unsigned depth;
	int r = find_depth(txn, dir, 0, &depth);

	return r == 0 && depth >= STORE_DEPTH_MAX ? -ENAMETOOLONG : r;
}

int
depth_check_move(StoreTxn *txn, StoreNode node, StoreNode from, StoreNode to)
{
	unsigned old_depth;
	unsigned depth;
	int r;

	if (from == to)
		return 0;
	r = find_depth(txn, to, node, &depth);
	if (r < 0)
		return r;
	r = find_depth(txn, from, 0, &old_depth);
	/* Where it is may be deeper than any is made now. */
	if (r == -ENAMETOOLONG || (r == 0 && depth <= old_depth))
		return 0;
	if (r == 0 && depth >= STORE_DEPTH_MAX)
		r = -ENAMETOOLONG;
	return r < 0 ? r : check_height(txn, node, STORE_DEPTH_MAX - depth - 1);
}
