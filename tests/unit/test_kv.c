/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What kv.h promises, asked of every engine there is.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "tests/unit/kv_fault.h"
#include "tests/unit/store_kit.h"

/* An engine and what it stands on. */
typedef struct Bench {
	Kv *kv;
	char *dir;         /* LMDB's; owned */
	KvFaultDisk *disk; /* the fault engine's; owned */
} Bench;

static Kv *
open_lmdb(const char *dir)
{
	g_autofree char *reason = NULL;
	Kv *kv = NULL;

	if (kv_lmdb_open(dir, true, 0, &kv, &reason) < 0)
		fail_msg("%s", reason);
	return kv;
}

static int
setup_lmdb(void **state)
{
	Bench *bench = g_new0(Bench, 1);
	g_autofree char *reason = NULL;

	bench->dir = g_dir_make_tmp("pofs-test-XXXXXX", NULL);
	assert_int_equal(kv_lmdb_create(bench->dir, 16 << 20, &reason), 0);
	bench->kv = open_lmdb(bench->dir);
	*state = bench;
	return 0;
}

static int
setup_fault(void **state)
{
	Bench *bench = g_new0(Bench, 1);

	bench->disk = kv_fault_disk_new();
	bench->kv = kv_fault_open(bench->disk);
	*state = bench;
	return 0;
}

static int
teardown(void **state)
{
	Bench *bench = *state;

	kv_close(bench->kv);
	kv_fault_disk_free(bench->disk);
	if (bench->dir != NULL)
		test_remove_files(bench->dir);
	g_free(bench->dir);
	g_free(bench);
	return 0;
}

static KvSlice
text(const char *t)
{
	return (KvSlice){ t, strlen(t) };
}

static KvChange
put(const char *key, const char *value)
{
	return (KvChange){ text(key), text(value) };
}

static KvChange
del(const char *key)
{
	return (KvChange){ .key = text(key) };
}

static KvResult
commit_guarded(Kv *kv, const KvChange *changes, size_t count, KvChange guard)
{
	KvBatch batch = { changes, count, guard };
	KvResult result = KV_UNKNOWN;

	kv_commit(kv, &batch, test_keep_result, &result);
	return result;
}

static void
commit(Kv *kv, const KvChange *changes, size_t count)
{
	assert_int_equal(commit_guarded(kv, changes, count, (KvChange){ 0 }),
	                 KV_COMMITTED);
}

static void
assert_value(KvSnapshot *snapshot, const char *key, const char *want)
{
	KvSlice value;

	if (want == NULL) {
		assert_int_equal(kv_get(snapshot, text(key), &value), -ENOENT);
		return;
	}
	assert_int_equal(kv_get(snapshot, text(key), &value), 0);
	assert_int_equal(value.size, strlen(want));
	assert_memory_equal(value.data, want, value.size);
}

static void
assert_now(Kv *kv, const char *key, const char *want)
{
	g_autoptr(KvSnapshot) snapshot = NULL;

	assert_int_equal(kv_snapshot(kv, &snapshot), 0);
	assert_value(snapshot, key, want);
}

static void
a_batch_puts_and_deletes(void **state)
{
	Kv *kv = ((Bench *)*state)->kv;

	commit(kv, (KvChange[]){ put("a", "1"), put("b", "2") }, 2);
	commit(kv, (KvChange[]){ put("a", "3"), del("b"), del("none") }, 3);
	assert_now(kv, "a", "3");
	assert_now(kv, "b", NULL);
	assert_now(kv, "none", NULL);
}

static void
a_snapshot_stays_what_it_was(void **state)
{
	Kv *kv = ((Bench *)*state)->kv;
	g_autoptr(KvSnapshot) before = NULL;

	commit(kv, (KvChange[]){ put("a", "1"), put("b", "2") }, 2);
	assert_int_equal(kv_snapshot(kv, &before), 0);
	commit(kv, (KvChange[]){ put("a", "3"), del("b") }, 2);
	assert_value(before, "a", "1");
	assert_value(before, "b", "2");
	assert_now(kv, "a", "3");
}

static void
a_scan_is_in_order_and_begins_where_told(void **state)
{
	static const char *const want[] = { "b", "ba", "c", "\xff" };
	Kv *kv = ((Bench *)*state)->kv;
	g_autoptr(KvSnapshot) snapshot = NULL;
	g_autoptr(KvIter) iter = NULL;
	KvSlice key;
	KvSlice value;
	size_t i;

	commit(kv,
	       (KvChange[]){ put("c", "3"), put("\xff", "9"), put("a", "1"),
	                     put("ba", "2"), put("b", "x") },
	       5);
	assert_int_equal(kv_snapshot(kv, &snapshot), 0);
	assert_int_equal(kv_iter(snapshot, text("aa"), &iter), 0);
	for (i = 0; i < G_N_ELEMENTS(want); i++) {
		assert_int_equal(kv_iter_next(iter, &key, &value), 0);
		assert_int_equal(key.size, strlen(want[i]));
		assert_memory_equal(key.data, want[i], key.size);
	}
	assert_int_equal(kv_iter_next(iter, &key, &value), -ENOENT);
}

