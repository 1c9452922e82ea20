/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The LMDB engine: the only file that says mdb_.
 *
 * - Flags are LMDB's defaults and MDB_NOTLS (snapshots move between threads).
 *   MDB_NOSYNC and its kin lose acknowledged mail at a power cut, and
 *   MDB_WRITEMAP turns a full disk into SIGBUS.
 * - LMDB reports a full disk as EIO (a short write), so statvfs is asked.
 * - After a failed write of its meta page LMDB is finished until it is closed
 *   and opened again; whether the commit is there is then to be looked up.
 * - The headship is an open file description lock on the file "writer", which
 *   holds the pid for the reader of an error message.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>
#include <lmdb.h>

#include "store/kv.h"

#define DATA_FILE     "data.mdb"
#define WRITER_FILE   "writer"
#define MAX_READERS   256
#define DBI           ((MDB_dbi)1)
#define FREE_DBI      ((MDB_dbi)0)
#define REAPER_PERIOD 64 /* commits between two searches for dead readers */

/* Below this much free space the free list is worth counting. */
#define PLENTY ((uint64_t)256 << 20)

typedef struct KvLmdb {
	Kv kv;
	MDB_env *env;      /* NULL while closed by a failed kv_reopen() */
	char *dir;         /* owned */
	int writer_fd;     /* -1 for a reader */
	uint64_t map_size; /* as asked for; 0 = as created */
	unsigned commits;  /* since the last search for dead readers */
} KvLmdb;

typedef struct LmdbSnapshot {
	KvSnapshot snapshot;
	MDB_txn *txn;
} LmdbSnapshot;

typedef struct LmdbIter {
	KvIter iter;
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	int pending; /* result of the seek, told by the first next */
	bool is_first;
} LmdbIter;

/* The one place where LMDB's errors become ours. Codes that errno cannot
 * carry are logged here, because nobody above could name them. */
static int
lmdb_error(int code)
{
	switch (code) {
	case MDB_SUCCESS:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
		return -ENOSPC;
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
		return -EPROTO;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
		return -EUCLEAN;
	default:
		if (code > 0)
			return -code;
		g_warning("database: %s", mdb_strerror(code));
		return -EIO;
	}
}

static MDB_val
lmdb_val(KvSlice slice)
{
	/* LMDB's type serves reading and writing and is not const. */
	return (MDB_val){ .mv_data = (void *)(uintptr_t)slice.data,
		          .mv_size = slice.size };
}

static KvSlice
lmdb_slice(MDB_val val)
{
	return (KvSlice){ .data = val.mv_data, .size = val.mv_size };
}

/* ---- reading -------------------------------------------------------------*/

static int
lmdb_snapshot(Kv *kv, KvSnapshot **ret_snapshot)
{
	KvLmdb *lmdb = (KvLmdb *)kv;
	g_autofree LmdbSnapshot *s = g_new0(LmdbSnapshot, 1);
	int code;

	if (lmdb->env == NULL)
		return -EIO;

	code = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &s->txn);
	if (code == MDB_READERS_FULL) {
		mdb_reader_check(lmdb->env, NULL);
		code = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &s->txn);
	}
	if (code != MDB_SUCCESS)
		return lmdb_error(code);

	s->snapshot.kv = kv;
	*ret_snapshot = &((LmdbSnapshot *)g_steal_pointer(&s))->snapshot;
	return 0;
}

static void
lmdb_snapshot_end(KvSnapshot *snapshot)
{
	LmdbSnapshot *s = (LmdbSnapshot *)snapshot;

	mdb_txn_abort(s->txn);
	g_free(s);
}

static int
lmdb_get(KvSnapshot *snapshot, KvSlice key, KvSlice *ret_value)
{
	LmdbSnapshot *s = (LmdbSnapshot *)snapshot;
	MDB_val k = lmdb_val(key);
	MDB_val v;
	int code;

	code = mdb_get(s->txn, DBI, &k, &v);
	if (code != MDB_SUCCESS)
		return lmdb_error(code);
	*ret_value = lmdb_slice(v);
	return 0;
}

static int
lmdb_iter(KvSnapshot *snapshot, KvSlice from, KvIter **ret_iter)
{
	LmdbSnapshot *s = (LmdbSnapshot *)snapshot;
	g_autofree LmdbIter *it = g_new0(LmdbIter, 1);
	int code;

	code = mdb_cursor_open(s->txn, DBI, &it->cursor);
	if (code != MDB_SUCCESS)
		return lmdb_error(code);

	it->iter.snapshot = snapshot;
	it->key = lmdb_val(from);
	it->is_first = true;
	it->pending =
		mdb_cursor_get(it->cursor, &it->key, &it->value, MDB_SET_RANGE);
	*ret_iter = &((LmdbIter *)g_steal_pointer(&it))->iter;
	return 0;
}

