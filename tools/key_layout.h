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

/**
 * Enters @layout, as one that is certain, in the key file at @path, which may be
 * new, and leaves what else is in it. The file belongs to whom @store does. Its
 * directory need not be trusted.
 *
 * Errors: -EINVAL if it is no key file, -ELOOP if it is a symbolic link, and
 * those of writing it.
 */
int tool_key_layout_write(const char *store, const char *path,
                          const FormatKeyLayout *layout, GError **error);
