/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The LMDB engine. With kv_lmdb_env.c and kv_lmdb_room.c the only file that says
 * mdb_.
 *
 * - Flags are LMDB's defaults and MDB_NOTLS (snapshots move between threads).
 *   MDB_NOSYNC and its kin lose acknowledged mail at a power cut, and
 *   MDB_WRITEMAP turns a full disk into SIGBUS.
 * - LMDB reports a full disk as EIO (a short write), so the disk is asked.
 * - After a failed write of its meta page LMDB is finished until it is closed
 *   and opened again; whether the commit is there is then to be looked up. The
 *   meta pages are settled before anything else is written.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <glib.h>
#include <lmdb.h>

#include "store/headship.h"
#include "store/kv.h"
#include "store/kv_lmdb_env.h"
#include "store/place.h"

#define REAPER_PERIOD 64 /* commits between two searches for dead readers */

/* Less room than this is none, in bytes. */
#define ROOM_MIN (64 << 10)

typedef struct KvLmdb {
	Kv kv;
	MDB_env *env;      /* NULL while closed by a failed kv_reopen() */
	char *dir;         /* owned */
	int writer_fd;     /* -1 for a reader */
	bool is_settled;   /* the meta pages are on disk as they are read */
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

/* As lmdb_error(), of a call that reads and failed: what is wrong with the
 * database then is -EIO to all above. */
static int
read_error(int code)
{
	int r = lmdb_error(code);

	if (r == -EUCLEAN)
		g_warning("database: it is damaged (%s); see poctl check",
		          mdb_strerror(code));
	return r == -ENOENT ? r : -EIO;
}

static int
lmdb_get(KvSnapshot *snapshot, KvSlice key, KvSlice *ret_value)
{
	LmdbSnapshot *s = (LmdbSnapshot *)snapshot;
	MDB_val k = lmdb_val(key);
	MDB_val v;
	int code;

	code = mdb_get(s->txn, LMDB_DBI, &k, &v);
	if (code != MDB_SUCCESS)
		return read_error(code);
	*ret_value = lmdb_slice(v);
	return 0;
}

/* Moves @cursor; where that ends there is no record. */
static int
get_record(MDB_cursor *cursor, MDB_val key, MDB_cursor_op op,
           KvRecord *ret_record)
{
	MDB_val value;
	int code = mdb_cursor_get(cursor, &key, &value, op);

	*ret_record = (KvRecord){ { NULL, 0 }, { NULL, 0 } };
	if (code == MDB_SUCCESS)
		*ret_record = (KvRecord){ lmdb_slice(key), lmdb_slice(value) };
	return code == MDB_SUCCESS || code == MDB_NOTFOUND ? 0
	                                                   : read_error(code);
}

static int
lmdb_near(KvSnapshot *snapshot, KvSlice key, KvRecord *ret_before,
          KvRecord *ret_after)
{
	LmdbSnapshot *s = (LmdbSnapshot *)snapshot;
	MDB_val k = lmdb_val(key);
	MDB_cursor *cursor;
	int code;
	int r;

	code = mdb_cursor_open(s->txn, LMDB_DBI, &cursor);
	if (code != MDB_SUCCESS)
		return read_error(code);
	r = get_record(cursor, k, MDB_SET_RANGE, ret_after);
	if (r == 0)
		r = get_record(cursor, k,
		               ret_after->key.data != NULL ? MDB_PREV
		                                           : MDB_LAST,
		               ret_before);
	mdb_cursor_close(cursor);
	return r;
}

static int
lmdb_iter(KvSnapshot *snapshot, KvSlice from, KvIter **ret_iter)
{
	LmdbSnapshot *s = (LmdbSnapshot *)snapshot;
	g_autofree LmdbIter *it = g_new0(LmdbIter, 1);
	int code;

	code = mdb_cursor_open(s->txn, LMDB_DBI, &it->cursor);
	if (code != MDB_SUCCESS)
		return read_error(code);

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
		return read_error(code);
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

/* ---- committing ----------------------------------------------------------*/

static int
check_guard(MDB_txn *txn, const KvChange *guard)
{
	MDB_val key = lmdb_val(guard->key);
	MDB_val value;
	int code;

	if (guard->key.data == NULL)
		return 0;
	code = mdb_get(txn, LMDB_DBI, &key, &value);
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
		return lmdb_error(mdb_put(txn, LMDB_DBI, &key, &value, 0));
	code = mdb_del(txn, LMDB_DBI, &key, NULL);
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

/* Of a quota nobody is told but who asks for room, which the next commits will
 * use. */
static bool
quota_is_reached(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 &&
	       fallocate(fd, FALLOC_FL_KEEP_SIZE, st.st_size, ROOM_MIN) < 0 &&
	       (errno == ENOSPC || errno == EDQUOT);
}

/* A short write for want of room is told as EIO. */
static bool
disk_is_full(KvLmdb *lmdb)
{
	struct statvfs vfs;
	int fd;

	mdb_env_get_fd(lmdb->env, &fd);
	return (fstatvfs(fd, &vfs) == 0 &&
	        (uint64_t)vfs.f_bavail * vfs.f_frsize < ROOM_MIN) ||
	       quota_is_reached(fd);
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
	if (!lmdb->is_settled)
		lmdb->is_settled = lmdb_env_settle(lmdb->env) == 0;
	if (!lmdb->is_settled) {
		done(user_data, commit_result(lmdb, -EIO));
		return;
	}
	if (++lmdb->commits % REAPER_PERIOD == 0)
		mdb_reader_check(lmdb->env, NULL);

	r = lmdb_error(mdb_txn_begin(lmdb->env, NULL, 0, &txn));
	if (r == 0)
		r = apply_batch(txn, batch);
	done(user_data, commit_result(lmdb, r));
}

/* ---- the database as such ------------------------------------------------*/

static int
lmdb_room(KvSnapshot *snapshot, KvRoom *ret_room)
{
	return lmdb_txn_room(((LmdbSnapshot *)snapshot)->txn, ret_room);
}

/* ---- verifying -----------------------------------------------------------*/

static int
lmdb_verify(Kv *kv, KvFinding *finding, void *user_data, uint64_t *ret_count)
{
	KvLmdb *lmdb = (KvLmdb *)kv;
	g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func(g_free);
	bool is_still = lmdb->writer_fd < 0 && headship_holder(lmdb->dir) == 0;
	int r;

	if (lmdb->env == NULL)
		return -EIO;
	r = lmdb_env_verify(lmdb->env, is_still, findings);
	if (r < 0)
		return r;
	for (guint i = 0; i < findings->len; i++)
		finding(user_data, findings->pdata[i]);
	*ret_count = findings->len;
	return 0;
}

/* Whether LMDB can be let near the pages: who begins to write looks at all of
 * them, for a page that is free by mistake is overwritten; anybody at those of a
 * file that may have been cut off. */
static int
judge(const KvLmdb *lmdb, bool is_first, char **ret_fault)
{
	g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func(g_free);
	bool is_writer = lmdb->writer_fd >= 0;
	int r;

	if (!(is_writer && is_first) && !lmdb_env_is_short(lmdb->env))
		return 0;
	r = lmdb_env_verify(lmdb->env, is_writer, findings);
	if (r < 0 || findings->len == 0)
		return r;
	*ret_fault = g_strdup(findings->pdata[0]);
	return -EUCLEAN;
}

/* ---- opening -------------------------------------------------------------*/

/* *@ret_fault is set if it is damaged and something can be said of it. */
static int
open_env(KvLmdb *lmdb, bool is_first, char **ret_fault)
{
	unsigned flags = lmdb->writer_fd < 0 ? MDB_RDONLY : 0;
	int r;

	r = lmdb_env_open(lmdb->dir, flags | MDB_NOTLS, lmdb->map_size,
	                  &lmdb->env);
	if (r == 0)
		r = judge(lmdb, is_first, ret_fault);
	if (r < 0) {
		lmdb_env_close(&lmdb->env);
		return r;
	}
	mdb_reader_check(lmdb->env, NULL);
	lmdb->is_settled =
		lmdb->writer_fd >= 0 && lmdb_env_settle(lmdb->env) == 0;
	return 0;
}

/* Everybody waits for it, and on a bad disk it is done again and again: so not all
 * pages are looked at, which takes the longer the larger the database is. They
 * were when it was opened first, and none of them is of the commit that failed:
 * that has written free pages only. */
static int
lmdb_reopen(Kv *kv, bool *ret_is_settled)
{
	KvLmdb *lmdb = (KvLmdb *)kv;
	g_autofree char *fault = NULL;
	int r;

	lmdb_env_close(&lmdb->env);
	r = open_env(lmdb, false, &fault);
	if (fault != NULL)
		g_warning("database: %s", fault);
	if (r == 0)
		*ret_is_settled = lmdb->is_settled;
	return r;
}

static void
lmdb_close(Kv *kv)
{
	KvLmdb *lmdb = (KvLmdb *)kv;

	lmdb_env_close(&lmdb->env);
	if (lmdb->writer_fd >= 0)
		close(lmdb->writer_fd);
	g_free(lmdb->dir);
	g_free(lmdb);
}

static const KvEngine lmdb_engine = {
	.snapshot = lmdb_snapshot,
	.snapshot_end = lmdb_snapshot_end,
	.get = lmdb_get,
	.near = lmdb_near,
	.iter = lmdb_iter,
	.iter_next = lmdb_iter_next,
	.iter_end = lmdb_iter_end,
	.commit = lmdb_commit,
	.room = lmdb_room,
	.verify = lmdb_verify,
	.reopen = lmdb_reopen,
	.close = lmdb_close,
};

static char *
open_reason(const char *dir, int r, pid_t holder, const char *fault)
{
	switch (-r) {
	case ENOENT:
		return g_strdup_printf("%s: there is no store", dir);
	case EBUSY:
		return g_strdup_printf("%s: process %d has this store open",
		                       dir, (int)holder);
	case EPROTO:
		return g_strdup_printf("%s: data.mdb is not a pofs database",
		                       dir);
	case EUCLEAN:
		return g_strdup_printf(
			"%s: the database is damaged (%s); nothing was changed; "
			"restore a backup, or see poctl check and export "
			"--salvage",
			dir, fault != NULL ? fault : "its beginning");
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
	g_autofree char *fault = NULL;
	pid_t holder = 0;
	int r;

	*ret_reason = NULL;
	lmdb->kv.engine = &lmdb_engine;
	lmdb->dir = g_strdup(dir);
	lmdb->writer_fd = -1;
	lmdb->map_size = map_size;

	r = place_check(dir, writer, ret_reason);
	if (r == 0)
		r = lmdb_env_check_file(dir);
	if (r == 0 && writer)
		r = headship_take(dir, &lmdb->writer_fd, &holder);
	if (r == 0)
		r = open_env(lmdb, true, &fault);
	if (r < 0) {
		if (*ret_reason == NULL)
			*ret_reason = open_reason(dir, r, holder, fault);
		return r;
	}
	*ret_kv = g_steal_pointer(&kv);
	return 0;
}

int
kv_lmdb_create(const char *dir, uint64_t map_size, char **ret_reason)
{
	int r = lmdb_env_create(dir, map_size);

	if (r < 0)
		*ret_reason = g_strdup_printf("%s: %s", dir, g_strerror(-r));
	return r;
}
