/* SPDX-License-Identifier: BSD-2-Clause */
/* The tasks that show what a message is: one is sent, its files are looked at. */

#include <errno.h>
#include <string.h>

#include "store/format/mbg.h"
#include "tools/course.h"
#include "tools/prompt.h"
#include "tools/tool.h"

/* Asks whether what came is kept, as it is not what was asked for. */
static int
ask_keep(const char *doubt, bool *ret_keeps, GError **error)
{
	g_autofree char *line = NULL;
	int r;

	tool_say("%s", doubt);
	r = tool_prompt_line("Type \"keep\" if it is as asked all the same, or "
	                     "press Enter to send it again: ",
	                     &line, error);
	if (r == 0)
		*ret_keeps = strcmp(line, "keep") == 0;
	return r;
}

/* Why what came is not what was asked for; NULL if it may be. Caller frees. */
static char *
doubt(const ToolCourse *course, const ToolTask *task,
      const ToolCourseLook *look)
{
	unsigned attachments = tool_course_count_new(look->changes, "ATT/");
	unsigned messages =
		task->kind == TOOL_TASK_ONE
			? tool_lesson_count_new(&course->lesson, look->image)
			: tool_course_count_new(look->changes, "MAI/");

	if (messages > 1)
		return g_strdup_printf("%u messages came: which one it is "
		                       "cannot be told.",
		                       messages);
	if (task->kind == TOOL_TASK_ONE && attachments != task->number)
		return g_strdup_printf("It has %u attachments, not %u.",
		                       attachments, task->number);
	return NULL;
}

/* Whether the message has come. */
static bool
is_come(const ToolCourse *course, const ToolTask *task,
        const ToolCourseLook *look)
{
	if (task->kind == TOOL_TASK_ONE)
		return tool_lesson_count_new(&course->lesson, look->image) > 0;
	return tool_course_count_new(look->changes, "MAI/") > 0 ||
	       tool_course_count_new(look->changes, "P1/") > 0;
}

/* Waits for a message. */
static int
await_message(const ToolCourse *course, const ToolTask *task,
              ToolCourseLook *look, GError **error)
{
	int r;

	for (;;) {
		r = tool_course_await(course, look, error);
		if (r != 0 || is_come(course, task, look))
			return r;
		tool_say("No message has come so far.");
	}
}

static int
keep(ToolCourse *course, const ToolStep *step, const char *task,
     const ToolTask *of, const char *said, ToolCourseLook *look, GError **error)
{
	ToolNote *note = tool_note_new(step->name, task);

	if (of->kind == TOOL_TASK_ONE)
		note->mailbag = g_strdup(course->mailbag);
	note->did = g_strdup_printf("a message was sent %s", of->words);
	note->said = g_strdup(said);
	return tool_course_note(course, note, look, error);
}

static void
print_wish(const ToolCourse *course, const ToolTask *task)
{
	if (task->kind == TOOL_TASK_ONE)
		tool_prompt_say(
			"Send one message to mailbag %s, with the subject "
			"POFS and the text TEST, %s. Open it not.",
			course->mailbag, task->words);
	else
		tool_prompt_say(
			"Send one message with the subject POFS and the "
			"text TEST %s.",
			task->words);
}

int
tool_course_message(ToolCourse *course, const ToolStep *step,
                    const ToolTask *task, GError **error)
{
	g_autofree char *said = NULL;
	bool is_done = false;
	int r = 0;

	while (!is_done) {
		g_auto(ToolCourseLook) look = { NULL };
		g_autofree char *why = NULL;

		print_wish(course, task);
		r = await_message(course, task, &look, error);
		if (r != 0)
			return r;
		why = doubt(course, task, &look);
		is_done = why == NULL;
		if (why != NULL)
			r = ask_keep(why, &is_done, error);
		if (r == 0 && is_done && task->kind == TOOL_TASK_ROUTE)
			r = tool_prompt_line("Who gets it? Type the addresses, "
			                     "NETWORK/PO/NAME, in their order, "
			                     "those of copies after \"cc\": ",
			                     &said, error);
		/* What was not asked for is kept, too, for what comes next is
		 * compared with it. */
		if (r == 0)
			r = keep(course, step, is_done ? task->name : "other",
			         task, said, &look, error);
		if (r < 0)
			return r;
	}
	return 0;
}
