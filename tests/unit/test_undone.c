/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The quarantine where it is hard to keep: the disk fails, there is no room,
 * the limit is too small, a record is not what it should be.
 */

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "store/headship.h"
#include "store/internal.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"
#include "tests/unit/undone_kit.h"

/* ---- calls that fail -----------------------------------------------------*/

/* Something that is done while call number @at of the engine fails; returns
 * whether there were so many. */
typedef bool Deed(TestTxn *b, uint64_t at);

static bool
was_met(TestTxn *b, uint64_t at)
{
	bool was = kv_fault_calls(b->disk) >= at;

	kv_fault_plan(b->disk, KV_FAULT_NONE, 0);
	return was;
}

/* Does it with each call failing, until none did. */
static void
with_each_call_failing(const StoreOptions *options, Deed *deed)
{
	uint64_t at = 0;
	bool has_failed = true;

	while (has_failed) {
		TestTxn *b = test_txn_new(options);

		assert_int_equal(store_sync_wait(b->store), 0);
		has_failed = deed(b, ++at);
		assert_int_equal(store_sync_wait(b->store), 0);
		test_txn_free(b);
		assert_true(at < 200);
	}
	assert_true(at > 1);
}

static bool
discard_one(TestTxn *b, uint64_t at)
{
	uint64_t id = test_undo_file(b, "f");
	bool was;
	int r;

	assert_int_equal(store_sync_wait(b->store), 0);
	kv_fault_plan(b->disk, KV_FAULT_IO, at);
	r = store_quarantine_discard(b->store, id);
	was = was_met(b, at);
	if (r < 0) {
		assert_int_equal(r, -EIO);
		assert_int_equal(test_undone(b->store).count, 1);
		assert_int_equal(store_quarantine_discard(b->store, id), 0);
	}
	assert_int_equal(test_undone(b->store).count, 0);
	return was;
}

static void
a_discard_that_fails_can_be_repeated(void **state)
{
	with_each_call_failing(&STORE_OPTIONS_DEFAULT, discard_one);
}

static bool
commit_draft(TestTxn *b, uint64_t at)
{
	StoreTxn *txn = test_begin_draft(b, NULL);
	bool was;
	int r;

	kv_fault_plan(b->disk, KV_FAULT_IO, at);
	r = store_txn_commit_wait(&txn);
	was = was_met(b, at);
	assert_true(r == 0 || r == -EIO);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_has(b->plain, STORE_ROOT, "f"), r == 0);
	assert_int_equal(test_undone(b->store).count, r == 0 ? 0 : 1);
	return was;
}

static void
a_draft_whose_commit_fails_is_an_entry(void **state)
{
	with_each_call_failing(&STORE_OPTIONS_DEFAULT, commit_draft);
}

/* The second entry is beyond the limit. */
static bool
undo_second(TestTxn *b, uint64_t at)
{
	StoreTxn *txn = test_begin(b);
	uint64_t first;
	bool was;

	(void)test_stage_file(txn, STORE_ROOT, "two");
	first = test_undo_file(b, "one");
	assert_int_equal(store_sync_wait(b->store), 0);
	kv_fault_plan(b->disk, KV_FAULT_IO, at);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	(void)store_sync_wait(b->store);
	was = was_met(b, at);
	assert_true(test_undone(b->store).id > first);
	return was;
}

static void
an_entry_is_kept_if_the_oldest_cannot_be_discarded(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;

	options.quarantine_max = 500;
	with_each_call_failing(&options, undo_second);
}

/* There is no room for the entry, and what it has cannot be listed. */
static bool
give_up(TestTxn *b, uint64_t at)
{
	bool was;

	(void)test_undo_file(b, "f");
	kv_fault_limit(b->disk, 500);
	kv_fault_plan(b->disk, KV_FAULT_IO, at);
	(void)store_sync_wait(b->store);
	was = was_met(b, at);
	assert_int_not_equal(store_sync_wait(b->store), -EIO);
	kv_fault_limit(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_true(test_undone(b->store).count <= 1);
	return was;
}

static void
an_entry_that_is_given_up_does_no_harm(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;

	options.journal_max = 0;
	with_each_call_failing(&options, give_up);
}

static void
a_draft_is_refused_while_the_disk_fails(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);

	(void)test_stage_file(txn, STORE_ROOT, "f");
	test_add_file(b->store, STORE_ROOT, "pending");
	kv_fault_break(b->disk, true);
	assert_int_equal(store_sync_wait(b->store), -EIO);
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), -EIO);
	kv_fault_break(b->disk, false);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_true(test_has(b->plain, STORE_ROOT, "f"));
}

/* ---- limits --------------------------------------------------------------*/

