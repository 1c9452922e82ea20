/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

/** A trace that was read as a whole. */
typedef struct ToolRecording {
	GPtrArray *rows; /* of GVariant (a{sv}), as trace_line.h makes them,
	                  * but what began and ended it; owned */
} ToolRecording;

/** Reads the trace at @path. Ownership: the caller frees *@ret_recording. */
int tool_recording_read(const char *path, ToolRecording **ret_recording,
                        GError **error);

/** The text @key of @row, borrowed; "" if it has none. */
const char *tool_recording_text(GVariant *row, const char *key);

/**
 * How often the file @path ("/KEY/0000000A.KEY") was tried to be opened, and
 * adds how each time was answered to @answers (of char *: "ok", or "sharing
 * violation after 2.0 s" since the time before; "unused" where it was closed at
 * once), unless that is NULL.
 */
unsigned tool_recording_count_opens(const ToolRecording *recording,
                                    const char *path, GPtrArray *answers);

/** NULL is a no-op. */
void tool_recording_free(ToolRecording *recording);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolRecording, tool_recording_free)
