/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Reading what the journal has.
 */

#include <errno.h>

#include "store/internal.h"

int
store_journal_list(Store *store, uint64_t id, StoreJournalVisit *visit,
                   void *user_data)
{
	RecordKey prefix = journal_key_part(JOURNAL_HEAD);
	RecordKey from = journal_key(JOURNAL_HEAD, id);
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;
	JournalPart part;
	TxnIter iter;
	KvSlice key;
	KvSlice value;
	bool go_on = true;
	int r;

	STORE_LOCK(store);
	r = txn_iter_begin(&store->plain, &prefix, &from, &iter);
	while (r == 0 && go_on) {
		r = txn_iter_next(&iter, &key, &value);
		if (r == 0 && !journal_key_read(key, &part, &id))
			r = -EIO;
		if (r == 0)
			r = journal_head_decode(id, value, &entry, text);
		if (r == 0)
			go_on = visit(user_data, &entry);
	}
	txn_iter_end(&iter);
	return r == -ENOENT ? 0 : r;
}

static int
visit_file(KvSlice key, KvSlice value, StoreJournalFileVisit *visit,
           void *user_data, bool *ret_go_on)
{
	g_autofree char *paths = NULL;
	JournalFile line;
	StoreNode node;
	int r;

	if (!journal_key_read_file(key, &node))
		return -EIO;
	r = journal_file_decode(node, value, &line, &paths);
	if (r == 0)
		*ret_go_on = visit(user_data, &line.file);
	return r;
}

int
store_journal_files(Store *store, uint64_t id, StoreJournalFileVisit *visit,
                    void *user_data)
{
	RecordKey prefix = journal_key(JOURNAL_FILE, id);
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry entry;
	TxnIter iter;
	KvSlice key;
	KvSlice value;
	bool go_on = true;
	int r;

	STORE_LOCK(store);
	r = journal_get(store, id, &entry, text);
	if (r < 0)
		return r;
	r = txn_iter_begin(&store->plain, &prefix, &prefix, &iter);
	while (r == 0 && go_on) {
		r = txn_iter_next(&iter, &key, &value);
		if (r == 0)
			r = visit_file(key, value, visit, user_data, &go_on);
	}
	txn_iter_end(&iter);
	return r == -ENOENT ? 0 : r;
}
