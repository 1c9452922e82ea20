/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A layer of changes: what it has by prefix, and what moves to another.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/change.h"

static KvSlice
slice(const char *text)
{
	return (KvSlice){ text, strlen(text) };
}

/* A layer with these keys, each with itself as value. */
static ChangeLayer *
layer_of(const char *const *keys)
{
	ChangeLayer *layer = change_layer_new();

	for (; *keys != NULL; keys++)
		change_layer_put(layer, slice(*keys), slice(*keys));
	return layer;
}

static void
assert_keys(const ChangeLayer *layer, const char *const *want)
{
	ChangePlace *place = change_layer_seek(layer, slice(""));

	for (; *want != NULL; want++, place = change_place_next(place)) {
		assert_non_null(place);
		assert_int_equal(
			change_compare_keys(change_place_get(place)->key,
		                            slice(*want)),
			0);
	}
	assert_null(place);
}

#define KEYS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void
a_prefix_is_found_by_whole_keys_only(void **state)
{
	g_autoptr(ChangeLayer) layer = layer_of(KEYS("aa", "b", "cc"));

	assert_true(change_layer_has_prefix(layer, slice("a")));
	assert_true(change_layer_has_prefix(layer, slice("aa")));
	/* The next key is shorter, is another, or is not there. */
	assert_false(change_layer_has_prefix(layer, slice("ab")));
	assert_false(change_layer_has_prefix(layer, slice("bb")));
	assert_false(change_layer_has_prefix(layer, slice("cd")));
}

static void
what_has_a_prefix_moves_over_what_is_there(void **state)
{
	g_autoptr(ChangeLayer) from = layer_of(KEYS("a", "ba", "bb", "c"));
	g_autoptr(ChangeLayer) onto = layer_of(KEYS("bb"));
	size_t bytes = change_layer_bytes(from) + change_layer_bytes(onto);

	change_layer_delete(from, slice("bb"));
	change_layer_move_prefix(from, slice("b"), onto);
	assert_keys(from, KEYS("a", "c"));
	assert_keys(onto, KEYS("ba", "bb"));
	assert_null(change_layer_find(onto, slice("bb"))->value);
	assert_true(change_layer_bytes(from) + change_layer_bytes(onto) <
	            bytes);

	/* Up to the last one. */
	change_layer_move_prefix(from, slice("c"), onto);
	change_layer_move_prefix(from, slice("a"), onto);
	assert_int_equal(change_layer_count(from), 0);
	assert_int_equal(change_layer_bytes(from), 0);
	assert_keys(onto, KEYS("a", "ba", "bb", "c"));
}

static void
what_moves_under_gives_way_and_what_moves_over_does_not(void **state)
{
	g_autoptr(ChangeLayer) under = layer_of(KEYS("a", "b"));
	g_autoptr(ChangeLayer) over = layer_of(KEYS("a", "c"));
	g_autoptr(ChangeLayer) onto = layer_of(KEYS("d"));

	change_layer_put(onto, slice("a"), slice("mine"));
	change_layer_move_under(under, onto);
	assert_keys(onto, KEYS("a", "b", "d"));
	assert_int_equal(change_layer_find(onto, slice("a"))->size, 4);
	change_layer_move_over(over, onto);
	assert_keys(onto, KEYS("a", "b", "c", "d"));
	assert_int_equal(change_layer_find(onto, slice("a"))->size, 1);
	assert_int_equal(change_layer_count(under), 0);
	assert_int_equal(change_layer_count(over), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_prefix_is_found_by_whole_keys_only),
		cmocka_unit_test(what_has_a_prefix_moves_over_what_is_there),
		cmocka_unit_test(
			what_moves_under_gives_way_and_what_moves_over_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
