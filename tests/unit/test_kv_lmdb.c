/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the LMDB engine makes of LMDB's and the disk's failures. The linker puts
 * this file between the engine and what it calls: see meson.build. That LMDB
 * itself does as is assumed here is for tests/torture to show.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "store/kv.h"
#include "tests/unit/call_fault.h"
#include "tests/unit/store_kit.h"

/* ---- what the tests share ------------------------------------------------*/

typedef struct Bench {
	Kv *kv;
	char *dir; /* owned */
} Bench;

static int
open_kv(Bench *bench)
{
	g_autofree char *reason = NULL;
	int r = kv_lmdb_open(bench->dir, true, 16 << 20, &bench->kv, &reason);

	assert_true((r < 0) == (reason != NULL));
	return r;
}

static int
setup(void **state)
{
	Bench *bench = g_new0(Bench, 1);
	g_autofree char *reason = NULL;

	fail_none();
	bench->dir = g_dir_make_tmp("pofs-test-XXXXXX", NULL);
	assert_int_equal(kv_lmdb_create(bench->dir, 16 << 20, &reason), 0);
	assert_int_equal(open_kv(bench), 0);
	*state = bench;
	return 0;
}

static int
teardown(void **state)
{
	Bench *bench = *state;

	fail_none();
	kv_close(bench->kv);
	test_remove_files(bench->dir);
	g_free(bench->dir);
	g_free(bench);
	return 0;
}

static KvSlice
text(const char *t)
{
	return (KvSlice){ t, t == NULL ? 0 : strlen(t) };
}

/* Puts @a under "a", and deletes "b", if "a" still is @was. */
static KvResult
commit(Kv *kv, const char *a, const char *was)
{
	KvChange changes[] = { { text("a"), text(a) }, { .key = text("b") } };
	KvBatch batch = { changes,
		          2,
		          { text(was != NULL ? "a" : NULL), text(was) } };
	KvResult result = KV_UNKNOWN;

	kv_commit(kv, &batch, test_keep_result, &result);
	return result;
}

static void
assert_a(Kv *kv, const char *want)
{
	g_autoptr(KvSnapshot) snapshot = NULL;
	KvSlice value;

	assert_int_equal(kv_snapshot(kv, &snapshot), 0);
	assert_int_equal(kv_get(snapshot, text("a"), &value), 0);
	assert_int_equal(value.size, strlen(want));
	assert_memory_equal(value.data, want, value.size);
}

/* ---- commits -------------------------------------------------------------*/

static void
a_commit_that_fails_says_how(void **state)
{
	static const struct {
		const char *name;
		int code;
		KvResult result;
	} cases[] = {
		{ "mdb_txn_begin", EIO, KV_IO },
		{ "mdb_get", LMDB_CORRUPTED, KV_IO },
		{ "mdb_put", EIO, KV_IO },
		{ "mdb_put", LMDB_TXN_FULL, KV_NOSPACE },
		{ "mdb_put", LMDB_PAGE_NOTFOUND, KV_IO },
		{ "mdb_put", LMDB_CURSOR_FULL, KV_IO },
		{ "mdb_put", LMDB_BAD_TXN, KV_IO },
		{ "mdb_del", EIO, KV_IO },
		{ "mdb_txn_commit", EIO, KV_IO },
		{ "mdb_txn_commit", ENOSPC, KV_NOSPACE },
		{ "mdb_txn_commit", EDQUOT, KV_NOSPACE },
	};
	Kv *kv = ((Bench *)*state)->kv;

	assert_int_equal(commit(kv, "1", NULL), KV_COMMITTED);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		fail_none();
		fail_call(cases[i].name, 1, cases[i].code);
		assert_int_equal(commit(kv, "2", "1"), cases[i].result);
		assert_a(kv, "1");
	}
	assert_int_equal(commit(kv, "longer", "1"), KV_COMMITTED);
	assert_int_equal(commit(kv, "2", "1"), KV_REFUSED);
	assert_int_equal(commit(kv, "2", "shorty"), KV_REFUSED);
	assert_a(kv, "longer");
}

/* A short write is EIO to LMDB. */
static void
a_full_disk_is_told_from_a_broken_one(void **state)
{
	Kv *kv = ((Bench *)*state)->kv;

	assert_int_equal(commit(kv, "1", NULL), KV_COMMITTED);
	fail_call("mdb_txn_commit", 1, EIO);
	fail_call("fstatvfs64", 1, 0);
	assert_int_equal(commit(kv, "2", "1"), KV_NOSPACE);
	fail_none();
	fail_call("mdb_txn_commit", 1, EIO);
	fail_call("fstatvfs64", 1, EIO);
	assert_int_equal(commit(kv, "2", "1"), KV_IO);
	assert_a(kv, "1");
}

