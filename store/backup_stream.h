/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "store/backup.h"
#include "store/kv.h"

/*
 * A backup:
 *   0 8 bytes BACKUP_MAGIC
 *   8 u32 version of the stream; the rest may be different in another
 *  12 u32 format of the store
 *  16 36 bytes uuid
 *  52 i64 time taken
 *  60 u64 bytes of address space
 *  68 20 bytes version of the program, filled up with NULs
 *  88 u64 seal (record.h) of all from 8 on; its key is the magic
 *  96 the records, in the order of their keys, each
 *       0 u16 bytes of the key, 1 to KV_KEY_MAX
 *       2 u32 bytes of the value, up to BACKUP_VALUE_MAX
 *       6 the key, the value: as they are in the database, with the seal
 *     and instead of another one
 *       0 u16 0
 *       2 u64 how many there were
 *      10 32 bytes SHA-256 of everything before
 *
 * Numbers are little-endian. The seals say where a stream is damaged, the
 * SHA-256 that it is not, the lengths and the order included.
 */
#define BACKUP_MAGIC        "pofsbkup"
#define BACKUP_MAGIC_SIZE   8
#define BACKUP_UUID_SIZE    36
#define BACKUP_PROGRAM_SIZE 20
#define BACKUP_HEADER_SIZE  96
#define BACKUP_FRAME_SIZE   6 /* before each key */
#define BACKUP_TRAILER_SIZE 10
#define BACKUP_DIGEST_SIZE  32

/** Largest value, in bytes: more than a batch of changes may be. */
#define BACKUP_VALUE_MAX ((size_t)1 << 20)

/** Most bytes of a record and its frame. */
#define BACKUP_RECORD_MAX (BACKUP_FRAME_SIZE + KV_KEY_MAX + BACKUP_VALUE_MAX)

/** What the seal of the header is keyed with. */
#define BACKUP_MAGIC_SLICE ((KvSlice){ BACKUP_MAGIC, BACKUP_MAGIC_SIZE })
