/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The check of a store finds whatever the journal lacks.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "store/journal.h"
#include "tests/unit/past_kit.h"
#include "tests/unit/store_kit.h"

static bool
keep_first(void *user_data, const StoreJournalEntry *entry)
{
	*(uint64_t *)user_data = entry->id;
	return false;
}

static StoreNode
add_large(Store *store, const char *name)
{
	g_autofree char *bytes = g_strnfill(5000, 'x');
	StoreNode file = test_add_file(store, STORE_ROOT, name);

	assert_int_equal(
		store_file_write(store_plain(store), file, 0, bytes, 5000), 0);
	return file;
}

/* Cuts one file and removes another, in two transactions, of which it returns
 * the number of the second: it keeps a node and content. */
static uint64_t
cut_and_remove(Store *store)
{
	StoreNode cut = add_large(store, "cut");
	StoreTxn *txn = NULL;

	(void)add_large(store, "removed");
	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	test_write(txn, cut, "changed");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(store_txn_begin(store, "test", &txn), 0);
	assert_int_equal(store_file_truncate(txn, cut, 0), 0);
	test_remove(txn, STORE_ROOT, "removed");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	return test_last_entry(store);
}

static void
add_finding(void *user_data, const char *sentence)
{
	g_ptr_array_add(user_data, g_strdup(sentence));
}

/* What a check finds, sentence by sentence. */
static GPtrArray *
findings(const char *dir)
{
	GPtrArray *told = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *reason = NULL;
	g_autoptr(Store) reader = NULL;
	uint64_t count = 0;

	assert_int_equal(store_open(dir, STORE_READ, NULL, &reader, &reason),
	                 0);
	assert_int_equal(store_check(reader, add_finding, NULL, told, &count),
	                 0);
	assert_int_equal(told->len, count);
	return told;
}

static guint
count_findings(const char *dir)
{
	g_autoptr(GPtrArray) told = findings(dir);

	return told->len;
}

static void
put_raw(const char *dir, GBytes *key, GBytes *value)
{
	KvSlice k;
	KvSlice v = { NULL, 0 };

	k.data = g_bytes_get_data(key, &k.size);
	if (value != NULL)
		v.data = g_bytes_get_data(value, &v.size);
	test_put_record_in(dir, k, v);
}

/* The records of entry @id, keys and values by turns. */
static GPtrArray *
records_of(const char *dir, uint64_t id)
{
	GPtrArray *records =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	RecordKey from = journal_key_part(JOURNAL_HEAD);
	g_autofree char *reason = NULL;
	g_autoptr(Kv) kv = NULL;
	g_autoptr(KvSnapshot) snapshot = NULL;
	g_autoptr(KvIter) iter = NULL;
	JournalPart part;
	KvSlice key;
	KvSlice value;
	uint64_t of;

	assert_int_equal(kv_lmdb_open(dir, false, 0, &kv, &reason), 0);
	assert_int_equal(kv_snapshot(kv, &snapshot), 0);
	assert_int_equal(kv_iter(snapshot, record_slice(&from), &iter), 0);
	while (kv_iter_next(iter, &key, &value) == 0 &&
	       *(const char *)key.data == RECORD_JOURNAL) {
		assert_true(journal_key_read(key, &part, &of));
		if (of != id)
			continue;
		g_ptr_array_add(records, g_bytes_new(key.data, key.size));
		g_ptr_array_add(records, g_bytes_new(value.data, value.size));
	}
	return records;
}

/* Each record that an entry has: a head, a line, values, a node, content. */
static void
whatever_is_missing_is_found(void **state)
{
	TestStore *test = *state;
	g_autoptr(GPtrArray) records = NULL;
	uint64_t id;
	guint i;

	id = cut_and_remove(test->store);
	assert_int_equal(store_close(g_steal_pointer(&test->store)), 0);

	records = records_of(test->dir, id);
	assert_int_equal(records->len / 2, 1 + 2 + 3 + 2);
	assert_int_equal(count_findings(test->dir), 0);
	for (i = 0; i < records->len; i += 2) {
		put_raw(test->dir, records->pdata[i], NULL);
		assert_true(count_findings(test->dir) > 0);
		put_raw(test->dir, records->pdata[i], records->pdata[i + 1]);
	}
	assert_int_equal(count_findings(test->dir), 0);
}

/* Whether one of @told is that the record of @part of entry @id is damaged. */
static bool
is_named(const GPtrArray *told, JournalPart part, uint64_t id)
{
	static const char *const names[] = { [JOURNAL_HEAD] = "the entry",
		                             [JOURNAL_FILE] = "the line of",
		                             [JOURNAL_PAST] =
		                                     "what it keeps of" };
	g_autofree char *begin = g_strdup_printf(
		"journal %" G_GUINT64_FORMAT ": %s", id, names[part]);
	guint i;

	for (i = 0; i < told->len; i++)
		if (g_str_has_prefix(told->pdata[i], begin) &&
		    g_str_has_suffix(told->pdata[i], "is damaged (checksum)"))
			return true;
	return false;
}

static GBytes *
flip(GBytes *bytes)
{
	gsize size;
	uint8_t *copy = g_memdup2(g_bytes_get_data(bytes, NULL),
	                          g_bytes_get_size(bytes));

	size = g_bytes_get_size(bytes);
	copy[size / 2] ^= 1;
	return g_bytes_new_take(copy, size);
}

