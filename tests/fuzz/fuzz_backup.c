/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/stream.h"

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

/* Adds a record whose value of @size bytes comes of @input. */
static void
put_record(GByteArray *stream, KvSlice key, FuzzInput *input, size_t size)
{
	g_autofree uint8_t *value = g_malloc(size + 1);

	fuzz_take(input, value, size);
	stream_record(stream, key, value, size);
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

	stream_begin(stream, STORE_BACKUP_VERSION, STORE_FORMAT, 0);
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
	stream_end(stream, count);
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
