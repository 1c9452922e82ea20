/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "tools/sight.h"

/**
 * The notes of learn: what was done, and what was seen before and after it, one
 * note for each thing that was done. They say nothing of what follows from it,
 * which learnt.h finds out each time, so that old notes tell more when more is
 * known. They are text (a key file, bytes in hexadecimal). What is other people's
 * is left out, where it is known to be.
 */
typedef struct ToolNotes ToolNotes;

/** What was seen of one thing that was done. All is owned, NULL if there is
 * none. */
typedef struct ToolNote {
	unsigned number; /* from 1 */
	char *time;      /* ISO 8601 */
	char *step;      /* of task.h */
	char *task;
	char *did; /* in words */
	char *mailbag;
	char *trace;        /* the file beside the notes that was recorded */
	GArray *deleted;    /* of uint32_t: records that were deleted */
	GPtrArray *changes; /* of ToolChange, by path */
	char *said;         /* what the administrator typed in */
} ToolNote;

ToolNote *tool_note_new(const char *step, const char *task);

void tool_note_free(ToolNote *note);

/**
 * Which bytes of the mailbag's KEY or MBG (@kind) differ: "0x030 00>02", or
 * "none". Ownership: the caller frees it.
 */
char *tool_note_bytes_text(const ToolNote *note, const char *kind);

/**
 * The same of @change, up to @max of them.
 * Ownership: the caller frees it.
 */
char *tool_change_text(const ToolChange *change, unsigned max);

/**
 * Reads the notes in directory @dir, which need not be there.
 *
 * Errors: -EINVAL if they are none. Ownership: the caller frees *@ret_notes.
 */
int tool_notes_read(const char *dir, ToolNotes **ret_notes, GError **error);

/** Notes that are kept in memory only. */
ToolNotes *tool_notes_new(void);

/** NULL is a no-op. */
void tool_notes_free(ToolNotes *notes);

/** How many there are. */
unsigned tool_notes_count(const ToolNotes *notes);

/** Note @i, from 0. Borrowed. */
const ToolNote *tool_notes_get(const ToolNotes *notes, unsigned i);

/** The last note of @task of @step and, if that is not NULL, of @mailbag; NULL
 * if there is none. Borrowed. */
const ToolNote *tool_notes_find(const ToolNotes *notes, const char *step,
                                const char *task, const char *mailbag);

/** Adds @note, which gets its number and time, and keeps them all. Takes it. */
int tool_notes_add(ToolNotes *notes, ToolNote *note, GError **error);

/**
 * Makes their directory @dir, if it is not there. A symbolic link is none: who
 * the store belongs to may have put it there, for whoever is root to follow.
 */
int tool_notes_make_dir(const char *dir, GError **error);

/** Where they are kept, borrowed; NULL: nowhere. */
const char *tool_notes_dir(const ToolNotes *notes);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolNotes, tool_notes_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolNote, tool_note_free)
