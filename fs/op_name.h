/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "fs/ops.h"

/** A name that was found. */
typedef struct FsFound {
	StoreEntry entry;
	StoreAttr attr; /* as reported */
} FsFound;

/** Finds @name in @dir, whatever its case. */
int fs_name_find(const FsCall *call, StoreNode dir, const char *name,
                 FsFound *ret_found);

/** Makes the kernel forget @name in @dir. */
void fs_name_forget(const FsCall *call, fuse_ino_t dir, const char *name);

/** Called after @found in @dir, which was @spelled so, has lost its name. */
void fs_name_lost(const FsCall *call, fuse_ino_t dir, const FsFound *found,
                  const char *spelled);

/** Called after @node has lost a name, which may be staged. */
void fs_name_disown(const FsCall *call, StoreNode node);

/** Called where what is staged may have got a plain name by no doing of who has
 * staged it: a directory's name, or role, has changed. */
void fs_name_disown_staged(const FsMount *mount);

/** Called after names in @dir have changed that had the role @before. */
void fs_name_settle_role(const FsCall *call, fuse_ino_t dir, LayoutDir before);

/**
 * Whether the caller may take @attr's node away. DOS does not delete or replace
 * what another program has open.
 */
int fs_name_check_removable(const FsCall *call, const FsSession *session,
                            const StoreAttr *attr);
