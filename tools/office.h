/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/format/key.h"
#include "store/store.h"

/**
 * The postoffices of a store, as the commands read them that look at mail.
 *
 * All is of one snapshot, taken when the store was opened: what a program has
 * staged is not there, and nobody is delayed.
 */

/** A postoffice: a directory with the children KEY and MBG. */
typedef struct ToolOffice {
	StoreTxn *txn;  /* borrowed */
	StoreNode node; /* its directory */
	char *path;     /* below the root, "" for the root itself; owned */
	const FormatKeyLayout *layout; /* borrowed */
} ToolOffice;

/** All of them. */
typedef struct ToolOffices {
	Store *store;           /* owned */
	FormatKeyLayout layout; /* of all KEY files */
	GPtrArray *list;        /* of ToolOffice, owned; never empty */
} ToolOffices;

/** Which of them, from the command line; NULL: as if not given. */
typedef struct ToolOfficeChoice {
	char *config; /* a key file with a layout of KEY files */
	char *folder; /* of the one postoffice */
} ToolOfficeChoice;

/**
 * Opens the store in @dir for reading, and finds the postoffices of @choice.
 *
 * Errors: those of opening it; -ENOENT if there is no such postoffice.
 * Ownership: the caller closes *@ret_offices.
 */
int tool_offices_open(const char *dir, const ToolOfficeChoice *choice,
                      ToolOffices *ret_offices, GError **error);

void tool_offices_close(ToolOffices *offices);

/**
 * The postoffice that @name, of something in it, is of: "LAB/INQUEUE3" is
 * INQUEUE3 of the one in LAB. Without a folder, there must be one only.
 *
 * Ownership: the results are borrowed.
 */
int tool_offices_choose(const ToolOffices *offices, const char *name,
                        const ToolOffice **ret_office, const char **ret_rest,
                        GError **error);

/** @name after its postoffice, if it needs one: "LAB/INQUEUE3". Caller frees. */
char *tool_office_name(const ToolOffice *office, const char *name);

/** Finds the file @path ("GLB/CONTROL.GLB"). Errors: -ENOENT, also for a
 * directory. */
int tool_office_find(const ToolOffice *office, const char *path,
                     StoreAttr *ret_attr);

/** Finds the directory @path. Errors: -ENOENT, also for a file. */
int tool_office_find_dir(const ToolOffice *office, const char *path,
                         StoreNode *ret_dir);

/**
 * Reads the file @path, but no more than its first @max bytes.
 *
 * Errors: -ENOENT. Ownership: the caller lets go of *@ret_bytes.
 */
int tool_office_read(const ToolOffice *office, const char *path, size_t max,
                     GBytes **ret_bytes);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ToolOffices, tool_offices_close)
