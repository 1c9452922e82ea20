/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/learn_report.h"

#include <stdio.h>
#include <string.h>

#include "tools/fact.h"
#include "tools/json.h"
#include "tools/learnt.h"
#include "tools/prompt.h"
#include "tools/rows.h"
#include "tools/tool.h"

/* Bytes that differ of one file which are listed for people. */
#define BYTES_LISTED 24

/* ---- for people ---------------------------------------------------------- */

static void
print_note(const ToolNote *note)
{
	guint i;

	tool_say("%u. %s (%s)", note->number, note->did, note->step);
	if (note->said != NULL && note->said[0] != '\0')
		tool_say("   said: %s", note->said);
	if (note->trace != NULL)
		tool_say("   trace: %s", note->trace);
	for (i = 0; i < note->changes->len; i++) {
		const ToolChange *change = note->changes->pdata[i];
		g_autofree char *text = tool_change_text(change, BYTES_LISTED);

		tool_say("   %s: %s", change->path, text);
	}
}

static void
print_learnt(const ToolLearnt *one)
{
	if (one->notes[0] != '\0')
		tool_say("%s: %s: %s (notes %s)",
		         tool_certainty_text(one->certainty), one->about,
		         one->sentence, one->notes);
	else
		tool_say("%s: %s: %s", tool_certainty_text(one->certainty),
		         one->about, one->sentence);
}

static void
print_text(const ToolNotes *notes, const GPtrArray *learnt)
{
	unsigned i;

	tool_say("What was done and seen:");
	for (i = 0; i < tool_notes_count(notes); i++)
		print_note(tool_notes_get(notes, i));
	tool_prompt_say("What follows from it:");
	for (i = 0; i < learnt->len; i++)
		print_learnt(learnt->pdata[i]);
}

/* ---- for programs -------------------------------------------------------- */

static char *
hex_text(int64_t size, GBytes *bytes)
{
	GString *text = g_string_new(NULL);
	const uint8_t *data;
	gsize count;
	gsize i;

	if (size == TOOL_SIGHT_NONE || bytes == NULL)
		return g_string_free(text, FALSE);
	data = g_bytes_get_data(bytes, &count);
	for (i = 0; i < count; i++)
		g_string_append_printf(text, "%02x", data[i]);
	return g_string_free(text, FALSE);
}

static GVariant *
change_row(const ToolChange *change)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	g_autofree char *before = hex_text(change->sizes[0], change->bytes[0]);
	g_autofree char *after = hex_text(change->sizes[1], change->bytes[1]);
	g_autofree char *what = tool_change_text(change, G_MAXUINT);

	tool_fact_text(&row, "path", change->path);
	tool_fact_text(&row, "change", what);
	tool_fact_text(&row, "before", before);
	tool_fact_text(&row, "after", after);
	return g_variant_builder_end(&row);
}

static void
fact_if(GVariantBuilder *row, const char *key, const char *text)
{
	if (text != NULL)
		tool_fact_text(row, key, text);
}

/* "1, 9" */
static void
fact_deleted(GVariantBuilder *row, const GArray *deleted)
{
	g_autoptr(GString) text = g_string_new(NULL);
	guint i;

	for (i = 0; i < deleted->len; i++)
		g_string_append_printf(text, "%s%u", i > 0 ? ", " : "",
		                       g_array_index(deleted, uint32_t, i));
	if (text->len > 0)
		tool_fact_text(row, "deleted", text->str);
}

static GVariant *
note_row(const ToolNote *note)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	GVariantBuilder files =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	guint i;

	tool_fact_number(&row, "note", note->number);
	fact_if(&row, "time", note->time);
	tool_fact_text(&row, "step", note->step);
	tool_fact_text(&row, "task", note->task);
	tool_fact_text(&row, "did", note->did);
	fact_if(&row, "mailbag", note->mailbag);
	fact_if(&row, "trace", note->trace);
	fact_if(&row, "said", note->said);
	fact_deleted(&row, note->deleted);
	for (i = 0; i < note->changes->len; i++)
		g_variant_builder_add_value(
			&files, change_row(note->changes->pdata[i]));
	g_variant_builder_add(&row, "{sv}", "files",
	                      g_variant_builder_end(&files));
	return g_variant_builder_end(&row);
}

static GVariant *
learnt_row(const ToolLearnt *one)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

	tool_fact_text(&row, "certainty", tool_certainty_text(one->certainty));
	tool_fact_text(&row, "about", one->about);
	tool_fact_text(&row, "sentence", one->sentence);
	tool_fact_text(&row, "notes", one->notes);
	return g_variant_builder_end(&row);
}

static void
print_json(const ToolNotes *notes, const GPtrArray *learnt)
{
	GVariantBuilder done = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	GVariantBuilder follows =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	g_autoptr(GVariant) seen = NULL;
	g_autoptr(GVariant) found = NULL;
	g_autoptr(ToolJson) json = tool_json_new();
	unsigned i;

	for (i = 0; i < tool_notes_count(notes); i++)
		g_variant_builder_add_value(&done,
		                            note_row(tool_notes_get(notes, i)));
	for (i = 0; i < learnt->len; i++)
		g_variant_builder_add_value(&follows,
		                            learnt_row(learnt->pdata[i]));
	seen = g_variant_ref_sink(g_variant_builder_end(&done));
	found = g_variant_ref_sink(g_variant_builder_end(&follows));
	tool_json_string(json, "program", "pofs " POFS_VERSION);
	tool_rows_json(json, "notes", seen);
	tool_rows_json(json, "findings", found);
	tool_json_print(&json);
}

void
tool_learn_report(const ToolNotes *notes, bool is_json)
{
	g_autoptr(GPtrArray) learnt = tool_learnt_find(notes);

	if (is_json)
		print_json(notes, learnt);
	else
		print_text(notes, learnt);
}

void
tool_learn_print_contradictions(const ToolNotes *notes)
{
	g_autoptr(GPtrArray) learnt = tool_learnt_find(notes);
	guint i;

	for (i = 0; i < learnt->len; i++) {
		const ToolLearnt *one = learnt->pdata[i];

		if (one->certainty == TOOL_CONTRADICTS)
			print_learnt(one);
	}
}
