/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <string.h>

#include <glib.h>

#include "store/backup.h"
#include "store/backup_stream.h"
#include "store/bytes.h"
#include "store/record.h"

/** Streams that are sealed as a backup is, whatever is in them. */

static inline void
stream_begin(GByteArray *stream, uint32_t version, uint32_t format,
             uint64_t map_size)
{
	uint8_t header[BACKUP_HEADER_SIZE] = BACKUP_MAGIC;

	bytes_put_u32(header + 8, version);
	bytes_put_u32(header + 12, format);
	g_strlcpy((char *)header + 16, "0b5b2b3c-65a8-4a52-8b1a-0a4a8a0a4a8a",
	          BACKUP_UUID_SIZE + 1);
	bytes_put_u64(header + 60, map_size);
	record_seal(BACKUP_MAGIC_SLICE, header + BACKUP_MAGIC_SIZE,
	            BACKUP_HEADER_SIZE - BACKUP_MAGIC_SIZE - RECORD_SEAL_SIZE);
	g_byte_array_append(stream, header, sizeof(header));
}

static inline void
stream_record(GByteArray *stream, KvSlice key, const void *value, size_t size)
{
	g_autofree uint8_t *sealed = g_malloc(size + RECORD_SEAL_SIZE);
	uint8_t frame[BACKUP_FRAME_SIZE];

	if (size > 0)
		memcpy(sealed, value, size);
	record_seal(key, sealed, size);
	bytes_put_u16(frame, (uint16_t)key.size);
	bytes_put_u32(frame + 2, (uint32_t)(size + RECORD_SEAL_SIZE));
	g_byte_array_append(stream, frame, sizeof(frame));
	g_byte_array_append(stream, key.data, (guint)key.size);
	g_byte_array_append(stream, sealed, (guint)size + RECORD_SEAL_SIZE);
}

/* Says that there were @count records, whether or not that is so. */
static inline void
stream_end(GByteArray *stream, uint64_t count)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	uint8_t trailer[BACKUP_TRAILER_SIZE] = { 0 };
	uint8_t digest[BACKUP_DIGEST_SIZE];
	gsize size = sizeof(digest);

	bytes_put_u64(trailer + 2, count);
	g_byte_array_append(stream, trailer, sizeof(trailer));
	g_checksum_update(sum, stream->data, stream->len);
	g_checksum_get_digest(sum, digest, &size);
	g_byte_array_append(stream, digest, sizeof(digest));
}
