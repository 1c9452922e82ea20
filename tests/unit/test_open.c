/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Stores that are full, foreign, damaged or somebody else's.
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

#include "store/internal.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"

/* ---- no room -------------------------------------------------------------*/

/* Fills the file until there is no room; returns the bytes that went in. */
static uint64_t
fill(StoreTxn *txn, StoreNode file)
{
	g_autofree char *block = g_strnfill(64 << 10, 'x');
	uint64_t size = 0;
	int r = 0;

	while (r == 0) {
		r = store_file_write(txn, file, size, block, 64 << 10);
		size += r == 0 ? 64 << 10 : 0;
		assert_true(size < 64 << 20);
	}
	assert_int_equal(r, -ENOSPC);
	return size;
}

static void
a_full_map_fails_the_write_and_harms_nothing(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	TestStore *test;
	StoreTxn *plain;
	StoreNode file;
	StoreAttr attr;
	uint64_t size;
	int i;

	options.map_size = 8 << 20;
	test = test_store_new_with(&options);
	plain = store_plain(test->store);
	for (i = 0; i < 3; i++) {
		file = test_add_file(test->store, STORE_ROOT, "big");
		size = fill(plain, file);
		assert_true(size > 1 << 20);
		assert_int_equal(store_attr_get(plain, file, &attr), 0);
		assert_int_equal(attr.size, size);
		assert_int_equal(store_sync_wait(test->store), 0);
		test_remove(plain, STORE_ROOT, "big");
	}
	file = test_add_file(test->store, STORE_ROOT, "small");
	test_write(plain, file, "room again");
	test_store_reopen(test);
	test_assert_text(store_plain(test->store), file, "room again");
	test_store_check(test->store);
	test_store_free(test);
}

/* Small records, side by side in pages that are copied for each of them. */
static void
a_full_map_of_small_files_can_be_emptied(void **state)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	char bytes[900] = { 1 };
	TestStore *test;
	StoreTxn *plain;
	int count;
	int r = 0;
	int i;

	options.map_size = 16 << 20;
	test = test_store_new_with(&options);
	plain = store_plain(test->store);
	for (count = 0; r == 0; count++) {
		g_autofree char *name =
			g_strdup_printf("%06d", count * 7919 % 1000000);
		StoreAttr attr = { .mode = S_IFREG | 0644 };

		r = store_name_add(plain, STORE_ROOT, name, &attr, &attr);
		if (r == 0)
			r = store_file_write(plain, attr.node, 0, bytes,
			                     sizeof(bytes));
	}
	assert_int_equal(r, -ENOSPC);
	assert_true(count > 1000);
	for (i = 0; i < count - 1; i++) {
		g_autofree char *name =
			g_strdup_printf("%06d", i * 7919 % 1000000);

		test_remove(plain, STORE_ROOT, name);
		if (i % 100 == 0)
			assert_int_equal(store_sync_wait(test->store), 0);
	}
	test_store_reopen(test);
	test_store_check(test->store);
	test_add_file(test->store, STORE_ROOT, "room again");
	test_store_free(test);
}

/* ---- opening -------------------------------------------------------------*/

static int
read_only(void *user_data)
{
	StoreAttr attr = { .mode = S_IFREG };
	g_autofree char *reason = NULL;
	g_autoptr(Store) reader = NULL;

	if (store_open(user_data, STORE_READ, NULL, &reader, &reason) < 0)
		return 1;
	return store_name_add(store_plain(reader), STORE_ROOT, "x", &attr,
	                      &attr) != -EROFS;
}

static void
a_second_writer_is_refused_and_a_reader_is_not(void **state)
{
	TestStore *test = *state;
	g_autofree char *reason = NULL;
	g_autofree char *pid = g_strdup_printf("process %d ", (int)getpid());
	Store *second = NULL;

	assert_int_equal(
		store_open(test->dir, STORE_WRITE, NULL, &second, &reason),
		-EBUSY);
	assert_non_null(strstr(reason, pid));
	assert_int_equal(test_in_child(read_only, test->dir), 0);
}

