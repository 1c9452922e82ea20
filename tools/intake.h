/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/store.h"
#include "tools/owner.h"
#include "tools/progress.h"
#include "tools/report.h"
#include "tools/source.h"

/**
 * Copies a source tree into a directory of a store: the second walk of an
 * import, which fails if it does not find what the first one found.
 */
typedef struct ToolIntake ToolIntake;

/**
 * Begins a copy of the tree that @expected describes into the empty directory
 * @top of @store. @owner, if not NULL, owns what is copied.
 *
 * Ownership: all but the result is borrowed until that is freed.
 */
ToolIntake *tool_intake_new(Store *store, StoreNode top,
                            const ToolReport *expected, const ToolOwner *owner,
                            ToolProgress *progress);

/** What copies: for tool_source_walk(), whose user data is the intake. */
extern const ToolSourceVisitor tool_intake_visitor;

/** Moves the reason why it ended the walk, if it did, to *@error. */
void tool_intake_take_error(ToolIntake *intake, GError **error);

void tool_intake_free(ToolIntake *intake);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolIntake, tool_intake_free)
