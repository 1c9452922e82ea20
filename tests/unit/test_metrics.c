/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/mailbag_lock.h"
#include "fs/metrics.h"

#define UPDATE  "U:2:A"
#define INQUEUE "Q:2"
#define WAIT_US INT64_C(30000000)

static int
setup(void **state)
{
	*state = fs_metrics_new();
	return 0;
}

static int
teardown(void **state)
{
	fs_metrics_free(*state);
	return 0;
}

/* ---- what the answer says ------------------------------------------------ */

static GVariant *
answer_value(FsMetrics *metrics, const char *name, const char *type)
{
	GVariantBuilder answer = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	g_autoptr(GVariant) dict = NULL;
	GVariant *value;

	fs_metrics_list(metrics, &answer);
	dict = g_variant_ref_sink(g_variant_builder_end(&answer));
	value = g_variant_lookup_value(dict, name, G_VARIANT_TYPE(type));
	assert_non_null(value);
	return value;
}

static uint64_t
count_of(FsMetrics *metrics, const char *name)
{
	g_autoptr(GVariant) value = answer_value(metrics, name, "t");

	return g_variant_get_uint64(value);
}

static uint64_t
count_by(FsMetrics *metrics, const char *name, const char *label)
{
	g_autoptr(GVariant) labels = answer_value(metrics, name, "a{st}");
	guint64 count;

	assert_true(g_variant_lookup(labels, label, "t", &count));
	return count;
}

/* A histogram's sum; the counts of its buckets, and in all, by the way. */
static uint64_t
histogram_read(GVariant *histogram, uint64_t below_us, uint64_t *ret_below,
               uint64_t *ret_all)
{
	g_autoptr(GVariantIter) buckets = NULL;
	guint64 count;
	guint64 end_us;
	guint64 sum_us;

	*ret_below = 0;
	*ret_all = 0;
	g_variant_get(histogram, "(ta(tt))", &sum_us, &buckets);
	while (g_variant_iter_next(buckets, "(tt)", &end_us, &count)) {
		*ret_all += count;
		if (end_us <= below_us)
			*ret_below += count;
	}
	return sum_us;
}

/* Of the histogram @name, or of its part @label: how much there is in all. */
static void
assert_histogram(FsMetrics *metrics, const char *name, const char *label,
                 uint64_t count, uint64_t sum_us)
{
	g_autoptr(GVariant) part = NULL;
	uint64_t below;
	uint64_t all;

	if (label == NULL) {
		part = answer_value(metrics, name, "(ta(tt))");
	} else {
		g_autoptr(GVariant) parts =
			answer_value(metrics, name, "a{s(ta(tt))}");

		part = g_variant_lookup_value(parts, label, NULL);
	}
	assert_non_null(part);
	assert_int_equal(histogram_read(part, 0, &below, &all), sum_us);
	assert_int_equal(all, count);
}

/* ---- counting ------------------------------------------------------------ */

static void
what_is_counted_is_told(void **state)
{
	fs_metrics_count(*state, FS_COUNT_COMMITTED);
	fs_metrics_count(*state, FS_COUNT_PUBLISHED);
	fs_metrics_count(*state, FS_COUNT_PUBLISHED);
	fs_metrics_undone(*state, FS_UNDONE_TORN);
	fs_metrics_request(*state, "access");
	fs_metrics_request(*state, "write");
	fs_metrics_request(*state, "readdirplus");

	assert_int_equal(count_of(*state, "transactions-committed"), 1);
	assert_int_equal(count_of(*state, "transactions-published"), 2);
	assert_int_equal(count_of(*state, "lock-rounds"), 0);
	assert_int_equal(count_by(*state, "transactions-undone", "torn"), 1);
	assert_int_equal(count_by(*state, "transactions-undone", "age"), 0);
	assert_int_equal(count_by(*state, "requests", "access"), 1);
	assert_int_equal(count_by(*state, "requests", "write"), 1);
	assert_int_equal(count_by(*state, "requests", "readdirplus"), 1);
	assert_int_equal(count_by(*state, "requests", "readdir"), 0);
}

static void
an_answer_is_counted_for_what_it_means(void **state)
{
	fs_metrics_answer(*state, "open", 0);
	fs_metrics_answer(*state, "open", -ENOENT);
	fs_metrics_answer(*state, "unlink", -ETXTBSY);
	fs_metrics_answer(*state, "open", -EAGAIN);
	fs_metrics_answer(*state, "setlk", -EAGAIN);
	fs_metrics_answer(*state, "flock", -EDEADLK);
	fs_metrics_answer(*state, "flush", -EIO);
	fs_metrics_answer(*state, "write", -ENOSPC);

	assert_int_equal(count_by(*state, "refusals", "sharing"), 1);
	assert_int_equal(count_by(*state, "refusals", "range"), 2);
	assert_int_equal(count_by(*state, "refusals", "lock_file"), 0);
	assert_int_equal(count_of(*state, "lock-rounds"), 1);
	assert_int_equal(count_by(*state, "errors", "EIO"), 1);
	assert_int_equal(count_by(*state, "errors", "ENOSPC"), 1);
}

static void
a_time_is_in_the_bucket_that_it_fits(void **state)
{
	g_autoptr(GVariant) histogram = NULL;
	uint64_t below;
	uint64_t all;

	fs_metrics_commit(*state, -1);
	fs_metrics_commit(*state, 1000);
	fs_metrics_commit(*state, 1001);
	fs_metrics_commit(*state, G_MAXINT64 / 2);

	histogram = answer_value(*state, "commit-time", "(ta(tt))");
	assert_int_equal(histogram_read(histogram, 1000, &below, &all),
	                 2001 + G_MAXINT64 / 2);
	assert_int_equal(below, 2);
	assert_int_equal(all, 4);
	(void)histogram_read(histogram, 2500, &below, &all);
	assert_int_equal(below, 3);
	(void)histogram_read(histogram, 300000000, &below, &all);
	assert_int_equal(below, 3);
}

