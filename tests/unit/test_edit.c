/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "store/edit.h"
#include "store/edit_attr.h"
#include "store/journal.h"
#include "tests/unit/past_kit.h"
#include "tests/unit/store_kit.h"

static GBytes *
text_bytes(const char *text)
{
	return g_bytes_new_static(text, strlen(text));
}

static int
add(StoreEdits *edits, TestStore *test, StoreEditKind kind, const char *path,
    const char *text)
{
	g_autoptr(GBytes) bytes = text != NULL ? text_bytes(text) : NULL;

	return store_edits_add(edits, store_plain(test->store), kind, path, 0,
	                       bytes);
}

static int
patch(StoreEdits *edits, TestStore *test, const char *path, uint64_t offset,
      const char *text)
{
	g_autoptr(GBytes) bytes = text_bytes(text);

	return store_edits_add(edits, store_plain(test->store),
	                       STORE_EDIT_PATCH, path, offset, bytes);
}

/* Applies *@edits as they come out of their bytes, and commits. */
static int
apply(TestStore *test, const StoreEdits *edits)
{
	g_autoptr(GBytes) bytes = store_edits_encode(edits);
	g_autoptr(StoreEdits) copy = NULL;
	g_autoptr(StoreTxn) txn = NULL;
	g_autofree char *reason = NULL;
	int r;

	assert_int_equal(store_edits_decode(bytes, &copy), 0);
	assert_int_equal(store_edits_count(copy), store_edits_count(edits));
	assert_int_equal(store_txn_begin(test->store, "test", &txn), 0);
	r = store_edits_apply(txn, copy, &reason);
	if (r < 0) {
		assert_non_null(reason);
		return r;
	}
	assert_null(reason);
	return store_txn_commit_wait(&txn);
}

static bool
has(TestStore *test, const char *name)
{
	StoreEntry entry;

	return store_name_find(store_plain(test->store), STORE_ROOT, name,
	                       &entry) == 0;
}

static void
assert_text(TestStore *test, const char *name, const char *text)
{
	StoreEntry entry;

	assert_int_equal(store_name_find(store_plain(test->store), STORE_ROOT,
	                                 name, &entry),
	                 0);
	test_assert_text(store_plain(test->store), entry.node, text);
}

/* ---- what is done --------------------------------------------------------- */

static void
a_write_replaces_the_content_and_keeps_the_file(void **state)
{
	TestStore *test = *state;
	StoreTxn *plain = store_plain(test->store);
	StoreNode node = test_add_file(test->store, STORE_ROOT, "A");
	g_autoptr(StoreEdits) edits = store_edits_new();
	StoreAttr attr = { .mode = 0640, .uid = 7, .gid = 8 };
	StoreEntry entry;

	assert_int_equal(
		store_attr_set(plain, node, &attr,
	                       STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID,
	                       &attr),
		0);
	test_write(plain, node, "a long old content");
	assert_int_equal(add(edits, test, STORE_EDIT_WRITE, "/A", "new"), 0);
	assert_int_equal(apply(test, edits), 0);

	assert_text(test, "A", "new");
	assert_int_equal(store_name_find(plain, STORE_ROOT, "A", &entry), 0);
	assert_int_equal(entry.node, node);
	assert_int_equal(store_attr_get(plain, node, &attr), 0);
	assert_int_equal(attr.mode & 07777, 0640);
	assert_int_equal(attr.uid, 7);
}

/* Bytes of a file that is larger than what a transaction may change of one. */
#define LARGE ((size_t)4 << 20)

static int
apply_large(TestStore *test, GBytes *bytes)
{
	g_autoptr(StoreEdits) edits = store_edits_new();

	assert_int_equal(store_edits_add(edits, store_plain(test->store),
	                                 STORE_EDIT_WRITE, "/A", 0, bytes),
	                 0);
	return apply(test, edits);
}

