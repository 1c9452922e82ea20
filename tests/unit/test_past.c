/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The past can be looked at, and what was done be undone.
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
#include "store/journal.h"
#include "tests/unit/past_kit.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"

/* ---- what a test does ----------------------------------------------------*/

static StoreNode
find(StoreTxn *txn, const char *name)
{
	StoreEntry entry;

	assert_int_equal(store_name_find(txn, STORE_ROOT, name, &entry), 0);
	return entry.node;
}

static void
move_in(StoreTxn *txn, const char *from, const char *to, StoreMove how)
{
	assert_int_equal(
		store_name_move(txn, STORE_ROOT, from, STORE_ROOT, to, how), 0);
}

static bool
append_name(void *user_data, const StoreEntry *entry)
{
	g_string_append_printf(user_data, "%s ", entry->name);
	return true;
}

static void
assert_names(StoreTxn *txn, const char *want)
{
	g_autoptr(GString) names = g_string_new(NULL);

	assert_int_equal(store_name_list(txn, STORE_ROOT, append_name, names),
	                 0);
	assert_string_equal(names->str, want);
}

/* ---- the past ------------------------------------------------------------*/

/* Three transactions on a file of 50000 bytes: in place, anew, and away. */
static void
each_transaction_has_a_before(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 50000);
	g_autoptr(StoreTxn) first = NULL;
	g_autoptr(StoreTxn) second = NULL;
	g_autoptr(StoreTxn) third = NULL;
	StoreTxn *txn = test_begin(b);
	uint64_t ids[3];
	uint64_t end = 0;

	test_write_bytes(txn, file, 'b', 50000);
	ids[0] = test_commit(b, txn);
	txn = test_begin(b);
	assert_int_equal(store_file_truncate(txn, file, 0), 0);
	test_write_bytes(txn, file, 'c', 30000);
	ids[1] = test_commit(b, txn);
	txn = test_begin(b);
	test_remove(txn, STORE_ROOT, "f");
	ids[2] = test_commit(b, txn);
	test_txn_reopen(b);

	assert_names(b->plain, "");
	first = test_before(b, ids[0]);
	assert_names(first, "f ");
	test_assert_bytes(first, file, 'a', 50000);
	second = test_before(b, ids[1]);
	test_assert_bytes(second, file, 'b', 50000);
	third = test_before(b, ids[2]);
	test_assert_bytes(third, file, 'c', 30000);
	assert_int_equal(store_file_write(third, file, 0, "x", 1), -EROFS);
	assert_int_equal(store_file_seek(third, file, 0, STORE_SEEK_HOLE, &end),
	                 0);
	assert_int_equal(end, 30000);
}

static void
a_replaced_file_is_there_under_its_name(void **state)
{
	TestTxn *b = *state;
	StoreNode bag = test_add_bytes(b, "bag", 'a', 9000);
	StoreNode copy = test_add_bytes(b, "copy", 'b', 5000);
	g_autoptr(StoreTxn) past = NULL;
	StoreTxn *txn = test_begin(b);
	uint64_t id;

	move_in(txn, "copy", "bag", STORE_MOVE_REPLACE);
	id = test_commit(b, txn);
	assert_names(b->plain, "bag ");
	past = test_before(b, id);
	assert_names(past, "bag copy ");
	assert_int_equal(find(past, "bag"), bag);
	test_assert_bytes(past, bag, 'a', 9000);
	test_assert_bytes(past, copy, 'b', 5000);
}

static void
what_was_published_or_undone_counts_as_it_should(void **state)
{
	static const StoreCause cause = { "killed", 1 };
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 10);
	g_autoptr(StoreTxn) past = NULL;
	StoreTxn *txn = test_begin(b);
	uint64_t id;

	test_write_bytes(txn, file, 'b', 10);
	assert_int_equal(store_txn_publish(&txn), 0);
	id = test_last_entry(b->store);
	txn = test_begin(b);
	test_write_bytes(txn, file, 'c', 10);
	assert_int_equal(store_txn_quarantine(&txn, &cause), 0);
	past = test_before(b, id);
	test_assert_bytes(past, file, 'a', 10);
	test_assert_bytes(b->plain, file, 'b', 10);
}

