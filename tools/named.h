/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "store/edit.h"
#include "tools/office_mailbag.h"

/**
 * What the records of a postoffice name: of all its mailbags, and of the copy of
 * one that a program compressed (MBG/COPY.MBG, Q103850). Of that nobody knows
 * which mailbag it is of, nor which of its records were live. While nobody knows
 * for certain which records are deleted, all of them count.
 */
typedef struct ToolNamed {
	GPtrArray *mailbags; /* ToolMailbag, that were read; owned */
	GHashTable *stems;   /* set of those of messages; owned */
	GHashTable *waiting; /* those of inqueues, and of the copy; owned */
	GHashTable *told;    /* set of what records tell, deleted too; owned */
	bool is_whole;       /* no mailbag has lost what it names */
	bool is_copy_alone;  /* the copy has a record that no mailbag has */
} ToolNamed;

/** Reads them. Errors: those of reading; *@ret_named is as it was then.
 * Ownership: tool_named_clear(). */
int tool_named_read(const ToolOffice *office, ToolNamed *ret_named);
/** Of one that is all zeros it is a no-op, too. */
void tool_named_clear(ToolNamed *named);

/** Adds to @edits that those mailbags stay as they were seen which may name
 * again what they do not: the inqueues, and, where deleted records do not count,
 * all. Errors: as tool_apply_expect_mailbags(). */
int tool_named_expect(const ToolNamed *named, const ToolOffice *office,
                      StoreEdits *edits, GError **error);
