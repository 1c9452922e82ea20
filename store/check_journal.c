/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/check.h"
#include "store/journal_record.h"

#define ID "%" G_GUINT64_FORMAT

static CheckEntry *
find_entry(Check *check, uint64_t id)
{
	return g_hash_table_lookup(check->entries, &id);
}

static void
check_head(Check *check, uint64_t id, KvSlice value)
{
	char text[JOURNAL_TEXT_MAX];
	StoreJournalEntry head;
	CheckEntry *entry;

	if (journal_head_decode(id, value, &head, text) < 0) {
		check_found(check, "journal " ID ": the entry is malformed",
		            id);
		return;
	}
	check_id(check, id);
	entry = g_new(CheckEntry, 1);
	*entry = (CheckEntry){ head.files, head.bytes, head.has_past };
	g_hash_table_insert(check->entries, check_new_id(id), entry);
	if (check->first_entry == 0)
		check->first_entry = id;
	if (check->first_past == 0 && head.has_past)
		check->first_past = id;
	if (!head.has_past && head.bytes > 0)
		check_found(check, "journal " ID ": has bytes of no past", id);
}

/* What is left of entries that were forgotten comes before all others. */
static bool
is_remains(uint64_t id, uint64_t first)
{
	return first == 0 || id < first;
}

static void
check_file(Check *check, uint64_t id, KvSlice key, KvSlice value)
{
	CheckEntry *entry = find_entry(check, id);
	g_autofree char *paths = NULL;
	JournalFile file;
	StoreNode node;

	if (!journal_key_read_file(key, &node) ||
	    journal_file_decode(node, value, &file, &paths) < 0)
		check_found(check, "journal " ID ": a file is malformed", id);
	else if (entry != NULL)
		entry->files--;
	else if (!is_remains(id, check->first_entry))
		check_found(check, "journal " ID ": a file has no entry", id);
}

static void
keep_node(Check *check, uint64_t id, StoreNode kept)
{
	CheckNode *node = check_find(check, kept);

	if (node == NULL) {
		check_found(check, "journal " ID ": keeps the missing node " ID,
		            id, kept);
		return;
	}
	if (node->is_orphan)
		check_found(check, "journal " ID ": node " ID " is an orphan",
		            id, kept);
	if (node->is_kept)
		check_found(check,
		            "journal " ID ": node " ID " is another's, too", id,
		            kept);
	node->is_kept = true;
}

/* Returns the bytes that it counts for. */
static uint64_t
check_kept(Check *check, uint64_t id, JournalPast past, KvSlice of,
           KvSlice value)
{
	g_autofree char *what = g_strdup_printf("journal " ID, id);
	uint64_t bytes;
	uint64_t kept;

	if (!record_part_id(of, &kept) ||
	    record_u64_decode(value, &bytes) < 0) {
		check_found(check, "%s: what it keeps is malformed", what);
		return 0;
	}
	check_id(check, kept);
	if (past == JOURNAL_DATA)
		check_keep_data(check, what, kept);
	else
		keep_node(check, id, kept);
	return bytes;
}

/* Whether @value can be that of @of, what no id was kept of. */
static bool
is_sane(JournalPast past, KvSlice of, KvSlice value)
{
	StoreNode node;

	if (past == JOURNAL_ABSENT)
		return value.size == 0;
	if (past == JOURNAL_LOST)
		return record_u64_decode(value, &node) == 0;
	return check_is_sane(of, value);
}

static void
check_past(Check *check, uint64_t id, KvSlice key, KvSlice value)
{
	CheckEntry *entry = find_entry(check, id);
	uint64_t bytes = 0;
	JournalPast past;
	KvSlice of;

	if (!journal_key_read_past(key, &past, &of)) {
		check_found(check, "journal " ID ": its past is malformed", id);
		return;
	}
	if (past == JOURNAL_NODE || past == JOURNAL_DATA)
		bytes = check_kept(check, id, past, of, value);
	else if (!is_sane(past, of, value))
		check_found(check, "journal " ID ": its past is malformed", id);
	else
		bytes = value.size;
	if (entry != NULL && entry->has_past)
		entry->bytes -= key.size + bytes;
	else if (!is_remains(id, check->first_past))
		check_found(check, "journal " ID ": has a past, and has none",
		            id);
}

void
check_journal(Check *check, KvSlice key, KvSlice value)
{
	JournalSince since;
	JournalPart part;
	uint64_t id;

	if (!journal_key_read(key, &part, &id)) {
		check_found(check, "a key of the journal is malformed");
		return;
	}
	switch (part) {
	case JOURNAL_HEAD:
		check_head(check, id, value);
		break;
	case JOURNAL_FILE:
		check_file(check, id, key, value);
		break;
	case JOURNAL_PAST:
		check_past(check, id, key, value);
		break;
	case JOURNAL_SINCE:
	default:
		if (journal_since_decode(value, &since) < 0)
			check_found(check, "the journal's beginning is "
			                   "malformed");
		break;
	}
}

void
check_journal_end(Check *check)
{
	GHashTableIter iter;
	void *key;
	void *value;

	g_hash_table_iter_init(&iter, check->entries);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		uint64_t id = *(uint64_t *)key;
		const CheckEntry *entry = value;

		if (entry->files != 0)
			check_found(check,
			            "journal " ID ": has not the files that it "
			            "tells of",
			            id);
		if (entry->bytes != 0)
			check_found(check,
			            "journal " ID ": its past is not whole",
			            id);
	}
}
