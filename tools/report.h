/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "tools/source.h"

/** What there is in a source tree: the first walk of an import. */
typedef struct ToolReport {
	guint64 files;
	guint64 directories; /* below the top */
	guint64 bytes;       /* content of all files */
	guint64 stored;      /* of that, what is no hole */
	guint64 upper_cased; /* names */
	GPtrArray *skipped;  /* owned paths */
	GPtrArray *refused;  /* owned paths */
	GPtrArray *reasons;  /* owned clauses, one for each refused path */
} ToolReport;

ToolReport *tool_report_new(void);

/** What counts: for tool_source_walk(), whose user data is the report. */
extern const ToolSourceVisitor tool_report_visitor;

/** Whether both walks found the same. */
bool tool_report_is_equal(const ToolReport *a, const ToolReport *b);

/** How much work it is to copy what @report counts; for a progress bar. */
guint64 tool_report_work(const ToolReport *report);

/** Prints a line for each path skipped or refused on the standard error. */
void tool_report_warn(const ToolReport *report);

void tool_report_free(ToolReport *report);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolReport, tool_report_free)
