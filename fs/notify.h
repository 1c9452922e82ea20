/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "fs/later.h"

struct fuse_session;

/**
 * Tells the kernel to forget what it remembers for a long time.
 *
 * To forget one name, the kernel takes the directory's lock, which somebody may
 * hold who waits for an answer of ours. So a thread of its own does that, a
 * moment after the reply, and never the thread that answers. It is needed only
 * where the kernel cannot be made to ask for all names again.
 *
 * Threads: any.
 */
typedef struct FsNotify FsNotify;

/** @session and @later are borrowed and must outlive it. */
FsNotify *fs_notify_new(struct fuse_session *session, FsLater *later);

/**
 * Sends what is queued and ends the thread; what comes later is not sent.
 * Requests must be served meanwhile, or it would wait for ever; and so must what
 * is posted for later, which this does: who holds the directory's lock may wait
 * for a commit to land. NULL is a no-op, and so is what was stopped.
 *
 * Threads: the main one, when its wait has ended.
 */
void fs_notify_stop(FsNotify *notify);

/** Frees @notify, which was stopped. NULL is a no-op. */
void fs_notify_free(FsNotify *notify);

/**
 * Makes the kernel forget the attributes of @nodeid, now: this takes no lock of
 * a directory, and may be called before a reply.
 */
void fs_notify_attr(FsNotify *notify, uint64_t nodeid);

/**
 * Makes the kernel forget the content of @nodeid, and waits until it has. That
 * may take a request or two: nobody who serves may call it, nor who has the
 * turn. Once @notify has stopped it does nothing.
 *
 * Threads: the one that stops @notify.
 */
void fs_notify_content(FsNotify *notify, uint64_t nodeid);

/**
 * Makes the kernel look every name up again, now, and as cheaply. Returns false
 * if it cannot, as before Linux 6.16: then it must be told name by name.
 */
bool fs_notify_names(FsNotify *notify);

/** Makes the kernel forget @name in the directory of nodeid @dir, soon. */
void fs_notify_entry(FsNotify *notify, uint64_t dir, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsNotify, fs_notify_free)
