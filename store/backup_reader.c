/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/backup_reader.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "store/bytes.h"
#include "store/record.h"

/* Room for the largest record, and for much more to be read at a time. */
#define BUFFER_SIZE (2 * BACKUP_RECORD_MAX)

struct BackupReader {
	StoreBackupSource *source;
	void *user_data;
	uint8_t *buffer; /* owned: BUFFER_SIZE bytes */
	size_t at;       /* of which these are to be looked at, */
	size_t end;      /* up to here */
	GChecksum *sum;  /* owned: of what was looked at */
	RecordKey last;  /* the key of the last record; empty at first */
	StoreBackup backup;
	char *reason; /* owned */
};

BackupReader *
backup_reader_new(StoreBackupSource *source, void *user_data)
{
	BackupReader *reader = g_new0(BackupReader, 1);

	reader->source = source;
	reader->user_data = user_data;
	reader->buffer = g_malloc(BUFFER_SIZE);
	reader->sum = g_checksum_new(G_CHECKSUM_SHA256);
	return reader;
}

void
backup_reader_free(BackupReader *reader)
{
	if (reader == NULL)
		return;
	g_free(reader->buffer);
	g_checksum_free(reader->sum);
	g_free(reader->reason);
	g_free(reader);
}

const StoreBackup *
backup_reader_backup(const BackupReader *reader)
{
	return &reader->backup;
}

char *
backup_reader_take_reason(BackupReader *reader)
{
	return g_steal_pointer(&reader->reason);
}

static int G_GNUC_PRINTF(3, 4)
	fail(BackupReader *reader, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_free(reader->reason);
	reader->reason = g_strdup_vprintf(format, args);
	va_end(args);
	return r;
}

/* Says that @what is wrong with what begins at byte @at. */
static int
damaged(BackupReader *reader, uint64_t at, const char *what)
{
	return fail(reader, -EUCLEAN,
	            "damaged at byte %" G_GUINT64_FORMAT ": %s", at, what);
}

/* ---- bytes ---------------------------------------------------------------*/

/* Reads once into what is free of the buffer; *@ret_is_end if there is no
 * more. */
static int
fill(BackupReader *reader, bool *ret_is_end)
{
	size_t size = 0;
	int r;

	memmove(reader->buffer, reader->buffer + reader->at,
	        reader->end - reader->at);
	reader->end -= reader->at;
	reader->at = 0;
	r = reader->source(reader->user_data, reader->buffer + reader->end,
	                   BUFFER_SIZE - reader->end, &size);
	if (r < 0)
		return fail(reader, r, "%s", g_strerror(-r));
	reader->end += size;
	*ret_is_end = size == 0;
	return 0;
}

/* Lends the next @size bytes, up to BACKUP_RECORD_MAX, which stay the next. */
static int
peek(BackupReader *reader, size_t size, const uint8_t **ret_bytes)
{
	bool is_end = false;
	int r;

	while (reader->end - reader->at < size) {
		r = fill(reader, &is_end);
		if (r < 0)
			return r;
		if (is_end)
			return fail(reader, -EUCLEAN,
			            "cut off at byte %" G_GUINT64_FORMAT,
			            reader->backup.bytes + reader->end -
			                    reader->at);
	}
	*ret_bytes = reader->buffer + reader->at;
	return 0;
}

static void
skip(BackupReader *reader, size_t size)
{
	reader->at += size;
	reader->backup.bytes += size;
}

/* As peek(), and goes on behind them. */
static int
take(BackupReader *reader, size_t size, const uint8_t **ret_bytes)
{
	int r;

	r = peek(reader, size, ret_bytes);
	if (r < 0)
		return r;
	g_checksum_update(reader->sum, *ret_bytes, (gssize)size);
	skip(reader, size);
	return 0;
}

/* ---- the header ----------------------------------------------------------*/

static bool
header_is_whole(const uint8_t *header)
{
	KvSlice sealed = { header + BACKUP_MAGIC_SIZE,
		           BACKUP_HEADER_SIZE - BACKUP_MAGIC_SIZE };

	return record_unseal(BACKUP_MAGIC_SLICE, &sealed) == 0;
}

static void
decode_header(StoreBackup *backup, const uint8_t *header)
{
	backup->version = bytes_get_u32(header + 8);
	backup->format = bytes_get_u32(header + 12);
	memcpy(backup->uuid, header + 16, BACKUP_UUID_SIZE);
	backup->taken_ns = (int64_t)bytes_get_u64(header + 52);
	backup->map_size = bytes_get_u64(header + 60);
	memcpy(backup->program, header + 68, BACKUP_PROGRAM_SIZE);
}

