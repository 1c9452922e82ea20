/* SPDX-License-Identifier: BSD-2-Clause */

/* Calls that change nothing on the disk, and are replaced only to fail when a
 * test asks for it (pcut_core.c). */

#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/torture/pcut_core.h"

/* What a signal set takes in the kernel, in bytes. */
#define KERNEL_SIGSET 8

int
pipe2(int fds[2], int flags)
{
	return pcut_fails(PCUT_OPEN) ? -1 : (int)syscall(SYS_pipe2, fds, flags);
}

int
pipe(int fds[2])
{
	return pipe2(fds, 0);
}

int
socket(int domain, int type, int protocol)
{
	return pcut_fails(PCUT_OPEN)
	               ? -1
	               : (int)syscall(SYS_socket, domain, type, protocol);
}

int
socketpair(int domain, int type, int protocol, int fds[2])
{
	return pcut_fails(PCUT_OPEN) ? -1
	                             : (int)syscall(SYS_socketpair, domain,
	                                            type, protocol, fds);
}

int
accept4(int fd, __SOCKADDR_ARG address, socklen_t *size, int flags)
{
	return pcut_fails(PCUT_OPEN)
	               ? -1
	               : (int)syscall(SYS_accept4, fd, address.__sockaddr__,
	                              size, flags);
}

int
eventfd(unsigned count, int flags)
{
	return pcut_fails(PCUT_OPEN) ? -1
	                             : (int)syscall(SYS_eventfd2, count, flags);
}

int
epoll_create1(int flags)
{
	return pcut_fails(PCUT_OPEN) ? -1
	                             : (int)syscall(SYS_epoll_create1, flags);
}

int
timerfd_create(clockid_t clock, int flags)
{
	return pcut_fails(PCUT_OPEN)
	               ? -1
	               : (int)syscall(SYS_timerfd_create, clock, flags);
}

int
signalfd(int fd, const sigset_t *signals, int flags)
{
	return pcut_fails(PCUT_OPEN) ? -1
	                             : (int)syscall(SYS_signalfd4, fd, signals,
	                                            KERNEL_SIGSET, flags);
}

static bool
is_unread(int fd)
{
	return pcut_find_file(fd) != NULL && pcut_fails(PCUT_READ);
}

ssize_t
read(int fd, void *data, size_t size)
{
	return is_unread(fd) ? -1 : syscall(SYS_read, fd, data, size);
}

ssize_t
pread(int fd, void *data, size_t size, off_t offset)
{
	return is_unread(fd) ? -1
	                     : syscall(SYS_pread64, fd, data, size, offset);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset)
	__attribute__((alias("pread")));

typedef int Create(pthread_t *, const pthread_attr_t *, void *(*)(void *),
                   void *);

/* It returns its error. */
int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
               void *(*run)(void *), void *user_data)
{
	union {
		void *symbol;
		Create *create;
	} real = { dlsym(RTLD_NEXT, "pthread_create") };

	if (pcut_fails(PCUT_THREAD))
		return errno;
	return real.create(thread, attributes, run, user_data);
}
