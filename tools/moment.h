/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/**
 * The point in time that @word of a command line means, in nanoseconds since
 * 1970: local ("2026-11-22", "2026-11-22 05:06", with seconds, too), in ISO
 * 8601, or so long ago ("90s", "30min", "12h", "7d").
 */
int tool_moment_read(const char *word, int64_t *ret_ns, GError **error);

/**
 * The point in time @ns in words: local, or with @is_iso in ISO 8601 with its
 * zone; "?" if it is none. Caller frees.
 */
char *tool_moment_text(int64_t ns, bool is_iso);
