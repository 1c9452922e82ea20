/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <glib.h>

#include "store/format/glb.h"
#include "store/format/name.h"
#include "tools/apply.h"
#include "tools/listing.h"
#include "tools/office_reference.h"
#include "tools/tool.h"

#define CONTROL_PATH "GLB/CONTROL.GLB"

/* One of the two counters (Q87388). */
typedef struct Counter {
	const char *noun;
	const char *word; /* of the command line, or NULL */
	bool is_asked;
	uint32_t asked;
	bool is_used; /* there are files with a number of it */
	uint32_t highest;
	uint32_t before;
	uint32_t after;
} Counter;

typedef struct SetCounter {
	Counter mailbag;
	Counter letter;
	gboolean is_auto;
	bool is_lost; /* CONTROL.GLB has not the size of one */
} SetCounter;

/* ---- numbers in use ------------------------------------------------------- */

/* Enters that @number is in use. What is higher is a matter of where the
 * counter is, for it wraps: numbers run up to half the circle behind it. */
static void
counter_note(Counter *counter, uint32_t number)
{
	if (!counter->is_used ||
	    format_counter_is_above(number, counter->highest))
		counter->highest = number;
	counter->is_used = true;
}

/* Enters the numbers of the files in directory @dir. */
static int
dir_note(const ToolOffice *office, const char *dir, Counter *counter)
{
	g_autoptr(GPtrArray) entries = NULL;
	StoreNode node;
	int r;

	r = tool_office_find_dir(office, dir, &node);
	if (r == 0)
		r = tool_listing_read(office->txn, node, &entries);
	if (r < 0)
		return r == -ENOENT ? 0 : r;

	for (guint i = 0; i < entries->len; i++) {
		const StoreEntry *entry = entries->pdata[i];
		g_autofree char *path =
			g_strdup_printf("%s/%s", dir, entry->name);
		FormatName name;

		format_name_parse(path, &name);
		if (S_ISREG(entry->mode) && name.has_number)
			counter_note(counter, name.number);
	}
	return 0;
}

/* Enters the numbers of the messages that records name: whoever got that of one
 * that is lost would put a text of his own under another one's header. */
static int
records_note(const ToolOffice *office, Counter *counter)
{
	g_autoptr(GPtrArray) mailbags = NULL;
	g_autoptr(GArray) references = NULL;
	int r;

	r = tool_mailbag_list(office, &mailbags);
	if (r == 0)
		r = tool_reference_list(mailbags, &references);
	for (guint i = 0; r == 0 && i < references->len; i++) {
		const ToolReference *reference =
			&g_array_index(references, ToolReference, i);

		if (reference->is_live || !office->layout->is_confirmed)
			counter_note(counter, reference->message);
	}
	return r;
}

/* Finds the highest numbers in use (Q87388, Q87416). */
static int
numbers_note(const ToolOffice *office, SetCounter *set)
{
	static const char *const mailbags[] = { "KEY", "MBG", "USR",
		                                "INF", "TPL", "XTN",
		                                "NME", "GRP", "MMF" };
	size_t i;
	int r;

	r = dir_note(office, "P1", &set->letter);
	for (i = 0; i < 16 && r == 0; i++) {
		g_autofree char *mai = g_strdup_printf("MAI/MA%zX", i);
		g_autofree char *att = g_strdup_printf("ATT/AT%zX", i);

		r = dir_note(office, mai, &set->letter);
		if (r == 0)
			r = dir_note(office, att, &set->letter);
	}
	for (i = 0; i < G_N_ELEMENTS(mailbags) && r == 0; i++)
		r = dir_note(office, mailbags[i], &set->mailbag);
	return r < 0 ? r : records_note(office, &set->letter);
}

/* ---- what they become ----------------------------------------------------- */

/* Decides what @counter becomes: what was asked for, or, automatically, the
 * number after the highest, if it is not above that already. */
static int
counter_decide(Counter *counter, bool is_auto, GError **error)
{
	bool is_above =
		!counter->is_used ||
		format_counter_is_above(counter->before, counter->highest);

	counter->after = counter->before;
	if (counter->is_asked)
		counter->after = counter->asked;
	else if (is_auto && !is_above)
		counter->after = counter->highest + 1;

	if (counter->is_asked && counter->is_used &&
	    !format_counter_is_above(counter->after, counter->highest))
		return tool_fail(error, -EPERM,
		                 "%08X is in use: the counter of %s must be "
		                 "above it",
		                 counter->highest, counter->noun);
	return 0;
}

