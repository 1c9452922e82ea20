/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/format/key.h"

/**
 * How KEY files lie, as far as the administrator knows it: the group
 * [key-layout] of the key file @config or, if that is NULL, of STORE/pofs.conf,
 * which need not be there. What it does not say is as assumed.
 *
 * Errors: -EINVAL for what is no layout, and those of reading a file.
 */
int tool_key_layout_read(const char *store, const char *config,
                         FormatKeyLayout *ret_layout, GError **error);
