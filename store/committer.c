/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The thread that commits: one round after the other (commit.c), when one is
 * due.
 */

#include <errno.h>

#include "store/internal.h"

/* How often a commit is tried while they fail, in microseconds. */
#define RETRY_US 1000000

/* Waits until a round is due. Returns false when the store closes. */
static bool
wait_for_work(Store *store)
{
	int64_t delay_us = commit_is_ailing(store)
	                           ? RETRY_US
	                           : (int64_t)store->options.sync_ms * 1000;

	for (;;) {
		if (store->waiters.length > 0 || store->is_urgent ||
		    store->stop)
			return !store->stop;
		if (store->dirty_us == 0)
			g_cond_wait(&store->wake, &store->lock);
		else if (!g_cond_wait_until(&store->wake, &store->lock,
		                            store->dirty_us + delay_us))
			return true;
	}
}

/* Who changes plain files faster than the disk takes it waits for a round, and
 * so does whoever waits for him. */
#define ROUND_US   ((int64_t)2 * G_USEC_PER_SEC)
#define WINDOW_MIN ((uint64_t)1 << 20)

uint64_t
committer_window(uint64_t window, uint64_t limit, uint64_t bytes, int64_t us)
{
	if (bytes < window / 2)
		return window;
	if (us > ROUND_US)
		return MAX(window / 2, WINDOW_MIN);
	return us < ROUND_US / 2 && window < limit ? 2 * window : window;
}

/* One round, and tells who opened the store when it begins to ail; unlocks
 * meanwhile. */
static void
round_run(Store *store)
{
	bool was_well = store->health == STORE_HEALTHY;
	uint64_t bytes = commit_pending(store) - store->staged;
	int64_t begun_us = g_get_monotonic_time();

	commit_round(store);
	store->window =
		committer_window(store->window, store->options.dirty_limit,
	                         bytes, g_get_monotonic_time() - begun_us);
	if (!was_well || store->health == STORE_HEALTHY ||
	    store->options.ailing == NULL)
		return;

	g_mutex_unlock(&store->lock);
	store->options.ailing(store->options.ailing_data);
	g_mutex_lock(&store->lock);
}

static void *
committer_main(void *user_data)
{
	Store *store = user_data;

	STORE_LOCK(store);
	while (wait_for_work(store))
		round_run(store);
	/* What is still to be erased takes more than one. */
	do
		round_run(store);
	while (store->is_urgent || store->waiters.length > 0);
	/* What has failed in the last one was undone. */
	if (quarantine_is_pending(store))
		round_run(store);
	return NULL;
}

int
commit_start(Store *store)
{
	store->committer =
		g_thread_try_new("commit", committer_main, store, NULL);
	return store->committer != NULL ? 0 : -EAGAIN;
}

int
commit_stop(Store *store)
{
	g_mutex_lock(&store->lock);
	store->stop = true;
	g_cond_signal(&store->wake);
	g_mutex_unlock(&store->lock);
	g_thread_join(g_steal_pointer(&store->committer));
	return commit_health_error(store);
}
