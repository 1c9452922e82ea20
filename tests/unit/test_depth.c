/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How deep directories may be.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "store/name.h"
#include "tests/unit/store_kit.h"

static void
directories_do_not_get_ever_deeper(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreAttr attr = { .mode = S_IFDIR | 0755 };
	StoreNode dir = STORE_ROOT;
	int depth = 0;
	int r = 0;

	while (r == 0 && depth <= STORE_DEPTH_MAX) {
		attr.mode = S_IFDIR | 0755;
		r = store_name_add(store_plain(store), dir, "d", &attr, &attr);
		dir = attr.node;
		depth++;
	}
	assert_int_equal(r, -ENAMETOOLONG);
}

/* Adds as many directories below each other; returns the last one. */
static StoreNode
add_chain(Store *store, StoreNode dir, int count)
{
	while (count-- > 0)
		dir = test_add_dir(store, dir, "d");
	return dir;
}

/* A directory @name, with a file and as many directories below each other. */
static StoreNode
add_tree(Store *store, StoreNode dir, const char *name, int height)
{
	StoreNode tree = test_add_dir(store, dir, name);

	(void)test_add_file(store, tree, "a");
	if (height > 0)
		(void)test_add_dir(store, tree, "b");
	(void)add_chain(store, tree, height);
	return tree;
}

static int
move(StoreTxn *txn, StoreNode from, const char *name, StoreNode to)
{
	return store_name_move(txn, from, name, to, name, STORE_MOVE_NOREPLACE);
}

static int
exchange(StoreTxn *txn, StoreNode dir, const char *name, StoreNode new_dir,
         const char *new_name)
{
	return store_name_move(txn, dir, name, new_dir, new_name,
	                       STORE_MOVE_EXCHANGE);
}

/* So deep that there is room for this many below. */
#define ROOM 3

static void
what_is_below_a_directory_goes_as_deep(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreTxn *plain = store_plain(store);
	StoreNode deep = add_chain(store, STORE_ROOT, STORE_DEPTH_MAX - ROOM);
	StoreNode high;

	high = add_tree(store, STORE_ROOT, "high", ROOM);
	(void)add_tree(store, STORE_ROOT, "low", ROOM - 1);
	assert_int_equal(move(plain, STORE_ROOT, "high", deep), -ENAMETOOLONG);
	assert_int_equal(move(plain, STORE_ROOT, "low", deep), 0);
	assert_int_equal(exchange(plain, STORE_ROOT, "high", deep, "low"),
	                 -ENAMETOOLONG);
	assert_int_equal(exchange(plain, deep, "low", STORE_ROOT, "high"),
	                 -ENAMETOOLONG);

	/* Where nothing gets deeper all is as before. */
	assert_int_equal(store_name_move(plain, deep, "low", deep, "same",
	                                 STORE_MOVE_NOREPLACE),
	                 0);
	assert_int_equal(move(plain, deep, "same", STORE_ROOT), 0);
	assert_int_equal(
		exchange(plain, STORE_ROOT, "high", STORE_ROOT, "same"), 0);
	assert_int_equal(move(plain, STORE_ROOT, "same", high), -EINVAL);

	/* There is an end to it for what is empty, too. */
	(void)test_add_dir(store, STORE_ROOT, "empty");
	deep = add_chain(store, deep, ROOM);
	assert_int_equal(move(plain, STORE_ROOT, "empty", deep), -ENAMETOOLONG);
}

static void
what_is_staged_below_a_directory_counts(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreAttr attr = { .mode = S_IFDIR | 0755 };
	StoreNode deep = add_chain(store, STORE_ROOT, STORE_DEPTH_MAX - 1);
	StoreNode tree = test_add_dir(store, STORE_ROOT, "tree");
	g_autoptr(StoreTxn) txn = NULL;

	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	assert_int_equal(store_name_add(txn, tree, "e", &attr, &attr), 0);
	assert_int_equal(move(txn, STORE_ROOT, "tree", deep), -ENAMETOOLONG);
	assert_int_equal(store_name_remove(txn, tree, "e", S_IFDIR), 0);
	assert_int_equal(move(txn, STORE_ROOT, "tree", deep), 0);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
}

/* ---- what an older program has moved -------------------------------------*/

/* Puts directory @name of the root into @dir, whatever that comes to. */
static void
put_below(Store *store, const char *name, StoreNode dir)
{
	StoreTxn *plain = store_plain(store);
	char folded[NAME_FOLDED_MAX + 1];
	RecordName value = { .mode = S_IFDIR };
	uint8_t buf[RECORD_NAME_MAX];
	StoreEntry entry;
	RecordNode node;
	RecordKey key;

	assert_true(name_fold(name, folded) > 0);
	assert_int_equal(store_name_find(plain, STORE_ROOT, name, &entry), 0);
	STORE_LOCK(store);
	assert_int_equal(node_load(plain, entry.node, &node), 0);
	node.attr.parent = dir;
	node_save(plain, &node);
	value.node = entry.node;
	g_strlcpy(value.name, name, sizeof(value.name));
	key = record_key_name(STORE_ROOT, folded);
	txn_delete(plain, record_slice(&key));
	key = record_key_name(dir, folded);
	txn_put(plain, record_slice(&key),
	        (KvSlice){ buf, record_name_encode(&value, buf) });
}

/* Has a directory "TOP" at the end of three chains; returns it, and the one that
 * it is in. */
static StoreNode
add_abyss(Store *store, StoreNode *ret_dir)
{
	StoreNode top = test_add_dir(store, STORE_ROOT, "TOP");
	StoreNode dir = STORE_ROOT;
	char name[] = "A";
	int i;

	for (i = 0; i < 3; i++, name[0]++) {
		StoreNode chain = test_add_dir(store, STORE_ROOT, name);
		StoreNode end = add_chain(store, chain, STORE_DEPTH_MAX - 1);

		if (dir != STORE_ROOT)
			put_below(store, name, dir);
		dir = end;
	}
	put_below(store, "TOP", dir);
	*ret_dir = dir;
	return top;
}

static void
what_is_too_deep_has_no_path_and_can_be_moved_up(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreTxn *plain = store_plain(store);
	g_autofree char *path = NULL;
	StoreAttr attr = { .mode = S_IFDIR | 0755 };
	StoreNode dir;
	StoreNode top = add_abyss(store, &dir);

	assert_int_equal(store_node_path(plain, top, &path), -ENAMETOOLONG);
	assert_int_equal(store_name_add(plain, top, "e", &attr, &attr),
	                 -ENAMETOOLONG);
	assert_int_equal(store_name_move(plain, dir, "TOP", dir, "T",
	                                 STORE_MOVE_NOREPLACE),
	                 0);
	(void)test_add_dir(store, STORE_ROOT, "OTHER");
	assert_int_equal(move(plain, STORE_ROOT, "OTHER", top), -ENAMETOOLONG);
	assert_int_equal(move(plain, dir, "T", STORE_ROOT), 0);
	assert_int_equal(store_node_path(plain, top, &path), 0);
	assert_string_equal(path, "/T");
	test_store_check(store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(directories_do_not_get_ever_deeper),
		STORE_TEST(what_is_below_a_directory_goes_as_deep),
		STORE_TEST(what_is_staged_below_a_directory_counts),
		STORE_TEST(what_is_too_deep_has_no_path_and_can_be_moved_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