static int
lmdb_iter_next(KvIter *iter, KvSlice *ret_key, KvSlice *ret_value)
{
	LmdbIter *it = (LmdbIter *)iter;
	int code = it->pending;

	if (!it->is_first)
		code = mdb_cursor_get(it->cursor, &it->key, &it->value,
		                      MDB_NEXT);
	it->is_first = false;
	if (code != MDB_SUCCESS)
		return lmdb_error(code);
	*ret_key = lmdb_slice(it->key);
	*ret_value = lmdb_slice(it->value);
	return 0;
}

static void
lmdb_iter_end(KvIter *iter)
{
	LmdbIter *it = (LmdbIter *)iter;

	mdb_cursor_close(it->cursor);
	g_free(it);
}

/* ---- room ----------------------------------------------------------------*/

static uint64_t
page_size(MDB_env *env)
{
	MDB_stat stat;

	mdb_env_stat(env, &stat);
	return stat.ms_psize;
}

/* Bytes in pages that LMDB will use again: each entry of its free list is an
 * array of page numbers behind their count. */
static uint64_t
free_list_bytes(MDB_env *env)
{
	MDB_txn *txn;
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	size_t count;
	uint64_t pages = 0;

	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != MDB_SUCCESS)
		return 0;
	if (mdb_cursor_open(txn, FREE_DBI, &cursor) == MDB_SUCCESS) {
		while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) ==
		       MDB_SUCCESS) {
			memcpy(&count, value.mv_data, sizeof(count));
			pages += count;
		}
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	return pages * page_size(env);
}

static int
lmdb_room(Kv *kv, KvRoom *ret_room)
{
	KvLmdb *lmdb = (KvLmdb *)kv;
	MDB_envinfo info;
	struct statvfs vfs;
	struct stat st;
	uint64_t used;
	uint64_t disk;
	int fd;

	if (lmdb->env == NULL)
		return -EIO;
	mdb_env_info(lmdb->env, &info);
	mdb_env_get_fd(lmdb->env, &fd);
	if (fstat(fd, &st) < 0 || fstatvfs(fd, &vfs) < 0)
		return -errno;

	used = (info.me_last_pgno + 1) * page_size(lmdb->env);
	disk = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	ret_room->map_size = info.me_mapsize;
	ret_room->used = (uint64_t)st.st_size;
	ret_room->free = MIN(disk, info.me_mapsize - used);
	if (ret_room->free < PLENTY)
		ret_room->free += free_list_bytes(lmdb->env);
	return 0;
}

/* ---- committing ----------------------------------------------------------*/

static int
check_guard(MDB_txn *txn, const KvChange *guard)
{
	MDB_val key = lmdb_val(guard->key);
	MDB_val value;
	int code;

	if (guard->key.data == NULL)
		return 0;
	code = mdb_get(txn, DBI, &key, &value);
	if (code == MDB_NOTFOUND)
		return -ESTALE;
	if (code != MDB_SUCCESS)
		return lmdb_error(code);
	if (value.mv_size != guard->value.size ||
	    memcmp(value.mv_data, guard->value.data, value.mv_size) != 0)
		return -ESTALE;
	return 0;
}

static int
apply_change(MDB_txn *txn, const KvChange *change)
{
	MDB_val key = lmdb_val(change->key);
	MDB_val value = lmdb_val(change->value);
	int code;

	if (change->value.data != NULL)
		return lmdb_error(mdb_put(txn, DBI, &key, &value, 0));
	code = mdb_del(txn, DBI, &key, NULL);
	return code == MDB_NOTFOUND ? 0 : lmdb_error(code);
}

/* Applies @batch in @txn, which ends in any case. */
static int
apply_batch(MDB_txn *txn, const KvBatch *batch)
{
	size_t i;
	int r;

	r = check_guard(txn, &batch->guard);
	for (i = 0; r == 0 && i < batch->count; i++)
		r = apply_change(txn, &batch->changes[i]);
	if (r < 0) {
		mdb_txn_abort(txn);
		return r;
	}
	return lmdb_error(mdb_txn_commit(txn));
}

/* A short write for want of room is told as EIO: less than this is none. */
static bool
disk_is_full(KvLmdb *lmdb)
{
	struct statvfs vfs;
	int fd;

	mdb_env_get_fd(lmdb->env, &fd);
	return fstatvfs(fd, &vfs) == 0 &&
	       (uint64_t)vfs.f_bavail * vfs.f_frsize < (uint64_t)64 << 10;
}

