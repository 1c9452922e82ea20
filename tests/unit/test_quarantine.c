/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What was undone is kept, can be read, and goes when it is told to.
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
#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"
#include "tests/unit/undone_kit.h"

/* ---- what a test sees of the quarantine ----------------------------------*/

static bool
note_file(void *user_data, const StoreUndoneFile *file)
{
	static const char *const what[] = { "created", "changed", "renamed",
		                            "removed" };

	g_string_append_printf(user_data, "%s %s %d %d\n", what[file->what],
	                       file->path, (int)file->size, (int)file->bytes);
	return true;
}

static void
assert_files(Store *store, uint64_t id, const char *want)
{
	g_autoptr(GString) text = g_string_new(NULL);

	assert_int_equal(store_quarantine_files(store, id, note_file, text), 0);
	assert_string_equal(text->str, want);
}

static void
assert_content(Store *store, uint64_t id, StoreNode node, const char *want)
{
	char buf[256] = "";
	size_t size = 0;

	assert_int_equal(store_quarantine_read(store, id, node, 0, buf,
	                                       sizeof(buf) - 1, &size),
	                 0);
	assert_int_equal(size, strlen(want));
	assert_string_equal(buf, want);
}

/* ---- keeping -------------------------------------------------------------*/

static void
what_is_undone_is_kept(void **state)
{
	TestTxn *b = *state;
	StoreNode box = test_add_dir(b->store, STORE_ROOT, "box");
	StoreNode changed = test_add_file(b->store, box, "changed");
	StoreNode created;
	StoreTxn *txn;
	TestUndone seen;

	test_add_file(b->store, box, "old");
	test_write(b->plain, test_add_file(b->store, box, "removed"), "four");
	test_write(b->plain, changed, "before");
	txn = test_begin(b);
	test_write(txn, changed, "after!!");
	assert_int_equal(store_name_move(txn, box, "old", box, "new",
	                                 STORE_MOVE_NOREPLACE),
	                 0);
	test_remove(txn, box, "removed");
	created = test_stage_file(txn, box, "created");
	test_write(txn, created, "mail");
	(void)test_stage_file(txn, box, "fleeting");
	test_remove(txn, box, "fleeting");
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	assert_null(txn);

	test_assert_text(b->plain, changed, "before");
	assert_false(test_has(b->plain, box, "created"));
	seen = test_undone(b->store);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.who, "test");
	assert_string_equal(seen.reason, "the client was killed");
	assert_int_equal(seen.begun_ns, 1000);
	assert_int_equal(seen.files, 4);
	assert_int_equal(seen.bytes, 7 + 4 + 4);
	assert_files(b->store, seen.id,
	             "changed /box/changed 7 7\n"
	             "renamed /box/new 0 0\n"
	             "removed /box/removed 4 4\n"
	             "created /box/created 4 4\n");
	assert_content(b->store, seen.id, changed, "after!!");
	assert_content(b->store, seen.id, created, "mail");
}

static void
nothing_staged_keeps_nothing(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);

	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	assert_null(txn);
	assert_int_equal(test_undone(b->store).count, 0);
}

static void
an_entry_is_there_after_a_restart(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");
	TestUndone seen;

	test_write(txn, file, "kept");
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	test_txn_reopen(b);
	seen = test_undone(b->store);
	assert_int_equal(seen.count, 1);
	assert_content(b->store, seen.id, file, "kept");
}

/* A file of three chunks: the transaction has changed the second. */
static void
what_was_not_written_is_read_as_it_is_now(void **state)
{
	enum {
		CHUNK = 4072,
		SIZE = 3 * CHUNK
	};
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	g_autofree char *old = g_strnfill(SIZE, 'o');
	g_autofree char *buf = g_malloc(SIZE);
	StoreTxn *txn = test_begin(b);
	size_t size = 0;
	uint64_t id;

	assert_int_equal(store_file_write(b->plain, file, 0, old, SIZE), 0);
	assert_int_equal(store_file_write(txn, file, CHUNK + 1, "n", 1), 0);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	assert_int_equal(store_file_write(b->plain, file, 0, "x", 1), 0);
	assert_int_equal(store_file_write(b->plain, file, CHUNK, "x", 1), 0);

	id = test_undone(b->store).id;
	assert_int_equal(
		store_quarantine_read(b->store, id, file, 0, buf, SIZE, &size),
		0);
	assert_int_equal(size, SIZE);
	assert_memory_equal(buf, "xo", 2);
	assert_memory_equal(buf + CHUNK, "ono", 3);
	assert_memory_equal(buf + SIZE - 1, "o", 1);

	test_remove(b->plain, STORE_ROOT, "f");
	test_txn_reopen(b);
	assert_int_equal(
		store_quarantine_read(b->store, id, file, 0, buf, SIZE, &size),
		0);
	assert_int_equal(size, SIZE);
	assert_memory_equal(buf, "\0\0", 2);
	assert_memory_equal(buf + CHUNK, "ono", 3);
}

