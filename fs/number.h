/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
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
 * close_remove_share_mode()). So what a killed smbd may have marked has another
 * number than before; so has each lock file that is created; and so has every
 * file in the next mount, for smbd may outlive this one. A directory has its
 * node's.
 *
 * But a number must not change while an smbd that goes on knows it: it finds by
 * it who else has the file open, and refuses a file whose number has changed
 * between two looks at it.
 *
 * Threads: one at a time, the one that serves requests.
 */
typedef struct FsNumbers FsNumbers;

/** So many files may have another number than at first; then they keep what
 * they have, for one client's changes must not harm another. */
#define FS_NUMBER_CHANGES_MAX (1 << 20)

FsNumbers *fs_numbers_new(void);

/** NULL is a no-op. */
void fs_numbers_free(FsNumbers *numbers);

/**
 * The number of the file or directory with @attr, of which node, the type in
 * mode and, for a lock file, the birth are looked at; never 0. No two nodes of a
 * store have the same, while there were fewer than a thousand million of them,
 * and half as many changes; of two lock files it is as unlikely as of their
 * nodes.
 */
ino_t fs_numbers_get(const FsNumbers *numbers, const StoreAttr *attr);

/** From now on @node, a file of a store, has another number. */
void fs_numbers_change(FsNumbers *numbers, StoreNode node);

/** It is to have another, but somebody who goes by its number has it open:
 * fs_numbers_settle() changes it. Until then nobody's smbd may delete it. */
void fs_numbers_owe(FsNumbers *numbers, StoreNode node);

/** Whether fs_numbers_owe() was called since. */
bool fs_numbers_owes(const FsNumbers *numbers, StoreNode node);

/** Nobody has @node open any more. */
void fs_numbers_settle(FsNumbers *numbers, StoreNode node);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsNumbers, fs_numbers_free)