static void
the_newest_entry_and_drafts_are_beyond_the_limit(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	StoreVitals vitals = { .error = 0 };
	StoreTxn *txn;
	uint64_t first;
	TestTxn *b;

	options.quarantine_max = 1;
	b = test_txn_new(&options);
	txn = test_begin_draft(b, NULL);
	assert_int_equal(store_vitals(b->store, &vitals), 0);
	assert_int_equal(vitals.undone, 0);
	assert_int_equal(vitals.undone_bytes, 0);
	first = test_undo_file(b, "one");
	(void)test_undo_file(b, "two");
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, 1);
	assert_true(test_undone(b->store).id > first);
	assert_int_equal(store_vitals(b->store, &vitals), 0);
	assert_int_equal(vitals.undone, 1);
	assert_int_equal(vitals.undone_bytes, 1000);

	/* It was a draft all the time. */
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 2);
	test_txn_free(b);
}

static void
what_has_no_room_is_lost_and_the_journal_says_so(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin(b);
	StoreTxn *other = test_begin(b);
	int entries = test_count_records(b->store, RECORD_JOURNAL);

	(void)test_stage_file(txn, STORE_ROOT, "f");
	(void)test_stage_file(other, STORE_ROOT, "g");
	kv_fault_leave_room(b->disk, 8192);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), -ENOSPC);
	assert_int_equal(store_txn_quarantine(&other, &test_killed), -ENOSPC);
	kv_fault_leave_room(b->disk, 0);
	assert_int_equal(test_undone(b->store).count, 0);
	/* A head and a file of each. */
	assert_int_equal(test_count_records(b->store, RECORD_JOURNAL),
	                 entries + 4);
	test_txn_reopen(b);
	assert_int_equal(test_undone(b->store).count, 0);
}

/* ---- drafts --------------------------------------------------------------*/

static void
a_draft_has_what_was_done_last(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreTxn *txn = test_begin(b);
	int records;

	assert_int_equal(store_xattr_set(b->plain, file, "user.a", "1", 1, 0),
	                 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_xattr_set(txn, file, "user.a", "2", 1, 0), 0);
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	records = test_count_records(b->store, RECORD_UNDONE);
	/* Instead of what was put. */
	assert_int_equal(store_xattr_remove(txn, file, "user.a"), 0);
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	assert_int_equal(test_count_records(b->store, RECORD_UNDONE), records);
	store_txn_abort(txn);
	assert_int_equal(test_count_records(b->store, RECORD_UNDONE), 0);
}

static void
a_draft_is_nobodys_to_discard(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin_draft(b, NULL);
	uint64_t id = txn->draft;

	assert_int_equal(store_quarantine_discard(b->store, id), -ENOENT);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	assert_int_equal(store_quarantine_discard(b->store, id), 0);
}

/* A transaction whose new file "f" was spilled, and a draft of it on disk. */
static StoreTxn *
begin_spilled(TestTxn **ret_b, StoreNode *ret_file)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	g_autofree char *block = g_strnfill(100000, 'x');
	StoreTxn *txn;

	options.staged_limit = 1;
	*ret_b = test_txn_new(&options);
	txn = test_begin(*ret_b);
	*ret_file = test_stage_file(txn, STORE_ROOT, "f");
	assert_int_equal(store_file_write(txn, *ret_file, 0, block, 100000), 0);
	assert_int_equal(store_file_write(txn, *ret_file, 0, "y", 1), 0);
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	assert_int_equal(store_sync_wait((*ret_b)->store), 0);
	return txn;
}

static void
a_checkpoint_that_fails_leaves_one_draft(void **state)
{
	StoreNode file;
	TestTxn *b;
	StoreTxn *txn = begin_spilled(&b, &file);

	(void)state;
	test_add_file(b->store, STORE_ROOT, "F");
	assert_int_equal(test_checkpoint(txn), -ESTALE);
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_txn_crash(b, &txn);
	assert_int_equal(test_undone(b->store).count, 1);
	test_txn_free(b);
}

/* Nor can be read what the draft had. */
static void
a_draft_whose_commit_is_refused_leaves_nothing(void **state)
{
	TestAnswer held;
	TestAnswer refused = { 0 };
	StoreNode file;
	TestTxn *b;
	StoreTxn *txn = begin_spilled(&b, &file);

	(void)state;
	assert_int_equal(store_file_truncate(txn, file, 0), 0);
	test_hold_sync(b, &held);
	store_txn_commit(&txn, test_answered, &refused);
	kv_fault_break(b->disk, true);
	assert_int_equal(test_let_go(b, &held), -EIO);
	assert_int_equal(test_await(&refused), -EIO);
	kv_fault_break(b->disk, false);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(test_undone(b->store).count, 1);
	test_txn_free(b);
}