static void
an_entry_that_is_discarded_leaves_nothing(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreStat stat;
	TestUndone seen;

	(void)test_stage_file(txn, STORE_ROOT, "f");
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	seen = test_undone(b->store);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_stat(b->store, &stat), 0);
	assert_int_equal(stat.undone, 1);
	assert_int_equal(store_quarantine_discard(b->store, seen.id), 0);
	assert_int_equal(store_quarantine_discard(b->store, seen.id), -ENOENT);
	assert_int_equal(test_undone(b->store).count, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_stat(b->store, &stat), 0);
	assert_int_equal(stat.undone, 0);
	assert_int_equal(stat.undone_bytes, 0);
}

static void
the_oldest_entries_make_room_for_new_ones(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	TestTxn *b;
	uint64_t first;
	TestUndone seen;

	options.quarantine_max = (uint64_t)2 * TXN_PAGE;
	b = test_txn_new(&options);
	first = test_undo_file(b, "one");
	(void)test_undo_file(b, "two");
	assert_int_equal(test_undone(b->store).count, 2);
	(void)test_undo_file(b, "three");
	assert_int_equal(store_sync_wait(b->store), 0);
	seen = test_undone(b->store);
	assert_int_equal(seen.count, 2);
	assert_int_equal(store_quarantine_discard(b->store, first), -ENOENT);
	assert_files(b->store, seen.id, "created /three 1000 1000\n");
	test_txn_free(b);
}

/* What is more than the limit stays until another is there. */
static void
the_last_that_is_there_stays_for_one_that_is_not(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	TestAnswer answer = { 0 };
	TestTxn *b;
	uint64_t last;

	(void)state;
	options.quarantine_max = 500;
	b = test_txn_new(&options);
	(void)test_undo_file(b, "one");
	test_hold_sync(b, &answer);
	last = test_undo_file(b, "two");
	assert_int_equal(test_let_go(b, &answer), 0);
	assert_int_equal(test_undone(b->store).count, 2);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_int_equal(test_undone(b->store).id, last);
	test_txn_free(b);
}

/* ---- what fails by itself ------------------------------------------------*/

static void
a_commit_that_fails_is_kept(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);
	TestUndone seen;

	test_write(txn, file, "mine");
	test_write(b->plain, file, "theirs");
	assert_int_equal(store_txn_commit_wait(&txn), -ESTALE);
	seen = test_undone(b->store);
	assert_int_equal(seen.count, 1);
	assert_true(g_str_has_prefix(seen.reason, "the commit failed: "));
	assert_content(b->store, seen.id, file, "mine");

	txn = test_begin(b);
	test_write(txn, file, "mine again");
	test_write(b->plain, file, "theirs again");
	assert_int_equal(store_txn_publish(&txn), -ESTALE);
	assert_int_equal(test_undone(b->store).count, 2);
}

static void
a_checkpoint_that_fails_is_kept_with_what_follows(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);
	TestUndone seen;

	test_write(txn, file, "mine");
	test_write(b->plain, file, "theirs");
	assert_int_equal(test_checkpoint(txn), -ESTALE);
	test_assert_text(txn, file, "mine");
	assert_int_equal(store_file_write(txn, file, 4, " too", 4), 0);
	store_txn_abort(txn);
	seen = test_undone(b->store);
	assert_int_equal(seen.count, 1);
	assert_content(b->store, seen.id, file, "mine too");
	test_assert_text(b->plain, file, "theirs");
}

