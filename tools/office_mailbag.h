/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/format/mbg.h"
#include "tools/office.h"

/** What a mailbag is for (postoffice: queues). */
typedef enum ToolMailbagKind {
	TOOL_MAILBAG_INQUEUE,  /* mailers take new mail from it */
	TOOL_MAILBAG_SYSTEM,   /* directory synchronization's (Q131680) */
	TOOL_MAILBAG_EXTERNAL, /* the queue to another postoffice */
	TOOL_MAILBAG_GATEWAY,  /* the queue to a gateway */
	TOOL_MAILBAG_USER,
	TOOL_MAILBAG_OTHER, /* its name is none that the programs make */
} ToolMailbagKind;

/** A mailbag: KEY/x.KEY and MBG/x.MBG, or what there is of them. */
typedef struct ToolMailbag {
	const ToolOffice *office; /* borrowed */
	char name[LAYOUT_MAILBAG_MAX + 1];
	ToolMailbagKind kind;
	char *owner;   /* owned: "NET/PO", a gateway, a user, or "" */
	StoreAttr key; /* node 0: there is none */
	StoreAttr mbg; /* node 0: there is none */
	bool has_bits; /* the KEY has the size of one */
	uint8_t bits[FORMAT_KEY_SIZE]; /* its content then */
	uint32_t records;              /* whole ones in the MBG, 4096 at most */
	uint32_t live; /* of them; assumed; all where there are no bits */
	bool has_last; /* of a census: a deleted record names a message that is
	                * there, and no live one does */
} ToolMailbag;

/** One of its records. */
typedef struct ToolRecord {
	uint32_t number; /* from 0, as in the KEY's bitmap */
	bool is_live;    /* assumed */
	FormatMbgRecord header;
} ToolRecord;

/**
 * Lists the mailbags of @office in the order of their names: each that has a
 * KEY or an MBG. Whose they are follows from NETWORK.GLB, the XTN files and
 * ADMIN.NME.
 *
 * Ownership: the caller lets go of *@ret_mailbags, which owns its ToolMailbag.
 */
int tool_mailbag_list(const ToolOffice *office, GPtrArray **ret_mailbags);

/** Whether @mailbag has its two files, and the MBG the size of one: it may else
 * have lost records, or have some that nobody reads. */
bool tool_mailbag_is_whole(const ToolMailbag *mailbag);

/** Told of a record; a negative errno ends the reading. */
typedef int ToolRecordVisit(void *user_data, const ToolMailbag *mailbag,
                            const ToolRecord *record);

/** Calls @visit for each record in turn. */
int tool_mailbag_read(const ToolMailbag *mailbag, ToolRecordVisit *visit,
                      void *user_data);

/**
 * Whether each of the @mailbags of @office is whole, INQUEUE is among them, and
 * so is each that has a file, and each live record names a message: what is in
 * no record of theirs may else have been in one that is lost, spoiled, or of a
 * mailbag whose name is too long to be listed. Reads all of them.
 */
bool tool_mailbags_are_whole(const ToolOffice *office,
                             const GPtrArray *mailbags);

/** Reads the one record @number, which is below mailbag->records. */
int tool_record_read(const ToolMailbag *mailbag, uint32_t number,
                     ToolRecord *ret_record);

/** "inqueue", "system", ... */
const char *tool_mailbag_kind_text(ToolMailbagKind kind);

/** The time in a record's header, "1993-10-08 16:25", or, if @iso, with a "T" in
 * the middle; it has no zone. NULL if it is none. Ownership: the caller frees
 * it. */
char *tool_record_time(const ToolRecord *record, bool iso);
