/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The store over an engine that fails: at the n-th call, for n = 1, 2, ...
 * until a run meets no failure, in every way an engine may fail. Whatever
 * happens, a transaction is all or nothing, what was acknowledged is there,
 * and the store serves again when the engine does.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "store/journal.h"
#include "tests/unit/kv_fault.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"

/* What a run was told, to be compared with what is there in the end. */
typedef struct Told {
	int sync;       /* of the file "synced" */
	int commit;     /* of the files "one" and "two" */
	int checkpoint; /* of the file "checkpointed" */
	int kept;       /* of the quarantine, and a sync after it */
	int cut;        /* of the file "cut" */
} Told;

/* Bytes, of three chunks. */
#define CUT_SIZE 10000

static int
add(StoreTxn *txn, const char *name)
{
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	int r = store_name_add(txn, STORE_ROOT, name, &attr, &attr);

	return r < 0 ? r : store_file_write(txn, attr.node, 0, name, 3);
}

/* Cuts a file of some chunks in a transaction. */
static int
cut(Store *store)
{
	g_autofree char *bytes = g_strnfill(CUT_SIZE, 'x');
	StoreTxn *plain = store_plain(store);
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	StoreTxn *txn = NULL;
	int r;

	r = store_name_add(plain, STORE_ROOT, "cut", &attr, &attr);
	if (r == 0)
		r = store_file_write(plain, attr.node, 0, bytes, CUT_SIZE);
	if (r < 0)
		return r;
	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	r = store_file_truncate(txn, attr.node, 0);
	if (r == 0)
		return store_txn_commit_wait(&txn);
	store_txn_abort(txn);
	return r;
}

static void
run(Store *store, Told *told)
{
	static const StoreCause cause = { "it was undone", 1 };
	StoreTxn *txn = NULL;
	StoreAttr attr = { .mode = 0700 };

	told->sync = add(store_plain(store), "synced");
	if (told->sync == 0)
		told->sync = store_sync_wait(store);
	/* A plain change that goes with the transaction. */
	(void)store_attr_set(store_plain(store), STORE_ROOT, &attr,
	                     STORE_SET_MODE, &attr);

	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	(void)add(txn, "one");
	(void)add(txn, "two");
	told->commit = store_txn_commit_wait(&txn);

	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	(void)add(txn, "checkpointed");
	told->checkpoint = test_checkpoint(txn);
	if (add(txn, "undone") == 0 &&
	    store_txn_save(txn, &cause, NULL, NULL) == 0)
		(void)store_sync_wait(store);
	told->kept = store_txn_is_empty(txn)
	                     ? -EIO
	                     : store_txn_quarantine(&txn, &cause);
	if (told->kept == 0)
		told->kept = store_sync_wait(store);
	store_txn_abort(txn);
	told->cut = cut(store);
}

static bool
count_undone(void *user_data, const StoreUndone *undone)
{
	*(int *)user_data += g_str_equal(undone->reason, "it was undone");
	return true;
}

static bool
has(Store *store, const char *name)
{
	StoreEntry entry;
	char buf[4];
	size_t size = 0;

	if (store_name_find(store_plain(store), STORE_ROOT, name, &entry) < 0)
		return false;
	return store_file_read(store_plain(store), entry.node, 0, buf, 4,
	                       &size) == 0 &&
	       size == 3 && memcmp(buf, name, 3) == 0;
}

static bool
add_entry(void *user_data, const StoreJournalEntry *entry)
{
	if (entry->outcome == STORE_COMMITTED)
		g_array_append_val((GArray *)user_data, entry->id);
	return true;
}

static bool
add_path(void *user_data, const StoreJournalFile *file)
{
	if (file->what == STORE_UNDONE_CREATED)
		g_string_append_printf(user_data, "%s ", file->new_path);
	return true;
}

static uint64_t
last_committed(Store *store)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	assert_int_equal(store_journal_list(store, 0, add_entry, ids), 0);
	return ids->len == 0 ? 0 : g_array_index(ids, uint64_t, ids->len - 1);
}

/* Every transaction that was done has an entry, and no other. */
static void
judge_journal(Store *store)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_autoptr(GString) paths = g_string_new(" ");
	guint i;

	assert_int_equal(store_journal_list(store, 0, add_entry, ids), 0);
	for (i = 0; i < ids->len; i++)
		assert_int_equal(store_journal_files(
					 store, g_array_index(ids, uint64_t, i),
					 add_path, paths),
		                 0);
	assert_int_equal(has(store, "one"),
	                 strstr(paths->str, " /one ") != NULL);
	assert_int_equal(has(store, "one"),
	                 strstr(paths->str, " /two ") != NULL);
	assert_int_equal(has(store, "checkpointed"),
	                 strstr(paths->str, " /checkpointed ") != NULL);
}

/* A large file that was cut in a transaction is as it was in the past, unless
 * there was no room for that; and it was cut, or it was not. */