static void
a_checkpoint_that_fails_after_its_transaction_is_kept(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);
	TestAnswer a;

	assert_int_equal(store_sync_wait(b->store), 0);
	test_write(txn, file, "mine");
	kv_fault_limit(b->disk, 1);
	test_hold_checkpoint(b, txn, &a);
	store_txn_abort(txn);
	assert_int_equal(test_let_go(b, &a), -ENOSPC);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, 1);
}

static void
an_abort_keeps_nothing(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);

	(void)test_stage_file(txn, STORE_ROOT, "f");
	store_txn_abort(txn);
	assert_int_equal(test_undone(b->store).count, 0);
}

static void
an_entry_without_room_is_given_up(void **state)
{
	TestTxn *b = *state;
	g_autofree char *block = g_strnfill(100000, 'x');
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");

	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_file_write(txn, file, 0, block, 100000), 0);
	kv_fault_limit(b->disk, 20000);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	test_add_file(b->store, STORE_ROOT, "plain");
	assert_int_equal(store_sync_wait(b->store), -ENOSPC);
	assert_int_equal(store_sync_wait(b->store), 0);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(test_undone(b->store).count, 0);
	assert_true(test_has(b->plain, STORE_ROOT, "plain"));
}

/* Who is large fails alone. */
static void
an_entry_that_has_room_by_itself_is_kept(void **state)
{
	TestTxn *b = *state;
	g_autofree char *block = g_strnfill(100000, 'x');
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");
	uint64_t id;

	assert_int_equal(store_file_write(txn, file, 0, block, 100000), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	kv_fault_limit(b->disk, 20000);
	id = test_undo_file(b, "undone");
	assert_int_equal(store_txn_commit_wait(&txn), -ENOSPC);
	(void)store_sync_wait(b->store);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).id, id);
}

static void
what_is_undone_is_not_given_up_with_the_batch_before(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_NOSPACE };
	TestTxn *b = *state;
	TestAnswer answer;

	test_hold_sync(b, &answer);
	kv_fault_end_commits(b->disk, ends, G_N_ELEMENTS(ends));
	(void)test_undo_file(b, "f");
	assert_int_equal(test_let_go(b, &answer), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, 1);
}

/* ---- drafts --------------------------------------------------------------*/

/* Nothing can be listed then. */
static void
what_is_aborted_while_nobody_can_read_is_gone(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin_draft(b, NULL);

	assert_int_equal(store_sync_wait(b->store), 0);
	test_abort_unread(b, g_steal_pointer(&txn));
	assert_int_equal(b->store->undone.length, 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 0);
}

static void
assert_no_entry(TestTxn *b)
{
	StoreStat stat;

	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_stat(b->store, &stat), 0);
	assert_int_equal(stat.undone, 0);
	test_txn_reopen(b);
	assert_int_equal(test_undone(b->store).count, 0);
}

static void
a_draft_is_an_entry_after_a_crash(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = test_begin_draft(b, &file);
	TestUndone seen;

	test_txn_crash(b, &txn);
	seen = test_undone(b->store);
	assert_int_equal(seen.count, 1);
	assert_content(b->store, seen.id, file, "draft");
	assert_false(test_has(b->plain, STORE_ROOT, "f"));
}

static void
saving_again_writes_only_what_is_new(void **state)
{
	TestTxn *b = *state;
	g_autofree char *block = g_strnfill(100000, 'x');
	StoreTxn *txn = test_begin(b);
	StoreNode file = test_stage_file(txn, STORE_ROOT, "f");
	TestUndone seen;

	assert_int_equal(store_file_write(txn, file, 0, block, 100000), 0);
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_write(txn, file, "again");
	assert_int_equal(store_file_truncate(txn, file, 90000), 0);
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	kv_fault_limit(b->disk, 20000);
	assert_int_equal(store_sync_wait(b->store), 0);
	kv_fault_limit(b->disk, 0);

	test_txn_crash(b, &txn);
	seen = test_undone(b->store);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.bytes, 90000);
	assert_files(b->store, seen.id, "created /f 90000 90000\n");
}

static void
a_draft_goes_with_its_commit(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = test_begin_draft(b, &file);
	uint64_t commits = kv_fault_commits(b->disk);

	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(kv_fault_commits(b->disk), commits + 1);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 0);
	test_assert_text(b->plain, file, "draft");
}

