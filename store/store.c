/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/internal.h"

/* A new database is made in here, then moved up: LMDB's first commits are the
 * one moment when a power cut leaves a file that it refuses. */
#define NURSERY   ".creating"
#define DATA_FILE "data.mdb"

/* ---- creating ------------------------------------------------------------*/

static int
sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* What a store directory may have in it before the store is there. */
static bool
is_vacant(const char *dir)
{
	g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
	const char *name;

	if (entries == NULL)
		return false;
	while ((name = g_dir_read_name(entries)) != NULL)
		if (!g_str_equal(name, NURSERY) &&
		    !g_str_equal(name, "lost+found"))
			return false;
	return true;
}

static void
add_change(GArray *changes, GPtrArray *owned, const RecordKey *key,
           const void *value, size_t size)
{
	RecordKey *k = g_memdup2(key, sizeof(*key));
	uint8_t *v = g_malloc(size + RECORD_SEAL_SIZE);
	KvChange change = { record_slice(k), { v, size + RECORD_SEAL_SIZE } };

	memcpy(v, value, size);
	record_seal(change.key, v, size);
	g_ptr_array_add(owned, k);
	g_ptr_array_add(owned, v);
	g_array_append_val(changes, change);
}

static void
add_meta(GArray *changes, GPtrArray *owned, const char *name, const void *value,
         size_t size)
{
	RecordKey key = record_key_meta(name);

	add_change(changes, owned, &key, value, size);
}

static void
add_root(GArray *changes, GPtrArray *owned)
{
	RecordKey key = record_key_node(STORE_ROOT);
	int64_t now = store_now_ns();
	RecordNode root = { .attr = { .node = STORE_ROOT,
		                      .mode = S_IFDIR | 0755,
		                      .uid = getuid(),
		                      .gid = getgid(),
		                      .atime_ns = now,
		                      .mtime_ns = now,
		                      .ctime_ns = now,
		                      .btime_ns = now } };
	uint8_t buf[RECORD_NODE_MAX];

	add_change(changes, owned, &key, buf, record_node_encode(&root, buf));
}

static void
keep_result(void *user_data, KvResult result)
{
	*(KvResult *)user_data = result;
}

/* A StoreFill: commits the first records of a store in @dir. */
static int
populate(void *user_data, const char *dir, char **ret_reason)
{
	g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(KvChange));
	g_autoptr(GPtrArray) owned = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *uuid = g_uuid_string_random();
	g_autoptr(Kv) kv = NULL;
	uint8_t number[8];
	uint8_t clean = 1;
	KvResult result = KV_UNKNOWN;
	KvBatch batch;
	int r;

	r = kv_lmdb_open(dir, true, 0, &kv, ret_reason);
	if (r < 0)
		return r;
	record_u64_encode(STORE_FORMAT, number);
	add_meta(changes, owned, RECORD_META_FORMAT, number, 8);
	record_u64_encode(STORE_ROOT + 1, number);
	add_meta(changes, owned, RECORD_META_NEXT, number, 8);
	record_u64_encode(1, number);
	add_meta(changes, owned, RECORD_META_SEQ, number, 8);
	add_meta(changes, owned, RECORD_META_UUID, uuid, strlen(uuid));
	add_meta(changes, owned, RECORD_META_CLEAN, &clean, 1);
	add_root(changes, owned);

	batch = (KvBatch){ .changes = (const KvChange *)(void *)changes->data,
		           .count = changes->len };
	kv_commit(kv, &batch, keep_result, &result);
	if (result == KV_COMMITTED)
		return 0;
	*ret_reason = g_strdup_printf("%s: %s", dir,
	                              result == KV_NOSPACE
	                                      ? "no room for a new store"
	                                      : "cannot write a new store");
	return result == KV_NOSPACE ? -ENOSPC : -EIO;
}

/* Empties and removes the nursery; it holds files only. */
static void
remove_nursery(const char *nursery)
{
	g_autoptr(GDir) entries = g_dir_open(nursery, 0, NULL);
	const char *name;

	if (entries == NULL)
		return;
	while ((name = g_dir_read_name(entries)) != NULL) {
		g_autofree char *path = g_build_filename(nursery, name, NULL);

		unlink(path);
	}
	rmdir(nursery);
}

/* Moves the finished database into place: the moment a store is there. */
static int
move_up(const char *dir, const char *nursery)
{
	g_autofree char *from = g_build_filename(nursery, DATA_FILE, NULL);
	g_autofree char *to = g_build_filename(dir, DATA_FILE, NULL);
	g_autofree char *parent = g_path_get_dirname(dir);
	int r;

	/* Never over another: two may create at once. */
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
		return -errno;
	r = sync_dir(dir);
	return r < 0 ? r : sync_dir(parent);
}

static int
create_in(const char *dir, uint64_t map_size, StoreFill *fill, void *user_data,
          char **ret_reason)
{
	g_autofree char *nursery = g_build_filename(dir, NURSERY, NULL);
	int r;

	remove_nursery(nursery);
	if (mkdir(nursery, 0700) < 0)
		r = -errno;
	else
		r = kv_lmdb_create(nursery, map_size, ret_reason);
	if (r == 0)
		r = fill(user_data, nursery, ret_reason);
	if (r == 0)
		r = move_up(dir, nursery);
	remove_nursery(nursery);
	if (r < 0 && *ret_reason == NULL)
		*ret_reason = g_strdup_printf("%s: %s", dir, g_strerror(-r));
	return r;
}

