/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

#include "fs/peer.h"
#include "fs/proc_reader.h"

/**
 * Who a process is, as far as that is known by now: whether it is an smbd, which
 * its name tells and which matters; and its peer (peer.h), for people.
 *
 * Threads: any.
 */
typedef struct FsIdentity FsIdentity;

/** @pidfd is borrowed, and -1 if there is no process to be known. */
FsIdentity *fs_identity_new(pid_t pid, int pidfd);

/** NULL is a no-op. */
void fs_identity_free(FsIdentity *identity);

/** Whether it is known by now whether it is an smbd. */
bool fs_identity_has_name(FsIdentity *identity);

/** The same, and reads it if not (proc_reader.h). Then it is *@ret_is_smbd. */
bool fs_identity_find_name(FsIdentity *identity, FsProcPatience patience,
                           bool *ret_is_smbd);

/** Whether its peer is known by now. Never waits. */
bool fs_identity_peer(FsIdentity *identity, FsPeer *ret_peer);

/**
 * Begins to find that out, unless it is known or under way: a program may keep
 * us from it for as long as it likes, and is asked once. Never waits.
 */
void fs_identity_find_peer(FsIdentity *identity);

/** The same, and waits for it as fs_proc_await() does. */
void fs_identity_await_peer(FsIdentity *identity);
