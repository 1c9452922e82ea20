/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The journal has one entry for each transaction, keeps what it changed as it
 * was, and gives way where there is no room.
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
#include "tests/unit/undone_kit.h"

static bool
note_file(void *user_data, const StoreJournalFile *file)
{
	static const char *const what[] = { "created", "changed", "renamed",
		                            "removed" };

	g_string_append_printf(user_data, "%s %s %d -> %s %d\n",
	                       what[file->what], file->old_path,
	                       (int)file->old_size, file->new_path,
	                       (int)file->new_size);
	return true;
}

static void
assert_files(Store *store, uint64_t id, const char *want)
{
	g_autoptr(GString) text = g_string_new(NULL);

	assert_int_equal(store_journal_files(store, id, note_file, text), 0);
	assert_string_equal(text->str, want);
}

/* ---- one entry for each transaction --------------------------------------*/

static void
a_commit_leaves_an_entry_of_what_it_did(void **state)
{
	TestTxn *b = *state;
	StoreNode changed = test_add_bytes(b, "changed", 'x', 6);
	StoreTxn *txn;
	TestJournal seen;

	test_add_bytes(b, "removed", 'x', 4);
	test_add_bytes(b, "old", 'x', 3);
	txn = test_begin(b);
	test_write_bytes(txn, changed, 'y', 9);
	test_remove(txn, STORE_ROOT, "removed");
	assert_int_equal(store_name_move(txn, STORE_ROOT, "old", STORE_ROOT,
	                                 "new", STORE_MOVE_NOREPLACE),
	                 0);
	test_write(txn, test_stage_file(txn, STORE_ROOT, "created"), "mail");
	(void)test_stage_file(txn, STORE_ROOT, "fleeting");
	test_remove(txn, STORE_ROOT, "fleeting");
	assert_int_equal(store_txn_commit_wait(&txn), 0);

	seen = test_journal(b->store);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.last.outcome, STORE_COMMITTED);
	assert_string_equal(seen.who, "test");
	assert_string_equal(seen.reason, "");
	assert_int_equal(seen.last.files, 4);
	assert_true(seen.last.has_past);
	assert_files(b->store, seen.last.id,
	             "changed /changed 6 -> /changed 9\n"
	             "removed /removed 4 ->  0\n"
	             "renamed /old 3 -> /new 3\n"
	             "created  0 -> /created 4\n");
	assert_int_equal(store_journal_files(b->store, seen.last.id + 1,
	                                     note_file, NULL),
	                 -ENOENT);
}

static void
every_end_and_every_checkpoint_leaves_one(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestJournal seen;

	(void)test_stage_file(txn, STORE_ROOT, "one");
	assert_int_equal(test_checkpoint(txn), 0);
	assert_int_equal(test_journal(b->store).count, 1);
	(void)test_stage_file(txn, STORE_ROOT, "two");
	assert_int_equal(store_txn_publish(&txn), 0);
	seen = test_journal(b->store);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.last.outcome, STORE_PUBLISHED);
	assert_true(seen.last.has_past);

	txn = test_begin(b);
	(void)test_stage_file(txn, STORE_ROOT, "three");
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	seen = test_journal(b->store);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.last.outcome, STORE_UNDONE);
	assert_string_equal(seen.reason, "the client was killed");
	assert_true(seen.last.undone > 0);
	assert_false(seen.last.has_past);
	assert_files(b->store, seen.last.id, "created  0 -> /three 0\n");
	test_txn_reopen(b);
	assert_int_equal(test_journal(b->store).count, 3);
}

static void
a_transaction_of_nothing_leaves_none(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);

	assert_int_equal(store_txn_commit_wait(&txn), 0);
	txn = test_begin(b);
	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_remove(txn, STORE_ROOT, "f");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	txn = test_begin(b);
	(void)test_stage_file(txn, STORE_ROOT, "f");
	store_txn_abort(txn);
	assert_int_equal(test_journal(b->store).count, 0);
	assert_int_equal(test_count_records(b->store, 'n'), 1);
}

static void
a_commit_that_fails_leaves_one_that_says_so(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'x', 1);
	StoreTxn *txn = test_begin(b);
	TestJournal seen;

	test_write(txn, file, "mine");
	test_write(b->plain, file, "theirs");
	assert_int_equal(store_txn_commit_wait(&txn), -ESTALE);
	seen = test_journal(b->store);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.last.outcome, STORE_UNDONE);
	assert_true(g_str_has_prefix(seen.reason, "the commit failed: "));
}

