/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "store/store.h"

/**
 * Where an export goes: a directory, or a tar stream in the pax format. Both
 * keep times to the nanosecond, extended attributes and holes.
 */
typedef struct ToolOutlet ToolOutlet;

/** An extended attribute. */
typedef struct ToolXattr {
	char *name;    /* owned */
	GBytes *value; /* owned */
} ToolXattr;

/** Data of a file, from its first byte up to, not including, its last. */
typedef struct ToolRange {
	uint64_t from;
	uint64_t to;
} ToolRange;

/** What is written: its name and all but its bytes. */
typedef struct ToolOutletItem {
	const char *path; /* below the top; "." for the top itself */
	const StoreAttr *attr;
	const GArray *xattrs; /* ToolXattr */
	const GArray *ranges; /* ToolRange: what is no hole */
} ToolOutletItem;

/**
 * Begins to write into the directory @dir, which is made unless it is there and
 * empty, and becomes the working directory. Run by root it keeps the owners.
 */
int tool_outlet_open_dir(const char *dir, ToolOutlet **ret_outlet,
                         GError **error);

/** Begins a tar stream to the open file @fd. */
int tool_outlet_open_tar(int fd, ToolOutlet **ret_outlet, GError **error);

/** Begins @item; a file's bytes follow. */
int tool_outlet_add(ToolOutlet *outlet, const ToolOutletItem *item,
                    GError **error);

/** Writes bytes of the item, in order; what is left out is a hole. */
int tool_outlet_write(ToolOutlet *outlet, uint64_t offset, const void *data,
                      size_t size, GError **error);

/** Ends the item. */
int tool_outlet_end(ToolOutlet *outlet, GError **error);

/**
 * Ends @outlet. If the target could not keep some attributes (owner, extended
 * attributes), *@ret_warning is one sentence about it, else NULL.
 *
 * Ownership: takes *@outlet, also on error; the caller frees *@ret_warning.
 */
int tool_outlet_close(ToolOutlet **outlet, char **ret_warning, GError **error);

/** Gives up. NULL is a no-op. */
void tool_outlet_free(ToolOutlet *outlet);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolOutlet, tool_outlet_free)
