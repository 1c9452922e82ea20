/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "tools/notes.h"

/** The one message that a note saw coming. Bytes are borrowed from the note. */
typedef struct ToolPost {
	const uint8_t *record; /* of the watched mailbag's MBG, or NULL */
	GBytes *mai;           /* NULL if there is not exactly one */
	GBytes *envelope;      /* its P1, or NULL */
	const char *mai_path;
	const char *envelope_path;
	unsigned references; /* headers that name the MAI, in all mailbags */
} ToolPost;

/** Finds it in @note. Returns whether there is a new record, or a MAI. */
bool tool_post_find(const ToolNote *note, ToolPost *ret_post);

/**
 * A line for each element of the message @mai, with what is not text in it, as
 * far as it is elements. Ownership: the caller's.
 */
GPtrArray *tool_post_elements(GBytes *mai);
