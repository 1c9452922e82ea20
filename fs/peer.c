/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

/*
 * How an address is found
 *
 * - A process's descriptors name its sockets by their inodes, and its network
 *   namespace lists the TCP connections with theirs.
 * - smbd may have other connections (to a domain controller, say). That of its
 *   client came first, so its descriptor is the lowest.
 */

/* The kernel's TCP_ESTABLISHED, as it is printed. */
#define ESTABLISHED 0x01

/* ---- the command line ----------------------------------------------------*/

/* No more of it than there is room for: it may be as long as its user likes. */
static int
command_read(pid_t pid, char ret_command[FS_PEER_COMMAND_SIZE])
{
	g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (fd < 0)
		return -ESRCH;

	size = read(fd, ret_command, FS_PEER_COMMAND_SIZE - 1);
	(void)close(fd);
	if (size < 0)
		return -ESRCH;

	while (size > 0 && ret_command[size - 1] == '\0')
		size--;
	for (ssize_t i = 0; i < size; i++)
		if (ret_command[i] == '\0')
			ret_command[i] = ' ';
	ret_command[size] = '\0';
	return 0;
}

/* Who cannot be asked, for want of a descriptor say, is not taken for another
 * program: it may be an smbd that has lost its client. */
static int
smbd_look(pid_t pid, bool *ret_is)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/comm", pid);
	g_autofree char *name = NULL;

	if (!g_file_get_contents(path, &name, NULL, NULL))
		return -ESRCH;

	*ret_is = g_str_has_prefix(name, "smbd");
	return 0;
}

/* ---- the address ---------------------------------------------------------*/

/* A connection, and the lowest descriptor that was found to be one. */
typedef struct Connection {
	GHashTable *sockets; /* inode -> descriptor */
	unsigned long fd;
	char *address; /* to be written */
} Connection;

/* The sockets of @pid: inode -> descriptor, as pointers. */
static GHashTable *
sockets_of(pid_t pid)
{
	g_autofree char *dir_path = g_strdup_printf("/proc/%d/fd", pid);
	g_autoptr(GDir) dir = g_dir_open(dir_path, 0, NULL);
	GHashTable *sockets = g_hash_table_new(NULL, NULL);
	const char *name;

	while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(dir_path, name, NULL);
		char link[64] = "";
		unsigned long inode;

		if (readlink(path, link, sizeof link - 1) > 0 &&
		    sscanf(link, "socket:[%lu]", &inode) == 1)
			g_hash_table_insert(
				sockets, GSIZE_TO_POINTER(inode),
				GSIZE_TO_POINTER(strtoul(name, NULL, 10)));
	}
	return sockets;
}

/* Prints an address as the kernel does: 4 bytes each as a number of the
 * machine, which here are in the order of the network. */
static void
address_print(const char *hex, unsigned port,
              char ret_address[FS_PEER_ADDRESS_SIZE])
{
	size_t words = strlen(hex) / 8;
	char text[INET6_ADDRSTRLEN] = "";
	uint32_t address[4] = { 0 };
	bool is_v4 = words == 1;

	for (size_t i = 0; i < MIN(words, 4); i++) {
		char word[9] = "";

		memcpy(word, hex + 8 * i, 8);
		address[i] = (uint32_t)strtoul(word, NULL, 16);
	}

	/* ::ffff:10.0.0.1 */
	if (words == 4 && address[0] == 0 && address[1] == 0 &&
	    address[2] == htonl(0xffff)) {
		address[0] = address[3];
		is_v4 = true;
	}

	(void)inet_ntop(is_v4 ? AF_INET : AF_INET6, address, text, sizeof text);
	(void)g_snprintf(ret_address, FS_PEER_ADDRESS_SIZE,
	                 is_v4 ? "%s:%u" : "[%s]:%u", text, port);
}

/* Looks at one line of /proc/PID/net/tcp. */
static void
line_read(const char *line, Connection *best)
{
	char remote[33];
	unsigned long inode;
	unsigned state;
	unsigned port;
	gpointer fd;

	/* sl local remote:port st queues timer retransmits uid timeout inode */
	if (sscanf(line,
	           "%*u: %*[0-9A-F]:%*x %32[0-9A-F]:%x %x %*s %*s %*s %*u %*u "
	           "%lu",
	           remote, &port, &state, &inode) != 4 ||
	    state != ESTABLISHED ||
	    !g_hash_table_lookup_extended(best->sockets,
	                                  GSIZE_TO_POINTER(inode), NULL, &fd) ||
	    GPOINTER_TO_SIZE(fd) >= best->fd)
		return;

	best->fd = GPOINTER_TO_SIZE(fd);
	address_print(remote, port, best->address);
}

static void
connections_read(pid_t pid, const char *protocol, Connection *best)
{
	g_autofree char *path =
		g_strdup_printf("/proc/%d/net/%s", pid, protocol);
	FILE *file = fopen(path, "re");
	char line[256];

	if (file == NULL)
		return;

	while (fgets(line, sizeof line, file) != NULL)
		line_read(line, best);
	(void)fclose(file);
}

/* ---- both ----------------------------------------------------------------*/

/* What a look begins with, and what it finds. */
typedef struct Looking {
	FsPeer peer;
	int pidfd; /* closed in the end */
} Looking;

static int
peer_read(pid_t pid, FsPeer *peer)
{
	g_autoptr(GHashTable) sockets = NULL;
	Connection best;
	int r;

	r = command_read(pid, peer->command);
	if (r == 0)
		r = smbd_look(pid, &peer->is_smbd);
	if (r < 0 || !peer->is_smbd)
		return r;

	sockets = sockets_of(pid);
	best = (Connection){
		.sockets = sockets,
		.fd = ULONG_MAX,
		.address = peer->address,
	};
	connections_read(pid, "tcp", &best);
	connections_read(pid, "tcp6", &best);
	return 0;
}

static int
peer_look(pid_t pid, void *result)
{
	Looking *looking = result;
	struct pollfd end = { .fd = looking->pidfd, .events = POLLIN };
	int r = peer_read(pid, &looking->peer);

	/* As long as it has not ended, the pid is its own. */
	if (poll(&end, 1, 0) != 0)
		r = -ESRCH;
	(void)close(looking->pidfd);
	return r;
}

FsProcReading *
fs_peer_look(pid_t pid, int pidfd)
{
	Looking looking = { .pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 0) };
	FsProcReading *reading;

	if (looking.pidfd < 0)
		return NULL;

	reading = fs_proc_begin(peer_look, pid, &looking, sizeof looking);
	if (reading == NULL)
		(void)close(looking.pidfd);
	return reading;
}

bool
fs_peer_is_at(const FsPeer *peer, const char *address)
{
	size_t size = strlen(address);
	const char *colon = strrchr(peer->address, ':');

	if (strcmp(peer->address, address) == 0)
		return true;
	return colon == peer->address + size && size > 0 &&
	       strncmp(peer->address, address, size) == 0;
}
