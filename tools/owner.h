/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <sys/types.h>

#include <glib.h>

/** Whose a store is, and what is in it. */
typedef struct ToolOwner {
	uid_t uid;
	gid_t gid;
} ToolOwner;

/** Who runs the tool. */
ToolOwner tool_owner_self(void);

/** Reads "USER" or "USER:GROUP", names or numbers; without a group it is the
 * user's own. */
int tool_owner_parse(const char *text, ToolOwner *ret_owner, GError **error);

/** Gives the directory @dir of a closed store and its files to @owner. */
int tool_owner_give(const ToolOwner *owner, const char *dir, GError **error);
