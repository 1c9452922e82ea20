/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

/** As tool_say(), after an empty line: something else begins. */
void tool_prompt_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/**
 * Prints @question and waits for a line on the standard input.
 *
 * Errors: -ECANCELED if the input ends. Ownership: the caller frees *@ret_line,
 * which has no spaces around it.
 */
int tool_prompt_line(const char *question, char **ret_line, GError **error);

/**
 * Waits until Enter says that what was asked for is done; *@ret_skips is whether
 * "skip" was typed before it.
 */
int tool_prompt_done(bool *ret_skips, GError **error);
