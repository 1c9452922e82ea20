/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/post.h"

#include <string.h>

#include "store/format/mai.h"
#include "store/format/mbg.h"
#include "store/format/name.h"

/* Bytes of an element that are told: more is no number. */
#define CONTENT_MAX 8

/* ---- files --------------------------------------------------------------- */

/* Whether @change has all bytes of the file as it is now: of a large message,
 * only the first are looked at, which would tell a size that it has not. */
static bool
is_whole(const ToolChange *change)
{
	return change->bytes[1] != NULL &&
	       (int64_t)g_bytes_get_size(change->bytes[1]) == change->sizes[1];
}

/* The one new file of @folder in @note; NULL if there is none, or more. */
static const ToolChange *
find_new(const ToolNote *note, const char *folder)
{
	const ToolChange *found = NULL;
	guint i;

	for (i = 0; i < note->changes->len; i++) {
		const ToolChange *change = note->changes->pdata[i];

		if (change->sizes[0] != TOOL_SIGHT_NONE || !is_whole(change) ||
		    !g_str_has_prefix(change->path, folder))
			continue;
		if (found != NULL)
			return NULL;
		found = change;
	}
	return found;
}

/* The next record of the MBG of @change that a message has come to, from *@at
 * on; NULL after the last. */
static const uint8_t *
next_record(const ToolChange *change, uint32_t *at)
{
	const uint8_t *bytes[2];
	gsize sizes[2] = { 0, 0 };
	size_t i;

	if (change->bytes[1] == NULL)
		return NULL;
	for (i = 0; i < 2; i++)
		bytes[i] =
			change->bytes[i] != NULL
				? g_bytes_get_data(change->bytes[i], &sizes[i])
				: NULL;
	for (; *at < format_mbg_count(sizes[1]); (*at)++) {
		size_t offset = (size_t)*at * FORMAT_MBG_RECORD_SIZE;

		if (*at >= format_mbg_count(sizes[0]) ||
		    !format_mbg_is_same(bytes[0] + offset, bytes[1] + offset)) {
			(*at)++;
			return bytes[1] + offset;
		}
	}
	return NULL;
}

/* How many new records of all mailbags name the MAI @stem. */
static unsigned
count_references(const ToolNote *note, const char *stem)
{
	unsigned count = 0;
	guint i;

	for (i = 0; i < note->changes->len; i++) {
		const ToolChange *change = note->changes->pdata[i];
		const uint8_t *record;
		uint32_t at = 0;

		if (!g_str_has_prefix(change->path, "MBG/"))
			continue;
		while ((record = next_record(change, &at)) != NULL) {
			g_autofree char *named = NULL;
			FormatMbgRecord header;

			format_mbg_decode(record, &header);
			named = format_mbg_stem(&header);
			count += g_strcmp0(named, stem) == 0;
		}
	}
	return count;
}

bool
tool_post_find(const ToolNote *note, ToolPost *ret_post)
{
	g_autofree char *path = g_strdup_printf("MBG/%s.MBG", note->mailbag);
	const ToolChange *mbg = tool_change_find(note->changes, path);
	const ToolChange *mai = find_new(note, "MAI/");
	const ToolChange *envelope = find_new(note, "P1/");
	uint32_t at = 0;

	*ret_post = (ToolPost){ NULL };
	if (mbg != NULL)
		ret_post->record = next_record(mbg, &at);
	if (mai != NULL) {
		FormatName name;

		format_name_parse(mai->path, &name);
		ret_post->mai = mai->bytes[1];
		ret_post->mai_path = mai->path;
		ret_post->references = count_references(note, name.stem);
	}
	if (envelope != NULL) {
		ret_post->envelope = envelope->bytes[1];
		ret_post->envelope_path = envelope->path;
	}
	return ret_post->record != NULL || mai != NULL;
}

/* ---- elements ------------------------------------------------------------ */

/* "Vendor 32", "Field From". Caller frees. */
static char *
element_name(const FormatMaiElement *element)
{
	const char *name = format_mai_id_name(element->id);
	const char *field = element->id == FORMAT_MAI_FIELD
	                            ? format_mai_field_name(element->qualifier)
	                            : NULL;

	if (name == NULL)
		return g_strdup_printf("Element %02x", element->id);
	if (field != NULL)
		return g_strdup_printf("%s %s", name, field);
	if (element->has_qualifier != FORMAT_MAI_UNQUALIFIED)
		return g_strdup_printf("%s %02x", name, element->qualifier);
	return g_strdup(name);
}

/* ": 05 00", or ", 34 bytes" of what is long or text. Caller frees. */
static char *
element_content(const FormatMaiElement *element, const uint8_t *bytes)
{
	GString *text = g_string_new(NULL);
	size_t i;

	if (element->has_children || element->length > CONTENT_MAX ||
	    element->id == FORMAT_MAI_ASCII)
		g_string_append_printf(text, ", %zu bytes", element->length);
	else
		for (i = 0; i < element->length; i++)
			g_string_append_printf(
				text, "%s%02x", i == 0 ? ": " : " ",
				bytes[element->offset + element->header + i]);
	return g_string_free(text, FALSE);
}

/* The line of @element, after those that it is in, of which @names has the
 * names by their depth. Caller frees. */
static char *
element_text(const FormatMaiElement *element, const uint8_t *bytes,
             char *names[FORMAT_MAI_DEPTH_MAX + 1])
{
	g_autofree char *content = element_content(element, bytes);
	GString *text = g_string_new(NULL);
	unsigned depth;

	g_free(names[element->depth]);
	names[element->depth] = element_name(element);
	for (depth = 0; depth <= element->depth; depth++)
		if (names[depth] != NULL &&
		    !g_str_has_prefix(names[depth], "Message"))
			g_string_append_printf(text, "%s%s",
			                       text->len > 0 ? " / " : "",
			                       names[depth]);
	g_string_append(text, content);
	return g_string_free(text, FALSE);
}

GPtrArray *
tool_post_elements(GBytes *mai)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
	char *names[FORMAT_MAI_DEPTH_MAX + 1] = { NULL };
	FormatMaiElement element;
	FormatMaiWalk walk;
	gsize size;
	const uint8_t *bytes = g_bytes_get_data(mai, &size);
	size_t i;

	format_mai_walk_begin(&walk, bytes, size);
	while (format_mai_walk_next(&walk, &element) == 1) {
		char *line = element_text(&element, bytes, names);

		/* How large the message is, is told of its parts. */
		if (element.id == FORMAT_MAI_MESSAGE)
			g_free(line);
		else
			g_ptr_array_add(lines, line);
	}
	for (i = 0; i < G_N_ELEMENTS(names); i++)
		g_free(names[i]);
	return lines;
}
