/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/kv_lmdb_env.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "store/kv_lmdb_page.h"
#include "store/kv_lmdb_pages.h"

#define DATA_FILE   "data.mdb"
#define LOCK_FILE   "lock.mdb"
#define MAX_READERS 256

/* Bytes of it: LMDB has a line of the cache for each, and two at the head. */
#define LOCK_SIZE ((off_t)64 * (MAX_READERS + 2))

/* How often the newest state is looked at if somebody writes meanwhile, and the
 * one before seems to be damaged. */
#define VERIFY_TRIES 5

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
	case MDB_CURSOR_FULL: /* no tree is as deep as that */
		return -EUCLEAN;
	case MDB_BAD_TXN: /* a call before it failed, and that was told */
		return -EIO;
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

/* A page that LMDB cannot believe ends the process as one that cannot be read
 * does, so that whoever tells of that tells of this, too. */
static void
assertion_failed(MDB_env *env, const char *text)
{
	(void)env;
	g_message("database: %s", text);
	(void)raise(SIGBUS);
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
	(void)mdb_env_set_assert(env, assertion_failed);
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

/* LMDB divides by what a meta page says of the size of pages. One that is being
 * written may look damaged once. */
static int
check_metas(const char *dir)
{
	g_autofree char *path = g_build_filename(dir, DATA_FILE, NULL);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	LmdbMeta metas[2];
	unsigned sound = 0;
	int i;

	if (fd < 0)
		return -errno;
	for (i = 0; i < VERIFY_TRIES && sound != 3; i++)
		sound = lmdb_page_read_metas(fd, metas);
	close(fd);
	if (sound == 3)
		return 0;
	return sound == 0 ? -EPROTO : -EUCLEAN;
}

bool
lmdb_env_is_short(MDB_env *env)
{
	MDB_envinfo info;
	struct stat st;
	int fd;

	mdb_env_info(env, &info);
	mdb_env_get_fd(env, &fd);
	return fstat(fd, &st) < 0 ||
	       (uint64_t)st.st_size <
	               (info.me_last_pgno + 1) * lmdb_page_size(env);
}

/* LMDB maps two pages before it looks at the size. */
int
lmdb_env_check_file(const char *dir)
{
	g_autofree char *path = g_build_filename(dir, DATA_FILE, NULL);
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	return st.st_size < 8192 ? -EUCLEAN : 0;
}

/* LMDB writes to its lock file by a map, and that needs room for each page that
 * was a hole, or, where a file system writes nothing in its old place, for each
 * page at any time: where there is none, a signal ends the process. So a new
 * one gets its room at once, and is to stay in its place, where the file system
 * can be told so. */
static int
prepare_lock_file(const char *dir)
{
	g_autofree char *path = g_build_filename(dir, LOCK_FILE, NULL);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;
	int flags;
	int r = 0;

	/* Who only reads may be without one. */
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && st.st_size == 0) {
		if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
			flags |= FS_NOCOW_FL;
			(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
		}
		r = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, LOCK_SIZE);
		r = r < 0 && (errno == ENOSPC || errno == EDQUOT) ? -errno : 0;
	}
	close(fd);
	return r;
}

/* Opens the environment, and has had a snapshot of it. */
static int
env_open(const char *dir, unsigned flags, uint64_t map_size, MDB_env **ret_env)
{
	MDB_env *env = NULL;
	int r;

	r = env_new(map_size, &env);
	if (r < 0)
		return r;

	r = lmdb_error(mdb_env_open(env, dir, flags, 0600));
	if (r == 0)
		r = open_dbi(env, MDB_RDONLY);
	if (r < 0) {
		lmdb_env_close(&env);
		return r;
	}
	*ret_env = env;
	return 0;
}

/* Clears the snapshots that a dead process with our number has left, as the one
 * before us in a container has: they would keep their pages as long as we live,
 * for LMDB takes whatever has the number of a living process for that one's. An
 * environment that has had a snapshot ends all with its number when it is closed.
 * They are nobody's then: it has the lock on that number, for which it is refused
 * a snapshot while a process with the same number lives in another namespace. */
static int
forget_namesake(const char *dir, uint64_t map_size)
{
	MDB_env *env = NULL;
	int r = env_open(dir, MDB_RDONLY | MDB_NOTLS, map_size, &env);

	lmdb_env_close(&env);
	return r;
}

int
lmdb_env_open(const char *dir, unsigned flags, uint64_t map_size,
              MDB_env **ret_env)
{
	int r;

	r = lmdb_env_check_file(dir);
	if (r == 0)
		r = check_metas(dir);
	if (r == 0)
		r = prepare_lock_file(dir);
	/* Who only reads ends them when it is closed. */
	if (r == 0 && (flags & MDB_RDONLY) == 0)
		r = forget_namesake(dir, map_size);
	return r < 0 ? r : env_open(dir, flags, map_size, ret_env);
}

static void
keep_finding(void *user_data, const char *sentence)
{
	g_ptr_array_add(user_data, g_strdup(sentence));
}

/* While a snapshot is of a state, its pages stay. */
static int
verify_newest(MDB_env *env, int fd, bool is_still, GPtrArray *findings)
{
	const LmdbPagesVisitor visitor = { .finding = keep_finding,
		                           .user_data = findings };
	MDB_txn *txn;
	int code;

	code = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (code != MDB_SUCCESS)
		return lmdb_error(code);
	lmdb_pages_walk(fd, mdb_txn_id(txn), &visitor);
	if (is_still)
		lmdb_pages_check_metas(fd, &visitor);
	mdb_txn_abort(txn);
	return 0;
}

/* A state whose meta page is overwritten meanwhile is no finding: the next
 * attempt takes the newest again. */
int
lmdb_env_verify(MDB_env *env, bool is_still, GPtrArray *findings)
{
	int tries = VERIFY_TRIES;
	uint64_t before = 0;
	uint64_t after = 0;
	int fd;
	int r;

	mdb_env_get_fd(env, &fd);
	do {
		g_ptr_array_set_size(findings, 0);
		(void)lmdb_pages_newest(fd, &before);
		r = verify_newest(env, fd, is_still, findings);
		(void)lmdb_pages_newest(fd, &after);
	} while (r == 0 && findings->len > 0 && before != after && --tries > 0);
	return r;
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
