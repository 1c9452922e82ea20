/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "tools/tool.h"

/* How many words "STORE [MAILBAG]" has, and how many of them must be given. */
static unsigned
word_count(const char *words, unsigned *ret_needed)
{
	g_auto(GStrv) list = g_strsplit(words, " ", -1);
	unsigned count = g_strv_length(list);
	unsigned needed = 0;

	while (needed < count && list[needed][0] != '[')
		needed++;
	*ret_needed = needed;
	return count;
}

/* Returns @argv with the store of the environment where none is given: where
 * words are missing, or one may be and the first is no directory. Takes @argv. */
static char **
add_store(const ToolCommand *command, char **argv)
{
	const char *store = g_getenv("POFS_STORE");
	unsigned given = g_strv_length(argv) - 1;
	unsigned needed;
	unsigned count = word_count(command->arguments, &needed);
	g_autoptr(GStrvBuilder) words = NULL;

	if (store == NULL || store[0] == '\0' ||
	    !g_str_has_prefix(command->arguments, "STORE") || given >= count ||
	    (given >= needed && g_file_test(argv[1], G_FILE_TEST_IS_DIR)))
		return argv;

	words = g_strv_builder_new();
	g_strv_builder_add(words, argv[0]);
	g_strv_builder_add(words, store);
	for (unsigned i = 1; i <= given; i++)
		g_strv_builder_add(words, argv[i]);
	g_strfreev(argv);
	return g_strv_builder_end(words);
}

/* GOption leaves in place the "--" after which nothing is an option. */
static void
drop_terminator(char **argv)
{
	size_t i;

	for (i = 1; argv[i] != NULL && strcmp(argv[i], "--") != 0; i++)
		;
	if (argv[i] == NULL)
		return;

	g_free(argv[i]);
	for (; argv[i] != NULL; i++)
		argv[i] = argv[i + 1];
}

static int
check_arguments(const ToolCommand *command, char **argv, GError **error)
{
	unsigned given = g_strv_length(argv) - 1;
	unsigned needed;
	unsigned count = word_count(command->arguments, &needed);
	unsigned most =
		g_str_has_suffix(command->arguments, "...") ? G_MAXUINT : count;
	unsigned i;

	for (i = 1; i <= given; i++)
		if (argv[i][0] == '\0')
			return tool_misuse(error, "%s: an argument is empty",
			                   command->name);
	if (given >= needed && given <= most)
		return 0;
	return tool_misuse(error,
	                   "%s needs %s, not %u argument%s (see %s --help)",
	                   command->name, command->arguments, given,
	                   given == 1 ? "" : "s", command->name);
}

static GOptionContext *
context_new(const ToolCommand *command, const GOptionEntry *entries,
            const GOptionEntry *common)
{
	GOptionContext *context = g_option_context_new(command->arguments);

	g_option_context_set_summary(context, command->summary);
	g_option_context_set_help_enabled(context, FALSE);
	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_add_main_entries(context, common, NULL);
	return context;
}

static void
print_help(const ToolCommand *command, GOptionContext *context)
{
	g_autofree char *name = g_strdup_printf("poctl %s", command->name);
	g_autofree char *help = NULL;

	g_set_prgname(name);
	help = g_option_context_get_help(context, TRUE, NULL);
	(void)fputs(help, stdout);
}

int
tool_options_read(const ToolCommand *command, const GOptionEntry *entries,
                  char **argv, ToolOptions *ret_options, GError **error)
{
	g_auto(GStrv) rest = g_strdupv(argv);
	g_autoptr(GOptionContext) context = NULL;
	g_autoptr(GError) problem = NULL;
	ToolOptions options = { .quiet = FALSE };
	gboolean help = FALSE;
	gboolean version = FALSE;
	const GOptionEntry common[] = {
		{ "quiet", 'q', 0, G_OPTION_ARG_NONE, &options.quiet,
		  "Print errors and warnings only", NULL },
		{ "help", 'h', 0, G_OPTION_ARG_NONE, &help, "Print this help",
		  NULL },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &options.json,
		  "Print the result as JSON", NULL },
		{ "version", 0, 0, G_OPTION_ARG_NONE, &version,
		  "Print the version", NULL },
		{ NULL },
	};
	int r;

	context = context_new(command, entries, common);
	if (!g_option_context_parse_strv(context, &rest, &problem))
		return tool_misuse(error, "%s: %s (see poctl %s --help)",
		                   command->name, problem->message,
		                   command->name);
	if (help || version) {
		if (help)
			print_help(command, context);
		else
			(void)puts("poctl " POFS_VERSION);
		options.done = TRUE;
	} else {
		drop_terminator(rest);
		rest = add_store(command, rest);
		r = check_arguments(command, rest, error);
		if (r < 0)
			return r;
		options.arguments = g_strdupv(rest + 1);
	}
	*ret_options = options;
	return 0;
}

void
tool_options_clear(ToolOptions *options)
{
	g_clear_pointer(&options->arguments, g_strfreev);
}
