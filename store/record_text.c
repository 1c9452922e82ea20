/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/record_text.h"

#include <glib.h>

#include "store/journal_record.h"
#include "store/record.h"

#define ID "%" G_GUINT64_FORMAT

static char *
plain_text(KvSlice key)
{
	uint64_t id = 0;

	(void)record_key_id(key, &id);
	return g_strdup_printf("table '%c': the record of id " ID,
	                       key.size > 0 ? *(const char *)key.data : '?',
	                       id);
}

/* What entry @entry keeps. */
static char *
past_text(uint64_t entry, KvSlice key)
{
	g_autofree char *what = NULL;
	JournalPast past;
	uint64_t id = 0;
	KvSlice of;

	if (!journal_key_read_past(key, &past, &of))
		return plain_text(key);
	if (past == JOURNAL_NODE || past == JOURNAL_DATA) {
		(void)record_part_id(of, &id);
		what = g_strdup_printf(
			"%s " ID, past == JOURNAL_NODE ? "node" : "content",
			id);
	} else {
		what = plain_text(of);
	}
	return g_strdup_printf("journal " ID ": what it keeps of %s", entry,
	                       what);
}

char *
record_text(KvSlice key)
{
	JournalPart part;
	StoreNode node = 0;
	uint64_t entry;

	if (key.size == 0 || *(const uint8_t *)key.data != RECORD_JOURNAL ||
	    !journal_key_read(key, &part, &entry))
		return plain_text(key);
	switch (part) {
	case JOURNAL_HEAD:
		return g_strdup_printf("journal " ID ": the entry", entry);
	case JOURNAL_FILE:
		(void)journal_key_read_file(key, &node);
		return g_strdup_printf("journal " ID ": the line of node " ID,
		                       entry, node);
	case JOURNAL_PAST:
		return past_text(entry, key);
	case JOURNAL_SINCE:
	default:
		return g_strdup("the journal's beginning");
	}
}
