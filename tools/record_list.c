/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/record_list.h"

#include <errno.h>

#include "tools/tool.h"

static bool
number_read(const char *word, uint32_t *ret_number)
{
	guint64 number;

	if (!g_ascii_string_to_unsigned(word, 10, 0, FORMAT_KEY_RECORDS_MAX - 1,
	                                &number, NULL))
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

/* Enters "5" or "5-9". */
static bool
range_read(const char *word, ToolRecordList *list)
{
	g_auto(GStrv) ends = g_strsplit(word, "-", 2);
	uint32_t first;
	uint32_t last;

	if (ends[0] == NULL || !number_read(ends[0], &first))
		return false;
	last = first;
	if (ends[1] != NULL && (!number_read(ends[1], &last) || last < first))
		return false;

	for (uint32_t i = first; i <= last; i++)
		list->has[i] = true;
	list->end = MAX(list->end, last + 1);
	return true;
}

int
tool_record_list_read(const char *text, ToolRecordList *ret_list,
                      GError **error)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);

	*ret_list = (ToolRecordList){ .end = 0 };
	for (size_t i = 0; words[i] != NULL; i++)
		if (!range_read(words[i], ret_list))
			return tool_misuse(error,
			                   "%s is no list of records, like "
			                   "0,3,5-9",
			                   text);
	return 0;
}

int
tool_record_parse(const char *text, uint32_t *ret_record, GError **error)
{
	return number_read(text, ret_record)
	               ? 0
	               : tool_misuse(error, "%s is no record's number", text);
}
