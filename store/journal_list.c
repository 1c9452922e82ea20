/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Reading what the journal has.
 */

#include <errno.h>
#include <string.h>

#include "store/internal.h"

/* Lines that are looked at while nobody else has the store. */
#define LINES 1000

int
journal_head_next(TxnIter *iter, StoreJournalEntry *ret_entry,
                  char text[JOURNAL_TEXT_MAX])
{
	JournalPart part;
	KvSlice key;
	KvSlice value;
	uint64_t id;
	int r;

	do {
		r = txn_iter_next(iter, &key, &value);
		if (r < 0)
			return r;
		if (!journal_key_read(key, &part, &id))
			return -EIO;
	} while (part != JOURNAL_HEAD);
	return journal_head_decode(id, value, ret_entry, text);
}

int
journal_file_next(TxnIter *iter, uint64_t *ret_id, JournalFile *ret_file,
                  char **ret_paths)
{
	JournalPart part;
	KvSlice key;
	KvSlice value;
	StoreNode node;
	int r;

	do {
		r = txn_iter_next(iter, &key, &value);
		if (r < 0)
			return r;
		if (!journal_key_read(key, &part, ret_id))
			return -EIO;
	} while (part != JOURNAL_FILE);
	if (!journal_key_read_file(key, &node))
		return -EIO;
	return journal_file_decode(node, value, ret_file, ret_paths);
}

int
store_journal_list(Store *store, uint64_t id, StoreJournalVisit *visit,
                   void *user_data)
{
	RecordKey prefix = journal_key_part(JOURNAL_HEAD);
	RecordKey from = journal_key(JOURNAL_HEAD, id);
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;
	TxnIter iter;
	bool go_on = true;
	int r;

	STORE_LOCK(store);
	r = txn_iter_begin(&store->plain, &prefix, &from, &iter);
	while (r == 0 && go_on) {
		r = journal_head_next(&iter, &entry, text);
		if (r == 0)
			go_on = visit(user_data, &entry);
	}
	txn_iter_end(&iter);
	return r == -ENOENT ? 0 : r;
}

int
store_journal_files(Store *store, uint64_t id, StoreJournalFileVisit *visit,
                    void *user_data)
{
	RecordKey prefix = journal_key(JOURNAL_FILE, id);
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;
	TxnIter iter;
	bool go_on = true;
	int r;

	STORE_LOCK(store);
	r = journal_get(store, id, &entry, text);
	if (r < 0)
		return r;
	r = txn_iter_begin(&store->plain, &prefix, &prefix, &iter);
	while (r == 0 && go_on) {
		g_autofree char *paths = NULL;
		JournalFile line;

		r = journal_file_next(&iter, &id, &line, &paths);
		if (r == 0)
			go_on = visit(user_data, &line.file);
	}
	txn_iter_end(&iter);
	return r == -ENOENT ? 0 : r;
}

/* ---- finding -------------------------------------------------------------*/

/* A search for what has to do with a file. */
typedef struct Find {
	Store *store;
	const StoreJournalFile *file;
	RecordKey from; /* where it goes on */
	uint64_t found; /* an entry; 0: none yet */
} Find;

static bool
is_of(const JournalFile *line, const StoreJournalFile *file)
{
	return line->file.node == file->node ||
	       (line->file.new_path[0] != '\0' &&
	        strcmp(line->file.new_path, file->old_path) == 0);
}

static int
find_next(Find *find, TxnIter *iter)
{
	g_autofree char *paths = NULL;
	JournalFile line;
	uint64_t id;
	int r;

	r = journal_file_next(iter, &id, &line, &paths);
	if (r < 0)
		return r;
	find->from = journal_key_file(id, line.file.node + 1);
	if (is_of(&line, find->file))
		find->found = id;
	return 0;
}

/* Looks at some lines. Errors: -ENOENT if there are no more. */
static int
find_some(Find *find)
{
	RecordKey prefix = journal_key_part(JOURNAL_FILE);
	TxnIter iter;
	unsigned i;
	int r;

	STORE_LOCK(find->store);
	r = txn_iter_begin(&find->store->plain, &prefix, &find->from, &iter);
	for (i = 0; r == 0 && i < LINES && find->found == 0; i++)
		r = find_next(find, &iter);
	txn_iter_end(&iter);
	return r;
}

uint64_t
journal_find(Store *store, uint64_t id, const StoreJournalFile *file)
{
	Find find = { .store = store,
		      .file = file,
		      .from = journal_key(JOURNAL_FILE, id) };
	int r;

	do
		r = find_some(&find);
	while (r == 0 && find.found == 0);
	return find.found;
}
