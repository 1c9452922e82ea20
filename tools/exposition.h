/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

/**
 * Measurements, in the text format of OpenMetrics 1.0, which the older readers
 * of Prometheus text understand as well, or as a list in JSON.
 */
typedef struct ToolExposition ToolExposition;

/** Samples that belong together. */
typedef struct ToolFamily {
	const char *name; /* ends with _ and the unit, if it has one */
	const char *type; /* "counter", "gauge" or "histogram" */
	const char *unit; /* "seconds", "bytes"; or NULL */
	const char *help; /* a sentence */
} ToolFamily;

ToolExposition *tool_exposition_new(bool is_json);

/** Begins @family: the samples that follow are of it. Borrowed until then. */
void tool_exposition_begin(ToolExposition *exposition,
                           const ToolFamily *family);

/** Gives the next sample a label; @value may be any UTF-8. */
void tool_exposition_label(ToolExposition *exposition, const char *name,
                           const char *value);

/** Adds a sample: the family's name, then @suffix ("_bucket", "" or, for every
 * counter, "_total"). */
void tool_exposition_add(ToolExposition *exposition, const char *suffix,
                         guint64 value);
void tool_exposition_add_real(ToolExposition *exposition, const char *suffix,
                              double value);

/** Prints it on the standard output. */
void tool_exposition_print(ToolExposition *exposition);

/**
 * Replaces @file by it at once: who reads finds all of the old or all of the
 * new. Not for JSON.
 */
int tool_exposition_write(const ToolExposition *exposition, const char *file,
                          GError **error);

/** NULL is a no-op. */
void tool_exposition_free(ToolExposition *exposition);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolExposition, tool_exposition_free)
