/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/backup.h"
#include "store/backup_stream.h"
#include "store/bytes.h"
#include "store/record.h"
#include "tests/fuzz/fuzz.h"

/* Gives a stream in small portions of different sizes. */
static int
give(void *user_data, void *buf, size_t size, size_t *ret_size)
{
	FuzzInput *input = user_data;

	*ret_size = MIN(MIN(size, input->size), 1 + input->size % 97);
	fuzz_take(input, buf, *ret_size);
	return 0;
}

static int
verify(const uint8_t *data, size_t size)
{
	g_autofree char *reason = NULL;
	FuzzInput input = { data, size };
	StoreBackup backup;
	int r;

	r = store_backup_verify(give, &input, &backup, &reason);
	g_assert((r < 0) == (reason != NULL));
	g_assert(r < 0 || (backup.bytes == size && input.size == 0));
	return r;
}

/* ---- a stream that is right but for its records --------------------------*/

static void
put_header(GByteArray *stream)
{
	uint8_t header[BACKUP_HEADER_SIZE] = BACKUP_MAGIC;

	bytes_put_u32(header + 8, STORE_BACKUP_VERSION);
	bytes_put_u32(header + 12, STORE_FORMAT);
	g_strlcpy((char *)header + 16, "0b5b2b3c-65a8-4a52-8b1a-0a4a8a0a4a8a",
	          BACKUP_UUID_SIZE + 1);
	record_seal(BACKUP_MAGIC_SLICE, header + BACKUP_MAGIC_SIZE,
	            BACKUP_HEADER_SIZE - BACKUP_MAGIC_SIZE - RECORD_SEAL_SIZE);
	g_byte_array_append(stream, header, sizeof(header));
}

static void
put_record(GByteArray *stream, KvSlice key, FuzzInput *input, size_t size)
{
	g_autofree uint8_t *value = g_malloc(size + RECORD_SEAL_SIZE);
	uint8_t frame[BACKUP_FRAME_SIZE];

	fuzz_take(input, value, size);
	record_seal(key, value, size);
	bytes_put_u16(frame, (uint16_t)key.size);
	bytes_put_u32(frame + 2, (uint32_t)(size + RECORD_SEAL_SIZE));
	g_byte_array_append(stream, frame, sizeof(frame));
	g_byte_array_append(stream, key.data, (guint)key.size);
	g_byte_array_append(stream, value, (guint)size + RECORD_SEAL_SIZE);
}

static void
put_trailer(GByteArray *stream, uint64_t count)
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

/* Whether @b comes behind @a in the order of a database. */
static bool
is_behind(const RecordKey *a, const RecordKey *b)
{
	int order = memcmp(a->bytes, b->bytes, MIN(a->size, b->size));

	return order < 0 || (order == 0 && a->size < b->size);
}

/* Makes records of @input: each its two sizes, its key, its value. They are a
 * backup if their keys are in order, and else none. */
static void
check_records(FuzzInput input)
{
	g_autoptr(GByteArray) stream = g_byte_array_new();
	RecordKey last = { .size = 0 };
	uint64_t count = 0;
	bool is_whole = true;

	put_header(stream);
	while (input.size > 0) {
		RecordKey key;
		uint8_t sizes[2];

		fuzz_take(&input, sizes, sizeof(sizes));
		key.size = 1 + sizes[0] % 40;
		fuzz_take(&input, key.bytes, key.size);
		put_record(stream, record_slice(&key), &input, sizes[1]);
		is_whole = is_whole && is_behind(&last, &key);
		last = key;
		count++;
	}
	put_trailer(stream, count);
	g_assert((verify(stream->data, stream->len) == 0) == is_whole);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = { data, size };

	(void)verify(data, size);
	check_records(input);
	return 0;
}
