/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What store.h promises, one behaviour a test.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "store/store.h"
#include "tests/unit/store_kit.h"

static StoreNode
find(StoreTxn *txn, StoreNode dir, const char *name)
{
	StoreEntry entry;

	assert_int_equal(store_name_find(txn, dir, name, &entry), 0);
	return entry.node;
}

static void
assert_missing(StoreTxn *txn, StoreNode dir, const char *name)
{
	StoreEntry entry;

	assert_int_equal(store_name_find(txn, dir, name, &entry), -ENOENT);
}

/* ---- transactions --------------------------------------------------------*/

static void
changes_are_invisible_until_the_commit(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreTxn *plain = store_plain(store);
	StoreNode file = test_add_file(store, STORE_ROOT, "f");
	g_autoptr(StoreTxn) txn = NULL;

	test_write(plain, file, "old");
	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	test_write(txn, file, "new");
	test_assert_text(plain, file, "old");
	test_assert_text(txn, file, "new");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_null(txn);
	test_assert_text(plain, file, "new");
}

static void
an_abort_leaves_no_trace(void **state)
{
	TestStore *test = *state;
	StoreTxn *plain = store_plain(test->store);
	StoreNode file = test_add_file(test->store, STORE_ROOT, "f");
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	StoreTxn *txn = NULL;

	test_write(plain, file, "old");
	assert_int_equal(store_txn_begin(test->store, "test", &txn), 0);
	test_write(txn, file, "new");
	assert_int_equal(store_name_add(txn, STORE_ROOT, "g", &attr, &attr), 0);
	test_remove(txn, STORE_ROOT, "f");
	store_txn_abort(txn);

	test_assert_text(plain, file, "old");
	assert_missing(plain, STORE_ROOT, "g");
	test_store_reopen(test);
	test_store_check(test->store);
}

static void
an_ignored_failure_still_fails_the_commit(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreNode file = test_add_file(store, STORE_ROOT, "f");
	StoreTxn *txn = NULL;

	test_write(store_plain(store), file, "old");
	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	test_write(txn, file, "half");
	assert_int_equal(
		store_file_write(txn, file, STORE_FILE_SIZE_MAX, "x", 1),
		-EFBIG);
	assert_int_equal(store_txn_commit_wait(&txn), -EFBIG);
	test_assert_text(store_plain(store), file, "old");
}

static void
a_refusal_does_not_poison(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreNode file = test_add_file(store, STORE_ROOT, "f");
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	StoreTxn *txn = NULL;

	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	test_write(txn, file, "new");
	assert_int_equal(store_name_add(txn, STORE_ROOT, "f", &attr, &attr),
	                 -EEXIST);
	assert_int_equal(store_name_remove(txn, STORE_ROOT, "g", S_IFREG),
	                 -ENOENT);
	assert_int_equal(store_xattr_remove(txn, file, "user.x"), -ENODATA);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	test_assert_text(store_plain(store), file, "new");
}

static void
a_postoffice_made_in_a_transaction_is_one_after_it(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreNode po = test_add_dir(store, STORE_ROOT, "po");
	StoreAttr key = { .mode = S_IFDIR | 0755 };
	StoreAttr mbg = { .mode = S_IFDIR | 0755 };
	StoreTxn *txn = NULL;
	LayoutDir role;

	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	assert_int_equal(store_name_add(txn, po, "KEY", &key, &key), 0);
	assert_int_equal(store_name_add(txn, po, "MBG", &mbg, &mbg), 0);
	assert_int_equal(store_dir_role(store_plain(store), po, &role), 0);
	assert_int_equal(role, LAYOUT_DIR_FOREIGN);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(store_dir_role(store_plain(store), key.node, &role),
	                 0);
	assert_int_equal(role, LAYOUT_DIR_KEY);
}

static void
a_rename_and_a_removal_are_one_in_a_transaction(void **state)
{
	TestStore *test = *state;
	StoreNode dir = test_add_dir(test->store, STORE_ROOT, "d");
	StoreNode copy = test_add_file(test->store, dir, "copy");
	StoreTxn *txn = NULL;

	test_write(store_plain(test->store),
	           test_add_file(test->store, dir, "bag"), "long");
	test_write(store_plain(test->store), copy, "short");
	assert_int_equal(store_txn_begin(test->store, "test", &txn), 0);
	assert_int_equal(store_name_move(txn, dir, "copy", dir, "bag",
	                                 STORE_MOVE_REPLACE),
	                 0);
	assert_int_not_equal(find(store_plain(test->store), dir, "bag"), copy);
	assert_missing(txn, dir, "copy");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(find(store_plain(test->store), dir, "bag"), copy);
	assert_missing(store_plain(test->store), dir, "copy");
	test_store_reopen(test);
	test_assert_text(store_plain(test->store), copy, "short");
	test_store_check(test->store);
}

