/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/trace_line.h"

#include <errno.h>
#include <string.h>

#include "store/format/mbg.h"
#include "tools/fact.h"

/* A request or event. */
typedef struct Item {
	GHashTable *words;  /* owned; of its line */
	GHashTable *answer; /* owned; of its answer's; NULL until it came */
	bool is_event;
} Item;

struct ToolTraceReader {
	GQueue items;      /* of owned Item, oldest first */
	GHashTable *calls; /* number -> Item, borrowed from items */
	bool is_over;
};

/* ---- words --------------------------------------------------------------- */

/* Where the word that begins at @at ends: at a space that is not in quotes. */
static const char *
word_end(const char *at)
{
	bool is_quoted = false;

	for (; *at != '\0' && (is_quoted || *at != ' '); at++) {
		if (*at == '\\' && at[1] != '\0')
			at++;
		else if (*at == '"')
			is_quoted = !is_quoted;
	}
	return at;
}

/* The text that the word's value @value is. */
static char *
value_text(const char *value)
{
	size_t length = strlen(value);
	g_autofree char *inner = NULL;

	if (length < 2 || value[0] != '"' || value[length - 1] != '"')
		return g_strdup(value);
	inner = g_strndup(value + 1, length - 2);
	return g_strcompress(inner);
}

/* {name: value} of @line. Words without a name, which are the bytes of a KEY
 * that have changed, are together under "". */
static GHashTable *
line_words(const char *line)
{
	GHashTable *words =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(GString) rest = g_string_new(NULL);

	while (*line != '\0') {
		const char *end = word_end(line);
		g_autofree char *word = g_strndup(line, (gsize)(end - line));
		char *equals = strchr(word, '=');

		if (equals == NULL)
			g_string_append_printf(rest, "%s%s",
			                       rest->len > 0 ? " " : "", word);
		else
			g_hash_table_insert(
				words, g_strndup(word, (gsize)(equals - word)),
				value_text(equals + 1));
		line = *end == ' ' ? end + 1 : end;
	}
	g_hash_table_insert(words, g_strdup(""), g_strdup(rest->str));
	return words;
}

static const char *
word_of(GHashTable *words, const char *name)
{
	const char *value =
		words != NULL ? g_hash_table_lookup(words, name) : NULL;

	return value != NULL ? value : "";
}

static gint64
number_of(GHashTable *words, const char *name)
{
	return g_ascii_strtoll(word_of(words, name), NULL, 10);
}

/* ---- reading ------------------------------------------------------------- */

static void
item_free(void *data)
{
	Item *item = data;

	g_hash_table_unref(item->words);
	g_clear_pointer(&item->answer, g_hash_table_unref);
	g_free(item);
}

ToolTraceReader *
tool_trace_reader_new(void)
{
	ToolTraceReader *reader = g_new0(ToolTraceReader, 1);

	g_queue_init(&reader->items);
	reader->calls =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return reader;
}

void
tool_trace_reader_free(ToolTraceReader *reader)
{
	if (reader == NULL)
		return;
	g_queue_clear_full(&reader->items, item_free);
	g_hash_table_unref(reader->calls);
	g_free(reader);
}

void
tool_trace_reader_add(ToolTraceReader *reader, const char *line)
{
	g_autoptr(GHashTable) words = line_words(line);
	const char *call = word_of(words, "call");
	Item *item = g_hash_table_lookup(reader->calls, call);

	if (strcmp(word_of(words, "event"), "end") == 0)
		reader->is_over = true;
	if (g_hash_table_contains(words, "r")) {
		if (item != NULL && item->answer == NULL)
			item->answer = g_steal_pointer(&words);
		return;
	}
	item = g_new0(Item, 1);
	item->is_event = g_hash_table_contains(words, "event");
	if (!item->is_event)
		g_hash_table_insert(reader->calls, g_strdup(call), item);
	item->words = g_steal_pointer(&words);
	g_queue_push_tail(&reader->items, item);
}

bool
tool_trace_reader_is_over(const ToolTraceReader *reader)
{
	return reader->is_over;
}

/* ---- rows ---------------------------------------------------------------- */

