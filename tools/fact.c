/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/fact.h"

#include "tools/moment.h"

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
	g_autofree char *text = tool_moment_text(time_ns, is_iso);

	tool_fact_text(row, key, text);
}
