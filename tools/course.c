/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/course.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/format/mbg.h"
#include "store/format/name.h"
#include "tools/live.h"
#include "tools/prompt.h"
#include "tools/tool.h"

void
tool_course_clear(ToolCourse *course)
{
	g_clear_pointer(&course->sight, tool_sight_free);
	g_clear_pointer(&course->client, g_free);
	tool_lesson_clear(&course->lesson);
}

void
tool_course_look_clear(ToolCourseLook *look)
{
	g_clear_pointer(&look->sight, tool_sight_free);
	g_clear_pointer(&look->changes, g_ptr_array_unref);
	g_clear_pointer(&look->image, tool_mailbag_image_free);
}

/* ---- looking ------------------------------------------------------------- */

static int
append_file(const ToolCourse *course, const ToolSight *sight, const char *kind,
            GByteArray *bytes, GError **error)
{
	g_autofree char *path =
		g_strdup_printf("%s/%s.%s", kind, course->mailbag, kind);
	GBytes *of = tool_sight_bytes(sight, path);
	const uint8_t *data;
	gsize size;

	if (of == NULL)
		return tool_fail(error, -ENOENT,
		                 "cannot read %s in the store: there is none",
		                 path);
	data = g_bytes_get_data(of, &size);
	g_byte_array_append(bytes, data, (guint)size);
	return 0;
}

static int
look_at_mailbag(const ToolCourse *course, ToolCourseLook *look, GError **error)
{
	g_autoptr(GByteArray) key = g_byte_array_new();
	g_autoptr(GByteArray) mbg = g_byte_array_new();
	int r;

	r = append_file(course, look->sight, "KEY", key, error);
	if (r == 0)
		r = append_file(course, look->sight, "MBG", mbg, error);
	return r < 0 ? r
	             : tool_mailbag_image_new(course->mailbag, key, mbg,
	                                      &look->image, error);
}

int
tool_course_look(const ToolCourse *course, ToolCourseLook *look, GError **error)
{
	int r;

	tool_course_look_clear(look);
	r = tool_live_catch_up(course->dir, error);
	if (r < 0)
		return r;
	r = tool_sight_take(course->dir, course->office, course->sight,
	                    &look->sight, error);
	if (r == 0 && course->mailbag != NULL)
		r = look_at_mailbag(course, look, error);
	if (r == 0 && course->sight != NULL)
		look->changes = tool_sight_compare(course->sight, look->sight);
	return r;
}

int
tool_course_await(const ToolCourse *course, ToolCourseLook *look,
                  GError **error)
{
	bool skips = false;
	int r;

	r = tool_prompt_done(&skips, error);
	if (r < 0 || skips)
		return r < 0 ? r : TOOL_COURSE_SKIPPED;
	return tool_course_look(course, look, error);
}

unsigned
tool_course_count_new(const GPtrArray *changes, const char *folder)
{
	unsigned count = 0;
	guint i;

	for (i = 0; i < changes->len; i++) {
		const ToolChange *change = changes->pdata[i];

		count += change->sizes[0] == TOOL_SIGHT_NONE &&
		         g_str_has_prefix(change->path, folder);
	}
	return count;
}

/* ---- notes --------------------------------------------------------------- */

/* Prints what has changed besides the mailbag that is watched. */
static void
print_files(const ToolCourse *course, const ToolNote *note)
{
	guint i;

	for (i = 0; i < note->changes->len; i++) {
		const ToolChange *change = note->changes->pdata[i];

		if (course->mailbag != NULL &&
		    strstr(change->path, course->mailbag) != NULL)
			continue;
		if (change->sizes[1] == TOOL_SIGHT_NONE)
			tool_say("  %s: gone", change->path);
		else
			tool_say("  %s: %s%" G_GINT64_FORMAT " bytes",
			         change->path,
			         change->sizes[0] == TOOL_SIGHT_NONE ? "new, "
			                                             : "",
			         change->sizes[1]);
	}
}

/* Adds the paths of the messages that @image has. */
static void
add_messages(GHashTable *paths, const ToolMailbagImage *image)
{
	uint32_t i;

	for (i = 0; image != NULL && i < format_mbg_count(image->mbg->len);
	     i++) {
		g_autofree char *stem = NULL;
		FormatMbgRecord record;

		format_mbg_decode(image->mbg->data +
		                          (size_t)i * FORMAT_MBG_RECORD_SIZE,
		                  &record);
		stem = format_mbg_stem(&record);
		if (stem != NULL)
			g_hash_table_add(
				paths, format_name_path(FORMAT_NAME_MAI, stem));
	}
}

/* Forgets what is other people's: notes of a mailbag have its files and its
 * messages, notes of a trace have how large files are. */
static void
keep_own(const ToolCourse *course, const ToolNote *note,
         const ToolCourseLook *look)
{
	g_autoptr(GHashTable) own =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	guint i = 0;

	g_hash_table_add(own, g_strdup_printf("KEY/%s.KEY", note->mailbag));
	g_hash_table_add(own, g_strdup_printf("MBG/%s.MBG", note->mailbag));
	add_messages(own, course->lesson.image);
	add_messages(own, look->image);
	while (i < note->changes->len) {
		ToolChange *change = note->changes->pdata[i];

		if (note->trace != NULL) {
			g_clear_pointer(&change->bytes[0], g_bytes_unref);
			g_clear_pointer(&change->bytes[1], g_bytes_unref);
			i++;
		} else if (note->mailbag == NULL ||
		           g_str_has_prefix(change->path, "ATT/") ||
		           g_hash_table_contains(own, change->path)) {
			i++;
		} else {
			g_ptr_array_remove_index(note->changes, i);
		}
	}
}

