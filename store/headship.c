/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/headship.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <glib.h>

#define WRITER_FILE "writer"

static pid_t
read_pid(int fd)
{
	char text[32] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		return 0;
	return (pid_t)g_ascii_strtoll(text, NULL, 10);
}

static int
write_pid(int fd)
{
	char text[32];
	int size = g_snprintf(text, sizeof(text), "%d\n", (int)getpid());
	ssize_t done;

	if (ftruncate(fd, 0) < 0)
		return -errno;
	done = pwrite(fd, text, (size_t)size, 0);
	if (done < 0)
		return -errno;
	return done == size ? 0 : -ENOSPC;
}

int
headship_take(const char *dir, int *ret_fd, pid_t *ret_holder)
{
	g_autofree char *path = g_build_filename(dir, WRITER_FILE, NULL);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd;
	int r;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		r = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
		*ret_holder = read_pid(fd);
		close(fd);
		return r;
	}
	r = write_pid(fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

pid_t
headship_holder(const char *dir)
{
	g_autofree char *path = g_build_filename(dir, WRITER_FILE, NULL);
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	pid_t pid = 0;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
		pid = read_pid(fd);
	close(fd);
	return pid;
}
