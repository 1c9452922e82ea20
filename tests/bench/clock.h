/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* What every benchmark program needs: the time, and calls that end the program
 * when they fail, for a figure of something that failed means nothing. */

static inline double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static inline int
must_open(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, flags | O_CLOEXEC, 0666);

	if (fd < 0)
		err(1, "open %s", name);
	return fd;
}

static inline void
must_write(int fd, const void *data, size_t size, off_t offset)
{
	if (pwrite(fd, data, size, offset) != (ssize_t)size)
		err(1, "write");
}

static inline void
must_read(int fd, void *data, size_t size, off_t offset)
{
	if (pread(fd, data, size, offset) != (ssize_t)size)
		err(1, "read");
}

static inline void
must_close(int fd)
{
	if (close(fd) < 0)
		err(1, "close");
}

static inline unsigned
must_number(const char *word)
{
	char *end;
	unsigned long value = strtoul(word, &end, 10);

	if (*word == '\0' || *end != '\0' || value > UINT32_MAX)
		errx(2, "not a number: %s", word);
	return (unsigned)value;
}

/* Starts the next measurement with nothing left over from what came before. */
static inline void
must_settle(int dir)
{
	if (syncfs(dir) < 0)
		err(1, "syncfs");
}
