/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#include "store/store.h"
#include "tools/access.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/staging.h"
#include "tools/tool.h"

/* Where the findings go: to the standard output at once, or into the JSON. */
typedef struct Check {
	ToolJson *json;         /* owned; NULL for text */
	ToolProgress *progress; /* owned */
	guint64 findings;
} Check;

static void
report(void *user_data, const char *sentence)
{
	Check *check = user_data;

	check->findings++;
	if (check->json != NULL)
		tool_json_string(check->json, NULL, sentence);
	else
		tool_say("%s", sentence);
}

static void
show(void *user_data, uint64_t done, uint64_t total)
{
	Check *check = user_data;

	tool_progress_show(check->progress, done, total);
}

static void
check_clear(Check *check)
{
	g_clear_pointer(&check->json, tool_json_free);
	g_clear_pointer(&check->progress, tool_progress_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Check, check_clear)

static int
run_check(Check *check, Store *store, GError **error)
{
	uint64_t count;
	int r;

	r = store_check(store, report, show, check, &count);
	if (r == 0 && tool_staging_is_left(store))
		report(check,
		       "an import did not finish: what it brought is in " TOOL_STAGING_NAME
		       "; the next import removes it");
	if (r < 0)
		return tool_fail(error, r,
		                 "the check could not be finished: %s",
		                 g_strerror(-r));
	return 0;
}

static void
print_result(Check *check, const ToolOptions *options)
{
	g_clear_pointer(&check->progress, tool_progress_free);
	if (check->json != NULL) {
		tool_json_list_end(check->json);
		tool_json_number(check->json, "count", check->findings);
		tool_json_print(&check->json);
	} else if (check->findings > 0) {
		g_autofree char *count =
			tool_count(check->findings, "finding", "findings");

		tool_warn("%s: %s", options->arguments[0], count);
	} else if (!options->quiet) {
		tool_say("%s is sound.", options->arguments[0]);
	}
}

static ToolExit
check_store(const ToolOptions *options, GError **error)
{
	g_auto(Check) check = { 0 };
	g_autoptr(Store) store = NULL;

	if (tool_access_open(options->arguments[0], STORE_READ, &store, error) <
	    0)
		return TOOL_FAILED;
	check.progress = tool_progress_new("checking", options->quiet);
	if (options->json) {
		check.json = tool_json_new();
		tool_json_list_begin(check.json, "findings");
	}
	if (run_check(&check, store, error) < 0)
		return TOOL_FAILED;
	print_result(&check, options);
	return check.findings > 0 ? TOOL_FAILED : TOOL_OK;
}

/* Waits for the process that checks, and passes on how it ended. */
static ToolExit
wait_for_check(pid_t child, const ToolOptions *options, GError **error)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (WIFEXITED(status))
		return (ToolExit)WEXITSTATUS(status);
	(void)tool_fail(error, -EUCLEAN,
	                "%s: the database is damaged: reading it ended with "
	                "\"%s\"",
	                options->arguments[0], strsignal(WTERMSIG(status)));
	return TOOL_FAILED;
}

ToolExit
tool_check(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	const GOptionEntry entries[] = { { NULL } };
	pid_t child;

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	/* A page that is damaged in the wrong place ends the process that
	 * reads it, for LMDB asserts what it expects. */
	child = fork();
	return child > 0 ? wait_for_check(child, &options, error)
	                 : check_store(&options, error);
}
