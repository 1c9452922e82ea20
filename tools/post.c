/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/post.h"

#include <string.h>

#include "store/format/mai.h"
#include "store/format/mbg.h"
#include "store/format/name.h"

/* Bytes of an element that are told: more is no number. */
#define CONTENT_MAX 8

/* ---- files --------------------------------------------------------------- */

/* The one new file of @folder in @note; NULL if there is none, or more. */
static const ToolChange *
find_new(const ToolNote *note, const char *folder)
{
	const ToolChange *found = NULL;
	guint i;

	for (i = 0; i < note->changes->len; i++) {
		const ToolChange *change = note->changes->pdata[i];

		if (change->sizes[0] != TOOL_SIGHT_NONE ||
		    change->bytes[1] == NULL ||
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
	const ToolChange *mbg = tool_note_change(note, path);
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

static char *
element_text(const FormatMaiElement *element, const uint8_t *bytes)
{
	const char *name = format_mai_id_name(element->id);
	const char *field = element->id == FORMAT_MAI_FIELD
	                            ? format_mai_field_name(element->qualifier)
	                            : NULL;
	GString *text = g_string_new(NULL);
	size_t i;

	g_string_append_printf(text, "%*s%s", (int)(2 * element->depth), "",
	                       name != NULL ? name : "Element");
	if (field != NULL)
		g_string_append_printf(text, " %s", field);
	else if (element->has_qualifier != FORMAT_MAI_UNQUALIFIED)
		g_string_append_printf(text, " %02x", element->qualifier);
	if (name == NULL)
		g_string_append_printf(text, " %02x", element->id);
	if (element->has_children || element->length > CONTENT_MAX ||
	    element->id == FORMAT_MAI_ASCII) {
		g_string_append_printf(text, ", %zu bytes", element->length);
		return g_string_free(text, FALSE);
	}
	for (i = 0; i < element->length; i++)
		g_string_append_printf(
			text, "%s%02x", i == 0 ? ": " : " ",
			bytes[element->offset + element->header + i]);
	return g_string_free(text, FALSE);
}

GPtrArray *
tool_post_elements(GBytes *mai)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
	FormatMaiElement element;
	FormatMaiWalk walk;
	gsize size;
	const uint8_t *bytes = g_bytes_get_data(mai, &size);

	format_mai_walk_begin(&walk, bytes, size);
	while (format_mai_walk_next(&walk, &element) == 1)
		if (element.offset + element.header + element.length <= size)
			g_ptr_array_add(lines, element_text(&element, bytes));
	return lines;
}
