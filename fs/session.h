/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "fs/liveness.h"
#include "fs/peer.h"
#include "fs/thread_group.h"

/**
 * Sessions: one client each, which is one process. smbd runs one process for
 * each client machine.
 *
 * A session is held by a pidfd: its end is an event, and a later process of
 * the same pid is never taken for it. It has a slot (see view.h), which is
 * used again only when the process has ended and its last handle is closed, and
 * a serial, which is never used again.
 *
 * Callers that cannot be told apart (another pid namespace, the kernel itself)
 * share one session that never ends.
 *
 * Threads: any.
 */
typedef struct FsSessionTable FsSessionTable;
typedef struct FsSession FsSession;

/** @liveness is borrowed and must outlive the table. */
FsSessionTable *fs_session_table_new(FsLiveness *liveness);

/** Told that the process of the session with @serial has ended. */
typedef void FsSessionEnd(void *user_data, uint64_t serial);

/**
 * Calls @end at the end of every session, on the thread that waits for it
 * (liveness.h). To be called before the first session begins; @user_data is
 * borrowed.
 */
void fs_session_table_watch(FsSessionTable *table, FsSessionEnd *end,
                            void *user_data);

/** Every session must have been let go. NULL is a no-op. */
void fs_session_table_free(FsSessionTable *table);

/**
 * Finds or begins the session of the process of thread @tid.
 *
 * Errors: -ENFILE beyond FS_VIEW_SLOT_MAX sessions.
 * Ownership: the caller lets go of *@ret_session.
 */
int fs_session_find(FsSessionTable *table, pid_t tid, FsSession **ret_session);

FsSession *fs_session_ref(FsSession *session);

/** NULL is a no-op. */
void fs_session_unref(FsSession *session);

unsigned fs_session_slot(const FsSession *session);

uint64_t fs_session_serial(const FsSession *session);

/** Its process; 0: of callers that cannot be told apart. */
pid_t fs_session_pid(const FsSession *session);

/**
 * Finds whether its process, which is one, ends or has ended, and how, as
 * fs_thread_group_read_end(): at once if it has ended. An error: that cannot be
 * known.
 */
int fs_session_read_end(const FsSession *session, FsThreadEnd *ret_end);

/**
 * Counts how often what the session had under way was undone. What was opened
 * in an earlier epoch is of no use any more.
 *
 * Threads: one at a time, the one that serves requests.
 */
unsigned fs_session_epoch(const FsSession *session);
void fs_session_next_epoch(FsSession *session);

/**
 * Notes that the session has asked for something, now, or is told what became of
 * it; and when that last was, monotonic.
 *
 * Threads: as fs_session_epoch().
 */
void fs_session_hear(FsSession *session);
int64_t fs_session_heard_us(const FsSession *session);

/** Whether it has yet to be told that what it did was undone. Threads: as
 * fs_session_epoch(). */
bool fs_session_is_untold(const FsSession *session);
void fs_session_set_untold(FsSession *session, bool is_untold);

/**
 * The session that has @slot, or NULL.
 * Ownership: the caller lets go of it.
 */
FsSession *fs_session_by_slot(FsSessionTable *table, unsigned slot);

/** As fs_session_by_slot(), for a serial. */
FsSession *fs_session_by_serial(FsSessionTable *table, uint64_t serial);

/**
 * The one that an administrator calls @text, a serial; or NULL, and
 * *@ret_error is a sentence, the caller's.
 */
FsSession *fs_session_named(FsSessionTable *table, const char *text,
                            char **ret_error);

/** All that there are. Ownership: the caller unrefs the array, which lets go. */
GPtrArray *fs_session_list(FsSessionTable *table);

/**
 * Whether the session's process is an smbd, by its name: it asks again when it
 * is told EAGAIN. The first call asks the kernel, which may take a tenth of a
 * second; what the kernel did not say in time counts as no.
 */
bool fs_session_is_smbd(FsSession *session);

/** Whether it is none, in the same way: what is not known counts as no. */
bool fs_session_is_local(FsSession *session);

/** Finds out which of the two, unless that is known, patiently (proc_reader.h):
 * so it is for workers. */
void fs_session_find_name(FsSession *session);

/** Whether it is known by now which of the two. */
bool fs_session_has_name(FsSession *session);

/**
 * Its process declares the share mode of each open (op_share.c); its client
 * is at @client, or "".
 *
 * Threads: as fs_session_epoch().
 */
void fs_session_set_bridged(FsSession *session, const char *client);

/** Whether it does. Threads: as fs_session_epoch(). */
bool fs_session_is_bridged(const FsSession *session);

/** Who its process is, if that was found out by now; whether it was. */
bool fs_session_peer(FsSession *session, FsPeer *ret_peer);

/**
 * Its client: the address of an smbd's, or the command line of a local program,
 * as it is; NULL if that is not known by now. Ownership: the caller frees it.
 */
char *fs_session_client(FsSession *session);

/** Begins to find out who its process is, as fs_identity_find_peer(). */
void fs_session_find_peer(FsSession *session);

/** The same, and waits a moment for it, as fs_proc_await(): it is for workers. */
void fs_session_await_peer(FsSession *session);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsSession, fs_session_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsSessionTable, fs_session_table_free)
