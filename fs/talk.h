/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "fs/control.h"

/**
 * One connection of the control socket: a frame that comes, and one that goes
 * (control.h). It never waits for the other side.
 *
 * Threads: one at a time.
 */
typedef struct FsTalk {
	int fd;
	pid_t pid;           /* who asks */
	int64_t deadline_us; /* of the request, then of the answer; monotonic */
	int sent_fd;         /* that came with the request; -1: none */
	GByteArray *frame;   /* owned: what comes, then what goes */
	size_t done;         /* bytes written */
	bool is_answered;

	FsControlReply *reply; /* whose answer is awaited; control.c's */
	bool is_starting;      /* a starter runs: it goes on afterwards */
} FsTalk;

/** Ownership: takes @fd. */
FsTalk *fs_talk_new(int fd, pid_t pid);
void fs_talk_free(FsTalk *talk);

/**
 * Reads the request. Errors: -EAGAIN, for the time being; -EMSGSIZE; -EBADMSG
 * if it is none.
 */
int fs_talk_read(FsTalk *talk, GVariant **ret_request);

/** Begins to answer with @error, or with @result if that is "". */
void fs_talk_answer(FsTalk *talk, const char *error, GVariant *result);

/** Errors: -EAGAIN, for the time being. */
int fs_talk_write(FsTalk *talk);

/** Whether the other side has closed its end. */
bool fs_talk_is_left(const FsTalk *talk);