/* Which a full disk does not say. */
static void
a_quota_is_told_from_a_broken_disk(void **state)
{
	static const struct {
		const char *name;
		int code;
		KvResult result;
	} cases[] = {
		{ "fallocate64", EDQUOT, KV_NOSPACE },
		{ "fallocate64", ENOSPC, KV_NOSPACE },
		{ "fallocate64", EOPNOTSUPP, KV_IO },
		{ "fstat64", EIO, KV_IO },
	};
	Kv *kv = ((Bench *)*state)->kv;

	assert_int_equal(commit(kv, "1", NULL), KV_COMMITTED);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		fail_none();
		fail_call("mdb_txn_commit", 1, EIO);
		fail_call(cases[i].name, 1, cases[i].code);
		assert_int_equal(commit(kv, "2", "1"), cases[i].result);
		assert_a(kv, "1");
	}
}

/* After a failed write of its meta page nobody knows, whatever the error. */
static void
a_finished_environment_is_in_doubt(void **state)
{
	Kv *kv = ((Bench *)*state)->kv;
	bool is_settled = false;

	assert_int_equal(commit(kv, "1", NULL), KV_COMMITTED);
	fail_call("mdb_txn_commit", 1, ENOSPC);
	fail_call("mdb_txn_begin", 2, LMDB_PANIC);
	assert_int_equal(commit(kv, "2", "1"), KV_UNKNOWN);
	assert_int_equal(kv_reopen(kv, &is_settled), 0);
	assert_true(is_settled);
	assert_a(kv, "1");
	assert_int_equal(commit(kv, "2", "1"), KV_COMMITTED);
}

/* ---- meta pages that are to be settled -----------------------------------*/

static void
nothing_is_written_before_the_meta_pages_are_settled(void **state)
{
	static const struct {
		const char *name;
		int code;
	} cases[] = {
		{ "settle", EIO }, { "settle", 0 },      { "pwrite64", EIO },
		{ "pwrite64", 0 }, { "fdatasync", EIO },
	};
	Kv *kv = ((Bench *)*state)->kv;

	assert_int_equal(commit(kv, "1", NULL), KV_COMMITTED);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		bool is_settled = true;

		fail_none();
		fail_call(cases[i].name, 1, cases[i].code);
		fail_call(cases[i].name, 2, cases[i].code);
		assert_int_equal(kv_reopen(kv, &is_settled), 0);
		assert_false(is_settled);
		assert_a(kv, "1");
		assert_int_equal(commit(kv, "2", "1"), KV_IO);
		assert_a(kv, "1");
		assert_int_equal(commit(kv, "1", "1"), KV_COMMITTED);
	}
}

/* ---- opening, and opening again ------------------------------------------*/

static const struct {
	const char *name;
	int code;
	int r;
} OPENING[] = {
	{ "mdb_env_create", ENOMEM, -ENOMEM },
	{ "mdb_env_set_maxreaders", EINVAL, -EINVAL },
	{ "mdb_env_set_mapsize", EINVAL, -EINVAL },
	{ "mdb_env_open", EACCES, -EACCES },
	{ "mdb_env_open", LMDB_INVALID, -EPROTO },
	{ "mdb_env_open", LMDB_PANIC, -EIO },
	{ "mdb_txn_begin", EIO, -EIO },
	{ "mdb_dbi_open", LMDB_CORRUPTED, -EUCLEAN },
	{ "mdb_txn_commit", EIO, -EIO },
};

static void
what_cannot_be_opened_again_is_closed(void **state)
{
	Kv *kv = ((Bench *)*state)->kv;
	KvSnapshot *snapshot = NULL;
	bool is_settled = false;
	KvRoom room;

	assert_int_equal(commit(kv, "1", NULL), KV_COMMITTED);
	for (size_t i = 0; i < G_N_ELEMENTS(OPENING); i++) {
		fail_none();
		fail_call(OPENING[i].name, 1, OPENING[i].code);
		assert_int_equal(kv_reopen(kv, &is_settled), OPENING[i].r);
		assert_int_equal(commit(kv, "2", "1"), KV_IO);
		assert_int_equal(kv_snapshot(kv, &snapshot), -EIO);
		assert_int_equal(kv_room(snapshot, &room), -EIO);
	}
	fail_none();
	assert_int_equal(kv_reopen(kv, &is_settled), 0);
	assert_true(is_settled);
	assert_a(kv, "1");
	assert_int_equal(commit(kv, "2", "1"), KV_COMMITTED);
}

