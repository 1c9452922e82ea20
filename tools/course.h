/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "tools/lesson.h"
#include "tools/notes.h"
#include "tools/sight.h"
#include "tools/task.h"

/**
 * A course of lessons: the steps of learn, with the administrator at the
 * terminal, who does what is asked with the mail programs. The postoffice is
 * looked at before and after each task; nothing in it is changed here. What the
 * administrator says is not believed where what is seen says otherwise: he is
 * asked.
 */
typedef struct ToolCourse {
	const char *dir;     /* of the store; borrowed, as all texts */
	const char *office;  /* NULL: the only one */
	const char *mailbag; /* NULL: none is watched */
	ToolNotes *notes;    /* borrowed */
	ToolSight *sight;    /* owned; as of the last note */
	ToolLesson lesson;   /* of the mailbag */
	char *client;        /* owned; who was traced last */
} ToolCourse;

/** That a task was skipped. */
#define TOOL_COURSE_SKIPPED 1

/**
 * Takes all tasks of @step that have no note yet, or all of them if each has;
 * NULL: of the usual steps, those that have none.
 *
 * Errors: -ECANCELED if the input ends.
 */
int tool_course_run(ToolCourse *course, const ToolStep *step, GError **error);

void tool_course_clear(ToolCourse *course);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ToolCourse, tool_course_clear)

/* ---- for the kinds of tasks ---------------------------------------------- */

/** What is seen now, and what has changed since the last note. */
typedef struct ToolCourseLook {
	ToolSight *sight;        /* owned */
	GPtrArray *changes;      /* of ToolChange, owned */
	ToolMailbagImage *image; /* of the mailbag; owned, NULL if none is
	                          * watched */
} ToolCourseLook;

void tool_course_look_clear(ToolCourseLook *look);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ToolCourseLook, tool_course_look_clear)

/** Looks; *@look is cleared first. */
int tool_course_look(const ToolCourse *course, ToolCourseLook *look,
                     GError **error);

/**
 * Waits until the administrator is ready, then looks. Returns
 * TOOL_COURSE_SKIPPED if he skips the task.
 */
int tool_course_await(const ToolCourse *course, ToolCourseLook *look,
                      GError **error);

/**
 * Keeps @note of what @look has seen, of which it gets the changes, and takes
 * both.
 */
int tool_course_note(ToolCourse *course, ToolNote *note, ToolCourseLook *look,
                     GError **error);

/** What was done to the records of the mailbag. */
typedef struct ToolCourseDeed {
	GArray *deleted; /* of uint32_t; owned */
	int64_t read;    /* a record; -1: none */
	bool is_unknown; /* nobody knows what was done */
} ToolCourseDeed;

void tool_course_deed_clear(ToolCourseDeed *deed);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ToolCourseDeed, tool_course_deed_clear)

/** Whether @records (of uint32_t) have @record. */
bool tool_course_has_record(const GArray *records, uint32_t record);

/**
 * Asks what was done, where what @look has seen says that it is not @deed: by
 * the owners of messages, and by the layouts that are left. Changes *@deed to
 * what the administrator says then.
 */
int tool_course_settle(const ToolCourse *course, const ToolCourseLook *look,
                       ToolCourseDeed *deed, GError **error);

/** How many files of @changes are new whose paths begin with @folder ("MAI/"). */
unsigned tool_course_count_new(const GPtrArray *changes, const char *folder);

/** The task of each kind. @step is the one of @task. */
int tool_course_mailbag(ToolCourse *course, const ToolStep *step,
                        const ToolTask *task, GError **error);
int tool_course_message(ToolCourse *course, const ToolStep *step,
                        const ToolTask *task, GError **error);
int tool_course_trace(ToolCourse *course, const ToolStep *step,
                      const ToolTask *task, GError **error);
