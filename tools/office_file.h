/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/format/name.h"
#include "tools/office.h"

/** A file of a postoffice; its texts are borrowed from the list. */
typedef struct ToolFile {
	StoreNode node;
	uint64_t size;
	int64_t touched_ns; /* the latest of its times: clients set one of them */
	const char *path;   /* in the postoffice: "MAI/MA3/00000063.MAI" */
	FormatNameKind kind;
	uint32_t number; /* that its stem is, if it is one */
	bool is_misplaced;
	bool is_lower;
} ToolFile;

/** All of them. */
typedef struct ToolFiles {
	GArray *all;             /* of ToolFile, owned */
	GPtrArray *messages;     /* the MAIs, by number; borrowed from all */
	GPtrArray *attachments;  /* the ATTs */
	GPtrArray *envelopes;    /* the P1s */
	GHashTable *directories; /* paths of all directories, a set */
	GStringChunk *texts;     /* owned */
} ToolFiles;

/**
 * Lists the files below the directories that @office owns, not those of
 * gateways and strangers, nor of postoffices below it. A MAI or ATT that is not
 * in the directory of its last digit is in no list but that of all, for no
 * program finds it.
 *
 * Ownership: the caller frees *@ret_files.
 */
int tool_file_list(const ToolOffice *office, ToolFiles **ret_files);

/** When anything was last done to the file of @attr: the latest of its times, one
 * of which a client may set; an import sets the others to that one. */
int64_t tool_file_touched(const StoreAttr *attr);

/** Where @number is in @files, or would be: the place of the first that is not
 * less. */
guint tool_file_place(const GPtrArray *files, uint32_t number);

/** The one of @files with @number, or NULL. Ownership: borrowed. */
const ToolFile *tool_file_find(const GPtrArray *files, uint32_t number);

void tool_files_free(ToolFiles *files);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolFiles, tool_files_free)