static void
what_is_no_store_is_refused_with_words(void **state)
{
	g_autofree char *dir = g_dir_make_tmp("pofs-test-XXXXXX", NULL);
	g_autofree char *data = g_build_filename(dir, "data.mdb", NULL);
	g_autofree char *junk = g_strnfill(20000, 'j');
	g_autofree char *reason = NULL;
	Store *store = NULL;

	assert_int_equal(store_open(dir, STORE_READ, NULL, &store, &reason),
	                 -ENOENT);
	assert_non_null(strstr(reason, "no store"));
	g_clear_pointer(&reason, g_free);
	assert_true(g_file_set_contents(data, junk, 20000, NULL));
	assert_int_equal(store_open(dir, STORE_READ, NULL, &store, &reason),
	                 -EPROTO);
	assert_non_null(strstr(reason, "not a pofs database"));
	g_clear_pointer(&reason, g_free);
	assert_int_equal(store_create(dir, NULL, &reason), -EEXIST);
	test_remove_files(dir);
}

static void
put_record(const char *dir, const RecordKey *key, uint64_t number)
{
	uint8_t value[8 + RECORD_SEAL_SIZE];

	record_u64_encode(number, value);
	record_seal(record_slice(key), value, 8);
	test_put_record_in(dir, record_slice(key),
	                   (KvSlice){ value, sizeof(value) });
}

static void
a_newer_format_is_refused_with_its_number(void **state)
{
	TestStore *test = *state;
	RecordKey key = record_key_meta(RECORD_META_FORMAT);
	g_autofree char *reason = NULL;

	store_close(g_steal_pointer(&test->store));
	put_record(test->dir, &key, STORE_FORMAT + 1);
	assert_int_equal(
		store_open(test->dir, STORE_WRITE, NULL, &test->store, &reason),
		-EPROTO);
	assert_non_null(strstr(reason, "format 4 is newer"));
}

static void
an_older_format_becomes_this_one_when_it_is_written(void **state)
{
	TestStore *test = *state;
	RecordKey key = record_key_meta(RECORD_META_FORMAT);
	g_autofree char *reason = NULL;
	StoreStat stat;

	store_close(g_steal_pointer(&test->store));
	put_record(test->dir, &key, 1);
	assert_int_equal(
		store_open(test->dir, STORE_READ, NULL, &test->store, &reason),
		0);
	assert_int_equal(store_stat(test->store, &stat), 0);
	assert_int_equal(stat.format, 1);
	test_store_reopen(test);
	assert_int_equal(store_sync_wait(test->store), 0);
	assert_int_equal(store_stat(test->store, &stat), 0);
	assert_int_equal(stat.format, STORE_FORMAT);
}

static void
count_finding(void *user_data, const char *sentence)
{
	(*(int *)user_data)++;
}

/* Puts @number where the node of "f" was, so that its record is malformed. */
static void
a_damaged_record_is_found_and_never_handed_out(void **state)
{
	TestStore *test = *state;
	StoreNode file = test_add_file(test->store, STORE_ROOT, "f");
	RecordKey key = record_key_node(file);
	StoreAttr attr;
	uint64_t count = 0;
	int told = 0;

	store_close(g_steal_pointer(&test->store));
	put_record(test->dir, &key, 0);
	test_store_reopen(test);
	assert_int_equal(store_attr_get(store_plain(test->store), file, &attr),
	                 -EIO);
	assert_int_equal(
		store_check(test->store, count_finding, NULL, &told, &count),
		0);
	assert_true(count > 0);
	assert_int_equal(told, count);
}

/* What is written behind it would hide what is missing where it was. */
static void
a_key_with_an_id_that_was_not_given_out_is_not_written_behind(void **state)
{
	TestStore *test = *state;
	StoreNode file = test_add_file(test->store, STORE_ROOT, "f");
	RecordKey keys[] = { record_key_node(file + 100),
		             record_key_chunk(file + 100, 1) };
	guint i;

	for (i = 0; i < G_N_ELEMENTS(keys); i++) {
		g_autofree char *reason = NULL;

		store_close(g_steal_pointer(&test->store));
		put_record(test->dir, &keys[i], 0);
		assert_int_equal(store_open(test->dir, STORE_WRITE, NULL,
		                            &test->store, &reason),
		                 -EUCLEAN);
		assert_non_null(strstr(reason, "nothing was changed"));
		test_put_record_in(test->dir, record_slice(&keys[i]),
		                   (KvSlice){ NULL, 0 });
		g_clear_pointer(&reason, g_free);
		assert_int_equal(store_open(test->dir, STORE_WRITE, NULL,
		                            &test->store, &reason),
		                 0);
	}
}

