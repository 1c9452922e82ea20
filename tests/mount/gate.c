/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Preloaded into a program, it makes the disk wait, and the kernel be older:
 *
 * - POFS_GATE names a file: fdatasync() waits while the first of the two 32-bit
 *   numbers in there is not 0. The second is how many wait.
 * - POFS_OLD_KERNEL: FUSE cannot be told that all names are to be asked for
 *   again, as before Linux 6.16.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct Gate {
	atomic_int_least32_t is_shut;
	atomic_int_least32_t waiting;
} Gate;

/* A notice of the kernel's fuse.h that is a header alone. */
struct notice {
	uint32_t len;
	int32_t what;
	uint64_t unique;
};

#define INC_EPOCH 8

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

ssize_t
write(int fd, const void *data, size_t size)
{
	struct notice notice;

	if (size == sizeof notice && getenv("POFS_OLD_KERNEL") != NULL) {
		memcpy(&notice, data, sizeof notice);
		if (notice.len == sizeof notice && notice.what == INC_EPOCH &&
		    notice.unique == 0) {
			errno = EINVAL;
			return -1;
		}
	}
	return syscall(SYS_write, fd, data, size);
}
