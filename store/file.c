/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How content is kept
 *
 * - Up to RECORD_INLINE_MAX bytes lie in the node's record. Beyond that, they
 *   are chunks under a data id of their own, and stay so until the file is
 *   cut to nothing.
 * - A chunk may be missing or shorter than it could be: what is not there
 *   reads as zeros. So a chunk never holds bytes behind the end of the file:
 *   they would come back when it grows.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"

static int
file_load(StoreTxn *txn, StoreNode node, RecordNode *ret_node)
{
	int r = node_load(txn, node, ret_node);

	if (r < 0)
		return r;
	return S_ISDIR(ret_node->attr.mode) ? -EISDIR : 0;
}

static void
touch(RecordNode *file)
{
	file->attr.mtime_ns = file->attr.ctime_ns = store_now_ns();
}

/* ---- reading -------------------------------------------------------------*/

/* Copies what @from has at @skip, and zeros behind it. */
static void
copy_or_zero(uint8_t *to, size_t size, KvSlice from, size_t skip)
{
	size_t there = skip < from.size ? MIN(size, from.size - skip) : 0;

	if (there > 0)
		memcpy(to, (const uint8_t *)from.data + skip, there);
	memset(to + there, 0, size - there);
}

static int
read_chunks(const FileSource *source, const RecordNode *file, uint64_t offset,
            uint8_t *buf, size_t size)
{
	size_t done = 0;

	while (done < size) {
		uint64_t at = offset + done;
		size_t skip = at % file->chunk;
		size_t part = MIN(size - done, file->chunk - skip);
		RecordKey key = record_key_chunk(file->data, at / file->chunk);
		KvSlice value = { NULL, 0 };
		int r;

		r = source->get(source->user_data, &key, &value);
		if (r < 0 && r != -ENOENT)
			return r;
		copy_or_zero(buf + done, part, value, skip);
		done += part;
	}
	return 0;
}

int
file_read(const FileSource *source, const RecordNode *file, uint64_t offset,
          void *buf, size_t size, size_t *ret_size)
{
	int r = 0;

	if (offset >= file->attr.size)
		size = 0;
	else
		size = (size_t)MIN(size, file->attr.size - offset);
	if (file->data != 0)
		r = read_chunks(source, file, offset, buf, size);
	else if (size > 0)
		copy_or_zero(buf, size, file->content, offset);
	if (r == 0)
		*ret_size = size;
	return r;
}

/* Of a FileSource: the chunks that a transaction sees. */
static int
get_seen(void *user_data, const RecordKey *key, KvSlice *ret_value)
{
	return txn_get(user_data, record_slice(key), ret_value);
}

int
store_file_read(StoreTxn *txn, StoreNode node, uint64_t offset, void *buf,
                size_t size, size_t *ret_size)
{
	FileSource source = { txn->lost != NULL ? journal_past_get : get_seen,
		              txn };
	RecordNode file;
	TxnLost lost;
	int r;

	STORE_LOCK(txn->store);
	r = file_load(txn, node, &file);
	if (r < 0)
		return r;
	lost = journal_past_lost(txn, node);
	if (lost != TXN_KEPT)
		return lost == TXN_LOST_DAMAGED ? -EIO : -ENODATA;
	return file_read(&source, &file, offset, buf, size, ret_size);
}

/* ---- writing -------------------------------------------------------------*/

/* Whether @size bytes in chunk @number at @skip are all that it will have. */
static bool
is_whole(const RecordNode *file, uint64_t number, size_t skip, size_t size)
{
	return skip == 0 && (size == file->chunk ||
	                     number * file->chunk + size >= file->attr.size);
}

/* Puts @size bytes into one chunk at @skip. */
static int
write_chunk(StoreTxn *txn, const RecordNode *file, uint64_t number, size_t skip,
            const uint8_t *data, size_t size)
{
	RecordKey key = record_key_chunk(file->data, number);
	KvSlice old = { NULL, 0 };
	uint8_t *bytes;
	int r;

	if (is_whole(file, number, skip, size)) {
		txn_put(txn, record_slice(&key), (KvSlice){ data, size });
		return 0;
	}
	r = txn_get(txn, record_slice(&key), &old);
	if (r < 0 && r != -ENOENT)
		return r;
	r = txn_edit(txn, record_slice(&key), MAX(old.size, skip + size),
	             &bytes);
	if (r == 0)
		memcpy(bytes + skip, data, size);
	return r;
}

