/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "store/format/mbg.h"
#include "tools/access.h"
#include "tools/lesson.h"
#include "tools/tool.h"

/* Where the steps are taken. */
typedef struct Place {
	const char *dir;     /* of the store; borrowed */
	const char *office;  /* borrowed; NULL: the root */
	const char *mailbag; /* borrowed */
} Place;

/* So many records are needed: more than the first byte of the bitmap has. */
#define RECORDS_WANTED 10

/* ---- the terminal -------------------------------------------------------- */

/* Waits for Enter. */
static int
await_enter(GError **error)
{
	int c;

	(void)printf("Then press Enter: ");
	(void)fflush(stdout);
	do
		c = getchar();
	while (c != '\n' && c != EOF);
	if (c == EOF)
		return tool_fail(error, -ECANCELED,
		                 "the input ended before the lesson did");
	return 0;
}

/* Looks at the mailbag as it is now. */
static int
look(const Place *place, ToolMailbagImage **ret_image, GError **error)
{
	g_autoptr(Store) store = NULL;
	int r;

	r = tool_access_open(place->dir, STORE_READ, &store, error);
	return r < 0 ? r
	             : tool_mailbag_image_read_stored(store, place->office,
	                                              place->mailbag, ret_image,
	                                              error);
}

/* ---- the steps ----------------------------------------------------------- */

/* Asks for @messages messages until they are there. */
static int
ask_deliver(ToolLesson *lesson, const Place *place, uint32_t messages,
            GError **error)
{
	g_autoptr(ToolMailbagImage) image = NULL;
	uint32_t come = 0;
	int r;

	(void)printf("\nSend %u message%s to mailbag %s, and wait until %s "
	             "delivered.\n",
	             messages, messages == 1 ? "" : "s", place->mailbag,
	             messages == 1 ? "it is" : "they are");
	while (come < messages) {
		g_clear_pointer(&image, tool_mailbag_image_free);
		r = await_enter(error);
		if (r == 0)
			r = look(place, &image, error);
		if (r < 0)
			return r;
		come = tool_lesson_count_new(lesson, image);
		if (come < messages)
			tool_say("%u of %u are in mailbag %s so far.", come,
			         messages, place->mailbag);
	}
	return tool_lesson_add(lesson, g_steal_pointer(&image), NULL, error);
}

/* Finds a record known to be live, the first from @begin on. */
static int
find_live(const ToolLesson *lesson, uint32_t begin, uint32_t *ret_record)
{
	uint32_t records = format_mbg_count(lesson->image->mbg->len);

	while (begin < records && lesson->states[begin] != FORMAT_RECORD_LIVE)
		begin++;
	*ret_record = begin;
	return begin < records ? 0 : -ENOENT;
}

/* Prints what to do with the message of @record of the last image. */
static void
print_task(const ToolLesson *lesson, const Place *place, uint32_t record,
           const char *verb, const char *rest)
{
	g_autofree char *subject = NULL;
	FormatMbgRecord header;

	format_mbg_decode(lesson->image->mbg->data +
	                          (size_t)record * FORMAT_MBG_RECORD_SIZE,
	                  &header);
	subject = format_mbg_subject(&header);
	tool_say("\n%s the message \"%s\" (record %u of mailbag %s)%s.", verb,
	         subject, record, place->mailbag, rest);
}

/* Asks to read a message: where that is noted, if it is, is no bit of deleted
 * records (Q85058). */
static int
ask_read(ToolLesson *lesson, const Place *place, GError **error)
{
	ToolMailbagImage *image;
	uint32_t record;
	int r;

	r = find_live(lesson, 0, &record);
	if (r < 0)
		return tool_fail(error, r,
		                 "mailbag %s has no new record: begin with an "
		                 "empty mailbag",
		                 place->mailbag);
	print_task(lesson, place, record, "Read", ", and do nothing else");
	r = await_enter(error);
	if (r == 0)
		r = look(place, &image, error);
	return r < 0 ? r : tool_lesson_add(lesson, image, NULL, error);
}

/* Asks to delete one message whose record is @begin or later, until the KEY
 * has changed. */
static int
ask_delete(ToolLesson *lesson, const Place *place, uint32_t begin,
           GError **error)
{
	g_autoptr(GArray) deleted = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_autoptr(ToolMailbagImage) image = NULL;
	bool is_changed = false;
	uint32_t record;
	int r;

	r = find_live(lesson, begin, &record);
	if (r < 0)
		return tool_fail(error, r,
		                 "mailbag %s has no new record from %u on: "
		                 "begin with an empty mailbag",
		                 place->mailbag, begin);
	print_task(lesson, place, record, "Delete",
	           " for good, and none besides");
	while (!is_changed) {
		g_clear_pointer(&image, tool_mailbag_image_free);
		r = await_enter(error);
		if (r == 0)
			r = look(place, &image, error);
		if (r < 0)
			return r;
		is_changed = memcmp(image->key, lesson->image->key,
		                    FORMAT_KEY_SIZE) != 0;
		if (!is_changed)
			tool_say("%s.KEY has not changed yet.", place->mailbag);
	}
	g_array_append_val(deleted, record);
	return tool_lesson_add(lesson, g_steal_pointer(&image), deleted, error);
}

int
tool_lesson_ask(ToolLesson *lesson, const char *dir, const char *office,
                const char *mailbag, GError **error)
{
	Place place = { dir, office, mailbag };
	ToolMailbagImage *image = NULL;
	uint32_t records;
	int r;

	r = look(&place, &image, error);
	if (r == 0)
		r = tool_lesson_add(lesson, image, NULL, error);
	if (r == 0)
		r = ask_deliver(lesson, &place, 1, error);
	if (r == 0)
		r = ask_deliver(lesson, &place, 3, error);
	if (r == 0)
		r = ask_delete(lesson, &place, 0, error);
	if (r == 0)
		r = ask_read(lesson, &place, error);
	if (r < 0)
		return r;
	/* One message takes the place of the deleted one. */
	records = format_mbg_count(lesson->image->mbg->len);
	r = ask_deliver(lesson, &place,
	                MAX(RECORDS_WANTED, records + 1) - records + 1, error);
	return r < 0 ? r : ask_delete(lesson, &place, 8, error);
}
