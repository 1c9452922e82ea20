/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "tools/lesson.h"
#include "tools/notes.h"

/** How sure a finding is. */
typedef enum ToolCertainty {
	TOOL_SEEN,    /* bytes or requests that were seen; no more */
	TOOL_FITS,    /* explains all that was seen; other things may, too */
	TOOL_FOLLOWS, /* of all that is known, nothing else explains it */
	TOOL_CONTRADICTS, /* what was seen contradicts what is known, or
	                   * something seen before */
	TOOL_OPEN,        /* cannot be told yet: says what would tell it */
} ToolCertainty;

/** What follows from notes. */
typedef struct ToolLearnt {
	char *about; /* "KEY 0x004"; owned */
	ToolCertainty certainty;
	char *sentence; /* owned */
	char *notes;    /* on which it is based: "2, 3"; owned */
} ToolLearnt;

/** All that follows from @notes. Ownership: the caller's, of ToolLearnt. */
GPtrArray *tool_learnt_find(const ToolNotes *notes);

/** "seen", ... */
const char *tool_certainty_text(ToolCertainty certainty);

/* ---- of each kind -------------------------------------------------------- */

/** Adds a finding to @learnt; takes @notes, as "2, 3". */
void tool_learnt_add(GPtrArray *learnt, ToolCertainty certainty,
                     const char *about, char *notes, const char *format, ...)
	G_GNUC_PRINTF(5, 6);

/** Of the mailbags: where the bitmap is, which records are used again. */
void tool_learnt_mailbags(GPtrArray *learnt, const ToolNotes *notes);

/** Of one @lesson: which bytes of the KEY count something. */
void tool_learnt_counters(GPtrArray *learnt, const ToolLesson *lesson,
                          const char *mailbag);

/** Of the step headers: which bytes of a record and a MAI depend on what. */
void tool_learnt_headers(GPtrArray *learnt, const ToolNotes *notes);

/** Of all messages: sizes, owner counts, first bytes, envelopes. */
void tool_learnt_messages(GPtrArray *learnt, const ToolNotes *notes);

/** Of the traces. */
void tool_learnt_traces(GPtrArray *learnt, const ToolNotes *notes);

/** The numbers of notes as they are collected: "2, 3". */
void tool_learnt_cite(GString *cited, const ToolNote *note);
