/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Preloaded into a program, it makes the clock of the machine be wrong: by so
 * many seconds as the file says that POFS_CLOCK names, a 64-bit number. The time
 * since the machine was started, by which one waits, is right.
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *wrong_s;

/* While it may still open files. */
__attribute__((constructor)) static void
clock_open(void)
{
	const char *path = getenv("POFS_CLOCK");
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*wrong_s), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		wrong_s = map;
}

int
clock_gettime(clockid_t clock, struct timespec *ret_now)
{
	int r = (int)syscall(SYS_clock_gettime, clock, ret_now);

	if (r == 0 && clock == CLOCK_REALTIME && wrong_s != NULL)
		ret_now->tv_sec += *wrong_s;
	return r;
}

int
gettimeofday(struct timeval *restrict ret_now, void *restrict zone)
{
	struct timespec now;
	int r = clock_gettime(CLOCK_REALTIME, &now);

	(void)zone;
	ret_now->tv_sec = now.tv_sec;
	ret_now->tv_usec = now.tv_nsec / 1000;
	return r;
}

time_t
time(time_t *ret_now)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (ret_now != NULL)
		*ret_now = now.tv_sec;
	return now.tv_sec;
}
