/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/proc_reader.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <glib.h>

/* How many may be stuck in /proc: each ends when the process that it looks at
 * goes on. */
#define READERS_MAX 8

/* In how many parts it is waited for them, and in how many more until they have
 * begun: then it is the machine that is late. */
#define WAIT_PARTS  20
#define START_PARTS 60

/* One look. What it found belongs to the reader until it is done. */
typedef struct Reading {
	gatomicrefcount refs;
	FsProcLook *look;
	pid_t pid;
	void *result; /* owned */
	int r;        /* what the look returned; the same */
	GMutex mutex; /* protects what follows */
	GCond cond;
	bool has_begun;
	bool is_done;
} Reading;

static gint readers; /* atomic: at work or stuck */

static void
reading_unref(Reading *reading)
{
	if (!g_atomic_ref_count_dec(&reading->refs))
		return;

	g_mutex_clear(&reading->mutex);
	g_cond_clear(&reading->cond);
	g_free(reading->result);
	g_free(reading);
}

/* Notes how far it is: @what is of it. */
static void
reading_note(Reading *reading, bool *what)
{
	g_mutex_lock(&reading->mutex);
	*what = true;
	g_cond_signal(&reading->cond);
	g_mutex_unlock(&reading->mutex);
}

static void *
reading_run(void *user_data)
{
	Reading *reading = user_data;

	reading_note(reading, &reading->has_begun);
	reading->r = reading->look(reading->pid, reading->result);
	reading_note(reading, &reading->is_done);

	reading_unref(reading);
	g_atomic_int_add(&readers, -1);
	return NULL;
}

/* In parts: on a machine that is overloaded, or was stopped, a wait is over
 * before the reader has had any time, but not each of many. */
static bool
reading_await(Reading *reading, const bool *what, unsigned parts,
              int64_t part_us)
{
	while (!*what && parts > 0)
		if (!g_cond_wait_until(&reading->cond, &reading->mutex,
		                       g_get_monotonic_time() + part_us))
			parts--;
	return *what;
}

static int
reading_wait(Reading *reading, int64_t timeout_us)
{
	int64_t part_us = timeout_us / WAIT_PARTS;
	int r = -ETIMEDOUT;

	g_mutex_lock(&reading->mutex);
	if (reading_await(reading, &reading->has_begun, START_PARTS, part_us) &&
	    reading_await(reading, &reading->is_done, WAIT_PARTS, part_us))
		r = reading->r;
	g_mutex_unlock(&reading->mutex);

	return r;
}

int
fs_proc_read(FsProcLook *look, pid_t pid, int64_t timeout_us, void *ret_result,
             size_t size)
{
	Reading *reading;
	GThread *thread;
	int r;

	if (g_atomic_int_add(&readers, 1) >= READERS_MAX) {
		g_atomic_int_add(&readers, -1);
		return -ETIMEDOUT;
	}

	reading = g_new0(Reading, 1);
	g_atomic_ref_count_init(&reading->refs);
	g_atomic_ref_count_inc(&reading->refs);
	reading->look = look;
	reading->pid = pid;
	reading->result = g_malloc0(size);
	g_mutex_init(&reading->mutex);
	g_cond_init(&reading->cond);
	thread = g_thread_try_new("proc-reader", reading_run, reading, NULL);
	if (thread == NULL) {
		reading_unref(reading);
		reading_unref(reading);
		g_atomic_int_add(&readers, -1);
		return -EAGAIN;
	}
	g_thread_unref(thread);

	r = reading_wait(reading, timeout_us);
	if (r == 0)
		memcpy(ret_result, reading->result, size);
	reading_unref(reading);
	return r;
}
