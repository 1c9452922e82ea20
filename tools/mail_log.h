/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/format/log.h"
#include "store/store.h"

/** Logs of mail programs, from a store or from anywhere else. */

/** Bytes of a log that are read, from its end. */
#define TOOL_MAIL_LOG_MAX ((size_t)16 << 20)

typedef struct ToolMailLog {
	char *path;        /* owned */
	bool is_cut;       /* only its end was read */
	GByteArray *bytes; /* owned; the entries borrow from it */
	GArray *entries;   /* owned; of FormatLogEntry, dates assumed */
} ToolMailLog;

/** For g_ptr_array_new_with_free_func(). */
void tool_mail_log_free(void *log);

/** Reads the host's file @path. Ownership: the caller frees *@ret_log. */
int tool_mail_log_read(const char *path, ToolMailLog **ret_log, GError **error);

/** The same of @path in the store, from its root or from a postoffice. */
int tool_mail_log_read_stored(StoreTxn *txn, const char *path,
                              ToolMailLog **ret_log, GError **error);

/**
 * Reads the logs of errors that every postoffice has: SESSION, SYSTEM, DISPATCH
 * and DIRSYNC.LOG. Ownership: the caller frees *@ret_logs, which owns its
 * elements (ToolMailLog).
 */
int tool_mail_log_read_all(StoreTxn *txn, GPtrArray **ret_logs, GError **error);

/**
 * The time of @time in nanoseconds since 1970, if the station's clock and zone
 * are this machine's. Returns false if it is not known.
 */
bool tool_mail_log_time(const FormatLogTime *time, int64_t *ret_ns);
