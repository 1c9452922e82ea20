/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include <glib.h>

#include "store/layout.h"

/**
 * A directory tree on disk, read as a store would keep it.
 *
 * One walk judges every name and file and tells a visitor of it. An import
 * walks twice: first only to judge, then to copy, so that a tree that cannot
 * be imported changes nothing, whatever its size, in little memory.
 *
 * The tree is only read; its access times stay as they are where the system
 * allows it.
 */

/** Deepest tree that is walked, in directories. */
#define TOOL_SOURCE_DEPTH_MAX 250

typedef struct ToolSourceItem {
	const char *path; /* below the top; "." for the top itself */
	const char *name; /* as the store shall call it */
	unsigned depth;   /* 0 is the top */
	bool is_upper;    /* the name was made upper case */
	int fd;           /* open for reading */
	struct stat st;
} ToolSourceItem;

/** What is done with a walk's finds. All but enter, leave and file are told
 * and cannot fail; an error of those ends the walk. */
typedef struct ToolSourceVisitor {
	int (*enter)(void *user_data, const ToolSourceItem *dir);
	int (*leave)(void *user_data, const ToolSourceItem *dir);
	int (*file)(void *user_data, const ToolSourceItem *file);

	/** @path, and all below it, cannot be kept; @reason is a clause. */
	void (*refuse)(void *user_data, const char *path, const char *reason);

	/** @path is a lock file that a crash left behind. */
	void (*skip)(void *user_data, const char *path);
} ToolSourceVisitor;

/**
 * Walks the tree at @dir, directories before their content, names in order,
 * but KEY and MBG first: they make a postoffice. @role is what @dir is where
 * it will be put, unless it is a postoffice itself.
 *
 * Errors: -EINTR if tool_interrupt_is_asked(); the visitor's, without *@error.
 */
int tool_source_walk(const char *dir, LayoutDir role,
                     const ToolSourceVisitor *visitor, void *user_data,
                     GError **error);

/**
 * Whether @path, which need not exist, is @dir or below it. A walk opens and
 * closes every file, and a store's lock file with them: all locks that this
 * process has on it would be gone, and its pages used again while they are read.
 */
bool tool_source_has(const char *dir, const char *path);

/** Whether @name may be kept from a source: "user." attributes only. */
bool tool_source_has_xattr(const char *name);

/** Lists the attributes of the open file @fd, each name ended by a NUL, in
 * *@ret_names. Where there can be none, it is empty. */
int tool_source_xattrs(int fd, GByteArray *ret_names);
