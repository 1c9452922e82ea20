/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

/**
 * Looks whether the file or directory @path, which need not exist and which the
 * administrator wants written, would lie beside the files of the store in @store:
 * it could take the place of one.
 *
 * Errors: -EINVAL, as tool_misuse().
 */
int tool_target_check(const char *store, const char *path, GError **error);
