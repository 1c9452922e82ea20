/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Preloaded into a program, it holds what the program writes before the disk has
 * it: fdatasync() waits while the first of the two 32-bit numbers in the file
 * that POFS_GATE names is not 0. The second is how many wait.
 */

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct Gate {
	atomic_int_least32_t is_shut;
	atomic_int_least32_t waiting;
} Gate;

static Gate *gate;

/* While it may still open files. */
__attribute__((constructor)) static void
gate_open(void)
{
	const char *path = getenv("POFS_GATE");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof *gate, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	           0);
	close(fd);
	if (map != MAP_FAILED)
		gate = map;
}

int
fdatasync(int fd)
{
	static const struct timespec moment = { .tv_nsec = 1000000 };

	if (gate != NULL) {
		atomic_fetch_add(&gate->waiting, 1);
		while (atomic_load(&gate->is_shut) != 0)
			(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &moment,
			                      NULL);
		atomic_fetch_sub(&gate->waiting, 1);
	}
	return (int)syscall(SYS_fdatasync, fd);
}
