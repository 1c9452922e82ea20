/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/kv.h"

/**
 * One page of an LMDB file: bytes that were read, in which nothing is believed
 * before it is checked. Private to kv_lmdb_page*.c.
 *
 * The layout is that of LMDB 0.9 (mdb.c: MDB_meta, MDB_page, MDB_node) on the
 * machine that wrote it.
 */

#define LMDB_PAGE_NONE UINT64_MAX

/** Kinds of pages. */
#define LMDB_PAGE_BRANCH   0x01
#define LMDB_PAGE_LEAF     0x02
#define LMDB_PAGE_OVERFLOW 0x04
#define LMDB_PAGE_META     0x08

/** A tree, as a meta page has it. */
typedef struct LmdbTree {
	uint32_t pad; /* of the free list: bytes of a page */
	uint16_t flags;
	uint16_t depth;
	uint64_t branches; /* pages of each kind */
	uint64_t leaves;
	uint64_t overflows;
	uint64_t entries;
	uint64_t root; /* LMDB_PAGE_NONE: it is empty */
} LmdbTree;

/** A meta page, behind its header. */
typedef struct LmdbMeta {
	uint32_t magic;
	uint32_t version;
	uint64_t address;
	uint64_t map_size;
	LmdbTree free;
	LmdbTree records;
	uint64_t last_page;
	uint64_t txn;
} LmdbMeta;

/** What every page begins with. */
typedef struct LmdbHeader {
	uint64_t number;
	uint16_t pad;
	uint16_t flags;
	uint16_t lower; /* where the nodes' places end */
	uint16_t upper; /* where the nodes begin; of overflow pages, with lower,
	                 * how many there are */
} LmdbHeader;

/** A page with keys. */
typedef struct LmdbPage {
	const uint8_t *bytes; /* borrowed */
	uint64_t size;
	uint64_t number;
	LmdbHeader header;
} LmdbPage;

/** A node of a page; the key is borrowed from that. */
typedef struct LmdbNode {
	KvSlice key;
	uint64_t child; /* of a branch, or where a big value is: a page */
	uint64_t at;    /* of a leaf: where its value is in the file */
	uint64_t size;  /* bytes of the value */
	bool is_big;
} LmdbNode;

/** Reads all @size bytes at @at. */
bool lmdb_page_read(int fd, void *buf, uint64_t size, uint64_t at);

/** Reads both meta pages; returns which of them are sound, a bit each. */
unsigned lmdb_page_read_metas(int fd, LmdbMeta ret_metas[2]);

/** How many nodes there are, of a page whose header is sound. */
unsigned lmdb_page_count(const LmdbPage *page);

/** Whether the header is that of a page with nodes of at least @least. */
bool lmdb_page_is_sane(const LmdbPage *page, unsigned least);

/** Whether the nodes fill the page from its upper end on, none of them beside
 * or over another. */
bool lmdb_page_is_filled(const LmdbPage *page);

/** Node @i. Returns false if it is not within the page. */
bool lmdb_page_node(const LmdbPage *page, unsigned i, LmdbNode *ret_node);
