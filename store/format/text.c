/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/text.h"

#include <string.h>

#include <glib.h>

#define CODE_PAGE "CP850"

char *
format_text_decode(const void *field, size_t size)
{
	g_autofree char *text = g_strndup(field, size);
	char *utf8;

	/* Most is, and a conversion takes ten times as long. */
	if (g_str_is_ascii(text))
		return g_steal_pointer(&text);

	utf8 = g_convert(text, -1, "UTF-8", CODE_PAGE, NULL, NULL, NULL);
	/* The code page has a character for each byte; but a system may lack
	 * the code page. */
	if (utf8 == NULL)
		utf8 = g_str_to_ascii(text, "C");
	return utf8;
}

void
format_text_encode(const char *text, void *ret_field, size_t size)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	g_autofree char *bytes = NULL;

	/* Where '?' is itself missing, as without the code page, ASCII has
	 * to do. */
	bytes = g_convert_with_fallback(valid, -1, CODE_PAGE, "UTF-8", "?",
	                                NULL, NULL, NULL);
	if (bytes == NULL)
		bytes = g_str_to_ascii(valid, "C");
	memset(ret_field, 0, size);
	memcpy(ret_field, bytes, MIN(strlen(bytes), size - 1));
}

bool
format_text_is_ended(const void *field, size_t size)
{
	return memchr(field, '\0', size) != NULL;
}

/* Lines and blocks of code page 850; between them it has letters. */
static bool
is_graphics(unsigned char c)
{
	return c < 0x20 || c == 0x7F || (c >= 0xB0 && c <= 0xB4) ||
	       (c >= 0xB9 && c <= 0xBC) || (c >= 0xBF && c <= 0xC5) ||
	       (c >= 0xC8 && c <= 0xCE) || (c >= 0xD9 && c <= 0xDC) ||
	       c == 0xDF || c == 0xFE;
}

bool
format_text_has_graphics(const void *field, size_t size)
{
	const unsigned char *text = field;

	for (size_t i = 0; i < size && text[i] != '\0'; i++)
		if (is_graphics(text[i]))
			return true;
	return false;
}
