/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/** Facts for a row of rows.h: each enters one into the a{sv} being built. */

/** @text; what is not UTF-8 in it is replaced. */
void tool_fact_text(GVariantBuilder *row, const char *key, const char *text);

void tool_fact_number(GVariantBuilder *row, const char *key, guint64 value);
void tool_fact_bool(GVariantBuilder *row, const char *key, bool value);

/**
 * The local time @time_ns (since 1970), in ISO 8601 with its zone, or as
 * "2026-11-22 05:06:07".
 */
void tool_fact_time(GVariantBuilder *row, const char *key, int64_t time_ns,
                    bool is_iso);
