/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/format/name.h"
#include "tools/message_facts.h"
#include "tools/rows.h"
#include "tools/tool.h"

#define HEX_WIDTH 16

/* "0x1A16": offsets, as the published dumps have them. */
static char *
hex_text(GVariant *value)
{
	return g_strdup_printf("0x%04" G_GINT64_MODIFIER "X",
	                       g_variant_get_uint64(value));
}

static const ToolColumn summary_columns[] = {
	{ "message", "message" },
	{ "size", "size", tool_row_bytes, "t" },
	{ "changed", "changed" },
	{ "state", "state" },
	{ "declared", "declared size", tool_row_bytes, "t" },
	{ "owners", "owners" },
	{ "live", "live headers" },
	{ "ownership", "so" },
	{ "envelope", "envelope" },
	{ "envelope-size", "its size", tool_row_bytes, "t" },
	{ "envelope-changed", "changed" },
	{ NULL },
};

static const ToolColumn reference_columns[] = {
	{ "mailbag", "MAILBAG" }, { "kind", "KIND" }, { "owner", "OWNER" },
	{ "record", "RECORD" },   { "live", "LIVE" }, { "sender", "SENDER" },
	{ "subject", "SUBJECT" }, { "date", "DATE" }, { NULL },
};

static const ToolColumn element_columns[] = {
	{ "offset", "OFFSET", hex_text, "t" },
	{ "length", "LENGTH" },
	{ "element", "ELEMENT" },
	{ NULL },
};

static const ToolColumn attachment_columns[] = {
	{ "attachment", "ATTACHMENT (guess)" },
	{ "size", "SIZE", tool_row_bytes, "t" },
	{ "changed", "CHANGED" },
	{ NULL },
};

/* What the command line asks for. */
typedef struct Show {
	ToolOptions options;
	ToolOfficeChoice choice;
	ToolMessageStyle style;
	gboolean hex;
} Show;

static void
show_clear(Show *show)
{
	tool_options_clear(&show->options);
	g_free(show->choice.config);
	g_free(show->choice.folder);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Show, show_clear)

/* ---- printing ------------------------------------------------------------ */

/* Prints the table @rows below an empty line, if there is something in it. */
static void
print_rows(GVariant *rows, const ToolColumn *columns)
{
	if (g_variant_n_children(rows) == 0)
		return;
	(void)putchar('\n');
	tool_rows_print(rows, columns);
}

static void
print_hex_line(const uint8_t *bytes, size_t offset, size_t count)
{
	size_t i;

	(void)printf("%08zX ", offset);
	for (i = 0; i < HEX_WIDTH; i++) {
		if (i < count)
			(void)printf(" %02X", bytes[offset + i]);
		else
			(void)fputs("   ", stdout);
	}
	(void)fputs("  ", stdout);
	for (i = 0; i < count; i++)
		(void)putchar(g_ascii_isprint(bytes[offset + i])
		                      ? bytes[offset + i]
		                      : '.');
	(void)putchar('\n');
}

static void
print_hex(GBytes *content)
{
	const uint8_t *bytes;
	size_t offset;
	size_t size;

	if (content == NULL)
		return;
	(void)putchar('\n');
	bytes = g_bytes_get_data(content, &size);
	for (offset = 0; offset < size; offset += HEX_WIDTH)
		print_hex_line(bytes, offset, MIN(size - offset, HEX_WIDTH));
}

static void
print_text(const Show *show, const ToolMessageFacts *facts)
{
	tool_row_print(facts->summary, summary_columns);
	print_rows(facts->references, reference_columns);
	print_rows(facts->elements, element_columns);
	print_rows(facts->attachments, attachment_columns);
	if (show->hex)
		print_hex(facts->content);
}

static void
add_rows(ToolJson *json, const char *name, GVariant *rows)
{
	GVariantIter iter;
	GVariant *row;

	tool_json_list_begin(json, name);
	g_variant_iter_init(&iter, rows);
	while (g_variant_iter_loop(&iter, "@a{sv}", &row)) {
		tool_json_object_begin(json, NULL);
		tool_row_json(json, row);
		tool_json_object_end(json);
	}
	tool_json_list_end(json);
}

