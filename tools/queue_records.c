/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "tools/fact.h"
#include "tools/office_mailbag.h"
#include "tools/office_message.h"
#include "tools/queue.h"

/* The rows of a mailbag's records being made. */
typedef struct Reading {
	const ToolQueueFilter *filter;
	GHashTable *seen; /* stems of live records so far, owned */
	GPtrArray *rows;
} Reading;

static void
add_word(GString *state, const char *word)
{
	if (state->len > 0)
		g_string_append(state, ", ");
	g_string_append(state, word);
}

/* What is wrong with the header of @record. */
static void
add_header_words(GString *state, const ToolRecord *record)
{
	unsigned faults = format_mbg_faults(&record->header);

	for (; faults != 0; faults &= faults - 1)
		add_word(state, format_mbg_fault_text(faults));
}

/* What is wrong with the files that the record is of. */
static void
add_message_words(GString *state, const ToolMailbag *mailbag,
                  const ToolMessage *message)
{
	if (message->mai.node == 0)
		add_word(state, "MAI missing");
	else if (tool_message_is_torn(message))
		add_word(state,
		         format_mai_verdict_text(message->report.verdict));
	if (message->mai.node != 0 && message->has_owners &&
	    message->owners == 0)
		add_word(state, "no owners");
	if (mailbag->kind == TOOL_MAILBAG_INQUEUE && message->p1.node == 0)
		add_word(state, "P1 missing");
}

/* The state of @record in words, "ok" if there is nothing to say. @stem may be
 * NULL, and @message is of no meaning then. */
static char *
state_text(Reading *reading, const ToolMailbag *mailbag,
           const ToolRecord *record, const char *stem,
           const ToolMessage *message)
{
	GString *state = g_string_new(record->is_live ? NULL : "deleted");

	/* Deleted records keep what they were, whatever it is. */
	if (record->is_live)
		add_header_words(state, record);
	if (stem != NULL) {
		add_message_words(state, mailbag, message);
		if (record->is_live &&
		    !g_hash_table_add(reading->seen, g_strdup(stem)))
			add_word(state, "duplicate");
	}
	if (state->len == 0)
		g_string_append(state, "ok");
	return g_string_free(state, FALSE);
}

void
tool_queue_add_header(GVariantBuilder *row, const ToolRecord *record, bool iso)
{
	g_autofree char *sender = format_mbg_sender(&record->header);
	g_autofree char *subject = format_mbg_subject(&record->header);
	g_autofree char *time = tool_record_time(record, iso);

	tool_fact_number(row, "record", record->number);
	tool_fact_bool(row, "live", record->is_live);
	tool_fact_text(row, "sender", sender);
	tool_fact_text(row, "subject", subject);
	if (time != NULL)
		tool_fact_text(row, "date", time);
}

static int
add_record(void *user_data, const ToolMailbag *mailbag,
           const ToolRecord *record)
{
	Reading *reading = user_data;
	g_auto(GVariantBuilder) row =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	g_autofree char *stem = format_mbg_stem(&record->header);
	g_autofree char *state = NULL;
	ToolMessage message = { 0 };
	int r = 0;

	if (!record->is_live && !reading->filter->all)
		return 0;
	if (stem != NULL)
		r = tool_message_find(mailbag->office, stem, &message);
	if (r < 0)
		return r;

	tool_queue_add_header(&row, record, reading->filter->iso);
	if (stem != NULL)
		tool_fact_text(&row, "message", stem);
	if (message.mai.node != 0)
		tool_fact_number(&row, "size", message.mai.size);
	if (message.has_owners)
		tool_fact_number(&row, "owners", message.owners);
	state = state_text(reading, mailbag, record, stem, &message);
	tool_fact_text(&row, "state", state);
	g_ptr_array_add(reading->rows,
	                g_variant_ref_sink(g_variant_builder_end(&row)));
	return 0;
}

int
tool_queue_records(const ToolOffice *office, const char *name,
                   const ToolQueueFilter *filter, GPtrArray *rows)
{
	g_autoptr(GPtrArray) mailbags = NULL;
	g_autoptr(GHashTable) seen =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	Reading reading = { .filter = filter, .seen = seen, .rows = rows };
	guint i;
	int r;

	r = tool_mailbag_list(office, &mailbags);
	for (i = 0; r == 0 && i < mailbags->len; i++) {
		const ToolMailbag *mailbag = mailbags->pdata[i];

		if (g_ascii_strcasecmp(mailbag->name, name) == 0)
			return tool_mailbag_read(mailbag, add_record, &reading);
	}
	return r < 0 ? r : -ENOENT;
}