static void
a_time_is_before_what_ended_later(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 10);
	g_autoptr(StoreTxn) past = NULL;
	g_autoptr(StoreTxn) now = NULL;
	StoreTxn *txn = test_begin(b);
	StoreTxn *none = NULL;
	int64_t at_ns = store_now_ns();
	int64_t reach_ns;

	test_write_bytes(txn, file, 'b', 10);
	(void)test_commit(b, txn);
	assert_int_equal(store_past_open(b->store, at_ns, &past), 0);
	test_assert_bytes(past, file, 'a', 10);
	assert_int_equal(store_past_open(b->store, store_now_ns(), &now), 0);
	test_assert_bytes(now, file, 'b', 10);

	assert_int_equal(store_past_reach(b->store, &reach_ns), 0);
	assert_true(reach_ns <= at_ns);
	assert_int_equal(store_past_open(b->store, reach_ns - 1, &none),
	                 -ENODATA);
	assert_int_equal(store_past_before(b->store, 7777, &none), -ENOENT);
}

static void
the_past_begins_anew_where_it_was_not_kept(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 10);
	g_autoptr(StoreTxn) past = NULL;
	StoreTxn *none = NULL;
	StoreTxn *txn = test_begin(b);
	int64_t at_ns = store_now_ns();
	uint64_t id;

	b->store->options.journal_max = 0;
	test_write_bytes(txn, file, 'b', 10);
	id = test_commit(b, txn);
	b->store->options.journal_max = 1 << 20;
	assert_int_equal(store_past_open(b->store, at_ns, &none), -ENODATA);
	assert_int_equal(store_past_before(b->store, id, &none), -ENODATA);
	test_assert_refused(b, id, -ENODATA, "not kept");
	test_txn_reopen(b);
	assert_int_equal(store_past_open(b->store, at_ns, &none), -ENODATA);

	txn = test_begin(b);
	test_write_bytes(txn, file, 'c', 10);
	past = test_before(b, test_commit(b, txn));
	test_assert_bytes(past, file, 'b', 10);
}

/* A commit has failed even without its past, and then the oldest goes. */
static void
what_failed_does_not_hide_what_was_given_away(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 10);
	gint64 deadline = test_deadline();
	int64_t at_ns = store_now_ns();
	StoreTxn *txn = test_begin(b);
	StoreTxn *none = NULL;

	test_write_bytes(txn, file, 'b', 10);
	(void)test_commit(b, txn);
	txn = test_begin(b);
	(void)test_stage_file(txn, STORE_ROOT, "g");
	kv_fault_limit(b->disk, 1);
	assert_int_equal(store_txn_commit_wait(&txn), -ENOSPC);
	kv_fault_limit(b->disk, 0);

	b->store->options.journal_age_s = 1;
	while (test_last_entry(b->store) != 0) {
		assert_true(g_get_monotonic_time() < deadline);
		test_write_bytes(b->plain, file, 'b', 10);
		assert_int_equal(store_sync_wait(b->store), 0);
	}
	test_txn_reopen(b);
	assert_int_equal(store_past_open(b->store, at_ns, &none), -ENODATA);
}