static void
assert_near(Kv *kv, const char *key, const char *before, const char *after)
{
	g_autoptr(KvSnapshot) snapshot = NULL;
	KvRecord low;
	KvRecord high;

	assert_int_equal(kv_snapshot(kv, &snapshot), 0);
	assert_int_equal(kv_near(snapshot, text(key), &low, &high), 0);
	assert_int_equal(low.key.data == NULL, before == NULL);
	assert_int_equal(high.key.data == NULL, after == NULL);
	if (before != NULL)
		assert_memory_equal(low.key.data, before, low.key.size);
	if (after != NULL)
		assert_memory_equal(high.key.data, after, high.key.size);
}

static void
neighbours_are_those_in_order(void **state)
{
	Kv *kv = ((Bench *)*state)->kv;

	assert_near(kv, "b", NULL, NULL);
	commit(kv, (KvChange[]){ put("a", "1"), put("c", "2") }, 2);
	assert_near(kv, "0", NULL, "a");
	assert_near(kv, "a", NULL, "a");
	assert_near(kv, "b", "a", "c");
	assert_near(kv, "c", "a", "c");
	assert_near(kv, "d", "c", NULL);
}

static void
a_scan_behind_the_end_is_empty(void **state)
{
	Kv *kv = ((Bench *)*state)->kv;
	g_autoptr(KvSnapshot) snapshot = NULL;
	g_autoptr(KvIter) iter = NULL;
	KvSlice key;
	KvSlice value;

	commit(kv, (KvChange[]){ put("a", "1") }, 1);
	assert_int_equal(kv_snapshot(kv, &snapshot), 0);
	assert_int_equal(kv_iter(snapshot, text("b"), &iter), 0);
	assert_int_equal(kv_iter_next(iter, &key, &value), -ENOENT);
}

static void
a_guard_that_does_not_hold_stops_all(void **state)
{
	Kv *kv = ((Bench *)*state)->kv;
	KvChange changes[] = { put("a", "2"), put("b", "2") };

	assert_int_equal(commit_guarded(kv, changes, 2, put("seq", "1")),
	                 KV_REFUSED);
	commit(kv, (KvChange[]){ put("seq", "1") }, 1);
	assert_int_equal(commit_guarded(kv, changes, 2, put("seq", "0")),
	                 KV_REFUSED);
	assert_now(kv, "a", NULL);
	assert_int_equal(commit_guarded(kv, changes, 2, put("seq", "1")),
	                 KV_COMMITTED);
	assert_now(kv, "a", "2");
}

static void
the_longest_key_and_a_long_value_fit(void **state)
{
	Kv *kv = ((Bench *)*state)->kv;
	g_autofree char *key = g_strnfill(KV_KEY_MAX, 'k');
	g_autofree char *value = g_strnfill(100000, 'v');

	commit(kv, (KvChange[]){ put(key, value) }, 1);
	assert_now(kv, key, value);
}

static void
what_is_committed_is_there_after_a_reopen(void **state)
{
	Kv *kv = ((Bench *)*state)->kv;
	bool is_settled;

	commit(kv, (KvChange[]){ put("a", "1") }, 1);
	assert_int_equal(kv_reopen(kv, &is_settled), 0);
	assert_true(is_settled);
	assert_now(kv, "a", "1");
	commit(kv, (KvChange[]){ put("a", "2") }, 1);
	assert_now(kv, "a", "2");
}

/* Only LMDB has an end to its map. */
static void
a_full_map_is_no_space_and_no_damage(void **state)
{
	Bench *bench = *state;
	g_autofree char *value = g_strnfill(64 << 20, 'v');
	KvChange change = put("big", value);

	commit(bench->kv, (KvChange[]){ put("a", "1") }, 1);
	assert_int_equal(commit_guarded(bench->kv, &change, 1, (KvChange){ 0 }),
	                 KV_NOSPACE);
	assert_now(bench->kv, "big", NULL);
	commit(bench->kv, (KvChange[]){ put("a", "2") }, 1);
	assert_now(bench->kv, "a", "2");
}

