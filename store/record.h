/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "store/kv.h"
#include "store/store.h"

/**
 * Records on disk: keys and values to bytes and back. Pure.
 *
 * Numbers in keys are big-endian, so that order is meaningful; numbers in
 * values are little-endian. The first byte of a key is its table. Every value
 * ends with a checksum over key and value: LMDB has none, and a page that was
 * swapped or lost must not pass for another record.
 */

typedef enum RecordTable {
	RECORD_META = 'm',    /* name -> bytes */
	RECORD_NODE = 'n',    /* node -> RecordNode */
	RECORD_NAME = 'd',    /* directory, folded name -> RecordName */
	RECORD_CHUNK = 'c',   /* data id, chunk number -> bytes */
	RECORD_XATTR = 'x',   /* node, name -> bytes */
	RECORD_ORPHAN = 'o',  /* node or data id -> RecordOrphan */
	RECORD_UNDONE = 'q',  /* quarantine: id, part, ... -> see RecordPart */
	RECORD_JOURNAL = 'j', /* see journal_record.h */
} RecordTable;

/** What the quarantine has of an undone transaction, under its id. */
typedef enum RecordPart {
	RECORD_PART_HEAD = 0,    /* -> RecordHead */
	RECORD_PART_PUT = 1,     /* key -> the value that was staged under it */
	RECORD_PART_DELETE = 2,  /* key -> nothing: it was to be deleted */
	RECORD_PART_CONTENT = 3, /* data id -> nothing: its chunks go with it */
	RECORD_PART_FILE = 4,    /* node -> RecordFile */
} RecordPart;

/** Content up to this many bytes lives in the node's record. */
#define RECORD_INLINE_MAX 1024

/** Bytes of the checksum behind each value. */
#define RECORD_SEAL_SIZE 8

/**
 * Bytes of a chunk. With its checksum and LMDB's page header it fills whole
 * pages: one for files that are updated in place, four for those that are
 * written once.
 */
#define RECORD_CHUNK_SMALL (4096 - 16 - RECORD_SEAL_SIZE)
#define RECORD_CHUNK_LARGE (4 * 4096 - 16 - RECORD_SEAL_SIZE)

/** A key and room for any. */
typedef struct RecordKey {
	size_t size;
	uint8_t bytes[KV_KEY_MAX];
} RecordKey;

static inline KvSlice
record_slice(const RecordKey *key)
{
	return (KvSlice){ .data = key->bytes, .size = key->size };
}

/** Names of the meta table. */
#define RECORD_META_FORMAT "format" /* u64 */
#define RECORD_META_UUID   "uuid"   /* 36 characters */
#define RECORD_META_NEXT   "next"   /* u64: next node or data id */
#define RECORD_META_SEQ    "seq"    /* u64: commits since creation */
#define RECORD_META_SERVED "served" /* u64: journal_served_ns() at the end */
#define RECORD_META_CLEAN  "clean"  /* u8: 1 = closed cleanly */

/** Adds bytes, or a number, to the end of @key, which has room for them. */
void record_key_add(RecordKey *key, const void *bytes, size_t size);
void record_key_add_u64(RecordKey *key, uint64_t n);

RecordKey record_key_meta(const char *name);
RecordKey record_key_node(StoreNode node);
/** @folded of up to NAME_FOLDED_MAX bytes; "" begins the directory. */
RecordKey record_key_name(StoreNode dir, const char *folded);
RecordKey record_key_chunk(uint64_t data, uint64_t chunk);
/** What the keys of all chunks of @data begin with. */
RecordKey record_key_content(uint64_t data);
RecordKey record_key_xattr(StoreNode node, const char *name);
RecordKey record_key_orphan(uint64_t id);

/** What the keys of all records of @id begin with. */
RecordKey record_key_undone(uint64_t id);
/** The key of a part that is of @of, a key, or a node or data id. */
RecordKey record_key_part(uint64_t id, RecordPart part, KvSlice of);
RecordKey record_key_part_id(uint64_t id, RecordPart part, uint64_t of);
/** The part of @key and what it is of. Returns false if it is malformed. */
bool record_key_part_of(KvSlice key, RecordPart *ret_part, KvSlice *ret_of);

