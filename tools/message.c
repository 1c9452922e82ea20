/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <glib.h>

#include "tools/tool.h"

G_DEFINE_QUARK(tool - error - quark, tool_error)

int
tool_fail(GError **error, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_propagate_error(error, g_error_new_valist(TOOL_ERROR, TOOL_FAILED,
	                                            format, args));
	va_end(args);
	return r;
}

int
tool_misuse(GError **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_propagate_error(error, g_error_new_valist(TOOL_ERROR, TOOL_USAGE,
	                                            format, args));
	va_end(args);
	return -EINVAL;
}

char *
tool_show(const char *text)
{
	GString *shown = g_string_new(NULL);
	const char *p;

	for (p = text; *p != '\0';) {
		gunichar c = g_utf8_get_char_validated(p, -1);
		bool is_bad = c == (gunichar)-1 || c == (gunichar)-2;

		if (is_bad || g_unichar_iscntrl(c)) {
			g_string_append_printf(shown, "\\%03o",
			                       (unsigned char)*p);
			p++;
		} else {
			g_string_append_unichar(shown, c);
			p = g_utf8_next_char(p);
		}
	}
	return g_string_free(shown, FALSE);
}

/* Prints one line. */
static void print_line(FILE *file, const char *prefix, const char *format,
                       va_list args) G_GNUC_PRINTF(3, 0);

static void
print_line(FILE *file, const char *prefix, const char *format, va_list args)
{
	g_autofree char *sentence = g_strdup_vprintf(format, args);
	g_autofree char *shown = tool_show(sentence);

	(void)fprintf(file, "%s%s\n", prefix, shown);
}

void
tool_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(stderr, "poctl: ", format, args);
	va_end(args);
}

void
tool_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(stdout, "", format, args);
	va_end(args);
}

char *
tool_count(guint64 count, const char *one, const char *many)
{
	return g_strdup_printf("%" G_GUINT64_FORMAT " %s", count,
	                       count == 1 ? one : many);
}
