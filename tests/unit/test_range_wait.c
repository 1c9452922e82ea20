/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/range_lock_kit.h"

/* One parked wait, and how it ended. */
typedef struct Waiter {
	FsRangeLock *table;
	FsLockWait wait;
	int calls;
	int r;
	unsigned turn; /* greater than that of every earlier grant */
} Waiter;

static unsigned turns; /* of all tests so far */

/* Asks the table again, as a program may when it is told: nothing is locked
 * while a grant is called. */
static void
granted(void *user_data, int r)
{
	Waiter *waiter = user_data;
	const FsLockOwner stranger = owner(9999);
	const FsLockRange all = range(0, UINT64_MAX, true);
	FsLockRange found;
	FsLockOwner holder;

	(void)fs_range_lock_test(waiter->table, &stranger, &all, &found,
	                         &holder);
	waiter->calls++;
	waiter->r = r;
	waiter->turn = ++turns;
}

static int
park(FsRangeLock *table, Waiter *waiter, uint64_t id, const FsLockRange *wanted)
{
	const FsLockOwner o = owner(id);

	*waiter = (Waiter){ .table = table };
	return fs_range_lock_wait(table, &o, wanted, granted, waiter,
	                          &waiter->wait);
}

static int
wait_for(FsRangeLock *table, Waiter *waiter, uint64_t id, uint64_t first,
         uint64_t last, bool exclusive)
{
	const FsLockRange r = range(first, last, exclusive);

	return park(table, waiter, id, &r);
}

/* ---- waiting -------------------------------------------------------------*/

static void
a_free_range_is_granted_at_once(void **state)
{
	Waiter waiter;

	assert_int_equal(wait_for(*state, &waiter, 1, 0, 9, EXCLUSIVE), 0);
	assert_int_equal(waiter.calls, 1);
	assert_int_equal(waiter.r, 0);
	assert_int_equal(waiter.wait, 0);
	assert_held(*state, 0, 9, 1, EXCLUSIVE);
}

static void
waiters_are_granted_in_order_of_arrival(void **state)
{
	Waiter waiters[3];

	assert_int_equal(try(*state, 1, 0, 9, EXCLUSIVE), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			wait_for(*state, &waiters[i], 10 + i, i, 9, EXCLUSIVE),
			0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(waiters[i].calls, 0);
		drop(*state, i == 0 ? 1 : 9 + i, 0, UINT64_MAX);
		assert_int_equal(waiters[i].calls, 1);
		assert_int_equal(waiters[i].r, 0);
		assert_int_equal(waiters[i].turn, turns);
		assert_held(*state, i, 9, 10 + i, EXCLUSIVE);
	}
}

static void
a_wait_ends_only_when_the_last_obstacle_goes(void **state)
{
	Waiter waiter;

	assert_int_equal(try(*state, 1, 0, 9, SHARED), 0);
	assert_int_equal(try(*state, 2, 5, 14, SHARED), 0);
	assert_int_equal(wait_for(*state, &waiter, 3, 8, 20, EXCLUSIVE), 0);
	drop(*state, 1, 0, UINT64_MAX);
	assert_int_equal(waiter.calls, 0);
	drop(*state, 2, 0, 11);
	assert_int_equal(waiter.calls, 0);
	drop(*state, 2, 12, 14);
	assert_int_equal(waiter.calls, 1);
	assert_held(*state, 8, 20, 3, EXCLUSIVE);
}

