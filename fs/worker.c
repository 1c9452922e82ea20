/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/worker.h"

#include "fs/log.h"

typedef struct Job {
	FsWorkerJob *job;
	void *user_data; /* borrowed */
} Job;

struct FsWorkers {
	GThreadPool *pool; /* of owned Job */
};

static void
job_run(void *data, void *user_data)
{
	g_autofree Job *item = data;

	(void)user_data;
	item->job(item->user_data);
}

FsWorkers *
fs_workers_new(unsigned count)
{
	FsWorkers *workers = g_new0(FsWorkers, 1);
	g_autoptr(GError) error = NULL;

	/* An exclusive pool starts its threads now. */
	workers->pool =
		g_thread_pool_new(job_run, NULL, (gint)count, TRUE, &error);
	if (error == NULL)
		return workers;

	fs_log_failed("thread: %s", error->message);
	fs_workers_free(workers);
	return NULL;
}

void
fs_workers_free(FsWorkers *workers)
{
	if (workers == NULL)
		return;

	g_thread_pool_free(workers->pool, FALSE, TRUE);
	g_free(workers);
}

void
fs_workers_post(FsWorkers *workers, FsWorkerJob *job, void *user_data)
{
	Job *item = g_new(Job, 1);

	*item = (Job){ .job = job, .user_data = user_data };
	(void)g_thread_pool_push(workers->pool, item, NULL);
}