static void
what_was_changed_without_a_transaction_is_not_made_up(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 9000);
	StoreNode gone = test_add_bytes(b, "g", 'a', 9000);
	StoreNode well = test_add_bytes(b, "h", 'a', 9000);
	StoreNode between = test_add_bytes(b, "i", 'a', 9000);
	g_autoptr(StoreTxn) past = NULL;
	StoreTxn *txn = test_begin(b);
	size_t size = 0;
	uint64_t id;
	char byte;

	test_write_bytes(txn, file, 'b', 10);
	test_write_bytes(txn, gone, 'b', 10);
	test_write_bytes(txn, well, 'b', 10);
	test_write_bytes(txn, between, 'b', 10);
	id = test_commit(b, txn);
	test_write_bytes(b->plain, file, 'c', 9000);
	test_write_bytes(b->plain, between, 'c', 9000);
	test_remove(b->plain, STORE_ROOT, "g");
	assert_int_equal(store_sync_wait(b->store), 0);
	txn = test_begin(b);
	test_write_bytes(txn, between, 'd', 10);
	(void)test_commit(b, txn);
	past = test_before(b, id);
	assert_names(past, "f h i ");
	assert_int_equal(store_file_read(past, between, 0, &byte, 1, &size),
	                 -ENODATA);
	assert_int_equal(store_file_read(past, file, 0, &byte, 1, &size),
	                 -ENODATA);
	assert_int_equal(store_file_read(past, gone, 0, &byte, 1, &size),
	                 -ENODATA);
	test_assert_bytes(past, well, 'a', 9000);
	test_assert_refused(b, id, -EBUSY, "nobody's transaction");
}

/* Before the first entry that found it so. */
static void
what_was_changed_before_the_next_entry_is_not_made_up(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 9000);
	StoreNode well = test_add_bytes(b, "g", 'a', 9000);
	g_autoptr(StoreTxn) past = NULL;
	g_autoptr(StoreTxn) later = NULL;
	StoreTxn *txn = test_begin(b);
	int64_t at_ns = store_now_ns();
	int64_t later_ns;
	size_t size = 0;
	char byte;

	while (store_now_ns() == at_ns)
		continue;
	test_write_bytes(b->plain, file, 'b', 9000);
	later_ns = store_now_ns();
	test_write_bytes(txn, file, 'c', 10);
	test_write_bytes(txn, well, 'c', 10);
	(void)test_commit(b, txn);
	assert_int_equal(store_past_open(b->store, at_ns, &past), 0);
	assert_int_equal(store_file_read(past, file, 0, &byte, 1, &size),
	                 -ENODATA);
	test_assert_bytes(past, well, 'a', 9000);
	assert_int_equal(store_past_open(b->store, later_ns, &later), 0);
	test_assert_bytes(later, file, 'b', 9000);
}

/* ---- undoing -------------------------------------------------------------*/

/* A bit of everything: the contrary of it, and the contrary of that. */
static void
all_that_was_done_is_undone_and_done_again(void **state)
{
	TestTxn *b = *state;
	StoreNode changed = test_add_bytes(b, "changed", 'a', 70000);
	StoreNode removed = test_add_bytes(b, "removed", 'r', 9000);
	StoreAttr attr = { .mode = 0600, .mtime_ns = 5 };
	StoreAttr got;
	char value[8] = "";
	size_t size = 0;
	StoreTxn *txn;
	uint64_t id;

	test_add_bytes(b, "old", 'o', 10);
	assert_int_equal(store_xattr_set(b->plain, removed, "user.DOSATTRIB",
	                                 "0x1", 3, 0),
	                 0);
	assert_int_equal(store_attr_set(b->plain, removed, &attr,
	                                STORE_SET_MODE | STORE_SET_MTIME, &got),
	                 0);
	txn = test_begin(b);
	assert_int_equal(store_file_truncate(txn, changed, 0), 0);
	test_write_bytes(txn, changed, 'b', 30000);
	test_remove(txn, STORE_ROOT, "removed");
	move_in(txn, "old", "new", STORE_MOVE_NOREPLACE);
	test_write_bytes(txn, test_stage_file(txn, STORE_ROOT, "created"), 'c',
	                 10);
	id = test_commit(b, txn);

	id = test_undo(b, id);
	assert_names(b->plain, "changed old removed ");
	test_assert_bytes(b->plain, changed, 'a', 70000);
	removed = find(b->plain, "removed");
	test_assert_bytes(b->plain, removed, 'r', 9000);
	test_assert_bytes(b->plain, find(b->plain, "old"), 'o', 10);
	assert_int_equal(store_attr_get(b->plain, removed, &got), 0);
	assert_int_equal(got.mode, S_IFREG | 0600);
	assert_int_equal(got.mtime_ns, 5);
	assert_int_equal(store_xattr_get(b->plain, removed, "user.DOSATTRIB",
	                                 value, 7, &size),
	                 0);
	assert_string_equal(value, "0x1");

	id = test_undo(b, id);
	assert_names(b->plain, "changed created new ");
	test_assert_bytes(b->plain, changed, 'b', 30000);
	test_assert_bytes(b->plain, find(b->plain, "created"), 'c', 10);
	test_assert_refused(b, id + 1000, -ENOENT, "no such entry");
}