static int
write_chunks(StoreTxn *txn, const RecordNode *file, uint64_t offset,
             const uint8_t *data, size_t size)
{
	size_t done = 0;
	int r = 0;

	while (r == 0 && done < size) {
		uint64_t at = offset + done;
		size_t skip = at % file->chunk;
		size_t part = MIN(size - done, file->chunk - skip);

		r = write_chunk(txn, file, at / file->chunk, skip, data + done,
		                part);
		done += part;
	}
	return r;
}

/* Whether chunk @number can be read, or certainly is a hole. */
static int
check_chunk(StoreTxn *txn, const RecordNode *file, uint64_t number)
{
	RecordKey key = record_key_chunk(file->data, number);
	KvSlice value;
	int r;

	if (number * file->chunk >= file->attr.size)
		return 0;
	r = txn_get(txn, record_slice(&key), &value);
	return r == -ENOENT ? 0 : r;
}

/* Whether the chunk at @at, of a write of @size bytes at @offset, can be read if
 * it has to be. */
static int
check_end(StoreTxn *txn, const RecordNode *file, uint64_t at, uint64_t offset,
          size_t size)
{
	uint64_t number = at / file->chunk;
	uint64_t first = MAX(offset, number * file->chunk);
	uint64_t end = MIN(offset + size, (number + 1) * file->chunk);

	return is_whole(file, number, first % file->chunk,
	                (size_t)(end - first))
	               ? 0
	               : check_chunk(txn, file, number);
}

/* Only the first and the last chunk of a write are read before they change;
 * if that fails it must fail before anything has changed. What is replaced as a
 * whole may be damaged. */
static int
check_ends(StoreTxn *txn, const RecordNode *file, uint64_t offset, size_t size)
{
	int r = check_end(txn, file, offset, offset, size);

	return r < 0 ? r
	             : check_end(txn, file, offset + size - 1, offset, size);
}

/* Moves inline content to chunks. */
static int
spread(StoreTxn *txn, RecordNode *file)
{
	LayoutDir role = LAYOUT_DIR_FOREIGN;
	uint8_t content[RECORD_INLINE_MAX];
	size_t size = file->content.size;
	int r = 0;

	if (file->attr.parent != 0)
		r = dir_role(txn, file->attr.parent, &role);
	if (r < 0)
		return r;
	/* A put may move the record that the content is borrowed from. */
	copy_or_zero(content, size, file->content, 0);
	file->content = (KvSlice){ NULL, 0 };
	file->data = node_new_id(txn->store);
	spill_note_fresh(txn, file->data);
	file->chunk = layout_is_write_once(role, file->name)
	                      ? RECORD_CHUNK_LARGE
	                      : RECORD_CHUNK_SMALL;
	return write_chunks(txn, file, 0, content, size);
}

static void
write_inline(StoreTxn *txn, RecordNode *file, uint64_t offset, const void *data,
             size_t size)
{
	uint8_t content[RECORD_INLINE_MAX];
	size_t content_size = MAX(file->content.size, offset + size);

	copy_or_zero(content, content_size, file->content, 0);
	memcpy(content + offset, data, size);
	file->content = (KvSlice){ content, content_size };
	node_save(txn, file);
	file->content = (KvSlice){ NULL, 0 };
}

static int
file_write(StoreTxn *txn, StoreNode node, uint64_t offset, const void *data,
           size_t size)
{
	uint64_t end = offset + size;
	RecordNode file;
	bool is_spread;
	int r;

	r = file_load(txn, node, &file);
	if (r < 0 || size == 0)
		return r;

	is_spread = file.data != 0;
	file.attr.size = MAX(file.attr.size, end);
	touch(&file);
	if (file.data == 0 && end <= RECORD_INLINE_MAX) {
		write_inline(txn, &file, offset, data, size);
		return 0;
	}
	if (!is_spread)
		r = spread(txn, &file);
	else
		r = check_ends(txn, &file, offset, size);
	if (r == 0)
		r = write_chunks(txn, &file, offset, data, size);
	if (r == 0)
		node_save(txn, &file);
	else if (!is_spread && file.data != 0)
		/* Some chunks may be there, and no node names them. */
		orphan_add(txn, file.data, RECORD_ORPHAN_DATA);
	return r;
}

int
store_file_write(StoreTxn *txn, StoreNode node, uint64_t offset,
                 const void *data, size_t size)
{
	int r;

	if (offset > STORE_FILE_SIZE_MAX || size > STORE_FILE_SIZE_MAX - offset)
		return txn_result(txn, -EFBIG);

	STORE_LOCK(txn->store);
	r = txn_admit_node(txn, node, size + RECORD_NODE_MAX);
	if (r == 0)
		r = file_write(txn, node, offset, data, size);
	return txn_result(txn, r);
}

