/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fs/config.h"
#include "fs/number.h"
#include "store/layout.h"
#include "store/store.h"

/**
 * Which nodeid the kernel is given for a node, and how long it may remember
 * what it was told. Pure.
 *
 * A mailbag, message or lock file may look different to each session, and the
 * kernel keeps one size for a nodeid. So each session has nodeids of its own
 * for them: its slot in the upper 16 bits, the node below. Everything else has
 * slot 0 and is the same for all. A nodeid is computed, never stored: there is
 * nothing to do when the kernel forgets it.
 */

/** Slots of sessions are 1 to this. */
#define FS_VIEW_SLOT_MAX 65535u

/** The nodeid of @node, a file of @kind (directories: LAYOUT_PLAIN). */
uint64_t fs_view_nodeid(unsigned slot, LayoutKind kind, StoreNode node);

/** The node behind @nodeid. */
StoreNode fs_view_node(uint64_t nodeid);

/** The slot that @nodeid belongs to; 0 is everybody's. */
unsigned fs_view_slot(uint64_t nodeid);

/** Whether @nodeid belongs to one session, so that nothing may be cached. */
bool fs_view_is_own(uint64_t nodeid);

/**
 * Seconds for which the kernel may take name @spelled, found as @stored, for
 * @nodeid. Only the stored spelling is remembered: it is the one that we can
 * name when the file goes away.
 */
double fs_view_entry_timeout_s(const FsConfig *config, uint64_t nodeid,
                               const char *spelled, const char *stored);

/** Seconds for which the kernel may remember the attributes of @nodeid. */
double fs_view_attr_timeout_s(const FsConfig *config, uint64_t nodeid);

/** Nanoseconds since 1970 at @time; what 64 bits cannot hold, which a client may
 * ask for, is the first or last that they can: in the years 1677 and 2262. */
int64_t fs_view_time_ns(const struct timespec *time);

/** The stat(2) of @attr, whatever the nodeid. */
struct stat fs_view_stat(const FsNumbers *numbers, const StoreAttr *attr);
