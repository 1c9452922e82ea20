/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/damaged.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "tools/tool.h"

/* What a signal's handler may use: it is made beforehand. */
static char *bus_sentence;
static char *segment_sentence;
static void (*tidy_first)(void);
static bool is_told_by_another;

static void
end(int number)
{
	const char *text = number == SIGBUS ? bus_sentence : segment_sentence;

	/* It is not safe in a handler, but the signal came from a read of the
	 * map, and so from nothing that it uses. */
	if (tidy_first != NULL)
		tidy_first();
	(void)!write(STDERR_FILENO, text, strlen(text));
	_exit(TOOL_FAILED);
}

static char *
sentence_new(const char *dir, int number)
{
	g_autofree char *name = tool_show(dir);

	return g_strdup_printf(
		"poctl: %s: the database is damaged, or its disk fails or is "
		"full: reading it ended with \"%s\"; see poctl check\n",
		name, g_strsignal(number));
}

void
tool_damaged_begin(const char *dir)
{
	/* A fault of its own would end the process as ever. */
	struct sigaction action = { .sa_handler = end,
		                    .sa_flags = (int)SA_RESETHAND };

	if (is_told_by_another)
		return;
	g_free(bus_sentence);
	g_free(segment_sentence);
	bus_sentence = sentence_new(dir, SIGBUS);
	segment_sentence = sentence_new(dir, SIGSEGV);
	(void)sigaction(SIGBUS, &action, NULL);
	(void)sigaction(SIGSEGV, &action, NULL);
}

void
tool_damaged_tidy(void (*tidy)(void))
{
	tidy_first = tidy;
}

void
tool_damaged_leave(void)
{
	is_told_by_another = true;
	(void)signal(SIGBUS, SIG_DFL);
	(void)signal(SIGSEGV, SIG_DFL);
}
