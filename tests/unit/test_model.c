/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Random operations on the store and on a plain model in memory: after every
 * step the results must be equal, and after every reopening all there is.
 * A failure prints the seed and the step; POFS_SEED repeats it.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "tests/unit/model.h"
#include "tests/unit/store_kit.h"

#define ROUNDS 12
#define STEPS  2500

/* Names that fold together, that are long, and that DOS cannot have. */
static const char *const names[] = {
	"A",        "b",   "B", "Long name.txt", "\xc3\x84",
	"\xc3\xa4", "c.d", "e", "LONG NAME.TXT", "f"
};

typedef struct Walk {
	TestStore *test;
	Model *model;
	GRand *rand;
	unsigned step;
} Walk;

static const char *
any_name(Walk *w)
{
	return names[g_rand_int_range(w->rand, 0, G_N_ELEMENTS(names))];
}

static size_t
any_size(Walk *w)
{
	static const int limits[] = { 10, 1100, 5000, 70000 };

	return (size_t)g_rand_int_range(
		w->rand, 0, limits[g_rand_int_range(w->rand, 0, 4)]);
}

/* ---- one step each; the model says what must come out ---------------------*/

static void
step_add(Walk *w, ModelNode *dir)
{
	const char *name = any_name(w);
	StoreAttr attr = { .mode = g_rand_boolean(w->rand) ? S_IFREG | 0644
		                                           : S_IFDIR | 0755 };
	ModelNode *made = NULL;
	int want = model_add(w->model, dir, name, attr.mode, &made);
	int r = store_name_add(store_plain(w->test->store), dir->node, name,
	                       &attr, &attr);

	assert_int_equal(r, want);
	if (r == 0)
		made->node = attr.node;
}

static void
step_remove(Walk *w, ModelNode *dir)
{
	const char *name = any_name(w);
	uint32_t type = g_rand_boolean(w->rand) ? S_IFREG : S_IFDIR;

	assert_int_equal(store_name_remove(store_plain(w->test->store),
	                                   dir->node, name, type),
	                 model_remove(w->model, dir, name, type));
}

static void
step_move(Walk *w, ModelNode *dir)
{
	ModelNode *to = model_any_dir(w->model, w->rand);
	const char *name = any_name(w);
	const char *new_name = any_name(w);
	StoreMove how = (StoreMove)g_rand_int_range(w->rand, 0, 3);

	assert_int_equal(store_name_move(store_plain(w->test->store), dir->node,
	                                 name, to->node, new_name, how),
	                 model_move(w->model, dir, name, to, new_name, how));
}

static void
step_write(Walk *w, ModelNode *file)
{
	uint64_t offset =
		any_size(w) * (g_rand_int_range(w->rand, 0, 8) == 0 ? 50 : 1);
	size_t size = any_size(w);
	g_autofree uint8_t *data = g_malloc(size + 1);
	size_t i;

	for (i = 0; i < size; i++)
		data[i] = (uint8_t)(g_rand_int(w->rand) | 1);
	assert_int_equal(store_file_write(store_plain(w->test->store),
	                                  file->node, offset, data, size),
	                 0);
	model_write(file, offset, data, size);
}

static void
step_truncate(Walk *w, ModelNode *file)
{
	uint64_t size = any_size(w);

	assert_int_equal(store_file_truncate(store_plain(w->test->store),
	                                     file->node, size),
	                 0);
	model_truncate(file, size);
}

static void
step_punch(Walk *w, ModelNode *file)
{
	uint64_t offset = any_size(w);
	uint64_t size = any_size(w);

	assert_int_equal(store_file_punch(store_plain(w->test->store),
	                                  file->node, offset, size),
	                 0);
	model_punch(file, offset, size);
}

static void
step_read(Walk *w, ModelNode *file)
{
	uint64_t offset = any_size(w);
	size_t size = any_size(w);
	g_autofree uint8_t *got = g_malloc(size + 1);
	g_autofree uint8_t *want = g_malloc(size + 1);
	size_t got_size = 0;
	size_t want_size = model_read(file, offset, want, size);

	assert_int_equal(store_file_read(store_plain(w->test->store),
	                                 file->node, offset, got, size,
	                                 &got_size),
	                 0);
	assert_int_equal(got_size, want_size);
	assert_memory_equal(got, want, want_size);
}

static void
step_xattr(Walk *w, ModelNode *node)
{
	g_autofree char *name =
		g_strdup_printf("user.%d", g_rand_int_range(w->rand, 0, 4));
	g_autofree char *value = g_strdup_printf("%u", g_rand_int(w->rand));

	if (g_rand_boolean(w->rand)) {
		assert_int_equal(store_xattr_set(store_plain(w->test->store),
		                                 node->node, name, value,
		                                 strlen(value), 0),
		                 0);
		model_xattr_set(node, name, value);
	} else {
		assert_int_equal(store_xattr_remove(store_plain(w->test->store),
		                                    node->node, name),
		                 model_xattr_remove(node, name));
	}
}

static void
step_reopen(Walk *w)
{
	test_store_reopen(w->test);
	model_compare(w->model, w->test->store);
	test_store_check(w->test);
}

static void
step(Walk *w)
{
	ModelNode *dir = model_any_dir(w->model, w->rand);
	ModelNode *file = model_any_file(w->model, w->rand);
	int choice = g_rand_int_range(w->rand, 0, 100);

	if (choice == 0)
		step_reopen(w);
	else if (choice < 3)
		assert_int_equal(store_sync_wait(w->test->store), 0);
	else if (choice < 30 || (choice >= 52 && file == NULL))
		step_add(w, dir);
	else if (choice < 42)
		step_remove(w, dir);
	else if (choice < 52)
		step_move(w, dir);
	else if (choice < 70)
		step_write(w, file);
	else if (choice < 76)
		step_truncate(w, file);
	else if (choice < 80)
		step_punch(w, file);
	else if (choice < 92)
		step_read(w, file);
	else
		step_xattr(w, g_rand_boolean(w->rand) ? file : dir);
}

static void
the_store_behaves_like_a_plain_model(void **state)
{
	const char *fixed = g_getenv("POFS_SEED");
	unsigned round;

	for (round = 0; round < ROUNDS; round++) {
		guint32 seed = fixed != NULL ? (guint32)strtoul(fixed, NULL, 10)
		                             : g_random_int();
		TestStore *test = test_store_new();
		Walk w = { .test = test,
			   .model = model_new(),
			   .rand = g_rand_new_with_seed(seed) };

		print_message("POFS_SEED=%u\n", seed);
		for (w.step = 0; w.step < STEPS; w.step++)
			step(&w);
		step_reopen(&w);
		g_rand_free(w.rand);
		model_free(w.model);
		test_store_free(test);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_store_behaves_like_a_plain_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