/** The id that a part is of. Returns false if it is of none. */
bool record_part_id(KvSlice of, uint64_t *ret_id);

/** The part of @key behind its table byte and first number, as text. */
char *record_key_text(KvSlice key);
/** The first number of @key. Returns false if it is too short. */
bool record_key_id(KvSlice key, uint64_t *ret_id);
/** The same of a key that this program has made, which has one. */
uint64_t record_key_own_id(KvSlice key);
/** The chunk number of a chunk's key. */
bool record_key_chunk_number(KvSlice key, uint64_t *ret_chunk);

/** A node: what store_attr_get() tells, its name, and where its content is. */
typedef struct RecordNode {
	StoreAttr attr;
	uint64_t data;  /* id of the chunks; 0: the content is inline */
	uint32_t chunk; /* bytes of a chunk, while data is not 0 */
	char name[STORE_NAME_MAX + 1]; /* as created; "" for the root */
	KvSlice content; /* inline; may be shorter than the size: then zeros */
} RecordNode;

/** A name: the value under its directory and folded name. */
typedef struct RecordName {
	StoreNode node;
	uint32_t mode; /* S_IFREG or S_IFDIR */
	char name[STORE_NAME_MAX + 1];
} RecordName;

typedef enum RecordOrphan {
	RECORD_ORPHAN_NODE = 1, /* a node without a name, perhaps still open */
	RECORD_ORPHAN_DATA = 2, /* chunks without a node */
} RecordOrphan;

/** An undone transaction. Decoded, the texts are borrowed from the value. */
typedef struct RecordHead {
	StoreUndone undone;
	bool is_draft; /* it may still be going on: store_txn_save() */
} RecordHead;

/** Longest text that a person is to read of it, in bytes. */
#define RECORD_TEXT_MAX 255

/** Most bytes that are written of a path. */
#define RECORD_PATH_MAX UINT16_MAX
/** How many of @path are; whole characters. */
size_t record_path_size(const char *path);

/** Most bytes record_node_encode() writes. */
#define RECORD_NODE_MAX (128 + STORE_NAME_MAX + RECORD_INLINE_MAX)
/** Most bytes record_name_encode() writes. */
#define RECORD_NAME_MAX (16 + STORE_NAME_MAX)

/** Encodes into @buf; returns the bytes written. */
size_t record_node_encode(const RecordNode *node, uint8_t buf[RECORD_NODE_MAX]);
size_t record_name_encode(const RecordName *name, uint8_t buf[RECORD_NAME_MAX]);

/**
 * Decodes @value, of the node @id. Returns 0 or -EIO if it is malformed.
 * Ownership: the content is borrowed from @value.
 */
int record_node_decode(StoreNode id, KvSlice value, RecordNode *ret_node);
int record_name_decode(KvSlice value, RecordName *ret_name);

/** The record, to be freed, as a GByteArray. */
GByteArray *record_head_encode(const RecordHead *head);
GByteArray *record_file_encode(const StoreUndoneFile *file);
/** Ownership: the texts are copied to @text, and end with it. */
int record_head_decode(uint64_t id, KvSlice value, RecordHead *ret_head,
                       char text[2 * (RECORD_TEXT_MAX + 1)]);
/** Ownership: the caller frees *@ret_path, to which the file refers. */
int record_file_decode(StoreNode node, KvSlice value, StoreUndoneFile *ret_file,
                       char **ret_path);

/** Little-endian numbers. The slice must have that size: else -EIO. */
int record_u64_decode(KvSlice value, uint64_t *ret_number);
void record_u64_encode(uint64_t number, uint8_t buf[8]);

/** Writes the checksum of @key and @size bytes of @value behind them. */
void record_seal(KvSlice key, uint8_t *value, size_t size);

/** Strips the checksum from *@value. Returns -EIO if it is wrong. */
int record_unseal(KvSlice key, KvSlice *value);