/* ---- cutting -------------------------------------------------------------*/

/* Deletes every chunk from number @first to before @end. */
static int
drop_chunks(StoreTxn *txn, const RecordNode *file, uint64_t first, uint64_t end)
{
	RecordKey from = record_key_chunk(file->data, first);
	RecordKey prefix = record_key_content(file->data);
	g_autoptr(GPtrArray) keys = NULL;
	guint i;
	int r;

	/* No more of them can lie before @end. */
	r = txn_keys(txn, &prefix, &from, end - first, &keys);
	if (r < 0)
		return r;
	for (i = 0; i < keys->len; i++) {
		KvSlice key = txn_key_at(keys, i);
		uint64_t number;

		if (record_key_chunk_number(key, &number) && number < end)
			txn_delete(txn, key);
	}
	return 0;
}

/* Cuts chunk @number to @size bytes, if it has more. */
static int
trim_chunk(StoreTxn *txn, const RecordNode *file, uint64_t number, size_t size)
{
	RecordKey key = record_key_chunk(file->data, number);
	KvSlice value;
	uint8_t *bytes;
	int r;

	r = txn_get(txn, record_slice(&key), &value);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (value.size <= size)
		return 0;
	return txn_edit(txn, record_slice(&key), size, &bytes);
}

static int
shrink_chunks(StoreTxn *txn, RecordNode *file, uint64_t size)
{
	uint64_t whole = size / file->chunk;
	size_t rest = size % file->chunk;
	int r = 0;

	if (size == 0) {
		orphan_add(txn, file->data, RECORD_ORPHAN_DATA);
		file->data = 0;
		file->chunk = 0;
		return 0;
	}
	if (rest > 0)
		r = trim_chunk(txn, file, whole, rest);
	if (r == 0)
		r = drop_chunks(txn, file, whole + (rest > 0), UINT64_MAX);
	return r;
}

static int
file_truncate(StoreTxn *txn, StoreNode node, uint64_t size)
{
	uint8_t content[RECORD_INLINE_MAX];
	RecordNode file;
	int r;

	r = file_load(txn, node, &file);
	if (r == 0 && file.data != 0 && size < file.attr.size)
		r = shrink_chunks(txn, &file, size);
	if (r < 0)
		return r;

	file.content.size = (size_t)MIN(file.content.size, size);
	copy_or_zero(content, file.content.size, file.content, 0);
	file.content.data = content;
	file.attr.size = size;
	touch(&file);
	node_save(txn, &file);
	return 0;
}

int
store_file_truncate(StoreTxn *txn, StoreNode node, uint64_t size)
{
	int r;

	if (size > STORE_FILE_SIZE_MAX)
		return txn_result(txn, -EFBIG);

	STORE_LOCK(txn->store);
	r = txn_admit_node(txn, node, 0);
	if (r == 0)
		r = file_truncate(txn, node, size);
	return txn_result(txn, r);
}

/* ---- holes ---------------------------------------------------------------*/

/* Zeros @size bytes at @skip of one chunk, if it is there. */
static int
zero_in_chunk(StoreTxn *txn, const RecordNode *file, uint64_t number,
              size_t skip, size_t size)
{
	RecordKey key = record_key_chunk(file->data, number);
	KvSlice value;
	uint8_t *bytes;
	int r;

	r = txn_get(txn, record_slice(&key), &value);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (value.size <= skip)
		return 0;
	size = MIN(size, value.size - skip);
	r = txn_edit(txn, record_slice(&key), value.size, &bytes);
	if (r == 0)
		memset(bytes + skip, 0, size);
	return r;
}

static int
punch_chunks(StoreTxn *txn, const RecordNode *file, uint64_t offset,
             uint64_t end)
{
	uint64_t first = offset / file->chunk;
	uint64_t last = end / file->chunk;
	size_t skip = offset % file->chunk;
	size_t rest = end % file->chunk;
	int r = 0;

	if (first == last)
		return zero_in_chunk(txn, file, first, skip, rest - skip);
	if (skip > 0)
		r = zero_in_chunk(txn, file, first, skip, file->chunk - skip);
	if (r == 0 && rest > 0)
		r = zero_in_chunk(txn, file, last, 0, rest);
	if (r == 0)
		r = drop_chunks(txn, file, first + (skip > 0), last);
	return r;
}

