/* SPDX-License-Identifier: BSD-2-Clause */
/* Learning how KEY files lie, from what a licensed copy does to them. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "store/format/key_learn.h"
#include "tools/course.h"
#include "tools/fact.h"
#include "tools/key_layout.h"
#include "tools/learn_report.h"
#include "tools/lesson.h"
#include "tools/prompt.h"
#include "tools/rows.h"
#include "tools/target.h"
#include "tools/tool.h"

/* Layouts that are listed where more than one is left. */
#define LISTED_MAX 12

typedef struct Learn {
	const char *store; /* borrowed */
	char *mailbag;     /* owned, as all that follow */
	char *office;
	char *before;
	char **after;
	char *config;
	char *notes;
	char *step;
	gboolean is_dry;
	gboolean is_report;
} Learn;

static void
learn_clear(Learn *learn)
{
	g_free(learn->mailbag);
	g_free(learn->office);
	g_free(learn->before);
	g_strfreev(learn->after);
	g_free(learn->config);
	g_free(learn->notes);
	g_free(learn->step);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Learn, learn_clear)

/* ---- images on disk ------------------------------------------------------ */

/* Reads "1,9" at the end of "DIR:1,9" into @deleted, and cuts it off. */
static int
take_deleted(char *word, GArray *deleted, GError **error)
{
	char *colon = strrchr(word, ':');
	g_auto(GStrv) numbers = NULL;
	size_t i;

	if (colon == NULL || strchr(colon, '/') != NULL)
		return 0;
	*colon = '\0';
	numbers = g_strsplit(colon + 1, ",", -1);
	for (i = 0; numbers[i] != NULL; i++) {
		uint32_t record;
		guint64 number;

		if (!g_ascii_string_to_unsigned(numbers[i], 10, 0,
		                                FORMAT_KEY_RECORDS_MAX - 1,
		                                &number, NULL))
			return tool_misuse(error, "%s is no record's number",
			                   numbers[i]);
		record = (uint32_t)number;
		g_array_append_val(deleted, record);
	}
	return 0;
}

/* Looks at the image in @word, "DIR" or "DIR:1,9". */
static int
add_image(ToolLesson *lesson, const Learn *learn, const char *word,
          GError **error)
{
	g_autoptr(GArray) deleted = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_autofree char *dir = g_strdup(word);
	ToolMailbagImage *image;
	int r;

	r = take_deleted(dir, deleted, error);
	if (r == 0)
		r = tool_mailbag_image_read(dir, learn->mailbag, &image, error);
	if (r == 0)
		r = tool_lesson_add(lesson, image,
		                    &(ToolLessonDeed){ .deleted = deleted },
		                    error);
	return r;
}

static int
add_images(ToolLesson *lesson, const Learn *learn, GError **error)
{
	size_t i;
	int r;

	r = add_image(lesson, learn, learn->before, error);
	for (i = 0; r == 0 && learn->after[i] != NULL; i++)
		r = add_image(lesson, learn, learn->after[i], error);
	return r;
}

/* ---- what is said -------------------------------------------------------- */

static GVariant *
candidate_rows(const FormatKeyLearn *learn)
{
	GVariantBuilder rows = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	FormatKeyLayout layout;
	size_t at = 0;

	while (format_key_learn_next(learn, &at, &layout)) {
		GVariantBuilder row =
			G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

		tool_fact_number(&row, "offset", layout.offset);
		tool_fact_text(&row, "order",
		               layout.first_bit_is_lsb ? "lsb" : "msb");
		tool_fact_number(&row, "deleted", layout.one_is_deleted);
		tool_fact_number(&row, "word", layout.word);
		g_variant_builder_add_value(&rows, g_variant_builder_end(&row));
	}
	return g_variant_builder_end(&rows);
}

static void
print_json(const FormatKeyLearn *learn, const char *written)
{
	g_auto(GVariantBuilder) row =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	g_autoptr(ToolJson) json = tool_json_new();
	g_autoptr(GVariant) facts = NULL;

	tool_fact_bool(&row, "settled", format_key_learn_is_settled(learn));
	tool_fact_number(&row, "left", format_key_learn_count(learn));
	g_variant_builder_add(&row, "{sv}", "candidates",
	                      candidate_rows(learn));
	if (written != NULL)
		tool_fact_text(&row, "written", written);
	facts = g_variant_ref_sink(g_variant_builder_end(&row));
	tool_row_json(json, facts);
	tool_json_print(&json);
}

static void
print_candidates(const FormatKeyLearn *learn)
{
	FormatKeyLayout layout;
	unsigned listed = 0;
	size_t at = 0;

	while (listed++ < LISTED_MAX &&
	       format_key_learn_next(learn, &at, &layout)) {
		g_autofree char *text = format_key_layout_print(&layout);

		(void)printf("  %s\n", text);
	}
}

