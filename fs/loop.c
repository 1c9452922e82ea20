/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "fs/log.h"

/* How often the threads are woken until they have noticed the end. */
#define WAKE_INTERVAL_NS 10000000L

/* Threads that wait for requests; see loop_turn(). */
#define THREADS 2

struct FsLoop {
	struct fuse_session *fuse;
	const FsMount *mount;
	FsLiveness *liveness;
	GMutex receive; /* held while waiting for a request */
	pthread_t threads[THREADS];
};

static void
loop_woken(int signal)
{
	(void)signal;
}

/*
 * Takes one request and serves it. While one thread does so the other already
 * waits for the next, which halves the time that a lone client waits for us to
 * wake up. The turn is had before the next request is waited for: they are
 * served one at a time, in the order in which they came. Returns false when
 * the mount is over.
 */
static bool
loop_turn(FsLoop *loop, struct fuse_buf *request)
{
	int r = -ENODEV;

	g_mutex_lock(&loop->receive);
	if (!fuse_session_exited(loop->fuse))
		r = fuse_session_receive_buf(loop->fuse, request);
	if (r > 0)
		g_mutex_lock(loop->mount->turn);
	g_mutex_unlock(&loop->receive);
	if (r <= 0)
		return r == -EINTR;

	fuse_session_process_buf(loop->fuse, request);
	fs_turn_end(loop->mount);
	g_mutex_unlock(loop->mount->turn);
	return true;
}

static void *
loop_run(void *user_data)
{
	FsLoop *loop = user_data;
	struct fuse_buf request = { .mem = NULL };
	sigset_t wake;

	sigemptyset(&wake);
	sigaddset(&wake, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);

	while (loop_turn(loop, &request))
		continue;

	free(request.mem);
	fs_liveness_stop(loop->liveness);
	return NULL;
}

/* Waits a moment for @thread to end. */
static bool
loop_ends(pthread_t thread)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += WAKE_INTERVAL_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return pthread_timedjoin_np(thread, NULL, &until) == 0;
}

/* A thread may be about to read, past its look at the end and before the
 * signal could interrupt it: so all are woken until they are gone. */
static void
loop_end(FsLoop *loop, unsigned count)
{
	unsigned gone = 0;
	unsigned i;

	fuse_session_exit(loop->fuse);
	while (gone < count) {
		for (i = gone; i < count; i++)
			pthread_kill(loop->threads[i], SIGUSR1);
		if (loop_ends(loop->threads[gone]))
			gone++;
	}
	g_mutex_clear(&loop->receive);
	g_free(loop);
}

int
fs_loop_start(struct fuse_session *fuse, const FsMount *mount,
              FsLiveness *liveness, FsLoop **ret_loop)
{
	const struct sigaction woken = { .sa_handler = loop_woken };
	FsLoop *loop = g_new0(FsLoop, 1);
	unsigned i;
	int r = 0;

	loop->fuse = fuse;
	loop->mount = mount;
	loop->liveness = liveness;
	g_mutex_init(&loop->receive);
	sigaction(SIGUSR1, &woken, NULL);

	for (i = 0; r == 0 && i < THREADS; i++)
		r = pthread_create(&loop->threads[i], NULL, loop_run, loop);
	if (r == 0) {
		*ret_loop = loop;
		return 0;
	}

	fs_log_failed("thread: %s", g_strerror(r));
	loop_end(loop, i - 1);
	return -r;
}

void
fs_loop_stop(FsLoop *loop)
{
	loop_end(loop, THREADS);
}
