/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A transaction that was undone, in a store that nobody serves: does what it is
 * told, and leaves it in the quarantine; without a REASON ("") it commits it.
 *
 *   undo STORE WHO REASON [write PATH TEXT | move PATH PATH | remove PATH - |
 *                          make PATH -]...
 *   undo STORE age DAYS
 *
 * The second makes the entries of the journal that much older.
 *
 * It makes a directory. A PATH is DIRECTORY/NAME. What it writes replaces the beginning of a file that
 * is there.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"
#include "store/journal_record.h"

/* Finds the directory of @path, and where its name begins. */
static int
find_dir(StoreTxn *txn, const char *path, StoreNode *ret_dir,
         const char **ret_name)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", 2);
	StoreEntry entry;
	int r;

	r = store_name_find(txn, STORE_ROOT, parts[0], &entry);
	if (r < 0)
		return r;
	*ret_dir = entry.node;
	*ret_name = path + strlen(parts[0]) + 1;
	return 0;
}

static int
write_file(StoreTxn *txn, const char *path, const char *text)
{
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	const char *name;
	StoreEntry entry;
	StoreNode dir;
	int r;

	r = find_dir(txn, path, &dir, &name);
	if (r < 0)
		return r;
	r = store_name_find(txn, dir, name, &entry);
	if (r == -ENOENT) {
		r = store_name_add(txn, dir, name, &attr, &attr);
		entry.node = attr.node;
	}
	if (r < 0)
		return r;
	return store_file_write(txn, entry.node, 0, text, strlen(text));
}

static int
move_file(StoreTxn *txn, const char *path, const char *new_path)
{
	const char *new_name;
	StoreNode new_dir;
	const char *name;
	StoreNode dir;
	int r;

	r = find_dir(txn, path, &dir, &name);
	if (r == 0)
		r = find_dir(txn, new_path, &new_dir, &new_name);
	if (r < 0)
		return r;
	return store_name_move(txn, dir, name, new_dir, new_name,
	                       STORE_MOVE_REPLACE);
}

static int
do_step(StoreTxn *txn, char **step)
{
	StoreAttr attr = { .mode = S_IFDIR | 0755 };
	const char *name;
	StoreNode dir;
	int r;

	if (strcmp(step[0], "write") == 0)
		return write_file(txn, step[1], step[2]);
	if (strcmp(step[0], "move") == 0)
		return move_file(txn, step[1], step[2]);
	r = find_dir(txn, step[1], &dir, &name);
	if (r < 0)
		return r;
	if (strcmp(step[0], "make") == 0)
		return store_name_add(txn, dir, name, &attr, &attr);
	return strcmp(step[0], "remove") == 0
	               ? store_name_remove(txn, dir, name, S_IFREG)
	               : -EINVAL;
}

static int
undo(Store *store, int argc, char **argv)
{
	/* A second of 1995. */
	StoreCause cause = { argv[3], INT64_C(791604123) * 1000000000 };
	g_autoptr(StoreTxn) txn = NULL;
	int r;
	int i;

	r = store_txn_begin(store, argv[2], &txn);
	for (i = 4; r == 0 && i + 2 < argc; i += 3)
		r = do_step(txn, argv + i);
	if (r < 0)
		return r;
	return argv[3][0] == '\0' ? store_txn_commit_wait(&txn)
	                          : store_txn_quarantine(&txn, &cause);
}

static int
age(Store *store, const char *days)
{
	int64_t ns = g_ascii_strtoll(days, NULL, 10) * 86400 * 1000000000;
	StoreJournalEntry entry = { .id = 0 };
	char text[JOURNAL_TEXT_MAX];
	int r;

	STORE_LOCK(store);
	while ((r = journal_next(store, entry.id + 1, &entry, text)) == 0) {
		g_autoptr(GByteArray) head = NULL;
		RecordKey key = journal_key(JOURNAL_HEAD, entry.id);

		entry.ended_ns -= ns;
		head = journal_head_encode(&entry);
		txn_put(&store->plain, record_slice(&key),
		        (KvSlice){ head->data, head->len });
	}
	return r == -ENOENT ? 0 : r;
}

int
main(int argc, char **argv)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;
	g_autofree char *reason = NULL;
	Store *store;
	int closed;
	int r;

	options.journal_age_s = INT32_MAX;
	if (argc < 4 ||
	    store_open(argv[1], STORE_WRITE, &options, &store, &reason) < 0) {
		(void)fprintf(stderr, "%s\n",
		              reason != NULL ? reason : "usage");
		return 1;
	}
	r = strcmp(argv[2], "age") == 0 ? age(store, argv[3])
	                                : undo(store, argc, argv);
	closed = store_close(store);
	if (r < 0 || closed < 0)
		(void)fprintf(stderr, "%s\n", g_strerror(r < 0 ? -r : -closed));
	return r < 0 || closed < 0 ? 1 : 0;
}