/* Whether LMDB refuses to go on, as it does after a failed meta write. */
static bool
is_finished(MDB_env *env)
{
	MDB_txn *txn;

	if (mdb_txn_begin(env, NULL, 0, &txn) != MDB_SUCCESS)
		return true;
	mdb_txn_abort(txn);
	return false;
}

static KvResult
commit_result(KvLmdb *lmdb, int r)
{
	if (r == 0)
		return KV_COMMITTED;
	if (r == -ESTALE)
		return KV_REFUSED;
	if (is_finished(lmdb->env))
		return KV_UNKNOWN;
	if (r == -ENOSPC || r == -EDQUOT || (r == -EIO && disk_is_full(lmdb)))
		return KV_NOSPACE;
	return KV_IO;
}

static void
lmdb_commit(Kv *kv, const KvBatch *batch, KvDone *done, void *user_data)
{
	KvLmdb *lmdb = (KvLmdb *)kv;
	MDB_txn *txn;
	int r;

	if (lmdb->env == NULL) {
		done(user_data, KV_IO);
		return;
	}
	if (++lmdb->commits % REAPER_PERIOD == 0)
		mdb_reader_check(lmdb->env, NULL);

	r = lmdb_error(mdb_txn_begin(lmdb->env, NULL, 0, &txn));
	if (r == 0)
		r = apply_batch(txn, batch);
	done(user_data, commit_result(lmdb, r));
}

/* ---- opening -------------------------------------------------------------*/

/* Ends an environment that was made, opened or not. */
static void
env_close(MDB_env **env)
{
	if (*env != NULL)
		mdb_env_close(g_steal_pointer(env));
}

static int
env_new(uint64_t map_size, MDB_env **ret_env)
{
	MDB_env *env = NULL;
	int code;

	code = mdb_env_create(&env);
	if (code == MDB_SUCCESS)
		code = mdb_env_set_maxreaders(env, MAX_READERS);
	if (code == MDB_SUCCESS && map_size > 0)
		code = mdb_env_set_mapsize(env, map_size);
	if (code != MDB_SUCCESS) {
		env_close(&env);
		return lmdb_error(code);
	}
	*ret_env = env;
	return 0;
}

/* Opens the one database, so that its handle is DBI ever after. */
static int
open_dbi(MDB_env *env, unsigned flags)
{
	MDB_txn *txn;
	MDB_dbi dbi;
	int code;

	code = mdb_txn_begin(env, NULL, flags, &txn);
	if (code != MDB_SUCCESS)
		return lmdb_error(code);
	code = mdb_dbi_open(txn, NULL, 0, &dbi);
	if (code != MDB_SUCCESS) {
		mdb_txn_abort(txn);
		return lmdb_error(code);
	}
	g_assert(dbi == DBI);
	return lmdb_error(mdb_txn_commit(txn));
}

/* Touches every page of the database; a missing one is a SIGBUS. */
static int
read_all(MDB_env *env)
{
	volatile uint8_t sum = 0;
	MDB_txn *txn;
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	MDB_dbi dbi;

	if (open_dbi(env, MDB_RDONLY) < 0 ||
	    mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != MDB_SUCCESS)
		return -EUCLEAN;
	for (dbi = FREE_DBI; dbi <= DBI; dbi++) {
		if (mdb_cursor_open(txn, dbi, &cursor) != MDB_SUCCESS)
			return -EUCLEAN;
		while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) ==
		       MDB_SUCCESS)
			if (value.mv_size > 0)
				sum ^= ((uint8_t *)value
				                .mv_data)[value.mv_size - 1];
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	return 0;
}

/*
 * Whether the file in @dir is shorter than its last page, and not only
 * because the last pages are free ones that were never written. That is found
 * out by reading it all in a child, which dies of SIGBUS if something misses.
 */
