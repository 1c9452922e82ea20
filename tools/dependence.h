/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/edit.h"
#include "tools/deed.h"
#include "tools/office.h"

/**
 * What depends on a deed, though it has changed other files: programs make a
 * message, its envelope and its attachments first, and enter the message in
 * mailbags with another transaction.
 */

/**
 * Refuses to have @deed undone while a live record of @office names a message
 * that it has made, renamed or filled, the envelope of one in an inqueue, or what
 * may be the message of an attachment. Adds to @edits that the mailbags stay as
 * they were seen.
 *
 * Errors: -EBUSY, with the sentence in *@error, as of all others.
 */
int tool_dependence_check(const ToolOffice *office, const ToolDeed *deed,
                          StoreEdits *edits, GError **error);
