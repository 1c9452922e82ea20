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

static void
no_two_nodes_have_one_number(void **state)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(
		g_int64_hash, g_int64_equal, g_free, NULL);
	StoreNode lock = fs_lock_file_node(STORE_ROOT, "INQUEUE3.0LK");

	for (StoreNode node = 1; node <= NODES; node++) {
		uint64_t numbers[] = {
			fs_numbers_get(*state, node, S_IFREG),
			fs_numbers_get(*state, node + NODES, S_IFDIR),
			fs_numbers_get(*state, lock + node, S_IFREG),
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
	uint64_t first = fs_numbers_get(*state, 7, S_IFREG);
	uint64_t other = fs_numbers_get(*state, 8, S_IFREG);
	uint64_t second;

	assert_int_equal(fs_numbers_get(*state, 7, S_IFREG), first);
	fs_numbers_change(*state, 7);
	second = fs_numbers_get(*state, 7, S_IFREG);
	assert_int_not_equal(second, first);
	fs_numbers_change(*state, 7);
	assert_int_not_equal(fs_numbers_get(*state, 7, S_IFREG), first);
	assert_int_not_equal(fs_numbers_get(*state, 7, S_IFREG), second);
	assert_int_equal(fs_numbers_get(*state, 8, S_IFREG), other);
}

/* Old programs cannot be told more. */
static void
the_number_of_an_early_node_fits_32_bits(void **state)
{
	assert_true(fs_numbers_get(*state, G_MAXINT32, S_IFREG) <= G_MAXUINT32);
}

static void
a_file_has_another_number_in_another_mount(void **state)
{
	g_autoptr(FsNumbers) others = fs_numbers_new();

	assert_int_equal(fs_numbers_get(*state, 1, S_IFDIR), 1);
	assert_int_equal(fs_numbers_get(others, 1, S_IFDIR), 1);
	/* Once in a thousand million times it is the same. */
	assert_int_not_equal(fs_numbers_get(*state, 1, S_IFREG),
	                     fs_numbers_get(others, 1, S_IFREG));
}

static void
many_changes_do_not_fill_the_memory(void **state)
{
	uint64_t base = fs_numbers_get(*state, 1, S_IFREG);

	for (StoreNode node = 2; node < 2 + FS_NUMBER_CHANGES_MAX; node++)
		fs_numbers_change(*state, node);
	assert_int_equal(fs_numbers_get(*state, 1, S_IFREG), base);
	/* It is not remembered how often: so all are others. */
	for (int i = 0; i < 2; i++) {
		uint64_t last = fs_numbers_get(*state, 9, S_IFREG);

		fs_numbers_change(*state, i == 0 ? 1 : 9);
		assert_int_not_equal(fs_numbers_get(*state, 9, S_IFREG), last);
	}
	assert_int_not_equal(fs_numbers_get(*state, 1, S_IFREG), base);
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
