/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * Text in fields of a fixed size, ended by a NUL. Pure.
 *
 * The code page is that of the stations, which no article names. Code page 850
 * is assumed [G]: it is the one that a postoffice has a sort table for
 * (GLB/C850SORT, Q127954).
 */

/**
 * The text in @field of @size bytes up to its NUL, or all of it, as UTF-8;
 * never fails. Control characters stay in it: whoever prints it escapes them.
 * Ownership: the caller frees it.
 */
char *format_text_decode(const void *field, size_t size);

/**
 * Puts @text, which is UTF-8, into @ret_field of @size bytes: cut to @size - 1
 * bytes, the rest zero. What the code page lacks becomes '?'.
 */
void format_text_encode(const char *text, void *ret_field, size_t size);

/** Whether there is a NUL in @field of @size bytes. */
bool format_text_is_ended(const void *field, size_t size);

/**
 * Whether the text in @field has control characters or the code page's line
 * and block graphics: signs of a damaged header (Q123319) [D].
 */
bool format_text_has_graphics(const void *field, size_t size);
