/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Backups of stores, and stores of backups.
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

#include "store/backup.h"
#include "store/internal.h"
#include "tests/unit/backup_kit.h"
#include "tests/unit/store_kit.h"

/* ---- stores --------------------------------------------------------------*/

/* Fills @test with something for every table. */
static void
fill(TestStore *test)
{
	static const char part[100000] = { 'x' };
	const StoreCause cause = { "test", 0 };
	StoreTxn *plain = store_plain(test->store);
	StoreNode dir = test_add_dir(test->store, STORE_ROOT, "dir");
	StoreNode small = test_add_file(test->store, dir, "small");
	StoreNode large = test_add_file(test->store, dir, "large");
	StoreNode removed = test_add_file(test->store, dir, "removed");
	StoreTxn *txn = NULL;

	test_write(plain, small, "content");
	assert_int_equal(store_xattr_set(plain, small, "user.x", "y", 1, 0), 0);
	assert_int_equal(
		store_file_write(plain, large, 12345, part, sizeof(part)), 0);
	store_node_hold(test->store, removed);
	test_remove(plain, dir, "removed");
	assert_int_equal(store_txn_begin(test->store, "who", &txn), 0);
	test_write(txn, small, "undone");
	assert_int_equal(store_txn_quarantine(&txn, &cause), 0);
	assert_int_equal(store_sync_wait(test->store), 0);
	assert_int_equal(test_count_records(test->store, RECORD_ORPHAN), 1);
}

