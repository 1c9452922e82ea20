/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/owner_count.h"

#include <errno.h>

#include "store/format/mai.h"
#include "store/format/name.h"
#include "tools/apply.h"

int
tool_owner_count_read(const ToolOffice *office, const char *stem,
                      uint16_t *ret_owners, GError **error)
{
	g_autofree char *path = format_name_path(FORMAT_NAME_MAI, stem);
	g_autoptr(GBytes) head = NULL;
	int r;

	r = tool_office_read(office, path, FORMAT_MAI_LIST_OFFSET, &head);
	if (r < 0)
		return tool_fail(error, r, "%s: %s", path, g_strerror(-r));
	r = format_mai_owners(g_bytes_get_data(head, NULL),
	                      g_bytes_get_size(head), ret_owners);
	return r < 0 ? tool_fail(error, r, "%s has no count of owners", path)
	             : 0;
}

int
tool_owner_count_add(StoreEdits *edits, const ToolOffice *office,
                     const char *stem, uint16_t owners, GError **error)
{
	g_autofree char *path = format_name_path(FORMAT_NAME_MAI, stem);
	uint8_t data[FORMAT_MAI_LIST_OFFSET] = { 0 };
	g_autoptr(GBytes) bytes = NULL;

	(void)format_mai_set_owners(data, sizeof data, owners);
	bytes = g_bytes_new(data + FORMAT_MAI_OWNERS_OFFSET, sizeof owners);
	return tool_apply_add(edits, office, STORE_EDIT_PATCH, path,
	                      FORMAT_MAI_OWNERS_OFFSET, bytes, error);
}
