/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/store_kit.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"

guint
test_number_of(const char *name, guint otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise
	                    : (guint)g_ascii_strtoull(text, NULL, 10);
}

void
test_tally(const char *what, guint count)
{
	const char *path = getenv("POFS_TALLY");
	FILE *file = path == NULL ? NULL : fopen(path, "a");

	if (file == NULL)
		return;
	(void)fprintf(file, "%s %u\n", what, count);
	(void)fclose(file);
}

static void
open_store(TestStore *test)
{
	g_autofree char *reason = NULL;

	if (store_open(test->dir, STORE_WRITE, &test->options, &test->store,
	               &reason) < 0)
		fail_msg("%s", reason);
}

gint64
test_deadline(void)
{
	return g_get_monotonic_time() + INT64_C(30) * G_USEC_PER_SEC;
}

TestStore *
test_store_new_with(const StoreOptions *options)
{
	TestStore *test = g_new0(TestStore, 1);
	g_autofree char *reason = NULL;

	test->options = *options;
	test->dir = g_dir_make_tmp("pofs-test-XXXXXX", NULL);
	assert_non_null(test->dir);
	if (store_create(test->dir, &test->options, &reason) < 0)
		fail_msg("%s", reason);
	open_store(test);
	return test;
}

TestStore *
test_store_new(void)
{
	return test_store_new_with(&STORE_OPTIONS_DEFAULT);
}

void
test_remove_files(const char *dir)
{
	g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
	const char *name;

	while (entries != NULL && (name = g_dir_read_name(entries)) != NULL) {
		g_autofree char *path = g_build_filename(dir, name, NULL);

		unlink(path);
	}
	rmdir(dir);
}

void
test_store_free(TestStore *test)
{
	store_close(test->store);
	test_remove_files(test->dir);
	g_free(test->dir);
	g_free(test);
}

pid_t
test_child_begin(int (*run)(void *user_data), void *user_data)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		g_setenv("CMOCKA_TEST_ABORT", "1", TRUE);
		_exit(run(user_data));
	}
	return child;
}

