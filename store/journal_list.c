/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Reading what the journal has.
 */

#include <errno.h>

#include "store/internal.h"

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
