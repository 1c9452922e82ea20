/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/record.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <glib.h>
#include <xxhash.h>

#include "store/bytes.h"
#include "store/name.h"

/*
 * A node:                        A name:
 *   0 u32 mode                     0 u64 node
 *   4 u32 uid                      8 u32 mode
 *   8 u32 gid                     12 the name as created
 *  12 u32 chunk
 *  16 u64 parent                 A chunk, an extended attribute: its bytes.
 *  24 u64 data                   An orphan: one byte, RecordOrphan.
 *  32 u64 size
 *  40 i64 atime, mtime, ctime, btime
 *  72 u16 bytes of the name
 *  74 the name, then the inline content
 *
 * An undone transaction:         A file of it:
 *   0 u8 1 if a draft              0 u8 StoreUndoneWhat
 *   1 i64 begun, undone            1 u32 mode
 *  17 u64 files, bytes             5 u64 size, bytes
 *  33 u8 bytes of who             21 the path
 *  34 who, then the reason
 */
#define NODE_FIXED 74
#define NAME_FIXED 12
#define HEAD_FIXED 34
#define FILE_FIXED 21

/* ---- keys ----------------------------------------------------------------*/

void
record_key_add(RecordKey *key, const void *bytes, size_t size)
{
	g_assert(key->size + size <= KV_KEY_MAX);
	memcpy(key->bytes + key->size, bytes, size);
	key->size += size;
}

void
record_key_add_u64(RecordKey *key, uint64_t n)
{
	n = GUINT64_TO_BE(n);
	record_key_add(key, &n, sizeof(n));
}

static RecordKey
key_begin(RecordTable table)
{
	RecordKey key = { .size = 1 };

	key.bytes[0] = (uint8_t)table;
	return key;
}

static RecordKey
key_of_id(RecordTable table, uint64_t id)
{
	RecordKey key = key_begin(table);

	record_key_add_u64(&key, id);
	return key;
}

RecordKey
record_key_meta(const char *name)
{
	RecordKey key = key_begin(RECORD_META);

	record_key_add(&key, name, strlen(name));
	return key;
}

RecordKey
record_key_node(StoreNode node)
{
	return key_of_id(RECORD_NODE, node);
}

RecordKey
record_key_name(StoreNode dir, const char *folded)
{
	RecordKey key = key_of_id(RECORD_NAME, dir);

	record_key_add(&key, folded, strlen(folded));
	return key;
}

RecordKey
record_key_chunk(uint64_t data, uint64_t chunk)
{
	RecordKey key = key_of_id(RECORD_CHUNK, data);

	record_key_add_u64(&key, chunk);
	return key;
}

RecordKey
record_key_content(uint64_t data)
{
	return key_of_id(RECORD_CHUNK, data);
}

RecordKey
record_key_xattr(StoreNode node, const char *name)
{
	RecordKey key = key_of_id(RECORD_XATTR, node);

	record_key_add(&key, name, strlen(name));
	return key;
}

RecordKey
record_key_orphan(uint64_t id)
{
	return key_of_id(RECORD_ORPHAN, id);
}

RecordKey
record_key_undone(uint64_t id)
{
	return key_of_id(RECORD_UNDONE, id);
}

RecordKey
record_key_part(uint64_t id, RecordPart part, KvSlice of)
{
	RecordKey key = key_of_id(RECORD_UNDONE, id);
	uint8_t byte = (uint8_t)part;

	record_key_add(&key, &byte, 1);
	record_key_add(&key, of.data, of.size);
	return key;
}

RecordKey
record_key_part_id(uint64_t id, RecordPart part, uint64_t of)
{
	RecordKey key = record_key_part(id, part, (KvSlice){ "", 0 });

	record_key_add_u64(&key, of);
	return key;
}

bool
record_key_part_of(KvSlice key, RecordPart *ret_part, KvSlice *ret_of)
{
	const uint8_t *bytes = key.data;

	if (key.size < 10 || bytes[9] > RECORD_PART_FILE)
		return false;
	*ret_part = (RecordPart)bytes[9];
	*ret_of = (KvSlice){ bytes + 10, key.size - 10 };
	return true;
}

char *
record_key_text(KvSlice key)
{
	const char *bytes = key.data;

	return key.size <= 9 ? g_strdup("")
	                     : g_strndup(bytes + 9, key.size - 9);
}

/* The big-endian number at @offset of @key. */
static bool
key_number(KvSlice key, size_t offset, uint64_t *ret_number)
{
	uint64_t n;

	if (key.size < offset + sizeof(n))
		return false;
	memcpy(&n, (const uint8_t *)key.data + offset, sizeof(n));
	*ret_number = GUINT64_FROM_BE(n);
	return true;
}

bool
record_part_id(KvSlice of, uint64_t *ret_id)
{
	return of.size == 8 && key_number(of, 0, ret_id);
}

