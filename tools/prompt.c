/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/prompt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/tool.h"

/* More than anybody types; what comes after it is dropped. */
#define LINE_MAX_SIZE 4096

void
tool_prompt_say(const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	(void)putchar('\n');
	tool_say("%s", text);
}

int
tool_prompt_line(const char *question, char **ret_line, GError **error)
{
	g_autoptr(GString) line = g_string_new(NULL);
	int c;

	(void)printf("%s", question);
	(void)fflush(stdout);
	for (c = getchar(); c != '\n' && c != EOF; c = getchar())
		if (line->len < LINE_MAX_SIZE)
			g_string_append_c(line, (char)c);
	if (c == EOF)
		return tool_fail(error, -ECANCELED,
		                 "the input ended before the lesson did");
	*ret_line = g_utf8_make_valid(g_strstrip(line->str), -1);
	return 0;
}

int
tool_prompt_done(bool *ret_skips, GError **error)
{
	g_autofree char *line = NULL;
	int r;

	r = tool_prompt_line("Then press Enter: ", &line, error);
	if (r == 0)
		*ret_skips = strcmp(line, "skip") == 0;
	return r;
}
