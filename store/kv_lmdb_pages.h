/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/kv.h"

/**
 * All pages of an LMDB file, read without LMDB.
 *
 * LMDB believes what it maps: a bit in the wrong place makes it stop with an
 * assertion, read beside its map, or hide records behind a key that points
 * elsewhere; and a page that its free list has by mistake is written over. So
 * every page is looked at before LMDB is let near it, and what is left of a
 * damaged file is read here.
 */

/** Told of a record, in the order of keys: its value is the @size bytes of the
 * file at @at. */
typedef void LmdbPagesRecord(void *user_data, KvSlice key, uint64_t at,
                             uint64_t size);

/** Told that some of the keys from @from to before @to may be missing; @to with
 * data NULL is behind all keys. */
typedef void LmdbPagesLost(void *user_data, KvSlice from, KvSlice to);

/** Who is told; record and lost may be NULL. */
typedef struct LmdbPagesVisitor {
	KvFinding *finding;
	LmdbPagesRecord *record;
	LmdbPagesLost *lost;
	void *user_data;
} LmdbPagesVisitor;

/** Finds the transaction that made the newest state of @fd. Errors: -EPROTO it
 * has no meta page: it is damaged, or not LMDB's. */
int lmdb_pages_newest(int fd, uint64_t *ret_txn);

/**
 * Looks at both meta pages of @fd, to which nobody may write meanwhile. Returns
 * the number of findings.
 */
uint64_t lmdb_pages_check_metas(int fd, const LmdbPagesVisitor *visitor);

/**
 * Looks at every page of the state that transaction @txn has made: the tree of
 * the records, the free list, and that no page is in both or in one of them
 * twice.
 *
 * Returns the number of findings. Threads: any.
 */
uint64_t lmdb_pages_walk(int fd, uint64_t txn, const LmdbPagesVisitor *visitor);
