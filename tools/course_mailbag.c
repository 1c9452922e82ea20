/* SPDX-License-Identifier: BSD-2-Clause */
/* The tasks that show how a KEY lies: messages come and go, in one mailbag. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/format/mbg.h"
#include "tools/course.h"
#include "tools/prompt.h"
#include "tools/tool.h"

/* Messages that are asked for until one comes where it is wanted. */
#define TRIES_MAX 8

static uint32_t
count_records(const ToolMailbagImage *image)
{
	return format_mbg_count(image->mbg->len);
}

static void
decode(const ToolMailbagImage *image, uint32_t record, FormatMbgRecord *header)
{
	format_mbg_decode(image->mbg->data +
	                          (size_t)record * FORMAT_MBG_RECORD_SIZE,
	                  header);
}

/* ---- notes --------------------------------------------------------------- */

/* Keeps what was done as a note of @task, or as a look at a mailbag of which
 * nobody knows what was done to it. */
static int
keep(ToolCourse *course, const ToolStep *step, const ToolTask *task,
     const char *did, ToolCourseDeed *deed, ToolCourseLook *look,
     GError **error)
{
	const char *name = deed->is_unknown ? TOOL_TASK_LOOK : task->name;
	ToolNote *note = tool_note_new(step->name, name);

	note->mailbag = g_strdup(course->mailbag);
	note->did =
		deed->is_unknown
			? g_strdup_printf("nobody knows; asked for: %s", did)
			: g_strdup(did);
	g_array_append_vals(note->deleted, deed->deleted->data,
	                    deed->deleted->len);
	if (deed->read >= 0)
		note->said = g_strdup_printf("%" G_GINT64_FORMAT, deed->read);
	return tool_course_note(course, note, look, error);
}

/* ---- messages ------------------------------------------------------------ */

/* How many messages are still missing. */
static uint32_t
count_missing(const ToolCourse *course, const ToolTask *task,
              const ToolMailbagImage *image)
{
	uint32_t records = count_records(image);
	uint32_t vacant = 0;
	uint32_t come;
	uint32_t i;

	if (task->kind == TOOL_TASK_SEND) {
		come = tool_lesson_count_new(&course->lesson, image);
		return task->number - MIN(come, task->number);
	}
	if (records >= task->number)
		return 0;
	for (i = 0; i < records; i++)
		vacant += course->lesson.states[i] == FORMAT_RECORD_DELETED;
	return task->number - records +
	       (image == course->lesson.image ? vacant : 0);
}

static int
send(ToolCourse *course, const ToolStep *step, const ToolTask *task,
     GError **error)
{
	uint32_t wanted = count_missing(course, task, course->lesson.image);
	g_autofree char *count = NULL;
	g_autofree char *did = NULL;
	g_auto(ToolCourseLook) look = { NULL };
	g_auto(ToolCourseDeed) deed = { .read = -1 };
	uint32_t come = 0;
	bool is_enough = wanted == 0;
	int r;

	if (is_enough)
		return 0;
	tool_prompt_say("Send %u message%s to mailbag %s, and wait until %s "
	                "delivered. Give each a subject of its own, and open "
	                "none.",
	                wanted, wanted == 1 ? "" : "s", course->mailbag,
	                wanted == 1 ? "it is" : "they are");
	while (!is_enough) {
		r = tool_course_await(course, &look, error);
		if (r != 0)
			return r;
		come = tool_lesson_count_new(&course->lesson, look.image);
		is_enough = count_missing(course, task, look.image) == 0;
		if (!is_enough && task->kind == TOOL_TASK_SEND)
			tool_say("%u of %u are in mailbag %s so far.", come,
			         wanted, course->mailbag);
		else if (!is_enough)
			tool_say("Mailbag %s has %u records so far, and %u are "
			         "wanted.",
			         course->mailbag, count_records(look.image),
			         task->number);
	}
	if (come > wanted)
		tool_say("%u came: others send to mailbag %s, too.", come,
		         course->mailbag);
	deed.deleted = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	r = tool_course_settle(course, &look, &deed, error);
	count = tool_count(come, "message", "messages");
	did = g_strdup_printf("%s came to mailbag %s", count, course->mailbag);
	return r < 0 ? r : keep(course, step, task, did, &deed, &look, error);
}

/* Finds the first record in @state, from @begin to before @end; -ENOENT. */
static int
find_record(const ToolCourse *course, FormatRecordState state, uint32_t begin,
            uint32_t end, uint32_t *ret_record)
{
	uint32_t records = MIN(count_records(course->lesson.image), end);

	while (begin < records && course->lesson.states[begin] != state)
		begin++;
	if (begin >= records)
		return -ENOENT;
	*ret_record = begin;
	return 0;
}

/* Finds one that is known to be live; where none is, because they were there
 * before or nobody knows what was done to them, asks for messages until one has
 * come there, or has come behind: then none will. */
static int
need_live(ToolCourse *course, const ToolStep *step, uint32_t begin,
          uint32_t end, uint32_t *ret_record, GError **error)
{
	static const ToolTask one = { "one more message", TOOL_TASK_SEND, 1,
		                      NULL };
	bool is_behind = false;
	unsigned tries;
	int r = 0;

	for (tries = 0; r == 0 && tries < TRIES_MAX && !is_behind; tries++) {
		if (find_record(course, FORMAT_RECORD_LIVE, begin, end,
		                ret_record) == 0)
			return 0;
		r = send(course, step, &one, error);
		is_behind = course->lesson.came >= (int32_t)end;
	}
	return r != 0 ? r
	              : tool_fail(error, -ENOENT,
	                          "mailbag %s has no record from %u to %u that "
	                          "is known to be there: take another, empty "
	                          "mailbag",
	                          course->mailbag, begin, end - 1);
}

