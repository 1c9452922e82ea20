/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

/**
 * The lines of a trace that the daemon writes (fs/trace.h), made into rows:
 * requests with their answers, and what happened in between, in the order in
 * which they began.
 */
typedef struct ToolTraceReader ToolTraceReader;

ToolTraceReader *tool_trace_reader_new(void);

/** NULL is a no-op. */
void tool_trace_reader_free(ToolTraceReader *reader);

/** Takes in one @line, without its end. */
void tool_trace_reader_add(ToolTraceReader *reader, const char *line);

/**
 * The next row (a{sv}) that is complete; with @is_last, complete or not. NULL if
 * there is none. Ownership: the caller's.
 */
GVariant *tool_trace_reader_next(ToolTraceReader *reader, bool is_last);

/** Whether the trace has come to its end. */
bool tool_trace_reader_is_over(const ToolTraceReader *reader);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolTraceReader, tool_trace_reader_free)
