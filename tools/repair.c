/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include <glib.h>

#include "tools/check_mail.h"
#include "tools/finding.h"
#include "tools/json.h"
#include "tools/tool.h"

/*
 * How findings are mended
 *
 * - A finding names the command that mends it. That command is run as if the
 *   administrator had typed it: it looks for itself, makes one transaction, and
 *   the journal has what was there before. What only differ in the file that
 *   goes is one command for all of those, and for no other.
 * - "all" leaves alone what somebody has to decide on: what is suspicious only
 *   as long as assumptions are right, and what has orphans go, or headers of a
 *   message that may be there. A list can be lost so that nobody sees it, with
 *   both files of a mailbag, for instance, or cut off between two records, and
 *   what it named are orphans then; and what one run makes whole is whole to
 *   the next. What mends such a finding is not run for another one either.
 * - Afterwards the mail is checked again: a finding is mended when it is not
 *   found any more.
 */

typedef struct Repair {
	ToolOptions options;
	ToolOfficeChoice choice;
	gboolean is_dry_run;
	gboolean is_assumed;
	GPtrArray
		*findings; /* of ToolFinding, owned; NULL until they are looked
	                      * for */
	GPtrArray *chosen; /* of ToolFinding, borrowed from there */
	GHashTable *left;  /* set of the commands that "all" leaves; owned */
	GPtrArray *runs;   /* of GPtrArray: what one command mends; owned */
	GHashTable *index; /* of runs, by the command; owned */
	guint failed;
	ToolJson *json; /* owned; NULL for text */
} Repair;

