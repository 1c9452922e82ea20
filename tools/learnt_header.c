/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <string.h>

#include "store/format/mbg.h"
#include "tools/learnt.h"
#include "tools/post.h"
#include "tools/task.h"

/* The step whose messages are compared, and those that all are compared with. */
#define STEP  "headers"
#define PLAIN "plain"
#define AGAIN "plain again"

/* Messages at most: a set of them is an unsigned. */
#define VARIANTS_MAX 16

/* A message of the step. */
typedef struct Variant {
	const char *task;
	const ToolNote *note;
	ToolPost post;
} Variant;

/* All of them. */
typedef struct Variants {
	Variant all[VARIANTS_MAX];
	unsigned count;
	const Variant *plain; /* NULL: there is none */
	const Variant *again;
	char *cited; /* owned */
} Variants;

static void
variants_clear(Variants *variants)
{
	g_free(variants->cited);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Variants, variants_clear)

static void
variants_find(Variants *variants, const ToolNotes *notes)
{
	const ToolStep *step = tool_step_find(STEP);
	g_autoptr(GString) cited = g_string_new(NULL);
	const ToolTask *task;

	*variants = (Variants){ .count = 0 };
	for (task = step->tasks; task->name != NULL; task++) {
		Variant *variant = &variants->all[variants->count];

		variant->task = task->name;
		variant->note = tool_notes_find(notes, STEP, task->name, NULL);
		if (variant->note == NULL ||
		    !tool_post_find(variant->note, &variant->post) ||
		    variant->post.record == NULL)
			continue;
		tool_learnt_cite(cited, variant->note);
		if (strcmp(task->name, PLAIN) == 0)
			variants->plain = variant;
		else if (strcmp(task->name, AGAIN) == 0)
			variants->again = variant;
		variants->count++;
		g_assert(variants->count < VARIANTS_MAX);
	}
	variants->cited = g_strdup(cited->str);
}

/* ---- records ------------------------------------------------------------- */

/* What the messages say of a set of them. */
typedef struct Meaning {
	const char *prefix; /* of the tasks' names */
	unsigned count;     /* of them */
	bool are_different; /* each has another value */
	const char *what;
} Meaning;

static const Meaning MEANINGS[] = {
	{ "priority ", 4, true, "the priority" },
	{ "receipt", 1, false, "whether there is a return receipt" },
	{ "1 attachment", 1, false, "whether there is one attachment" },
	{ "long subject", 1, false, "the length of the subject" },
	{ "long text", 1, false, "the length of the text" },
};

/* The set of messages in which byte @at is not as in the plain one. */
static unsigned
differing(const Variants *variants, size_t at)
{
	unsigned set = 0;
	unsigned i;

	for (i = 0; i < variants->count; i++)
		if (variants->all[i].post.record[at] !=
		    variants->plain->post.record[at])
			set |= 1U << i;
	return set;
}

static bool
is_attachments(const Variants *variants, unsigned set)
{
	unsigned i;

	for (i = 0; i < variants->count; i++) {
		bool has = strstr(variants->all[i].task, "attachment") != NULL;

		if (((set >> i & 1) != 0) != has)
			return false;
	}
	return set != 0;
}

/* Whether @set is of exactly the messages of @meaning, byte @at of which has as
 * many values as it should. */
static bool
is_meant(const Variants *variants, unsigned set, size_t at,
         const Meaning *meaning)
{
	bool values[256] = { false };
	unsigned different = 0;
	unsigned count = 0;
	unsigned i;

	for (i = 0; i < variants->count; i++) {
		const Variant *variant = &variants->all[i];
		uint8_t value = variant->post.record[at];

		bool is_in = (set >> i & 1) != 0;

		if (g_str_has_prefix(variant->task, meaning->prefix) != is_in)
			return false;
		if (!is_in)
			continue;
		count++;
		different += !values[value];
		values[value] = true;
	}
	return count == meaning->count &&
	       (!meaning->are_different || different == count);
}

/* What byte @at may say, as it differs in @set only; NULL: unknown. */
static const char *
meaning_of(const Variants *variants, unsigned set, size_t at)
{
	size_t i;

	if (is_attachments(variants, set))
		return "the attachments";
	for (i = 0; i < G_N_ELEMENTS(MEANINGS); i++)
		if (is_meant(variants, set, at, &MEANINGS[i]))
			return MEANINGS[i].what;
	return NULL;
}

