/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/liveness.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* How many events one turn of the wait takes. */
#define EVENTS_MAX 64

typedef struct Watch {
	FsLivenessEvent *event;
	void *user_data;
} Watch;

struct FsLiveness {
	int epoll_fd;
	int signal_fd;
	int stop_fd;
	GMutex mutex;        /* guards watches */
	GHashTable *watches; /* fd -> Watch */
	bool stopped;        /* only the waiting thread looks */
};

static void
liveness_ended(void *user_data, int fd)
{
	FsLiveness *liveness = user_data;

	liveness->stopped = true;
}

static int
liveness_fds_open(FsLiveness *liveness)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);

	liveness->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (liveness->epoll_fd < 0)
		return -errno;

	liveness->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (liveness->signal_fd < 0)
		return -errno;

	liveness->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (liveness->stop_fd < 0)
		return -errno;

	return 0;
}

int
fs_liveness_open(FsLiveness **ret_liveness)
{
	g_autoptr(FsLiveness) liveness = g_new0(FsLiveness, 1);
	int r;

	liveness->epoll_fd = -1;
	liveness->signal_fd = -1;
	liveness->stop_fd = -1;
	g_mutex_init(&liveness->mutex);
	liveness->watches = g_hash_table_new_full(NULL, NULL, NULL, g_free);

	r = liveness_fds_open(liveness);
	if (r < 0)
		return r;

	r = fs_liveness_watch(liveness, liveness->signal_fd, liveness_ended,
	                      liveness);
	if (r < 0)
		return r;

	r = fs_liveness_watch(liveness, liveness->stop_fd, liveness_ended,
	                      liveness);
	if (r < 0)
		return r;

	*ret_liveness = g_steal_pointer(&liveness);
	return 0;
}

static void
fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void
fs_liveness_close(FsLiveness *liveness)
{
	if (liveness == NULL)
		return;

	fd_close(liveness->epoll_fd);
	fd_close(liveness->signal_fd);
	fd_close(liveness->stop_fd);
	g_hash_table_unref(liveness->watches);
	g_mutex_clear(&liveness->mutex);
	g_free(liveness);
}

int
fs_liveness_watch(FsLiveness *liveness, int fd, FsLivenessEvent *event,
                  void *user_data)
{
	struct epoll_event wanted = { .events = EPOLLIN, .data.fd = fd };
	Watch *watch = g_new(Watch, 1);

	*watch = (Watch){ .event = event, .user_data = user_data };
	g_mutex_lock(&liveness->mutex);
	g_hash_table_insert(liveness->watches, GINT_TO_POINTER(fd), watch);
	g_mutex_unlock(&liveness->mutex);

	if (epoll_ctl(liveness->epoll_fd, EPOLL_CTL_ADD, fd, &wanted) < 0) {
		int r = -errno;

		fs_liveness_unwatch(liveness, fd);
		return r;
	}

	return 0;
}

void
fs_liveness_unwatch(FsLiveness *liveness, int fd)
{
	(void)epoll_ctl(liveness->epoll_fd, EPOLL_CTL_DEL, fd, NULL);

	g_mutex_lock(&liveness->mutex);
	g_hash_table_remove(liveness->watches, GINT_TO_POINTER(fd));
	g_mutex_unlock(&liveness->mutex);
}

/* An earlier event of the same turn may have taken the watch away. */
static void
liveness_dispatch(FsLiveness *liveness, int fd)
{
	Watch watch = { 0 };
	const Watch *found;

	g_mutex_lock(&liveness->mutex);
	found = g_hash_table_lookup(liveness->watches, GINT_TO_POINTER(fd));
	if (found != NULL)
		watch = *found;
	g_mutex_unlock(&liveness->mutex);

	if (watch.event != NULL)
		watch.event(watch.user_data, fd);
}

void
fs_liveness_run(FsLiveness *liveness)
{
	struct epoll_event events[EVENTS_MAX];

	while (!liveness->stopped) {
		int count =
			epoll_wait(liveness->epoll_fd, events, EVENTS_MAX, -1);

		g_assert(count >= 0 || errno == EINTR);
		for (int i = 0; i < count; i++)
			liveness_dispatch(liveness, events[i].data.fd);
	}
}

void
fs_liveness_stop(FsLiveness *liveness)
{
	uint64_t one = 1;
	ssize_t written = write(liveness->stop_fd, &one, sizeof one);

	g_assert(written == sizeof one);
}
