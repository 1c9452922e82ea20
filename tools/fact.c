/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/fact.h"

#define NS_PER_S 1000000000

void
tool_fact_text(GVariantBuilder *row, const char *key, const char *text)
{
	g_variant_builder_add(
		row, "{sv}", key,
		g_variant_new_take_string(g_utf8_make_valid(text, -1)));
}

void
tool_fact_number(GVariantBuilder *row, const char *key, guint64 value)
{
	g_variant_builder_add(row, "{sv}", key, g_variant_new_uint64(value));
}

void
tool_fact_bool(GVariantBuilder *row, const char *key, bool value)
{
	g_variant_builder_add(row, "{sv}", key, g_variant_new_boolean(value));
}

void
tool_fact_time(GVariantBuilder *row, const char *key, int64_t time_ns,
               bool is_iso)
{
	g_autoptr(GDateTime) time =
		g_date_time_new_from_unix_local(time_ns / NS_PER_S);
	g_autofree char *text = NULL;

	if (time != NULL)
		text = is_iso ? g_date_time_format_iso8601(time)
		              : g_date_time_format(time, "%F %T");
	tool_fact_text(row, key, text != NULL ? text : "?");
}