static void
a_second_writer_is_told_the_pid_of_the_first(void **state)
{
	Bench *bench = *state;
	g_autofree char *pid = g_strdup_printf("process %d ", (int)getpid());
	g_autofree char *reason = NULL;
	Kv *second = NULL;

	assert_int_equal(kv_lmdb_open(bench->dir, true, 0, &second, &reason),
	                 -EBUSY);
	assert_non_null(strstr(reason, pid));
}

static int
read_a(void *user_data)
{
	g_autofree char *reason = NULL;
	g_autoptr(Kv) reader = NULL;
	g_autoptr(KvSnapshot) snapshot = NULL;
	KvSlice value;

	if (kv_lmdb_open(user_data, false, 0, &reader, &reason) < 0 ||
	    kv_snapshot(reader, &snapshot) < 0 ||
	    kv_get(snapshot, text("a"), &value) < 0 || value.size != 1)
		return 1;
	return *(const char *)value.data;
}

static void
a_reader_sees_what_the_writer_committed(void **state)
{
	Bench *bench = *state;

	commit(bench->kv, (KvChange[]){ put("a", "1") }, 1);
	assert_int_equal(test_in_child(read_a, bench->dir), '1');
	commit(bench->kv, (KvChange[]){ put("a", "2") }, 1);
	assert_int_equal(test_in_child(read_a, bench->dir), '2');
}

/* Dies while it reads. */
static int
die_reading(void *user_data)
{
	g_autofree char *reason = NULL;
	KvSnapshot *snapshot = NULL;
	Kv *reader = NULL;

	if (kv_lmdb_open(user_data, false, 0, &reader, &reason) < 0 ||
	    kv_snapshot(reader, &snapshot) < 0)
		return 1;
	return raise(SIGKILL);
}

static KvRoom
room_now(const Bench *bench)
{
	KvSnapshot *snapshot = NULL;
	KvRoom room;

	assert_int_equal(kv_snapshot(bench->kv, &snapshot), 0);
	assert_int_equal(kv_room(snapshot, &room), 0);
	kv_snapshot_end(snapshot);
	return room;
}

static gsize
size_of(const Bench *bench)
{
	return room_now(bench).used;
}

/* What they saw is not kept for them, nor are their places. */
static void
dead_readers_are_in_nobodys_way(void **state)
{
	Bench *bench = *state;
	g_autofree char *value = g_strnfill(100000, 'v');
	gsize before;
	int i;

	for (i = 0; i < 10; i++)
		commit(bench->kv, (KvChange[]){ put("a", value) }, 1);
	before = size_of(bench);
	for (i = 0; i < 300; i++) {
		assert_int_equal(test_in_child(die_reading, bench->dir), -1);
		commit(bench->kv, (KvChange[]){ put("a", value) }, 1);
	}
	for (i = 0; i < 100; i++)
		commit(bench->kv, (KvChange[]){ put("a", value) }, 1);
	/* They are looked for each 64 commits, and their places then. */
	assert_true(size_of(bench) <= before + (gsize)2 * 64 * 110000);
	before = size_of(bench);
	for (i = 0; i < 300; i++)
		commit(bench->kv, (KvChange[]){ put("a", value) }, 1);
	assert_int_equal(size_of(bench), before);
}

#define BIG 1000000

/* Puts and deletes a big value, and has what that freed be there. */
static void
come_and_go(Bench *bench, int times)
{
	g_autofree char *value = g_strnfill(BIG, 'v');
	int i;

	for (i = 0; i < times; i++) {
		commit(bench->kv, (KvChange[]){ put("big", value) }, 1);
		commit(bench->kv, (KvChange[]){ del("big") }, 1);
		commit(bench->kv, (KvChange[]){ put("a", "1") }, 1);
	}
}

/* What batches may add, now or after the next. */
static uint64_t
room_of(const Bench *bench)
{
	KvRoom room = room_now(bench);

	return room.free + room.freed;
}

static void
assert_reader_is_minded(Bench *bench, bool is_killed)
{
	uint64_t before;
	uint64_t meanwhile;
	TestReader reader;

	come_and_go(bench, 2);
	before = room_of(bench);
	test_reader_begin(&reader, bench->dir);
	come_and_go(bench, 5);
	meanwhile = room_of(bench);
	test_reader_end(&reader, is_killed);
	/* Of the first they could use what was free before. */
	assert_true(meanwhile < before - (uint64_t)4 * BIG);
	assert_true(room_of(bench) > before - BIG / 2);
	come_and_go(bench, 1);
	assert_true(room_of(bench) > before - BIG / 2);
}

/* Nobody can write where somebody still reads; nor tell that he could. */
static void
what_others_read_is_no_room(void **state)
{
	assert_reader_is_minded(*state, false);
	assert_reader_is_minded(*state, true);
}