static void
a_write_of_a_large_file_stages_what_differs(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	g_autofree char *is = g_malloc(LARGE);
	char *content = g_malloc(LARGE);
	g_autoptr(GBytes) bytes = g_bytes_new_take(content, LARGE);
	TestStore *test;
	StoreEntry entry;
	size_t size;

	(void)state;
	options.staged_limit = LARGE / 64;
	options.staged_max = LARGE / 4;
	test = test_store_new_with(&options);
	memset(content, 'a', LARGE);
	assert_int_equal(apply_large(test, bytes), 0);

	memset(content + LARGE / 2, 'b', 3);
	content[LARGE - 1] = 'c';
	assert_int_equal(apply_large(test, bytes), 0);
	assert_int_equal(store_name_find(store_plain(test->store), STORE_ROOT,
	                                 "A", &entry),
	                 0);
	assert_int_equal(store_file_read(store_plain(test->store), entry.node,
	                                 0, is, LARGE, &size),
	                 0);
	assert_int_equal(size, LARGE);
	assert_memory_equal(is, content, LARGE);

	memset(content, 'd', LARGE);
	assert_int_equal(apply_large(test, bytes), -ENOSPC);
	test_store_free(test);
}

static void
a_write_of_nothing_empties(void **state)
{
	TestStore *test = *state;
	StoreNode node = test_add_file(test->store, STORE_ROOT, "A");
	g_autoptr(StoreEdits) edits = store_edits_new();

	test_write(store_plain(test->store), node, "old");
	assert_int_equal(add(edits, test, STORE_EDIT_WRITE, "/A", ""), 0);
	assert_int_equal(apply(test, edits), 0);
	assert_text(test, "A", "");
}

static void
a_new_file_belongs_to_whom_its_directory_does(void **state)
{
	TestStore *test = *state;
	StoreTxn *plain = store_plain(test->store);
	StoreNode dir = test_add_dir(test->store, STORE_ROOT, "D");
	g_autoptr(StoreEdits) edits = store_edits_new();
	StoreAttr attr = { .mode = 0750, .uid = 7, .gid = 8 };
	StoreEntry entry;

	assert_int_equal(
		store_attr_set(plain, dir, &attr,
	                       STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID,
	                       &attr),
		0);
	assert_int_equal(add(edits, test, STORE_EDIT_WRITE, "/D/A", "new"), 0);
	assert_int_equal(apply(test, edits), 0);

	assert_int_equal(store_name_find(plain, dir, "A", &entry), 0);
	assert_int_equal(store_attr_get(plain, entry.node, &attr), 0);
	test_assert_text(plain, entry.node, "new");
	assert_int_equal(attr.mode, S_IFREG | 0640);
	assert_int_equal(attr.uid, 7);
	assert_int_equal(attr.gid, 8);
}

static void
a_patch_writes_in_place(void **state)
{
	TestStore *test = *state;
	StoreNode node = test_add_file(test->store, STORE_ROOT, "A");
	g_autoptr(StoreEdits) edits = store_edits_new();

	test_write(store_plain(test->store), node, "0123456789");
	assert_int_equal(patch(edits, test, "/A", 2, "ab"), 0);
	assert_int_equal(patch(edits, test, "/A", 9, "cd"), 0);
	assert_int_equal(apply(test, edits), 0);
	assert_text(test, "A", "01ab45678cd");
}

static void
edits_of_one_file_follow_each_other(void **state)
{
	TestStore *test = *state;
	g_autoptr(StoreEdits) edits = store_edits_new();

	assert_int_equal(add(edits, test, STORE_EDIT_WRITE, "/A", "one"), 0);
	assert_int_equal(add(edits, test, STORE_EDIT_WRITE, "/A", "other"), 0);
	assert_int_equal(apply(test, edits), 0);
	assert_text(test, "A", "other");
}

static void
a_file_is_removed(void **state)
{
	TestStore *test = *state;
	g_autoptr(StoreEdits) edits = store_edits_new();

	(void)test_add_file(test->store, STORE_ROOT, "A");
	assert_int_equal(add(edits, test, STORE_EDIT_REMOVE, "/A", NULL), 0);
	assert_int_equal(apply(test, edits), 0);
	assert_false(has(test, "A"));
}

/* ---- what is expected ----------------------------------------------------- */

static void
a_file_that_has_changed_is_left_with_all_others(void **state)
{
	TestStore *test = *state;
	StoreTxn *plain = store_plain(test->store);
	StoreNode a = test_add_file(test->store, STORE_ROOT, "A");
	StoreNode b = test_add_file(test->store, STORE_ROOT, "B");

	for (int kind = STORE_EDIT_EXPECT; kind <= STORE_EDIT_REMOVE; kind++) {
		bool writes =
			kind == STORE_EDIT_WRITE || kind == STORE_EDIT_PATCH;
		g_autoptr(StoreEdits) edits = store_edits_new();

		test_write(plain, a, "old a");
		test_write(plain, b, "old b");
		assert_int_equal(
			add(edits, test, STORE_EDIT_WRITE, "/A", "new"), 0);
		assert_int_equal(add(edits, test, (StoreEditKind)kind, "/B",
		                     writes ? "new" : NULL),
		                 0);
		test_write(plain, b, "NEW B");
		assert_int_equal(apply(test, edits), -ESTALE);
		assert_text(test, "A", "old a");
		assert_text(test, "B", "NEW B");
	}
}

