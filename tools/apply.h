/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/edit.h"
#include "tools/office.h"
#include "tools/office_mailbag.h"
#include "tools/snapshot.h"
#include "tools/tool.h"

/**
 * How a command changes a postoffice: it looks at a snapshot, lists the edits,
 * and has them carried out, all or none: by the daemon, as a transaction under
 * the locks of all files concerned, or, where none runs, by itself.
 *
 * If a file has changed since it looked, it looks again; but not where the
 * administrator has named records by their numbers, which may be others now.
 */

/** What is to be changed, and how: of the command line, but for what. */
typedef struct ToolApply {
	const char *store; /* its directory */
	const char *what;  /* one line for logs: "reset 0000000A" */
	ToolOfficeChoice choice;
	char *snapshot; /* a new directory, for the files as they were; or NULL */
	gboolean is_dry_run;
	bool is_listed;       /* says of each file what was changed */
	bool has_records;     /* the command line has numbers of records */
	ToolSnapshot *copies; /* these are its own */
	GPtrArray *rows;
	GArray *entries; /* of uint64_t: those of the journal, as far as they
	                  * are known; NULL: none. Owned, like rows */
} ToolApply;

/**
 * As tool_options_read(), for a command whose options are @entries and those
 * that fill in @apply; its first argument is the store.
 */
int tool_apply_options(const ToolCommand *command, const GOptionEntry *entries,
                       char **argv, ToolApply *apply, ToolOptions *ret_options,
                       GError **error);

void tool_apply_clear(ToolApply *apply);

/**
 * Looks at @offices, adds to @edits what is to be changed, and remembers in
 * @user_data what there is to say of it. May be called more than once.
 */
typedef int ToolPlan(void *user_data, const ToolOffices *offices,
                     StoreEdits *edits, GError **error);

/**
 * Carries out what @plan lists, *@ret_count edits. With --dry-run nothing is
 * changed.
 *
 * Errors: those of @plan; -EBUSY if a program has a lock and does not let go of
 * it; -ESTALE if the files change again and again, or, with has_records, once.
 * Nothing was changed then.
 */
int tool_apply(ToolApply *apply, ToolPlan *plan, void *user_data,
               size_t *ret_count, GError **error);

/**
 * Says what was changed so far, or would be: the formatted sentence, with a row
 * for each file if they are to be listed or with --dry-run, and the entries of
 * the journal; with --json only rows and entries.
 */
void tool_apply_print(const ToolApply *apply, const ToolOptions *options,
                      const char *format, ...) G_GNUC_PRINTF(3, 4);

/**
 * Finds the mailbag of @name ("LAB/INQUEUE3", in any case) in @offices.
 *
 * Errors: -ENOENT, those of tool_offices_choose().
 * Ownership: the caller lets go of *@ret_all, which owns *@ret_mailbag.
 */
int tool_apply_mailbag(const ToolOffices *offices, const char *name,
                       GPtrArray **ret_all, const ToolMailbag **ret_mailbag,
                       GError **error);

/** How certain it is which records of @mailbag are live, in words. */
const char *tool_apply_certainty(const ToolMailbag *mailbag);

/**
 * As store_edits_add(), of the file @path in @office.
 *
 * Errors: with the sentence in *@error.
 */
int tool_apply_add(StoreEdits *edits, const ToolOffice *office,
                   StoreEditKind kind, const char *path, uint64_t offset,
                   GBytes *bytes, GError **error);

/** Has the KEY of @mailbag, if it has one, stay as it was seen: it says what is
 * live. Errors: as tool_apply_add(). */
int tool_apply_expect_key(StoreEdits *edits, const ToolMailbag *mailbag,
                          GError **error);

/** Which mailbags of a postoffice. */
typedef enum ToolMailbags {
	TOOL_MAILBAGS_INQUEUES,
	TOOL_MAILBAGS_ALL,
} ToolMailbags;

/** As tool_apply_expect_key(), of these @which of @mailbags, and of each MBG,
 * too: who names a message since then is seen by the next look. */
int tool_apply_expect_mailbags(StoreEdits *edits, const GPtrArray *mailbags,
                               ToolMailbags which, GError **error);

/** Has the files of @mailbag become @key and @mbg. */
int tool_apply_add_mailbag(StoreEdits *edits, const ToolMailbag *mailbag,
                           GBytes *key, GBytes *mbg, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ToolApply, tool_apply_clear)
