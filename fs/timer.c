/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/timer.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define US_PER_S 1000000

struct FsTimer {
	FsLiveness *liveness; /* borrowed */
	FsTimerRing *ring;
	void *user_data; /* borrowed */
	int fd;
	_Atomic int64_t at_us; /* that it is set to; 0: it has rung */
};

static void
timer_rang(void *user_data, int fd)
{
	FsTimer *timer = user_data;
	uint64_t times;

	/* It may have been set anew since: then there is nothing to read. */
	if (read(fd, &times, sizeof times) != sizeof times)
		return;

	atomic_store(&timer->at_us, 0);
	timer->ring(timer->user_data);
}

int
fs_timer_open(FsLiveness *liveness, FsTimerRing *ring, void *user_data,
              FsTimer **ret_timer)
{
	FsTimer *timer;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;

	timer = g_new(FsTimer, 1);
	*timer = (FsTimer){
		.liveness = liveness,
		.ring = ring,
		.user_data = user_data,
		.fd = fd,
		.at_us = INT64_MAX,
	};
	r = fs_liveness_watch(liveness, fd, timer_rang, timer);
	if (r < 0) {
		close(fd);
		g_free(timer);
		return r;
	}

	*ret_timer = timer;
	return 0;
}

void
fs_timer_close(FsTimer *timer)
{
	if (timer == NULL)
		return;

	fs_liveness_unwatch(timer->liveness, timer->fd);
	close(timer->fd);
	g_free(timer);
}

void
fs_timer_set(FsTimer *timer, int64_t at_us)
{
	struct itimerspec when = { 0 };

	/* It is set after every request, and mostly to what it was. */
	if (atomic_exchange(&timer->at_us, at_us) == at_us)
		return;

	/* All zero would be never; what is past rings at once. */
	if (at_us != INT64_MAX) {
		at_us = MAX(at_us, 1);
		when.it_value.tv_sec = at_us / US_PER_S;
		when.it_value.tv_nsec = at_us % US_PER_S * 1000;
	}

	g_assert(timerfd_settime(timer->fd, TFD_TIMER_ABSTIME, &when, NULL) ==
	         0);
}
