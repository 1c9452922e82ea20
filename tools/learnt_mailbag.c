/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "tools/learnt.h"
#include "tools/task.h"

static char *
cite_point(const ToolLessonPoint *point)
{
	return g_strdup_printf("%u", point->note);
}

/* ---- the bitmap ---------------------------------------------------------- */

static void
add_settled(GPtrArray *learnt, const ToolLesson *lesson, const char *mailbag)
{
	const ToolLessonPoint *points = (void *)lesson->points->data;
	g_autofree char *text = NULL;
	FormatKeyLayout layout;
	size_t at = 0;

	(void)format_key_learn_next(&lesson->learn, &at, &layout);
	text = format_key_layout_print(&layout);
	tool_learnt_add(learnt, TOOL_FOLLOWS, "KEY bitmap",
	                g_strdup_printf("%u to %u", points[0].note,
	                                points[lesson->points->len - 1].note),
	                "%s: the only layout that is known which foretells "
	                "every deletion in mailbag %s, one in each span of "
	                "records where an order of bytes would show",
	                text, mailbag);
}

static void
add_bitmap(GPtrArray *learnt, const ToolLesson *lesson, const char *mailbag)
{
	unsigned left = format_key_learn_count(&lesson->learn);
	uint32_t begin;
	uint32_t end;

	if (format_key_learn_is_settled(&lesson->learn))
		add_settled(learnt, lesson, mailbag);
	else if (left == 0)
		tool_learnt_add(learnt, TOOL_CONTRADICTS, "KEY bitmap",
		                g_strdup_printf("%u", lesson->contradiction),
		                "no layout that is known fits mailbag %s from "
		                "this note on: something else was done than "
		                "was said, or KEY files are unlike anything "
		                "known",
		                mailbag);
	else if (format_key_learn_wants(&lesson->learn, &begin, &end))
		tool_learnt_add(learnt, TOOL_OPEN, "KEY bitmap", g_strdup(""),
		                "%u layouts fit mailbag %s: a deletion whose "
		                "record is %u to %u tells more (steps delete "
		                "and fill)",
		                left, mailbag, begin, end - 1);
	else
		tool_learnt_add(learnt, TOOL_OPEN, "KEY bitmap", g_strdup(""),
		                "%u layouts fit mailbag %s: further deletions "
		                "tell more",
		                left, mailbag);
}

/* ---- records ------------------------------------------------------------- */

/* Which record a message came to where there was a free one. */
static void
add_reuse(GPtrArray *learnt, const ToolLesson *lesson)
{
	g_autoptr(GString) cited = g_string_new(NULL);
	unsigned first = 0;
	guint i;

	for (i = 1; i < lesson->points->len; i++) {
		const ToolLessonPoint *before =
			&g_array_index(lesson->points, ToolLessonPoint, i - 1);
		const ToolLessonPoint *point =
			&g_array_index(lesson->points, ToolLessonPoint, i);

		if (before->deleted <= 0 || point->came < 0 ||
		    point->is_freed || point->records < before->records)
			continue;
		if (point->came != before->vacant) {
			tool_learnt_add(learnt, TOOL_CONTRADICTS, "MBG records",
			                cite_point(point),
			                "a message came to record %d, not to "
			                "the first vacant one, %d (Q77926)",
			                point->came, before->vacant);
			continue;
		}
		g_string_append_printf(cited, "%s%u", first > 0 ? ", " : "",
		                       point->note);
		first++;
	}
	if (first > 0)
		tool_learnt_add(learnt, TOOL_FITS, "MBG records",
		                g_strdup(cited->str),
		                "a message comes to the first vacant record, "
		                "as documented (Q77926): %u times",
		                first);
}

static char *
changed_bytes(const ToolLessonPoint *before, const ToolLessonPoint *after)
{
	GString *text = g_string_new(NULL);
	size_t i;

	for (i = 0; i < FORMAT_KEY_SIZE; i++)
		if (before->key[i] != after->key[i])
			g_string_append_printf(text, "%s0x%03zx %02x>%02x",
			                       text->len > 0 ? ", " : "", i,
			                       before->key[i], after->key[i]);
	if (text->len == 0)
		g_string_append(text, "none");
	return g_string_free(text, FALSE);
}