bool
record_key_id(KvSlice key, uint64_t *ret_id)
{
	return key_number(key, 1, ret_id);
}

uint64_t
record_key_own_id(KvSlice key)
{
	uint64_t id = 0;
	bool has_id = record_key_id(key, &id);

	g_assert(has_id);
	return id;
}

bool
record_key_chunk_number(KvSlice key, uint64_t *ret_chunk)
{
	return key_number(key, 9, ret_chunk);
}

/* ---- values --------------------------------------------------------------*/

size_t
record_node_encode(const RecordNode *node, uint8_t buf[RECORD_NODE_MAX])
{
	const StoreAttr *attr = &node->attr;
	size_t name_size = strlen(node->name);

	g_assert(node->content.size <= RECORD_INLINE_MAX);
	bytes_put_u32(buf, attr->mode);
	bytes_put_u32(buf + 4, attr->uid);
	bytes_put_u32(buf + 8, attr->gid);
	bytes_put_u32(buf + 12, node->chunk);
	bytes_put_u64(buf + 16, attr->parent);
	bytes_put_u64(buf + 24, node->data);
	bytes_put_u64(buf + 32, attr->size);
	bytes_put_u64(buf + 40, (uint64_t)attr->atime_ns);
	bytes_put_u64(buf + 48, (uint64_t)attr->mtime_ns);
	bytes_put_u64(buf + 56, (uint64_t)attr->ctime_ns);
	bytes_put_u64(buf + 64, (uint64_t)attr->btime_ns);
	bytes_put_u16(buf + 72, (uint16_t)name_size);
	memcpy(buf + NODE_FIXED, node->name, name_size);
	if (node->content.size > 0)
		memcpy(buf + NODE_FIXED + name_size, node->content.data,
		       node->content.size);
	return NODE_FIXED + name_size + node->content.size;
}

/* What the members of a decoded node must be, whatever wrote them. */
static bool
node_is_sane(const RecordNode *node)
{
	uint32_t type = node->attr.mode & S_IFMT;

	if (type != S_IFREG && type != S_IFDIR)
		return false;
	if (node->attr.size > STORE_FILE_SIZE_MAX)
		return false;
	if (node->content.size > RECORD_INLINE_MAX ||
	    node->content.size > node->attr.size)
		return false;
	if (node->data == 0)
		return true;
	return type == S_IFREG && node->content.size == 0 &&
	       (node->chunk == RECORD_CHUNK_SMALL ||
	        node->chunk == RECORD_CHUNK_LARGE);
}

int
record_node_decode(StoreNode id, KvSlice value, RecordNode *ret_node)
{
	const uint8_t *p = value.data;
	RecordNode node;
	size_t name_size;

	if (value.size < NODE_FIXED)
		return -EIO;
	name_size = bytes_get_u16(p + 72);
	if (name_size > STORE_NAME_MAX || value.size < NODE_FIXED + name_size)
		return -EIO;

	node.attr = (StoreAttr){
		.node = id,
		.parent = bytes_get_u64(p + 16),
		.mode = bytes_get_u32(p),
		.uid = bytes_get_u32(p + 4),
		.gid = bytes_get_u32(p + 8),
		.size = bytes_get_u64(p + 32),
		.atime_ns = (int64_t)bytes_get_u64(p + 40),
		.mtime_ns = (int64_t)bytes_get_u64(p + 48),
		.ctime_ns = (int64_t)bytes_get_u64(p + 56),
		.btime_ns = (int64_t)bytes_get_u64(p + 64),
	};
	node.chunk = bytes_get_u32(p + 12);
	node.data = bytes_get_u64(p + 24);
	memcpy(node.name, p + NODE_FIXED, name_size);
	node.name[name_size] = '\0';
	node.content.data = p + NODE_FIXED + name_size;
	node.content.size = value.size - NODE_FIXED - name_size;
	if (!node_is_sane(&node))
		return -EIO;
	*ret_node = node;
	return 0;
}

size_t
record_name_encode(const RecordName *name, uint8_t buf[RECORD_NAME_MAX])
{
	size_t size = strlen(name->name);

	bytes_put_u64(buf, name->node);
	bytes_put_u32(buf + 8, name->mode);
	memcpy(buf + NAME_FIXED, name->name, size);
	return NAME_FIXED + size;
}

int
record_name_decode(KvSlice value, RecordName *ret_name)
{
	const uint8_t *p = value.data;
	size_t size;

	if (value.size <= NAME_FIXED ||
	    value.size > NAME_FIXED + STORE_NAME_MAX)
		return -EIO;
	size = value.size - NAME_FIXED;
	ret_name->node = bytes_get_u64(p);
	ret_name->mode = bytes_get_u32(p + 8);
	memcpy(ret_name->name, p + NAME_FIXED, size);
	ret_name->name[size] = '\0';
	return 0;
}

