/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

/**
 * Reads an age of the command line ("90m", "12h", "30d", "8w"): a number of
 * minutes, hours, days or weeks. More than 200 years, which is older than any
 * file and not too long in nanoseconds, are 200 years.
 *
 * Errors: -EINVAL if @text is none, or NULL.
 */
int tool_age_parse(const char *text, int64_t *ret_age_s);
