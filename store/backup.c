/* SPDX-License-Identifier: BSD-2-Clause */

/* Writes a backup; backup_stream.h has its layout. */

#include "store/backup.h"

#include <errno.h>
#include <string.h>

#include "store/backup_stream.h"
#include "store/bytes.h"
#include "store/internal.h"
#include "store/record_text.h"

/* Bytes given to the sink at a time. */
#define BLOCK_SIZE ((size_t)1 << 20)

typedef struct Writer {
	StoreBackupSink *sink;
	void *user_data;
	GByteArray *block; /* owned: what the sink has not got yet */
	GChecksum *sum;    /* owned: of what was put */
	StoreBackup backup;
	char *reason; /* owned */
} Writer;

static void
writer_clear(Writer *writer)
{
	g_byte_array_unref(writer->block);
	g_checksum_free(writer->sum);
	g_free(writer->reason);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Writer, writer_clear)

static int
fail(Writer *writer, int r, const char *sentence)
{
	g_free(writer->reason);
	writer->reason = g_strdup(sentence);
	return r;
}

static int
fail_read(Writer *writer, int r)
{
	return fail(writer, r,
	            r == -EUCLEAN ? "the database is damaged"
	                          : "the store cannot be read");
}

/* ---- bytes ---------------------------------------------------------------*/

static int
flush(Writer *writer)
{
	int r;

	if (writer->block->len == 0)
		return 0;
	r = writer->sink(writer->user_data, writer->block->data,
	                 writer->block->len);
	if (r < 0)
		return fail(writer, r, g_strerror(-r));
	writer->backup.bytes += writer->block->len;
	g_byte_array_set_size(writer->block, 0);
	return 0;
}

static void
put(Writer *writer, const void *data, size_t size)
{
	g_checksum_update(writer->sum, data, (gssize)size);
	g_byte_array_append(writer->block, data, (guint)size);
}

static void
put_header(Writer *writer)
{
	const StoreBackup *backup = &writer->backup;
	uint8_t header[BACKUP_HEADER_SIZE] = BACKUP_MAGIC;
	uint8_t *sealed = header + BACKUP_MAGIC_SIZE;

	bytes_put_u32(header + 8, backup->version);
	bytes_put_u32(header + 12, backup->format);
	memcpy(header + 16, backup->uuid, BACKUP_UUID_SIZE);
	bytes_put_u64(header + 52, (uint64_t)backup->taken_ns);
	bytes_put_u64(header + 60, backup->map_size);
	memcpy(header + 68, backup->program, strlen(backup->program));
	record_seal(BACKUP_MAGIC_SLICE, sealed,
	            BACKUP_HEADER_SIZE - BACKUP_MAGIC_SIZE - RECORD_SEAL_SIZE);
	put(writer, header, sizeof(header));
}

static void
put_trailer(Writer *writer)
{
	uint8_t trailer[BACKUP_TRAILER_SIZE] = { 0 };
	uint8_t digest[BACKUP_DIGEST_SIZE];
	gsize size = sizeof(digest);

	bytes_put_u64(trailer + 2, writer->backup.records);
	put(writer, trailer, sizeof(trailer));
	g_strlcpy(writer->backup.sha256, g_checksum_get_string(writer->sum),
	          sizeof(writer->backup.sha256));

	/* It is not a part of what it is of. */
	g_checksum_get_digest(writer->sum, digest, &size);
	g_byte_array_append(writer->block, digest, sizeof(digest));
}

/* ---- records -------------------------------------------------------------*/

/* Whoever restores it would only then learn that a record is damaged. */
static int
check_record(Writer *writer, KvSlice key, KvSlice value)
{
	g_autofree char *sentence = NULL;
	g_autofree char *what = NULL;

	if (key.size > 0 && key.size <= KV_KEY_MAX &&
	    value.size <= BACKUP_VALUE_MAX && record_unseal(key, &value) == 0)
		return 0;
	what = record_text(key);
	sentence = g_strdup_printf("%s is damaged", what);
	return fail(writer, -EUCLEAN, sentence);
}

static int
put_record(Writer *writer, KvSlice key, KvSlice value)
{
	uint8_t frame[BACKUP_FRAME_SIZE];
	int r;

	r = check_record(writer, key, value);
	if (r < 0)
		return r;
	bytes_put_u16(frame, (uint16_t)key.size);
	bytes_put_u32(frame + 2, (uint32_t)value.size);
	put(writer, frame, sizeof(frame));
	put(writer, key.data, key.size);
	put(writer, value.data, value.size);
	writer->backup.records++;
	return writer->block->len < BLOCK_SIZE ? 0 : flush(writer);
}

static int
put_records(Writer *writer, KvSnapshot *snapshot)
{
	g_autoptr(KvIter) iter = NULL;
	KvSlice key;
	KvSlice value;
	int r;

	r = kv_iter(snapshot, (KvSlice){ "", 1 }, &iter);
	while (r == 0) {
		r = kv_iter_next(iter, &key, &value);
		if (r < 0)
			break;
		r = put_record(writer, key, value);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : fail_read(writer, r);
}

/* ---- all of it -----------------------------------------------------------*/

/* Finds out of what @snapshot is. */
static int
describe(Writer *writer, Store *store, KvSnapshot *snapshot)
{
	RecordKey key = record_key_meta(RECORD_META_UUID);
	StoreBackup *backup = &writer->backup;
	KvSlice uuid;
	KvRoom room;
	int r;

	r = kv_get(snapshot, record_slice(&key), &uuid);
	if (r == 0)
		r = record_unseal(record_slice(&key), &uuid);
	if (r == 0 && uuid.size != BACKUP_UUID_SIZE)
		r = -EIO;
	if (r == 0)
		r = kv_room(snapshot, &room);
	if (r < 0)
		return fail_read(writer, r);
	backup->version = STORE_BACKUP_VERSION;
	backup->format = STORE_FORMAT;
	memcpy(backup->uuid, uuid.data, BACKUP_UUID_SIZE);
	g_strlcpy(backup->program, POFS_VERSION, sizeof(backup->program));
	backup->taken_ns = store_now_ns();
	backup->map_size = room.map_size;
	return 0;
}

static int
write_all(Writer *writer, Store *store)
{
	g_autoptr(KvSnapshot) snapshot = NULL;
	int r;

	r = store_verify(store);
	if (r == 0)
		r = kv_snapshot(store->kv, &snapshot);
	if (r < 0)
		return fail_read(writer, r);
	r = describe(writer, store, snapshot);
	if (r < 0)
		return r;
	put_header(writer);
	r = put_records(writer, snapshot);
	if (r < 0)
		return r;
	put_trailer(writer);
	return flush(writer);
}

int
store_backup(Store *store, StoreBackupSink *sink, void *user_data,
             StoreBackup *ret_backup, char **ret_reason)
{
	g_auto(Writer) writer = {
		.sink = sink,
		.user_data = user_data,
		.block = g_byte_array_sized_new(BLOCK_SIZE + BACKUP_RECORD_MAX),
		.sum = g_checksum_new(G_CHECKSUM_SHA256),
	};
	int r;

	r = write_all(&writer, store);
	if (r < 0) {
		*ret_reason = g_steal_pointer(&writer.reason);
		return r;
	}
	*ret_backup = writer.backup;
	return 0;
}
