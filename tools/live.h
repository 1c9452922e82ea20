/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "tools/rows.h"

/** What is shown of the answers to "sessions" and "locks". */
extern const ToolColumn TOOL_LIVE_SESSIONS[];
extern const ToolColumn TOOL_LIVE_LOCKS[];

/**
 * Asks the daemon that serves @store to do @command with @argument, over the
 * socket STORE/control, and waits for the answer, which must be of @type.
 *
 * Errors: -ENOTCONN if no daemon has the store open for writing; -EREMOTEIO if
 * it does not do that, and says why.
 * Ownership: the caller lets go of *@ret_result.
 */
int tool_live_ask(const char *store, const char *command, const char *argument,
                  const char *type, GVariant **ret_result, GError **error);

/**
 * The same for what takes its time, with @bytes in a file that is sent along:
 * it waits for the answer as long as the daemon lives.
 */
int tool_live_send(const char *store, const char *command, const char *argument,
                   GBytes *bytes, const char *type, GVariant **ret_result,
                   GError **error);

/**
 * Has the daemon that serves @store, if there is one, bring to disk what all its
 * clients see: a change without a lock is there for who opens the store a second
 * later only.
 */
int tool_live_catch_up(const char *store, GError **error);
