/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/age.h"

#include <errno.h>
#include <string.h>

#include <glib.h>

#define AGE_MAX_S (INT64_C(200) * 366 * 86400)

int
tool_age_parse(const char *text, int64_t *ret_age_s)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = {
		{ 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 }
	};
	const char *word = text != NULL ? text : "";
	size_t size = strlen(word);
	g_autofree char *digits = g_strndup(word, size > 0 ? size - 1 : 0);
	guint64 number;

	for (size_t i = 0; size > 1 && i < G_N_ELEMENTS(units); i++) {
		if (units[i].letter != word[size - 1] ||
		    !g_ascii_string_to_unsigned(digits, 10, 1, 1000000, &number,
		                                NULL))
			continue;
		*ret_age_s = MIN((int64_t)number * units[i].seconds, AGE_MAX_S);
		return 0;
	}
	return -EINVAL;
}
