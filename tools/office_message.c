/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/office_message.h"

#include <errno.h>

#include "store/format/name.h"

/* Finds the file of @kind with @stem; node 0 if there is none. */
static int
find_file(const ToolOffice *office, FormatNameKind kind, const char *stem,
          StoreAttr *ret_attr)
{
	g_autofree char *path = format_name_path(kind, stem);
	int r;

	r = tool_office_find(office, path, ret_attr);
	if (r != -ENOENT)
		return r;
	*ret_attr = (StoreAttr){ 0 };
	return 0;
}

int
tool_message_read(const ToolOffice *office, const StoreAttr *mai,
                  ToolMessage *message)
{
	size_t size = (size_t)MIN(mai->size, TOOL_MESSAGE_SIZE_MAX);
	g_autofree uint8_t *bytes = g_malloc(MAX(size, 1));
	int r;

	r = store_file_read(office->txn, mai->node, 0, bytes, size, &size);
	if (r < 0)
		return r;
	message->mai = *mai;
	message->has_owners =
		format_mai_owners(bytes, size, &message->owners) == 0;
	message->is_checked = size == mai->size;
	if (message->is_checked)
		format_mai_check(bytes, size, &message->report);
	return 0;
}

int
tool_message_find(const ToolOffice *office, const char *stem,
                  ToolMessage *ret_message)
{
	ToolMessage message = { 0 };
	StoreAttr mai;
	int r;

	r = find_file(office, FORMAT_NAME_P1, stem, &message.p1);
	if (r == 0)
		r = find_file(office, FORMAT_NAME_MAI, stem, &mai);
	if (r == 0 && mai.node != 0)
		r = tool_message_read(office, &mai, &message);
	if (r == 0)
		*ret_message = message;
	return r;
}

bool
tool_message_is_torn(const ToolMessage *message)
{
	return message->mai.node != 0 && message->is_checked &&
	       message->report.verdict < FORMAT_MAI_NO_TEXT;
}