static void
the_caller_gives_an_account(void **state)
{
	static const StoreAccount account = { .session = 7,
		                              .begun_ns = 5,
		                              .held_ns = 300,
		                              .waited_ns = 20,
		                              .who = "smbd of 10.0.0.7",
		                              .mailbags = "/KEY/INQUEUE3.KEY" };
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	TestJournal seen;

	(void)test_stage_file(txn, STORE_ROOT, "one");
	store_txn_account(txn, &account);
	assert_int_equal(test_checkpoint(txn), 0);
	seen = test_journal(b->store);
	assert_int_equal(seen.last.session, 7);
	assert_int_equal(seen.last.begun_ns, 5);
	assert_int_equal(seen.last.held_ns, 300);
	assert_int_equal(seen.last.waited_ns, 20);
	assert_string_equal(seen.who, "smbd of 10.0.0.7");
	assert_string_equal(seen.mailbags, "/KEY/INQUEUE3.KEY");

	/* It was of that checkpoint alone. */
	(void)test_stage_file(txn, STORE_ROOT, "two");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	seen = test_journal(b->store);
	assert_int_equal(seen.last.session, 0);
	assert_string_equal(seen.who, "test");
}

static void
an_entry_goes_with_its_transaction_through_a_crash(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	uint64_t commits;

	assert_int_equal(store_sync_wait(b->store), 0);
	commits = kv_fault_commits(b->disk);
	(void)test_stage_file(txn, STORE_ROOT, "done");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(kv_fault_commits(b->disk), commits + 1);
	txn = test_begin(b);
	(void)test_stage_file(txn, STORE_ROOT, "lost");
	assert_int_equal(store_txn_publish(&txn), 0);
	assert_int_equal(test_journal(b->store).count, 2);
	test_txn_crash(b, &txn);
	assert_int_equal(test_journal(b->store).count, 1);
	assert_true(test_has(b->plain, STORE_ROOT, "done"));
	assert_false(test_has(b->plain, STORE_ROOT, "lost"));
}

/* ---- what is kept --------------------------------------------------------*/

/* A transaction that cuts one file and removes another, of five chunks each. */
static void
cut_and_remove(TestTxn *b)
{
	StoreNode cut = test_add_bytes(b, "cut", 'x', 20000);
	StoreTxn *txn;

	test_add_bytes(b, "removed", 'x', 20000);
	assert_int_equal(store_sync_wait(b->store), 0);
	txn = test_begin(b);
	assert_int_equal(store_file_truncate(txn, cut, 0), 0);
	test_remove(txn, STORE_ROOT, "removed");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
}

static void
content_that_is_let_go_is_kept(void **state)
{
	TestTxn *b = *state;

	cut_and_remove(b);
	assert_int_equal(test_count_records(b->store, 'c'), 10);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
	assert_in_range(test_journal(b->store).last.bytes, 40000, 41000);
	test_txn_reopen(b);
	assert_int_equal(test_count_records(b->store, 'c'), 10);
}

/* A file of 4 GiB, of which only the first @size bytes were ever written. */
static StoreNode
add_sparse(TestTxn *b, const char *name, size_t size)
{
	StoreNode file = test_add_bytes(b, name, 'x', size);

	assert_int_equal(
		store_file_truncate(b->plain, file, STORE_FILE_SIZE_MAX), 0);
	return file;
}

static void
a_hole_that_is_let_go_takes_nobodys_past(void **state)
{
	TestTxn *b = *state;
	StoreNode cut = add_sparse(b, "sparse", 20000);
	StoreTxn *txn;

	(void)add_sparse(b, "gone", 20000);
	(void)add_sparse(b, "small", 10);
	cut_and_remove(b);
	txn = test_begin(b);
	assert_int_equal(store_file_truncate(txn, cut, 0), 0);
	test_remove(txn, STORE_ROOT, "gone");
	test_remove(txn, STORE_ROOT, "small");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_in_range(test_journal(b->store).last.bytes, 40000, 42000);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_in_range(b->store->journal.bytes, 80000, 83000);
}

#define XATTRS     60
#define XATTR_SIZE 60000