static void
a_file_that_has_come_gone_or_been_replaced_is_left(void **state)
{
	TestStore *test = *state;
	StoreTxn *plain = store_plain(test->store);
	g_autoptr(StoreEdits) comes = store_edits_new();
	g_autoptr(StoreEdits) goes = store_edits_new();
	g_autoptr(StoreEdits) replaced = store_edits_new();

	assert_int_equal(add(comes, test, STORE_EDIT_WRITE, "/A", "new"), 0);
	(void)test_add_file(test->store, STORE_ROOT, "A");
	assert_int_equal(apply(test, comes), -ESTALE);
	assert_text(test, "A", "");

	assert_int_equal(add(goes, test, STORE_EDIT_WRITE, "/A", "new"), 0);
	assert_int_equal(add(replaced, test, STORE_EDIT_REMOVE, "/A", NULL), 0);
	test_remove(plain, STORE_ROOT, "A");
	assert_int_equal(apply(test, goes), -ESTALE);
	assert_false(has(test, "A"));
	(void)test_add_file(test->store, STORE_ROOT, "A");
	assert_int_equal(apply(test, replaced), -ESTALE);
	assert_true(has(test, "A"));
}

static void
what_is_as_expected_lets_the_rest_be_done(void **state)
{
	TestStore *test = *state;
	g_autoptr(StoreEdits) edits = store_edits_new();

	(void)test_add_file(test->store, STORE_ROOT, "A");
	assert_int_equal(add(edits, test, STORE_EDIT_EXPECT, "/A", NULL), 0);
	assert_int_equal(add(edits, test, STORE_EDIT_WRITE, "/B", "new"), 0);
	assert_int_equal(apply(test, edits), 0);
	assert_text(test, "B", "new");
}

/* ---- what is refused ------------------------------------------------------ */

static void
what_is_not_there_is_not_edited(void **state)
{
	TestStore *test = *state;
	g_autoptr(StoreEdits) edits = store_edits_new();

	(void)test_add_dir(test->store, STORE_ROOT, "D");
	assert_int_equal(add(edits, test, STORE_EDIT_REMOVE, "/A", NULL),
	                 -ENOENT);
	assert_int_equal(patch(edits, test, "/A", 0, "x"), -ENOENT);
	assert_int_equal(add(edits, test, STORE_EDIT_EXPECT, "/A", NULL),
	                 -ENOENT);
	assert_int_equal(add(edits, test, STORE_EDIT_WRITE, "/D", "x"),
	                 -EISDIR);
	assert_int_equal(store_edits_count(edits), 0);

	/* The list is made; its directory is not there when it is applied. */
	assert_int_equal(add(edits, test, STORE_EDIT_WRITE, "/NONE/A", "x"), 0);
	assert_int_equal(apply(test, edits), -ENOENT);
}

static void
a_list_has_its_limits(void **state)
{
	TestStore *test = *state;
	StoreTxn *plain = store_plain(test->store);
	g_autoptr(StoreEdits) edits = store_edits_new();
	g_autoptr(GBytes) half =
		g_bytes_new_take(g_malloc0(STORE_EDITS_BYTES_MAX / 2 + 1),
	                         STORE_EDITS_BYTES_MAX / 2 + 1);

	assert_int_equal(
		store_edits_add(edits, plain, STORE_EDIT_WRITE, "/A", 0, half),
		0);
	assert_int_equal(
		store_edits_add(edits, plain, STORE_EDIT_WRITE, "/B", 0, half),
		-E2BIG);
	(void)test_add_file(test->store, STORE_ROOT, "A");
	assert_int_equal(patch(edits, test, "/A", STORE_FILE_SIZE_MAX, "x"),
	                 -EFBIG);
	assert_int_equal(patch(edits, test, "/A", UINT64_MAX, "x"), -EFBIG);
	assert_int_equal(store_edits_count(edits), 1);
}

