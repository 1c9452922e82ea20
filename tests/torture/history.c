/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/torture/history.h"

#include <err.h>
#include <stdio.h>
#include <string.h>

typedef struct Subject {
	GPtrArray *states; /* of each step; strings, owned */
	uint64_t acked;
} Subject;

struct History {
	GTree *subjects; /* name -> Subject, both owned */
};

static int
compare(const void *a, const void *b, void *user_data)
{
	return strcmp(a, b);
}

static void
subject_free(void *data)
{
	Subject *subject = data;

	g_ptr_array_unref(subject->states);
	g_free(subject);
}

History *
history_new(void)
{
	History *history = g_new0(History, 1);

	history->subjects =
		g_tree_new_full(compare, NULL, g_free, subject_free);
	return history;
}

void
history_free(History *history)
{
	g_tree_unref(history->subjects);
	g_free(history);
}

static Subject *
get_subject(History *history, const char *name)
{
	Subject *subject = g_tree_lookup(history->subjects, name);

	if (subject == NULL) {
		subject = g_new0(Subject, 1);
		subject->states = g_ptr_array_new_with_free_func(g_free);
		g_tree_insert(history->subjects, g_strdup(name), subject);
	}
	return subject;
}

void
history_begin(History *history, const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, " ", 3);
	Subject *subject;

	if (g_strv_length(words) != 3)
		errx(2, "the log has no step: %s", text);
	subject = get_subject(history, words[0]);
	if (g_ascii_strtoull(words[1], NULL, 10) != subject->states->len)
		errx(2, "the log leaves out a step: %s", text);
	g_ptr_array_add(subject->states, g_strdup(words[2]));
}

void
history_acknowledge(History *history, const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, " ", 2);
	Subject *subject;

	if (g_strv_length(words) != 2)
		errx(2, "the log has no step: %s", text);
	subject = get_subject(history, words[0]);
	subject->acked = g_ascii_strtoull(words[1], NULL, 10);
	if (subject->acked >= subject->states->len)
		errx(2, "the log acknowledges what has not begun: %s", text);
}

typedef struct Visiting {
	HistoryVisit *visit;
	void *user_data;
} Visiting;

static gboolean
visit_one(void *key, void *value, void *data)
{
	const Visiting *visiting = data;
	const Subject *subject = value;

	visiting->visit(visiting->user_data, key, subject->acked,
	                subject->states->len - 1);
	return FALSE;
}

void
history_visit(const History *history, HistoryVisit *visit, void *user_data)
{
	Visiting visiting = { visit, user_data };

	g_tree_foreach(history->subjects, visit_one, &visiting);
}

HistoryVerdict
history_judge(const History *history, const char *subject, const char *state)
{
	const Subject *s = g_tree_lookup(history->subjects, subject);
	HistoryVerdict verdict = HISTORY_TORN;

	for (guint i = 0; i < s->states->len; i++) {
		if (!g_str_equal(s->states->pdata[i], state))
			continue;
		if (i >= s->acked)
			return HISTORY_RIGHT;
		verdict = HISTORY_LOST;
	}
	return verdict;
}