static void
repair_clear(Repair *repair)
{
	tool_options_clear(&repair->options);
	g_free(repair->choice.config);
	g_free(repair->choice.folder);
	g_clear_pointer(&repair->findings, g_ptr_array_unref);
	g_clear_pointer(&repair->chosen, g_ptr_array_unref);
	g_clear_pointer(&repair->left, g_hash_table_unref);
	g_clear_pointer(&repair->index, g_hash_table_unref);
	g_clear_pointer(&repair->runs, g_ptr_array_unref);
	g_clear_pointer(&repair->json, tool_json_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Repair, repair_clear)

static int
look(const Repair *repair, GPtrArray **ret_findings, GError **error)
{
	g_auto(ToolOffices) offices = { 0 };
	int r;

	r = tool_offices_open(repair->options.arguments[0], &repair->choice,
	                      &offices, error);
	if (r < 0)
		return r;
	return tool_check_mail(&offices, repair->options.quiet, ret_findings,
	                       error);
}

/* ---- which ---------------------------------------------------------------- */

/* Whether @text, of the command line, is @finding, or the rule that found it. */
static bool
is_named(const ToolFinding *finding, const char *text)
{
	size_t size = strlen(text);

	return g_ascii_strncasecmp(finding->id, text, size) == 0 &&
	       (finding->id[size] == '\0' || finding->id[size] == ' ');
}

static bool
mend_has(const ToolFinding *finding, const char *word)
{
	return g_strv_contains((const char *const *)finding->mend->words, word);
}

/* Why "all" does not mean @finding itself; NULL if it does. */
static const char *
own_exception_of(const Repair *repair, const ToolFinding *finding)
{
	if (finding->severity == TOOL_SUSPICIOUS && !repair->is_assumed)
		return "it may be none: name it, or use --assumed";
	if (mend_has(finding, "--force"))
		return "headers would go: name it if they may";
	if (is_named(finding, "P06") || is_named(finding, "P17"))
		return "headers may be lost: bring them back, or name it";
	if (is_named(finding, "P01"))
		return "its message may be there: bring the envelope back, or "
		       "name it";
	if (mend_has(finding, "messages"))
		return "a DOS client may have it in a folder: name it if not";
	if (finding->is_costly)
		return "the last header of a message would go, a deleted one: "
		       "requeue that, or name it";
	if (is_named(finding, "P15"))
		return "it may be the only list of its mail: compress again, "
		       "or name it if not";
	if (mend_has(finding, "envelopes") || mend_has(finding, "delivered"))
		return "the header that named it may be lost: name it if not";
	return NULL;
}

/* Notes the commands that "all" leaves alone. */
static void
note_exceptions(Repair *repair)
{
	guint i;

	for (i = 0; i < repair->findings->len; i++) {
		const ToolFinding *finding = repair->findings->pdata[i];

		if (finding->mend != NULL &&
		    own_exception_of(repair, finding) != NULL)
			g_hash_table_add(repair->left,
			                 tool_mend_text(finding->mend));
	}
}

/* Why "all" does not mean @finding; NULL if it does. */
static const char *
exception_of(const Repair *repair, const ToolFinding *finding)
{
	const char *exception = own_exception_of(repair, finding);
	g_autofree char *mend = tool_mend_text(finding->mend);

	if (exception == NULL && g_hash_table_contains(repair->left, mend))
		return "what mends it would mend what is left alone, too";
	return exception;
}

static void
say(const Repair *repair, const ToolFinding *finding, const char *what,
    const char *why)
{
	if (repair->json == NULL && !repair->options.quiet)
		tool_say("%s: %s: %s", finding->id, what, why);
}

/* Whether @finding is to be mended. */
static bool
is_chosen(Repair *repair, const ToolFinding *finding)
{
	const char *which = repair->options.arguments[1];
	bool is_all = g_ascii_strcasecmp(which, "all") == 0;
	const char *exception;

	if (!is_all && !is_named(finding, which))
		return false;
	if (finding->mend == NULL) {
		if (!is_all || finding->severity > TOOL_NOTE)
			say(repair, finding, "no command mends it",
			    finding->sentence);
		return !is_all;
	}
	exception = is_all ? exception_of(repair, finding) : NULL;
	if (exception != NULL)
		say(repair, finding, "left alone", exception);
	return exception == NULL;
}

static int
choose(Repair *repair, GError **error)
{
	const char *which = repair->options.arguments[1];
	bool is_there = g_ascii_strcasecmp(which, "all") == 0;
	guint i;

	repair->chosen = g_ptr_array_new();
	repair->left =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	note_exceptions(repair);
	for (i = 0; i < repair->findings->len; i++) {
		ToolFinding *finding = repair->findings->pdata[i];

		is_there |= is_named(finding, which);
		if (is_chosen(repair, finding))
			g_ptr_array_add(repair->chosen, finding);
	}
	if (!is_there)
		return tool_fail(error, -ENOENT,
		                 "%s is not found in %s (any more)", which,
		                 repair->options.arguments[0]);
	return 0;
}

/* ---- mending -------------------------------------------------------------- */

/* The command of @mend, without the file that goes. */
static char *
command_text(const ToolMend *mend)
{
	ToolMend command = *mend;

	command.file = NULL;
	return tool_mend_text(&command);
}

/* Has @finding be mended, with those that the same command mends. A name may
 * have chosen it that no command mends. */
static void
add_to_run(Repair *repair, ToolFinding *finding)
{
	g_autofree char *text = NULL;
	GPtrArray *run;

	if (finding->mend == NULL) {
		repair->failed++;
		return;
	}
	text = command_text(finding->mend);
	run = g_hash_table_lookup(repair->index, text);
	if (run == NULL) {
		run = g_ptr_array_new();
		g_ptr_array_add(repair->runs, run);
		g_hash_table_insert(repair->index, g_steal_pointer(&text), run);
	}
	g_ptr_array_add(run, finding);
}

static void
make_runs(Repair *repair)
{
	guint i;

	repair->runs = g_ptr_array_new_with_free_func(
		(GDestroyNotify)g_ptr_array_unref);
	repair->index =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (i = 0; i < repair->chosen->len; i++)
		add_to_run(repair, repair->chosen->pdata[i]);
}

/* The command line that mends all of @run, its name first. */
static char **
command_line(const Repair *repair, const GPtrArray *run)
{
	const ToolFinding *first = run->pdata[0];
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	g_auto(GStrv) options = NULL;
	guint i;

	if (repair->is_dry_run)
		g_strv_builder_add(builder, "--dry-run");
	if (repair->options.quiet || repair->json != NULL)
		g_strv_builder_add(builder, "--quiet");
	if (repair->choice.config != NULL)
		g_strv_builder_add_many(builder, "--config",
		                        repair->choice.config, NULL);
	for (i = 0; first->mend->file != NULL && i < run->len; i++) {
		const ToolFinding *finding = run->pdata[i];

		g_strv_builder_add_many(builder, "--file", finding->mend->file,
		                        NULL);
	}
	options = g_strv_builder_end(builder);
	return tool_mend_line(first->mend, repair->options.arguments[0],
	                      options);
}

/* Says what is run for @run: once, unless files are told one by one. */
static void
say_run(const Repair *repair, const GPtrArray *run)
{
	guint i;

	for (i = 0; i < run->len; i++) {
		const ToolFinding *finding = run->pdata[i];
		g_autofree char *text = tool_mend_text(finding->mend);

		if (i == 0 || finding->mend->file != NULL)
			say(repair, finding, "run", text);
	}
}

static void
mend(Repair *repair, const GPtrArray *run)
{
	const ToolFinding *first = run->pdata[0];
	g_auto(GStrv) line = command_line(repair, run);
	g_autoptr(GError) error = NULL;
	const ToolCommand *command;
	char **argv = line;

	say_run(repair, run);
	command = tool_command_find(&argv);
	g_assert(command != NULL);
	if (command->run(command, argv, &error) == TOOL_OK)
		return;
	repair->failed++;
	tool_warn("%s: %s", first->id,
	          error != NULL ? error->message : "it could not be mended");
}

/* The set of what @findings are called. */
static GHashTable *
ids_of(const GPtrArray *findings)
{
	GHashTable *ids = g_hash_table_new(g_str_hash, g_str_equal);
	guint i;

	for (i = 0; i < findings->len; i++)
		g_hash_table_add(ids, ((ToolFinding *)findings->pdata[i])->id);
	return ids;
}

/* Says how it ended for @finding. */
static void
report_end(const Repair *repair, const ToolFinding *finding, bool is_left)
{
	if (repair->json != NULL) {
		tool_json_object_begin(repair->json, NULL);
		tool_json_string(repair->json, "id", finding->id);
		tool_json_bool(repair->json, "mended", !is_left);
		tool_json_object_end(repair->json);
	} else if (is_left) {
		tool_warn("%s is still found", finding->id);
	}
}

/* Looks which of those chosen are still found. */
static int
look_again(const Repair *repair, GError **error)
{
	g_autoptr(GPtrArray) left = NULL;
	g_autoptr(GHashTable) ids = NULL;
	guint count = 0;
	guint i;
	int r;

	r = look(repair, &left, error);
	if (r < 0)
		return r;
	ids = ids_of(left);
	for (i = 0; i < repair->chosen->len; i++) {
		const ToolFinding *finding = repair->chosen->pdata[i];
		bool is_left = g_hash_table_contains(ids, finding->id);

		count += is_left;
		report_end(repair, finding, is_left);
	}
	if (repair->json == NULL && !repair->options.quiet)
		tool_say("%u of %u findings mended, %u left.",
		         repair->chosen->len - count, repair->findings->len,
		         left->len);
	return count > 0 ? -EUCLEAN : 0;
}

static int
run_repair(Repair *repair, GError **error)
{
	guint i;
	int r;

	r = look(repair, &repair->findings, error);
	if (r == 0)
		r = choose(repair, error);
	if (r < 0)
		return r;
	make_runs(repair);
	for (i = 0; i < repair->runs->len; i++)
		mend(repair, repair->runs->pdata[i]);
	r = repair->failed > 0 ? -EUCLEAN : 0;
	return repair->is_dry_run ? r : look_again(repair, error);
}

static int
repair_and_tell(Repair *repair, GError **error)
{
	int r;

	if (repair->options.json) {
		repair->json = tool_json_new();
		tool_json_list_begin(repair->json, "findings");
	}
	r = run_repair(repair, error);
	if (repair->json != NULL && (error == NULL || *error == NULL)) {
		tool_json_list_end(repair->json);
		tool_json_print(&repair->json);
	}
	return r;
}

ToolExit
tool_repair(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(Repair) repair = { 0 };
	const GOptionEntry entries[] = {
		{ "assumed", 0, 0, G_OPTION_ARG_NONE, &repair.is_assumed,
		  "With all: those that are suspicious, too", NULL },
		{ "dry-run", 'n', 0, G_OPTION_ARG_NONE, &repair.is_dry_run,
		  "Only say what would be changed", NULL },
		{ "config", 0, 0, G_OPTION_ARG_FILENAME, &repair.choice.config,
		  "Read the layout of KEY files from FILE, not STORE/pofs.conf",
		  "FILE" },
		{ "postoffice", 0, 0, G_OPTION_ARG_FILENAME,
		  &repair.choice.folder, "Mail of the one in the folder NAME",
		  "NAME" },
		{ NULL },
	};

	if (tool_options_read(self, entries, argv, &repair.options, error) < 0)
		return TOOL_USAGE;
	if (repair.options.done)
		return TOOL_OK;
	return repair_and_tell(&repair, error) < 0 ? TOOL_FAILED : TOOL_OK;
}
