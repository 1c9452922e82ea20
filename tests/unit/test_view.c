/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/access.h"
#include "fs/view.h"

#define NODE ((StoreNode)4711)

/* ---- nodeids ------------------------------------------------------------ */

static void
plain_files_have_one_nodeid_for_all(void **state)
{
	assert_int_equal(fs_view_nodeid(2, LAYOUT_PLAIN, NODE), NODE);
	assert_int_equal(fs_view_nodeid(3, LAYOUT_PLAIN, NODE), NODE);
	assert_false(fs_view_is_own(NODE));
}

static void
mail_files_have_a_nodeid_a_session(void **state)
{
	static const LayoutKind KINDS[] = {
		LAYOUT_MAILBAG,
		LAYOUT_MESSAGE,
		LAYOUT_LOCK_FILE,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(KINDS); i++) {
		uint64_t one = fs_view_nodeid(2, KINDS[i], NODE);
		uint64_t other = fs_view_nodeid(3, KINDS[i], NODE);

		assert_int_not_equal(one, other);
		assert_true(fs_view_is_own(one));
		assert_true(fs_view_is_own(other));
		assert_int_equal(fs_view_node(one), NODE);
		assert_int_equal(fs_view_node(other), NODE);
	}
}

static void
the_last_slot_and_the_largest_node_fit(void **state)
{
	StoreNode largest = ((StoreNode)1 << 48) - 1;
	uint64_t nodeid =
		fs_view_nodeid(FS_VIEW_SLOT_MAX, LAYOUT_MESSAGE, largest);

	assert_int_equal(nodeid, UINT64_MAX);
	assert_int_equal(fs_view_node(nodeid), largest);
	assert_true(fs_view_is_own(nodeid));
	assert_false(fs_view_is_own(largest));
}

static void
the_root_is_the_root_of_fuse(void **state)
{
	assert_int_equal(fs_view_nodeid(9, LAYOUT_PLAIN, STORE_ROOT), 1);
}

/* ---- time-outs ---------------------------------------------------------- */

static bool
is_zero(double seconds)
{
	return !(seconds > 0);
}

static void
only_the_stored_spelling_is_remembered(void **state)
{
	FsConfig config = fs_config_default();

	assert_true(fs_view_entry_timeout_s(&config, NODE, "A.TXT", "A.TXT") >
	            3599);
	assert_true(is_zero(
		fs_view_entry_timeout_s(&config, NODE, "a.txt", "A.TXT")));
	assert_true(fs_view_attr_timeout_s(&config, NODE) > 3599);
}

static void
what_differs_between_sessions_is_never_remembered(void **state)
{
	FsConfig config = fs_config_default();
	uint64_t own = fs_view_nodeid(2, LAYOUT_MAILBAG, NODE);

	assert_true(is_zero(
		fs_view_entry_timeout_s(&config, own, "A.KEY", "A.KEY")));
	assert_true(is_zero(fs_view_attr_timeout_s(&config, own)));
}

/* ---- attributes --------------------------------------------------------- */

static void
every_view_shows_the_same_inode_number(void **state)
{
	StoreAttr attr = {
		.node = NODE,
		.parent = STORE_ROOT,
		.mode = S_IFREG | 0640,
		.uid = 5,
		.gid = 6,
		.size = 513,
		.mtime_ns = INT64_C(1500000000123456789),
	};
	g_autoptr(FsNumbers) numbers = fs_numbers_new();
	struct stat stat = fs_view_stat(numbers, &attr);

	assert_int_equal(stat.st_ino, fs_numbers_get(numbers, &attr));
	assert_int_equal(stat.st_mode, S_IFREG | 0640);
	assert_int_equal(stat.st_nlink, 1);
	assert_int_equal(stat.st_uid, 5);
	assert_int_equal(stat.st_gid, 6);
	assert_int_equal(stat.st_size, 513);
	assert_int_equal(stat.st_blocks, 2);
	assert_int_equal(stat.st_mtim.tv_sec, 1500000000);
	assert_int_equal(stat.st_mtim.tv_nsec, 123456789);
}

static void
a_file_without_a_name_has_no_link(void **state)
{
	g_autoptr(FsNumbers) numbers = fs_numbers_new();
	StoreAttr attr = { .node = NODE, .mode = S_IFREG };

	assert_int_equal(fs_view_stat(numbers, &attr).st_nlink, 0);
}

static void
times_before_1970_have_positive_nanoseconds(void **state)
{
	g_autoptr(FsNumbers) numbers = fs_numbers_new();
	StoreAttr attr = { .node = NODE, .mtime_ns = -1 };
	struct stat stat = fs_view_stat(numbers, &attr);

	assert_int_equal(stat.st_mtim.tv_sec, -1);
	assert_int_equal(stat.st_mtim.tv_nsec, 999999999);
}

