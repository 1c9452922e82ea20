/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/lock_file.h"
#include "fs/number.h"

/* So many numbers are looked at. */
#define NODES 1000

/* From here on a node's number would be one of those that are given anew. */
#define HIGH (UINT64_C(1) << 31)

static int
setup(void **state)
{
	*state = fs_numbers_new();
	return 0;
}

static int
teardown(void **state)
{
	fs_numbers_free(*state);
	return 0;
}

static uint64_t
of_file(const FsNumbers *numbers, StoreNode node)
{
	StoreAttr attr = { .node = node, .mode = S_IFREG };

	return fs_numbers_get(numbers, &attr);
}

static uint64_t
of_dir(const FsNumbers *numbers, StoreNode node)
{
	StoreAttr attr = { .node = node, .mode = S_IFDIR };

	return fs_numbers_get(numbers, &attr);
}

static uint64_t
of_lock_file(const FsNumbers *numbers, const char *name, int64_t birth_ns)
{
	StoreAttr attr = { .node = fs_lock_file_node(STORE_ROOT, name),
		           .mode = S_IFREG,
		           .btime_ns = birth_ns };

	return fs_numbers_get(numbers, &attr);
}

static void
no_two_nodes_have_one_number(void **state)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(
		g_int64_hash, g_int64_equal, g_free, NULL);

	for (StoreNode node = 1; node <= NODES; node++) {
		uint64_t numbers[] = {
			of_file(*state, node),
			of_file(*state, node + HIGH),
			of_dir(*state, node + NODES),
			of_lock_file(*state, "INQUEUE3.0LK", (int64_t)node),
			of_lock_file(*state, "INQUEUE.0LK", (int64_t)node),
		};

		for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
			assert_int_not_equal(numbers[i], 0);
			assert_true(g_hash_table_add(
				seen,
				g_memdup2(&numbers[i], sizeof(uint64_t))));
		}
		if (node % 2 == 0)
			fs_numbers_change(*state, node + 1);
	}
}

static void
a_number_stays_until_it_is_changed(void **state)
{
	uint64_t first = of_file(*state, 7);
	uint64_t other = of_file(*state, 8);
	uint64_t lock_file = of_lock_file(*state, "A.0LK", 1);
	uint64_t second;

	assert_int_equal(of_file(*state, 7), first);
	fs_numbers_change(*state, 7);
	second = of_file(*state, 7);
	assert_int_not_equal(second, first);
	assert_int_equal(of_file(*state, 7), second);
	fs_numbers_change(*state, 7);
	assert_int_not_equal(of_file(*state, 7), first);
	assert_int_not_equal(of_file(*state, 7), second);
	assert_int_equal(of_file(*state, 8), other);
	assert_int_equal(of_lock_file(*state, "A.0LK", 1), lock_file);
}

/* Old programs cannot be told more. */
static void
the_number_of_an_early_node_fits_32_bits(void **state)
{
	assert_true(of_file(*state, 1 << 30) <= G_MAXUINT32);
	fs_numbers_change(*state, 7);
	assert_true(of_file(*state, 7) <= G_MAXUINT32);
}

static void
a_file_has_another_number_in_another_mount(void **state)
{
	g_autoptr(FsNumbers) others = fs_numbers_new();

	assert_int_equal(of_dir(*state, 1), 1);
	assert_int_equal(of_dir(others, 1), 1);
	/* Once in a thousand million times it is the same. */
	assert_int_not_equal(of_file(*state, 1), of_file(others, 1));
	assert_int_not_equal(of_lock_file(*state, "A.0LK", 1),
	                     of_lock_file(others, "A.0LK", 1));
}

static void
many_changes_do_not_fill_the_memory(void **state)
{
	uint64_t last = of_file(*state, FS_NUMBER_CHANGES_MAX + 1);
	uint64_t first;

	for (StoreNode node = 1; node <= FS_NUMBER_CHANGES_MAX; node++)
		fs_numbers_change(*state, node);
	/* What is remembered may be changed, and nothing else. */
	first = of_file(*state, 1);
	fs_numbers_change(*state, 1);
	fs_numbers_change(*state, FS_NUMBER_CHANGES_MAX + 1);
	assert_int_not_equal(of_file(*state, 1), first);
	assert_int_equal(of_file(*state, FS_NUMBER_CHANGES_MAX + 1), last);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_two_nodes_have_one_number),
		TEST(a_number_stays_until_it_is_changed),
		TEST(the_number_of_an_early_node_fits_32_bits),
		TEST(a_file_has_another_number_in_another_mount),
		TEST(many_changes_do_not_fill_the_memory),
	};

	fs_numbers_free(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