/* Only the magic and the version are the same in all versions. */
static int
check_version(BackupReader *reader)
{
	const uint8_t *bytes;
	uint32_t version;
	int r;

	r = peek(reader, BACKUP_MAGIC_SIZE, &bytes);
	if (r < 0)
		return r;
	if (memcmp(bytes, BACKUP_MAGIC, BACKUP_MAGIC_SIZE) != 0)
		return fail(reader, -EPROTO, "not a backup of a store");
	r = peek(reader, BACKUP_MAGIC_SIZE + 4, &bytes);
	if (r < 0)
		return r;
	version = bytes_get_u32(bytes + BACKUP_MAGIC_SIZE);
	if (version > STORE_BACKUP_VERSION)
		return fail(reader, -EPROTO,
		            "a backup of version %u, newer than this "
		            "program's (%d)",
		            version, STORE_BACKUP_VERSION);
	return 0;
}

int
backup_reader_begin(BackupReader *reader)
{
	const uint8_t *header = NULL;
	int r;

	r = check_version(reader);
	if (r == 0)
		r = take(reader, BACKUP_HEADER_SIZE, &header);
	if (r < 0)
		return r;
	if (!header_is_whole(header))
		return damaged(reader, 0, "the checksum of the header");
	decode_header(&reader->backup, header);
	if (reader->backup.format > STORE_FORMAT)
		return fail(reader, -EPROTO,
		            "of a store of format %u, newer than this "
		            "program's (%d)",
		            reader->backup.format, STORE_FORMAT);
	if (!g_uuid_string_is_valid(reader->backup.uuid) ||
	    !g_utf8_validate(reader->backup.program, -1, NULL))
		return damaged(reader, 0, "the header");
	return 0;
}

/* ---- records -------------------------------------------------------------*/

/* Whether @key comes behind the last one, which it replaces. */
static bool
advance(BackupReader *reader, KvSlice key)
{
	RecordKey *last = &reader->last;
	int order = memcmp(key.data, last->bytes, MIN(key.size, last->size));

	if (order < 0 || (order == 0 && key.size <= last->size))
		return false;
	memcpy(last->bytes, key.data, key.size);
	last->size = key.size;
	return true;
}

/* Reads what follows the last record. */
static int
end(BackupReader *reader)
{
	StoreBackup *backup = &reader->backup;
	uint8_t digest[BACKUP_DIGEST_SIZE];
	uint64_t at = backup->bytes;
	gsize size = sizeof(digest);
	const uint8_t *bytes;
	bool is_end = false;
	int r;

	r = take(reader, BACKUP_TRAILER_SIZE, &bytes);
	if (r < 0)
		return r;
	if (bytes_get_u64(bytes + 2) != backup->records)
		return damaged(reader, at, "the count of records");
	g_strlcpy(backup->sha256, g_checksum_get_string(reader->sum),
	          sizeof(backup->sha256));
	g_checksum_get_digest(reader->sum, digest, &size);
	at = backup->bytes;
	r = peek(reader, BACKUP_DIGEST_SIZE, &bytes);
	if (r < 0)
		return r;
	if (memcmp(bytes, digest, BACKUP_DIGEST_SIZE) != 0)
		return damaged(reader, at, "the SHA-256 of all before it");
	skip(reader, BACKUP_DIGEST_SIZE);
	if (reader->at == reader->end)
		r = fill(reader, &is_end);
	if (r < 0)
		return r;
	return is_end ? -ENOENT
	              : damaged(reader, backup->bytes, "behind the end");
}

int
backup_reader_next(BackupReader *reader, KvSlice *ret_key, KvSlice *ret_value)
{
	uint64_t at = reader->backup.bytes;
	const uint8_t *bytes;
	KvSlice value;
	KvSlice key;
	int r;

	r = peek(reader, BACKUP_FRAME_SIZE, &bytes);
	if (r < 0)
		return r;
	key.size = bytes_get_u16(bytes);
	value.size = bytes_get_u32(bytes + 2);
	if (key.size == 0)
		return end(reader);
	if (key.size > KV_KEY_MAX || value.size > BACKUP_VALUE_MAX)
		return damaged(reader, at, "the length of a record");
	r = take(reader, BACKUP_FRAME_SIZE + key.size + value.size, &bytes);
	if (r < 0)
		return r;
	key.data = bytes + BACKUP_FRAME_SIZE;
	value.data = bytes + BACKUP_FRAME_SIZE + key.size;
	*ret_value = value;
	if (record_unseal(key, &value) < 0)
		return damaged(reader, at, "the checksum of a record");
	if (!advance(reader, key))
		return damaged(reader, at, "the order of records");
	reader->backup.records++;
	*ret_key = key;
	return 0;
}
