/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/later.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct Job {
	FsLaterJob *job;
	void *user_data; /* borrowed */
} Job;

struct FsLater {
	FsLiveness *liveness; /* borrowed */
	GAsyncQueue *jobs;    /* of owned Job */
	int fd;               /* a semaphore: readable while there are jobs */
};

/* Takes @item, which may be NULL. */
static bool
job_run(Job *item)
{
	g_autofree Job *owned = item;

	if (owned == NULL)
		return false;

	owned->job(owned->user_data);
	return true;
}

/* Of the next one the descriptor tells again, when others have had their turn:
 * however many there are, and however long each takes, they keep no timer
 * waiting. */
static void
later_woken(void *user_data, int fd)
{
	FsLater *later = user_data;
	eventfd_t one;

	(void)eventfd_read(fd, &one);
	(void)job_run(g_async_queue_try_pop(later->jobs));
}

int
fs_later_open(FsLiveness *liveness, FsLater **ret_later)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	FsLater *later;
	int r;

	if (fd < 0)
		return -errno;

	later = g_new(FsLater, 1);
	*later = (FsLater){
		.liveness = liveness,
		.jobs = g_async_queue_new_full(g_free),
		.fd = fd,
	};
	r = fs_liveness_watch(liveness, fd, later_woken, later);
	if (r < 0) {
		g_async_queue_unref(later->jobs);
		close(fd);
		g_free(later);
		return r;
	}

	*ret_later = later;
	return 0;
}

void
fs_later_close(FsLater *later)
{
	if (later == NULL)
		return;

	fs_later_run(later);
	fs_liveness_unwatch(later->liveness, later->fd);
	g_async_queue_unref(later->jobs);
	close(later->fd);
	g_free(later);
}

void
fs_later_post(FsLater *later, FsLaterJob *job, void *user_data)
{
	Job *item = g_new(Job, 1);

	*item = (Job){ .job = job, .user_data = user_data };
	g_async_queue_push(later->jobs, item);
	(void)eventfd_write(later->fd, 1);
}

void
fs_later_run(FsLater *later)
{
	while (job_run(g_async_queue_try_pop(later->jobs)))
		;
}

void
fs_later_await(FsLater *later)
{
	(void)job_run(g_async_queue_pop(later->jobs));
}
