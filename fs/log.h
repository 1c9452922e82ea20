/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <glib.h>

/**
 * What the administrator is told: events, a line each, of `event=NAME` and then
 * `key=value` words. A value that is more than one plain word is quoted, and
 * whatever a client has put into it is escaped, so that a line is a line.
 *
 * One table in log.c says of each event how grave it is, which keys it has, and
 * what it means; the manual page is checked against it. What a client can cause
 * as often as it likes is limited: of what was left out a number is told, by
 * the event "suppressed". So is what nobody reads.
 *
 * No line holds what is in a file.
 *
 * Threads: any.
 */

/** What happens; see log.c for what each means. */
typedef enum FsEvent {
	/* The life of the daemon. */
	FS_EVENT_READY,
	FS_EVENT_UNCLEAN,
	FS_EVENT_STOPPING,
	FS_EVENT_STOPPED,
	FS_EVENT_FAILED,
	FS_EVENT_HUNG,
	FS_EVENT_KILLED,
	FS_EVENT_TROUBLE,

	/* Clients. */
	FS_EVENT_SESSION_BEGIN,
	FS_EVENT_SESSION_END,
	FS_EVENT_REQUEST,
	FS_EVENT_LOCK_TIMEOUT,
	FS_EVENT_LOCK_CIRCLE,
	FS_EVENT_LOCK_STRANGER,
	FS_EVENT_SILENT,
	FS_EVENT_TRUNCATE_REFUSED,
	FS_EVENT_WRITE_REFUSED,

	/* Transactions. */
	FS_EVENT_UNDONE,
	FS_EVENT_NOT_KEPT,
	FS_EVENT_COMMIT_FAILED,

	/* The store. */
	FS_EVENT_STORE_FULL,
	FS_EVENT_STORE_FAILING,
	FS_EVENT_STORE_WELL,
	FS_EVENT_LOST,
	FS_EVENT_STORE,

	/* The administrator. */
	FS_EVENT_BREAK,
	FS_EVENT_EDIT,
	FS_EVENT_EDIT_REFUSED,
	FS_EVENT_DISCARD,
	FS_EVENT_CONTROL_REFUSED,
	FS_EVENT_CONTROL_CLOSED,

	/* The log itself, and what others say in it. */
	FS_EVENT_LIBRARY,
	FS_EVENT_SUPPRESSED,
	FS_EVENT_END, /* how many there are */
} FsEvent;

/** One word of a line. */
typedef struct FsLogField {
	const char *key;
	const char *text; /* borrowed; of a number NULL */
	int64_t number;
	bool is_text; /* if so, and text is NULL, it is not known, and left out */
} FsLogField;

#define FS_LOG_TEXT(key, text) ((FsLogField){ (key), (text), 0, true })
#define FS_LOG_NUMBER(key, number) \
	((FsLogField){ (key), NULL, (int64_t)(number), false })

/** Writes a line of @event with the fields that follow, at least one. */
#define fs_log(event, ...) \
	fs_log_write((event), (const FsLogField[]){ __VA_ARGS__, { NULL } })

/** As fs_log(); @fields end with one without a key. */
void fs_log_write(FsEvent event, const FsLogField *fields);

/**
 * Says why pofs does not start, in one sentence: to who has started it, or,
 * if that is the journal, as an event.
 */
void fs_log_failed(const char *format, ...) G_GNUC_PRINTF(1, 2);

/**
 * From now on lines go to the standard error, if @foreground, or else to
 * syslog(3). What others write by GLib becomes an event, too. If @verbose,
 * events are written that are routine. If the standard error is the journal, a
 * line there begins with its priority (sd-daemon(3)). To be called once.
 */
void fs_log_open(bool foreground, bool verbose);

/** Whether routine events are written, of which there are many. */
bool fs_log_is_verbose(void);

/**
 * From now on a thread writes them (log_writer.h), and what there is no room
 * for is left out. To be called by each process that serves or watches, when it
 * has become who it is to be. Without a thread all stays as it was.
 */
void fs_log_start(void);

/** Tells of what was left out, and ends the thread; to be called last. */
void fs_log_stop(void);

/**
 * The line of @event with @fields, without its end, at @now_us (monotonic), as
 * it is to be written, or NULL if it is not: it is routine, or one too many.
 * Ownership: the caller frees it.
 */
char *fs_log_line(FsEvent event, const FsLogField *fields, int64_t now_us);

/** Prints the table: name, priority, keys and meaning, separated by tabs. */
void fs_log_print(FILE *out);
