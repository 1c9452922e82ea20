/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

/**
 * Has the daemon of @store trace the session of that number or, where @who is
 * an address, the newest one of that client, for which it waits.
 */
int tool_trace_begin(const char *store, const char *who, guint64 *ret_session,
                     GError **error);

/** Ends the trace of @session ("all": of each); *@ret_count is of how many. */
int tool_trace_end(const char *store, const char *session, guint *ret_count,
                   GError **error);

/** The file that the trace of @session is in. Ownership: the caller's. */
char *tool_trace_path(const char *store, guint64 session);
