/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/format/key_learn.h"
#include "tools/mailbag_image.h"
#include "tools/notes.h"

/** What is known of a mailbag after one thing was done to it. A number that is
 * not known is -1. */
typedef struct ToolLessonPoint {
	unsigned note;
	uint8_t key[FORMAT_KEY_SIZE];
	int32_t records; /* of the MBG */
	int32_t live;    /* that are not deleted */
	int32_t deleted;
	int32_t unread;    /* that are live and were not read */
	int32_t delivered; /* since the first point */
	int32_t fresh;     /* since somebody read or deleted */
	int32_t vacant;    /* the first record that is free */
	int32_t came;      /* the first record that a message came to since the
	                    * last point */
	bool is_freed;     /* records may have been freed before that */
} ToolLessonPoint;

/** What was learnt of a mailbag, image by image. */
typedef struct ToolLesson {
	FormatKeyLearn learn;
	uint8_t states[FORMAT_KEY_RECORDS_MAX]; /* FormatRecordState */
	bool is_read[FORMAT_KEY_RECORDS_MAX];
	ToolMailbagImage *image; /* owned; the last one */
	int32_t delivered;       /* since the first image; -1: not known */
	int32_t fresh;           /* since somebody read or deleted; -1 */
	int32_t came;            /* to which record first; -1: to none */
	GArray *points;          /* of ToolLessonPoint, owned */
	unsigned contradiction;  /* the note from which on no layout fits; 0:
	                          * there is none */
	bool is_verbose;         /* prints each image */
} ToolLesson;

void tool_lesson_init(ToolLesson *lesson, bool is_verbose);
void tool_lesson_clear(ToolLesson *lesson);

/** What was done before an image. */
typedef struct ToolLessonDeed {
	unsigned note;
	const GArray *deleted; /* records (of uint32_t), borrowed; or NULL */
	const uint32_t *read;  /* a record, borrowed; or NULL */
	bool is_unknown;       /* anything may have been done */
} ToolLessonDeed;

/**
 * Looks at @image, before which @deed was done and messages were delivered.
 * Takes @image.
 *
 * Errors: -EINVAL if there is no such record.
 */
int tool_lesson_add(ToolLesson *lesson, ToolMailbagImage *image,
                    const ToolLessonDeed *deed, GError **error);

/** Looks at what @note says of the mailbag that it is about. */
int tool_lesson_add_note(ToolLesson *lesson, const ToolNote *note,
                         GError **error);

/** Looks at all of @notes that are about @mailbag. */
int tool_lesson_add_notes(ToolLesson *lesson, const ToolNotes *notes,
                          const char *mailbag, GError **error);

/** Whether some layout would still fit after that; adds nothing. */
bool tool_lesson_fits(const ToolLesson *lesson, const ToolMailbagImage *image,
                      const ToolLessonDeed *deed);

/** How many messages came between the last image and @image. */
uint32_t tool_lesson_count_new(const ToolLesson *lesson,
                               const ToolMailbagImage *image);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ToolLesson, tool_lesson_clear)
