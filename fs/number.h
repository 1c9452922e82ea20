/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <sys/types.h>

#include <glib.h>

#include "store/store.h"

/**
 * The inode numbers that stat(2) tells.
 *
 * smbd deletes in two steps: it marks the file, by device and inode number, in
 * a database of its own, and unlinks it. If it is killed before it has taken
 * the mark away, the next client that opens and closes a file of that number
 * makes its smbd delete it, whatever that client wanted (Samba 4.17,
 * close_remove_share_mode()). So what was to be deleted and is there again, as
 * it was undone, has another number than before; so has a lock file that was
 * deleted, when it is created anew; and so has every file in the next mount, for
 * smbd may outlive this one. A directory has its node's.
 *
 * Threads: one at a time, the one that serves requests.
 */
typedef struct FsNumbers FsNumbers;

/** So many changes are remembered; then all numbers are others. */
#define FS_NUMBER_CHANGES_MAX 65536

FsNumbers *fs_numbers_new(void);

/** NULL is a no-op. */
void fs_numbers_free(FsNumbers *numbers);

/** The number of @node, of which @mode has at least the type; never 0. No two
 * have the same, while there were fewer than a thousand million nodes. */
ino_t fs_numbers_get(const FsNumbers *numbers, StoreNode node, mode_t mode);

/** From now on @node, a file, has another number. */
void fs_numbers_change(FsNumbers *numbers, StoreNode node);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsNumbers, fs_numbers_free)
