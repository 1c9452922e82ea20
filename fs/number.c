/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/number.h"

#include <stdint.h>
#include <sys/stat.h>

#include <xxhash.h>

#include "fs/lock_file.h"

/*
 * Old programs cannot be told a number beyond 32 bits. These are divided:
 *
 * - Directories have the lowest.
 * - A file's is its node, moved by what the mount began with.
 * - What has another number has the next of those that nobody had, in the upper
 *   quarter. A node that would get there is moved beyond.
 *
 * That of a lock file, whose node is a hash, too, has the highest bit set.
 */
#define QUARTER  (INT64_C(1) << 30)
#define BEYOND   (UINT64_C(1) << 32)
#define LOCK_BIT (UINT64_C(1) << 63)

struct FsNumbers {
	uint64_t base;
	uint64_t next;
	GHashTable *changed; /* node -> its number, if that is another */
	GHashTable *owed;    /* set of nodes; each is open */
};

FsNumbers *
fs_numbers_new(void)
{
	FsNumbers *numbers = g_new(FsNumbers, 1);

	numbers->base = (uint64_t)g_random_int_range(QUARTER, G_MAXINT32);
	/* Half of the quarter is left at least. */
	numbers->next =
		3 * QUARTER + (uint64_t)g_random_int_range(0, QUARTER / 2);
	numbers->changed = g_hash_table_new(NULL, NULL);
	numbers->owed = g_hash_table_new(NULL, NULL);
	return numbers;
}

void
fs_numbers_free(FsNumbers *numbers)
{
	if (numbers == NULL)
		return;

	g_hash_table_unref(numbers->changed);
	g_hash_table_unref(numbers->owed);
	g_free(numbers);
}

/* Whoever created it anew has made another file of it. */
static uint64_t
lock_number(const FsNumbers *numbers, const StoreAttr *attr)
{
	uint64_t born[] = { attr->node, (uint64_t)attr->btime_ns };

	return XXH3_64bits_withSeed(born, sizeof(born), numbers->base) |
	       LOCK_BIT;
}

ino_t
fs_numbers_get(const FsNumbers *numbers, const StoreAttr *attr)
{
	uint64_t moved = attr->node + numbers->base;
	gpointer changed;

	if (S_ISDIR(attr->mode))
		return attr->node;
	if (fs_lock_file_is_node(attr->node))
		return lock_number(numbers, attr);

	changed = g_hash_table_lookup(numbers->changed,
	                              GSIZE_TO_POINTER(attr->node));
	if (changed != NULL)
		return GPOINTER_TO_SIZE(changed);
	return moved < 3 * QUARTER ? moved : moved + BEYOND;
}

void
fs_numbers_change(FsNumbers *numbers, StoreNode node)
{
	gpointer key = GSIZE_TO_POINTER(node);

	if (g_hash_table_size(numbers->changed) < FS_NUMBER_CHANGES_MAX ||
	    g_hash_table_contains(numbers->changed, key))
		g_hash_table_insert(numbers->changed, key,
		                    GSIZE_TO_POINTER(numbers->next++));
}

void
fs_numbers_owe(FsNumbers *numbers, StoreNode node)
{
	g_hash_table_add(numbers->owed, GSIZE_TO_POINTER(node));
}

bool
fs_numbers_owes(const FsNumbers *numbers, StoreNode node)
{
	return g_hash_table_contains(numbers->owed, GSIZE_TO_POINTER(node));
}

void
fs_numbers_settle(FsNumbers *numbers, StoreNode node)
{
	if (g_hash_table_remove(numbers->owed, GSIZE_TO_POINTER(node)))
		fs_numbers_change(numbers, node);
}