static void
what_was_replaced_or_exchanged_goes_back(void **state)
{
	TestTxn *b = *state;
	StoreNode one = test_add_bytes(b, "one", '1', 10);
	StoreNode two = test_add_bytes(b, "two", '2', 10);
	StoreNode three = test_add_bytes(b, "three", '3', 10);
	StoreTxn *txn;

	test_add_bytes(b, "bag", 'a', 9000);
	test_add_bytes(b, "copy", 'b', 5000);
	txn = test_begin(b);
	move_in(txn, "copy", "bag", STORE_MOVE_REPLACE);
	/* A circle of three. */
	move_in(txn, "one", "two", STORE_MOVE_EXCHANGE);
	move_in(txn, "one", "three", STORE_MOVE_EXCHANGE);
	/* A new file where one was. */
	move_in(txn, "bag", "was", STORE_MOVE_NOREPLACE);
	(void)test_stage_file(txn, STORE_ROOT, "bag");
	(void)test_undo(b, test_commit(b, txn));
	assert_names(b->plain, "bag copy one three two ");
	test_assert_bytes(b->plain, find(b->plain, "bag"), 'a', 9000);
	test_assert_bytes(b->plain, find(b->plain, "copy"), 'b', 5000);
	assert_int_equal(find(b->plain, "one"), one);
	assert_int_equal(find(b->plain, "two"), two);
	assert_int_equal(find(b->plain, "three"), three);
}

static void
directories_come_and_go_with_what_is_in_them(void **state)
{
	TestTxn *b = *state;
	StoreNode dir = test_add_dir(b->store, STORE_ROOT, "d");
	StoreNode sub = test_add_dir(b->store, dir, "sub");
	StoreAttr made = { .mode = S_IFDIR | 0755 };
	StoreEntry entry;
	StoreTxn *txn;

	test_write_bytes(b->plain, test_add_file(b->store, sub, "f"), 'x',
	                 5000);
	txn = test_begin(b);
	test_remove(txn, sub, "f");
	assert_int_equal(store_name_remove(txn, dir, "sub", S_IFDIR), 0);
	assert_int_equal(store_name_remove(txn, STORE_ROOT, "d", S_IFDIR), 0);
	assert_int_equal(store_name_add(txn, STORE_ROOT, "n", &made, &made), 0);
	(void)test_stage_file(txn, made.node, "g");
	(void)test_undo(b, test_commit(b, txn));
	assert_names(b->plain, "d ");
	dir = find(b->plain, "d");
	assert_int_equal(store_name_find(b->plain, dir, "sub", &entry), 0);
	assert_int_equal(store_name_find(b->plain, entry.node, "f", &entry), 0);
	test_assert_bytes(b->plain, entry.node, 'x', 5000);
}

static void
what_later_entries_depend_on_stays(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 10);
	g_autofree char *word = NULL;
	StoreTxn *txn = test_begin(b);
	uint64_t first;
	uint64_t second;
	uint64_t third;

	test_add_bytes(b, "g", 'g', 10);
	test_write_bytes(txn, file, 'b', 10);
	first = test_commit(b, txn);
	txn = test_begin(b);
	test_write_bytes(txn, file, 'c', 10);
	second = test_commit(b, txn);
	txn = test_begin(b);
	test_remove(txn, STORE_ROOT, "g");
	third = test_commit(b, txn);
	word = g_strdup_printf("entry %" G_GUINT64_FORMAT " has changed /f",
	                       second);
	test_assert_refused(b, first, -EBUSY, word);

	/* The name of what was removed is taken. */
	txn = test_begin(b);
	(void)test_stage_file(txn, STORE_ROOT, "g");
	second = test_commit(b, txn);
	g_free(word);
	word = g_strdup_printf("entry %" G_GUINT64_FORMAT " has changed /g",
	                       second);
	test_assert_refused(b, third, -EBUSY, word);
	test_remove(b->plain, STORE_ROOT, "g");
	(void)test_undo(b, third);
	test_assert_bytes(b->plain, find(b->plain, "g"), 'g', 10);
}

