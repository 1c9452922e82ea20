/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <signal.h>
#include <stdbool.h>

#include <glib.h>

#include "tools/top_keys.h"
#include "tools/top_model.h"

/**
 * The terminal on which `poctl top` draws, in full; it is given back as it was.
 *
 * Threads: one, with one screen.
 */
typedef struct ToolTopScreen ToolTopScreen;

/** What a key is that is none: the time is over. */
#define TOOL_TOP_NO_KEY (-1)

/** What a key is when the terminal has gone, and brings none any more. */
#define TOOL_TOP_GONE (-2)

/** Takes the terminal. Errors: -ENOTTY if it can do nothing that is needed. */
int tool_top_screen_open(ToolTopScreen **ret_screen, GError **error);

/** Gives it back. NULL is a no-op. */
void tool_top_screen_close(ToolTopScreen *screen);

/** Draws all of it. */
void tool_top_screen_draw(const ToolTop *top, const ToolTopView *view);

/**
 * Waits for a key (curses') until @until_us, monotonic, with the signals of
 * @mask blocked only. Returns TOOL_TOP_NO_KEY at that time and after a signal,
 * TOOL_TOP_GONE once the terminal has gone.
 */
int tool_top_screen_wait(gint64 until_us, const sigset_t *mask);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolTopScreen, tool_top_screen_close)
