/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/kv_lmdb_page.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#define MAGIC        0xBEEFC0DE
#define VERSION      1
#define SIZE_MIN     512
#define SIZE_LIMIT   32768
#define HEADER_SIZE  sizeof(LmdbHeader)
#define NODE_SIZE    8
#define NODE_IS_BIG  0x01
#define INTEGER_KEYS 0x08

G_STATIC_ASSERT(sizeof(LmdbTree) == 48);
G_STATIC_ASSERT(sizeof(LmdbMeta) == 136);
G_STATIC_ASSERT(sizeof(LmdbHeader) == 16);

/* What a node begins with: the value's size, or the child's number, in parts;
 * of a leaf, flags; the key's size. */
typedef struct NodeHead {
	uint16_t low;
	uint16_t middle;
	uint16_t high;
	uint16_t key_size;
} NodeHead;

bool
lmdb_page_read(int fd, void *buf, uint64_t size, uint64_t at)
{
	ssize_t got;

	do
		got = pread(fd, buf, size, (off_t)at);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)size;
}

/* ---- meta pages ----------------------------------------------------------*/

static bool
is_page_size(uint32_t size)
{
	return size >= SIZE_MIN && size <= SIZE_LIMIT &&
	       (size & (size - 1)) == 0;
}

/* Reads meta page @i of 0 and 1. Returns false if it is none. */
static bool
read_meta(int fd, unsigned i, uint32_t page_size, LmdbMeta *ret_meta)
{
	uint64_t at = (uint64_t)i * page_size;
	LmdbHeader header;

	return lmdb_page_read(fd, &header, sizeof(header), at) &&
	       lmdb_page_read(fd, ret_meta, sizeof(*ret_meta),
	                      at + sizeof(header)) &&
	       header.number == i && header.flags == LMDB_PAGE_META &&
	       ret_meta->magic == MAGIC && ret_meta->version == VERSION &&
	       is_page_size(ret_meta->free.pad) &&
	       (i == 0 || ret_meta->free.pad == page_size) &&
	       ret_meta->free.flags == INTEGER_KEYS &&
	       ret_meta->records.flags == 0 && ret_meta->records.pad == 0 &&
	       (ret_meta->txn == 0 || ret_meta->txn % 2 == i) &&
	       ret_meta->last_page < ret_meta->map_size / ret_meta->free.pad;
}

unsigned
lmdb_page_read_metas(int fd, LmdbMeta ret_metas[2])
{
	uint32_t page_size = (uint32_t)sysconf(_SC_PAGESIZE);
	unsigned sound = 0;

	if (read_meta(fd, 0, page_size, &ret_metas[0])) {
		page_size = ret_metas[0].free.pad;
		sound |= 1;
	}
	if (read_meta(fd, 1, page_size, &ret_metas[1]))
		sound |= 2;
	return sound;
}

/* ---- nodes ---------------------------------------------------------------*/

unsigned
lmdb_page_count(const LmdbPage *page)
{
	return (unsigned)((page->header.lower - HEADER_SIZE) / 2);
}

bool
lmdb_page_is_sane(const LmdbPage *page, unsigned least)
{
	const LmdbHeader *header = &page->header;

	return header->lower >= HEADER_SIZE + 2 * (size_t)least &&
	       header->lower % 2 == 0 && header->upper % 2 == 0 &&
	       header->lower <= header->upper && header->upper <= page->size;
}

/* Finds where node @i begins, and how many bytes it takes there. Returns 0 if
 * it is not within the page. */
static unsigned
find_node(const LmdbPage *page, unsigned i, unsigned *ret_size)
{
	bool is_leaf = page->header.flags == LMDB_PAGE_LEAF;
	NodeHead head;
	unsigned size;
	uint16_t at;

	memcpy(&at, page->bytes + HEADER_SIZE + 2 * (size_t)i, sizeof(at));
	if (at % 2 != 0 || at < page->header.upper ||
	    at > page->size - NODE_SIZE)
		return 0;
	memcpy(&head, page->bytes + at, sizeof(head));
	size = NODE_SIZE + head.key_size;
	if (is_leaf && head.high == NODE_IS_BIG)
		size += sizeof(uint64_t);
	else if (is_leaf && (head.high != 0 || head.middle != 0))
		return 0; /* of no kind that we write, or too long */
	else if (is_leaf)
		size += head.low;
	if (size > page->size - at)
		return 0;
	*ret_size = size + size % 2;
	return at;
}

bool
lmdb_page_node(const LmdbPage *page, unsigned i, LmdbNode *ret_node)
{
	unsigned size;
	unsigned at = find_node(page, i, &size);
	const uint8_t *value;
	NodeHead head;

	if (at == 0)
		return false;
	memcpy(&head, page->bytes + at, sizeof(head));
	value = page->bytes + at + NODE_SIZE + head.key_size;
	*ret_node = (LmdbNode){
		.key = { page->bytes + at + NODE_SIZE, head.key_size },
		.size = head.low | (uint64_t)head.middle << 16,
	};
	if (page->header.flags == LMDB_PAGE_BRANCH) {
		ret_node->child = ret_node->size | (uint64_t)head.high << 32;
		return true;
	}
	ret_node->is_big = head.high == NODE_IS_BIG;
	if (ret_node->is_big)
		memcpy(&ret_node->child, value, sizeof(ret_node->child));
	else
		ret_node->at = page->number * page->size +
		               (uint64_t)(value - page->bytes);
	return true;
}

bool
lmdb_page_is_filled(const LmdbPage *page)
{
	uint16_t sizes[SIZE_LIMIT / 2] = { 0 };
	unsigned count = lmdb_page_count(page);
	unsigned at = page->header.upper;
	unsigned i;

	for (i = 0; i < count; i++) {
		unsigned size;
		unsigned where = find_node(page, i, &size);

		if (where == 0 || sizes[where / 2] != 0)
			return false;
		sizes[where / 2] = (uint16_t)size;
	}
	for (i = 0; i < count && at < page->size && sizes[at / 2] != 0; i++)
		at += sizes[at / 2];
	return i == count && at == page->size;
}