static void
a_downgrade_lets_readers_in(void **state)
{
	Waiter readers[2];

	assert_int_equal(try(*state, 1, 0, 9, EXCLUSIVE), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			wait_for(*state, &readers[i], 2 + i, 0, 9, SHARED), 0);
	assert_int_equal(try(*state, 1, 0, 9, SHARED), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(readers[i].calls, 1);
}

/* Readers that keep coming would otherwise overlap for ever. */
static void
a_stream_of_readers_cannot_starve_a_writer(void **state)
{
	Waiter writer;
	Waiter readers[50];

	assert_int_equal(wait_for(*state, &readers[0], 100, 0, 9, SHARED), 0);
	assert_int_equal(wait_for(*state, &writer, 1, 0, 9, EXCLUSIVE), 0);
	for (unsigned i = 1; i < 50; i++) {
		assert_int_equal(
			wait_for(*state, &readers[i], 100 + i, 0, 9, SHARED),
			0);
		assert_int_equal(readers[i].calls, 0);
	}
	drop(*state, 100, 0, 9);
	assert_int_equal(writer.calls, 1);
	assert_int_equal(readers[1].calls, 0);
	drop(*state, 1, 0, 9);
	for (unsigned i = 1; i < 50; i++)
		assert_int_equal(readers[i].calls, 1);
}

/* It would wait for one who waits for it. */
static void
who_holds_a_lock_does_not_stand_back(void **state)
{
	Waiter writer;
	Waiter more;

	assert_int_equal(try(*state, 1, 0, 9, SHARED), 0);
	assert_int_equal(wait_for(*state, &writer, 2, 0, 19, EXCLUSIVE), 0);
	assert_int_equal(wait_for(*state, &more, 1, 0, 19, SHARED), 0);
	assert_int_equal(more.calls, 1);
	assert_int_equal(writer.calls, 0);
	drop(*state, 1, 0, UINT64_MAX);
	assert_int_equal(writer.calls, 1);
}

/* A process has a thread that stood back; another of its threads takes a lock:
 * from then on the first must not stand back either. */
static void
a_lock_taken_meanwhile_ends_standing_back(void **state)
{
	Waiter writer;
	Waiter reader;

	assert_int_equal(try(*state, 1, 0, 9, SHARED), 0);
	assert_int_equal(wait_for(*state, &writer, 2, 0, 9, EXCLUSIVE), 0);
	assert_int_equal(wait_for(*state, &reader, 3, 0, 9, SHARED), 0);
	assert_int_equal(reader.calls, 0);
	assert_int_equal(try(*state, 3, 50, 59, SHARED), 0);
	assert_int_equal(reader.calls, 1);
	assert_int_equal(writer.calls, 0);
	drop(*state, 1, 0, 9);
	drop(*state, 3, 0, 9);
	assert_int_equal(writer.calls, 1);
}

static void
a_try_passes_those_who_wait(void **state)
{
	Waiter waiter;

	assert_int_equal(try(*state, 1, 0, 0, EXCLUSIVE), 0);
	assert_int_equal(wait_for(*state, &waiter, 2, 0, 99, EXCLUSIVE), 0);
	assert_int_equal(try(*state, 3, 50, 50, EXCLUSIVE), 0);
	drop(*state, 1, 0, 0);
	assert_int_equal(waiter.calls, 0);
	drop(*state, 3, 50, 50);
	assert_int_equal(waiter.calls, 1);
}

static void
a_cancelled_wait_is_told_once_and_holds_nothing(void **state)
{
	Waiter writer;
	Waiter reader;

	assert_int_equal(try(*state, 1, 0, 9, SHARED), 0);
	assert_int_equal(wait_for(*state, &writer, 2, 0, 9, EXCLUSIVE), 0);
	assert_int_equal(wait_for(*state, &reader, 3, 0, 9, SHARED), 0);
	fs_range_lock_cancel(*state, writer.wait);
	assert_int_equal(writer.calls, 1);
	assert_int_equal(writer.r, -EINTR);
	/* It was the writer that the reader stood back for. */
	assert_int_equal(reader.calls, 1);
	assert_int_equal(reader.r, 0);

	fs_range_lock_cancel(*state, writer.wait);
	fs_range_lock_cancel(*state, reader.wait);
	assert_int_equal(writer.calls, 1);
	assert_int_equal(reader.calls, 1);
	drop(*state, 1, 0, 9);
	drop(*state, 3, 0, 9);
	assert_free(*state, 0, 9);
}

static void
a_release_cancels_the_handles_waits(void **state)
{
	Waiter waiter;

	assert_int_equal(try(*state, 1, 0, 9, EXCLUSIVE), 0);
	assert_int_equal(wait_for(*state, &waiter, 2, 0, 9, EXCLUSIVE), 0);
	fs_range_lock_drop_handle(*state, NODE, GUINT_TO_POINTER(2));
	assert_int_equal(waiter.calls, 1);
	assert_int_equal(waiter.r, -EINTR);
	drop(*state, 1, 0, 9);
	assert_free(*state, 0, 9);
}

/* ---- circles -------------------------------------------------------------*/

static void
a_circle_of_two_is_refused(void **state)
{
	Waiter one;
	Waiter two;

	assert_int_equal(try(*state, 1, 0, 0, EXCLUSIVE), 0);
	assert_int_equal(try(*state, 2, 1, 1, EXCLUSIVE), 0);
	assert_int_equal(wait_for(*state, &one, 1, 1, 1, EXCLUSIVE), 0);
	assert_int_equal(wait_for(*state, &two, 2, 0, 0, EXCLUSIVE), -EDEADLK);
	assert_int_equal(two.calls, 0);
	drop(*state, 2, 1, 1);
	assert_int_equal(one.calls, 1);
}

static void
a_circle_over_many_files_is_refused(void **state)
{
	Waiter waiters[20];
	Waiter last;

	for (unsigned i = 0; i < 20; i++) {
		const FsLockOwner o = owner(i + 1);
		FsLockRange r = range(0, 0, EXCLUSIVE);

		r.node = 100 + i;
		assert_int_equal(fs_range_lock_try(*state, &o, &r), 0);
	}
	for (unsigned i = 0; i < 19; i++) {
		FsLockRange r = range(0, 0, EXCLUSIVE);

		r.node = 100 + i + 1;
		assert_int_equal(park(*state, &waiters[i], i + 1, &r), 0);
	}
	{
		FsLockRange r = range(0, 0, SHARED);

		r.node = 100;
		assert_int_equal(park(*state, &last, 20, &r), -EDEADLK);
	}
	for (unsigned i = 0; i < 19; i++)
		fs_range_lock_cancel(*state, waiters[i].wait);
}

static void
two_readers_who_both_upgrade_are_a_circle(void **state)
{
	Waiter one;
	Waiter two;

	assert_int_equal(try(*state, 1, 0, 9, SHARED), 0);
	assert_int_equal(try(*state, 2, 0, 9, SHARED), 0);
	assert_int_equal(wait_for(*state, &one, 1, 0, 9, EXCLUSIVE), 0);
	assert_int_equal(wait_for(*state, &two, 2, 0, 9, EXCLUSIVE), -EDEADLK);
	fs_range_lock_drop_owner(*state, NODE, 2);
	assert_int_equal(one.calls, 1);
	assert_held(*state, 0, 9, 1, EXCLUSIVE);
}

/* flock(2) lets go before it takes again, so there it is no circle. */
static void
two_flocks_that_both_upgrade_take_turns(void **state)
{
	FsLockRange r = range(0, UINT64_MAX, SHARED);
	FsLockOwner owners[2] = { owner(1), owner(2) };
	Waiter one;
	Waiter two;

	r.space = FS_LOCK_FLOCK;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(fs_range_lock_try(*state, &owners[i], &r), 0);

	r.exclusive = true;
	assert_int_equal(park(*state, &one, 1, &r), 0);
	assert_int_equal(one.calls, 0);
	assert_int_equal(park(*state, &two, 2, &r), 0);
	assert_int_equal(two.calls, 1);
	assert_int_equal(one.calls, 0);
	fs_range_lock_drop_handle(*state, NODE, owners[1].handle);
	assert_int_equal(one.calls, 1);
	assert_int_equal(one.r, 0);
}

static void
a_chain_that_ends_is_no_circle(void **state)
{
	Waiter one;
	Waiter two;

	assert_int_equal(try(*state, 1, 0, 0, EXCLUSIVE), 0);
	assert_int_equal(try(*state, 2, 1, 1, EXCLUSIVE), 0);
	assert_int_equal(wait_for(*state, &one, 2, 0, 0, EXCLUSIVE), 0);
	assert_int_equal(wait_for(*state, &two, 3, 1, 1, EXCLUSIVE), 0);
	drop(*state, 1, 0, 0);
	assert_int_equal(one.calls, 1);
	fs_range_lock_drop_owner(*state, NODE, 2);
	assert_int_equal(two.calls, 1);
}

static void
waiters_are_limited(void **state)
{
	enum {
		WAITS_MAX = 1024
	};
	Waiter waiters[WAITS_MAX];
	Waiter more;

	assert_int_equal(try(*state, 1, 0, 0, EXCLUSIVE), 0);
	for (unsigned i = 0; i < WAITS_MAX; i++)
		assert_int_equal(
			wait_for(*state, &waiters[i], 2 + i, 0, 0, SHARED), 0);
	assert_int_equal(wait_for(*state, &more, 5000, 0, 0, SHARED), -ENOLCK);
	drop(*state, 1, 0, 0);
	for (unsigned i = 0; i < WAITS_MAX; i++) {
		assert_int_equal(waiters[i].calls, 1);
		assert_int_equal(waiters[i].turn, waiters[0].turn + i);
	}
}

static void
a_session_waits_so_often_at_most(void **state)
{
	const FsLockRange r = range(0, 0, SHARED);
	FsLockOwner who = owner(2);
	FsLockWait wait;
	Waiter waiters[257];
	Waiter other;
	unsigned i;

	assert_int_equal(try(*state, 1, 0, 0, EXCLUSIVE), 0);
	for (i = 0; i < 256; i++, who.owner++) {
		waiters[i] = (Waiter){ .table = *state };
		assert_int_equal(fs_range_lock_wait(*state, &who, &r, granted,
		                                    &waiters[i], &wait),
		                 0);
	}
	assert_int_equal(fs_range_lock_wait(*state, &who, &r, granted,
	                                    &waiters[i], &wait),
	                 -ENOLCK);
	assert_int_equal(wait_for(*state, &other, 5000, 0, 0, SHARED), 0);
	drop(*state, 1, 0, 0);
	assert_int_equal(other.calls, 1);
}

/* Many threads add to one counter under the lock; what is lost shows. */
#define ADD_THREADS 4
#define ADD_TIMES   500

typedef struct Adder {
	FsRangeLock *table;
	uint64_t id;
	unsigned *counter;
} Adder;

static void
adder_granted(void *user_data, int r)
{
	GAsyncQueue *answers = user_data;

	g_async_queue_push(answers, GINT_TO_POINTER(r == 0 ? 1 : 2));
}

static gpointer
adder_run(gpointer user_data)
{
	const Adder *adder = user_data;
	const FsLockOwner o = owner(adder->id);
	const FsLockRange r = range(0, 9, EXCLUSIVE);
	g_autoptr(GAsyncQueue) answers = g_async_queue_new();

	for (unsigned i = 0; i < ADD_TIMES; i++) {
		FsLockWait wait;
		unsigned was;

		if (fs_range_lock_wait(adder->table, &o, &r, adder_granted,
		                       answers, &wait) != 0 ||
		    g_async_queue_pop(answers) != GINT_TO_POINTER(1))
			return GINT_TO_POINTER(1);
		was = *adder->counter;
		g_thread_yield();
		*adder->counter = was + 1;
		(void)fs_range_lock_drop(adder->table, &o, &r);
	}
	return NULL;
}

static void
threads_keep_each_other_out(void **state)
{
	Adder adders[ADD_THREADS];
	GThread *threads[ADD_THREADS];
	unsigned counter = 0;

	for (unsigned i = 0; i < ADD_THREADS; i++) {
		adders[i] = (Adder){ *state, i + 1, &counter };
		threads[i] = g_thread_new("adder", adder_run, &adders[i]);
	}
	for (unsigned i = 0; i < ADD_THREADS; i++)
		assert_null(g_thread_join(threads[i]));
	assert_int_equal(counter, ADD_THREADS * ADD_TIMES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_free_range_is_granted_at_once),
		TEST(waiters_are_granted_in_order_of_arrival),
		TEST(a_wait_ends_only_when_the_last_obstacle_goes),
		TEST(a_downgrade_lets_readers_in),
		TEST(a_stream_of_readers_cannot_starve_a_writer),
		TEST(who_holds_a_lock_does_not_stand_back),
		TEST(a_lock_taken_meanwhile_ends_standing_back),
		TEST(a_try_passes_those_who_wait),
		TEST(a_cancelled_wait_is_told_once_and_holds_nothing),
		TEST(a_release_cancels_the_handles_waits),
		TEST(a_circle_of_two_is_refused),
		TEST(a_circle_over_many_files_is_refused),
		TEST(two_readers_who_both_upgrade_are_a_circle),
		TEST(two_flocks_that_both_upgrade_take_turns),
		TEST(a_chain_that_ends_is_no_circle),
		TEST(waiters_are_limited),
		TEST(a_session_waits_so_often_at_most),
		TEST(threads_keep_each_other_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
