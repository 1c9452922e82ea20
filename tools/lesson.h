/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/format/key_learn.h"
#include "tools/mailbag_image.h"

/** What was learnt of a mailbag, image by image. */
typedef struct ToolLesson {
	FormatKeyLearn learn;
	uint8_t states[FORMAT_KEY_RECORDS_MAX]; /* FormatRecordState */
	ToolMailbagImage *image;                /* owned; the last one */
	bool is_verbose;                        /* prints each step */
} ToolLesson;

void tool_lesson_init(ToolLesson *lesson, bool is_verbose);
void tool_lesson_clear(ToolLesson *lesson);

/**
 * Looks at @image, before which messages were delivered and the records
 * @deleted (of uint32_t; NULL: none) deleted. Takes @image.
 *
 * Errors: -EINVAL if there is no such record.
 */
int tool_lesson_add(ToolLesson *lesson, ToolMailbagImage *image,
                    const GArray *deleted, GError **error);

/** How many messages came between the last image and @image. */
uint32_t tool_lesson_count_new(const ToolLesson *lesson,
                               const ToolMailbagImage *image);

/**
 * Prompts on the terminal for the steps of the experiment, with @mailbag of
 * the postoffice in folder @office of the store @dir, and looks after each.
 *
 * Errors: -ECANCELED if the input ends.
 */
int tool_lesson_ask(ToolLesson *lesson, const char *dir, const char *office,
                    const char *mailbag, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ToolLesson, tool_lesson_clear)