/* A list of one edit, spelled as what is encoded. */
static int
decode_text(const char *text)
{
	g_autoptr(GVariant) list = g_variant_ref_sink(g_variant_parse(
		G_VARIANT_TYPE("a(ystxttay)"), text, NULL, NULL, NULL));
	g_autoptr(GBytes) bytes = NULL;
	g_autoptr(StoreEdits) edits = NULL;

	assert_non_null(list);
	bytes = g_variant_get_data_as_bytes(list);
	return store_edits_decode(bytes, &edits);
}

static void
nonsense_is_no_list(void **state)
{
	static const char *const bad[] = {
		"[(6, '/A', 9, 0, 0, 0, [])]",
		"[(5, '/A', 9, 0, 0, 1, [])]",
		"[(4, '/A', 9, 0, 0, 7, [0x01])]",
		"[(255, '/A', 9, 0, 0, 0, [])]",
		"[(1, 'A', 9, 0, 0, 0, [])]",
		"[(1, '', 9, 0, 0, 0, [])]",
		"[(1, '/', 9, 0, 0, 0, [])]",
		"[(1, '/A/', 9, 0, 0, 0, [])]",
		"[(1, '/A//B', 9, 0, 0, 0, [])]",
		"[(1, '/A', 9, 0, 0, 1, [])]",
		"[(3, '/A', 9, 0, 0, 0, [0x01])]",
		"[(0, '/A', 9, 0, 0, 0, [0x01])]",
		"[(3, '/A', 0, 0, 0, 0, [])]",
		"[(2, '/A', 0, 0, 0, 0, [0x01])]",
		"[(2, '/A', 9, 0, 0, 18446744073709551615, [0x01])]",
	};
	uint8_t noise[256];

	(void)state;
	assert_int_equal(decode_text("[(2, '/A', 9, 0, 0, 1, [0x01])]"), 0);
	assert_int_equal(decode_text("[]"), 0);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_int_equal(decode_text(bad[i]), -EBADMSG);

	for (size_t seed = 0; seed < sizeof noise; seed++) {
		g_autoptr(GBytes) bytes = NULL;
		g_autoptr(StoreEdits) edits = NULL;

		for (size_t i = 0; i < sizeof noise; i++)
			noise[i] = (uint8_t)(seed * 31 + i * i * 7);
		bytes = g_bytes_new_static(noise, seed);
		assert_int_equal(store_edits_decode(bytes, &edits),
		                 seed == 0 ? 0 : -EBADMSG);
	}
}

static void
a_cut_list_is_no_list(void **state)
{
	TestStore *test = *state;
	g_autoptr(StoreEdits) edits = store_edits_new();
	g_autoptr(GBytes) whole = NULL;
	size_t size;

	assert_int_equal(add(edits, test, STORE_EDIT_WRITE, "/A", "one"), 0);
	assert_int_equal(add(edits, test, STORE_EDIT_WRITE, "/B", "two"), 0);
	whole = store_edits_encode(edits);
	size = g_bytes_get_size(whole);
	for (size_t cut = 1; cut < size; cut++) {
		g_autoptr(GBytes) bytes = g_bytes_new_from_bytes(whole, 0, cut);
		g_autoptr(StoreEdits) copy = NULL;

		assert_int_equal(store_edits_decode(bytes, &copy), -EBADMSG);
	}
}

static int
add_undo(StoreEdits *edits, TestStore *test, uint64_t id, const char *path)
{
	return store_edits_add(edits, store_plain(test->store), STORE_EDIT_UNDO,
	                       path, id, NULL);
}

static void
an_entry_of_the_journal_is_undone_once(void **state)
{
	TestStore *test = *state;
	g_autoptr(StoreEdits) change = store_edits_new();
	g_autoptr(StoreEdits) undo = store_edits_new();
	StoreNode file = test_add_file(test->store, STORE_ROOT, "f");
	StoreEntry entry;
	uint64_t id;

	test_write(store_plain(test->store), file, "old");
	assert_int_equal(add(change, test, STORE_EDIT_WRITE, "/f", "new"), 0);
	assert_int_equal(add(change, test, STORE_EDIT_WRITE, "/g", "made"), 0);
	assert_int_equal(apply(test, change), 0);
	id = test_last_entry(test->store);
	assert_int_equal(add_undo(undo, test, id, "/f"), 0);
	assert_int_equal(add_undo(undo, test, id, "/g"), 0);
	assert_int_equal(apply(test, undo), 0);
	test_assert_text(store_plain(test->store), file, "old");
	assert_int_equal(store_name_find(store_plain(test->store), STORE_ROOT,
	                                 "g", &entry),
	                 -ENOENT);
	/* What it saw is not so any more. */
	assert_int_equal(apply(test, undo), -ESTALE);
}