static void
judge_cut(Store *store, const Told *told)
{
	g_autoptr(StoreTxn) past = NULL;
	StoreTxn *plain = store_plain(store);
	StoreEntry file;
	StoreAttr attr;
	char byte = 0;
	size_t size = 0;
	int r;

	if (told->cut < 0 ||
	    store_name_find(plain, STORE_ROOT, "cut", &file) < 0)
		return;
	assert_int_equal(store_attr_get(plain, file.node, &attr), 0);
	assert_int_equal(attr.size, 0);
	r = store_past_before(store, last_committed(store), &past);
	if (r == -ENODATA)
		return;
	assert_int_equal(r, 0);
	assert_int_equal(
		store_file_read(past, file.node, CUT_SIZE - 1, &byte, 1, &size),
		0);
	assert_int_equal(byte, 'x');
}

static void
judge(Store *store, const Told *told, KvFaultKind kind)
{
	int undone = 0;

	if (told->sync == 0)
		assert_true(has(store, "synced"));
	assert_int_equal(has(store, "one"), has(store, "two"));
	if (told->commit == 0)
		assert_true(has(store, "one"));
	else if (kind != KV_FAULT_UNKNOWN_DONE && kind != KV_FAULT_UNSETTLED)
		assert_false(has(store, "one"));
	if (told->checkpoint == 0)
		assert_true(has(store, "checkpointed"));
	assert_false(has(store, "undone"));
	assert_int_equal(store_quarantine_list(store, count_undone, &undone),
	                 0);
	assert_in_range(undone, told->kept == 0, 1);
	judge_journal(store);
	judge_cut(store, told);
}

/* Returns whether the planned fault was met. After it, @bad_reopens attempts
 * to open the engine anew fail, too. */
static bool
run_with_fault(KvFaultKind kind, uint64_t at, unsigned bad_reopens)
{
	g_autoptr(KvFaultDisk) disk = kv_fault_disk_new();
	Store *store = NULL;
	Told told = { -EIO, -EIO, -EIO, -EIO, -EIO };
	uint64_t calls;

	test_fault_format(disk);
	kv_fault_plan(disk, kind, at);
	kv_fault_fail_reopens(disk, bad_reopens);
	if (test_fault_open(disk, &store) == 0) {
		run(store, &told);
		calls = kv_fault_calls(disk);
		kv_fault_plan(disk, KV_FAULT_NONE, 0);
		kv_fault_fail_reopens(disk, 0);
		/* The engine is well again: the store must be, too. */
		assert_int_equal(store_sync_wait(store), 0);
		judge(store, &told, kind);
		assert_int_equal(add(store_plain(store), "later"), 0);
		assert_int_equal(store_close(store), 0);
	} else {
		calls = kv_fault_calls(disk);
		kv_fault_plan(disk, KV_FAULT_NONE, 0);
	}

	assert_int_equal(test_fault_open(disk, &store), 0);
	judge(store, &told, kind);
	test_store_check(store);
	store_close(store);
	return calls >= at;
}

static void
every_call_may_fail_in_every_way(void **state)
{
	int kind;

	for (kind = KV_FAULT_IO; kind < KV_FAULT_KINDS; kind++) {
		unsigned bad;

		for (bad = 0; bad < 3; bad++) {
			uint64_t at = 1;

			while (run_with_fault((KvFaultKind)kind, at, bad))
				at++;
			assert_true(at > 10);
		}
	}
}

static void
a_dead_disk_acknowledges_nothing_and_comes_back(void **state)
{
	g_autoptr(KvFaultDisk) disk = kv_fault_disk_new();
	Store *store = NULL;
	StoreTxn *txn = NULL;

	test_fault_format(disk);
	assert_int_equal(test_fault_open(disk, &store), 0);
	assert_int_equal(add(store_plain(store), "before"), 0);
	assert_int_equal(store_sync_wait(store), 0);

	kv_fault_break(disk, true);
	assert_int_equal(add(store_plain(store), "during"), 0);
	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	assert_int_equal(add(txn, "transaction"), 0);
	assert_int_equal(store_txn_commit_wait(&txn), -EIO);
	assert_int_equal(store_sync_wait(store), -EIO);
	assert_int_equal(add(store_plain(store), "refused"), -EIO);

	kv_fault_break(disk, false);
	assert_int_equal(store_sync_wait(store), 0);
	assert_true(has(store, "before"));
	assert_true(has(store, "during"));
	assert_false(has(store, "transaction"));
	assert_int_equal(add(store_plain(store), "after"), 0);
	assert_int_equal(store_close(store), 0);
}

/* Whether call number @at was a commit. That may turn out to be there. */
static bool
is_not_acknowledged(uint64_t at)
{
	g_autoptr(KvFaultDisk) disk = kv_fault_disk_new();
	Store *store = NULL;
	StoreTxn *txn = NULL;
	int r;

	test_fault_format(disk);
	assert_int_equal(test_fault_open(disk, &store), 0);
	assert_int_equal(store_sync_wait(store), 0);
	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	assert_int_equal(add(txn, "transaction"), 0);
	kv_fault_plan(disk, KV_FAULT_UNSETTLED, at);
	r = store_txn_commit_wait(&txn);
	assert_true(r == 0 || r == -EIO);
	assert_int_equal(store_sync_wait(store), 0);
	assert_true(has(store, "transaction"));
	assert_int_equal(store_close(store), 0);
	return r < 0;
}