static void
a_transaction_changes_the_times_of_its_directories_only(void **state)
{
	TestStore *test = *state;
	StoreNode dir = test_add_dir(test->store, STORE_ROOT, "d");
	StoreTxn *plain = store_plain(test->store);
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	StoreAttr old = { .mtime_ns = 5 };
	StoreAttr now;
	StoreTxn *txn = NULL;

	assert_int_equal(
		store_attr_set(plain, dir, &old, STORE_SET_MTIME, &now), 0);
	assert_int_equal(store_txn_begin(test->store, "test", &txn), 0);
	assert_int_equal(store_name_add(txn, dir, "f", &attr, &attr), 0);
	old.mode = 0700;
	assert_int_equal(store_attr_set(plain, dir, &old, STORE_SET_MODE, &now),
	                 0);
	assert_int_equal(now.mtime_ns, 5);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(store_attr_get(plain, dir, &now), 0);
	assert_true(now.mtime_ns > 5);
	assert_int_equal(now.mode & 07777, 0700);
}

/* ---- durability ----------------------------------------------------------*/

typedef struct Look {
	const char *dir;
	const char *name;
} Look;

static int
look(void *user_data)
{
	const Look *l = user_data;
	g_autofree char *reason = NULL;
	g_autoptr(Store) reader = NULL;
	StoreEntry entry;

	if (store_open(l->dir, STORE_READ, NULL, &reader, &reason) < 0)
		return 2;
	return store_name_find(store_plain(reader), STORE_ROOT, l->name,
	                       &entry) == 0;
}

/* What another process finds in the database now. */
static bool
is_on_disk(TestStore *test, const char *name)
{
	Look l = { test->dir, name };
	int r = test_in_child(look, &l);

	assert_in_range(r, 0, 1);
	return r == 1;
}

static void
a_sync_brings_all_earlier_changes_to_the_disk(void **state)
{
	TestStore *test = *state;

	test_add_file(test->store, STORE_ROOT, "a");
	test_add_file(test->store, STORE_ROOT, "b");
	assert_false(is_on_disk(test, "a"));
	assert_int_equal(store_sync_wait(test->store), 0);
	assert_true(is_on_disk(test, "a"));
	assert_true(is_on_disk(test, "b"));
}

static void
a_commit_takes_the_plain_changes_before_it_along(void **state)
{
	TestStore *test = *state;
	StoreTxn *txn = NULL;
	StoreAttr attr = { .mode = S_IFREG | 0644 };

	test_add_file(test->store, STORE_ROOT, "plain");
	assert_int_equal(store_txn_begin(test->store, "test", &txn), 0);
	assert_int_equal(store_name_add(txn, STORE_ROOT, "t", &attr, &attr), 0);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_true(is_on_disk(test, "plain"));
	assert_true(is_on_disk(test, "t"));
}

typedef struct Answer {
	GMutex lock;
	GCond cond;
	int left;
} Answer;

static void
count_down(void *user_data, int r)
{
	Answer *answer = user_data;

	g_mutex_lock(&answer->lock);
	assert_int_equal(r, 0);
	answer->left--;
	g_cond_signal(&answer->cond);
	g_mutex_unlock(&answer->lock);
}

static void
many_waiters_share_a_commit(void **state)
{
	TestStore *test = *state;
	Answer answer = { .left = 100 };
	StoreStat before;
	StoreStat after;
	int i;

	assert_int_equal(store_sync_wait(test->store), 0);
	assert_int_equal(store_stat(test->store, &before), 0);
	for (i = 0; i < 100; i++) {
		g_autofree char *name = g_strdup_printf("f%d", i);

		test_add_file(test->store, STORE_ROOT, name);
		store_sync(test->store, count_down, &answer);
	}
	g_mutex_lock(&answer.lock);
	while (answer.left > 0)
		g_cond_wait(&answer.cond, &answer.lock);
	g_mutex_unlock(&answer.lock);
	assert_int_equal(store_stat(test->store, &after), 0);
	assert_true(after.commits - before.commits < 100);
	assert_true(is_on_disk(test, "f99"));
}

