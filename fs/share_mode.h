/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

/**
 * Share modes, as DOS has them (INT 21h, 3Dh): what an open file is used for,
 * and what nobody else may use the file for meanwhile. Pure.
 *
 * A program on this machine has no way to say the latter, so it denies nothing.
 * A client's mode is *declared* by its smbd, where the bridge is installed
 * (bridge/record.h).
 */

/** What a file is used for, or not to be used for: a set of these. */
#define FS_SHARE_READ  1u
#define FS_SHARE_WRITE 2u
#define FS_SHARE_BOTH  (FS_SHARE_READ | FS_SHARE_WRITE)

typedef struct FsShareMode {
	unsigned access;
	unsigned deny;
	bool is_declared;
} FsShareMode;

/** The mode of a program that opens with the open(2) flags @flags. */
FsShareMode fs_share_mode_of_flags(int flags);

/** Whether DOS refuses the second of two opens with these modes. */
bool fs_share_mode_collides(const FsShareMode *one, const FsShareMode *other);
