/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

/**
 * One JSON object, built from its start to its end. A @key of NULL is for the
 * elements of a list.
 */
typedef struct ToolJson ToolJson;

ToolJson *tool_json_new(void);

void tool_json_string(ToolJson *json, const char *key, const char *value);
void tool_json_number(ToolJson *json, const char *key, guint64 value);
void tool_json_real(ToolJson *json, const char *key, double value);
void tool_json_bool(ToolJson *json, const char *key, bool value);

/** Begins a list, or an object in a list; each has its end. */
void tool_json_list_begin(ToolJson *json, const char *key);
void tool_json_list_end(ToolJson *json);
void tool_json_object_begin(ToolJson *json, const char *key);
void tool_json_object_end(ToolJson *json);

/** Ends *@json, prints it as one line on the standard output and frees it. */
void tool_json_print(ToolJson **json);

void tool_json_free(ToolJson *json);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolJson, tool_json_free)