/* What the draft has of a chunk, there is more of it since. */
static void
a_draft_hides_nothing_from_its_entry_while_the_disk_fails(void **state)
{
	static const KvFaultKind ends[] = { KV_FAULT_UNKNOWN_LOST };
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	g_autofree char *block = g_strnfill(30000, 'x');
	g_autofree char *got = g_malloc(30000);
	size_t size = 0;
	StoreNode file;
	StoreTxn *txn;
	TestTxn *b;

	(void)state;
	options.staged_limit = 8192;
	b = test_txn_new(&options);
	txn = test_begin(b);
	file = test_stage_file(txn, STORE_ROOT, "f");
	assert_int_equal(store_file_write(txn, file, 0, block, 6000), 0);
	assert_int_equal(store_txn_save(txn, &test_killed, NULL, NULL), 0);
	assert_int_equal(store_file_write(txn, file, 6000, block, 12000), 0);
	assert_int_equal(store_file_write(txn, file, 18000, block, 12000), 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	test_add_file(b->store, STORE_ROOT, "g");
	kv_fault_end_commits(b->disk, ends, 1);
	kv_fault_fail_reopens(b->disk, UINT_MAX);
	assert_int_equal(store_sync_wait(b->store), -EIO);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	kv_fault_fail_reopens(b->disk, 0);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_quarantine_read(b->store,
	                                       test_undone(b->store).id, file,
	                                       0, got, 30000, &size),
	                 0);
	assert_int_equal(size, 30000);
	assert_memory_equal(got, block, size);
	test_txn_free(b);
}

/* However often a large transaction is synced. */
static void
a_draft_remembers_no_more_than_it_has(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	g_autofree char *block = g_strnfill(6000, 'x');
	StoreNode file;
	StoreTxn *txn;
	TestTxn *b;

	(void)state;
	options.staged_limit = 8192;
	b = test_txn_new(&options);
	txn = test_begin(b);
	file = test_stage_file(txn, STORE_ROOT, "f");
	for (uint64_t at = 0; at < 600000; at += 6000) {
		(void)store_file_write(txn, file, at, block, 6000);
		(void)store_txn_save(txn, &test_killed, NULL, NULL);
	}
	(void)store_sync_wait(b->store);
	(void)store_txn_save(txn, &test_killed, NULL, NULL);
	assert_int_equal(g_hash_table_size(txn->drafted),
	                 test_count_records(b->store, RECORD_UNDONE));
	store_txn_abort(txn);
	test_txn_free(b);
}

static bool
count_file(void *user_data, const StoreUndoneFile *file)
{
	(void)file;
	++*(guint *)user_data;
	return true;
}

static void
a_draft_tells_nothing_of_what_went_again(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin_draft(b, NULL);
	guint count = 0;

	test_remove(txn, STORE_ROOT, "f");
	(void)test_stage_file(txn, STORE_ROOT, "g");
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	assert_int_equal(store_quarantine_files(b->store,
	                                        test_undone(b->store).id,
	                                        count_file, &count),
	                 0);
	assert_int_equal(count, 1);
}

static Store *
open_reader(TestTxn *b, const char *dir)
{
	g_autofree char *reason = NULL;
	Store *store = NULL;

	assert_int_equal(store_open_on(kv_fault_open(b->disk), dir, STORE_READ,
	                               NULL, &store, &reason),
	                 0);
	return store;
}

static void
a_reader_sees_drafts_of_those_who_are_gone(void **state)
{
	TestTxn *b = *state;
	g_autofree char *dir = g_dir_make_tmp("pofs-test-XXXXXX", NULL);
	StoreTxn *txn = test_begin_draft(b, NULL);
	Store *reader = open_reader(b, dir);
	pid_t holder = 0;
	int fd = -1;

	assert_int_equal(test_undone(reader).count, 1);
	assert_int_equal(headship_take(dir, &fd, &holder), 0);
	assert_int_equal(test_undone(reader).count, 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(test_undone(reader).count, 1);
	assert_int_equal(store_close(reader), 0);
	store_txn_abort(txn);
	test_remove_files(dir);
}

/* ---- what is not as it should be -----------------------------------------*/

static bool
see_what(void *user_data, const StoreUndoneFile *file)
{
	*(StoreUndoneWhat *)user_data = file->what;
	return true;
}

static void
a_change_of_what_is_gone_is_one(void **state)
{
	TestTxn *b = *state;
	StoreNode file = test_add_file(b->store, STORE_ROOT, "f");
	StoreUndoneWhat what = STORE_UNDONE_RENAMED;
	StoreTxn *txn = test_begin(b);

	assert_int_equal(store_sync_wait(b->store), 0);
	test_write(txn, file, "late");
	test_remove(b->plain, STORE_ROOT, "f");
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_txn_commit_wait(&txn), -ESTALE);
	assert_int_equal(store_quarantine_files(b->store,
	                                        test_undone(b->store).id,
	                                        see_what, &what),
	                 0);
	assert_int_equal(what, STORE_UNDONE_CHANGED);
}

