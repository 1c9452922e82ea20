/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Backups that are damaged, hostile or newer.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "tests/fuzz/stream.h"
#include "tests/unit/backup_kit.h"
#include "tests/unit/store_kit.h"

/* A backup of the smallest store there is. */
static GByteArray *
small_backup(void)
{
	TestStore *test = test_store_new();
	GByteArray *bytes = test_backup_of(test->store);

	test_store_free(test);
	return bytes;
}

/* ---- streams of a liar ---------------------------------------------------*/

static void
lie_record(GByteArray *bytes, const char *key, const void *value, size_t size)
{
	stream_record(bytes, (KvSlice){ key, strlen(key) }, value, size);
}

/* Restoring must fail and leave nothing; @reason is a part of why. */
static void
assert_refused(const GByteArray *bytes, int error, const char *reason)
{
	g_autofree char *dir = test_new_place();
	g_autofree char *found = NULL;

	assert_int_equal(test_restore(bytes, dir, STORE_IDENTITY_NEW, &found),
	                 error);
	if (strstr(found, reason) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", reason, found);
	assert_int_equal(rmdir(dir), 0);
}

/* As that; nor is it a whole backup. */
static void
assert_no_backup(const GByteArray *bytes, int error, const char *reason)
{
	g_autofree char *found = NULL;

	assert_int_equal(test_verify(bytes->data, bytes->len, &found), error);
	assert_non_null(strstr(found, reason));
	assert_refused(bytes, error, reason);
}

static void
an_order_that_no_database_has_is_refused(void **state)
{
	static const char *const keys[][2] = { { "mb", "ma" },
		                               { "ma", "ma" },
		                               { "mab", "ma" } };
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(keys); i++) {
		g_autoptr(GByteArray) bytes = g_byte_array_new();

		stream_begin(bytes, 1, 1, 0);
		lie_record(bytes, keys[i][0], "", 0);
		lie_record(bytes, keys[i][1], "", 0);
		stream_end(bytes, 2);
		assert_no_backup(bytes, -EUCLEAN, "the order of records");
	}
}

static void
lengths_beyond_all_bounds_are_refused(void **state)
{
	static const struct {
		uint16_t key;
		uint32_t value;
	} lengths[] = { { KV_KEY_MAX + 1, 8 },
		        { UINT16_MAX, 8 },
		        { 1, BACKUP_VALUE_MAX + 1 },
		        { 1, UINT32_MAX } };
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(lengths); i++) {
		g_autoptr(GByteArray) bytes = g_byte_array_new();
		uint8_t frame[BACKUP_FRAME_SIZE];

		stream_begin(bytes, 1, 1, 0);
		bytes_put_u16(frame, lengths[i].key);
		bytes_put_u32(frame + 2, lengths[i].value);
		g_byte_array_append(bytes, frame, sizeof(frame));
		g_byte_array_set_size(bytes, 3 * BACKUP_RECORD_MAX);
		assert_no_backup(bytes, -EUCLEAN,
		                 "at byte 96: the length of a record");
	}
}

static void
values_of_any_length_up_to_the_bound_are_read(void **state)
{
	const size_t most = BACKUP_VALUE_MAX - RECORD_SEAL_SIZE;
	g_autofree char *value = g_malloc0(most);
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	g_autofree char *reason = NULL;

	stream_begin(bytes, 1, 1, 0);
	lie_record(bytes, "a", value, most);
	lie_record(bytes, "b", value, 0);
	lie_record(bytes, "c", value, most);
	lie_record(bytes, "d", value, most - 1);
	stream_end(bytes, 4);
	assert_int_equal(test_verify(bytes->data, bytes->len, &reason), 0);
}

static void
a_wrong_count_is_refused(void **state)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();

	stream_begin(bytes, 1, 1, 0);
	lie_record(bytes, "ma", "", 0);
	stream_end(bytes, 2);
	assert_no_backup(bytes, -EUCLEAN, "the count of records");
}

static void
what_is_newer_is_refused_with_words(void **state)
{
	g_autoptr(GByteArray) newer = g_byte_array_new();
	g_autoptr(GByteArray) store = g_byte_array_new();
	g_autofree char *format =
		g_strdup_printf("format %d, newer", STORE_FORMAT + 1);

	stream_begin(newer, STORE_BACKUP_VERSION + 1, 1, 0);
	assert_no_backup(newer, -EPROTO, "version 2, newer");
	stream_begin(store, 1, STORE_FORMAT + 1, 0);
	stream_end(store, 0);
	assert_no_backup(store, -EPROTO, format);
}

