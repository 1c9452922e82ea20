/* SPDX-License-Identifier: BSD-2-Clause */
/* The tasks that show what a program does: its session is traced meanwhile. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/course.h"
#include "tools/notes.h"
#include "tools/prompt.h"
#include "tools/recording.h"
#include "tools/tool.h"
#include "tools/trace.h"

static const char *const DENIED[] = { "nothing", "reading", "writing",
	                              "reading and writing" };

/* The file that is denied, as traces name it; "@" stands for the mailbag. */
static char *
denied_path(const ToolCourse *course, const ToolTask *task)
{
	const char *folder = tool_sight_folder(course->sight);
	g_auto(GStrv) parts = g_strsplit(task->words, "@", 2);
	g_autofree char *path = g_strjoinv(course->mailbag, parts);

	return g_strconcat(folder[0] != '\0' ? "/" : "", folder, "/", path,
	                   NULL);
}

/* ---- recording ----------------------------------------------------------- */

/* Asks whom to trace. Returns TOOL_COURSE_SKIPPED for nobody. */
static int
ask_client(const ToolCourse *course, char **ret_client, GError **error)
{
	g_autofree char *shown =
		tool_show(course->client != NULL ? course->client : "");
	g_autofree char *question = g_strdup_printf(
		"Which client runs the program? Type its address, the number "
		"of its session%s%s, or \"skip\" for none: ",
		course->client != NULL ? ", Enter for " : "", shown);
	g_autofree char *line = NULL;
	int r;

	r = tool_prompt_line(question, &line, error);
	if (r < 0)
		return r;
	if (strcmp(line, "skip") == 0 ||
	    (line[0] == '\0' && course->client == NULL))
		return TOOL_COURSE_SKIPPED;
	*ret_client = line[0] != '\0' ? g_steal_pointer(&line)
	                              : g_strdup(course->client);
	return 0;
}

/* Begins to trace whom the administrator names, who is asked again where pofs
 * cannot. Returns TOOL_COURSE_SKIPPED for nobody. */
static int
begin_trace(ToolCourse *course, guint64 *ret_session, GError **error)
{
	for (;;) {
		g_autofree char *client = NULL;
		g_autoptr(GError) problem = NULL;
		int r;

		r = ask_client(course, &client, error);
		if (r != 0)
			return r;
		r = tool_trace_begin(course->dir, client, ret_session,
		                     &problem);
		if (r == 0) {
			g_free(course->client);
			course->client = g_steal_pointer(&client);
			return 0;
		}
		if (r != -EREMOTEIO) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return r;
		}
		tool_say("%s", problem->message);
	}
}

/* Moves the trace of @session to @path. */
static int
take_trace(const ToolCourse *course, guint64 session, const char *path,
           GError **error)
{
	g_autofree char *from = tool_trace_path(course->dir, session);
	g_autoptr(GError) problem = NULL;
	g_autofree char *text = NULL;
	gsize size;

	if (!g_file_get_contents(from, &text, &size, &problem) ||
	    !g_file_set_contents_full(path, text, (gssize)size,
	                              G_FILE_SET_CONTENTS_DURABLE, 0600,
	                              &problem))
		return tool_fail(error, -EIO, "%s", problem->message);
	if (unlink(from) < 0)
		return tool_fail(error, -errno, "cannot remove %s: %s", from,
		                 g_strerror(errno));
	return 0;
}

/* Traces the client while @wish is done, into @path. */
static int
record(ToolCourse *course, const char *wish, const char *path, GError **error)
{
	g_autofree char *number = NULL;
	bool skips = false;
	guint64 session;
	guint count;
	int stopped;
	int r;

	r = begin_trace(course, &session, error);
	if (r != 0)
		return r;
	tool_say("Session %" G_GUINT64_FORMAT " is traced. Now %s.", session,
	         wish);
	r = tool_prompt_done(&skips, error);
	number = g_strdup_printf("%" G_GUINT64_FORMAT, session);
	/* A session that has ended has ended its trace. */
	stopped = tool_trace_end(course->dir, number, &count, NULL);
	if (stopped == -ENOTCONN)
		tool_warn("pofs has stopped meanwhile");
	if (r == 0)
		r = take_trace(course, session, path, error);
	if (r == 0 && skips)
		(void)unlink(path);
	return r < 0 || !skips ? r : TOOL_COURSE_SKIPPED;
}