static char *
values_text(const Variants *variants, unsigned set, size_t at)
{
	GString *text = g_string_new(NULL);
	unsigned i;

	g_string_append_printf(text, "%02x", variants->plain->post.record[at]);
	for (i = 0; i < variants->count; i++)
		if ((set >> i & 1) != 0)
			g_string_append_printf(text, ", %02x with %s",
			                       variants->all[i].post.record[at],
			                       variants->all[i].task);
	return g_string_free(text, FALSE);
}

static void
add_byte(GPtrArray *learnt, const Variants *variants, size_t at)
{
	unsigned set = differing(variants, at);
	g_autofree char *about = g_strdup_printf("MBG 0x%02zx", at);
	g_autofree char *values = values_text(variants, set, at);
	const char *meaning = meaning_of(variants, set, at);
	unsigned again = (unsigned)(variants->again - variants->all);

	if (set == 0)
		return;
	if ((set >> again & 1) != 0)
		tool_learnt_add(
			learnt, TOOL_SEEN, about, g_strdup(variants->cited),
			"differs in messages that are alike: %s", values);
	else if (meaning != NULL)
		tool_learnt_add(
			learnt, TOOL_FITS, about, g_strdup(variants->cited),
			"may say %s, one message each: %s", meaning, values);
	else
		tool_learnt_add(learnt, TOOL_SEEN, about,
		                g_strdup(variants->cited), "%s", values);
}

/* ---- messages ------------------------------------------------------------ */

static bool
has_line(const GPtrArray *lines, const char *line)
{
	guint i;

	for (i = 0; i < lines->len; i++)
		if (strcmp(lines->pdata[i], line) == 0)
			return true;
	return false;
}

/* "Vendor 33: 0a 00", of what is in @lines and not in @others. */
static char *
lines_besides(const GPtrArray *lines, const GPtrArray *others)
{
	GString *text = g_string_new(NULL);
	guint i;

	for (i = 0; i < lines->len; i++)
		if (!has_line(others, lines->pdata[i]))
			g_string_append_printf(text, "%s%s",
			                       text->len > 0 ? "; " : "",
			                       (const char *)lines->pdata[i]);
	return g_string_free(text, FALSE);
}

static void
add_message(GPtrArray *learnt, const Variants *variants, const Variant *variant)
{
	g_autoptr(GPtrArray) plain = NULL;
	g_autoptr(GPtrArray) these = NULL;
	g_autofree char *more = NULL;
	g_autofree char *less = NULL;
	g_autofree char *cited = g_strdup_printf(
		"%u, %u", variants->plain->note->number, variant->note->number);

	if (variants->plain->post.mai == NULL || variant->post.mai == NULL)
		return;
	plain = tool_post_elements(variants->plain->post.mai);
	these = tool_post_elements(variant->post.mai);
	more = lines_besides(these, plain);
	less = lines_besides(plain, these);
	if (more[0] != '\0' || less[0] != '\0')
		tool_learnt_add(learnt, TOOL_SEEN, "MAI",
		                g_steal_pointer(&cited),
		                "%s: has %s; the plain one has %s",
		                variant->task, more[0] != '\0' ? more : "less",
		                less[0] != '\0' ? less : "nothing else");
}

void
tool_learnt_headers(GPtrArray *learnt, const ToolNotes *notes)
{
	g_auto(Variants) variants;
	size_t at;
	unsigned i;

	variants_find(&variants, notes);
	if (variants.count == 0)
		return;
	if (variants.plain == NULL || variants.again == NULL) {
		tool_learnt_add(learnt, TOOL_OPEN, "MBG",
		                g_strdup(variants.cited),
		                "without both plain messages of step headers, "
		                "nothing can be compared");
		return;
	}
	for (at = 0; at < FORMAT_MBG_RECORD_SIZE; at++)
		if (!format_mbg_is_telling(at)) /* (Q108027): that differs */
			add_byte(learnt, &variants, at);
	for (i = 0; i < variants.count; i++)
		if (&variants.all[i] != variants.plain)
			add_message(learnt, &variants, &variants.all[i]);
}
