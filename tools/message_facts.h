/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "tools/office.h"

/** What poctl message tells of a message, as rows (aa{sv}) of rows.h. */
typedef struct ToolMessageFacts {
	GVariant *summary;     /* a{sv}, owned */
	GVariant *references;  /* the records that name it, owned */
	GVariant *elements;    /* of its MAI, owned */
	GVariant *attachments; /* that may be its own: a guess, owned */
	GBytes *content;       /* of its MAI, owned; NULL: there is none */
} ToolMessageFacts;

/** How they are to be printed. */
typedef struct ToolMessageStyle {
	gboolean iso;
	gboolean tree; /* an element's name is indented by its depth */
} ToolMessageStyle;

/** Most elements that are told of. */
#define TOOL_MESSAGE_ELEMENTS_MAX 10000

/**
 * Finds out all about message @number of @office.
 *
 * Errors: -ENOENT if there is nothing of it, neither file nor header.
 * Ownership: the caller clears *@ret_facts.
 */
int tool_message_facts_find(const ToolOffice *office, uint32_t number,
                            const ToolMessageStyle *style,
                            ToolMessageFacts *ret_facts);

void tool_message_facts_clear(ToolMessageFacts *facts);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ToolMessageFacts, tool_message_facts_clear)