/* But the next commit has what we have read ourselves until now. */
static void
what_the_last_commit_freed_is_room_soon(void **state)
{
	Bench *bench = *state;
	g_autofree char *value = g_strnfill(BIG, 'v');
	KvSnapshot *snapshot = NULL;
	uint64_t free;
	KvRoom room;

	commit(bench->kv, (KvChange[]){ put("big", value) }, 1);
	assert_int_equal(kv_snapshot(bench->kv, &snapshot), 0);
	free = room_now(bench).free;
	commit(bench->kv, (KvChange[]){ del("big") }, 1);
	room = room_now(bench);
	assert_in_range(room.freed, BIG, BIG + (64 << 10));
	assert_in_range(room.free, free - (64 << 10), free);
	kv_snapshot_end(snapshot);
	commit(bench->kv, (KvChange[]){ put("a", "1") }, 1);
	room = room_now(bench);
	assert_true(room.free > free + BIG / 2);

	/* It is not where one of us goes on. */
	commit(bench->kv, (KvChange[]){ put("big", value) }, 1);
	assert_int_equal(kv_snapshot(bench->kv, &snapshot), 0);
	free = room_of(bench);
	commit(bench->kv, (KvChange[]){ del("big") }, 1);
	commit(bench->kv, (KvChange[]){ put("a", "2") }, 1);
	commit(bench->kv, (KvChange[]){ put("a", "3") }, 1);
	assert_true(room_of(bench) <= free);
	kv_snapshot_end(snapshot);
	assert_true(room_of(bench) > free + BIG / 2);
}

static void
a_stale_lock_file_is_made_anew(void **state)
{
	Bench *bench = *state;
	g_autofree char *path = g_build_filename(bench->dir, "lock.mdb", NULL);
	g_autofree char *junk = g_strnfill(8192, 'j');

	commit(bench->kv, (KvChange[]){ put("a", "1") }, 1);
	g_clear_pointer(&bench->kv, kv_close);
	assert_true(g_file_set_contents(path, junk, 8192, NULL));
	assert_int_equal(test_in_child(read_a, bench->dir), '1');
	assert_true(g_file_set_contents(path, junk, 100, NULL));
	assert_int_equal(test_in_child(read_a, bench->dir), '1');
}

static void
a_truncated_database_is_refused(void **state)
{
	Bench *bench = *state;
	g_autofree char *path = g_build_filename(bench->dir, "data.mdb", NULL);
	g_autofree char *value = g_strnfill(100000, 'v');
	g_autofree char *reason = NULL;
	Kv *reader = NULL;

	commit(bench->kv, (KvChange[]){ put("a", value), put("b", value) }, 2);
	g_clear_pointer(&bench->kv, kv_close);
	assert_int_equal(truncate(path, 32768), 0);
	assert_int_equal(kv_lmdb_open(bench->dir, false, 0, &reader, &reason),
	                 -EUCLEAN);
	assert_int_equal(truncate(path, 100), 0);
	g_free(reason);
	assert_int_equal(kv_lmdb_open(bench->dir, false, 0, &reader, &reason),
	                 -EUCLEAN);
}

#define ON(engine, f)                                                  \
	{                                                              \
#f " (" #engine ")", f, setup_##engine, teardown, NULL \
	}
#define ON_BOTH(f) ON(lmdb, f), ON(fault, f)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_batch_puts_and_deletes),
		ON_BOTH(a_snapshot_stays_what_it_was),
		ON_BOTH(a_scan_is_in_order_and_begins_where_told),
		ON_BOTH(neighbours_are_those_in_order),
		ON_BOTH(a_scan_behind_the_end_is_empty),
		ON_BOTH(a_guard_that_does_not_hold_stops_all),
		ON_BOTH(the_longest_key_and_a_long_value_fit),
		ON_BOTH(what_is_committed_is_there_after_a_reopen),
		ON(lmdb, a_full_map_is_no_space_and_no_damage),
		ON(lmdb, a_second_writer_is_told_the_pid_of_the_first),
		ON(lmdb, a_reader_sees_what_the_writer_committed),
		ON(lmdb, dead_readers_are_in_nobodys_way),
		ON(lmdb, what_others_read_is_no_room),
		ON(lmdb, what_the_last_commit_freed_is_room_soon),
		ON(lmdb, a_stale_lock_file_is_made_anew),
		ON(lmdb, a_truncated_database_is_refused),
	};

	/* In memory: nothing here is a matter of the disk. */
	(void)g_setenv("TMPDIR", "/dev/shm", TRUE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
