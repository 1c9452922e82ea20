/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How much room there is
 *
 * - There is what the map and the disk have left, and the free list: pages that
 *   LMDB uses again, each under the transaction that freed it.
 * - It uses only what was freed before the oldest state that anybody reads. We
 *   read the newest one, and what the last transaction freed is there after the
 *   next. What others read, a backup for instance, may stay for long, and
 *   nothing that was freed since then is room until they have ended.
 * - Who has died while he read would stay for ever: he is looked for as soon as
 *   somebody is in the way.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <glib.h>

#include "store/kv_lmdb_env.h"

/* Below this much free space the free list is worth counting. */
#define PLENTY ((uint64_t)256 << 20)

/* ---- who reads -----------------------------------------------------------*/

typedef struct Readers {
	uint64_t last_txn; /* the newest state */
	uint64_t oldest;   /* that others read; UINT64_MAX: nobody does */
} Readers;

/* A MDB_msg_func: a line with a process, a thread in hexadecimal, and the state
 * that is read, or none. LMDB tells of its readers in no other way. */
static int
see_reader(const char *line, void *user_data)
{
	Readers *readers = user_data;
	char *end = NULL;
	int64_t pid = g_ascii_strtoll(line, &end, 10);
	const char *number;
	uint64_t txn;

	(void)g_ascii_strtoull(end, &end, 16);
	number = end;
	txn = g_ascii_strtoull(number, &end, 10);
	if (end == number)
		return 0;
	/* While a commit ends, our own is one behind. */
	if (pid != getpid() || txn + 1 < readers->last_txn)
		readers->oldest = MIN(readers->oldest, txn);
	return 0;
}

/* The oldest state that others than ourselves read. */
static uint64_t
oldest_read(MDB_env *env, uint64_t last_txn)
{
	Readers readers = { last_txn, UINT64_MAX };
	int dead = 0;

	mdb_reader_list(env, see_reader, &readers);
	if (readers.oldest == UINT64_MAX ||
	    mdb_reader_check(env, &dead) != MDB_SUCCESS || dead == 0)
		return readers.oldest;
	readers.oldest = UINT64_MAX;
	mdb_reader_list(env, see_reader, &readers);
	return readers.oldest;
}

/* ---- what is free --------------------------------------------------------*/

/* Adds the pages that LMDB will use again: each entry of its free list is an
 * array of page numbers behind their count. */
static void
add_free_list(MDB_txn *txn, KvRoom *room)
{
	MDB_env *env = mdb_txn_env(txn);
	uint64_t last_txn = mdb_txn_id(txn);
	uint64_t oldest = oldest_read(env, last_txn);
	uint64_t size = lmdb_page_size(env);
	MDB_cursor *cursor;
	MDB_val key;
	MDB_val value;
	size_t id;
	size_t count;

	if (mdb_cursor_open(txn, LMDB_FREE_DBI, &cursor) != MDB_SUCCESS)
		return;
	while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == MDB_SUCCESS) {
		memcpy(&id, key.mv_data, sizeof(id));
		memcpy(&count, value.mv_data, sizeof(count));
		if (id >= oldest)
			room->pinned += count * size;
		else if (id < last_txn)
			room->free += count * size;
		else
			room->freed += count * size;
	}
	mdb_cursor_close(cursor);
}

int
lmdb_txn_room(MDB_txn *txn, KvRoom *ret_room)
{
	MDB_env *env = mdb_txn_env(txn);
	MDB_envinfo info;
	struct statvfs vfs;
	struct stat st;
	uint64_t used;
	uint64_t disk;
	int fd;

	mdb_env_info(env, &info);
	mdb_env_get_fd(env, &fd);
	if (fstat(fd, &st) < 0 || fstatvfs(fd, &vfs) < 0)
		return -errno;

	used = (info.me_last_pgno + 1) * lmdb_page_size(env);
	disk = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	*ret_room = (KvRoom){ .map_size = info.me_mapsize,
		              .used = (uint64_t)st.st_size,
		              .free = MIN(disk, info.me_mapsize - used) };
	ret_room->total = ret_room->used + ret_room->free;
	if (ret_room->free < PLENTY)
		add_free_list(txn, ret_room);
	return 0;
}
