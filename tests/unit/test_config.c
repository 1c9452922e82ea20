/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "fs/config.h"
#include "fs/options.h"

/* A configuration file of the test's own. */

static int
file_setup(void **state)
{
	char *path = NULL;
	int fd = g_file_open_tmp("test-config-XXXXXX", &path, NULL);

	if (fd < 0)
		return -1;

	g_close(fd, NULL);
	*state = path;
	return 0;
}

static int
file_teardown(void **state)
{
	g_autofree char *path = *state;

	return g_unlink(path);
}

static void
put(const char *path, const char *text)
{
	assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Fails the test unless loading @text fails with exactly @sentence, and leaves
 * the settings alone. */
static void
assert_refused(const char *path, const char *text, const char *sentence)
{
	g_autofree char *expected = g_strdup_printf("%s:%s", path, sentence);
	g_autoptr(GError) error = NULL;
	FsConfig before = fs_config_default();
	FsConfig config = before;

	put(path, text);
	assert_false(fs_config_load(&config, path, &error));
	assert_string_equal(error->message, expected);
	assert_memory_equal(&config, &before, sizeof config);
}

static void
every_default_is_what_the_manual_says(void **state)
{
	FsConfig config = fs_config_default();

	assert_int_equal(config.map_size_mib, 0);
	assert_int_equal(config.sync_ms, 1000);
	assert_int_equal(config.dirty_limit_mib, 32);
	assert_int_equal(config.staged_limit_mib, 4);
	assert_int_equal(config.staged_max_mib, 32);
	assert_int_equal(config.staged_all_mib, 256);
	assert_int_equal(config.quarantine_max_mib, 1024);
	assert_int_equal(config.journal_max_mib, 1024);
	assert_int_equal(config.journal_age_days, 7);
	assert_int_equal(config.uid, FS_CONFIG_STORED);
	assert_int_equal(config.gid, FS_CONFIG_STORED);
	assert_int_equal(config.umask, FS_CONFIG_STORED);
	assert_int_equal(config.report_free_mib, 2047);
	assert_int_equal(config.plain_timeout_s, 3600);
	assert_int_equal(config.dos_sharing, 1);
	assert_int_equal(config.sandbox, 1);
	assert_int_equal(config.watchdog_s, 20);
	assert_int_equal(config.lock_wait_s, 30);
	assert_int_equal(config.smbd_park_ms, 500);
	assert_int_equal(config.idle_open_s, 5);
	assert_int_equal(config.commit_age_s, 5);
	assert_int_equal(config.transaction_limit_s, 900);
	assert_int_equal(config.silent_limit_s, 60);
	assert_int_equal(config.truncate_guard, 1);
	assert_int_equal(config.listings_max_mib, 32);
	assert_int_equal(config.client_handles, 16384);
	assert_int_equal(config.all_handles, 262144);
	assert_int_equal(config.client_ranges, 16384);
	assert_int_equal(config.all_ranges, 65536);
}

static void
a_file_sets_what_it_names_and_nothing_else(void **state)
{
	FsConfig expected = fs_config_default();
	FsConfig config = expected;

	put(*state, "# a comment\n"
	            "\n"
	            "[store]\n"
	            "  sync-ms=250  \n"
	            "[mount]\n"
	            "uid = 1000\r\n"
	            "umask = 027\n"
	            "dos-sharing = false");
	expected.sync_ms = 250;
	expected.uid = 1000;
	expected.umask = 027;
	expected.dos_sharing = 0;

	assert_true(fs_config_load(&config, *state, NULL));
	assert_memory_equal(&config, &expected, sizeof config);
}

static void
an_unknown_key_is_refused_with_its_line(void **state)
{
	assert_refused(*state, "[store]\n\n# x\nsync = 1\n",
	               "4: unknown key \"sync\" in [store]");
}

static void
a_key_of_another_group_is_unknown(void **state)
{
	assert_refused(*state, "[mount]\nsync-ms = 500\n",
	               "2: unknown key \"sync-ms\" in [mount]");
}

static void
an_unknown_group_is_refused_with_its_line(void **state)
{
	assert_refused(*state, "[store]\n[lokcs]\n",
	               "2: unknown group [lokcs]");
}

static void
the_group_of_poctl_is_left_to_poctl(void **state)
{
	FsConfig config = fs_config_default();

	put(*state, "[key-layout]\noffset = 0\n[store]\nsync-ms = 500\n");
	assert_true(fs_config_load(&config, *state, NULL));
	assert_int_equal(config.sync_ms, 500);
}

static void
a_line_that_is_no_setting_is_refused(void **state)
{
	const char *sentence = "neither [GROUP] nor, below one, KEY = VALUE";
	g_autofree char *first = g_strconcat("1: ", sentence, NULL);
	g_autofree char *second = g_strconcat("2: ", sentence, NULL);

	assert_refused(*state, "sync-ms = 500\n", first);
	assert_refused(*state, "[store]\nsync-ms\n", second);
}

static void
a_value_out_of_range_is_refused(void **state)
{
	assert_refused(*state, "[store]\nsync-ms = 9\n",
	               "2: sync-ms must be a number from 10 to 60000, "
	               "not \"9\"");
	assert_refused(*state, "[store]\nsync-ms = 60001\n",
	               "2: sync-ms must be a number from 10 to 60000, "
	               "not \"60001\"");
	assert_refused(*state, "[mount]\nuid = -1\n",
	               "2: uid must be \"stored\" or a number from 0 to "
	               "4294967294, not \"-1\"");
	assert_refused(*state, "[mount]\numask = 888\n",
	               "2: umask must be \"stored\" or an octal number from 0 "
	               "to 777, not \"888\"");
	assert_refused(*state, "[mount]\ndos-sharing = yes\n",
	               "2: dos-sharing must be true or false, not \"yes\"");
}

static void
the_ends_of_a_range_are_values(void **state)
{
	FsConfig config = fs_config_default();

	assert_true(fs_config_set(&config, "sync-ms", "10", NULL));
	assert_int_equal(config.sync_ms, 10);
	assert_true(fs_config_set(&config, "sync-ms", "60000", NULL));
	assert_int_equal(config.sync_ms, 60000);
	assert_true(fs_config_set(&config, "uid", "0", NULL));
	assert_int_equal(config.uid, 0);
	assert_true(fs_config_set(&config, "uid", "4294967294", NULL));
	assert_int_equal(config.uid, 4294967294);
	assert_true(fs_config_set(&config, "uid", "stored", NULL));
	assert_int_equal(config.uid, FS_CONFIG_STORED);
}

static void
bytes_that_are_no_text_are_refused(void **state)
{
	g_autoptr(GError) error = NULL;
	FsConfig config = fs_config_default();

	assert_true(g_file_set_contents(*state, "[store]\0\n", 9, NULL));
	assert_false(fs_config_load(&config, *state, &error));
	g_clear_error(&error);

	assert_true(g_file_set_contents(*state, "# \xff\n", 4, NULL));
	assert_false(fs_config_load(&config, *state, &error));
}

static void
what_is_printed_reads_back_the_same(void **state)
{
	FsConfig config = fs_config_default();
	FsConfig again = fs_config_default();
	FILE *out = fopen(*state, "w");

	assert_non_null(out);
	assert_true(fs_config_set(&config, "umask", "007", NULL));
	assert_true(fs_config_set(&config, "report-free-mib", "0", NULL));
	assert_true(fs_config_set(&config, "dos-sharing", "false", NULL));
	fs_config_print(&config, out);
	assert_int_equal(fclose(out), 0);

	assert_true(fs_config_load(&again, *state, NULL));
	assert_memory_equal(&config, &again, sizeof config);
}

/* ---- the command line --------------------------------------------------- */

#define ARGUMENTS_MAX 16

static bool
parse(const char *line, FsOptions **ret_options, GError **error)
{
	g_auto(GStrv) words = g_strsplit(line, " ", -1);
	char *argv[ARGUMENTS_MAX + 1] = { NULL };
	int argc = (int)g_strv_length(words);

	assert_in_range(argc, 1, ARGUMENTS_MAX);
	for (int i = 0; i < argc; i++)
		argv[i] = words[i];

	/* 0 makes GNU's getopt begin anew, also after an error. */
	optind = 0;
	return fs_options_parse(argc, argv, ret_options, error);
}

static void
options_may_follow_the_operands(void **state)
{
	g_autoptr(FsOptions) options = NULL;
	FsConfig config;

	assert_true(parse("pofs /no/store /mnt -o rw,dev,suid,uid=7 -f",
	                  &options, NULL));
	assert_int_equal(options->command, FS_COMMAND_MOUNT);
	assert_string_equal(options->store, "/no/store");
	assert_string_equal(options->mount_point, "/mnt");
	assert_true(options->foreground);
	assert_false(options->read_only);
	assert_true(fs_options_config(options, &config, NULL));
	assert_int_equal(config.uid, 7);
}

static void
what_only_prints_needs_no_store(void **state)
{
	static const char *const LINES[] = {
		"pofs --help",
		"pofs --version",
		"pofs --events",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(LINES); i++) {
		g_autoptr(FsOptions) options = NULL;

		assert_true(parse(LINES[i], &options, NULL));
		assert_null(options->store);
	}
}

static void
the_letters_of_mount_8_mean_something_else(void **state)
{
	static const char *const LINES[] = {
		"/sbin/mount.pofs /no/store /mnt -snv -o rw,uid=7",
		"mount.fuse.pofs /no/store /mnt -o uid=7 -t fuse.pofs",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(LINES); i++) {
		g_autoptr(FsOptions) options = NULL;
		FsConfig config;

		assert_true(parse(LINES[i], &options, NULL));
		assert_int_equal(options->command, FS_COMMAND_MOUNT);
		assert_string_equal(options->mount_point, "/mnt");
		assert_false(options->foreground);
		assert_false(options->verbose);
		assert_true(fs_options_config(options, &config, NULL));
		assert_int_equal(config.uid, 7);
	}
}

static void
a_helper_may_be_told_to_pretend(void **state)
{
	g_autoptr(FsOptions) options = NULL;

	assert_true(parse("mount.pofs /no/store /mnt -f", &options, NULL));
	assert_int_equal(options->command, FS_COMMAND_PRETEND);
}

static void
the_command_line_counts_more_than_the_file(void **state)
{
	g_autofree char *line = g_strdup_printf(
		"pofs -c %s -o sync-ms=20,ro /no/store /mnt", (char *)*state);
	g_autoptr(FsOptions) options = NULL;
	FsConfig config;

	put(*state, "[store]\nsync-ms = 500\ndirty-limit-mib = 5\n");
	assert_true(parse(line, &options, NULL));
	assert_true(options->read_only);
	assert_true(fs_options_config(options, &config, NULL));
	assert_int_equal(config.sync_ms, 20);
	assert_int_equal(config.dirty_limit_mib, 5);
}

static void
what_is_not_understood_is_a_usage_error(void **state)
{
	static const char *const WRONG[] = {
		"pofs",
		"pofs /no/store",
		"pofs /no/store /mnt /more",
		"pofs -n",
		"pofs -x /no/store /mnt",
		"pofs --wrong /no/store /mnt",
		"pofs /no/store /mnt -o",
		"pofs /no/store /mnt -o wrong",
		"pofs /no/store /mnt -o user=",
		"pofs /no/store /mnt -o uid",
		"pofs /no/store /mnt -o uid=me",
		"pofs /no/store /mnt -s",
		"mount.pofs /no/store",
		"mount.pofs -f /no/store",
		"mount.pofs /no/store /mnt -c /etc/fstab",
		"mount.pofs /no/store /mnt -s -o wrong",
		"mount.pofs /no/store /mnt -o",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(WRONG); i++) {
		g_autoptr(FsOptions) options = NULL;
		g_autoptr(GError) error = NULL;

		assert_false(parse(WRONG[i], &options, &error));
		assert_non_null(error);
		assert_null(options);
	}
}

static void
a_file_that_is_asked_for_must_exist(void **state)
{
	g_autoptr(FsOptions) options = NULL;
	g_autoptr(GError) error = NULL;
	FsConfig config;

	assert_true(parse("pofs -n -c /no/file /no/store", &options, NULL));
	assert_false(fs_options_config(options, &config, &error));
	assert_string_equal(error->message,
	                    "/no/file: No such file or directory");
}

#define FILE_TEST(f) \
	cmocka_unit_test_setup_teardown(f, file_setup, file_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_default_is_what_the_manual_says),
		FILE_TEST(a_file_sets_what_it_names_and_nothing_else),
		FILE_TEST(an_unknown_key_is_refused_with_its_line),
		FILE_TEST(a_key_of_another_group_is_unknown),
		FILE_TEST(an_unknown_group_is_refused_with_its_line),
		FILE_TEST(the_group_of_poctl_is_left_to_poctl),
		FILE_TEST(a_line_that_is_no_setting_is_refused),
		FILE_TEST(a_value_out_of_range_is_refused),
		cmocka_unit_test(the_ends_of_a_range_are_values),
		FILE_TEST(bytes_that_are_no_text_are_refused),
		FILE_TEST(what_is_printed_reads_back_the_same),
		cmocka_unit_test(options_may_follow_the_operands),
		cmocka_unit_test(what_only_prints_needs_no_store),
		cmocka_unit_test(the_letters_of_mount_8_mean_something_else),
		cmocka_unit_test(a_helper_may_be_told_to_pretend),
		FILE_TEST(the_command_line_counts_more_than_the_file),
		cmocka_unit_test(what_is_not_understood_is_a_usage_error),
		cmocka_unit_test(a_file_that_is_asked_for_must_exist),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