static void
nowhere_is_a_place_to_count(void **state)
{
	fs_metrics_count(NULL, FS_COUNT_ROUND);
	fs_metrics_undone(NULL, FS_UNDONE_AGE);
	fs_metrics_request(NULL, "open");
	fs_metrics_answer(NULL, "open", -EIO);
	fs_metrics_commit(NULL, 1);
	fs_metrics_wait(NULL, UPDATE, 1);
	fs_metrics_hold(NULL, UPDATE, 1);
	fs_metrics_free(NULL);
}

/* ---- locks --------------------------------------------------------------- */

static void
granted(void *user_data, int r)
{
	*(int *)user_data = r;
}

static int
wait_for(FsMailbagLock *locks, uint64_t session, const char *key,
         int64_t now_us, int *ret_r)
{
	FsMailbagAsk ask = {
		.key = key,
		.session = session,
		.now_us = now_us,
		.park_us = FS_MAILBAG_STAYS,
	};
	FsMailbagWait wait;

	*ret_r = 1;
	return fs_mailbag_lock_wait(locks, &ask, granted, ret_r, &wait);
}

static void
holds_and_waits_are_those_of_their_lock(void **state)
{
	g_autoptr(FsMailbagLock) locks = fs_mailbag_lock_new(WAIT_US, *state);
	int r;

	assert_int_equal(fs_mailbag_lock_try(locks, 1, UPDATE, 0), 0);
	assert_int_equal(wait_for(locks, 2, UPDATE, 100, &r), 0);
	assert_histogram(*state, "lock-hold-time", "update", 0, 0);
	fs_mailbag_lock_drop(locks, 1, UPDATE, 700);
	assert_int_equal(r, 0);
	assert_histogram(*state, "lock-hold-time", "update", 1, 700);
	assert_histogram(*state, "lock-wait-time", "update", 1, 600);

	fs_mailbag_lock_drop(locks, 2, UPDATE, 900);
	assert_histogram(*state, "lock-hold-time", "update", 2, 900);
	assert_histogram(*state, "lock-wait-time", "update", 1, 600);
	assert_histogram(*state, "lock-hold-time", "inqueue", 0, 0);
}

static void
who_tries_for_a_lock_file_has_waited_too(void **state)
{
	g_autoptr(FsMailbagLock) locks = fs_mailbag_lock_new(WAIT_US, *state);

	assert_int_equal(fs_mailbag_lock_try(locks, 1, INQUEUE, 0), 0);
	assert_int_equal(fs_mailbag_lock_attempt(locks, 2, INQUEUE, 10),
	                 -ETXTBSY);
	fs_mailbag_lock_drop(locks, 1, INQUEUE, 20);
	assert_int_equal(fs_mailbag_lock_attempt(locks, 2, INQUEUE, 30), 0);
	assert_histogram(*state, "lock-wait-time", "inqueue", 1, 20);
	fs_mailbag_lock_drop(locks, 2, INQUEUE, 30);
}

static void
a_wait_that_ends_at_its_deadline_is_a_timeout(void **state)
{
	g_autoptr(FsMailbagLock) locks = fs_mailbag_lock_new(WAIT_US, *state);
	int r;

	assert_int_equal(fs_mailbag_lock_try(locks, 1, UPDATE, 0), 0);
	assert_int_equal(wait_for(locks, 2, UPDATE, 0, &r), 0);
	fs_mailbag_lock_expire(locks, WAIT_US - 1);
	assert_int_equal(count_of(*state, "lock-timeouts"), 0);
	fs_mailbag_lock_expire(locks, WAIT_US);
	assert_int_equal(r, -ETXTBSY);
	assert_int_equal(count_of(*state, "lock-timeouts"), 1);
	assert_histogram(*state, "lock-wait-time", "update", 0, 0);
	fs_mailbag_lock_drop(locks, 1, UPDATE, WAIT_US);
}

static void
a_circle_is_a_deadlock(void **state)
{
	g_autoptr(FsMailbagLock) locks = fs_mailbag_lock_new(WAIT_US, *state);
	int first;
	int second;

	assert_int_equal(fs_mailbag_lock_try(locks, 1, UPDATE, 0), 0);
	assert_int_equal(fs_mailbag_lock_try(locks, 2, INQUEUE, 0), 0);
	assert_int_equal(wait_for(locks, 1, INQUEUE, 0, &first), 0);
	assert_int_equal(wait_for(locks, 2, UPDATE, 0, &second), -ETXTBSY);
	assert_int_equal(count_of(*state, "lock-deadlocks"), 1);
	assert_int_equal(count_of(*state, "lock-timeouts"), 0);
	fs_mailbag_lock_drop(locks, 2, INQUEUE, 0);
	assert_int_equal(first, 0);
	fs_mailbag_lock_drop(locks, 1, INQUEUE, 0);
	fs_mailbag_lock_drop(locks, 1, UPDATE, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_counted_is_told),
		TEST(an_answer_is_counted_for_what_it_means),
		TEST(a_time_is_in_the_bucket_that_it_fits),
		TEST(nowhere_is_a_place_to_count),
		TEST(holds_and_waits_are_those_of_their_lock),
		TEST(who_tries_for_a_lock_file_has_waited_too),
		TEST(a_wait_that_ends_at_its_deadline_is_a_timeout),
		TEST(a_circle_is_a_deadlock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
