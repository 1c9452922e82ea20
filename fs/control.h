/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

#include "fs/later.h"
#include "fs/liveness.h"
#include "fs/worker.h"

/**
 * The Unix socket STORE/control, where the administrator's tools ask what only
 * the daemon knows.
 *
 * A connection is one request and one answer. Each is a frame: its length in
 * 4 bytes, little-endian, then a GVariant in its normal serialised form:
 *
 *   request  (uss)  FS_CONTROL_VERSION, command, argument
 *   answer   (sv)   "" and the result, or what went wrong and ""
 *
 * The request is the same in all versions, so that another version's tool is
 * told why it gets no answer. What is too large for it comes in a file whose
 * descriptor is sent along (SCM_RIGHTS), so that it takes no memory of ours.
 *
 * Only root and the daemon's own user are heard. Nobody is waited for: a
 * connection that does not bring its request, or does not take its answer, in
 * FS_CONTROL_TIME_US is closed.
 *
 * Threads: the one that runs @liveness; handlers are called there too, but for
 * slow ones.
 */
typedef struct FsControl FsControl;

#define FS_CONTROL_VERSION 1

/** Longest request, in bytes; a longer one is not read. */
#define FS_CONTROL_REQUEST_MAX 4096

/** Most connections at a time; more wait until one is closed. */
#define FS_CONTROL_TALKS_MAX 16

/** How long a request, and then its answer, may take, in microseconds. */
#define FS_CONTROL_TIME_US INT64_C(5000000)

/**
 * Answers one command. Returns its result, or NULL and why in *@ret_error: one
 * sentence for the administrator.
 *
 * Ownership: the result may be floating; *@ret_error is given away.
 */
typedef GVariant *FsControlHandler(void *user_data, const char *argument,
                                   char **ret_error);

/** A question that is answered later. */
typedef struct FsControlReply FsControlReply;

/** What is asked, by whom. */
typedef struct FsControlAsk {
	const char *argument;
	int fd;    /* sent along; -1: none. Closed when the answer is sent */
	pid_t pid; /* 0: of a process that cannot be seen from here */
} FsControlAsk;

/**
 * As FsControlHandler, for what takes its time: fs_control_reply() must follow,
 * perhaps before this returns.
 *
 * Ownership: @ask is borrowed until it returns.
 */
typedef void FsControlStarter(void *user_data, const FsControlAsk *ask,
                              FsControlReply *reply);

/**
 * Opens the socket in the store directory @dir, in place of what a daemon that
 * crashed has left: the caller has the store open for writing, so nobody else
 * listens there.
 *
 * Errors: -EEXIST if there is something else of that name.
 * Ownership: the caller closes *@ret_control; the rest is borrowed, and @later
 * must outlive the jobs of @workers.
 */
int fs_control_open(FsLiveness *liveness, FsLater *later, FsWorkers *workers,
                    const char *dir, FsControl **ret_control);

/** Closes what is open and removes the socket. NULL is a no-op. */
void fs_control_close(FsControl *control);

/**
 * Has @handler answer the command @name from now on; @name and @user_data are
 * borrowed.
 */
void fs_control_add(FsControl *control, const char *name,
                    FsControlHandler *handler, void *user_data);

/** The same for what is answered later. */
void fs_control_add_later(FsControl *control, const char *name,
                          FsControlStarter *starter, void *user_data);

/**
 * The same for a handler that takes its time and needs not the main thread: it
 * is called by a worker, perhaps beside others, and beyond the end of @control.
 */
void fs_control_add_slow(FsControl *control, const char *name,
                         FsControlHandler *handler, void *user_data);

/** Whether whoever asked is still there. */
bool fs_control_is_wanted(const FsControlReply *reply);

/**
 * Answers with @error, a sentence, or with @result if that is NULL; the socket
 * may have been closed meanwhile.
 *
 * Ownership: takes @reply; @result may be floating.
 */
void fs_control_reply(FsControlReply *reply, const char *error,
                      GVariant *result);

/** @text for an answer: what is not UTF-8 in it is replaced. Floating. */
GVariant *fs_control_text(const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsControl, fs_control_close)
