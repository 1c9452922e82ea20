/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/number.h"

#include <stdint.h>
#include <sys/stat.h>

/*
 * A file's number is its node, moved by what the mount began with, which is
 * beyond all nodes of directories; above, in 16 bits, is how often it was
 * changed. Most fit 32 bits: more cannot be told to some old programs.
 */
#define BASE_MIN      (1 << 30)
#define BASE_MAX      G_MAXINT32
#define CHANGES_SHIFT 48
#define CHANGES_MASK  0xffffu

struct FsNumbers {
	uint64_t base;
	GHashTable *changes; /* node -> how often, if ever */
};

static uint64_t
new_base(void)
{
	return (uint64_t)g_random_int_range(BASE_MIN, BASE_MAX);
}

FsNumbers *
fs_numbers_new(void)
{
	FsNumbers *numbers = g_new(FsNumbers, 1);

	numbers->base = new_base();
	numbers->changes = g_hash_table_new(NULL, NULL);
	return numbers;
}

void
fs_numbers_free(FsNumbers *numbers)
{
	if (numbers == NULL)
		return;

	g_hash_table_unref(numbers->changes);
	g_free(numbers);
}

static unsigned
changes_of(const FsNumbers *numbers, StoreNode node)
{
	return GPOINTER_TO_UINT(
		g_hash_table_lookup(numbers->changes, GSIZE_TO_POINTER(node)));
}

ino_t
fs_numbers_get(const FsNumbers *numbers, StoreNode node, mode_t mode)
{
	uint64_t moved = node + numbers->base;

	if (S_ISDIR(mode))
		return node;

	return moved ^ (uint64_t)changes_of(numbers, node) << CHANGES_SHIFT;
}

void
fs_numbers_change(FsNumbers *numbers, StoreNode node)
{
	unsigned changes = (changes_of(numbers, node) + 1) & CHANGES_MASK;

	if (g_hash_table_size(numbers->changes) >= FS_NUMBER_CHANGES_MAX) {
		g_hash_table_remove_all(numbers->changes);
		numbers->base = new_base();
	}
	g_hash_table_insert(numbers->changes, GSIZE_TO_POINTER(node),
	                    GUINT_TO_POINTER(changes));
}
