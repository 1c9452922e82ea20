/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/store.h"
#include "tools/owner.h"

/**
 * A new store that is not there yet: whoever makes it fills it first and then
 * publishes it, so that a failure leaves nothing behind.
 *
 * Where nothing is at its path, it grows in a directory beside it (called
 * path.new-XXXXXX) and is renamed at the end. An empty directory may be a
 * mount point, or in a directory that the caller may not write: then it grows
 * in that (called .new-XXXXXX), and its database is moved up at the end. What a
 * power cut leaves of either is in nobody's way.
 */
typedef struct ToolDraft ToolDraft;

/** Whether a new store may be made at @path: nothing or an empty directory. */
bool tool_draft_is_possible(const char *path);

/**
 * Begins a store of @map_size bytes of address space (0 = the default) at
 * @path. @owner may be NULL: the store then is the caller's, or the owner's
 * whose the empty directory @path is.
 *
 * Ownership: the caller publishes or frees *@ret_draft.
 */
int tool_draft_begin(const char *path, uint64_t map_size,
                     const ToolOwner *owner, ToolDraft **ret_draft,
                     GError **error);

/**
 * As tool_draft_begin(), but leaves it to the caller to make a store in
 * tool_draft_dir(), to leave nothing there if that fails, and to go on with
 * tool_draft_open().
 */
int tool_draft_begin_empty(const char *path, const ToolOwner *owner,
                           ToolDraft **ret_draft, GError **error);

/** Where it grows. Ownership: borrowed from @draft. */
const char *tool_draft_dir(const ToolDraft *draft);

/** Opens the store that the caller has made. */
int tool_draft_open(ToolDraft *draft, StoreAccess access, GError **error);

/** The open store. Ownership: borrowed from @draft. */
Store *tool_draft_store(ToolDraft *draft);

/** Whose the store will be. Ownership: borrowed from @draft. */
const ToolOwner *tool_draft_owner(const ToolDraft *draft);

/** Makes *@draft the store at its path, or discards it on an error. */
int tool_draft_publish(ToolDraft **draft, GError **error);

/** Discards @draft. NULL is a no-op. */
void tool_draft_free(ToolDraft *draft);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolDraft, tool_draft_free)
