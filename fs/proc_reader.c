/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/proc_reader.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "fs/proc_stat.h"

/*
 * How long a look is waited for
 *
 * - In parts: on a machine that is overloaded, or was stopped, a wait is over
 *   before the reader has had any time, but not each of many.
 * - Until the reader has begun nothing is known of who is looked at: it is the
 *   machine that is late. So it is where the reader could run, and does not.
 *   Who is patient counts the parts only in which it sleeps.
 */

/* How many may be stuck in /proc: each ends when the process that it looks at
 * goes on. Where a process can keep us as long as it likes there may be as many
 * as it likes, so that those have places of their own. */
#define READERS_MAX 32
#define LOOSE_MAX   64

/* In how many parts it is waited for them, and in how many more until they have
 * begun, by who is in a hurry. */
#define WAIT_PARTS  20
#define START_PARTS 60

/* How long a part is, in microseconds. */
#define SHORT_PART_US INT64_C(5000)
#define LONG_PART_US  INT64_C(150000)

/* One look. What it found belongs to the reader until it is done. */
struct FsProcReading {
	gatomicrefcount refs;
	gint *places; /* where it is counted */
	FsProcLook *look;
	pid_t pid;
	size_t size;
	void *result; /* owned */
	int r;        /* what the look returned; the same */
	GMutex mutex; /* protects what follows */
	GCond cond;
	pid_t tid; /* the reader's; 0: it has not begun */
	bool is_done;
	bool is_stuck; /* somebody has waited in vain */
};

static gint readers; /* atomic: at work or stuck, and waited for */
static gint loose;   /* atomic: the same, and let be */

FsProcReading *
fs_proc_ref(FsProcReading *reading)
{
	g_atomic_ref_count_inc(&reading->refs);
	return reading;
}

void
fs_proc_unref(FsProcReading *reading)
{
	if (reading == NULL || !g_atomic_ref_count_dec(&reading->refs))
		return;

	g_mutex_clear(&reading->mutex);
	g_cond_clear(&reading->cond);
	g_free(reading->result);
	g_free(reading);
}

static void *
reading_run(void *user_data)
{
	FsProcReading *reading = user_data;
	gint *places = reading->places;

	g_mutex_lock(&reading->mutex);
	reading->tid = gettid();
	g_cond_broadcast(&reading->cond);
	g_mutex_unlock(&reading->mutex);

	reading->r = reading->look(reading->pid, reading->result);

	g_mutex_lock(&reading->mutex);
	reading->is_done = true;
	g_cond_broadcast(&reading->cond);
	g_mutex_unlock(&reading->mutex);

	fs_proc_unref(reading);
	g_atomic_int_add(places, -1);
	return NULL;
}

/* ---- waiting -------------------------------------------------------------*/

/* Whether thread @tid, one of ours, could run. What is in /proc of ourselves
 * keeps nobody waiting. */
static bool
is_runnable(pid_t tid)
{
	g_autofree char *dir = g_strdup_printf("/proc/self/task/%d", (int)tid);
	g_autofree char *stat = fs_proc_stat_read(dir);

	return stat != NULL && fs_proc_stat_state(stat) == 'R';
}

/* Called with @reading locked: waits for a part. Returns whether it is over. */
static bool
part_is_over(FsProcReading *reading, int64_t part_us)
{
	return !g_cond_wait_until(&reading->cond, &reading->mutex,
	                          g_get_monotonic_time() + part_us);
}

/* Called with @reading locked. */
static void
wait_hurried(FsProcReading *reading)
{
	unsigned parts = START_PARTS;

	while (reading->tid == 0 && parts > 0)
		if (part_is_over(reading, SHORT_PART_US))
			parts--;

	parts = reading->tid != 0 ? WAIT_PARTS : 0;
	while (!reading->is_done && parts > 0)
		if (part_is_over(reading, SHORT_PART_US))
			parts--;
}

/* Called with @reading locked. */
static void
wait_patiently(FsProcReading *reading, int64_t part_us)
{
	unsigned parts = WAIT_PARTS;

	while (!reading->is_done && parts > 0)
		if (part_is_over(reading, part_us) && reading->tid != 0 &&
		    !is_runnable(reading->tid))
			parts--;
}

/* ---- looking -------------------------------------------------------------*/

static FsProcReading *
reading_new(FsProcLook *look, pid_t pid, const void *result, size_t size)
{
	FsProcReading *reading = g_new0(FsProcReading, 1);

	g_atomic_ref_count_init(&reading->refs);
	reading->look = look;
	reading->pid = pid;
	reading->size = size;
	reading->result =
		result != NULL ? g_memdup2(result, size) : g_malloc0(size);
	g_mutex_init(&reading->mutex);
	g_cond_init(&reading->cond);
	return reading;
}

/* Has @reading run, in one of @max @places. */
static int
reading_start(FsProcReading *reading, gint *places, gint max)
{
	GThread *thread;

	if (g_atomic_int_add(places, 1) >= max) {
		g_atomic_int_add(places, -1);
		return -ETIMEDOUT;
	}

	reading->places = places;
	thread = g_thread_try_new("proc-reader", reading_run,
	                          fs_proc_ref(reading), NULL);
	if (thread == NULL) {
		fs_proc_unref(reading);
		g_atomic_int_add(places, -1);
		return -EAGAIN;
	}
	g_thread_unref(thread);
	return 0;
}

int
fs_proc_read(FsProcLook *look, pid_t pid, FsProcPatience patience,
             void *ret_result, size_t size)
{
	g_autoptr(FsProcReading) reading = reading_new(look, pid, NULL, size);
	int r;

	r = reading_start(reading, &readers, READERS_MAX);
	if (r < 0)
		return r;

	g_mutex_lock(&reading->mutex);
	if (patience == FS_PROC_PATIENT)
		wait_patiently(reading, LONG_PART_US);
	else
		wait_hurried(reading);
	g_mutex_unlock(&reading->mutex);

	r = fs_proc_peek(reading, ret_result, size);
	return r == -EAGAIN ? -ETIMEDOUT : r;
}

FsProcReading *
fs_proc_begin(FsProcLook *look, pid_t pid, const void *result, size_t size)
{
	FsProcReading *reading = reading_new(look, pid, result, size);

	if (reading_start(reading, &loose, LOOSE_MAX) < 0)
		g_clear_pointer(&reading, fs_proc_unref);
	return reading;
}

int
fs_proc_peek(FsProcReading *reading, void *ret_result, size_t size)
{
	bool is_done;

	g_mutex_lock(&reading->mutex);
	is_done = reading->is_done;
	g_mutex_unlock(&reading->mutex);
	if (!is_done)
		return -EAGAIN;

	g_assert(size <= reading->size);
	if (reading->r == 0 && size > 0)
		memcpy(ret_result, reading->result, size);
	return reading->r;
}

void
fs_proc_await(FsProcReading *reading)
{
	g_mutex_lock(&reading->mutex);
	if (!reading->is_stuck)
		wait_patiently(reading, SHORT_PART_US);
	reading->is_stuck = !reading->is_done;
	g_mutex_unlock(&reading->mutex);
}