/* Nobody is served meanwhile: it may not take longer for a larger one. */
static void
what_is_opened_again_is_not_read(void **state)
{
	Kv *kv = ((Bench *)*state)->kv;
	g_autofree char *large = g_strnfill(100000, 'x');
	bool is_settled = false;

	assert_int_equal(commit(kv, large, NULL), KV_COMMITTED);
	fail_none();
	/* The first is of the meta pages, which are settled. */
	fail_call("pread64", 2, EIO);
	assert_int_equal(kv_reopen(kv, &is_settled), 0);
	assert_true(is_settled);
	assert_a(kv, large);
}

static void
what_cannot_be_opened_says_why(void **state)
{
	Bench *bench = *state;

	g_clear_pointer(&bench->kv, kv_close);
	/* What a dead process has left is cleared by opening it once before. */
	for (size_t i = 0; i < 2 * G_N_ELEMENTS(OPENING); i++) {
		fail_none();
		fail_call(OPENING[i / 2].name, 1 + i % 2, OPENING[i / 2].code);
		assert_int_equal(open_kv(bench), OPENING[i / 2].r);
		assert_null(bench->kv);
	}
	/* Who has it may be told in two ways. */
	fail_none();
	fail_call("fcntl64", 1, EACCES);
	assert_int_equal(open_kv(bench), -EBUSY);
	fail_none();
	fail_call("fcntl64", 1, ENOLCK);
	assert_int_equal(open_kv(bench), -ENOLCK);
	fail_none();
	fail_call("open64", 1, EACCES);
	assert_int_equal(open_kv(bench), -EACCES);
	/* Whose process id cannot be written. */
	fail_none();
	fail_call("ftruncate64", 1, EIO);
	assert_int_equal(open_kv(bench), -EIO);
	fail_none();
	fail_call("pwrite64", 1, 0);
	assert_int_equal(open_kv(bench), -ENOSPC);
	fail_none();
	fail_call("pwrite64", 1, EIO);
	assert_int_equal(open_kv(bench), -EIO);
	fail_none();
	assert_int_equal(open_kv(bench), 0);
}

static void
what_cannot_be_created_says_why(void **state)
{
	static const char *const names[] = { "mdb_env_create", "mdb_env_open",
		                             "mdb_txn_begin",  "mdb_dbi_open",
		                             "mdb_txn_commit", "mdb_env_sync" };
	g_autofree char *dir = g_dir_make_tmp("pofs-test-XXXXXX", NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *reason = NULL;

		fail_none();
		fail_call(names[i], 1, EIO);
		assert_int_equal(kv_lmdb_create(dir, 0, &reason), -EIO);
		assert_true(g_str_has_prefix(reason, dir));
	}
	test_remove_files(dir);
}

static void
a_store_without_a_committer_is_not_opened(void **state)
{
	TestStore *test = test_store_new();
	g_autofree char *reason = NULL;
	Store *store = NULL;

	assert_int_equal(store_close(g_steal_pointer(&test->store)), 0);
	fail_call("g_thread_try_new", 1, 0);
	assert_int_equal(
		store_open(test->dir, STORE_WRITE, NULL, &store, &reason),
		-EAGAIN);
	assert_null(store);
	assert_non_null(strstr(reason, "no thread"));
	g_clear_pointer(&reason, g_free);
	assert_int_equal(
		store_open(test->dir, STORE_WRITE, NULL, &test->store, &reason),
		0);
	test_store_free(test);
}

/* ---- a file that is short ------------------------------------------------*/

/* Cuts off free pages at the end, as if they had never been written. */
static void
make_short(Bench *bench, const char *path)
{
	g_autofree char *large = g_strnfill(1 << 20, 'x');
	struct stat st;

	assert_int_equal(commit(bench->kv, large, NULL), KV_COMMITTED);
	/* What these use is what the elder ones of them have freed. */
	for (int i = 0; i < 4; i++)
		assert_int_equal(commit(bench->kv, "1", NULL), KV_COMMITTED);
	g_clear_pointer(&bench->kv, kv_close);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 16384), 0);
}

