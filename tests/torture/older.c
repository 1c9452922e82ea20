/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Makes of a closed store one of the oldest format, as an older program left
 * it, or of another one, and prints the format that it had.
 *
 *	older STORE [FORMAT]
 */

#include <err.h>
#include <stdio.h>

#include "store/kv.h"
#include "store/record.h"
#include "store/store.h"

#define OLDEST_FORMAT 1

static uint64_t
format_of(const char *dir)
{
	g_autofree char *reason = NULL;
	StoreStat stat;
	Store *store;

	if (store_open(dir, STORE_READ, NULL, &store, &reason) < 0)
		errx(1, "%s", reason);
	if (store_stat(store, &stat) < 0)
		errx(1, "%s: cannot be read", dir);
	(void)store_close(store);
	return stat.format;
}

static void
keep_result(void *user_data, KvResult result)
{
	*(KvResult *)user_data = result;
}

static void
put_format(const char *dir, uint64_t format)
{
	RecordKey key = record_key_meta(RECORD_META_FORMAT);
	uint8_t value[8 + RECORD_SEAL_SIZE];
	KvChange change = { record_slice(&key), { value, sizeof(value) } };
	KvBatch batch = { .changes = &change, .count = 1 };
	g_autofree char *reason = NULL;
	KvResult result = KV_UNKNOWN;
	g_autoptr(Kv) kv = NULL;

	record_u64_encode(format, value);
	record_seal(change.key, value, 8);
	if (kv_lmdb_open(dir, true, 0, &kv, &reason) < 0)
		errx(1, "%s", reason);
	kv_commit(kv, &batch, keep_result, &result);
	if (result != KV_COMMITTED)
		errx(1, "%s: cannot be written", dir);
}

int
main(int argc, char **argv)
{
	uint64_t format = OLDEST_FORMAT;

	if (argc != 2 && argc != 3)
		errx(2, "usage: older STORE [FORMAT]");
	if (argc == 3)
		format = g_ascii_strtoull(argv[2], NULL, 10);
	printf("%" G_GUINT64_FORMAT "\n", format_of(argv[1]));
	put_format(argv[1], format);
	return 0;
}