static void
a_creation_that_was_cut_off_can_be_repeated(void **state)
{
	g_autofree char *dir = g_dir_make_tmp("pofs-test-XXXXXX", NULL);
	g_autofree char *nursery = g_build_filename(dir, ".creating", NULL);
	g_autofree char *data = g_build_filename(nursery, "data.mdb", NULL);
	g_autofree char *reason = NULL;

	assert_int_equal(mkdir(nursery, 0700), 0);
	assert_true(g_file_set_contents(data, "half", 4, NULL));
	assert_int_equal(store_create(dir, NULL, &reason), 0);
	assert_false(g_file_test(nursery, G_FILE_TEST_EXISTS));
	test_remove_files(dir);
}

/* 0: clean, 1: not, 2: no store. */
static int
read_mark(void *user_data)
{
	g_autofree char *reason = NULL;
	g_autoptr(Store) reader = NULL;
	StoreStat stat;

	if (store_open(user_data, STORE_READ, NULL, &reader, &reason) < 0 ||
	    store_stat(reader, &stat) < 0)
		return 2;
	return stat.clean ? 0 : 1;
}

static void
the_clean_mark_tells_a_crash(void **state)
{
	TestStore *test = *state;

	test_add_file(test->store, STORE_ROOT, "f");
	assert_int_equal(store_sync_wait(test->store), 0);
	assert_int_equal(test_in_child(read_mark, test->dir), 1);
	store_close(g_steal_pointer(&test->store));
	assert_int_equal(test_in_child(read_mark, test->dir), 0);
}

/* ---- records that are not as they should be ------------------------------*/

static void
an_engine_without_records_is_no_store(void **state)
{
	g_autoptr(KvFaultDisk) disk = kv_fault_disk_new();
	g_autofree char *reason = NULL;
	Store *store = NULL;

	assert_int_equal(store_open_on(kv_fault_open(disk), "there",
	                               STORE_WRITE, NULL, &store, &reason),
	                 -EPROTO);
	assert_string_equal(reason, "there: the database is not a pofs store");
}

/* Puts a record of @size bytes, or deletes it, and ends in order. */
static void
put_bytes(TestTxn *b, KvSlice key, size_t size)
{
	g_mutex_lock(&b->store->lock);
	if (size > 0)
		txn_put(b->plain, key, (KvSlice){ "\1\1", size });
	else
		txn_delete(b->plain, key);
	g_mutex_unlock(&b->store->lock);
	assert_int_equal(store_sync_wait(b->store), 0);
}

static bool
was_clean(TestTxn *b)
{
	StoreVitals vitals;

	assert_int_equal(store_vitals(b->store, &vitals), 0);
	return vitals.was_clean;
}

static void
a_clean_mark_is_one_byte(void **state)
{
	RecordKey key = record_key_meta(RECORD_META_CLEAN);
	TestTxn *b = *state;
	StoreTxn *none = NULL;

	test_txn_reopen(b);
	assert_true(was_clean(b));
	put_bytes(b, record_slice(&key), 2);
	test_txn_crash(b, &none);
	assert_false(was_clean(b));
}

static void
an_orphan_without_an_id_is_not_erased(void **state)
{
	static const KvSlice key = { "o12", 3 };
	TestTxn *b = *state;

	put_bytes(b, key, 1);
	test_txn_reopen(b);
	assert_int_equal(test_count_records(b->store, RECORD_ORPHAN), 1);
	put_bytes(b, key, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_map_of_small_files_can_be_emptied),
		cmocka_unit_test(a_full_map_fails_the_write_and_harms_nothing),
		STORE_TEST(a_second_writer_is_refused_and_a_reader_is_not),
		cmocka_unit_test(what_is_no_store_is_refused_with_words),
		STORE_TEST(a_newer_format_is_refused_with_its_number),
		STORE_TEST(an_older_format_becomes_this_one_when_it_is_written),
		STORE_TEST(a_damaged_record_is_found_and_never_handed_out),
		STORE_TEST(
			a_key_with_an_id_that_was_not_given_out_is_not_written_behind),
		cmocka_unit_test(a_creation_that_was_cut_off_can_be_repeated),
		STORE_TEST(the_clean_mark_tells_a_crash),
		cmocka_unit_test(an_engine_without_records_is_no_store),
		TXN_TEST(a_clean_mark_is_one_byte),
		TXN_TEST(an_orphan_without_an_id_is_not_erased),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
