/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "tools/office_mailbag.h"

/** A record that names a message. */
typedef struct ToolReference {
	uint32_t message; /* the number that its stem is */
	uint32_t mailbag; /* its place in the list of mailbags */
	uint32_t record;
	uint32_t digest; /* of the subject: equal if they are */
	bool is_live;    /* assumed */
} ToolReference;

/**
 * Lists the references in the records of @mailbags, in the order of messages,
 * then of @mailbags. A record whose stem is none has no reference.
 *
 * Ownership: the caller lets go of *@ret_references, of ToolReference.
 */
int tool_reference_list(const GPtrArray *mailbags, GArray **ret_references);

/** The references to @message: *@ret_count from the one that is returned, NULL
 * if there are none. Ownership: borrowed from @references. */
const ToolReference *tool_reference_find(const GArray *references,
                                         uint32_t message, guint *ret_count);

/** How many live references there are, by what they say of owners. */
typedef struct ToolReferenceCount {
	unsigned all;    /* deleted ones, too */
	unsigned owners; /* live, in mailbags that their owners read */
	unsigned queued; /* live, in inqueues: owners are still to come */
} ToolReferenceCount;

ToolReferenceCount tool_reference_count(const GPtrArray *mailbags,
                                        const ToolReference *references,
                                        guint count);

/** How the owners that a MAI counts stand to its live references. */
typedef enum ToolOwnership {
	TOOL_OWNERSHIP_EVEN,
	TOOL_OWNERSHIP_QUEUED, /* to be seen when a mailer has delivered it */
	TOOL_OWNERSHIP_LESS,   /* erased while there are still headers */
	TOOL_OWNERSHIP_MORE,   /* stays when there are no more headers; or what
	                        * external recipients count, which is not
	                        * public */
} ToolOwnership;

/** Compares a MAI's @owners with its references. */
ToolOwnership tool_reference_compare(const ToolReferenceCount *count,
                                     uint16_t owners);

/** A sentence for @ownership. */
const char *tool_ownership_text(ToolOwnership ownership);
