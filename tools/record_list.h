/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/format/key.h"

/** Records of a mailbag, by their numbers from 0 on. */
typedef struct ToolRecordList {
	bool has[FORMAT_KEY_RECORDS_MAX];
	uint32_t end; /* above the highest */
} ToolRecordList;

/** Reads a list like "0,3,5-9" from the command line. */
int tool_record_list_read(const char *text, ToolRecordList *ret_list,
                          GError **error);

/** Reads the one number that @text is. */
int tool_record_parse(const char *text, uint32_t *ret_record, GError **error);
