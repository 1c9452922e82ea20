/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/**
 * Which files a session has created: while it lasts, it may empty them again.
 *
 * Threads: one at a time, the one that serves requests.
 */
typedef struct FsCreators FsCreators;

/** So many of a session's files are remembered; then it starts anew. */
#define FS_CREATOR_NODES_MAX 16384

FsCreators *fs_creators_new(void);

/** NULL is a no-op. */
void fs_creators_free(FsCreators *creators);

void fs_creators_add(FsCreators *creators, uint64_t session, uint64_t node);

bool fs_creators_has(const FsCreators *creators, uint64_t session,
                     uint64_t node);

/** Forgets all files of @session: it has ended. */
void fs_creators_end(FsCreators *creators, uint64_t session);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsCreators, fs_creators_free)