/* " records 3 to 4", of which @words write or read bytes of an MBG. */
static void
add_records(GString *text, GHashTable *words)
{
	gint64 offset = number_of(words, "offset");
	gint64 size = number_of(words, "size");

	if (!g_str_has_suffix(word_of(words, "path"), ".MBG") || size <= 0 ||
	    !g_hash_table_contains(words, "offset"))
		return;
	g_string_append_printf(text, " record=%" G_GINT64_FORMAT,
	                       offset / FORMAT_MBG_RECORD_SIZE);
	if (size > FORMAT_MBG_RECORD_SIZE)
		g_string_append_printf(text, "-%" G_GINT64_FORMAT,
		                       (offset + size - 1) /
		                               FORMAT_MBG_RECORD_SIZE);
}

/* What there is to know of the request in @words but its path. */
static char *
detail_text(GHashTable *words)
{
	static const char *const names[] = {
		"how", "lock", "offset", "size",   "type", "waits",
		"to",  "time", "mode",   "access", "deny", "bytes"
	};
	GString *text = g_string_new(NULL);
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(names); i++)
		if (g_hash_table_contains(words, names[i]))
			g_string_append_printf(
				text, "%s%s=%s", text->len > 0 ? " " : "",
				names[i], word_of(words, names[i]));
	add_records(text, words);
	return g_string_free(text, FALSE);
}

/* Adds "0x030 00>02 +bit1": the byte and the bits of it that were set (+) and
 * cleared (-). */
static void
add_byte(GString *text, const char *word)
{
	char *at;
	guint64 offset = g_ascii_strtoull(word, &at, 16);
	guint64 before;
	guint64 after;
	unsigned bit;

	if (*at++ != ':')
		return;
	before = g_ascii_strtoull(at, &at, 16);
	if (*at++ != '>')
		return;
	after = g_ascii_strtoull(at, &at, 16);
	g_string_append_printf(text, "%s0x%03x %02x>%02x",
	                       text->len > 0 ? ", " : "", (unsigned)offset,
	                       (unsigned)before, (unsigned)after);
	for (bit = 0; bit < 8; bit++)
		if (((before ^ after) >> bit & 1) != 0)
			g_string_append_printf(
				text, " %cbit%u",
				(after >> bit & 1) != 0 ? '+' : '-', bit);
}

static char *
key_text(GHashTable *words)
{
	g_auto(GStrv) bytes = g_strsplit(word_of(words, ""), " ", -1);
	GString *text = g_string_new(NULL);
	size_t i;

	for (i = 0; bytes[i] != NULL; i++)
		add_byte(text, bytes[i]);
	return g_string_free(text, FALSE);
}

/* How it was answered. */
static char *
result_text(const Item *item)
{
	const char *op = word_of(item->words, "op");
	gint64 r = number_of(item->answer, "r");

	if (item->is_event)
		return g_strdup("");
	if (item->answer == NULL)
		return g_strdup("not answered");
	if (r == -ETXTBSY)
		return g_strdup("sharing violation");
	if (r < 0)
		return g_strdup(g_strerror((int)-r));
	if (strcmp(op, "read") == 0 || strcmp(op, "write") == 0)
		return g_strdup_printf("%s bytes",
		                       word_of(item->answer, "done"));
	return g_strdup("ok");
}

static GVariant *
item_row(const Item *item)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	const char *event = word_of(item->words, "event");
	bool is_key = strcmp(event, "key") == 0;
	g_autofree char *result = result_text(item);
	g_autofree char *detail =
		is_key ? key_text(item->words) : detail_text(item->words);
	double begun_s = g_ascii_strtod(word_of(item->words, "at"), NULL);
	double ended_s = g_ascii_strtod(word_of(item->answer, "at"), NULL);

	tool_fact_text(&row, "at", word_of(item->words, "at"));
	tool_fact_text(&row, "op",
	               item->is_event ? event : word_of(item->words, "op"));
	tool_fact_text(&row, "path", word_of(item->words, "path"));
	tool_fact_text(&row, "detail", detail);
	tool_fact_text(&row, "result", result);
	if (item->answer != NULL)
		tool_fact_number(
			&row, "took_us",
			(guint64)(MAX(ended_s - begun_s, 0) * 1e6 + 0.5));
	return g_variant_ref_sink(g_variant_builder_end(&row));
}

GVariant *
tool_trace_reader_next(ToolTraceReader *reader, bool is_last)
{
	Item *item = g_queue_peek_head(&reader->items);
	GVariant *row;

	if (item == NULL ||
	    (!item->is_event && item->answer == NULL && !is_last))
		return NULL;
	(void)g_queue_pop_head(&reader->items);
	row = item_row(item);
	if (!item->is_event)
		(void)g_hash_table_remove(reader->calls,
		                          word_of(item->words, "call"));
	item_free(item);
	return row;
}