/* All records of @store, but its uuid, one line each. */
static char *
print_records(Store *store)
{
	g_autoptr(GString) text = g_string_new(NULL);
	RecordKey uuid = record_key_meta(RECORD_META_UUID);
	g_autoptr(KvSnapshot) snapshot = NULL;
	g_autoptr(KvIter) iter = NULL;
	KvSlice value;
	KvSlice key;

	assert_int_equal(kv_snapshot(store->kv, &snapshot), 0);
	assert_int_equal(kv_iter(snapshot, (KvSlice){ "", 1 }, &iter), 0);
	while (kv_iter_next(iter, &key, &value) == 0) {
		g_autofree char *k = g_base64_encode(key.data, key.size);
		g_autofree char *v = g_base64_encode(value.data, value.size);

		if (key.size != uuid.size ||
		    memcmp(key.data, uuid.bytes, key.size) != 0)
			g_string_append_printf(text, "%s %s\n", k, v);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Restores @bytes, which must work, and opens it for reading. */
static Store *
restored(const GByteArray *bytes, StoreIdentity identity, char **ret_dir)
{
	g_autofree char *reason = NULL;
	Store *store = NULL;

	*ret_dir = test_new_place();
	if (test_restore(bytes, *ret_dir, identity, &reason) < 0 ||
	    store_open(*ret_dir, STORE_READ, NULL, &store, &reason) < 0)
		fail_msg("%s", reason);
	return store;
}

static void
a_restored_store_has_every_record(void **state)
{
	TestStore *test = *state;
	g_autoptr(GByteArray) bytes = NULL;
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;
	g_autofree char *dir = NULL;
	g_autoptr(Store) store = NULL;
	uint64_t count = 1;
	StoreStat stat;

	fill(test);
	before = print_records(test->store);
	bytes = test_backup_of(test->store);
	store = restored(bytes, STORE_IDENTITY_NEW, &dir);
	after = print_records(store);
	assert_string_equal(after, before);
	assert_int_equal(store_check(store, NULL, NULL, NULL, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(store_stat(store, &stat), 0);
	assert_int_equal(stat.undone, 1);
	assert_int_equal(stat.map_size, STORE_MAP_SIZE_DEFAULT);
	test_remove_files(dir);
}

static void
a_restored_store_is_another_one_unless_told(void **state)
{
	TestStore *test = *state;
	g_autoptr(GByteArray) bytes = test_backup_of(test->store);
	g_autofree char *same_dir = NULL;
	g_autofree char *new_dir = NULL;
	g_autoptr(Store) same = restored(bytes, STORE_IDENTITY_SAME, &same_dir);
	g_autoptr(Store) new = restored(bytes, STORE_IDENTITY_NEW, &new_dir);
	StoreStat stats[3];

	assert_int_equal(store_stat(test->store, &stats[0]), 0);
	assert_int_equal(store_stat(same, &stats[1]), 0);
	assert_int_equal(store_stat(new, &stats[2]), 0);
	assert_string_equal(stats[1].uuid, stats[0].uuid);
	assert_string_not_equal(stats[2].uuid, stats[0].uuid);
	assert_true(g_uuid_string_is_valid(stats[2].uuid));
	test_remove_files(same_dir);
	test_remove_files(new_dir);
}

static void
a_restored_store_is_never_put_over_another(void **state)
{
	TestStore *test = *state;
	g_autoptr(GByteArray) bytes = test_backup_of(test->store);
	g_autofree char *reason = NULL;

	assert_int_equal(
		test_restore(bytes, test->dir, STORE_IDENTITY_NEW, &reason),
		-EEXIST);
	test_store_reopen(test);
	test_store_check(test->store);
}

static void
a_backup_is_of_one_moment(void **state)
{
	TestStore *test = *state;
	g_autoptr(GByteArray) before = NULL;
	g_autoptr(GByteArray) after = NULL;
	StoreNode file = test_add_file(test->store, STORE_ROOT, "file");

	assert_int_equal(store_sync_wait(test->store), 0);
	before = test_backup_of(test->store);
	test_write(store_plain(test->store), file, "later");
	assert_int_equal(store_sync_wait(test->store), 0);
	after = test_backup_of(test->store);
	assert_int_equal(after->len, before->len + strlen("later"));
}

/* More than goes into one commit, or is given to the sink at a time. */
static void
a_large_store_comes_back(void **state)
{
	TestStore *test = *state;
	g_autofree char *part = g_strnfill(1 << 20, 'x');
	StoreNode file = test_add_file(test->store, STORE_ROOT, "file");
	g_autoptr(GByteArray) bytes = NULL;
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;
	g_autofree char *dir = NULL;
	g_autoptr(Store) store = NULL;
	unsigned i;

	for (i = 0; i < 20; i++)
		assert_int_equal(store_file_write(store_plain(test->store),
		                                  file, (uint64_t)i << 20, part,
		                                  1 << 20),
		                 0);
	assert_int_equal(store_sync_wait(test->store), 0);
	before = print_records(test->store);
	bytes = test_backup_of(test->store);
	store = restored(bytes, STORE_IDENTITY_NEW, &dir);
	after = print_records(store);
	assert_true(strcmp(after, before) == 0);
	test_remove_files(dir);
}

/* ---- failures ------------------------------------------------------------*/

static int
refuse(void *user_data, const void *data, size_t size)
{
	return -ENOSPC;
}

static void
a_sink_that_fails_ends_it(void **state)
{
	TestStore *test = *state;
	g_autofree char *reason = NULL;
	StoreBackup backup;

	assert_int_equal(
		store_backup(test->store, refuse, NULL, &backup, &reason),
		-ENOSPC);
	assert_non_null(reason);
}

static void
a_damaged_record_is_not_backed_up(void **state)
{
	static const uint8_t bad[20] = { 1 };
	g_autoptr(KvFaultDisk) disk = kv_fault_disk_new();
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	g_autofree char *reason = NULL;
	RecordKey key = record_key_node(77);
	KvChange change = { record_slice(&key), { bad, sizeof(bad) } };
	KvBatch batch = { .changes = &change, .count = 1 };
	KvResult result = KV_UNKNOWN;
	Store *store = NULL;
	StoreBackup backup;

	test_fault_format(disk);
	assert_int_equal(test_fault_open(disk, &store), 0);
	kv_commit(store->kv, &batch, test_keep_result, &result);
	assert_int_equal(result, KV_COMMITTED);
	assert_int_equal(
		store_backup(store, test_append, bytes, &backup, &reason),
		-EUCLEAN);
	assert_non_null(strstr(reason, "table 'n': the record of id 77"));
	store_close(store);
}

static void
whatever_call_fails_no_whole_backup_is_left(void **state)
{
	g_autoptr(KvFaultDisk) disk = kv_fault_disk_new();
	Store *store = NULL;
	uint64_t at = 0;
	int r = -EIO;

	test_fault_format(disk);
	assert_int_equal(test_fault_open(disk, &store), 0);
	assert_int_equal(store_sync_wait(store), 0);
	while (r < 0) {
		g_autoptr(GByteArray) bytes = g_byte_array_new();
		g_autofree char *verified = NULL;
		g_autofree char *reason = NULL;
		StoreBackup backup;

		kv_fault_plan(disk, KV_FAULT_IO, ++at);
		r = store_backup(store, test_append, bytes, &backup, &reason);
		assert_int_equal(r, at <= kv_fault_calls(disk) ? -EIO : 0);
		assert_int_equal(
			test_verify(bytes->data, bytes->len, &verified),
			r < 0 ? -EUCLEAN : 0);
	}
	assert_true(at > 8);
	kv_fault_plan(disk, KV_FAULT_NONE, 0);
	store_close(store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(a_restored_store_has_every_record),
		STORE_TEST(a_restored_store_is_another_one_unless_told),
		STORE_TEST(a_restored_store_is_never_put_over_another),
		STORE_TEST(a_backup_is_of_one_moment),
		STORE_TEST(a_large_store_comes_back),
		STORE_TEST(a_sink_that_fails_ends_it),
		cmocka_unit_test(a_damaged_record_is_not_backed_up),
		cmocka_unit_test(whatever_call_fails_no_whole_backup_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