static void
extended_attributes_that_are_let_go_count(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	g_autofree char *value = g_strnfill(XATTR_SIZE, 'x');
	StoreTxn *txn;
	int i;

	for (i = 0; i < XATTRS; i++) {
		g_autofree char *name = g_strdup_printf("user.%d", i);

		assert_int_equal(store_xattr_set(b->plain, file, name, value,
		                                 XATTR_SIZE, 0),
		                 0);
	}
	txn = test_begin(b);
	test_remove(txn, STORE_ROOT, "f");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(test_count_records(b->store, 'x'), XATTRS);
	assert_in_range(test_journal(b->store).last.bytes, XATTRS * XATTR_SIZE,
	                XATTRS * (XATTR_SIZE + 64));
}

static int
setup_nothing_kept(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;

	options.journal_max = 0;
	*state = test_txn_new(&options);
	return 0;
}

static void
nothing_is_kept_where_nothing_shall_be(void **state)
{
	TestTxn *b = *state;

	cut_and_remove(b);
	assert_int_equal(test_count_records(b->store, 'c'), 0);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
	assert_int_equal(test_journal(b->store).count, 1);
	assert_false(test_journal(b->store).last.has_past);
	assert_int_equal(test_journal(b->store).last.bytes, 0);
}

static int
setup_little_kept(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;

	options.journal_max = 50000;
	*state = test_txn_new(&options);
	return 0;
}

static void
the_oldest_past_goes_first_and_its_line_stays(void **state)
{
	TestTxn *b = *state;
	StoreStat stat;
	TestJournal seen;
	StoreTxn *txn;

	cut_and_remove(b);
	test_add_bytes(b, "another", 'x', 20000);
	txn = test_begin(b);
	test_remove(txn, STORE_ROOT, "another");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(test_count_records(b->store, 'c'), 5);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
	seen = test_journal(b->store);
	assert_int_equal(seen.count, 2);
	assert_true(seen.last.has_past);
	assert_int_equal(store_stat(b->store, &stat), 0);
	assert_int_equal(stat.journal, 2);
	assert_int_equal(stat.journal_bytes, seen.last.bytes);
}

/* Opens the store with other options. */
static void
reopen_with(TestTxn *b, uint64_t journal_max, uint64_t age_s)
{
	b->options.journal_max = journal_max;
	b->options.journal_age_s = age_s;
	test_txn_reopen(b);
	assert_int_equal(store_sync_wait(b->store), 0);
}

static void
what_is_too_old_goes_altogether(void **state)
{
	TestTxn *b = *state;
	gint64 deadline = test_deadline();

	cut_and_remove(b);
	assert_int_equal(test_count_records(b->store, 'c'), 10);
	reopen_with(b, 1 << 30, 1);
	while (test_journal(b->store).count > 0) {
		assert_true(g_get_monotonic_time() < deadline);
		test_add_bytes(b, "plain", 'x', 1);
		test_remove(b->plain, STORE_ROOT, "plain");
		assert_int_equal(store_sync_wait(b->store), 0);
	}
	assert_int_equal(test_count_records(b->store, 'c'), 0);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
	/* Since when there is a journal is all that is left. */
	assert_int_equal(test_count_records(b->store, 'j'), 1);
}

static void
a_held_file_is_read_though_its_entry_has_expired(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'x', 20000);
	StoreTxn *txn = test_begin(b);
	char byte = 0;
	size_t size = 0;

	store_node_hold(b->store, file);
	test_remove(txn, STORE_ROOT, "f");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
	b->store->options.journal_max = 1;
	test_add_bytes(b, "plain", 'x', 1);
	assert_int_equal(test_count_records(b->store, 'o'), 1);
	assert_int_equal(
		store_file_read(b->plain, file, 19999, &byte, 1, &size), 0);
	assert_int_equal(byte, 'x');
	store_node_release(b->store, file);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
	assert_int_equal(test_count_records(b->store, 'c'), 0);
}

static void
a_held_file_that_is_let_go_stays_with_its_entry(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'x', 20000);
	StoreTxn *txn = test_begin(b);

	store_node_hold(b->store, file);
	test_remove(txn, STORE_ROOT, "f");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	store_node_release(b->store, file);
	assert_int_equal(test_count_records(b->store, 'c'), 5);
	reopen_with(b, 1, 1000);
	assert_int_equal(test_count_records(b->store, 'c'), 0);
}

/* ---- no room -------------------------------------------------------------*/

