/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>
#include <sys/ioctl.h>

/**
 * What the bridge, which runs within smbd, tells pofs of a client, by ioctl(2)
 * on what smbd has open. Integers are the machine's. The size of a record is
 * part of its request's number, and an smbd of 32 bits has the same.
 *
 * Errors: -ENOTTY by any other file system, and by pofs where the request is
 * for a file and comes for a directory, or the reverse; -EINVAL for content
 * that no bridge sends; -EPERM to a process that has not opened what it is on.
 */

/** Room for "[IPv6]:port" and its NUL. */
#define FS_BRIDGE_CLIENT_SIZE 56

/** On a directory: this process will declare the share mode of each open. */
typedef struct FsBridgeHello {
	char client
		[FS_BRIDGE_CLIENT_SIZE]; /* where its client is; "": unknown */
} FsBridgeHello;

/**
 * On a file: it is used for @access, and nobody else may @deny.
 *
 * Errors: -ETXTBSY if somebody else does, or denies this; nothing has changed
 * then. -EIO if what the process did was undone.
 */
typedef struct FsBridgeShare {
	uint32_t access; /* 1 to read, 2 to write */
	uint32_t deny;   /* 1 reading, 2 writing, 4 deleting */
} FsBridgeShare;

#define FS_BRIDGE_HELLO _IOW(0xE8, 0x50, FsBridgeHello)
#define FS_BRIDGE_SHARE _IOW(0xE8, 0x51, FsBridgeShare)
