/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/lock_file.h"

#define DIR   10
#define OTHER 11

static int
setup(void **state)
{
	*state = fs_lock_files_new();
	return 0;
}

static int
teardown(void **state)
{
	fs_lock_files_free(*state);
	return 0;
}

static int
try_create(FsLockFiles *files, uint64_t session, const char *name,
           FsLockFile **ret_file)
{
	const FsLockFileNew wanted = {
		.dir = DIR,
		.name = name,
		.session = session,
		.mode = 0640,
		.uid = 5,
		.gid = 6,
		.now_ns = 100,
	};

	return fs_lock_file_create(files, &wanted, ret_file);
}

static FsLockFile *
create(FsLockFiles *files, uint64_t session, const char *name)
{
	FsLockFile *file = NULL;

	assert_int_equal(try_create(files, session, name, &file), 0);
	return file;
}

static void
count_one(void *user_data, FsLockFile *file)
{
	assert_int_equal(file->attr.parent, DIR);
	++*(unsigned *)user_data;
}

static unsigned
count(FsLockFiles *files, StoreNode dir)
{
	unsigned n = 0;

	fs_lock_file_list(files, dir, count_one, &n);
	return n;
}

/* ---- names ---------------------------------------------------------------*/

static void
a_name_has_one_number_in_any_case(void **state)
{
	StoreNode node = fs_lock_file_node(DIR, "INQUEUE.0LK");

	(void)state;
	assert_true(fs_lock_file_is_node(node));
	assert_true(node < UINT64_C(1) << 48);
	assert_false(fs_lock_file_is_node(1));
	assert_int_equal(fs_lock_file_node(DIR, "inqueue.0lk"), node);
	assert_int_not_equal(fs_lock_file_node(DIR, "INQUEUE.OLK"), node);
	assert_int_not_equal(fs_lock_file_node(OTHER, "INQUEUE.0LK"), node);
}

static void
a_new_file_is_found_as_it_was_made(void **state)
{
	FsLockFile *file = create(*state, 1, "Inqueue.0lk");

	assert_ptr_equal(fs_lock_file_find(*state, DIR, "INQUEUE.0LK"), file);
	assert_null(fs_lock_file_find(*state, DIR, "INQUEUE.OLK"));
	assert_null(fs_lock_file_find(*state, OTHER, "INQUEUE.0LK"));
	assert_ptr_equal(fs_lock_file_find_node(
				 *state, fs_lock_file_node(DIR, "INQUEUE.0LK")),
	                 file);
	assert_string_equal(file->name, "Inqueue.0lk");
	assert_int_equal(file->session, 1);
	assert_int_equal(file->attr.mode, S_IFREG | 0640);
	assert_int_equal(file->attr.uid, 5);
	assert_int_equal(file->attr.gid, 6);
	assert_int_equal(file->attr.size, 0);
	assert_int_equal(file->attr.mtime_ns, 100);
	assert_int_equal(count(*state, DIR), 1);
	assert_int_equal(count(*state, OTHER), 0);
}

static void
a_name_is_made_once(void **state)
{
	FsLockFile *file = create(*state, 1, "A.0LK");

	assert_int_equal(try_create(*state, 1, "A.0LK", &file), -EEXIST);
	assert_int_equal(try_create(*state, 2, "a.0lk", &file), -EEXIST);
	fs_lock_file_remove(file);
	assert_null(fs_lock_file_find(*state, DIR, "A.0LK"));
	assert_int_equal(count(*state, DIR), 0);
	(void)create(*state, 2, "a.0lk");
}