static void
a_plain_change_reaches_the_disk_by_itself(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	TestStore *test;
	gint64 deadline = test_deadline();

	options.sync_ms = 1;
	test = test_store_new_with(&options);
	test_add_file(test->store, STORE_ROOT, "a");
	while (!is_on_disk(test, "a") && g_get_monotonic_time() < deadline)
		g_thread_yield();
	assert_true(is_on_disk(test, "a"));
	test_store_free(test);
}

/* ---- nodes without a name ------------------------------------------------*/

static void
a_held_file_outlives_its_name(void **state)
{
	TestStore *test = *state;
	StoreTxn *plain = store_plain(test->store);
	StoreNode file = test_add_file(test->store, STORE_ROOT, "f");
	StoreAttr attr;

	test_write(plain, file, "still here");
	store_node_hold(test->store, file);
	test_remove(plain, STORE_ROOT, "f");
	assert_int_equal(store_sync_wait(test->store), 0);
	test_assert_text(plain, file, "still here");
	assert_int_equal(store_attr_get(plain, file, &attr), 0);
	assert_int_equal(attr.parent, 0);

	store_node_release(test->store, file);
	assert_int_equal(store_sync_wait(test->store), 0);
	assert_int_equal(store_attr_get(plain, file, &attr), -ESTALE);
	test_store_check(test->store);
}

static void
a_removed_node_is_stale_before_it_is_erased(void **state)
{
	TestStore *test = *state;
	StoreTxn *plain = store_plain(test->store);
	StoreNode file = test_add_file(test->store, STORE_ROOT, "f");
	StoreAttr attr;

	test_remove(plain, STORE_ROOT, "f");
	assert_int_equal(store_attr_get(plain, file, &attr), -ESTALE);
	assert_int_equal(store_file_write(plain, file, 0, "lost", 4), -ESTALE);
}

static void
an_orphan_is_swept_when_the_store_opens(void **state)
{
	TestStore *test = *state;
	StoreTxn *plain = store_plain(test->store);
	StoreNode file = test_add_file(test->store, STORE_ROOT, "f");
	StoreStat stat;

	store_node_hold(test->store, file);
	test_remove(plain, STORE_ROOT, "f");
	test_store_reopen(test); /* as after a crash: nothing was released */
	assert_int_equal(store_sync_wait(test->store), 0);
	assert_int_equal(store_stat(test->store, &stat), 0);
	assert_int_equal(stat.orphans, 0);
	assert_int_equal(stat.files, 0);
	test_store_check(test->store);
}

static void
a_large_file_is_erased_in_steps(void **state)
{
	TestStore *test = *state;
	StoreTxn *plain = store_plain(test->store);
	StoreNode file = test_add_file(test->store, STORE_ROOT, "f");
	g_autofree char *block = g_strnfill(1 << 20, 'x');
	StoreStat stat;
	int i;

	for (i = 0; i < 20; i++)
		assert_int_equal(store_file_write(plain, file,
		                                  (uint64_t)i << 20, block,
		                                  1 << 20),
		                 0);
	assert_int_equal(store_sync_wait(test->store), 0);
	test_remove(plain, STORE_ROOT, "f");
	/* Closing goes on until all of it is erased. */
	test_store_reopen(test);
	test_store_check(test->store);
	assert_int_equal(store_stat(test->store, &stat), 0);
	assert_int_equal(stat.bytes, 0);
	assert_int_equal(test_count_records(test->store, 'c'), 0);
	assert_int_equal(test_count_records(test->store, 'o'), 0);
}

/* ---- names and kinds -----------------------------------------------------*/

static void
a_directory_with_key_and_mbg_is_a_postoffice(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreTxn *plain = store_plain(store);
	StoreNode po = test_add_dir(store, STORE_ROOT, "hub");
	StoreNode key = test_add_dir(store, po, "key");
	LayoutDir role;

	assert_int_equal(store_dir_role(plain, key, &role), 0);
	assert_int_equal(role, LAYOUT_DIR_FOREIGN);
	test_add_dir(store, po, "MBG");
	assert_int_equal(store_dir_role(plain, key, &role), 0);
	assert_int_equal(role, LAYOUT_DIR_KEY);
	assert_int_equal(store_dir_role(plain, po, &role), 0);
	assert_int_equal(role, LAYOUT_DIR_POSTOFFICE);
	assert_int_equal(store_name_remove(plain, po, "mbg", S_IFDIR), 0);
	assert_int_equal(store_dir_role(plain, key, &role), 0);
	assert_int_equal(role, LAYOUT_DIR_FOREIGN);
}