/* The name of the next trace, beside the notes. */
static char *
trace_name(const ToolCourse *course, const ToolTask *task)
{
	g_autofree char *name = g_strdup_printf(
		"%u-%s.trace", tool_notes_count(course->notes) + 1, task->name);

	return g_strdup(g_strdelimit(name, " '", '-'));
}

/* ---- the two kinds ------------------------------------------------------- */

/* Why a trace tells nothing; NULL if it does. */
static const char *
doubt(const ToolRecording *recording, const char *denied)
{
	if (recording->rows->len == 0)
		return "That session did nothing: was it the right one?";
	if (denied != NULL &&
	    tool_recording_count_opens(recording, denied, NULL) == 0)
		return "It did not try to open that file: nothing can be told.";
	return NULL;
}

static int
keep(ToolCourse *course, const ToolStep *step, const ToolTask *task,
     const char *did, const char *trace, const char *said, GError **error)
{
	ToolNote *note = tool_note_new(step->name, task->name);
	g_auto(ToolCourseLook) look = { NULL };
	int r;

	note->did = g_strdup(did);
	note->trace = g_strdup(trace);
	note->said = g_strdup(said);
	r = tool_course_look(course, &look, error);
	if (r < 0) {
		tool_note_free(note);
		return r;
	}
	return tool_course_note(course, note, &look, error);
}

/* Records until there is something to keep. */
static int
record_task(ToolCourse *course, const ToolTask *task, const char *wish,
            const char *denied, char **ret_name, GError **error)
{
	const char *dir = tool_notes_dir(course->notes);

	for (;;) {
		g_autofree char *name = trace_name(course, task);
		g_autofree char *path = g_build_filename(dir, name, NULL);
		g_autoptr(ToolRecording) recording = NULL;
		const char *why;
		int r;

		r = tool_notes_make_dir(dir, error);
		if (r == 0)
			r = record(course, wish, path, error);
		if (r == 0)
			r = tool_recording_read(path, &recording, error);
		if (r != 0)
			return r;
		why = doubt(recording, denied);
		if (why == NULL) {
			*ret_name = g_steal_pointer(&name);
			return 0;
		}
		tool_say("%s", why);
		(void)unlink(path);
	}
}

static int
deny(ToolCourse *course, const ToolStep *step, const ToolTask *task,
     GError **error)
{
	g_autofree char *full = denied_path(course, task);
	const char *path = full + 1;
	g_autofree char *did =
		g_strdup_printf("another station held %s and denied %s", path,
	                        DENIED[task->number]);
	g_autofree char *trace = NULL;
	g_autofree char *said = NULL;
	bool skips = false;
	int r;

	tool_prompt_say(
		"At another station, open %s so that others are denied %s, "
		"and keep it open.",
		path, DENIED[task->number]);
	r = tool_prompt_done(&skips, error);
	if (r < 0 || skips)
		return r < 0 ? r : TOOL_COURSE_SKIPPED;
	r = record_task(course, task,
	                "have the program use that file, and wait until it "
	                "says so or goes on",
	                full, &trace, error);
	if (r == 0)
		r = tool_prompt_line("What did it say? Type its error's number "
		                     "and words, or press Enter for nothing: ",
		                     &said, error);
	return r != 0 ? r : keep(course, step, task, did, trace, said, error);
}

int
tool_course_trace(ToolCourse *course, const ToolStep *step,
                  const ToolTask *task, GError **error)
{
	g_autofree char *trace = NULL;
	g_autofree char *said = NULL;
	int r;

	if (task->kind == TOOL_TASK_DENY)
		return deny(course, step, task, error);
	tool_prompt_say("%s: %s.", task->name, task->words);
	r = record_task(course, task, "do that", NULL, &trace, error);
	if (r == 0)
		r = tool_prompt_line("Which version of the program was it? ",
		                     &said, error);
	return r != 0 ? r
	              : keep(course, step, task, task->words, trace, said,
	                     error);
}
