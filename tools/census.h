/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "tools/office_file.h"
#include "tools/office_mailbag.h"
#include "tools/office_message.h"
#include "tools/office_reference.h"
#include "tools/progress.h"

/**
 * Two polling intervals of a mailer, in seconds (Q199800): what it makes for a
 * moment is stale by then.
 */
#define TOOL_CENSUS_CYCLE_S 600

/**
 * Seconds in which a message gets its header: it is there first, while it is
 * written, sent, or waits for a telephone line (Q119642).
 */
#define TOOL_CENSUS_DAY_S 86400

/** A MAI and what it says. */
typedef struct ToolCensusMessage {
	const ToolFile *file; /* borrowed */
	ToolReferenceCount count;
	bool has_owners;
	bool is_checked; /* not too large to be looked at */
	uint16_t owners;
	FormatMaiReport report;
} ToolCensusMessage;

/** All that the rules of check --mail look at, of one postoffice. */
typedef struct ToolCensus {
	const ToolOffice *office; /* borrowed */
	int64_t now_ns;           /* when it was made */
	GPtrArray *mailbags;      /* of ToolMailbag, owned */
	bool is_whole;            /* tool_mailbags_are_whole() */
	GArray *references;       /* of ToolReference, owned */
	ToolFiles *files;         /* owned */
	GArray *messages;         /* of ToolCensusMessage, by number; owned */
} ToolCensus;

/**
 * Makes the census of @office. It holds some 200 bytes for each file and 20 for
 * each record; contents are read one at a time.
 *
 * Ownership: the caller frees *@ret_census; @progress is borrowed.
 */
int tool_census_make(const ToolOffice *office, ToolProgress *progress,
                     ToolCensus **ret_census);

/** The mailbag @name, or NULL. Ownership: borrowed. */
const ToolMailbag *tool_census_mailbag(const ToolCensus *census,
                                       const char *name);

/** Whether @file was last changed more than @age_s seconds ago. */
bool tool_census_is_older(const ToolCensus *census, const ToolFile *file,
                          int64_t age_s);

void tool_census_free(ToolCensus *census);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolCensus, tool_census_free)