static void
a_file_that_is_short_is_read_before_it_is_believed(void **state)
{
	Bench *bench = *state;
	g_autofree char *path = g_build_filename(bench->dir, "data.mdb", NULL);
	unsigned refused = 0;

	make_short(bench, path);
	assert_int_equal(open_kv(bench), 0);
	assert_a(bench->kv, "1");
	g_clear_pointer(&bench->kv, kv_close);

	/* A page cannot be read, or is missing. */
	for (unsigned at = 1; at < 20; at++) {
		int r;

		fail_none();
		fail_call("pread64", at, EIO);
		r = open_kv(bench);
		assert_true(r == 0 || r == -EUCLEAN);
		refused += r < 0;
		g_clear_pointer(&bench->kv, kv_close);
	}
	assert_true(refused > 0);
	fail_none();
	assert_int_equal(truncate(path, 8192), 0);
	assert_int_equal(open_kv(bench), -EUCLEAN);
	assert_int_equal(truncate(path, 8191), 0);
	assert_int_equal(open_kv(bench), -EUCLEAN);
}

/* Who only reads looks at the pages where the file may have been cut off. */
static void
a_size_that_is_not_known_is_looked_into(void **state)
{
	Bench *bench = *state;
	g_autofree char *reason = NULL;

	assert_int_equal(commit(bench->kv, "1", NULL), KV_COMMITTED);
	for (unsigned at = 1; at < 4; at++) {
		g_clear_pointer(&bench->kv, kv_close);
		fail_none();
		fail_call("fstat64", at, EIO);
		assert_int_equal(
			kv_lmdb_open(bench->dir, false, 0, &bench->kv, &reason),
			0);
		assert_a(bench->kv, "1");
	}
}

/* It is written to by a map, which cannot say that there is no room. */
static void
a_lock_file_has_its_room_before_it_is_written_to(void **state)
{
	Bench *bench = *state;
	g_autofree char *path = g_build_filename(bench->dir, "lock.mdb", NULL);
	struct stat st;

	g_clear_pointer(&bench->kv, kv_close);
	assert_int_equal(unlink(path), 0);
	fail_call("fallocate64", 1, ENOSPC);
	assert_int_equal(open_kv(bench), -ENOSPC);
	fail_call("fallocate64", 1, EDQUOT);
	assert_int_equal(open_kv(bench), -EDQUOT);
	fail_call("fallocate64", 1, EOPNOTSUPP);
	assert_int_equal(open_kv(bench), 0);
	g_clear_pointer(&bench->kv, kv_close);

	/* Where it cannot be asked to stay in its place it has room, too. */
	for (unsigned at = 0; at < 2; at++) {
		fail_none();
		fail_call("ioctl", at, ENOTTY);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(open_kv(bench), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_true(st.st_blocks * 512 >= st.st_size);
		g_clear_pointer(&bench->kv, kv_close);
	}
}

static void
what_was_cut_off_is_not_opened_again(void **state)
{
	Bench *bench = *state;
	g_autofree char *path = g_build_filename(bench->dir, "data.mdb", NULL);
	bool is_settled;

	assert_int_equal(commit(bench->kv, "1", NULL), KV_COMMITTED);
	assert_int_equal(truncate(path, 8192), 0);
	assert_int_equal(kv_reopen(bench->kv, &is_settled), -EUCLEAN);
	assert_int_equal(commit(bench->kv, "2", NULL), KV_IO);
}

static void
what_is_no_file_is_no_database(void **state)
{
	Bench *bench = *state;
	g_autofree char *path = g_build_filename(bench->dir, "data.mdb", NULL);
	bool is_settled;

	assert_int_equal(unlink(path), 0);
	assert_int_equal(kv_reopen(bench->kv, &is_settled), -ENOENT);
	g_clear_pointer(&bench->kv, kv_close);
	assert_int_equal(open_kv(bench), -ENOENT);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(open_kv(bench), -EPROTO);
	assert_int_equal(rmdir(path), 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_commit_that_fails_says_how),
		TEST(a_full_disk_is_told_from_a_broken_one),
		TEST(a_quota_is_told_from_a_broken_disk),
		TEST(a_finished_environment_is_in_doubt),
		TEST(nothing_is_written_before_the_meta_pages_are_settled),
		TEST(what_cannot_be_opened_again_is_closed),
		TEST(what_is_opened_again_is_not_read),
		TEST(what_cannot_be_opened_says_why),
		TEST(what_cannot_be_created_says_why),
		TEST(a_file_that_is_short_is_read_before_it_is_believed),
		TEST(a_store_without_a_committer_is_not_opened),
		TEST(a_size_that_is_not_known_is_looked_into),
		TEST(a_lock_file_has_its_room_before_it_is_written_to),
		TEST(what_was_cut_off_is_not_opened_again),
		TEST(what_is_no_file_is_no_database),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