/* However many there are in between. */
static void
the_entry_that_stands_in_the_way_is_found(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'a', 10);
	g_autofree char *word = NULL;
	StoreTxn *txn = test_begin(b);
	uint64_t first;
	int i;

	test_write_bytes(txn, file, 'b', 10);
	first = test_commit(b, txn);
	txn = test_begin(b);
	for (i = 0; i < 2500; i++) {
		g_autofree char *name = g_strdup_printf("g%d", i);

		(void)test_stage_file(txn, STORE_ROOT, name);
	}
	(void)test_commit(b, txn);
	txn = test_begin(b);
	test_write_bytes(txn, file, 'c', 10);
	word = g_strdup_printf("entry %" G_GUINT64_FORMAT " has changed /f",
	                       test_commit(b, txn));
	test_assert_refused(b, first, -EBUSY, word);
}

static void
what_was_undone_cannot_be_undone(void **state)
{
	static const StoreCause cause = { "killed", 1 };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);

	(void)test_stage_file(txn, STORE_ROOT, "f");
	assert_int_equal(store_txn_quarantine(&txn, &cause), 0);
	test_assert_refused(b, test_last_entry(b->store), -EALREADY,
	                    "did nothing");
}

/* ---- beside a daemon -----------------------------------------------------*/

typedef struct Look {
	const char *dir;
	int64_t at_ns;
	StoreNode file;
} Look;

static int
look_back(void *user_data)
{
	const Look *look = user_data;
	g_autofree char *reason = NULL;
	g_autoptr(Store) reader = NULL;
	g_autoptr(StoreTxn) past = NULL;
	char text[8] = "";
	size_t size = 0;
	int r;

	r = store_open(look->dir, STORE_READ, NULL, &reader, &reason);
	if (r == 0)
		r = store_past_open(reader, look->at_ns, &past);
	if (r == 0)
		r = store_file_read(past, look->file, 0, text, 7, &size);
	g_clear_pointer(&past, store_txn_abort);
	return r == 0 && strcmp(text, "old") == 0 ? 1 : 2;
}

static void
another_process_looks_back(void **state)
{
	TestStore *test = *state;
	Look look = { .dir = test->dir };
	StoreTxn *txn = NULL;

	look.file = test_add_file(test->store, STORE_ROOT, "f");
	test_write(store_plain(test->store), look.file, "old");
	assert_int_equal(store_sync_wait(test->store), 0);
	look.at_ns = store_now_ns();
	assert_int_equal(store_txn_begin(test->store, "test", &txn), 0);
	test_write(txn, look.file, "new");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(test_in_child(look_back, &look), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TXN_TEST(each_transaction_has_a_before),
		TXN_TEST(a_replaced_file_is_there_under_its_name),
		TXN_TEST(what_was_published_or_undone_counts_as_it_should),
		TXN_TEST(a_time_is_before_what_ended_later),
		TXN_TEST(the_past_begins_anew_where_it_was_not_kept),
		TXN_TEST(what_failed_does_not_hide_what_was_given_away),
		TXN_TEST(what_was_changed_without_a_transaction_is_not_made_up),
		TXN_TEST(what_was_changed_before_the_next_entry_is_not_made_up),
		TXN_TEST(all_that_was_done_is_undone_and_done_again),
		TXN_TEST(what_was_replaced_or_exchanged_goes_back),
		TXN_TEST(directories_come_and_go_with_what_is_in_them),
		TXN_TEST(what_later_entries_depend_on_stays),
		TXN_TEST(the_entry_that_stands_in_the_way_is_found),
		TXN_TEST(what_was_undone_cannot_be_undone),
		STORE_TEST(another_process_looks_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
