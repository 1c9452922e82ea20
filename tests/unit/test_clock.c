/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The clock of the machine is set forward and back, and the journal keeps its
 * sense.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "tests/unit/past_kit.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/txn_kit.h"

#define HOUR ((int64_t)3600 * G_USEC_PER_SEC)
#define DAY  (24 * HOUR)
#define YEAR (365 * DAY)

/* The machine's clock, which this program sets: instead of GLib's. */
static int64_t clock_us = 56 * YEAR;

gint64
g_get_real_time(void)
{
	return ++clock_us;
}

static int64_t
now_ns(void)
{
	return clock_us * 1000;
}

/* A file with as many bytes as a test has put there, each in a transaction. */
static uint64_t
add_byte(TestTxn *b)
{
	StoreTxn *txn = test_begin(b);
	StoreEntry entry;
	StoreAttr attr = { .size = 0 };

	if (test_has(txn, STORE_ROOT, "f")) {
		assert_int_equal(store_name_find(txn, STORE_ROOT, "f", &entry),
		                 0);
		assert_int_equal(store_attr_get(txn, entry.node, &attr), 0);
	} else {
		entry.node = test_stage_file(txn, STORE_ROOT, "f");
	}
	assert_int_equal(store_file_write(txn, entry.node, attr.size, "x", 1),
	                 0);
	clock_us += HOUR;
	return test_commit(b, txn);
}

/* How many bytes the file had at @at_ns; -1: it was not there. */
static int
bytes_at(TestTxn *b, int64_t at_ns)
{
	g_autoptr(StoreTxn) past = NULL;
	StoreEntry entry;
	StoreAttr attr;

	assert_int_equal(store_past_open(b->store, at_ns, &past), 0);
	if (!test_has(past, STORE_ROOT, "f"))
		return -1;
	assert_int_equal(store_name_find(past, STORE_ROOT, "f", &entry), 0);
	assert_int_equal(store_attr_get(past, entry.node, &attr), 0);
	return (int)attr.size;
}

static bool
count(void *user_data, const StoreJournalEntry *entry)
{
	(*(int *)user_data)++;
	return true;
}

/* How many entries there are when the committer has had time to forget some. */
static int
count_entries(TestTxn *b)
{
	int entries = 0;
	int i;

	for (i = 0; i < 3; i++) {
		(void)test_add_file(b->store, STORE_ROOT, "plain");
		assert_int_equal(store_sync_wait(b->store), 0);
		test_remove(b->plain, STORE_ROOT, "plain");
		assert_int_equal(store_sync_wait(b->store), 0);
	}
	assert_int_equal(store_journal_list(b->store, 0, count, &entries), 0);
	return entries;
}

static void
a_jump_forward_and_back_forgets_nothing(void **state)
{
	TestTxn *b = *state;

	(void)add_byte(b);
	clock_us += 12 * YEAR; /* 2038 is over */
	assert_int_equal(count_entries(b), 1);
	(void)add_byte(b);
	test_txn_reopen(b);
	assert_int_equal(count_entries(b), 2);
	clock_us -= 12 * YEAR;
	assert_int_equal(count_entries(b), 2);
	test_txn_reopen(b);
	assert_int_equal(count_entries(b), 2);
}

static void
a_crash_in_the_wrong_year_forgets_nothing(void **state)
{
	TestTxn *b = *state;
	StoreTxn *none = NULL;

	(void)add_byte(b);
	clock_us += 12 * YEAR;
	test_txn_crash(b, &none);
	assert_int_equal(count_entries(b), 1);
	clock_us -= 40 * YEAR;
	test_txn_crash(b, &none);
	assert_int_equal(count_entries(b), 1);
	clock_us += 28 * YEAR;
}

/* As if the store had been open for so long. */
static void
serve(TestTxn *b, int64_t us)
{
	STORE_LOCK(b->store);
	b->store->journal.served_ns += us * 1000;
}

static void
what_was_served_for_long_is_forgotten_whatever_the_clock_says(void **state)
{
	TestTxn *b = *state;
	StoreTxn *none = NULL;

	(void)add_byte(b);
	serve(b, 4 * DAY);
	test_txn_reopen(b);
	(void)add_byte(b);
	assert_int_equal(count_entries(b), 2);
	clock_us -= YEAR;
	serve(b, 4 * DAY);
	assert_int_equal(count_entries(b), 1);
	clock_us += YEAR;
	/* The clock of the store goes on from its last entry, if nothing else
	 * is known of it. */
	serve(b, 2 * DAY);
	(void)add_byte(b);
	test_txn_crash(b, &none);
	serve(b, 2 * DAY);
	assert_int_equal(count_entries(b), 1);
}