static void
what_may_not_be_on_disk_is_not_acknowledged(void **state)
{
	uint64_t at = 1;

	while (!is_not_acknowledged(at))
		assert_true(++at < 100);
}

static void
a_disk_that_comes_back_is_noticed_unasked(void **state)
{
	g_autoptr(KvFaultDisk) disk = kv_fault_disk_new();
	gint64 deadline = test_deadline();
	Store *store = NULL;

	test_fault_format(disk);
	assert_int_equal(test_fault_open(disk, &store), 0);
	assert_int_equal(add(store_plain(store), "before"), 0);
	assert_int_equal(store_sync_wait(store), 0);
	assert_int_equal(add(store_plain(store), "pending"), 0);
	kv_fault_break(disk, true);
	assert_int_equal(store_sync_wait(store), -EIO);
	kv_fault_break(disk, false);
	while (!has(store, "before") && g_get_monotonic_time() < deadline)
		g_thread_yield();
	assert_true(has(store, "before"));
	assert_true(has(store, "pending"));
	assert_int_equal(store_close(store), 0);
}

static void
count_up(void *user_data)
{
	g_atomic_int_inc((gint *)user_data);
}

/* Of a store whose disk has errors, or is full. */
static void
who_opened_it_is_told_when_it_begins_to_ail(void **state)
{
	g_autoptr(KvFaultDisk) disk = kv_fault_disk_new();
	gint64 deadline = test_deadline();
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	StoreVitals vitals = { .error = 0 };
	Store *store = NULL;
	gint told = 0;

	options.ailing = count_up;
	options.ailing_data = &told;
	test_fault_format(disk);
	assert_int_equal(test_fault_open_with(disk, &options, &store), 0);
	assert_int_equal(add(store_plain(store), "before"), 0);
	assert_int_equal(store_sync_wait(store), 0);
	assert_int_equal(store_vitals(store, &vitals), 0);
	assert_int_equal(vitals.error, 0);

	assert_int_equal(add(store_plain(store), "pending"), 0);
	kv_fault_break(disk, true);
	assert_int_equal(store_sync_wait(store), -EIO);
	assert_int_equal(store_sync_wait(store), -EIO);
	assert_int_equal(g_atomic_int_get(&told), 1);

	kv_fault_break(disk, false);
	do
		vitals.error = EIO;
	while ((store_vitals(store, &vitals) < 0 || vitals.error != 0) &&
	       g_get_monotonic_time() < deadline);
	assert_int_equal(vitals.error, 0);
	assert_int_equal(store_close(store), 0);
	assert_int_equal(told, 1);
}

static void
another_writer_stops_the_store_for_good(void **state)
{
	g_autoptr(KvFaultDisk) disk = kv_fault_disk_new();
	Store *store = NULL;
	Store *other = NULL;

	test_fault_format(disk);
	assert_int_equal(test_fault_open(disk, &store), 0);
	assert_int_equal(store_sync_wait(store), 0);
	assert_int_equal(test_fault_open(disk, &other), 0);
	assert_int_equal(add(store_plain(other), "theirs"), 0);
	assert_int_equal(store_close(other), 0);

	assert_int_equal(add(store_plain(store), "ours"), 0);
	assert_int_equal(store_sync_wait(store), -EIO);
	assert_int_equal(store_sync_wait(store), -EIO);
	assert_int_equal(store_close(store), -EIO);
	assert_int_equal(test_fault_open(disk, &store), 0);
	assert_true(has(store, "theirs"));
	assert_false(has(store, "ours"));
	store_close(store);
}

/* What there is to be erased waits, and nobody works meanwhile. */
static void
what_room_there_is_may_be_unknown(void **state)
{
	g_autoptr(KvFaultDisk) disk = kv_fault_disk_new();
	Store *store = NULL;

	test_fault_format(disk);
	assert_int_equal(test_fault_open(disk, &store), 0);
	assert_int_equal(add(store_plain(store), "file"), 0);
	assert_int_equal(store_sync_wait(store), 0);
	kv_fault_hide_room(disk, true);
	test_remove(store_plain(store), STORE_ROOT, "file");
	assert_int_equal(store_sync_wait(store), 0);
	g_mutex_lock(&store->lock);
	assert_false(g_queue_is_empty(&store->orphans));
	assert_false(store->is_urgent);
	g_mutex_unlock(&store->lock);
	kv_fault_hide_room(disk, false);
	assert_int_equal(store_sync_wait(store), 0);
	assert_true(g_queue_is_empty(&store->orphans));
	assert_int_equal(store_close(store), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_may_fail_in_every_way),
		cmocka_unit_test(
			a_dead_disk_acknowledges_nothing_and_comes_back),
		cmocka_unit_test(what_may_not_be_on_disk_is_not_acknowledged),
		cmocka_unit_test(a_disk_that_comes_back_is_noticed_unasked),
		cmocka_unit_test(what_room_there_is_may_be_unknown),
		cmocka_unit_test(who_opened_it_is_told_when_it_begins_to_ail),
		cmocka_unit_test(another_writer_stops_the_store_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
