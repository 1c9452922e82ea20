/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#include "store/store.h"
#include "tools/access.h"
#include "tools/check_mail.h"
#include "tools/damaged.h"
#include "tools/finding.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/staging.h"
#include "tools/tool.h"

/* What the command line asks for. */
typedef struct Request {
	ToolOptions options;
	ToolOfficeChoice choice;
	gboolean mail;
} Request;

static void
request_clear(Request *request)
{
	tool_options_clear(&request->options);
	g_free(request->choice.config);
	g_free(request->choice.folder);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Request, request_clear)

/* Where the findings go: to the standard output at once, or into the JSON. */
typedef struct Check {
	ToolOffices offices;    /* with no list unless mail is checked */
	ToolJson *json;         /* owned; NULL for text */
	ToolProgress *progress; /* owned */
	guint64 findings;
	bool is_damaged; /* the database: what is left of it is checked */
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
	tool_offices_close(&check->offices);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Check, check_clear)

static int
run_check(Check *check, Store *store, GError **error)
{
	uint64_t count;
	int r;

	r = store_check(store, report, show, check, &count);
	if (r == -EUCLEAN)
		return tool_fail(error, r, "the database is damaged");
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
report_mail(Check *check, const ToolFinding *finding, const Request *request)
{
	const char *severity = tool_severity_text(finding->severity);
	g_autofree char *mend =
		finding->mend != NULL ? tool_mend_text(finding->mend) : NULL;

	/* A note is nothing that somebody has to look after. */
	if (finding->severity > TOOL_NOTE)
		check->findings++;
	else if (request->options.quiet && check->json == NULL)
		return;
	if (check->json == NULL) {
		tool_say("%s: %s: %s (%s)%s%s", severity, finding->id,
		         finding->sentence, finding->articles,
		         mend != NULL ? "; mend: " : "",
		         mend != NULL ? mend : "");
		return;
	}
	tool_json_object_begin(check->json, NULL);
	tool_json_string(check->json, "id", finding->id);
	tool_json_string(check->json, "severity", severity);
	tool_json_string(check->json, "sentence", finding->sentence);
	tool_json_string(check->json, "articles", finding->articles);
	if (mend != NULL)
		tool_json_string(check->json, "mend", mend);
	tool_json_object_end(check->json);
}

static int
run_mail(Check *check, const Request *request, GError **error)
{
	g_autoptr(GPtrArray) findings = NULL;
	guint i;
	int r;

	r = tool_check_mail(&check->offices, request->options.quiet, &findings,
	                    error);
	if (r < 0)
		return r;
	if (check->json != NULL) {
		tool_json_bool(check->json, "live_is_assumed",
		               !check->offices.layout.is_confirmed);
		tool_json_list_begin(check->json, "mail");
	}
	for (i = 0; i < findings->len; i++)
		report_mail(check, findings->pdata[i], request);
	if (check->json != NULL)
		tool_json_list_end(check->json);
	return 0;
}

static void
print_result(Check *check, const ToolOptions *options)
{
	if (check->json != NULL) {
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

static int
open_store(Check *check, const Request *request, GError **error)
{
	const char *dir = request->options.arguments[0];

	if (check->is_damaged)
		return tool_access_open(dir, STORE_SALVAGE,
		                        &check->offices.store, error);
	if (request->mail)
		return tool_offices_open(dir, &request->choice, &check->offices,
		                         error);
	return tool_access_open(dir, STORE_READ, &check->offices.store, error);
}

static int
check_all(Check *check, const Request *request, GError **error)
{
	const ToolOptions *options = &request->options;
	int r;

	r = open_store(check, request, error);
	if (r < 0)
		return r;
	check->progress = tool_progress_new("checking", options->quiet);
	if (options->json) {
		check->json = tool_json_new();
		tool_json_list_begin(check->json, "findings");
	}
	r = run_check(check, check->offices.store, error);
	g_clear_pointer(&check->progress, tool_progress_free);
	if (r < 0)
		return r;
	if (check->json != NULL)
		tool_json_list_end(check->json);
	return request->mail && !check->is_damaged
	               ? run_mail(check, request, error)
	               : 0;
}

static void
print_salvage(const Request *request)
{
	tool_warn("%s: the database itself is damaged: it is not served; "
	          "restore a backup, or save what is left with "
	          "poctl export --salvage%s",
	          request->options.arguments[0],
	          request->mail ? "; the mail was not checked" : "");
}

/* With @is_damaged the pages are known to be; else that is found out. */
static ToolExit
check_store(const Request *request, bool is_damaged, GError **error)
{
	g_auto(Check) check = { .is_damaged = is_damaged };
	int r;

	r = check_all(&check, request, error);
	if (r == -EUCLEAN && !is_damaged) {
		check_clear(&check);
		check = (Check){ .is_damaged = true };
		g_clear_error(error);
		r = check_all(&check, request, error);
	}
	if (r < 0)
		return TOOL_FAILED;
	if (check.is_damaged)
		print_salvage(request);
	print_result(&check, &request->options);
	return check.findings > 0 || check.is_damaged ? TOOL_FAILED : TOOL_OK;
}

/* Whether a process ends itself by signal @number, and is not ended by others:
 * by whoever is tired of it, or by a system that is short of memory. */
static bool
is_own_end(int number)
{
	return number == SIGBUS || number == SIGSEGV || number == SIGABRT ||
	       number == SIGFPE || number == SIGILL;
}

/* Waits for the process that checks, and passes on how it ended. Where reading
 * the database was its end, what is left is checked, which takes no LMDB. */
static ToolExit
wait_for_check(pid_t child, const Request *request, GError **error)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (WIFEXITED(status))
		return (ToolExit)WEXITSTATUS(status);
	if (!is_own_end(WTERMSIG(status))) {
		(void)tool_fail(error, -EINTR,
		                "the check could not be finished: %s",
		                strsignal(WTERMSIG(status)));
		return TOOL_FAILED;
	}
	tool_warn("%s: the database is damaged: reading it ended with \"%s\"",
	          request->options.arguments[0], strsignal(WTERMSIG(status)));
	return check_store(request, true, error);
}

ToolExit
tool_check(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(Request) request = { 0 };
	const GOptionEntry entries[] = {
		{ "mail", 'm', 0, G_OPTION_ARG_NONE, &request.mail,
		  "Check the mail in it, too", NULL },
		{ "config", 0, 0, G_OPTION_ARG_FILENAME, &request.choice.config,
		  "Read the layout of KEY files from FILE, not STORE/pofs.conf",
		  "FILE" },
		{ "postoffice", 0, 0, G_OPTION_ARG_FILENAME,
		  &request.choice.folder, "Mail of the one in the folder NAME",
		  "NAME" },
		{ NULL },
	};
	pid_t child;

	if (tool_options_read(self, entries, argv, &request.options, error) < 0)
		return TOOL_USAGE;
	if (request.options.done)
		return TOOL_OK;
	if (!request.mail &&
	    (request.choice.config != NULL || request.choice.folder != NULL)) {
		(void)tool_misuse(error, "--config and --postoffice are about "
		                         "mail: say --mail, too");
		return TOOL_USAGE;
	}

	/* A page of a disk that fails ends the process that reads it, for it is
	 * mapped. */
	child = fork();
	if (child > 0)
		return wait_for_check(child, &request, error);
	if (child == 0)
		tool_damaged_leave();
	return check_store(&request, false, error);
}