static void
a_draft_goes_with_a_checkpoint_or_publishing(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = test_begin_draft(b, &file);

	assert_int_equal(test_checkpoint(txn), 0);
	assert_int_equal(store_file_write(txn, file, 5, "!", 1), 0);
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	assert_int_equal(store_txn_publish(&txn), 0);
	test_assert_text(b->plain, file, "draft!");
	assert_no_entry(b);
}

static void
a_draft_goes_with_an_abort(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = test_begin_draft(b, &file);

	store_txn_abort(txn);
	assert_no_entry(b);
}

static void
a_draft_is_replaced_by_the_entry(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = test_begin_draft(b, &file);
	StoreStat stat;

	test_write(txn, file, "final");
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_stat(b->store, &stat), 0);
	assert_int_equal(stat.undone, 1);
	assert_content(b->store, test_undone(b->store).id, file, "final");
}

static void
a_draft_of_a_failed_commit_is_replaced(void **state)
{
	TestTxn *b = *state;
	StoreNode file;
	StoreTxn *txn = test_begin_draft(b, &file);
	StoreStat stat;

	test_add_file(b->store, STORE_ROOT, "F");
	assert_int_equal(store_txn_commit_wait(&txn), -ESTALE);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_stat(b->store, &stat), 0);
	assert_int_equal(stat.undone, 1);
	assert_int_equal(test_undone(b->store).count, 1);
}

/* ---- beside a daemon -----------------------------------------------------*/

static int
read_beside(void *user_data)
{
	g_autofree char *reason = NULL;
	g_autoptr(Store) reader = NULL;
	g_autoptr(GString) text = g_string_new(NULL);
	TestUndone seen;

	if (store_open(user_data, STORE_READ, NULL, &reader, &reason) < 0)
		return 99;
	seen = test_undone(reader);
	if (store_quarantine_files(reader, seen.id, note_file, text) < 0)
		return 99;
	return g_str_equal(text->str, "created /f 4 4\n") ? (int)seen.count
	                                                  : 98;
}

static void
another_process_reads_entries_but_not_drafts(void **state)
{
	TestStore *test = test_store_new();
	StoreTxn *undone = NULL;
	StoreTxn *txn = NULL;

	assert_int_equal(store_txn_begin(test->store, "test", &undone), 0);
	assert_int_equal(store_txn_begin(test->store, "test", &txn), 0);
	test_write(undone, test_stage_file(undone, STORE_ROOT, "f"), "mail");
	assert_int_equal(store_txn_quarantine(&undone, &test_killed), 0);
	test_write(txn, test_stage_file(txn, STORE_ROOT, "g"), "draft");
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	assert_int_equal(store_sync_wait(test->store), 0);
	assert_int_equal(test_in_child(read_beside, test->dir), 1);
	store_txn_abort(txn);
	test_store_free(test);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TXN_TEST(what_is_undone_is_kept),
		TXN_TEST(nothing_staged_keeps_nothing),
		TXN_TEST(an_entry_is_there_after_a_restart),
		TXN_TEST(what_was_not_written_is_read_as_it_is_now),
		TXN_TEST(an_entry_that_is_discarded_leaves_nothing),
		cmocka_unit_test(the_oldest_entries_make_room_for_new_ones),
		cmocka_unit_test(
			the_last_that_is_there_stays_for_one_that_is_not),
		TXN_TEST(a_commit_that_fails_is_kept),
		TXN_TEST(a_checkpoint_that_fails_is_kept_with_what_follows),
		TXN_TEST(a_checkpoint_that_fails_after_its_transaction_is_kept),
		TXN_TEST(an_abort_keeps_nothing),
		TXN_TEST(an_entry_without_room_is_given_up),
		TXN_TEST(an_entry_that_has_room_by_itself_is_kept),
		TXN_TEST(what_is_undone_is_not_given_up_with_the_batch_before),
		TXN_TEST(what_is_aborted_while_nobody_can_read_is_gone),
		TXN_TEST(a_draft_is_an_entry_after_a_crash),
		TXN_TEST(saving_again_writes_only_what_is_new),
		TXN_TEST(a_draft_goes_with_its_commit),
		TXN_TEST(a_draft_goes_with_a_checkpoint_or_publishing),
		TXN_TEST(a_draft_goes_with_an_abort),
		TXN_TEST(a_draft_is_replaced_by_the_entry),
		TXN_TEST(a_draft_of_a_failed_commit_is_replaced),
		cmocka_unit_test(another_process_reads_entries_but_not_drafts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
