/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/lesson.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/format/mbg.h"
#include "tools/tool.h"

void
tool_lesson_init(ToolLesson *lesson, bool is_verbose)
{
	*lesson = (ToolLesson){ .is_verbose = is_verbose };
	format_key_learn_init(&lesson->learn);
}

void
tool_lesson_clear(ToolLesson *lesson)
{
	g_clear_pointer(&lesson->image, tool_mailbag_image_free);
}

/* ---- what is printed ----------------------------------------------------- */

/* Prints which bytes of the KEY have changed: where the counters are, nobody
 * has published either. */
static void
print_changes(const uint8_t *before, const uint8_t *after)
{
	size_t i;

	for (i = 0; i < FORMAT_KEY_SIZE; i++)
		if (before[i] != after[i])
			(void)printf("  KEY 0x%03zx: %02x -> %02x\n", i,
			             before[i], after[i]);
}

static void
print_step(const ToolLesson *lesson, const ToolMailbagImage *image,
           uint32_t delivered, const GArray *deleted)
{
	guint i;

	(void)printf("Delivered: %u", delivered);
	for (i = 0; deleted != NULL && i < deleted->len; i++)
		(void)printf("%s%u", i == 0 ? "; deleted: record " : ", ",
		             g_array_index(deleted, uint32_t, i));
	(void)putchar('\n');
	print_changes(lesson->image->key, image->key);
	(void)printf("  Layouts that are left: %u\n",
	             format_key_learn_count(&lesson->learn));
}

/* ---- looking ------------------------------------------------------------- */

static int
mark_deleted(ToolLesson *lesson, uint32_t records, const GArray *deleted,
             GError **error)
{
	guint i;

	for (i = 0; deleted != NULL && i < deleted->len; i++) {
		uint32_t record = g_array_index(deleted, uint32_t, i);

		if (record >= records)
			return tool_fail(error, -EINVAL,
			                 "the mailbag has no record %u",
			                 record);
		lesson->states[record] = FORMAT_RECORD_DELETED;
	}
	return 0;
}

uint32_t
tool_lesson_count_new(const ToolLesson *lesson, const ToolMailbagImage *image)
{
	g_autofree uint8_t *states =
		g_memdup2(lesson->states, sizeof(lesson->states));
	const GByteArray *before = lesson->image->mbg;

	return format_key_learn_delivered(before->data, before->len,
	                                  image->mbg->data, image->mbg->len,
	                                  states);
}

int
tool_lesson_add(ToolLesson *lesson, ToolMailbagImage *image,
                const GArray *deleted, GError **error)
{
	g_autoptr(ToolMailbagImage) taken = image;
	uint32_t records = format_mbg_count(image->mbg->len);
	uint32_t delivered = 0;
	FormatKeySight sight;
	int r;

	if (lesson->image != NULL)
		delivered = format_key_learn_delivered(
			lesson->image->mbg->data, lesson->image->mbg->len,
			image->mbg->data, image->mbg->len, lesson->states);
	r = mark_deleted(lesson, records, deleted, error);
	if (r < 0)
		return r;
	sight = (FormatKeySight){ image->key, lesson->states, records };
	format_key_learn_add(&lesson->learn, &sight);
	if (lesson->is_verbose && lesson->image != NULL)
		print_step(lesson, image, delivered, deleted);
	tool_mailbag_image_free(lesson->image);
	lesson->image = g_steal_pointer(&taken);
	return 0;
}