static void
whatever_is_damaged_is_named(void **state)
{
	TestStore *test = *state;
	g_autoptr(GPtrArray) records = NULL;
	uint64_t id;
	guint i;

	id = cut_and_remove(test->store);
	assert_int_equal(store_close(g_steal_pointer(&test->store)), 0);

	records = records_of(test->dir, id);
	for (i = 0; i < records->len; i += 2) {
		GBytes *key = records->pdata[i];
		g_autoptr(GBytes) bad = flip(records->pdata[i + 1]);
		g_autoptr(GPtrArray) told = NULL;
		KvSlice slice;
		JournalPart part;
		uint64_t of;

		slice.data = g_bytes_get_data(key, &slice.size);
		assert_true(journal_key_read(slice, &part, &of));
		put_raw(test->dir, key, bad);
		told = findings(test->dir);
		assert_true(is_named(told, part, id));
		put_raw(test->dir, key, records->pdata[i + 1]);
	}
}

/* Opens the store to write, and looks for what the mail programs need. */
static void
assert_serves(const char *dir)
{
	g_autofree char *reason = NULL;
	g_autoptr(Store) store = NULL;
	StoreEntry entry;

	assert_int_equal(store_open(dir, STORE_WRITE, NULL, &store, &reason),
	                 0);
	assert_int_equal(
		store_name_find(store_plain(store), STORE_ROOT, "cut", &entry),
		0);
	test_write(store_plain(store), entry.node, "goes on");
	test_assert_text(store_plain(store), entry.node, "goes on");
	assert_int_equal(store_sync_wait(store), 0);
}

/* The numbers of all entries, added up. */
static bool
add_id(void *user_data, const StoreJournalEntry *entry)
{
	*(uint64_t *)user_data += entry->id;
	return true;
}

static uint64_t
sum_of_entries(const char *dir)
{
	g_autofree char *reason = NULL;
	g_autoptr(Store) reader = NULL;
	uint64_t sum = 0;

	assert_int_equal(store_open(dir, STORE_READ, NULL, &reader, &reason),
	                 0);
	assert_int_equal(store_journal_list(reader, 0, add_id, &sum), 0);
	return sum;
}

/* It is given up with all that it has, and nothing else is: mail is served. */
static void
an_entry_whose_head_is_damaged_is_given_up(void **state)
{
	TestStore *test = *state;
	g_autoptr(GPtrArray) records = NULL;
	g_autoptr(GBytes) bad = NULL;
	g_autofree char *reason = NULL;
	uint64_t id = cut_and_remove(test->store);
	uint64_t sum;

	assert_int_equal(store_close(g_steal_pointer(&test->store)), 0);
	sum = sum_of_entries(test->dir);
	records = records_of(test->dir, id);
	bad = flip(records->pdata[1]);
	put_raw(test->dir, records->pdata[0], bad);
	assert_true(count_findings(test->dir) > 0);

	assert_serves(test->dir);
	assert_int_equal(count_findings(test->dir), 0);
	assert_int_equal(sum_of_entries(test->dir), sum - id);
	assert_int_equal(
		store_open(test->dir, STORE_WRITE, NULL, &test->store, &reason),
		0);
	assert_true(test->store->journal.since.id >= id);
}

/* What was before it was given up already: nobody gets that back, with other
 * bytes than were there. */
static void
a_damaged_head_makes_nothing_known_that_was_not(void **state)
{
	TestStore *test = *state;
	g_autoptr(GPtrArray) records = NULL;
	g_autoptr(GBytes) bad = NULL;
	g_autofree char *reason = NULL;
	StoreTxn *txn = NULL;
	JournalSince since;
	StoreEntry cut;
	uint64_t id = 0;

	(void)cut_and_remove(test->store);
	assert_int_equal(store_name_find(store_plain(test->store), STORE_ROOT,
	                                 "cut", &cut),
	                 0);
	assert_int_equal(store_txn_begin(test->store, "test", &txn), 0);
	test_write(txn, cut.node, "third");
	assert_int_equal(store_txn_commit_wait(&txn), 0);
	assert_int_equal(store_journal_list(test->store, 0, keep_first, &id),
	                 0);
	test->store->options.journal_max = 1;
	assert_int_equal(store_sync_wait(test->store), 0);
	since = test->store->journal.since;
	assert_true(since.id > id);
	assert_int_equal(store_close(g_steal_pointer(&test->store)), 0);

	records = records_of(test->dir, id);
	bad = flip(records->pdata[1]);
	put_raw(test->dir, records->pdata[0], bad);
	assert_serves(test->dir);
	assert_int_equal(count_findings(test->dir), 0);
	assert_int_equal(
		store_open(test->dir, STORE_WRITE, NULL, &test->store, &reason),
		0);
	assert_int_equal(test->store->journal.since.id, since.id);
	assert_int_equal(test->store->journal.since.ns, since.ns);
}

/* Nothing of the past is known then. */
static void
a_beginning_that_is_damaged_is_now(void **state)
{
	TestStore *test = *state;
	RecordKey since = journal_key_since();
	g_autoptr(GBytes) key = g_bytes_new(since.bytes, since.size);
	g_autoptr(GBytes) bad = g_bytes_new("damaged", 7);
	g_autofree char *reason = NULL;
	uint64_t id = cut_and_remove(test->store);

	assert_int_equal(store_close(g_steal_pointer(&test->store)), 0);
	put_raw(test->dir, key, bad);
	assert_serves(test->dir);
	assert_int_equal(count_findings(test->dir), 0);
	assert_int_equal(
		store_open(test->dir, STORE_WRITE, NULL, &test->store, &reason),
		0);
	assert_true(test->store->journal.since.id >= id);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(whatever_is_missing_is_found),
		STORE_TEST(whatever_is_damaged_is_named),
		STORE_TEST(an_entry_whose_head_is_damaged_is_given_up),
		STORE_TEST(a_damaged_head_makes_nothing_known_that_was_not),
		STORE_TEST(a_beginning_that_is_damaged_is_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
