/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Many threads on one store: whoever reads, while commits pass one after the
 * other, sees one state.
 */

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"

#define FILE_SIZE 30000 /* several chunks */
#define COMMITS   200   /* fits a byte */
#define READERS   3

typedef struct Stage {
	TestStore *test;
	StoreNode dir;
	StoreNode file;  /* written by transactions */
	StoreNode plain; /* written by plain changes */
	int pipe[2];
	gint is_over;
	gint faults;
} Stage;

static void
count_fault(Stage *stage, bool is_fault)
{
	if (is_fault)
		g_atomic_int_inc(&stage->faults);
}

/* Whether all bytes are the same; they are what one commit wrote. */
static bool
is_whole(StoreTxn *txn, StoreNode file, uint8_t *ret_byte)
{
	g_autofree uint8_t *bytes = g_malloc(FILE_SIZE);
	size_t size = 0;
	size_t i;

	if (store_file_read(txn, file, 0, bytes, FILE_SIZE, &size) < 0 ||
	    size != FILE_SIZE)
		return false;
	for (i = 1; i < size; i++)
		if (bytes[i] != bytes[0])
			return false;
	*ret_byte = bytes[0];
	return true;
}

static bool
count_entry(void *user_data, const StoreEntry *entry)
{
	(*(int *)user_data)++;
	return true;
}

static void *
read_live(void *user_data)
{
	Stage *stage = user_data;
	StoreTxn *plain = store_plain(stage->test->store);
	uint8_t byte;

	while (!g_atomic_int_get(&stage->is_over)) {
		int count = 0;

		count_fault(stage, !is_whole(plain, stage->file, &byte));
		count_fault(stage, store_name_list(plain, stage->dir,
		                                   count_entry, &count) < 0);
		count_fault(stage, count != 3);
	}
	return NULL;
}

/* Another process, until the pipe that it is given closes. */
static int
read_disk(void *user_data)
{
	Stage *stage = user_data;
	struct pollfd end = { .fd = stage->pipe[0], .events = POLLIN };
	uint8_t last = 0;
	uint8_t byte = 0;

	close(stage->pipe[1]);
	while (poll(&end, 1, 0) == 0) {
		g_autofree char *reason = NULL;
		g_autoptr(Store) reader = NULL;

		if (store_open(stage->test->dir, STORE_READ, NULL, &reader,
		               &reason) < 0 ||
		    !is_whole(store_plain(reader), stage->file, &byte))
			return 1;
		if (byte < last)
			return 2; /* back in time */
		last = byte;
	}
	return 0;
}

/* Whether the file has the number that was written last. */
static bool
is_still(StoreTxn *plain, StoreNode file, int number)
{
	int seen = -1;
	size_t size = 0;

	return store_file_read(plain, file, 0, &seen, sizeof(seen), &size) ==
	               0 &&
	       seen == number;
}

/* Whether a plain change is seen at once. */
static bool
is_seen_at_once(StoreTxn *plain, StoreNode file, int number)
{
	return store_file_write(plain, file, 0, &number, sizeof(number)) == 0 &&
	       is_still(plain, file, number);
}

static void *
write_plain(void *user_data)
{
	Stage *stage = user_data;
	Store *store = stage->test->store;
	StoreTxn *plain = store_plain(store);
	int last = 0;
	int i;

	for (i = 0; !g_atomic_int_get(&stage->is_over); i++) {
		g_autofree char *name = g_strdup_printf("t%d", i % 50);
		StoreAttr attr = { .mode = S_IFREG };

		(void)store_name_add(plain, STORE_ROOT, name, &attr, &attr);
		(void)store_name_remove(plain, STORE_ROOT, name, S_IFREG);
		(void)store_name_move(plain, stage->dir, "a", stage->dir, "b",
		                      STORE_MOVE_EXCHANGE);
		count_fault(stage,
		            last > 0 && !is_still(plain, stage->plain, last));
		last = i + 1;
		count_fault(stage, !is_seen_at_once(plain, stage->plain, last));
		if (i % 64 == 0)
			(void)store_sync_wait(store);
	}
	return NULL;
}

static void
write_transactions(Stage *stage)
{
	uint8_t bytes[FILE_SIZE];
	int i;

	for (i = 1; i <= COMMITS; i++) {
		StoreTxn *txn = NULL;

		memset(bytes, i, FILE_SIZE);
		assert_int_equal(
			store_txn_begin(stage->test->store, "test", &txn), 0);
		assert_int_equal(
			store_file_write(txn, stage->file, 0, bytes, FILE_SIZE),
			0);
		/* By a checkpoint, the commit, or as a plain change. */
		if (i % 3 == 0)
			assert_int_equal(test_checkpoint(txn), 0);
		if (i % 3 == 1)
			assert_int_equal(store_txn_commit_wait(&txn), 0);
		else
			assert_int_equal(store_txn_publish(&txn), 0);
	}
}

static void
readers_see_one_state_while_commits_pass(void **state)
{
	Stage stage = { .test = *state };
	Store *store = stage.test->store;
	uint8_t zeros[FILE_SIZE] = { 0 };
	GThread *threads[READERS + 1];
	pid_t reader;
	int i;

	stage.dir = test_add_dir(store, STORE_ROOT, "d");
	test_add_file(store, stage.dir, "a");
	test_add_file(store, stage.dir, "b");
	stage.plain = test_add_file(store, STORE_ROOT, "plain");
	stage.file = test_add_file(store, stage.dir, "f");
	assert_int_equal(store_file_write(store_plain(store), stage.file, 0,
	                                  zeros, FILE_SIZE),
	                 0);
	assert_int_equal(store_sync_wait(store), 0);

	assert_int_equal(pipe(stage.pipe), 0);
	reader = test_child_begin(read_disk, &stage);
	for (i = 0; i < READERS; i++)
		threads[i] = g_thread_new("live", read_live, &stage);
	threads[i++] = g_thread_new("plain", write_plain, &stage);
	write_transactions(&stage);
	g_atomic_int_set(&stage.is_over, 1);
	while (i > 0)
		g_thread_join(threads[--i]);
	close(stage.pipe[1]);
	assert_int_equal(test_child_end(reader), 0);
	close(stage.pipe[0]);
	assert_int_equal(stage.faults, 0);
	test_store_reopen(stage.test);
	test_store_check(stage.test->store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(readers_see_one_state_while_commits_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
