/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/lesson.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/format/mbg.h"
#include "tools/task.h"
#include "tools/tool.h"

void
tool_lesson_init(ToolLesson *lesson, bool is_verbose)
{
	*lesson = (ToolLesson){ .is_verbose = is_verbose };
	format_key_learn_init(&lesson->learn);
	lesson->points = g_array_new(FALSE, FALSE, sizeof(ToolLessonPoint));
}

void
tool_lesson_clear(ToolLesson *lesson)
{
	g_clear_pointer(&lesson->image, tool_mailbag_image_free);
	g_clear_pointer(&lesson->points, g_array_unref);
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

/* ---- what is known of records -------------------------------------------- */

static const uint8_t *
record_of(const ToolMailbagImage *image, uint32_t record)
{
	return image->mbg->data + (size_t)record * FORMAT_MBG_RECORD_SIZE;
}

/* Fewer records than before: those that were there are all there is, in their
 * order (ADMIN's Compress, Q146113), or nobody knows. */
static void
follow_compress(ToolLesson *lesson, const ToolMailbagImage *image)
{
	uint32_t old = format_mbg_count(lesson->image->mbg->len);
	uint32_t now = format_mbg_count(image->mbg->len);
	uint32_t to = 0;
	uint32_t from;
	bool is_read[FORMAT_KEY_RECORDS_MAX] = { false };
	bool is_known = true;

	for (from = 0; is_known && from < old; from++) {
		if (lesson->states[from] == FORMAT_RECORD_DELETED)
			continue;
		is_known = lesson->states[from] == FORMAT_RECORD_LIVE &&
		           to < now &&
		           format_mbg_is_same(record_of(lesson->image, from),
		                              record_of(image, to));
		if (is_known)
			is_read[to++] = lesson->is_read[from];
	}
	is_known = is_known && to == now;
	memset(lesson->states,
	       is_known ? FORMAT_RECORD_LIVE : FORMAT_RECORD_UNKNOWN, now);
	memset(lesson->states + now, FORMAT_RECORD_UNKNOWN,
	       FORMAT_KEY_RECORDS_MAX - now);
	memcpy(lesson->is_read, is_read, sizeof(is_read));
}

/* What was delivered since the last image; a record that another message is in
 * is no more the one that was read. */
static uint32_t
follow_delivery(ToolLesson *lesson, const ToolMailbagImage *image)
{
	uint32_t old = format_mbg_count(lesson->image->mbg->len);
	uint32_t now = format_mbg_count(image->mbg->len);
	uint32_t i;

	for (i = now; i-- > 0;)
		if (i >= old || !format_mbg_is_same(record_of(lesson->image, i),
		                                    record_of(image, i))) {
			lesson->is_read[i] = false;
			lesson->came = (int32_t)i;
		}
	return format_key_learn_delivered(
		lesson->image->mbg->data, lesson->image->mbg->len,
		image->mbg->data, image->mbg->len, lesson->states);
}

/* A message that came into the record of a deleted one leaves nothing to see of
 * the deletion, and who was first is not known. */
static int
mark_deleted(ToolLesson *lesson, const ToolMailbagImage *image,
             const GArray *deleted, GError **error)
{
	uint32_t records = format_mbg_count(image->mbg->len);
	uint32_t old = lesson->image != NULL
	                       ? format_mbg_count(lesson->image->mbg->len)
	                       : 0;
	guint i;

	for (i = 0; deleted != NULL && i < deleted->len; i++) {
		uint32_t record = g_array_index(deleted, uint32_t, i);
		bool is_same;

		if (record >= records)
			return tool_fail(error, -EINVAL,
			                 "the mailbag has no record %u",
			                 record);
		is_same = record < old &&
		          format_mbg_is_same(record_of(lesson->image, record),
		                             record_of(image, record));
		lesson->states[record] =
			is_same ? FORMAT_RECORD_DELETED : FORMAT_RECORD_UNKNOWN;
	}
	return 0;
}

/* Counts what was delivered, as far as it is known. */
static void
count_delivered(ToolLesson *lesson, const ToolLessonDeed *deed,
                uint32_t delivered)
{
	bool is_look = (deed->deleted != NULL && deed->deleted->len > 0) ||
	               deed->read != NULL;

	if (lesson->delivered >= 0)
		lesson->delivered += (int32_t)delivered;
	if (lesson->fresh >= 0)
		lesson->fresh += (int32_t)delivered;
	if (is_look)
		lesson->fresh = delivered == 0 ? 0 : -1;
	if (deed->is_unknown)
		lesson->delivered = lesson->fresh = -1;
}

/* Brings what is known of the records up to date. */
static int
follow(ToolLesson *lesson, const ToolMailbagImage *image,
       const ToolLessonDeed *deed, uint32_t *ret_delivered, GError **error)
{
	uint32_t delivered = 0;

	lesson->came = -1;
	if (lesson->image == NULL) {
		*ret_delivered = 0;
		return mark_deleted(lesson, image, deed->deleted, error);
	}
	if (image->mbg->len < lesson->image->mbg->len)
		follow_compress(lesson, image);
	else
		delivered = follow_delivery(lesson, image);
	if (deed->is_unknown)
		memset(lesson->states, FORMAT_RECORD_UNKNOWN,
		       sizeof(lesson->states));
	count_delivered(lesson, deed, delivered);
	if (deed->read != NULL && *deed->read < FORMAT_KEY_RECORDS_MAX)
		lesson->is_read[*deed->read] = true;
	*ret_delivered = delivered;
	return mark_deleted(lesson, image, deed->deleted, error);
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

/* ---- points -------------------------------------------------------------- */

static void
add_point(ToolLesson *lesson, const ToolMailbagImage *image,
          const ToolLessonDeed *deed)
{
	uint32_t records = format_mbg_count(image->mbg->len);
	bool has_deleted = deed->deleted != NULL && deed->deleted->len > 0;
	ToolLessonPoint point = { .note = deed->note,
		                  .is_freed = has_deleted || deed->is_unknown,
		                  .records = (int32_t)records,
		                  .vacant = (int32_t)records,
		                  .delivered = lesson->delivered,
		                  .fresh = lesson->fresh,
		                  .came = lesson->came };
	bool is_known = true;
	uint32_t i;

	memcpy(point.key, image->key, sizeof(point.key));
	for (i = records; i-- > 0;) {
		is_known =
			is_known && lesson->states[i] != FORMAT_RECORD_UNKNOWN;
		if (lesson->states[i] == FORMAT_RECORD_DELETED) {
			point.vacant = (int32_t)i;
			point.deleted++;
			continue;
		}
		point.live++;
		point.unread += !lesson->is_read[i];
	}
	if (!is_known)
		point.live = point.deleted = point.unread = point.vacant = -1;
	g_array_append_val(lesson->points, point);
}

/* ---- looking ------------------------------------------------------------- */

int
tool_lesson_add(ToolLesson *lesson, ToolMailbagImage *image,
                const ToolLessonDeed *deed, GError **error)
{
	g_autoptr(ToolMailbagImage) taken = image;
	unsigned left = format_key_learn_count(&lesson->learn);
	uint32_t delivered;
	FormatKeySight sight;
	int r;

	r = follow(lesson, image, deed, &delivered, error);
	if (r < 0)
		return r;
	sight = (FormatKeySight){ image->key, lesson->states,
		                  format_mbg_count(image->mbg->len) };
	format_key_learn_add(&lesson->learn, &sight);
	if (left > 0 && format_key_learn_count(&lesson->learn) == 0)
		lesson->contradiction = deed->note;
	add_point(lesson, image, deed);
	if (lesson->is_verbose && lesson->image != NULL)
		print_step(lesson, image, delivered, deed->deleted);
	tool_mailbag_image_free(lesson->image);
	lesson->image = g_steal_pointer(&taken);
	return 0;
}

bool
tool_lesson_fits(const ToolLesson *lesson, const ToolMailbagImage *image,
                 const ToolLessonDeed *deed)
{
	g_autofree ToolLesson *copy = g_memdup2(lesson, sizeof(*lesson));
	FormatKeySight sight;
	uint32_t delivered;

	if (follow(copy, image, deed, &delivered, NULL) < 0)
		return false;
	sight = (FormatKeySight){ image->key, copy->states,
		                  format_mbg_count(image->mbg->len) };
	format_key_learn_add(&copy->learn, &sight);
	return format_key_learn_count(&copy->learn) > 0;
}

/* ---- notes --------------------------------------------------------------- */

/* The KEY or MBG (@kind) after @note; as it was before if that says nothing. */
static int
note_bytes(const ToolNote *note, const char *kind, const uint8_t *old,
           size_t old_size, GByteArray *bytes)
{
	g_autofree char *path =
		g_strdup_printf("%s/%s.%s", kind, note->mailbag, kind);
	const ToolChange *change = tool_change_find(note->changes, path);
	const uint8_t *data;
	gsize size;

	if (change == NULL) {
		g_byte_array_append(bytes, old, (guint)old_size);
		return 0;
	}
	if (change->bytes[1] == NULL)
		return -ENOENT;
	data = g_bytes_get_data(change->bytes[1], &size);
	g_byte_array_append(bytes, data, (guint)size);
	return 0;
}

int
tool_lesson_add_note(ToolLesson *lesson, const ToolNote *note, GError **error)
{
	const ToolMailbagImage *old = lesson->image;
	g_autoptr(GByteArray) key = g_byte_array_new();
	g_autoptr(GByteArray) mbg = g_byte_array_new();
	bool is_begin = strcmp(note->task, TOOL_TASK_LOOK) == 0;
	bool is_read = strcmp(note->task, TOOL_TASK_READING) == 0 &&
	               note->said != NULL;
	uint32_t read =
		is_read ? (uint32_t)g_ascii_strtoull(note->said, NULL, 10) : 0;
	ToolLessonDeed deed = { note->number, note->deleted,
		                is_read ? &read : NULL,
		                is_begin && old != NULL };
	ToolMailbagImage *image;
	int r;

	if (old == NULL && !is_begin)
		return 0;
	r = note_bytes(note, "KEY", old != NULL ? old->key : NULL,
	               old != NULL ? FORMAT_KEY_SIZE : 0, key);
	if (r == 0)
		r = note_bytes(note, "MBG", old != NULL ? old->mbg->data : NULL,
		               old != NULL ? old->mbg->len : 0, mbg);
	if (r < 0)
		return tool_fail(error, -EINVAL,
		                 "note %u does not say how mailbag %s was",
		                 note->number, note->mailbag);
	r = tool_mailbag_image_new(note->mailbag, key, mbg, &image, error);
	return r < 0 ? r : tool_lesson_add(lesson, image, &deed, error);
}

int
tool_lesson_add_notes(ToolLesson *lesson, const ToolNotes *notes,
                      const char *mailbag, GError **error)
{
	unsigned i;
	int r = 0;

	for (i = 0; r == 0 && i < tool_notes_count(notes); i++) {
		const ToolNote *note = tool_notes_get(notes, i);

		if (g_strcmp0(note->mailbag, mailbag) == 0)
			r = tool_lesson_add_note(lesson, note, error);
	}
	return r;
}