static void
a_time_beyond_64_bits_is_the_last_or_first(void **state)
{
	const struct {
		struct timespec time;
		int64_t ns;
	} cases[] = {
		{ { 1, 2 }, 1000000002 },
		{ { -1, 999999999 }, -1 },
		{ { 9223372036, 854775807 }, INT64_MAX },
		{ { 9223372036, 854775808 }, INT64_MAX },
		{ { INT64_MAX, 0 }, INT64_MAX },
		{ { -9223372037, 0 }, INT64_MIN },
		{ { INT64_MIN, 999999999 }, INT64_MIN },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_int_equal(fs_view_time_ns(&cases[i].time), cases[i].ns);
}

/* ---- permissions -------------------------------------------------------- */

static const FsCaller ROOT = { .uid = 0, .gid = 0 };
static const FsCaller OWNER = { .uid = 5, .gid = 99 };
static const FsCaller MEMBER = { .uid = 98, .gid = 6 };
static const FsCaller OTHER = { .uid = 98, .gid = 99 };

static StoreAttr
file_of(uint32_t mode)
{
	return (StoreAttr){
		.node = NODE,
		.mode = S_IFREG | mode,
		.uid = 5,
		.gid = 6,
	};
}

static void
the_nearest_class_of_bits_decides(void **state)
{
	StoreAttr attr = file_of(0640);

	assert_int_equal(fs_access_check(&OWNER, &attr, R_OK | W_OK), 0);
	assert_int_equal(fs_access_check(&OWNER, &attr, X_OK), -EACCES);
	assert_int_equal(fs_access_check(&MEMBER, &attr, R_OK), 0);
	assert_int_equal(fs_access_check(&MEMBER, &attr, R_OK | W_OK), -EACCES);
	assert_int_equal(fs_access_check(&OTHER, &attr, R_OK), -EACCES);
	assert_int_equal(fs_access_check(&OTHER, &attr, F_OK), 0);

	/* The owner is no member, and a member no other. */
	attr = file_of(0077);
	assert_int_equal(fs_access_check(&OWNER, &attr, R_OK), -EACCES);
	attr = file_of(0707);
	assert_int_equal(fs_access_check(&MEMBER, &attr, R_OK), -EACCES);
}

static void
root_may_do_everything(void **state)
{
	StoreAttr attr = file_of(0);

	assert_int_equal(fs_access_check(&ROOT, &attr, R_OK | W_OK | X_OK), 0);
	assert_int_equal(fs_access_check_owner(&ROOT, &attr), 0);
}

static void
only_the_owner_may_change_modes(void **state)
{
	StoreAttr attr = file_of(0777);

	assert_int_equal(fs_access_check_owner(&OWNER, &attr), 0);
	assert_int_equal(fs_access_check_owner(&MEMBER, &attr), -EPERM);
	assert_int_equal(fs_access_check_owner(&OTHER, &attr), -EPERM);
}

static void
what_is_reported_decides(void **state)
{
	FsConfig config = fs_config_default();
	StoreAttr attr = file_of(0600);

	config.uid = 98;
	config.gid = 99;
	config.umask = 0027;
	fs_access_report(&config, &attr);

	assert_int_equal(attr.uid, 98);
	assert_int_equal(attr.gid, 99);
	assert_int_equal(attr.mode, S_IFREG | 0750);
	assert_int_equal(fs_access_check(&OTHER, &attr, W_OK | X_OK), 0);
	assert_int_equal(fs_access_check(&OWNER, &attr, R_OK | X_OK), 0);
	assert_int_equal(fs_access_check(&OWNER, &attr, W_OK), -EACCES);
}

static void
nothing_is_overlaid_unless_asked_for(void **state)
{
	FsConfig config = fs_config_default();
	StoreAttr attr = file_of(0604);

	fs_access_report(&config, &attr);

	assert_int_equal(attr.uid, 5);
	assert_int_equal(attr.gid, 6);
	assert_int_equal(attr.mode, S_IFREG | 0604);
}

static void
only_root_gives_files_away(void **state)
{
	FsConfig config = fs_config_default();
	StoreAttr attr = file_of(0777);

	assert_int_equal(fs_access_check_chown(&config, &ROOT, &attr, 7, 8), 0);
	assert_int_equal(fs_access_check_chown(&config, &OWNER, &attr, 7, 6),
	                 -EPERM);
	assert_int_equal(fs_access_check_chown(&config, &OWNER, &attr, 5, 8),
	                 -EPERM);
	assert_int_equal(fs_access_check_chown(&config, &OTHER, &attr, 5, 6),
	                 0);

	config.uid = 5;
	assert_int_equal(fs_access_check_chown(&config, &ROOT, &attr, 7, 6),
	                 -EPERM);
	assert_int_equal(fs_access_check_chown(&config, &ROOT, &attr, 5, 8), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_files_have_one_nodeid_for_all),
		cmocka_unit_test(mail_files_have_a_nodeid_a_session),
		cmocka_unit_test(the_last_slot_and_the_largest_node_fit),
		cmocka_unit_test(the_root_is_the_root_of_fuse),
		cmocka_unit_test(only_the_stored_spelling_is_remembered),
		cmocka_unit_test(
			what_differs_between_sessions_is_never_remembered),
		cmocka_unit_test(every_view_shows_the_same_inode_number),
		cmocka_unit_test(a_file_without_a_name_has_no_link),
		cmocka_unit_test(times_before_1970_have_positive_nanoseconds),
		cmocka_unit_test(a_time_beyond_64_bits_is_the_last_or_first),
		cmocka_unit_test(the_nearest_class_of_bits_decides),
		cmocka_unit_test(root_may_do_everything),
		cmocka_unit_test(only_the_owner_may_change_modes),
		cmocka_unit_test(what_is_reported_decides),
		cmocka_unit_test(nothing_is_overlaid_unless_asked_for),
		cmocka_unit_test(only_root_gives_files_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