/* Why nothing is settled. */
static int
fail_unsettled(const FormatKeyLearn *learn, GError **error)
{
	unsigned left = format_key_learn_count(learn);
	uint32_t begin;
	uint32_t end;

	if (left == 0)
		return tool_fail(error, -ENOENT,
		                 "no layout that is known fits what was seen: "
		                 "nothing was written");
	if (!format_key_learn_wants(learn, &begin, &end))
		return tool_fail(error, -EAGAIN,
		                 "%u layouts fit what was seen: nothing was "
		                 "written",
		                 left);
	return tool_fail(error, -EAGAIN,
	                 "%u layout%s what was seen, and no message was "
	                 "deleted whose record is %u to %u: nothing was "
	                 "written",
	                 left, left == 1 ? " fits" : "s fit", begin, end - 1);
}

/* Writes @layout to @path, unless another one was confirmed there: one of them is
 * wrong, and which, no program can tell. */
static int
write_layout(const Learn *learn, const char *path,
             const FormatKeyLayout *layout, GError **error)
{
	g_autofree char *text = format_key_layout_print(layout);
	g_autofree char *old_text = NULL;
	FormatKeyLayout old = { 0 };
	int r = 0;

	if (g_file_test(path, G_FILE_TEST_EXISTS))
		r = tool_key_layout_read(learn->store, path, &old, error);
	if (r < 0)
		return r;
	old_text = format_key_layout_print(&old);
	if (old.is_confirmed && strcmp(text, old_text) != 0)
		return tool_fail(error, -EEXIST,
		                 "%s has \"%s\", which contradicts what was "
		                 "seen: nothing was written",
		                 path, old_text);
	return tool_key_layout_write(learn->store, path, layout, error);
}

static int
conclude(const Learn *learn, const ToolLesson *lesson, bool is_json,
         GError **error)
{
	const FormatKeyLearn *learnt = &lesson->learn;
	bool is_settled = format_key_learn_is_settled(learnt);
	g_autofree char *path =
		learn->config != NULL
			? g_strdup(learn->config)
			: g_build_filename(learn->store, "pofs.conf", NULL);
	bool is_written = is_settled && !learn->is_dry;
	FormatKeyLayout layout;
	size_t at = 0;
	int r = 0;

	if (is_written && format_key_learn_next(learnt, &at, &layout))
		r = write_layout(learn, path, &layout, error);
	if (r < 0)
		return r;
	if (is_json) {
		print_json(learnt, is_written ? path : NULL);
	} else {
		print_candidates(learnt);
		if (is_written)
			tool_say("Wrote this layout to %s.", path);
	}
	return is_settled ? 0 : fail_unsettled(learnt, error);
}

/* ---- the steps ----------------------------------------------------------- */

/* Where the notes are. Caller frees. */
static char *
notes_dir(const Learn *learn)
{
	return learn->notes != NULL
	               ? g_strdup(learn->notes)
	               : g_build_filename(learn->store, "learn", NULL);
}

static int
read_notes(const Learn *learn, ToolNotes **ret_notes, GError **error)
{
	g_autofree char *dir = notes_dir(learn);

	return tool_notes_read(dir, ret_notes, error);
}

static int
report(const Learn *learn, bool is_json, GError **error)
{
	g_autoptr(ToolNotes) notes = NULL;
	int r;

	r = read_notes(learn, &notes, error);
	if (r < 0)
		return r;
	if (tool_notes_count(notes) == 0)
		return tool_fail(error, -ENOENT,
		                 "there are no notes in %s: learn something "
		                 "first",
		                 tool_notes_dir(notes));
	tool_learn_report(notes, is_json);
	return 0;
}

/* What is said in the end, also where the administrator has stopped early. */
static int
conclude_course(const Learn *learn, const ToolCourse *course, int r,
                GError **error)
{
	const char *dir = tool_notes_dir(course->notes);
	int written = 0;

	if (dir != NULL && tool_notes_count(course->notes) > 0)
		tool_prompt_say(
			"The notes are in %s; --report tells what follows "
			"from them.",
			dir);
	tool_learn_print_contradictions(course->notes);
	if (course->lesson.contradiction != 0)
		tool_say("To begin anew, take another mailbag, or --notes in "
		         "another directory.");
	if (course->mailbag != NULL &&
	    (r == 0 || format_key_learn_is_settled(&course->lesson.learn)))
		written = conclude(learn, &course->lesson, false,
		                   r == 0 ? error : NULL);
	return r < 0 ? r : written;
}

static int
ask(const Learn *learn, const ToolStep *step, GError **error)
{
	/* As its files are named in the store, however it was typed. */
	g_autofree char *mailbag = learn->mailbag != NULL
	                                   ? g_ascii_strup(learn->mailbag, -1)
	                                   : NULL;
	g_auto(ToolCourse) course = {
		.dir = learn->store,
		.office = learn->office,
		.mailbag = mailbag,
	};
	g_autoptr(ToolNotes) notes = NULL;
	int r = 0;

	tool_lesson_init(&course.lesson, false);
	if (learn->is_dry)
		notes = tool_notes_new();
	else
		r = read_notes(learn, &notes, error);
	if (r < 0)
		return r;
	course.notes = notes;
	r = tool_course_run(&course, step, error);
	return conclude_course(learn, &course, r, error);
}