static void
names_in_a_postoffice_become_upper_case(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreTxn *plain = store_plain(store);
	StoreNode key = test_add_dir(store, STORE_ROOT, "KEY");
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	StoreEntry entry;

	test_add_dir(store, STORE_ROOT, "MBG");
	test_add_file(store, key, "inqueue3.key");
	assert_int_equal(store_name_find(plain, key, "InQueue3.Key", &entry),
	                 0);
	assert_string_equal(entry.name, "INQUEUE3.KEY");
	assert_int_equal(
		store_name_add(plain, key, "much too long.key", &attr, &attr),
		-EINVAL);
	assert_int_equal(
		store_name_add(plain, key, "INQUEUE3.KEY", &attr, &attr),
		-EEXIST);
	test_add_file(store, STORE_ROOT, "Read me first.txt");
	assert_int_equal(
		store_name_find(plain, STORE_ROOT, "READ ME FIRST.TXT", &entry),
		0);
	assert_string_equal(entry.name, "Read me first.txt");
}

static void
a_rename_may_change_the_case_alone(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreEntry entry;

	test_add_file(store, STORE_ROOT, "name");
	assert_int_equal(store_name_move(store_plain(store), STORE_ROOT, "name",
	                                 STORE_ROOT, "Name",
	                                 STORE_MOVE_REPLACE),
	                 0);
	assert_int_equal(
		store_name_find(store_plain(store), STORE_ROOT, "NAME", &entry),
		0);
	assert_string_equal(entry.name, "Name");
}

static void
the_longest_folding_of_a_name_is_found_again(void **state)
{
	TestStore *test = *state;
	g_autoptr(GString) name = g_string_new(NULL);
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	StoreEntry entry;

	/* 127 times U+023A, which folds from two bytes to three, and an a. */
	while (name->len < 254)
		g_string_append(name, "\xc8\xba");
	g_string_append(name, "a");
	test_add_file(test->store, STORE_ROOT, name->str);
	assert_int_equal(store_name_find(store_plain(test->store), STORE_ROOT,
	                                 name->str, &entry),
	                 0);
	assert_int_equal(store_name_add(store_plain(test->store), STORE_ROOT,
	                                name->str, &attr, &attr),
	                 -EEXIST);
	test_store_reopen(test);
	test_store_check(test->store);
}

static void
a_path_is_told_from_the_node(void **state)
{
	Store *store = ((TestStore *)*state)->store;
	StoreNode dir = test_add_dir(store, STORE_ROOT, "a");
	StoreNode file = test_add_file(store, dir, "b");
	g_autofree char *path = NULL;
	g_autofree char *root = NULL;

	assert_int_equal(store_node_path(store_plain(store), file, &path), 0);
	assert_string_equal(path, "/a/b");
	assert_int_equal(store_node_path(store_plain(store), STORE_ROOT, &root),
	                 0);
	assert_string_equal(root, "/");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(changes_are_invisible_until_the_commit),
		STORE_TEST(an_abort_leaves_no_trace),
		STORE_TEST(an_ignored_failure_still_fails_the_commit),
		STORE_TEST(a_refusal_does_not_poison),
		STORE_TEST(a_postoffice_made_in_a_transaction_is_one_after_it),
		STORE_TEST(a_rename_and_a_removal_are_one_in_a_transaction),
		STORE_TEST(
			a_transaction_changes_the_times_of_its_directories_only),
		STORE_TEST(a_sync_brings_all_earlier_changes_to_the_disk),
		STORE_TEST(a_commit_takes_the_plain_changes_before_it_along),
		STORE_TEST(many_waiters_share_a_commit),
		cmocka_unit_test(a_plain_change_reaches_the_disk_by_itself),
		STORE_TEST(a_held_file_outlives_its_name),
		STORE_TEST(a_removed_node_is_stale_before_it_is_erased),
		STORE_TEST(an_orphan_is_swept_when_the_store_opens),
		STORE_TEST(a_large_file_is_erased_in_steps),
		STORE_TEST(a_directory_with_key_and_mbg_is_a_postoffice),
		STORE_TEST(names_in_a_postoffice_become_upper_case),
		STORE_TEST(a_rename_may_change_the_case_alone),
		STORE_TEST(the_longest_folding_of_a_name_is_found_again),
		STORE_TEST(a_path_is_told_from_the_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
