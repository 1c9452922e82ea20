/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/bridge/record.h"

/*
 * The share-mode bridge
 *
 * - smbd keeps the deny modes of its clients to itself. But its module for
 *   another file system, vfs_gpfs, loads a libgpfs.so and tells it of each file
 *   that a client opens, before the client is answered. This is one, and it
 *   passes on to pofs what it is told.
 * - It runs within smbd, so it keeps nothing, prints nothing and starts
 *   nothing. On any other file system it has no effect.
 * - Of the functions that vfs_gpfs looks for, it does without those that are
 *   not here.
 */

/* A client's socket is among smbd's first descriptors. */
#define SOCKET_MAX 1024

int gpfs_set_share(int fd, unsigned access, unsigned deny);
int gpfs_fstat_x(int fd, unsigned *wanted, void *ret_attributes, size_t size);

/* ---- share modes --------------------------------------------------------- */

/* Whether a file system that is not pofs says @error to what it never heard
 * of. */
static bool
is_elsewhere(int error)
{
	return error == ENOTTY || error == EINVAL || error == ENOSYS ||
	       error == EOPNOTSUPP;
}

/* Called when a client has opened @fd; and with nothing before that is closed,
 * which says it better. */
int
gpfs_set_share(int fd, unsigned access, unsigned deny)
{
	FsBridgeShare share = { .access = access, .deny = deny };

	if (access == 0 && deny == 0)
		return 0;
	if (ioctl(fd, FS_BRIDGE_SHARE, &share) == 0 || is_elsewhere(errno))
		return 0;

	/* Any other error is news to vfs_gpfs, worth a line in the log. */
	if (errno == ETXTBSY)
		errno = EACCES;
	return -1;
}

/* ---- the client ---------------------------------------------------------- */

static void
print_v4(const struct in_addr *address, in_port_t port, FsBridgeHello *hello)
{
	char text[INET_ADDRSTRLEN] = "";

	(void)inet_ntop(AF_INET, address, text, sizeof text);
	(void)snprintf(hello->client, sizeof hello->client, "%s:%u", text,
	               (unsigned)ntohs(port));
}

static void
print_v6(const struct in6_addr *address, in_port_t port, FsBridgeHello *hello)
{
	char text[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(AF_INET6, address, text, sizeof text);
	(void)snprintf(hello->client, sizeof hello->client, "[%s]:%u", text,
	               (unsigned)ntohs(port));
}

/* Whether @fd is a connection, and where from. */
static bool
peer_find(int fd, FsBridgeHello *hello)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} peer = { .any.sa_family = AF_UNSPEC };
	socklen_t size = sizeof peer;
	struct in_addr mapped;

	if (getpeername(fd, &peer.any, &size) < 0)
		return false;

	switch (peer.any.sa_family) {
	case AF_INET:
		print_v4(&peer.v4.sin_addr, peer.v4.sin_port, hello);
		return true;
	case AF_INET6:
		if (IN6_IS_ADDR_V4MAPPED(&peer.v6.sin6_addr)) {
			memcpy(&mapped, &peer.v6.sin6_addr.s6_addr[12],
			       sizeof mapped);
			print_v4(&mapped, peer.v6.sin6_port, hello);
		} else {
			print_v6(&peer.v6.sin6_addr, peer.v6.sin6_port, hello);
		}
		return true;
	default:
		return false;
	}
}

/* Of smbd's connections that to its client came first. */
static void
client_find(FsBridgeHello *hello)
{
	for (int fd = 0; fd < SOCKET_MAX; fd++)
		if (peer_find(fd, hello))
			return;
}

/* Called when a client connects to a share, with its directory, which is open
 * as a path only. Where the answer is EBADF, vfs_gpfs takes the attributes of
 * files from the kernel; any other would refuse the client. */
int
gpfs_fstat_x(int fd, unsigned *wanted, void *ret_attributes, size_t size)
{
	int dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FsBridgeHello hello = { .client = "" };

	(void)wanted;
	(void)ret_attributes;
	(void)size;
	if (dir >= 0) {
		client_find(&hello);
		(void)ioctl(dir, FS_BRIDGE_HELLO, &hello);
		(void)close(dir);
	}
	errno = EBADF;
	return -1;
}