static int
file_punch(StoreTxn *txn, StoreNode node, uint64_t offset, uint64_t size)
{
	static const uint8_t zeros[RECORD_INLINE_MAX];
	RecordNode file;
	uint64_t end;
	int r;

	r = file_load(txn, node, &file);
	if (r < 0)
		return r;

	end = MIN(offset + size, file.attr.size);
	if (offset >= end)
		return 0;
	touch(&file);
	if (file.data != 0) {
		r = punch_chunks(txn, &file, offset, end);
		if (r == 0)
			node_save(txn, &file);
		return r;
	}
	end = MIN(end, file.content.size);
	if (offset < end)
		write_inline(txn, &file, offset, zeros, end - offset);
	return 0;
}

int
store_file_punch(StoreTxn *txn, StoreNode node, uint64_t offset, uint64_t size)
{
	int r;

	if (size > UINT64_MAX - offset)
		return txn_result(txn, -EFBIG);

	STORE_LOCK(txn->store);
	r = txn_admit_node(txn, node, 0);
	if (r == 0)
		r = file_punch(txn, node, offset, size);
	return txn_result(txn, r);
}

/* Finds the first chunk at or after @number. Errors: -ENXIO. */
static int
next_chunk(StoreTxn *txn, const RecordNode *file, uint64_t number,
           uint64_t *ret_number)
{
	RecordKey from = record_key_chunk(file->data, number);
	RecordKey prefix = record_key_content(file->data);
	g_autoptr(GPtrArray) keys = NULL;
	int r;

	r = txn_keys(txn, &prefix, &from, 1, &keys);
	if (r < 0)
		return r;
	if (keys->len == 0)
		return -ENXIO;
	return record_key_chunk_number(txn_key_at(keys, 0), ret_number) ? 0
	                                                                : -EIO;
}

static int
seek_data(StoreTxn *txn, const RecordNode *file, uint64_t offset,
          uint64_t *ret_offset)
{
	uint64_t number;
	int r;

	r = next_chunk(txn, file, offset / file->chunk, &number);
	if (r < 0)
		return r;
	if (number > offset / file->chunk)
		r = check_chunk(txn, file, offset / file->chunk);
	if (r < 0)
		return r;
	*ret_offset = MAX(offset, number * file->chunk);
	return 0;
}

static int
seek_hole(StoreTxn *txn, const RecordNode *file, uint64_t offset,
          uint64_t *ret_offset)
{
	uint64_t number = offset / file->chunk;
	RecordKey from = record_key_chunk(file->data, number);
	RecordKey prefix = record_key_content(file->data);
	TxnIter iter;
	KvSlice key;
	KvSlice value;
	uint64_t found;
	int r;

	/* Along the chunks, until one is missing. */
	r = txn_iter_begin(txn, &prefix, &from, &iter);
	iter.is_of_keys = true;
	while (r == 0) {
		r = txn_iter_next(&iter, &key, &value);
		if (r < 0 || !record_key_chunk_number(key, &found) ||
		    found != number)
			break;
		number++;
	}
	txn_iter_end(&iter);
	if (r == 0 || r == -ENOENT)
		r = check_chunk(txn, file, number);
	if (r < 0)
		return r;
	*ret_offset = MIN(MAX(offset, number * file->chunk), file->attr.size);
	return 0;
}

/* Of a past: it has no list of its chunks. */
static int
seek_whole(const RecordNode *file, uint64_t offset, StoreSeek what,
           uint64_t *ret_offset)
{
	*ret_offset = what == STORE_SEEK_DATA ? offset : file->attr.size;
	return 0;
}

static int
seek_inline(const RecordNode *file, uint64_t offset, StoreSeek what,
            uint64_t *ret_offset)
{
	if (what == STORE_SEEK_HOLE)
		*ret_offset = MAX(offset, file->content.size);
	else if (offset < file->content.size)
		*ret_offset = offset;
	else
		return -ENXIO;
	return 0;
}

int
store_file_seek(StoreTxn *txn, StoreNode node, uint64_t offset, StoreSeek what,
                uint64_t *ret_offset)
{
	RecordNode file;
	int r;

	STORE_LOCK(txn->store);
	r = file_load(txn, node, &file);
	if (r < 0)
		return r;
	if (offset >= file.attr.size)
		return -ENXIO;
	if (txn->lost != NULL)
		return seek_whole(&file, offset, what, ret_offset);
	if (file.data == 0)
		return seek_inline(&file, offset, what, ret_offset);
	return what == STORE_SEEK_DATA
	               ? seek_data(txn, &file, offset, ret_offset)
	               : seek_hole(txn, &file, offset, ret_offset);
}