static bool
is_truncated(const char *dir)
{
	MDB_env *env = NULL;
	pid_t child;
	int status = 0;

	child = fork();
	if (child < 0)
		return true;
	if (child == 0) {
		if (env_new(0, &env) < 0 ||
		    mdb_env_open(env, dir, MDB_RDONLY | MDB_NOLOCK, 0600) !=
		            MDB_SUCCESS)
			_exit(1);
		_exit(read_all(env) < 0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static int
check_size(MDB_env *env, const char *dir)
{
	MDB_envinfo info;
	struct stat st;
	int fd;

	mdb_env_info(env, &info);
	mdb_env_get_fd(env, &fd);
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size >= (info.me_last_pgno + 1) * page_size(env))
		return 0;
	return is_truncated(dir) ? -EUCLEAN : 0;
}

/* LMDB maps two pages before it looks at the size. */
static int
check_file(const char *dir)
{
	g_autofree char *path = g_build_filename(dir, DATA_FILE, NULL);
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EPROTO;
	return st.st_size < 2 * 4096 ? -EUCLEAN : 0;
}

static int
lmdb_open_env(KvLmdb *lmdb)
{
	unsigned flags = lmdb->writer_fd < 0 ? MDB_RDONLY : 0;
	MDB_env *env = NULL;
	int r;

	r = check_file(lmdb->dir);
	if (r < 0)
		return r;
	r = env_new(lmdb->map_size, &env);
	if (r < 0)
		return r;

	r = lmdb_error(mdb_env_open(env, lmdb->dir, flags | MDB_NOTLS, 0600));
	if (r == 0)
		r = check_size(env, lmdb->dir);
	if (r == 0)
		r = open_dbi(env, MDB_RDONLY);
	if (r < 0) {
		env_close(&env);
		return r;
	}
	mdb_reader_check(env, NULL);
	lmdb->env = env;
	return 0;
}

static int
lmdb_reopen(Kv *kv)
{
	KvLmdb *lmdb = (KvLmdb *)kv;

	env_close(&lmdb->env);
	return lmdb_open_env(lmdb);
}

static void
lmdb_close(Kv *kv)
{
	KvLmdb *lmdb = (KvLmdb *)kv;

	env_close(&lmdb->env);
	if (lmdb->writer_fd >= 0)
		close(lmdb->writer_fd);
	g_free(lmdb->dir);
	g_free(lmdb);
}

static const KvEngine lmdb_engine = {
	.snapshot = lmdb_snapshot,
	.snapshot_end = lmdb_snapshot_end,
	.get = lmdb_get,
	.iter = lmdb_iter,
	.iter_next = lmdb_iter_next,
	.iter_end = lmdb_iter_end,
	.commit = lmdb_commit,
	.room = lmdb_room,
	.reopen = lmdb_reopen,
	.close = lmdb_close,
};

/* Takes the headship of @dir: -EBUSY and the holder's pid if it is taken. */
static int
take_headship(KvLmdb *lmdb, pid_t *ret_holder)
{
	g_autofree char *path = g_build_filename(lmdb->dir, WRITER_FILE, NULL);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[32] = "";
	int size;
	int fd;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		if (read(fd, text, sizeof(text) - 1) < 0)
			text[0] = '\0';
		close(fd);
		*ret_holder = (pid_t)g_ascii_strtoll(text, NULL, 10);
		return -EBUSY;
	}
	lmdb->writer_fd = fd;

	size = g_snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)size, 0) != size)
		return errno == 0 ? -EIO : -errno;
	return 0;
}

static char *
open_reason(const char *dir, int r, pid_t holder)
{
	switch (-r) {
	case ENOENT:
		return g_strdup_printf("%s: there is no store", dir);
	case EBUSY:
		return g_strdup_printf("%s: process %d has this store open",
		                       dir, (int)holder);
	case EPROTO:
		return g_strdup_printf("%s: %s is not a pofs database", dir,
		                       DATA_FILE);
	case EUCLEAN:
		return g_strdup_printf("%s: the database is damaged or "
		                       "truncated; nothing was changed",
		                       dir);
	default:
		return g_strdup_printf("%s: %s", dir, g_strerror(-r));
	}
}

int
kv_lmdb_open(const char *dir, bool writer, uint64_t map_size, Kv **ret_kv,
             char **ret_reason)
{
	KvLmdb *lmdb = g_new0(KvLmdb, 1);
	g_autoptr(Kv) kv = &lmdb->kv;
	pid_t holder = 0;
	int r;

	lmdb->kv.engine = &lmdb_engine;
	lmdb->dir = g_strdup(dir);
	lmdb->writer_fd = -1;
	lmdb->map_size = map_size;

	r = check_file(dir);
	if (r == 0 && writer)
		r = take_headship(lmdb, &holder);
	if (r == 0)
		r = lmdb_open_env(lmdb);
	if (r < 0) {
		*ret_reason = open_reason(dir, r, holder);
		return r;
	}
	*ret_kv = g_steal_pointer(&kv);
	return 0;
}

int
kv_lmdb_create(const char *dir, uint64_t map_size, char **ret_reason)
{
	MDB_env *env = NULL;
	int r;

	r = env_new(map_size, &env);
	if (r == 0)
		r = lmdb_error(mdb_env_open(env, dir, MDB_NOLOCK, 0600));
	if (r == 0)
		r = open_dbi(env, 0);
	if (r == 0)
		r = lmdb_error(mdb_env_sync(env, 1));
	env_close(&env);
	if (r < 0)
		*ret_reason = g_strdup_printf("%s: %s", dir, g_strerror(-r));
	return r;
}
