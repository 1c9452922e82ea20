/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

#include <glib.h>

/**
 * A postoffice as a lesson sees it: its mailbags, messages and envelopes with
 * their bytes, and how large its attachments are. Read from the committed state,
 * beside the daemon.
 */
typedef struct ToolSight ToolSight;

/** Bytes that are kept of one message or envelope. */
#define TOOL_SIGHT_BYTES_MAX ((size_t)64 << 10)

/** The size of a file that is not there. */
#define TOOL_SIGHT_NONE ((int64_t)-1)

/** What happened to one file between two sights. */
typedef struct ToolChange {
	char *path;       /* in the postoffice: "KEY/0000000A.KEY"; owned */
	int64_t sizes[2]; /* before and after, in bytes; or TOOL_SIGHT_NONE */
	GBytes *bytes[2]; /* owned; NULL where they were not looked at */
} ToolChange;

/** Frees a ToolChange. */
void tool_change_free(void *change);

/** The one of @changes (of ToolChange) of the file @path, or NULL. Borrowed. */
const ToolChange *tool_change_find(const GPtrArray *changes, const char *path);

/**
 * Looks at the postoffice in folder @office (NULL: the only one, or the root)
 * of the store @dir. Of messages and envelopes that @before has, too, and that
 * are as they were, it keeps what is known; @before may be NULL: then they are
 * known by size only.
 *
 * Ownership: the caller frees *@ret_sight.
 */
int tool_sight_take(const char *dir, const char *office,
                    const ToolSight *before, ToolSight **ret_sight,
                    GError **error);

/**
 * What differs, by path.
 * Ownership: the caller's, of ToolChange.
 */
GPtrArray *tool_sight_compare(const ToolSight *before, const ToolSight *after);

/** The folder of the store that the postoffice is in, "" for the root; borrowed. */
const char *tool_sight_folder(const ToolSight *sight);

/** The bytes of the file @path, borrowed; NULL if it is not there, or unread. */
GBytes *tool_sight_bytes(const ToolSight *sight, const char *path);

/** NULL is a no-op. */
void tool_sight_free(ToolSight *sight);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolSight, tool_sight_free)
