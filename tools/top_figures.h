/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

/**
 * The line of figures that `poctl top` shows: what is, by @after, and what has
 * happened in the @us microseconds since @before; both are the daemon's answer
 * to "metrics". NULL as @before: nothing is known of that.
 *
 * Ownership: the caller frees it.
 */
char *tool_top_figures(GVariant *before, GVariant *after, gint64 us);
