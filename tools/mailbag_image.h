/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/format/key.h"

/** The KEY and MBG of a mailbag as they were at one time. */
typedef struct ToolMailbagImage {
	uint8_t key[FORMAT_KEY_SIZE];
	GByteArray *mbg; /* owned */
} ToolMailbagImage;

/**
 * Reads KEY/@mailbag.KEY and MBG/@mailbag.MBG below @dir, a copy of a
 * postoffice. Ownership: the caller frees *@ret_image.
 */
int tool_mailbag_image_read(const char *dir, const char *mailbag,
                            ToolMailbagImage **ret_image, GError **error);

/**
 * The same of what was read already.
 *
 * Errors: -EINVAL for what is none. Ownership: the caller frees *@ret_image.
 */
int tool_mailbag_image_new(const char *mailbag, const GByteArray *key,
                           const GByteArray *mbg, ToolMailbagImage **ret_image,
                           GError **error);

/** NULL is a no-op. */
void tool_mailbag_image_free(ToolMailbagImage *image);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ToolMailbagImage, tool_mailbag_image_free)
