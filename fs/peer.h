/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "fs/proc_reader.h"

/**
 * Who is behind a session, for the administrator's eyes: a local program by its
 * command line, an smbd by its client's address.
 *
 * Threads: any.
 */

/** Room for a command line, with its NUL; a longer one is cut. */
#define FS_PEER_COMMAND_SIZE 201

/** Room for "[IPv6]:port", with its NUL. */
#define FS_PEER_ADDRESS_SIZE 56

typedef struct FsPeer {
	bool is_smbd; /* by its name */
	/* Arguments are separated by spaces. Any other byte may be in it: it is
	 * the program's own, to be escaped by who prints it. */
	char command[FS_PEER_COMMAND_SIZE];
	/* "127.0.0.7:1234", where smbd's client is; "" of any other program, or
	 * if we may not know: the sockets of another user's process are shown
	 * to those only who have CAP_SYS_PTRACE. */
	char address[FS_PEER_ADDRESS_SIZE];
} FsPeer;

/**
 * Begins to find out who process @pid is, by reading /proc; what is found first
 * is an FsPeer. Its error is -ESRCH if the process, whose descriptor is @pidfd,
 * ended before all was read. That descriptor is borrowed now only.
 *
 * Returns NULL if nobody can look just now.
 * Ownership: as fs_proc_begin().
 */
FsProcReading *fs_peer_look(pid_t pid, int pidfd);

/** Whether @peer is at @address: "10.0.0.7:1234", or "10.0.0.7", at any port. */
bool fs_peer_is_at(const FsPeer *peer, const char *address);