static void
a_commit_without_room_for_the_past_goes_without_it(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_bytes(b, "f", 'x', 100000);
	StoreNode other = test_add_bytes(b, "g", 'x', 100000);
	StoreTxn *published = test_begin(b);
	StoreTxn *txn = test_begin(b);
	TestJournal seen;

	assert_int_equal(store_sync_wait(b->store), 0);
	kv_fault_limit(b->disk, 20000);
	assert_int_equal(store_file_truncate(published, other, 10), 0);
	assert_int_equal(store_txn_publish(&published), 0);
	assert_int_equal(store_file_truncate(txn, file, 10), 0);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	kv_fault_limit(b->disk, 0);
	seen = test_journal(b->store);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.last.outcome, STORE_COMMITTED);
	assert_false(seen.last.has_past);
	assert_int_equal(test_count_records(b->store, 'c'), 2);
	assert_int_equal(b->store->journal.bytes, 0);
}

static void
a_removal_without_room_for_its_past_makes_room(void **state)
{
	TestTxn *b = *state;
	StoreNode cut = test_add_bytes(b, "cut", 'x', 20000);
	StoreNode trimmed = test_add_bytes(b, "trimmed", 'x', 100000);
	StoreTxn *txn = test_begin(b);

	test_add_bytes(b, "removed", 'x', 20000);
	assert_int_equal(store_sync_wait(b->store), 0);
	kv_fault_limit(b->disk, 20000);
	assert_int_equal(store_file_truncate(txn, cut, 0), 0);
	assert_int_equal(store_file_truncate(txn, trimmed, 1), 0);
	test_remove(txn, STORE_ROOT, "removed");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(test_count_records(b->store, 'c'), 1);
	assert_int_equal(test_count_records(b->store, 'o'), 0);
}

static int
commit_file(Store *store, const char *name, size_t size)
{
	g_autofree char *bytes = g_strnfill(size, 'x');
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	StoreTxn *txn = NULL;

	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	assert_int_equal(store_name_add(txn, STORE_ROOT, name, &attr, &attr),
	                 0);
	(void)store_file_write(txn, attr.node, 0, bytes, size);
	return store_txn_commit_wait(&txn);
}

static int
commit_removal(Store *store, const char *name)
{
	StoreTxn *txn = NULL;

	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	test_remove(txn, STORE_ROOT, name);
	return store_txn_commit_wait(&txn);
}

/* A store of 8 MiB, through which 32 MiB of mail pass. */
static void
the_past_gives_way_to_mail(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	TestStore *test;
	StoreRoom room;
	int i;

	options.map_size = 8 << 20;
	test = test_store_new_with(&options);
	for (i = 0; i < 32; i++) {
		assert_int_equal(commit_file(test->store, "mail", 1 << 20), 0);
		assert_int_equal(store_room(test->store, &room), 0);
		assert_true(room.free > 4 << 20);
		assert_int_equal(commit_removal(test->store, "mail"), 0);
	}
	assert_true(test_journal(test->store).count == 64);
	test_store_reopen(test);
	test_store_check(test->store);
	test_store_free(test);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TXN_TEST(a_commit_leaves_an_entry_of_what_it_did),
		TXN_TEST(every_end_and_every_checkpoint_leaves_one),
		TXN_TEST(a_transaction_of_nothing_leaves_none),
		TXN_TEST(a_commit_that_fails_leaves_one_that_says_so),
		TXN_TEST(the_caller_gives_an_account),
		TXN_TEST(an_entry_goes_with_its_transaction_through_a_crash),
		TXN_TEST(content_that_is_let_go_is_kept),
		TXN_TEST(a_hole_that_is_let_go_takes_nobodys_past),
		TXN_TEST(extended_attributes_that_are_let_go_count),
		cmocka_unit_test_setup_teardown(
			nothing_is_kept_where_nothing_shall_be,
			setup_nothing_kept, test_txn_teardown),
		cmocka_unit_test_setup_teardown(
			the_oldest_past_goes_first_and_its_line_stays,
			setup_little_kept, test_txn_teardown),
		TXN_TEST(what_is_too_old_goes_altogether),
		TXN_TEST(a_held_file_is_read_though_its_entry_has_expired),
		TXN_TEST(a_held_file_that_is_let_go_stays_with_its_entry),
		TXN_TEST(a_commit_without_room_for_the_past_goes_without_it),
		TXN_TEST(a_removal_without_room_for_its_past_makes_room),
		cmocka_unit_test(the_past_gives_way_to_mail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
