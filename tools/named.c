/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/named.h"

#include <errno.h>

#include "store/format/mbg.h"
#include "store/format/name.h"
#include "tools/apply.h"
#include "tools/office_file.h"

#define COPY_PATH "MBG/COPY.MBG"

void
tool_named_clear(ToolNamed *named)
{
	g_clear_pointer(&named->mailbags, g_ptr_array_unref);
	g_clear_pointer(&named->stems, g_hash_table_unref);
	g_clear_pointer(&named->waiting, g_hash_table_unref);
	g_clear_pointer(&named->told, g_hash_table_unref);
}

static void
header_note(ToolNamed *named, const FormatMbgRecord *header, bool is_waiting)
{
	char *stem = format_mbg_stem(header);

	if (stem == NULL)
		return;
	if (is_waiting)
		g_hash_table_add(named->waiting, g_strdup(stem));
	g_hash_table_add(named->stems, stem);
}

/* What @header tells, without what programs may change in it. */
static GBytes *
header_told(const FormatMbgRecord *header)
{
	uint8_t *bytes = g_malloc(FORMAT_MBG_RECORD_SIZE);

	format_mbg_encode(header, bytes);
	for (size_t at = 0; at < FORMAT_MBG_RECORD_SIZE; at++)
		if (!format_mbg_is_telling(at))
			bytes[at] = 0;
	return g_bytes_new_take(bytes, FORMAT_MBG_RECORD_SIZE);
}

static int
record_note(void *user_data, const ToolMailbag *mailbag,
            const ToolRecord *record)
{
	const ToolNamed *named = user_data;

	g_hash_table_add(named->told, header_told(&record->header));
	if (record->is_live || !mailbag->office->layout->is_confirmed)
		header_note(user_data, &record->header,
		            mailbag->kind == TOOL_MAILBAG_INQUEUE);
	return 0;
}

/* Whether the message of @header is there, and no mailbag names it, or none says
 * so as this: it may be another owner's. */
static bool
is_lost(const ToolNamed *named, const ToolOffice *office,
        const FormatMbgRecord *header)
{
	g_autofree char *stem = format_mbg_stem(header);
	g_autoptr(GBytes) told = header_told(header);
	g_autofree char *path = NULL;
	StoreAttr attr;

	if (stem == NULL || (g_hash_table_contains(named->stems, stem) &&
	                     g_hash_table_contains(named->told, told)))
		return false;
	path = format_name_path(FORMAT_NAME_MAI, stem);
	return tool_office_find(office, path, &attr) != -ENOENT;
}

/* Of which mailbag it is a copy, and which of its records were live, nobody
 * knows. Called when all mailbags have been noted. */
static int
copy_note(ToolNamed *named, const ToolOffice *office)
{
	g_autoptr(GBytes) bytes = NULL;
	const uint8_t *data;
	FormatMbgRecord header;
	size_t size;
	int r;

	r = tool_office_read(office, COPY_PATH, FORMAT_MBG_SIZE_MAX, &bytes);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	data = g_bytes_get_data(bytes, &size);
	for (uint32_t i = 0; i < format_mbg_count(size); i++) {
		format_mbg_decode(data + (size_t)i * FORMAT_MBG_RECORD_SIZE,
		                  &header);
		named->is_copy_alone |= is_lost(named, office, &header);
		header_note(named, &header, true);
	}
	return 0;
}

int
tool_named_read(const ToolOffice *office, ToolNamed *ret_named)
{
	ToolNamed named = {
		.stems = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
		                               NULL),
		.waiting = g_hash_table_new_full(g_str_hash, g_str_equal,
		                                 g_free, NULL),
		.told = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
		                              (GDestroyNotify)g_bytes_unref,
		                              NULL),
	};
	int r;

	r = tool_mailbag_list(office, &named.mailbags);
	if (r == 0)
		named.is_whole =
			tool_mailbags_are_whole(office, named.mailbags);
	for (guint i = 0; r == 0 && i < named.mailbags->len; i++)
		r = tool_mailbag_read(named.mailbags->pdata[i], record_note,
		                      &named);
	if (r == 0)
		r = copy_note(&named, office);
	if (r < 0)
		tool_named_clear(&named);
	else
		*ret_named = named;
	return r;
}

int
tool_named_expect(const ToolNamed *named, const ToolOffice *office,
                  StoreEdits *edits, GError **error)
{
	return tool_apply_expect_mailbags(edits, named->mailbags,
	                                  office->layout->is_confirmed
	                                          ? TOOL_MAILBAGS_ALL
	                                          : TOOL_MAILBAGS_INQUEUES,
	                                  error);
}