size_t
record_path_size(const char *path)
{
	size_t size = strlen(path);

	if (size <= RECORD_PATH_MAX)
		return size;
	size = RECORD_PATH_MAX;
	while (size > 0 && ((uint8_t)path[size] & 0xc0) == 0x80)
		size--;
	return size;
}

GByteArray *
record_head_encode(const RecordHead *head)
{
	const StoreUndone *undone = &head->undone;
	GByteArray *bytes = g_byte_array_new();
	size_t who = MIN(strlen(undone->who), RECORD_TEXT_MAX);
	size_t reason = MIN(strlen(undone->reason), RECORD_TEXT_MAX);
	uint8_t fixed[HEAD_FIXED];

	fixed[0] = head->is_draft;
	bytes_put_u64(fixed + 1, (uint64_t)undone->begun_ns);
	bytes_put_u64(fixed + 9, (uint64_t)undone->undone_ns);
	bytes_put_u64(fixed + 17, undone->files);
	bytes_put_u64(fixed + 25, undone->bytes);
	fixed[33] = (uint8_t)who;
	g_byte_array_append(bytes, fixed, sizeof(fixed));
	g_byte_array_append(bytes, (const uint8_t *)undone->who, (guint)who);
	g_byte_array_append(bytes, (const uint8_t *)undone->reason,
	                    (guint)reason);
	return bytes;
}

int
record_head_decode(uint64_t id, KvSlice value, RecordHead *ret_head,
                   char text[2 * (RECORD_TEXT_MAX + 1)])
{
	const uint8_t *p = value.data;
	char *reason = text + RECORD_TEXT_MAX + 1;
	size_t who;

	if (value.size < HEAD_FIXED || p[0] > 1)
		return -EIO;
	who = p[33];
	if (value.size < HEAD_FIXED + who ||
	    value.size - HEAD_FIXED - who > RECORD_TEXT_MAX)
		return -EIO;
	memcpy(text, p + HEAD_FIXED, who);
	text[who] = '\0';
	memcpy(reason, p + HEAD_FIXED + who, value.size - HEAD_FIXED - who);
	reason[value.size - HEAD_FIXED - who] = '\0';
	*ret_head = (RecordHead){
		.is_draft = p[0] == 1,
		.undone = { .id = id,
		            .who = text,
		            .reason = reason,
		            .begun_ns = (int64_t)bytes_get_u64(p + 1),
		            .undone_ns = (int64_t)bytes_get_u64(p + 9),
		            .files = bytes_get_u64(p + 17),
		            .bytes = bytes_get_u64(p + 25) },
	};
	return 0;
}

GByteArray *
record_file_encode(const StoreUndoneFile *file)
{
	GByteArray *bytes = g_byte_array_new();
	uint8_t fixed[FILE_FIXED];

	fixed[0] = (uint8_t)file->what;
	bytes_put_u32(fixed + 1, file->mode);
	bytes_put_u64(fixed + 5, file->size);
	bytes_put_u64(fixed + 13, file->bytes);
	g_byte_array_append(bytes, fixed, sizeof(fixed));
	g_byte_array_append(bytes, (const uint8_t *)file->path,
	                    (guint)record_path_size(file->path));
	return bytes;
}

int
record_file_decode(StoreNode node, KvSlice value, StoreUndoneFile *ret_file,
                   char **ret_path)
{
	const uint8_t *p = value.data;

	if (value.size < FILE_FIXED || p[0] > STORE_UNDONE_REMOVED)
		return -EIO;
	*ret_path = g_strndup((const char *)p + FILE_FIXED,
	                      value.size - FILE_FIXED);
	*ret_file = (StoreUndoneFile){
		.node = node,
		.what = (StoreUndoneWhat)p[0],
		.mode = bytes_get_u32(p + 1),
		.size = bytes_get_u64(p + 5),
		.bytes = bytes_get_u64(p + 13),
		.path = *ret_path,
	};
	return 0;
}

int
record_u64_decode(KvSlice value, uint64_t *ret_number)
{
	if (value.size != 8)
		return -EIO;
	*ret_number = bytes_get_u64(value.data);
	return 0;
}

void
record_u64_encode(uint64_t number, uint8_t buf[8])
{
	bytes_put_u64(buf, number);
}

/* ---- checksums -----------------------------------------------------------*/

static uint64_t
checksum(KvSlice key, const void *value, size_t size)
{
	return XXH3_64bits_withSeed(value, size,
	                            XXH3_64bits(key.data, key.size));
}

void
record_seal(KvSlice key, uint8_t *value, size_t size)
{
	bytes_put_u64(value + size, checksum(key, value, size));
}

int
record_unseal(KvSlice key, KvSlice *value)
{
	size_t size;

	if (value->size < RECORD_SEAL_SIZE)
		return -EIO;
	size = value->size - RECORD_SEAL_SIZE;
	if (bytes_get_u64((const uint8_t *)value->data + size) !=
	    checksum(key, value->data, size))
		return -EIO;
	value->size = size;
	return 0;
}
