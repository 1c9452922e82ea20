/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * A thread that writes lines, so that nobody who serves waits for whoever reads
 * the log: a terminal may be stopped, a pipe full, a disk stalled, and the
 * system log's own daemon dead.
 *
 * While all is well an author waits until its line is written: what a client
 * was answered is in the log by then, whatever happens next. Once one has
 * waited for a tenth of a second, nobody waits until all is written.
 *
 * Threads: any, but for opening and closing.
 */
typedef struct FsLogWriter FsLogWriter;

/** Writes @text, a line without its end, of syslog(3)'s @priority; on the
 * writer's thread. */
typedef void FsLogSink(int priority, const char *text);

/**
 * Starts a thread that gives lines to @sink.
 *
 * Errors: -EAGAIN, there can be no thread.
 * Ownership: the caller gives it to fs_log_writer_close().
 */
int fs_log_writer_open(FsLogSink *sink, FsLogWriter **ret_writer);

/** Has a line written after those before it. Returns false, and it is not, if
 * more than @room bytes would wait. */
bool fs_log_writer_put(FsLogWriter *writer, size_t room, int priority,
                       const char *text);

/** Waits until all is written, at most 5 s: then the rest is lost, and the
 * thread left to itself, for the process to end. NULL is nothing. */
void fs_log_writer_close(FsLogWriter *writer);
