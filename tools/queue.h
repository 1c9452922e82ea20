/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "tools/office_mailbag.h"

/** The rows of poctl queue, each an a{sv} of rows.h. */

/** Which rows, and how. */
typedef struct ToolQueueFilter {
	gboolean waiting; /* only mailbags with live records */
	gboolean all;     /* deleted records, too */
	char *kind;       /* only mailbags of that kind; NULL: all */
	gboolean iso;
} ToolQueueFilter;

/**
 * A row for each mailbag of @office. @locks is what the daemon says of its
 * locks (aa{sv}), or NULL where none runs.
 */
int tool_queue_mailbags(const ToolOffice *office, GVariant *locks,
                        const ToolQueueFilter *filter, GPtrArray *rows);

/**
 * A row for each record of the mailbag @name.
 *
 * Errors: -ENOENT if there is no such mailbag.
 */
int tool_queue_records(const ToolOffice *office, const char *name,
                       const ToolQueueFilter *filter, GPtrArray *rows);

/** Enters a record's number, whether it is live, and what its header says;
 * @iso as for tool_record_time(). */
void tool_queue_add_header(GVariantBuilder *row, const ToolRecord *record,
                           bool iso);