/* A CONTROL.GLB of another size has lost its numbers. */
static int
control_read(const ToolOffice *office, SetCounter *set, GError **error)
{
	g_autoptr(GBytes) bytes = NULL;
	FormatControl control = { 0 };
	gsize size = 0;
	const uint8_t *data;
	int r;

	r = tool_office_read(office, CONTROL_PATH, FORMAT_CONTROL_SIZE + 1,
	                     &bytes);
	if (r < 0 && r != -ENOENT)
		return tool_fail(error, r, "%s: %s", CONTROL_PATH,
		                 g_strerror(-r));
	data = bytes != NULL ? g_bytes_get_data(bytes, &size) : NULL;
	set->is_lost = size != FORMAT_CONTROL_SIZE;
	if (!set->is_lost)
		format_control_decode(data, &control);
	else if (!set->is_auto &&
	         !(set->mailbag.is_asked && set->letter.is_asked))
		return tool_fail(error, -EINVAL,
		                 "%s has lost its numbers: use --auto, or give "
		                 "both",
		                 CONTROL_PATH);
	set->mailbag.before = control.mailbag;
	set->letter.before = control.letter;
	return 0;
}

static int
plan_set(void *user_data, const ToolOffices *offices, StoreEdits *edits,
         GError **error)
{
	SetCounter *set = user_data;
	g_autoptr(GBytes) bytes = NULL;
	uint8_t data[FORMAT_CONTROL_SIZE];
	FormatControl control;
	const ToolOffice *office = offices->list->pdata[0];
	int r;

	if (offices->list->len > 1)
		return tool_misuse(error,
		                   "there are %u postoffices: which? "
		                   "(--postoffice)",
		                   offices->list->len);

	set->mailbag.is_used = set->letter.is_used = false;
	r = numbers_note(office, set);
	if (r < 0)
		return tool_fail(error, r, "cannot read what is in use: %s",
		                 g_strerror(-r));

	r = control_read(office, set, error);
	if (r == 0)
		r = counter_decide(&set->mailbag, set->is_auto, error);
	if (r == 0)
		r = counter_decide(&set->letter, set->is_auto, error);
	if (r < 0)
		return r;

	if (set->mailbag.after == set->mailbag.before &&
	    set->letter.after == set->letter.before && !set->is_lost)
		return 0;
	control = (FormatControl){ .mailbag = set->mailbag.after,
		                   .letter = set->letter.after };
	format_control_encode(&control, data);
	bytes = g_bytes_new(data, sizeof data);
	return tool_apply_add(edits, office, STORE_EDIT_WRITE, CONTROL_PATH, 0,
	                      bytes, error);
}

/* ---- the command line ----------------------------------------------------- */

/* A number is decimal, or hexadecimal after 0x. */
static int
counter_parse(Counter *counter, GError **error)
{
	bool is_hex;
	guint64 number;

	if (counter->word == NULL)
		return 0;
	is_hex = g_ascii_strncasecmp(counter->word, "0x", 2) == 0;
	if (!g_ascii_string_to_unsigned(counter->word + (is_hex ? 2 : 0),
	                                is_hex ? 16 : 10, 0, G_MAXUINT32,
	                                &number, NULL))
		return tool_misuse(error, "set-counter: %s is no number",
		                   counter->word);
	counter->asked = (uint32_t)number;
	counter->is_asked = true;
	return 0;
}

static int
words_check(SetCounter *set, GError **error)
{
	int r;

	r = counter_parse(&set->mailbag, error);
	if (r == 0)
		r = counter_parse(&set->letter, error);
	if (r == 0 && !set->is_auto && !set->mailbag.is_asked &&
	    !set->letter.is_asked)
		return tool_misuse(error, "set-counter: which? --mailbag, "
		                          "--letter or --auto");
	return r;
}

ToolExit
tool_set_counter(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(ToolApply) apply = { .what = "set-counter" };
	g_autofree char *mailbag = NULL;
	g_autofree char *letter = NULL;
	size_t count;
	SetCounter set = { .mailbag.noun = "mailbags",
		           .letter.noun = "messages" };
	const GOptionEntry entries[] = {
		{ "postoffice", 0, 0, G_OPTION_ARG_FILENAME,
		  &apply.choice.folder, "Of the postoffice in this folder",
		  "NAME" },
		{ "mailbag", 0, 0, G_OPTION_ARG_STRING, &mailbag,
		  "The next number of a mailbag", "N" },
		{ "letter", 0, 0, G_OPTION_ARG_STRING, &letter,
		  "The next number of a message or attachment", "N" },
		{ "auto", 0, 0, G_OPTION_ARG_NONE, &set.is_auto,
		  "Above the highest numbers in use", NULL },
		{ NULL },
	};

	if (tool_apply_options(self, entries, argv, &apply, &options, error) <
	    0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	set.mailbag.word = mailbag;
	set.letter.word = letter;
	if (words_check(&set, error) < 0)
		return TOOL_USAGE;
	if (tool_apply(&apply, plan_set, &set, &count, error) < 0)
		return TOOL_FAILED;
	tool_apply_print(&apply, &options,
	                 "The next mailbag is %08X (it was %08X), the next "
	                 "message %08X (it was %08X).",
	                 set.mailbag.after, set.mailbag.before,
	                 set.letter.after, set.letter.before);
	return TOOL_OK;
}