static void
room_that_is_too_small_leaves_nothing(void **state)
{
	g_autofree char *value = g_malloc0(512 << 10);
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	char key[3] = "m?";

	stream_begin(bytes, 1, 1, 4 << 20);
	for (key[1] = 'A'; key[1] <= 'Z'; key[1]++)
		lie_record(bytes, key, value, 512 << 10);
	stream_end(bytes, 26);
	assert_refused(bytes, -ENOSPC, "no room");
}

/* ---- damage --------------------------------------------------------------*/

static void
every_cut_is_found_with_its_place(void **state)
{
	g_autoptr(GByteArray) bytes = small_backup();
	size_t size;

	for (size = 0; size < bytes->len; size++) {
		g_autofree char *place =
			g_strdup_printf("cut off at byte %zu", size);
		g_autofree char *reason = NULL;

		assert_int_equal(test_verify(bytes->data, size, &reason),
		                 -EUCLEAN);
		assert_string_equal(reason, place);
	}
}

/* The byte that @reason names, or 0. */
static uint64_t
place_of(const char *reason)
{
	const char *place = strstr(reason, "at byte ");

	return place != NULL ? g_ascii_strtoull(place + 8, NULL, 10) : 0;
}

static void
every_flipped_byte_is_found_with_its_place(void **state)
{
	g_autoptr(GByteArray) bytes = small_backup();
	unsigned flip;
	guint at;

	for (at = 0; at < bytes->len; at++)
		for (flip = 1; flip < 256; flip = flip * 2 + 1) {
			g_autofree char *reason = NULL;

			bytes->data[at] ^= (uint8_t)flip;
			if (test_verify(bytes->data, bytes->len, &reason) == 0)
				fail_msg("byte %u ^ %x was not found", at,
				         flip);
			if (at < BACKUP_HEADER_SIZE)
				assert_null(strstr(reason, "SHA-256"));
			/* A record begins no more than its size before. */
			if (at >= BACKUP_HEADER_SIZE &&
			    strstr(reason, "cut off") == NULL)
				assert_in_range(place_of(reason),
				                at > 300 ? at - 300 : 1, at);
			bytes->data[at] ^= (uint8_t)flip;
		}
}

static void
what_is_behind_the_end_is_found(void **state)
{
	g_autoptr(GByteArray) bytes = small_backup();
	g_autofree char *place =
		g_strdup_printf("at byte %u: behind the end", bytes->len);

	g_byte_array_append(bytes, (const uint8_t *)"", 1);
	assert_no_backup(bytes, -EUCLEAN, place);
}

static void
damage_anywhere_leaves_no_store(void **state)
{
	g_autoptr(GByteArray) bytes = small_backup();
	guint at;

	for (at = 0; at < bytes->len; at += 29) {
		bytes->data[at] ^= 0x10;
		assert_refused(bytes, at >= 12 ? -EUCLEAN : -EPROTO, "");
		bytes->data[at] ^= 0x10;
	}
}

static void
a_source_is_read_in_any_portions(void **state)
{
	g_autoptr(GByteArray) bytes = small_backup();
	g_autofree char *reason = NULL;
	StoreBackup backup;
	size_t step;

	for (step = 1; step < 40; step++) {
		TestSource source = { bytes->data, bytes->len, .step = step };

		assert_int_equal(store_backup_verify(test_give, &source,
		                                     &backup, &reason),
		                 0);
	}
}

static void
a_source_that_fails_leaves_no_store(void **state)
{
	g_autoptr(GByteArray) bytes = small_backup();
	size_t size;

	for (size = 0; size <= bytes->len; size += bytes->len / 7) {
		TestSource source = { bytes->data, size, .error = -EINTR };
		g_autofree char *reason = NULL;
		g_autofree char *dir = test_new_place();
		StoreBackup backup;

		assert_int_equal(store_backup_restore(dir, STORE_IDENTITY_NEW,
		                                      test_give, &source,
		                                      &backup, &reason),
		                 -EINTR);
		assert_non_null(reason);
		assert_int_equal(rmdir(dir), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_order_that_no_database_has_is_refused),
		cmocka_unit_test(lengths_beyond_all_bounds_are_refused),
		cmocka_unit_test(values_of_any_length_up_to_the_bound_are_read),
		cmocka_unit_test(a_wrong_count_is_refused),
		cmocka_unit_test(what_is_newer_is_refused_with_words),
		cmocka_unit_test(room_that_is_too_small_leaves_nothing),
		cmocka_unit_test(every_cut_is_found_with_its_place),
		cmocka_unit_test(every_flipped_byte_is_found_with_its_place),
		cmocka_unit_test(what_is_behind_the_end_is_found),
		cmocka_unit_test(damage_anywhere_leaves_no_store),
		cmocka_unit_test(a_source_is_read_in_any_portions),
		cmocka_unit_test(a_source_that_fails_leaves_no_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