/* What Compress made of mailbag and KEY. */
static void
add_compress(GPtrArray *learnt, const ToolLesson *lesson)
{
	guint i;

	for (i = 1; i < lesson->points->len; i++) {
		const ToolLessonPoint *before =
			&g_array_index(lesson->points, ToolLessonPoint, i - 1);
		const ToolLessonPoint *point =
			&g_array_index(lesson->points, ToolLessonPoint, i);
		g_autofree char *bytes = changed_bytes(before, point);

		if (point->records >= before->records)
			continue;
		tool_learnt_add(learnt, TOOL_SEEN, "compress",
		                cite_point(point),
		                "%d records became %d; bytes of the KEY that "
		                "have changed: %s",
		                before->records, point->records, bytes);
		if (before->live >= 0 && !point->is_freed &&
		    point->records != before->live)
			tool_learnt_add(
				learnt, TOOL_CONTRADICTS, "compress",
				cite_point(point),
				"%d messages were there before it, and %d "
				"records after it",
				before->live, point->records);
	}
}

/* What has changed in the mailbag's files where a message was read. */
static void
add_readings(GPtrArray *learnt, const ToolNotes *notes, const char *mailbag)
{
	unsigned i;

	for (i = 0; i < tool_notes_count(notes); i++) {
		const ToolNote *note = tool_notes_get(notes, i);
		g_autofree char *key = NULL;
		g_autofree char *mbg = NULL;

		if (strcmp(note->task, TOOL_TASK_READING) != 0 ||
		    g_strcmp0(note->mailbag, mailbag) != 0)
			continue;
		key = tool_note_bytes_text(note, "KEY");
		mbg = tool_note_bytes_text(note, "MBG");
		tool_learnt_add(learnt, TOOL_SEEN, "reading",
		                g_strdup_printf("%u", note->number),
		                "bytes that have changed where record %s was "
		                "read: of the KEY %s, of the MBG %s",
		                note->said != NULL ? note->said : "?", key,
		                mbg);
	}
}

/* ---- all mailbags -------------------------------------------------------- */

/* Whether two mailbags of one postoffice have led to different layouts. */
static void
compare_layouts(GPtrArray *learnt, const ToolLesson *lesson, char **known,
                const char *mailbag)
{
	g_autofree char *text = NULL;
	FormatKeyLayout layout;
	size_t at = 0;

	if (!format_key_learn_is_settled(&lesson->learn))
		return;
	(void)format_key_learn_next(&lesson->learn, &at, &layout);
	text = format_key_layout_print(&layout);
	if (*known != NULL && strcmp(*known, text) != 0)
		tool_learnt_add(learnt, TOOL_CONTRADICTS, "KEY bitmap",
		                g_strdup(""),
		                "mailbag %s says %s, another one said %s",
		                mailbag, text, *known);
	g_free(*known);
	*known = g_steal_pointer(&text);
}

static void
add_mailbag(GPtrArray *learnt, const ToolNotes *notes, const char *mailbag,
            char **known)
{
	g_auto(ToolLesson) lesson;
	g_autoptr(GError) problem = NULL;

	tool_lesson_init(&lesson, false);
	if (tool_lesson_add_notes(&lesson, notes, mailbag, &problem) < 0) {
		tool_learnt_add(learnt, TOOL_CONTRADICTS, mailbag, g_strdup(""),
		                "%s", problem->message);
		return;
	}
	if (lesson.points->len < 2)
		return;
	add_bitmap(learnt, &lesson, mailbag);
	compare_layouts(learnt, &lesson, known, mailbag);
	add_reuse(learnt, &lesson);
	add_compress(learnt, &lesson);
	add_readings(learnt, notes, mailbag);
	tool_learnt_counters(learnt, &lesson, mailbag);
}

void
tool_learnt_mailbags(GPtrArray *learnt, const ToolNotes *notes)
{
	g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);
	g_autofree char *known = NULL;
	unsigned i;

	for (i = 0; i < tool_notes_count(notes); i++) {
		char *mailbag = tool_notes_get(notes, i)->mailbag;

		if (mailbag != NULL && g_hash_table_add(done, mailbag))
			add_mailbag(learnt, notes, mailbag, &known);
	}
}