int
tool_course_note(ToolCourse *course, ToolNote *note, ToolCourseLook *look,
                 GError **error)
{
	unsigned contradiction = course->lesson.contradiction;
	int r;

	if (look->changes != NULL) {
		g_ptr_array_unref(note->changes);
		note->changes = g_steal_pointer(&look->changes);
	}
	keep_own(course, note, look);
	print_files(course, note);
	r = tool_notes_add(course->notes, note, error);
	if (r == 0 && note->mailbag != NULL)
		r = tool_lesson_add_note(&course->lesson, note, error);
	if (r < 0)
		return r;
	tool_sight_free(course->sight);
	course->sight = g_steal_pointer(&look->sight);
	if (course->lesson.contradiction != contradiction)
		tool_say("What was seen now (note %u) contradicts what was "
		         "seen before: no layout that is known fits both.",
		         course->lesson.contradiction);
	return 0;
}

/* The KEY and MBG of the mailbag as if they were new. */
static GPtrArray *
mailbag_as_change(const ToolCourse *course, const ToolSight *sight)
{
	static const char *const kinds[] = { "KEY", "MBG" };
	GPtrArray *changes = g_ptr_array_new_with_free_func(tool_change_free);
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
		ToolChange *change = g_new0(ToolChange, 1);

		change->path = g_strdup_printf("%s/%s.%s", kinds[i],
		                               course->mailbag, kinds[i]);
		change->bytes[1] =
			g_bytes_ref(tool_sight_bytes(sight, change->path));
		change->sizes[0] = TOOL_SIGHT_NONE;
		change->sizes[1] = (int64_t)g_bytes_get_size(change->bytes[1]);
		g_ptr_array_add(changes, change);
	}
	return changes;
}

static bool
is_as_noted(const ToolLesson *lesson, const ToolMailbagImage *image)
{
	const ToolMailbagImage *last = lesson->image;

	return last != NULL &&
	       memcmp(last->key, image->key, FORMAT_KEY_SIZE) == 0 &&
	       last->mbg->len == image->mbg->len &&
	       memcmp(last->mbg->data, image->mbg->data, image->mbg->len) == 0;
}

/* Looks at what is there before the first task; what happened to the mailbag
 * since the last note, nobody knows. */
static int
begin(ToolCourse *course, GError **error)
{
	g_auto(ToolCourseLook) look = { NULL };
	ToolNote *note;
	int r = 0;

	if (course->mailbag != NULL)
		r = tool_lesson_add_notes(&course->lesson, course->notes,
		                          course->mailbag, error);
	if (r == 0)
		r = tool_course_look(course, &look, error);
	if (r < 0)
		return r;
	course->lesson.is_verbose = true;
	if (course->mailbag == NULL ||
	    is_as_noted(&course->lesson, look.image)) {
		course->sight = g_steal_pointer(&look.sight);
		return 0;
	}
	if (course->lesson.image != NULL)
		tool_say("Mailbag %s has changed since the last note: of the "
		         "records that it has now, none is taken for known.",
		         course->mailbag);
	note = tool_note_new(TOOL_TASK_LOOK, TOOL_TASK_LOOK);
	note->mailbag = g_strdup(course->mailbag);
	note->did = g_strdup("nothing: this is how the mailbag was");
	look.changes = mailbag_as_change(course, look.sight);
	return tool_course_note(course, note, &look, error);
}

/* ---- steps --------------------------------------------------------------- */

static bool
is_done(const ToolCourse *course, const ToolStep *step, const ToolTask *task)
{
	return tool_notes_find(course->notes, step->name, task->name,
	                       step->needs_mailbag ? course->mailbag : NULL) !=
	       NULL;
}

static bool
is_all_done(const ToolCourse *course, const ToolStep *step)
{
	const ToolTask *task;

	for (task = step->tasks; task->name != NULL; task++)
		if (!is_done(course, step, task))
			return false;
	return true;
}

static int
run_task(ToolCourse *course, const ToolStep *step, const ToolTask *task,
         GError **error)
{
	switch (task->kind) {
	case TOOL_TASK_SEND:
	case TOOL_TASK_FILL:
	case TOOL_TASK_DELETE:
	case TOOL_TASK_READ:
	case TOOL_TASK_COMPRESS:
		return tool_course_mailbag(course, step, task, error);
	case TOOL_TASK_ONE:
	case TOOL_TASK_ROUTE:
		return tool_course_message(course, step, task, error);
	case TOOL_TASK_TRACE:
	case TOOL_TASK_DENY:
		return tool_course_trace(course, step, task, error);
	}
	g_assert_not_reached();
}

/* Whether nothing more can be learnt of the bitmap with this mailbag. */
static bool
is_hopeless(const ToolCourse *course, const ToolStep *step)
{
	return step->is_usual && course->lesson.contradiction != 0;
}

static int
run_step(ToolCourse *course, const ToolStep *step, bool is_again,
         GError **error)
{
	const ToolTask *task;
	int r = 0;

	tool_prompt_say("%s: %s", step->name, step->summary);
	for (task = step->tasks;
	     r >= 0 && task->name != NULL && !is_hopeless(course, step); task++)
		if (is_again || !is_done(course, step, task))
			r = run_task(course, step, task, error);
	return MIN(r, 0);
}

int
tool_course_run(ToolCourse *course, const ToolStep *step, GError **error)
{
	const ToolStep *usual;
	int r;

	r = begin(course, error);
	if (r == 0 && step != NULL)
		return run_step(course, step, is_all_done(course, step), error);
	for (usual = TOOL_STEPS; r == 0 && usual->name != NULL; usual++)
		if (usual->is_usual && !is_all_done(course, usual) &&
		    !is_hopeless(course, usual))
			r = run_step(course, usual, false, error);
	return r;
}