/* Adds the bytes in hexadecimal, two digits each. */
static void
add_hex(ToolJson *json, GBytes *content)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const uint8_t *bytes;
	size_t size;
	size_t i;

	bytes = g_bytes_get_data(content, &size);
	for (i = 0; i < size; i++)
		g_string_append_printf(text, "%02X", bytes[i]);
	tool_json_string(json, "hex", text->str);
}

static void
print_json(const Show *show, const ToolMessageFacts *facts, bool is_assumed)
{
	g_autoptr(ToolJson) json = tool_json_new();

	tool_json_bool(json, "live_is_assumed", is_assumed);
	tool_row_json(json, facts->summary);
	add_rows(json, "headers", facts->references);
	add_rows(json, "elements", facts->elements);
	add_rows(json, "attachments_guess", facts->attachments);
	if (show->hex && facts->content != NULL)
		add_hex(json, facts->content);
	tool_json_print(&json);
}

/* ---- the command --------------------------------------------------------- */

static int
read_command(const ToolCommand *self, char **argv, Show *show, GError **error)
{
	const GOptionEntry entries[] = {
		{ "config", 0, 0, G_OPTION_ARG_FILENAME, &show->choice.config,
		  "Read the layout of KEY files from FILE, not STORE/pofs.conf",
		  "FILE" },
		{ "hex", 0, 0, G_OPTION_ARG_NONE, &show->hex,
		  "Print the bytes of the MAI, too", NULL },
		{ "iso", 0, 0, G_OPTION_ARG_NONE, &show->style.iso,
		  "Print times as ISO 8601", NULL },
		{ "postoffice", 0, 0, G_OPTION_ARG_FILENAME,
		  &show->choice.folder, "Of the one in the folder NAME",
		  "NAME" },
		{ NULL },
	};
	int r;

	r = tool_options_read(self, entries, argv, &show->options, error);
	show->style.iso |= show->options.json;
	show->style.tree = !show->options.json;
	return r;
}

/* The number that @word spells: hexadecimal, as the file is called. */
static int
read_number(const char *word, uint32_t *ret_number, GError **error)
{
	guint64 number;

	if (strlen(word) > FORMAT_STEM_SIZE ||
	    !g_ascii_string_to_unsigned(word, 16, 0, UINT32_MAX, &number, NULL))
		return tool_misuse(error,
		                   "%s is no message: a number of up to eight "
		                   "hexadecimal digits is",
		                   word);
	*ret_number = (uint32_t)number;
	return 0;
}

static int
find_facts(const Show *show, const ToolOffices *offices,
           ToolMessageFacts *ret_facts, GError **error)
{
	const char *message = show->options.arguments[1];
	const ToolOffice *office;
	const char *word;
	uint32_t number = 0;
	int r;

	r = tool_offices_choose(offices, message, &office, &word, error);
	if (r == 0)
		r = read_number(word, &number, error);
	if (r < 0)
		return r;
	r = tool_message_facts_find(office, number, &show->style, ret_facts);
	if (r == -ENOENT)
		return tool_fail(error, r,
		                 "there is nothing of message %s: no MAI, no "
		                 "P1, no header",
		                 message);
	if (r < 0)
		return tool_fail(error, r, "cannot read message %s: %s",
		                 message, g_strerror(-r));
	return 0;
}

ToolExit
tool_message(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(Show) show = { 0 };
	g_auto(ToolOffices) offices = { 0 };
	g_auto(ToolMessageFacts) facts = { 0 };

	if (read_command(self, argv, &show, error) < 0)
		return TOOL_USAGE;
	if (show.options.done)
		return TOOL_OK;

	if (tool_offices_open(show.options.arguments[0], &show.choice, &offices,
	                      error) < 0 ||
	    find_facts(&show, &offices, &facts, error) < 0)
		return TOOL_FAILED;
	if (show.options.json)
		print_json(&show, &facts, !offices.layout.is_confirmed);
	else
		print_text(&show, &facts);
	return TOOL_OK;
}