/* ---- the command --------------------------------------------------------- */

static int
check_step(const Learn *learn, const ToolStep **ret_step, GError **error)
{
	const ToolStep *step =
		learn->step != NULL ? tool_step_find(learn->step) : NULL;

	if (learn->step != NULL && step == NULL)
		return tool_misuse(error, "%s is no step", learn->step);
	if (learn->mailbag == NULL && (step == NULL || step->needs_mailbag))
		return tool_misuse(error, "learn needs --mailbag");
	if (learn->is_dry && step != NULL && tool_step_has_traces(step))
		return tool_misuse(error,
		                   "step %s keeps traces: it does not "
		                   "go with --dry-run",
		                   step->name);
	*ret_step = step;
	return 0;
}

static int
check_options(const Learn *learn, bool is_json, const ToolStep **ret_step,
              GError **error)
{
	int r;

	*ret_step = NULL;
	if (learn->is_report)
		return learn->step == NULL && learn->before == NULL
		               ? 0
		               : tool_misuse(error, "--report takes no step");
	r = check_step(learn, ret_step, error);
	if (r < 0)
		return r;
	if (learn->mailbag != NULL && strchr(learn->mailbag, '/') != NULL)
		return tool_misuse(error, "%s is no mailbag", learn->mailbag);
	if ((learn->before == NULL) != (learn->after == NULL))
		return tool_misuse(error,
		                   "--before and --after need each other");
	if (learn->before != NULL && learn->step != NULL)
		return tool_misuse(error, "--before takes no step");
	if (learn->before == NULL && (!isatty(STDIN_FILENO) || is_json))
		return tool_misuse(error, "learn asks on a terminal: without "
		                          "one it needs --before and --after");
	return 0;
}

/* What is in the directory of the notes is written, and the key file, which may
 * be the store's. */
static int
check_targets(const Learn *learn, GError **error)
{
	g_autofree char *dir = notes_dir(learn);
	g_autofree char *note = g_build_filename(dir, "notes", NULL);
	g_autofree char *name =
		g_path_get_basename(learn->config != NULL ? learn->config : "");
	int r;

	if (learn->is_report || learn->is_dry)
		return 0;
	r = tool_target_check(learn->store, note, error);
	if (r == 0 && learn->config != NULL && strcmp(name, "pofs.conf") != 0)
		r = tool_target_check(learn->store, learn->config, error);
	return r;
}

/* Looks at copies, without asking. */
static int
compare(const Learn *learn, const ToolOptions *options, GError **error)
{
	g_auto(ToolLesson) lesson;
	int r;

	tool_lesson_init(&lesson, !options->json && !options->quiet);
	r = add_images(&lesson, learn, error);
	return r < 0 ? r : conclude(learn, &lesson, options->json, error);
}

static int
run(const Learn *learn, const ToolStep *step, const ToolOptions *options,
    GError **error)
{
	if (learn->is_report)
		return report(learn, options->json, error);
	if (learn->before != NULL)
		return compare(learn, options, error);
	return ask(learn, step, error);
}

ToolExit
tool_learn(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(Learn) learn = { 0 };
	const ToolStep *step;
	const GOptionEntry entries[] = {
		{ "mailbag", 0, 0, G_OPTION_ARG_STRING, &learn.mailbag,
		  "The mailbag that is watched", "MAILBAG" },
		{ "postoffice", 0, 0, G_OPTION_ARG_FILENAME, &learn.office,
		  "It is in folder NAME", "NAME" },
		{ "step", 0, 0, G_OPTION_ARG_STRING, &learn.step,
		  "Take this step only: first, delete, fill, compress, wide, "
		  "headers, programs, denials or recipients",
		  "STEP" },
		{ "report", 0, 0, G_OPTION_ARG_NONE, &learn.is_report,
		  "Ask nothing: print the notes, and what follows", NULL },
		{ "notes", 0, 0, G_OPTION_ARG_FILENAME, &learn.notes,
		  "Keep the notes in DIR instead of STORE/learn", "DIR" },
		{ "before", 0, 0, G_OPTION_ARG_FILENAME, &learn.before,
		  "Do not ask: a copy of the postoffice at first", "DIR" },
		{ "after", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &learn.after,
		  "A later copy, and the records deleted in between",
		  "DIR[:N,...]" },
		{ "config", 0, 0, G_OPTION_ARG_FILENAME, &learn.config,
		  "Write to FILE instead of STORE/pofs.conf", "FILE" },
		{ "dry-run", 'n', 0, G_OPTION_ARG_NONE, &learn.is_dry,
		  "Write nothing", NULL },
		{ NULL },
	};

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	learn.store = options.arguments[0];
	if (check_options(&learn, options.json, &step, error) < 0 ||
	    check_targets(&learn, error) < 0)
		return TOOL_USAGE;
	/* What is wrong with the command line says so in the error. */
	if (run(&learn, step, &options, error) < 0)
		return (ToolExit)(*error)->code;
	return TOOL_OK;
}