int
test_child_end(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int
test_in_child(int (*run)(void *user_data), void *user_data)
{
	return test_child_end(test_child_begin(run, user_data));
}

static int
read_on(void *user_data)
{
	TestReader *r = user_data;
	g_autofree char *reason = NULL;
	g_autoptr(Kv) reader = NULL;
	g_autoptr(KvSnapshot) snapshot = NULL;
	char byte = 0;

	/* It ends with who began it, too. */
	close(r->ends[1]);
	if (kv_lmdb_open(r->dir, false, 0, &reader, &reason) < 0 ||
	    kv_snapshot(reader, &snapshot) < 0 || write(r->begun[1], "", 1) < 1)
		return 1;
	return read(r->ends[0], &byte, 1) == 1 ? 0 : 1;
}

void
test_reader_begin(TestReader *ret_reader, const char *dir)
{
	char byte;

	ret_reader->dir = dir;
	assert_int_equal(pipe(ret_reader->begun), 0);
	assert_int_equal(pipe(ret_reader->ends), 0);
	ret_reader->pid = test_child_begin(read_on, ret_reader);
	assert_int_equal(read(ret_reader->begun[0], &byte, 1), 1);
}

void
test_reader_end(TestReader *reader, bool is_killed)
{
	int i;

	if (is_killed)
		assert_int_equal(kill(reader->pid, SIGKILL), 0);
	else
		assert_int_equal(write(reader->ends[1], "", 1), 1);
	assert_int_equal(test_child_end(reader->pid), is_killed ? -1 : 0);
	for (i = 0; i < 2; i++) {
		close(reader->begun[i]);
		close(reader->ends[i]);
	}
}

void
test_keep_result(void *user_data, KvResult result)
{
	*(KvResult *)user_data = result;
}

void
test_store_reopen(TestStore *test)
{
	assert_int_equal(store_close(g_steal_pointer(&test->store)), 0);
	open_store(test);
}

static void
print_finding(void *user_data, const char *sentence)
{
	print_error("check: %s\n", sentence);
}

void
test_store_check(Store *store)
{
	uint64_t count = 1;

	assert_int_equal(store_check(store, print_finding, NULL, NULL, &count),
	                 0);
	assert_int_equal(count, 0);
}

int
test_count_records(Store *store, char table)
{
	g_autoptr(KvSnapshot) snapshot = NULL;
	g_autoptr(KvIter) iter = NULL;
	KvSlice key = { &table, 1 };
	KvSlice value;
	int count = 0;

	assert_int_equal(store_sync_wait(store), 0);
	assert_int_equal(kv_snapshot(store->kv, &snapshot), 0);
	assert_int_equal(kv_iter(snapshot, key, &iter), 0);
	while (kv_iter_next(iter, &key, &value) == 0 &&
	       *(const char *)key.data == table)
		count++;
	return count;
}

void
test_put_record(Kv *kv, KvSlice key, KvSlice value)
{
	KvChange change = { key, value };
	KvBatch batch = { .changes = &change, .count = 1 };
	KvResult result = KV_UNKNOWN;

	kv_commit(kv, &batch, test_keep_result, &result);
	assert_int_equal(result, KV_COMMITTED);
}

void
test_put_record_in(const char *dir, KvSlice key, KvSlice value)
{
	g_autofree char *reason = NULL;
	g_autoptr(Kv) kv = NULL;

	assert_int_equal(kv_lmdb_open(dir, true, 0, &kv, &reason), 0);
	test_put_record(kv, key, value);
}

/* The records of an empty store, keys and values by turns. To create one takes
 * some flushes of the disk: it is done once. */
static GPtrArray *
first_records(void)
{
	static GPtrArray *records;
	g_autofree char *dir = NULL;
	g_autofree char *reason = NULL;
	g_autoptr(Kv) from = NULL;
	g_autoptr(KvSnapshot) snapshot = NULL;
	g_autoptr(KvIter) iter = NULL;
	KvSlice key = { "", 1 };
	KvSlice value;

	if (records != NULL)
		return records;
	records = g_ptr_array_new();
	dir = g_dir_make_tmp("pofs-test-XXXXXX", NULL);
	assert_int_equal(store_create(dir, NULL, &reason), 0);
	assert_int_equal(kv_lmdb_open(dir, false, 0, &from, &reason), 0);
	assert_int_equal(kv_snapshot(from, &snapshot), 0);
	assert_int_equal(kv_iter(snapshot, key, &iter), 0);
	while (kv_iter_next(iter, &key, &value) == 0) {
		g_ptr_array_add(records, g_bytes_new(key.data, key.size));
		g_ptr_array_add(records, g_bytes_new(value.data, value.size));
	}
	test_remove_files(dir);
	return records;
}

void
test_fault_format(KvFaultDisk *disk)
{
	g_autoptr(Kv) to = kv_fault_open(disk);
	GPtrArray *records = first_records();
	guint i;

	for (i = 0; i < records->len; i += 2) {
		KvSlice key;
		KvSlice value;

		key.data = g_bytes_get_data(records->pdata[i], &key.size);
		value.data =
			g_bytes_get_data(records->pdata[i + 1], &value.size);
		test_put_record(to, key, value);
	}
}

int
test_fault_open_with(KvFaultDisk *disk, const StoreOptions *options,
                     Store **ret_store)
{
	g_autofree char *reason = NULL;
	Kv *kv = kv_fault_open(disk);

	kv_fault_lead(kv);
	return store_open_on(kv, "fault", STORE_WRITE, options, ret_store,
	                     &reason);
}

int
test_fault_open(KvFaultDisk *disk, Store **ret_store)
{
	return test_fault_open_with(disk, NULL, ret_store);
}

static StoreNode
add(Store *store, StoreNode dir, const char *name, uint32_t mode)
{
	StoreAttr attr = { .mode = mode };

	assert_int_equal(
		store_name_add(store_plain(store), dir, name, &attr, &attr), 0);
	return attr.node;
}

StoreNode
test_add_file(Store *store, StoreNode dir, const char *name)
{
	return add(store, dir, name, S_IFREG | 0644);
}

StoreNode
test_add_dir(Store *store, StoreNode dir, const char *name)
{
	return add(store, dir, name, S_IFDIR | 0755);
}

void
test_remove(StoreTxn *txn, StoreNode dir, const char *name)
{
	assert_int_equal(store_name_remove(txn, dir, name, S_IFREG), 0);
}

void
test_write(StoreTxn *txn, StoreNode node, const char *text)
{
	assert_int_equal(store_file_write(txn, node, 0, text, strlen(text)), 0);
}

void
test_assert_text(StoreTxn *txn, StoreNode node, const char *text)
{
	char buf[256] = "";
	size_t size = 0;

	assert_int_equal(
		store_file_read(txn, node, 0, buf, sizeof(buf) - 1, &size), 0);
	assert_int_equal(size, strlen(text));
	assert_string_equal(buf, text);
}

int
test_store_setup(void **state)
{
	*state = test_store_new();
	return 0;
}

int
test_store_teardown(void **state)
{
	test_store_free(*state);
	return 0;
}
