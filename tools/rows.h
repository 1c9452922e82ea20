/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "tools/json.h"

/**
 * Rows of facts, each an a{sv}, for people and for programs. Of the types that
 * occur, x is a time in microseconds.
 */

/** What is printed of a row, and how. */
typedef struct ToolColumn {
	const char *key;
	const char *title;

	/** Words for a value of @type; NULL: the usual ones. Caller frees. */
	char *(*text)(GVariant *value);
	const char *type; /* GVariant's; NULL: any */
} ToolColumn;

/**
 * @rows (aa{sv}) as a table of lines, the first of which has the titles;
 * @columns end with an empty one. Harmless to a terminal.
 * Ownership: the caller unrefs them.
 */
GPtrArray *tool_rows_lines(GVariant *rows, const ToolColumn *columns);

/** Prints them. */
void tool_rows_print(GVariant *rows, const ToolColumn *columns);

/** Prints one @row (a{sv}), a line a column. */
void tool_row_print(GVariant *row, const ToolColumn *columns);

/**
 * Adds everything in @row to @json. A key "since-us-ago" becomes "since_ago":
 * times are in seconds there.
 */
void tool_row_json(ToolJson *json, GVariant *row);

/** Adds @rows to @json as the list @name. */
void tool_rows_json(ToolJson *json, const char *name, GVariant *rows);

/** Prints @rows as an object with the one list @name. */
void tool_rows_print_json(const char *name, GVariant *rows);

/** For ToolColumn.text: "12.5 MiB". */
char *tool_row_bytes(GVariant *value);

/** For ToolColumn.text: "3 min 20 s". */
char *tool_row_time(GVariant *value);
