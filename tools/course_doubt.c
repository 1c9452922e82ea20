/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether what is seen of a mailbag is what the administrator was asked to do. */

#include <string.h>

#include "store/format/mai.h"
#include "store/format/mbg.h"
#include "store/format/name.h"
#include "tools/course.h"
#include "tools/prompt.h"
#include "tools/tool.h"

void
tool_course_deed_clear(ToolCourseDeed *deed)
{
	g_clear_pointer(&deed->deleted, g_array_unref);
}

bool
tool_course_has_record(const GArray *records, uint32_t record)
{
	guint i;

	for (i = 0; i < records->len; i++)
		if (g_array_index(records, uint32_t, i) == record)
			return true;
	return false;
}

static uint32_t
count_records(const ToolCourse *course)
{
	return format_mbg_count(course->lesson.image->mbg->len);
}

/* ---- witnesses ----------------------------------------------------------- */

/* What became of the MAI of record @record: whoever deletes a message takes an
 * owner from it, and the last one erases it (Q104423). */
typedef enum Witness {
	WITNESS_NONE,    /* there is no such file, or it was not looked at */
	WITNESS_KEPT,    /* as it was */
	WITNESS_DELETED, /* gone, or has fewer owners */
} Witness;

static int
owners_of(GBytes *bytes, uint16_t *ret_owners)
{
	const uint8_t *data;
	gsize size;

	if (bytes == NULL)
		return -ENODATA;
	data = g_bytes_get_data(bytes, &size);
	return format_mai_owners(data, size, ret_owners);
}

static Witness
ask_witness(const ToolCourse *course, const ToolCourseLook *look,
            uint32_t record)
{
	FormatMbgRecord header;
	g_autofree char *stem = NULL;
	g_autofree char *path = NULL;
	const ToolChange *change;
	uint16_t owners[2];

	format_mbg_decode(course->lesson.image->mbg->data +
	                          (size_t)record * FORMAT_MBG_RECORD_SIZE,
	                  &header);
	stem = format_mbg_stem(&header);
	if (stem == NULL)
		return WITNESS_NONE;
	path = format_name_path(FORMAT_NAME_MAI, stem);
	change = tool_change_find(look->changes, path);
	if (change == NULL)
		return tool_sight_bytes(course->sight, path) != NULL
		               ? WITNESS_KEPT
		               : WITNESS_NONE;
	if (change->sizes[1] == TOOL_SIGHT_NONE)
		return WITNESS_DELETED;
	if (owners_of(change->bytes[0], &owners[0]) < 0 ||
	    owners_of(change->bytes[1], &owners[1]) < 0)
		return WITNESS_NONE;
	return owners[1] < owners[0] ? WITNESS_DELETED : WITNESS_KEPT;
}

/* ---- doubts -------------------------------------------------------------- */

/* Whether the layouts that are left allow that. */
static bool
fits(const ToolCourse *course, const ToolCourseLook *look,
     const GArray *deleted)
{
	ToolLessonDeed deed = { .deleted = deleted };

	return tool_lesson_fits(&course->lesson, look->image, &deed);
}

/* What would explain what was seen: each live record alone, or none. */
static void
print_explanations(const ToolCourse *course, const ToolCourseLook *look)
{
	uint32_t records = count_records(course);
	g_autoptr(GArray) one = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	uint32_t i;

	if (fits(course, look, one))
		tool_say("  It would fit if no message was deleted.");
	for (i = 0; i < records; i++) {
		g_array_set_size(one, 0);
		g_array_append_val(one, i);
		if (course->lesson.states[i] == FORMAT_RECORD_LIVE &&
		    fits(course, look, one))
			tool_say("  It would fit if record %u was deleted.", i);
	}
}

/* Says why @deed is in doubt. Returns whether it is. */
static bool
doubt(const ToolCourse *course, const ToolCourseLook *look,
      const ToolCourseDeed *deed)
{
	uint32_t records = count_records(course);
	bool doubts = false;
	uint32_t i;

	for (i = 0; i < records; i++) {
		bool is_deleted = tool_course_has_record(deed->deleted, i);
		Witness witness = ask_witness(course, look, i);

		if (course->lesson.states[i] != FORMAT_RECORD_LIVE)
			continue;
		if (witness == WITNESS_KEPT && is_deleted)
			tool_say("The message of record %u has as many owners "
			         "as before: it seems not to be deleted.",
			         i);
		else if (witness == WITNESS_DELETED && !is_deleted)
			tool_say("The message of record %u has lost an owner: "
			         "it seems to be deleted.",
			         i);
		else
			continue;
		doubts = true;
	}
	/* Where nothing fitted before, nothing more can be said. */
	if (format_key_learn_count(&course->lesson.learn) > 0 &&
	    !fits(course, look, deed->deleted)) {
		tool_say("What is in the KEY now does not fit that.");
		print_explanations(course, look);
		doubts = true;
	}
	return doubts;
}

static int
parse_records(const char *line, uint32_t records, GArray *deleted)
{
	g_auto(GStrv) words = g_strsplit_set(line, ", ", -1);
	size_t i;

	g_array_set_size(deleted, 0);
	for (i = 0; words[i] != NULL; i++) {
		guint64 number;
		uint32_t record;

		if (words[i][0] == '\0')
			continue;
		if (!g_ascii_string_to_unsigned(words[i], 10, 0, G_MAXUINT32,
		                                &number, NULL) ||
		    number >= records)
			return -EINVAL;
		record = (uint32_t)number;
		g_array_append_val(deleted, record);
	}
	return 0;
}

int
tool_course_settle(const ToolCourse *course, const ToolCourseLook *look,
                   ToolCourseDeed *deed, GError **error)
{
	uint32_t records = count_records(course);
	g_autofree char *line = NULL;
	int r;

	if (!doubt(course, look, deed))
		return 0;
	for (;;) {
		g_clear_pointer(&line, g_free);
		r = tool_prompt_line("Which records were deleted? Type their "
		                     "numbers, \"none\", \"?\" if nobody "
		                     "knows, or press Enter if it was as "
		                     "asked: ",
		                     &line, error);
		if (r < 0 || line[0] == '\0')
			return r;
		deed->is_unknown = strcmp(line, "?") == 0;
		if (deed->is_unknown || strcmp(line, "none") == 0) {
			g_array_set_size(deed->deleted, 0);
			return 0;
		}
		if (parse_records(line, records, deed->deleted) == 0)
			return 0;
		tool_say("Mailbag %s has records 0 to %u.", course->mailbag,
		         records - 1);
	}
}
