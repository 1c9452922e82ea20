/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/dos_attr.h"

/**
 * The DOS attribute R of a file whose mode lets nobody write it.
 *
 * A tree copied without extended attributes says "read-only" by its mode
 * bits. Import gives such a file the attribute that DOS knows; export leaves
 * out what import would derive again, so that both together change nothing.
 */

/** Derives the value of DOS_ATTR_XATTR for a file of @mode without one.
 * Returns false if it needs none. */
bool tool_dos_mode_derive(uint32_t mode, int64_t mtime_ns,
                          uint8_t ret_value[DOS_ATTR_SIZE]);

/** Whether @value is what would be derived. */
bool tool_dos_mode_is_derived(uint32_t mode, int64_t mtime_ns,
                              const void *value, size_t size);
