/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <lmdb.h>

#include "store/kv.h"

/**
 * LMDB environments: made, judged, opened and measured. Beside kv_lmdb.c the
 * only file that knows LMDB.
 */

/** The free list, and the one database with all records. */
#define LMDB_FREE_DBI ((MDB_dbi)0)
#define LMDB_DBI      ((MDB_dbi)1)

/**
 * The one place where LMDB's errors become ours. Returns 0 or a negative
 * errno: -EPROTO not LMDB's, -EUCLEAN damaged, -ENOSPC the map is full, -EIO.
 */
int lmdb_error(int code);

/** Creates an empty environment in @dir and syncs it; @map_size in bytes. */
int lmdb_env_create(const char *dir, uint64_t map_size);

/** Whether there is a file that may be LMDB's: 0, -ENOENT, ... */
int lmdb_env_check_file(const char *dir);

/**
 * Opens the environment in @dir with @flags of mdb_env_open(); @map_size 0 is
 * as created. No page but the meta pages is looked at.
 *
 * Errors: -EPROTO not LMDB's, -EUCLEAN a meta page is damaged.
 * Ownership: lmdb_env_close().
 */
int lmdb_env_open(const char *dir, unsigned flags, uint64_t map_size,
                  MDB_env **ret_env);

/** Whether the file is shorter than all its pages: it was cut off, or its last
 * pages are free ones that were never written. */
bool lmdb_env_is_short(MDB_env *env);

/**
 * Lists in @findings, as sentences, what is wrong with the pages of @env; with
 * @is_still nobody writes to it meanwhile, and the meta pages are looked at,
 * too. Errors: LMDB's.
 */
int lmdb_env_verify(MDB_env *env, bool is_still, GPtrArray *findings);

/**
 * Writes the meta pages of @env, which is open for writing, again as they are,
 * and syncs them. After a sync that failed, one may be on the disk that is not
 * what is read, and the kernel takes that for clean; the next commit would
 * write over pages that it names, and a power cut leave a damaged database.
 *
 * Errors: -EIO.
 */
int lmdb_env_settle(MDB_env *env);

/** As kv_room(). Errors: those of the file. */
int lmdb_txn_room(MDB_txn *txn, KvRoom *ret_room);

/** Closes and clears *@env. NULL is a no-op. */
void lmdb_env_close(MDB_env **env);

/** Bytes of a page. */
uint64_t lmdb_page_size(MDB_env *env);
