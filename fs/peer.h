/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

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
 * Finds who process @pid is, by reading /proc as proc_reader.h does: it may
 * take FS_PROC_LONG_US, so it is not for the thread that serves requests.
 *
 * Errors: -ESRCH if there is none; -ETIMEDOUT.
 */
int fs_peer_find(pid_t pid, FsPeer *ret_peer);

/** Whether @peer is at @address: "10.0.0.7:1234", or "10.0.0.7", at any port. */
bool fs_peer_is_at(const FsPeer *peer, const char *address);
