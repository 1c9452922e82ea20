/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/kv_lmdb_env.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#define DATA_FILE   "data.mdb"
#define MAX_READERS 256

/* The one place where LMDB's errors become ours. Codes that errno cannot
 * carry are logged here, because nobody above could name them. */
int
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

uint64_t
lmdb_page_size(MDB_env *env)
{
	MDB_stat stat;

	mdb_env_stat(env, &stat);
	return stat.ms_psize;
}

/* Ends an environment that was made, opened or not. */
void
lmdb_env_close(MDB_env **env)
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
		lmdb_env_close(&env);
		return lmdb_error(code);
	}
	*ret_env = env;
	return 0;
}

/* Opens the one database, so that its handle is LMDB_DBI ever after. */
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
	g_assert(dbi == LMDB_DBI);
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
	for (dbi = LMDB_FREE_DBI; dbi <= LMDB_DBI; dbi++) {
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
	pid_t ended;
	int status = 0;

	child = fork();
	if (child < 0)
		return true;
	if (child == 0) {
		signal(SIGBUS, SIG_DFL);
		if (env_new(0, &env) < 0 ||
		    mdb_env_open(env, dir, MDB_RDONLY | MDB_NOLOCK, 0600) !=
		            MDB_SUCCESS)
			_exit(1);
		_exit(read_all(env) < 0);
	}
	do
		ended = waitpid(child, &status, 0);
	while (ended < 0 && errno == EINTR);
	/* Where SIGCHLD is ignored nobody can tell how it ended. */
	return ended < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
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
	if ((uint64_t)st.st_size >=
	    (info.me_last_pgno + 1) * lmdb_page_size(env))
		return 0;
	return is_truncated(dir) ? -EUCLEAN : 0;
}

/* LMDB maps two pages before it looks at the size. */
int
lmdb_env_check_file(const char *dir)
{
	g_autofree char *path = g_build_filename(dir, DATA_FILE, NULL);
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EPROTO;
	return st.st_size < 8192 ? -EUCLEAN : 0;
}

int
lmdb_env_open(const char *dir, unsigned flags, uint64_t map_size,
              bool is_judged, MDB_env **ret_env)
{
	MDB_env *env = NULL;
	int r;

	r = lmdb_env_check_file(dir);
	if (r == 0)
		r = env_new(map_size, &env);
	if (r < 0)
		return r;

	r = lmdb_error(mdb_env_open(env, dir, flags, 0600));
	if (r == 0 && is_judged)
		r = check_size(env, dir);
	if (r == 0)
		r = open_dbi(env, MDB_RDONLY);
	if (r < 0) {
		lmdb_env_close(&env);
		return r;
	}
	*ret_env = env;
	return 0;
}

int
lmdb_env_settle(MDB_env *env)
{
	size_t size = 2 * lmdb_page_size(env);
	g_autofree uint8_t *metas = g_malloc(size);
	int fd;

	mdb_env_get_fd(env, &fd);
	if (pread(fd, metas, size, 0) != (ssize_t)size ||
	    pwrite(fd, metas, size, 0) != (ssize_t)size || fdatasync(fd) < 0)
		return -EIO;
	return 0;
}

int
lmdb_env_create(const char *dir, uint64_t map_size)
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
	lmdb_env_close(&env);
	return r;
}
