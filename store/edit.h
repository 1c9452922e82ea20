/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "store/store.h"

/**
 * A list of edits: what an administrator's command wants changed, and what it
 * saw when it decided so. It is made beside the daemon, from a store that is
 * open for reading, and applied by whoever has the store open for writing: all
 * of it, or, if a file is not what it was any more, nothing.
 *
 * What a file was is its node, which is never used again, and the time of its
 * last change, which every write moves: so the check costs the same for a
 * message of a gigabyte as for a KEY, and stops nobody meanwhile.
 *
 * Edits of one list may be of one file: what each expects is what was before
 * the first. They are carried out in order.
 *
 * Threads: one at a time.
 */
typedef struct StoreEdits StoreEdits;

/** Most edits of a list. */
#define STORE_EDITS_MAX 65536

/** Most bytes that the edits of a list write, and of a list encoded. */
#define STORE_EDITS_BYTES_MAX ((size_t)256 << 20)
#define STORE_EDITS_SIZE_MAX  ((size_t)320 << 20)

typedef enum StoreEditKind {
	STORE_EDIT_EXPECT, /* nothing is done: it must be as it was */
	STORE_EDIT_WRITE,  /* the content becomes bytes; the node stays, or, if
	                    * there is none, a file is made */
	STORE_EDIT_PATCH,  /* bytes are written at an offset */
	STORE_EDIT_REMOVE,
	STORE_EDIT_UNDO, /* of what the entry of the journal did whose number is
	                  * the offset: one for each path that it is about, side
	                  * by side */
	STORE_EDIT_ATTR, /* all that bytes has of it (edit_attr.h), of a file
	                  * that is there or that an edit before has made */
} StoreEditKind;

typedef struct StoreEdit {
	StoreEditKind kind;
	char *path;       /* owned; below the root ("/PO/KEY/A.KEY") */
	StoreNode node;   /* that is there; 0: there is none */
	int64_t ctime_ns; /* of it */
	uint64_t size;    /* of it, in bytes */
	uint64_t offset;  /* of a patch, in bytes; or the entry */
	GBytes *bytes;    /* owned; of a write, patch or ATTR, else NULL */
} StoreEdit;

StoreEdits *store_edits_new(void);

/** NULL is a no-op. */
void store_edits_free(StoreEdits *edits);

size_t store_edits_count(const StoreEdits *edits);

/** Ownership: borrowed. */
const StoreEdit *store_edits_at(const StoreEdits *edits, size_t i);

/**
 * Adds an edit of the file @path, which is to be as @txn sees it now. Of a
 * patch @offset and @bytes count, of a write and of attributes @bytes, of an undo
 * @offset; else they are 0 and NULL.
 *
 * Errors: -ENOENT if there is no such file (a write makes it, an undo may, and
 * attributes may be of one that was made so) or directory,
 * -EISDIR, -E2BIG if the list is full, -EFBIG past STORE_FILE_SIZE_MAX.
 * Ownership: @bytes gains a reference.
 */
int store_edits_add(StoreEdits *edits, StoreTxn *txn, StoreEditKind kind,
                    const char *path, uint64_t offset, GBytes *bytes);

/** The list as bytes. Ownership: the caller's. */
GBytes *store_edits_encode(const StoreEdits *edits);

/**
 * Reads what store_edits_encode() wrote; trusts nothing in it.
 *
 * Errors: -EBADMSG. Ownership: the caller frees *@ret_edits, whose contents
 * may refer to @bytes.
 */
int store_edits_decode(GBytes *bytes, StoreEdits **ret_edits);

/** The place of @edit's file. Errors: -ENOENT if its directory is gone. */
int store_edit_place(StoreTxn *txn, const StoreEdit *edit,
                     StorePlace *ret_place);

/**
 * Carries out @edits in @txn. A new file belongs to whom its directory does.
 *
 * Errors: -ESTALE if a file is not what it was, before anything was done; what
 * store.h says of the changes, in the midst of them: then @txn must be aborted.
 * On any error *@ret_reason is a sentence that names the file.
 * Ownership: the caller frees *@ret_reason.
 */
int store_edits_apply(StoreTxn *txn, const StoreEdits *edits,
                      char **ret_reason);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreEdits, store_edits_free)