static void
what_ended_in_the_future_hides_nothing(void **state)
{
	TestTxn *b = *state;
	int64_t start_ns = now_ns();
	int64_t reach_ns = 0;
	int64_t first_ns;

	(void)add_byte(b);
	first_ns = now_ns();
	clock_us += 12 * YEAR;
	(void)add_byte(b);
	clock_us -= 12 * YEAR;
	(void)add_byte(b);
	assert_int_equal(bytes_at(b, start_ns), -1);
	assert_int_equal(bytes_at(b, first_ns), 1);
	assert_int_equal(bytes_at(b, now_ns()), 3);
	assert_int_equal(store_past_reach(b->store, &reach_ns), 0);
	assert_true(reach_ns <= start_ns);
}

static void
what_began_in_the_future_is_known_since_it_came(void **state)
{
	TestTxn *b = *state;
	int64_t reach_ns = 0;

	(void)add_byte(b);
	clock_us += 12 * YEAR;
	b->store->options.journal_max = 1;
	(void)add_byte(b); /* without a past */
	(void)count_entries(b);
	b->store->options.journal_max = 1 << 30;
	clock_us -= 12 * YEAR;
	(void)add_byte(b);
	assert_int_equal(store_past_reach(b->store, &reach_ns), 0);
	assert_true(reach_ns <= now_ns());
	assert_int_equal(bytes_at(b, now_ns()), 3);
}

static void
what_ended_before_its_time_comes_behind_what_was_there(void **state)
{
	TestTxn *b = *state;
	int64_t start_ns = now_ns();
	int64_t first_ns;
	int64_t second_ns;

	(void)add_byte(b);
	first_ns = now_ns();
	(void)add_byte(b);
	second_ns = now_ns();
	clock_us -= 50 * YEAR;
	(void)add_byte(b);
	clock_us += 50 * YEAR;
	(void)add_byte(b);
	assert_int_equal(bytes_at(b, start_ns), -1);
	assert_int_equal(bytes_at(b, first_ns), 1);
	assert_int_equal(bytes_at(b, second_ns), 3);
	assert_int_equal(bytes_at(b, now_ns()), 4);
}

static void
an_entry_of_the_format_before_is_read(void **state)
{
	const StoreJournalEntry entry = { .who = "who",
		                          .reason = "why",
		                          .mailbags = "A B",
		                          .files = 3,
		                          .served_ns = 5,
		                          .has_past = true };
	g_autoptr(GByteArray) bytes = journal_head_encode(&entry);
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry read;
	KvSlice value = { bytes->data, bytes->len };

	assert_int_equal(journal_head_decode(1, value, &read, text), 0);
	assert_int_equal(read.served_ns, 5);
	assert_true(read.has_past);

	g_byte_array_remove_range(bytes, 68, 8);
	bytes->data[1] = 1;
	value.size = bytes->len;
	assert_int_equal(journal_head_decode(1, value, &read, text), 0);
	assert_int_equal(read.served_ns, 0);
	assert_int_equal(read.files, 3);
	assert_true(read.has_past);
	assert_string_equal(read.who, "who");
	assert_string_equal(read.reason, "why");
	assert_string_equal(read.mailbags, "A B");
	/* It cannot say what it is too short for. */
	bytes->data[1] = 3;
	value.size = 68 + 7;
	assert_int_equal(journal_head_decode(1, value, &read, text), -EIO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TXN_TEST(a_jump_forward_and_back_forgets_nothing),
		TXN_TEST(a_crash_in_the_wrong_year_forgets_nothing),
		TXN_TEST(
			what_was_served_for_long_is_forgotten_whatever_the_clock_says),
		TXN_TEST(what_ended_in_the_future_hides_nothing),
		TXN_TEST(what_began_in_the_future_is_known_since_it_came),
		TXN_TEST(
			what_ended_before_its_time_comes_behind_what_was_there),
		cmocka_unit_test(an_entry_of_the_format_before_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