/* Gives "f", of @mode and with the attribute @value, to whom @uid is. */
static void
dress(TestStore *test, StoreNode node, uint32_t mode, uint32_t uid,
      const char *value)
{
	StoreTxn *txn = store_plain(test->store);
	StoreAttr attr = { .mode = mode, .uid = uid, .mtime_ns = uid };

	assert_int_equal(
		store_attr_set(txn, node, &attr,
	                       STORE_SET_MODE | STORE_SET_UID | STORE_SET_MTIME,
	                       &attr),
		0);
	assert_int_equal(
		store_xattr_set(txn, node, value, value, strlen(value), 0), 0);
}

static void
attributes_come_back_with_the_file(void **state)
{
	TestStore *test = *state;
	StoreTxn *txn = store_plain(test->store);
	g_autoptr(StoreEdits) edits = store_edits_new();
	g_autoptr(GBytes) bytes = NULL;
	StoreNode file = test_add_file(test->store, STORE_ROOT, "f");
	StoreEntry made;
	StoreAttr attr;
	char value[8];
	size_t size;

	dress(test, file, 0604, 77, "user.a");
	assert_int_equal(store_edit_attr_encode(txn, file, &bytes), 0);
	dress(test, file, 0600, 88, "user.b");
	assert_int_equal(add(edits, test, STORE_EDIT_WRITE, "/new", "text"), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(store_edits_add(edits, txn, STORE_EDIT_ATTR,
		                                 i == 0 ? "/f" : "/new", 0,
		                                 bytes),
		                 0);
	assert_int_equal(apply(test, edits), 0);
	assert_int_equal(store_name_find(txn, STORE_ROOT, "new", &made), 0);
	for (size_t i = 0; i < 2; i++) {
		StoreNode node = i == 0 ? file : made.node;

		assert_int_equal(store_attr_get(txn, node, &attr), 0);
		assert_int_equal(attr.mode, S_IFREG | 0604);
		assert_int_equal(attr.uid, 77);
		assert_int_equal(attr.mtime_ns, 77);
		assert_int_equal(store_xattr_get(txn, node, "user.a", value,
		                                 sizeof value, &size),
		                 0);
		assert_int_equal(store_xattr_get(txn, node, "user.b", value,
		                                 sizeof value, &size),
		                 -ENODATA);
	}
}

static void
what_are_no_attributes_is_refused(void **state)
{
	TestStore *test = *state;
	g_autoptr(StoreEdits) none = store_edits_new();
	g_autoptr(StoreEdits) edits = store_edits_new();

	assert_int_equal(add(none, test, STORE_EDIT_ATTR, "/none", "x"), 0);
	assert_int_equal(apply(test, none), -ENOENT);
	(void)test_add_file(test->store, STORE_ROOT, "f");
	assert_int_equal(add(edits, test, STORE_EDIT_ATTR, "/f", "nonsense"),
	                 0);
	assert_int_equal(apply(test, edits), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(a_write_replaces_the_content_and_keeps_the_file),
		cmocka_unit_test(a_write_of_a_large_file_stages_what_differs),
		STORE_TEST(a_write_of_nothing_empties),
		STORE_TEST(a_new_file_belongs_to_whom_its_directory_does),
		STORE_TEST(a_patch_writes_in_place),
		STORE_TEST(edits_of_one_file_follow_each_other),
		STORE_TEST(a_file_is_removed),
		STORE_TEST(a_file_that_has_changed_is_left_with_all_others),
		STORE_TEST(a_file_that_has_come_gone_or_been_replaced_is_left),
		STORE_TEST(what_is_as_expected_lets_the_rest_be_done),
		STORE_TEST(what_is_not_there_is_not_edited),
		STORE_TEST(a_list_has_its_limits),
		STORE_TEST(nonsense_is_no_list),
		STORE_TEST(a_cut_list_is_no_list),
		STORE_TEST(an_entry_of_the_journal_is_undone_once),
		STORE_TEST(attributes_come_back_with_the_file),
		STORE_TEST(what_are_no_attributes_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