int
store_create_with(const char *dir, uint64_t map_size, StoreFill *fill,
                  void *user_data, char **ret_reason)
{
	bool is_new = false;
	int r;

	*ret_reason = NULL;
	if (map_size == 0)
		map_size = STORE_MAP_SIZE_DEFAULT;
	if (mkdir(dir, 0700) == 0)
		is_new = true;
	else if (errno != EEXIST) {
		r = -errno;
		*ret_reason = g_strdup_printf("%s: %s", dir, g_strerror(-r));
		return r;
	}
	if (!is_new && !is_vacant(dir)) {
		*ret_reason = g_strdup_printf("%s: exists and is not an empty "
		                              "directory",
		                              dir);
		return -EEXIST;
	}

	r = create_in(dir, map_size, fill, user_data, ret_reason);
	if (r < 0 && is_new)
		rmdir(dir);
	return r;
}

int
store_create(const char *dir, const StoreOptions *options, char **ret_reason)
{
	return store_create_with(dir, options != NULL ? options->map_size : 0,
	                         populate, NULL, ret_reason);
}

/* ---- opening -------------------------------------------------------------*/

static StoreOptions
full_options(const StoreOptions *options)
{
	StoreOptions full = STORE_OPTIONS_DEFAULT;

	if (options == NULL)
		return full;
	full.map_size = options->map_size;
	full.sync_ms = options->sync_ms;
	full.dirty_limit = options->dirty_limit;
	if (options->quarantine_max > 0)
		full.quarantine_max = options->quarantine_max;
	if (options->staged_limit > 0)
		full.staged_limit = options->staged_limit;
	if (options->staged_max > 0)
		full.staged_max = options->staged_max;
	if (options->staged_all > 0)
		full.staged_all = options->staged_all;
	full.ailing = options->ailing;
	full.ailing_data = options->ailing_data;
	full.journal_max = options->journal_max;
	if (options->journal_age_s > 0)
		full.journal_age_s = options->journal_age_s;
	return full;
}

static Store *
store_new(const char *dir, StoreAccess access, const StoreOptions *options)
{
	Store *store = g_new0(Store, 1);

	store->window = COMMIT_WINDOW_BEGIN;
	g_mutex_init(&store->lock);
	g_cond_init(&store->wake);
	g_cond_init(&store->done);
	g_queue_init(&store->orphans);
	g_queue_init(&store->waiters);
	g_queue_init(&store->doubtful);
	store->access = access;
	store->options = full_options(options);
	store->dir = g_strdup(dir);
	store->active = change_layer_new();
	store->plain.store = store;
	store->holds = g_hash_table_new_full(g_int64_hash, g_int64_equal,
	                                     g_free, g_free);
	store->roles = g_hash_table_new_full(g_int64_hash, g_int64_equal,
	                                     g_free, NULL);
	claim_init(store);
	quarantine_init(store);
	return store;
}

static void
store_free(Store *store)
{
	kv_snapshot_end(store->base);
	kv_close(store->kv);
	change_layer_free(store->active);
	change_layer_free(store->frozen);
	waiter_forget(store);
	g_queue_clear_full(&store->orphans, g_free);
	g_hash_table_unref(store->holds);
	g_hash_table_unref(store->roles);
	claim_free(store);
	quarantine_free(store);
	g_mutex_clear(&store->lock);
	g_cond_clear(&store->wake);
	g_cond_clear(&store->done);
	g_free(store->dir);
	g_free(store);
}

static int
get_number(Store *store, const char *name, uint64_t *ret_number)
{
	RecordKey key = record_key_meta(name);
	KvSlice value;
	int r;

	r = txn_get(&store->plain, record_slice(&key), &value);
	return r < 0 ? r : record_u64_decode(value, ret_number);
}

static void
put_format(Store *store)
{
	RecordKey key = record_key_meta(RECORD_META_FORMAT);
	uint8_t number[8];

	record_u64_encode(STORE_FORMAT, number);
	txn_put(&store->plain, record_slice(&key),
	        (KvSlice){ number, sizeof(number) });
}

static bool
get_clean(Store *store)
{
	RecordKey key = record_key_meta(RECORD_META_CLEAN);
	KvSlice value;

	return txn_get(&store->plain, record_slice(&key), &value) == 0 &&
	       value.size == 1 && *(const uint8_t *)value.data == 1;
}

static void
put_clean(Store *store, uint8_t clean)
{
	RecordKey key = record_key_meta(RECORD_META_CLEAN);

	txn_put(&store->plain, record_slice(&key), (KvSlice){ &clean, 1 });
}

static char *
damaged_reason(const char *dir)
{
	return g_strdup_printf(
		"%s: the database is damaged: nothing was changed; restore a "
		"backup, or see poctl check and export --salvage",
		dir);
}