/* Puts a record with a key of @size bytes into the quarantine. */
static void
put_record(TestTxn *b, const RecordKey *key, size_t size)
{
	STORE_LOCK(b->store);
	txn_put(b->plain, (KvSlice){ key->bytes, size }, (KvSlice){ "", 0 });
}

/* Records of @id whose keys are too short to say of what they are. */
static void
put_malformed(TestTxn *b, uint64_t id)
{
	RecordKey content = record_key_part_id(id, RECORD_PART_CONTENT, 1);
	RecordKey file = record_key_part_id(id, RECORD_PART_FILE, 1);

	put_record(b, &content, content.size - 8 - 1);
	put_record(b, &content, content.size - 1);
	put_record(b, &file, file.size - 1);
}

static void
malformed_records_go_with_their_entry(void **state)
{
	TestTxn *b = *state;
	uint64_t id = test_undo_file(b, "f");

	put_malformed(b, id);
	assert_int_equal(store_sync_wait(b->store), 0);
	assert_int_equal(store_quarantine_discard(b->store, id), 0);
	assert_int_equal(test_undone(b->store).count, 0);
	assert_int_equal(test_count_records(b->store, RECORD_UNDONE), 0);
}

static void
malformed_records_of_a_draft_do_not_stay_in_its_entry(void **state)
{
	TestTxn *b = *state;
	StoreTxn *txn = test_begin_draft(b, NULL);
	int records = test_count_records(b->store, RECORD_UNDONE);

	put_malformed(b, txn->draft);
	assert_int_equal(test_count_records(b->store, RECORD_UNDONE),
	                 records + 3);
	assert_int_equal(store_txn_quarantine(&txn, &test_killed), 0);
	/* What names content stays: it may. */
	assert_int_equal(test_count_records(b->store, RECORD_UNDONE),
	                 records + 1);
	assert_int_equal(
		store_quarantine_discard(b->store, test_undone(b->store).id),
		0);
	assert_int_equal(test_count_records(b->store, RECORD_UNDONE), 0);
}

static bool
see_none(void *user_data, const StoreUndone *undone)
{
	fail();
	return false;
}

/* An entry without a head is none, for a check to find; one without even an id
 * is a damaged database. */
static void
an_entry_must_have_a_head(void **state)
{
	TestTxn *b = *state;
	RecordKey key = record_key_part_id(77, RECORD_PART_FILE, 1);

	put_record(b, &key, key.size);
	assert_int_equal(test_undone(b->store).count, 0);
	assert_int_equal(store_quarantine_discard(b->store, 77), -ENOENT);
	g_mutex_lock(&b->store->lock);
	txn_delete(b->plain, record_slice(&key));
	g_mutex_unlock(&b->store->lock);
	assert_int_equal(test_undone(b->store).count, 0);

	key = record_key_undone(UINT64_C(1) << 56);
	put_record(b, &key, key.size - 1);
	assert_int_equal(store_quarantine_list(b->store, see_none, NULL), -EIO);
	key.size--;
	g_mutex_lock(&b->store->lock);
	txn_delete(b->plain, record_slice(&key));
	g_mutex_unlock(&b->store->lock);
	assert_int_equal(test_undone(b->store).count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_discard_that_fails_can_be_repeated),
		cmocka_unit_test(a_draft_whose_commit_fails_is_an_entry),
		cmocka_unit_test(
			an_entry_is_kept_if_the_oldest_cannot_be_discarded),
		cmocka_unit_test(an_entry_that_is_given_up_does_no_harm),
		TXN_TEST(a_draft_is_refused_while_the_disk_fails),
		cmocka_unit_test(
			the_newest_entry_and_drafts_are_beyond_the_limit),
		TXN_TEST(what_has_no_room_is_lost_and_the_journal_says_so),
		TXN_TEST(a_draft_has_what_was_done_last),
		TXN_TEST(a_draft_is_nobodys_to_discard),
		cmocka_unit_test(
			a_draft_hides_nothing_from_its_entry_while_the_disk_fails),
		cmocka_unit_test(a_draft_remembers_no_more_than_it_has),
		TXN_TEST(a_draft_tells_nothing_of_what_went_again),
		cmocka_unit_test(a_checkpoint_that_fails_leaves_one_draft),
		cmocka_unit_test(
			a_draft_whose_commit_is_refused_leaves_nothing),
		TXN_TEST(a_reader_sees_drafts_of_those_who_are_gone),
		TXN_TEST(a_change_of_what_is_gone_is_one),
		TXN_TEST(malformed_records_go_with_their_entry),
		TXN_TEST(malformed_records_of_a_draft_do_not_stay_in_its_entry),
		TXN_TEST(an_entry_must_have_a_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
