/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/format/log.h"
#include "store/store.h"

/**
 * The transactions that may have caused what a log complains of: those of that
 * time which touched what it names. They are from the journal (journal.h).
 */

/** The suspects of one store. */
typedef struct ToolSuspects ToolSuspects;

/**
 * Reads the transactions that @store knows of, from @from_ns on; @is_iso if
 * their times are to be in ISO 8601.
 *
 * Ownership: the caller frees *@ret_suspects, which borrows @store.
 */
int tool_suspects_read(Store *store, int64_t from_ns, bool is_iso,
                       ToolSuspects **ret_suspects, GError **error);

/**
 * The transactions (aa{sv}), at most TOOL_SUSPECTS_MAX, that were under way
 * between @from_ns and @to_ns and touched one of the files that @entry names,
 * another of the same stem, or had the lock of such a mailbag; if it names
 * none, any will do.
 *
 * Ownership: the caller lets go of *@ret_rows.
 */
int tool_suspects_find(ToolSuspects *suspects, int64_t from_ns, int64_t to_ns,
                       const FormatLogEntry *entry, GVariant **ret_rows,
                       GError **error);

#define TOOL_SUSPECTS_MAX 10

/** A row of tool_suspects_find() in words. Ownership: the caller frees it. */
char *tool_suspect_text(GVariant *row);

void tool_suspects_free(ToolSuspects *suspects);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolSuspects, tool_suspects_free)