/* As get_number(); where what is left is read, @least is enough. */
static int
load_number(Store *store, const char *name, uint64_t least,
            uint64_t *ret_number)
{
	int r = get_number(store, name, ret_number);

	if (r == 0 || store->access != STORE_SALVAGE)
		return r;
	*ret_number = least;
	return 0;
}

static void
ignore(void *user_data, const char *sentence)
{
	(void)user_data;
	(void)sentence;
}

/* Whether what is not found may be in a page that is damaged. */
static bool
has_damaged_page(Store *store)
{
	uint64_t count = 0;
	int r = kv_verify(store->kv, ignore, NULL, &count);

	return r < 0 || count > 0;
}

/* Reads what is to be known before anything else is believed. */
static int
load_meta(Store *store, char **ret_reason)
{
	uint64_t format;
	int r;

	r = kv_snapshot(store->kv, &store->base);
	if (r == 0)
		r = load_number(store, RECORD_META_FORMAT, STORE_FORMAT,
		                &format);
	if (r == -ENOENT && !has_damaged_page(store)) {
		*ret_reason = g_strdup_printf("%s: the database is not a "
		                              "pofs store",
		                              store->dir);
		return -EPROTO;
	}
	if (r == 0 && format > STORE_FORMAT) {
		*ret_reason =
			g_strdup_printf("%s: format %" G_GUINT64_FORMAT
		                        " is newer than this program's (%d)",
		                        store->dir, format, STORE_FORMAT);
		return -EPROTO;
	}
	if (r == 0)
		r = load_number(store, RECORD_META_NEXT, UINT64_MAX,
		                &store->next_id);
	if (r == 0)
		r = load_number(store, RECORD_META_SEQ, 0, &store->seq);
	if (r < 0) {
		*ret_reason = damaged_reason(store->dir);
		return -EUCLEAN;
	}
	return 0;
}

/* Ids are given out in order: of a key with one that was not yet, the id is
 * damaged. What is written from now on would come before it, and be taken for
 * the neighbour of what is missing (absence.c). */
static int
check_last_id(const Store *store, RecordTable table)
{
	const uint8_t end = (uint8_t)table + 1;
	KvRecord last;
	KvRecord next;
	uint64_t id;
	int r;

	r = kv_near(store->base, (KvSlice){ &end, 1 }, &last, &next);
	if (r < 0 || last.key.data == NULL ||
	    *(const uint8_t *)last.key.data != table)
		return r;
	return record_key_id(last.key, &id) && id < store->next_id ? 0
	                                                           : -EUCLEAN;
}

/* Reads what is to be known of single tables. */
static int
load_tables(Store *store)
{
	int r;

	if (store->access == STORE_SALVAGE)
		return 0;
	r = journal_load(store);
	if (r < 0 || store->access == STORE_READ)
		return r;
	r = check_last_id(store, RECORD_NODE);
	if (r == 0)
		r = check_last_id(store, RECORD_CHUNK);
	if (r < 0)
		return r;
	store->was_clean = get_clean(store);
	r = orphan_load(store);
	if (r == 0)
		r = quarantine_load(store);
	put_format(store);
	put_clean(store, 0);
	return r;
}

int
store_open_on(Kv *kv, const char *dir, StoreAccess access,
              const StoreOptions *options, Store **ret_store, char **ret_reason)
{
	Store *store = store_new(dir, access, options);
	int r;

	store->kv = kv;
	g_mutex_lock(&store->lock);
	r = load_meta(store, ret_reason);
	if (r == 0) {
		r = load_tables(store);
		if (r < 0)
			*ret_reason = damaged_reason(dir);
	}
	g_mutex_unlock(&store->lock);
	if (r == 0 && access == STORE_WRITE) {
		r = commit_start(store);
		if (r < 0)
			*ret_reason = g_strdup_printf("%s: no thread: %s", dir,
			                              g_strerror(-r));
	}
	if (r < 0) {
		store_free(store);
		return r;
	}
	*ret_store = store;
	return 0;
}

int
store_open(const char *dir, StoreAccess access, const StoreOptions *options,
           Store **ret_store, char **ret_reason)
{
	uint64_t map_size = options != NULL ? options->map_size : 0;
	Kv *kv = NULL;
	int r;

	*ret_reason = NULL;
	if (access == STORE_SALVAGE)
		r = kv_lmdb_salvage(dir, &kv, ret_reason);
	else
		r = kv_lmdb_open(dir, access == STORE_WRITE, map_size, &kv,
		                 ret_reason);
	if (r < 0)
		return r;
	return store_open_on(kv, dir, access, options, ret_store, ret_reason);
}

int
store_close(Store *store)
{
	int r = 0;

	if (store == NULL)
		return 0;
	if (store->committer != NULL) {
		g_mutex_lock(&store->lock);
		put_clean(store, 1);
		journal_put_served(store);
		g_mutex_unlock(&store->lock);
		r = commit_stop(store);
	}
	store_free(store);
	return r;
}

/* ---- transactions --------------------------------------------------------*/

StoreTxn *
store_plain(Store *store)
{
	return &store->plain;
}
