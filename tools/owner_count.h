/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/edit.h"
#include "tools/office.h"

/** The owners that a message (MAI) counts: the last one's end is its end
 * (Q104423). */

/** Reads the count of message @stem. Errors: with the sentence in *@error. */
int tool_owner_count_read(const ToolOffice *office, const char *stem,
                          uint16_t *ret_owners, GError **error);

/** Has message @stem, which has a count, count @owners. */
int tool_owner_count_add(StoreEdits *edits, const ToolOffice *office,
                         const char *stem, uint16_t owners, GError **error);
