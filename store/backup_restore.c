/* SPDX-License-Identifier: BSD-2-Clause */

/* Reads a backup: to verify it, or to make a store of it. */

#include <errno.h>
#include <string.h>

#include "store/backup_reader.h"
#include "store/internal.h"

/* Bytes put into the database at a time: each takes a sync. */
#define BATCH_SIZE ((size_t)16 << 20)

/* Gives what @reader has found out, or why it, or what reads it, has failed. */
static int
conclude(BackupReader *reader, int r, StoreBackup *ret_backup,
         char **ret_reason)
{
	if (r < 0 && *ret_reason == NULL)
		*ret_reason = backup_reader_take_reason(reader);
	if (r < 0)
		return r;
	*ret_backup = *backup_reader_backup(reader);
	return 0;
}

int
store_backup_verify(StoreBackupSource *source, void *user_data,
                    StoreBackup *ret_backup, char **ret_reason)
{
	g_autoptr(BackupReader) reader = backup_reader_new(source, user_data);
	KvSlice value;
	KvSlice key;
	int r;

	*ret_reason = NULL;
	r = backup_reader_begin(reader);
	while (r == 0)
		r = backup_reader_next(reader, &key, &value);
	return conclude(reader, r == -ENOENT ? 0 : r, ret_backup, ret_reason);
}

/* ---- restoring -----------------------------------------------------------*/

/* What was read and is not in the database yet. */
typedef struct Batch {
	BackupReader *reader; /* borrowed */
	StoreIdentity identity;
	Kv *kv;          /* owned */
	uint8_t *bytes;  /* owned: keys and values */
	size_t size;     /* of them */
	GArray *changes; /* owned: KvChange, which point there */
} Batch;

static void
batch_clear(Batch *batch)
{
	kv_close(batch->kv);
	g_free(batch->bytes);
	g_array_unref(batch->changes);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Batch, batch_clear)

static KvSlice
copy(Batch *batch, KvSlice from)
{
	uint8_t *to = batch->bytes + batch->size;

	memcpy(to, from.data, from.size);
	batch->size += from.size;
	return (KvSlice){ to, from.size };
}

static void
put(Batch *batch, KvSlice key, KvSlice value)
{
	KvChange change = { .key = copy(batch, key) };

	change.value = copy(batch, value);
	g_array_append_val(batch->changes, change);
}

static void
keep_result(void *user_data, KvResult result)
{
	*(KvResult *)user_data = result;
}

static int
commit(Batch *batch, char **ret_reason)
{
	KvBatch all = { .changes =
		                (const KvChange *)(void *)batch->changes->data,
		        .count = batch->changes->len };
	KvResult result = KV_UNKNOWN;

	kv_commit(batch->kv, &all, keep_result, &result);
	g_array_set_size(batch->changes, 0);
	batch->size = 0;
	if (result == KV_COMMITTED)
		return 0;
	*ret_reason =
		g_strdup(result == KV_NOSPACE ? "no room for the new store"
	                                      : "cannot write the new store");
	return result == KV_NOSPACE ? -ENOSPC : -EIO;
}

/* Another store has another name. */
static void
put_uuid(Batch *batch)
{
	const StoreBackup *backup = backup_reader_backup(batch->reader);
	g_autofree char *uuid = batch->identity == STORE_IDENTITY_NEW
	                                ? g_uuid_string_random()
	                                : g_strdup(backup->uuid);
	uint8_t value[BACKUP_UUID_SIZE + RECORD_SEAL_SIZE];
	RecordKey key = record_key_meta(RECORD_META_UUID);

	memcpy(value, uuid, BACKUP_UUID_SIZE);
	record_seal(record_slice(&key), value, BACKUP_UUID_SIZE);
	put(batch, record_slice(&key), (KvSlice){ value, sizeof(value) });
}

/* Puts every record that is left of the backup. */
static int
put_records(Batch *batch, char **ret_reason)
{
	KvSlice value;
	KvSlice key;
	int r = 0;

	while (r == 0) {
		r = backup_reader_next(batch->reader, &key, &value);
		if (r < 0)
			break;
		put(batch, key, value);
		if (batch->size >= BATCH_SIZE)
			r = commit(batch, ret_reason);
	}
	if (r == -ENOENT)
		return 0;
	if (*ret_reason == NULL)
		*ret_reason = backup_reader_take_reason(batch->reader);
	return r;
}

/* A StoreFill: puts the backup into the database in @dir. */
static int
load(void *user_data, const char *dir, char **ret_reason)
{
	Batch *batch = user_data;
	int r;

	r = kv_lmdb_open(dir, true, 0, &batch->kv, ret_reason);
	if (r == 0)
		r = put_records(batch, ret_reason);
	if (r < 0)
		return r;
	put_uuid(batch);
	r = commit(batch, ret_reason);
	kv_close(g_steal_pointer(&batch->kv));
	return r;
}

int
store_backup_restore(const char *dir, StoreIdentity identity,
                     StoreBackupSource *source, void *user_data,
                     StoreBackup *ret_backup, char **ret_reason)
{
	g_autoptr(BackupReader) reader = backup_reader_new(source, user_data);
	g_auto(Batch) batch = {
		.reader = reader,
		.identity = identity,
		.bytes = g_malloc(BATCH_SIZE + 2 * BACKUP_RECORD_MAX),
		.changes = g_array_new(FALSE, FALSE, sizeof(KvChange)),
	};
	int r;

	*ret_reason = NULL;
	r = backup_reader_begin(reader);
	if (r == 0)
		r = store_create_with(dir,
		                      backup_reader_backup(reader)->map_size,
		                      load, &batch, ret_reason);
	return conclude(reader, r, ret_backup, ret_reason);
}