static void
an_open_file_outlives_its_name(void **state)
{
	StoreNode node = fs_lock_file_node(DIR, "A.0LK");
	FsLockFile *old = create(*state, 1, "A.0LK");
	FsLockFile *new;
	char byte = 0;

	fs_lock_file_hold(old);
	fs_lock_file_hold(old);
	assert_int_equal(fs_lock_file_write(old, 0, "x", 1, 0), 0);
	fs_lock_file_remove(old);
	fs_lock_file_remove(old);
	assert_int_equal(old->attr.parent, 0);
	assert_null(fs_lock_file_find(*state, DIR, "A.0LK"));
	assert_ptr_equal(fs_lock_file_find_node(*state, node), old);

	/* The number is now another's. */
	new = create(*state, 2, "A.0LK");
	assert_ptr_not_equal(new, old);
	assert_ptr_equal(fs_lock_file_find_node(*state, node), new);
	fs_lock_file_remove(new);

	fs_lock_file_release(old);
	assert_int_equal(fs_lock_file_read(old, 0, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	fs_lock_file_release(old);
	assert_null(fs_lock_file_find_node(*state, node));
}

static void
a_released_file_keeps_its_name(void **state)
{
	FsLockFile *file = create(*state, 1, "A.0LK");

	fs_lock_file_hold(file);
	fs_lock_file_release(file);
	assert_ptr_equal(fs_lock_file_find(*state, DIR, "A.0LK"), file);
}

static void
files_end_with_their_session(void **state)
{
	FsLockFile *held = create(*state, 1, "A.0LK");
	FsLockFile *other = create(*state, 2, "B.0LK");

	(void)create(*state, 1, "C.0LK");
	fs_lock_file_hold(held);
	assert_int_equal(count(*state, DIR), 3);
	fs_lock_file_end(*state, 1);
	fs_lock_file_end(*state, 3);
	assert_int_equal(count(*state, DIR), 1);
	assert_null(fs_lock_file_find(*state, DIR, "A.0LK"));
	assert_null(fs_lock_file_find(*state, DIR, "C.0LK"));
	assert_ptr_equal(fs_lock_file_find(*state, DIR, "B.0LK"), other);
	fs_lock_file_release(held);
	fs_lock_file_end(*state, 1);
}

static void
a_session_has_only_so_many(void **state)
{
	FsLockFile *first = create(*state, 1, "F");
	FsLockFile *file;

	fs_lock_file_hold(first);
	fs_lock_file_remove(first);
	for (unsigned i = 1; i < FS_LOCK_FILES_MAX; i++) {
		char name[16];

		(void)g_snprintf(name, sizeof name, "%u", i);
		(void)create(*state, 1, name);
	}
	assert_int_equal(try_create(*state, 1, "MORE", &file), -EMFILE);
	(void)create(*state, 2, "MORE");
	fs_lock_file_release(first);
	(void)create(*state, 1, "F");
}

static void
all_have_only_so_many_and_who_has_few_gets_his(void **state)
{
	FsLockFile *file;
	unsigned made = 0;
	char name[16];

	for (uint64_t session = 1; session <= 5; session++)
		for (unsigned i = 0; i < FS_LOCK_FILES_MAX; i++) {
			(void)g_snprintf(name, sizeof name, "%u", made);
			if (try_create(*state, session, name, &file) == 0)
				made++;
		}
	assert_in_range(made, FS_LOCK_FILES_ALL * 3 / 4, FS_LOCK_FILES_ALL - 1);
	assert_int_equal(try_create(*state, 5, "MORE", &file), -ENFILE);
	(void)create(*state, 6, "MORE");
	fs_lock_file_end(*state, 1);
	(void)create(*state, 5, "AGAIN");
}

/* Sessions come and go without end, and only files are told of theirs. */
static void
who_is_refused_his_first_leaves_nothing_behind(void **state)
{
	FsLockFile *file;
	uint64_t session = 0;
	unsigned made = 0;
	char name[16];
	size_t before;

	while (made < FS_LOCK_FILES_ALL) {
		(void)g_snprintf(name, sizeof name, "%u", made);
		if (session == 0 ||
		    try_create(*state, session, name, &file) < 0)
			(void)create(*state, ++session, name);
		made++;
	}
	before = mallinfo2().uordblks;
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(try_create(*state, ++session, "X", &file),
		                 -ENFILE);
	assert_in_range(mallinfo2().uordblks, 0, before + 10000);
}

static void
those_with_a_name_count(void **state)
{
	FsLockFile *held = create(*state, 1, "A.0LK");

	(void)create(*state, 1, "B.0LK");
	(void)create(*state, 2, "C.0LK");
	assert_int_equal(fs_lock_file_count(*state, 1), 2);
	assert_int_equal(fs_lock_file_count(*state, 3), 0);
	fs_lock_file_hold(held);
	fs_lock_file_remove(held);
	assert_int_equal(fs_lock_file_count(*state, 1), 1);
	fs_lock_file_release(held);
	assert_int_equal(fs_lock_file_count(*state, 1), 1);
}

/* ---- content -------------------------------------------------------------*/

static void
what_is_written_is_read(void **state)
{
	FsLockFile *file = create(*state, 1, "A.0LK");
	char buf[8] = "........";

	assert_int_equal(fs_lock_file_write(file, 2, "abc", 3, 200), 0);
	assert_int_equal(file->attr.size, 5);
	assert_int_equal(file->attr.mtime_ns, 200);
	assert_int_equal(file->attr.ctime_ns, 200);
	assert_int_equal(fs_lock_file_read(file, 1, buf, sizeof buf), 4);
	assert_memory_equal(buf, "\0abc....", 8);
	assert_int_equal(fs_lock_file_read(file, 5, buf, 1), 0);
	assert_int_equal(fs_lock_file_read(file, UINT64_MAX, buf, 1), 0);

	assert_int_equal(fs_lock_file_truncate(file, 3, 300), 0);
	assert_int_equal(fs_lock_file_truncate(file, 5, 300), 0);
	assert_int_equal(file->attr.size, 5);
	assert_int_equal(file->attr.mtime_ns, 300);
	assert_int_equal(fs_lock_file_read(file, 0, buf, 5), 5);
	assert_memory_equal(buf, "\0\0a\0\0", 5);
}

static void
a_file_grows_only_so_far(void **state)
{
	FsLockFile *file = create(*state, 1, "A.0LK");

	assert_int_equal(
		fs_lock_file_write(file, FS_LOCK_FILE_SIZE_MAX - 1, "x", 1, 0),
		0);
	assert_int_equal(
		fs_lock_file_write(file, FS_LOCK_FILE_SIZE_MAX - 1, "xx", 2, 0),
		-EFBIG);
	assert_int_equal(fs_lock_file_write(file, UINT64_MAX, "x", 1, 0),
	                 -EFBIG);
	assert_int_equal(
		fs_lock_file_truncate(file, FS_LOCK_FILE_SIZE_MAX + 1, 0),
		-EFBIG);
	assert_int_equal(file->attr.size, FS_LOCK_FILE_SIZE_MAX);
}

static void
a_session_has_only_so_many_bytes(void **state)
{
	size_t full = FS_LOCK_FILE_BYTES_MAX / FS_LOCK_FILE_SIZE_MAX;
	FsLockFile *last = create(*state, 1, "LAST");
	FsLockFile *file = NULL;

	for (size_t i = 0; i < full; i++) {
		char name[16];

		(void)g_snprintf(name, sizeof name, "%zu", i);
		file = create(*state, 1, name);
		assert_int_equal(
			fs_lock_file_truncate(file, FS_LOCK_FILE_SIZE_MAX, 0),
			0);
	}
	assert_int_equal(fs_lock_file_write(last, 0, "x", 1, 0), -ENOSPC);
	assert_int_equal(last->attr.size, 0);
	fs_lock_file_remove(file);
	assert_int_equal(fs_lock_file_write(last, 0, "x", 1, 0), 0);
}

static void
all_have_only_so_many_bytes(void **state)
{
	FsLockFile *file = NULL;
	unsigned full = 0;

	for (uint64_t session = 1; session <= 20; session++)
		for (unsigned i = 0; i < 64; i++) {
			char name[32];

			(void)g_snprintf(name, sizeof name, "%u-%u",
			                 (unsigned)session, i);
			file = create(*state, session, name);
			if (fs_lock_file_truncate(file, FS_LOCK_FILE_SIZE_MAX,
			                          0) == 0)
				full++;
		}
	assert_in_range(full * FS_LOCK_FILE_SIZE_MAX,
	                FS_LOCK_FILE_BYTES_ALL * 3 / 4, FS_LOCK_FILE_BYTES_ALL);
	assert_int_equal(fs_lock_file_truncate(file, FS_LOCK_FILE_SIZE_MAX, 0),
	                 -ENOSPC);
	file = create(*state, 21, "SMALL");
	assert_int_equal(fs_lock_file_write(file, 0, "x", 1, 0), 0);
	fs_lock_file_end(*state, 1);
	assert_int_equal(fs_lock_file_truncate(file, FS_LOCK_FILE_SIZE_MAX, 0),
	                 0);
}

/* ---- attributes ----------------------------------------------------------*/

static void
attributes_are_set_as_told(void **state)
{
	FsLockFile *file = create(*state, 1, "A.0LK");
	const StoreAttr attr = {
		.mode = S_IFDIR | 0600,
		.uid = 7,
		.gid = 8,
		.atime_ns = 1,
		.mtime_ns = 2,
		.ctime_ns = 3,
		.btime_ns = 4,
	};

	fs_lock_file_set_attr(file, &attr, STORE_SET_MTIME, 500);
	assert_int_equal(file->attr.mtime_ns, 2);
	assert_int_equal(file->attr.ctime_ns, 500);
	assert_int_equal(file->attr.uid, 5);
	fs_lock_file_set_attr(file, &attr,
	                      STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID |
	                              STORE_SET_ATIME | STORE_SET_CTIME |
	                              STORE_SET_BTIME,
	                      600);
	assert_int_equal(file->attr.mode, S_IFREG | 0600);
	assert_int_equal(file->attr.uid, 7);
	assert_int_equal(file->attr.gid, 8);
	assert_int_equal(file->attr.atime_ns, 1);
	assert_int_equal(file->attr.ctime_ns, 3);
	assert_int_equal(file->attr.btime_ns, 4);
}

static void
xattrs_are_kept(void **state)
{
	FsLockFile *file = create(*state, 1, "A.0LK");
	char buf[16];
	size_t size = 99;

	assert_int_equal(fs_lock_file_xattr_list(file, NULL, 0, &size), 0);
	assert_int_equal(size, 0);
	assert_int_equal(fs_lock_file_xattr_get(file, "user.a", buf, 16, &size),
	                 -ENODATA);
	assert_int_equal(fs_lock_file_xattr_set(file, "user.a", "1", 1,
	                                        XATTR_REPLACE, 0),
	                 -ENODATA);
	assert_int_equal(fs_lock_file_xattr_set(file, "user.a", "12", 2,
	                                        XATTR_CREATE, 700),
	                 0);
	assert_int_equal(file->attr.ctime_ns, 700);
	assert_int_equal(
		fs_lock_file_xattr_set(file, "user.a", "3", 1, XATTR_CREATE, 0),
		-EEXIST);
	assert_int_equal(fs_lock_file_xattr_get(file, "user.a", NULL, 0, &size),
	                 0);
	assert_int_equal(size, 2);
	assert_int_equal(fs_lock_file_xattr_get(file, "user.a", buf, 1, &size),
	                 -ERANGE);
	assert_int_equal(fs_lock_file_xattr_get(file, "user.a", buf, 16, &size),
	                 0);
	assert_memory_equal(buf, "12", 2);
	assert_int_equal(fs_lock_file_xattr_set(file, "user.a", "345", 3, 0, 0),
	                 0);
	assert_int_equal(fs_lock_file_xattr_list(file, buf, 16, &size), 0);
	assert_int_equal(size, sizeof "user.a");
	assert_memory_equal(buf, "user.a", size);
	assert_int_equal(fs_lock_file_xattr_remove(file, "user.a", 0), 0);
	assert_int_equal(fs_lock_file_xattr_remove(file, "user.a", 0),
	                 -ENODATA);
}

static void
xattrs_have_limits(void **state)
{
	static const char large[FS_LOCK_FILE_XATTR_SIZE_MAX + 1];
	FsLockFile *file = create(*state, 1, "A.0LK");
	g_autofree char *name = g_strnfill(256, 'n');

	assert_int_equal(
		fs_lock_file_xattr_set(file, "a", large, sizeof large, 0, 0),
		-E2BIG);
	assert_int_equal(fs_lock_file_xattr_set(file, name, "", 0, 0, 0),
	                 -ERANGE);
	for (unsigned i = 0; i < FS_LOCK_FILE_XATTRS_MAX; i++) {
		name[250 - i] = '\0';
		assert_int_equal(fs_lock_file_xattr_set(file, name, large,
		                                        sizeof large - 1, 0, 0),
		                 0);
	}
	assert_int_equal(fs_lock_file_xattr_set(file, "a", "", 0, 0, 0),
	                 -ENOSPC);
	assert_int_equal(fs_lock_file_xattr_set(file, name, "", 0, 0, 0), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_name_has_one_number_in_any_case),
		TEST(a_new_file_is_found_as_it_was_made),
		TEST(those_with_a_name_count),
		TEST(a_name_is_made_once),
		TEST(an_open_file_outlives_its_name),
		TEST(a_released_file_keeps_its_name),
		TEST(files_end_with_their_session),
		TEST(a_session_has_only_so_many),
		TEST(all_have_only_so_many_and_who_has_few_gets_his),
		TEST(who_is_refused_his_first_leaves_nothing_behind),
		TEST(what_is_written_is_read),
		TEST(a_file_grows_only_so_far),
		TEST(a_session_has_only_so_many_bytes),
		TEST(all_have_only_so_many_bytes),
		TEST(attributes_are_set_as_told),
		TEST(xattrs_are_kept),
		TEST(xattrs_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
