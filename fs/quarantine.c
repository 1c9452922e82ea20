/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/quarantine.h"

#include <errno.h>

#include "fs/log.h"
#include "store/store.h"

GVariant *
fs_quarantine_discard(void *user_data, const char *argument, char **ret_error)
{
	Store *store = user_data;
	guint64 id;
	int r = -EINVAL;

	if (g_ascii_string_to_unsigned(argument, 10, 0, G_MAXUINT64, &id, NULL))
		r = store_quarantine_discard(store, id);
	if (r == 0) {
		fs_log(FS_EVENT_DISCARD, FS_LOG_NUMBER("quarantine", id));
		return g_variant_new_string("");
	}

	*ret_error = r == -ENOENT
	                     ? g_strdup_printf("there is no entry %s in the "
	                                       "quarantine",
	                                       argument)
	                     : g_strdup_printf("entry %s of the quarantine: %s",
	                                       argument, g_strerror(-r));
	return NULL;
}