/* Prints what to do with the message of @record. */
static void
print_task(const ToolCourse *course, uint32_t record, const char *verb,
           const char *rest)
{
	g_autofree char *subject = NULL;
	FormatMbgRecord header;

	decode(course->lesson.image, record, &header);
	subject = format_mbg_subject(&header);
	tool_prompt_say("%s the message \"%s\" (record %u of mailbag %s)%s.",
	                verb, subject, record, course->mailbag, rest);
}

/* Waits until the KEY has changed. */
static int
await_key(const ToolCourse *course, ToolCourseLook *look, GError **error)
{
	int r;

	for (;;) {
		r = tool_course_await(course, look, error);
		if (r != 0 ||
		    memcmp(look->image->key, course->lesson.image->key,
		           FORMAT_KEY_SIZE) != 0)
			return r;
		tool_say("%s.KEY has not changed yet.", course->mailbag);
	}
}

/* What was deleted, as @record was asked for. */
static char *
deleted_text(const ToolCourse *course, const ToolCourseDeed *deed,
             uint32_t record)
{
	GString *text = g_string_new("deleted of mailbag ");
	guint i;

	g_string_append_printf(text, "%s:", course->mailbag);
	for (i = 0; i < deed->deleted->len; i++)
		g_string_append_printf(
			text, "%s record %u", i > 0 ? "," : "",
			g_array_index(deed->deleted, uint32_t, i));
	if (deed->deleted->len == 0)
		g_string_append(text, " nothing");
	if (!tool_course_has_record(deed->deleted, record))
		g_string_append_printf(text, ", where record %u was asked for",
		                       record);
	return g_string_free(text, FALSE);
}

/* One deletion of what is asked for, or of something else. */
static int
delete_one(ToolCourse *course, const ToolStep *step, const ToolTask *task,
           uint32_t record, GError **error)
{
	g_autofree char *did = NULL;
	g_auto(ToolCourseLook) look = { NULL };
	g_auto(ToolCourseDeed) deed = {
		.deleted = g_array_new(FALSE, FALSE, sizeof(uint32_t)),
		.read = -1,
	};
	int r;

	print_task(course, record, "Delete", " for good, and none besides");
	r = await_key(course, &look, error);
	if (r != 0)
		return r;
	g_array_append_val(deed.deleted, record);
	r = tool_course_settle(course, &look, &deed, error);
	if (r < 0)
		return r;
	did = deleted_text(course, &deed, record);
	return keep(course, step, task, did, &deed, &look, error);
}

/* Asks for deletions until one can be told from what is in the mailbag. */
static int delete (ToolCourse *course, const ToolStep *step,
                   const ToolTask *task, GError **error)
{
	uint32_t begin = task->number;
	uint32_t end = format_key_learn_span_end(begin);
	uint32_t record;
	int r;

	for (;;) {
		r = need_live(course, step, begin, end, &record, error);
		if (r == 0)
			r = delete_one(course, step, task, record, error);
		if (r != 0 || find_record(course, FORMAT_RECORD_DELETED, begin,
		                          end, &record) == 0)
			return r;
		tool_say("That tells nothing of a record from %u to %u.", begin,
		         end - 1);
	}
}

/* Asks to read a message: where that is noted, if it is, is no bit of deleted
 * records (Q85058). */
static int
read_one(ToolCourse *course, const ToolStep *step, const ToolTask *task,
         GError **error)
{
	g_autofree char *did = NULL;
	g_auto(ToolCourseLook) look = { NULL };
	g_auto(ToolCourseDeed) deed = {
		.deleted = g_array_new(FALSE, FALSE, sizeof(uint32_t)),
	};
	uint32_t record;
	int r;

	r = need_live(course, step, 0, FORMAT_KEY_RECORDS_MAX, &record, error);
	if (r != 0)
		return r;
	print_task(course, record, "Read", ", and do nothing else");
	r = tool_course_await(course, &look, error);
	if (r == 0 && look.changes->len == 0) {
		tool_say("Nothing has changed. Read it now, unless it was: "
		         "that is worth a note, too.");
		r = tool_course_await(course, &look, error);
	}
	if (r == 0)
		r = tool_course_settle(course, &look, &deed, error);
	if (r != 0)
		return r;
	deed.read = (int64_t)record;
	did = g_strdup_printf("record %u of mailbag %s was read", record,
	                      course->mailbag);
	return keep(course, step, task, did, &deed, &look, error);
}

static int
compress(ToolCourse *course, const ToolStep *step, const ToolTask *task,
         GError **error)
{
	g_auto(ToolCourseLook) look = { NULL };
	g_auto(ToolCourseDeed) deed = {
		.deleted = g_array_new(FALSE, FALSE, sizeof(uint32_t)),
		.read = -1,
	};
	int r;

	tool_prompt_say(
		"Stop all mail transfer agents and clients, and run ADMIN, "
		"Local-Admin Storage Compress.");
	r = tool_course_await(course, &look, error);
	if (r == 0 && look.changes->len == 0) {
		tool_say("Nothing has changed. Run it now, unless it did: "
		         "that is worth a note, too.");
		r = tool_course_await(course, &look, error);
	}
	if (r != 0)
		return r;
	return keep(course, step, task, "ADMIN has compressed the mailbags",
	            &deed, &look, error);
}

int
tool_course_mailbag(ToolCourse *course, const ToolStep *step,
                    const ToolTask *task, GError **error)
{
	if (task->kind == TOOL_TASK_DELETE)
		return delete (course, step, task, error);
	if (task->kind == TOOL_TASK_READ)
		return read_one(course, step, task, error);
	if (task->kind == TOOL_TASK_COMPRESS)
		return compress(course, step, task, error);
	return send(course, step, task, error);
}
