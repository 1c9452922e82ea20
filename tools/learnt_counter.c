/* SPDX-License-Identifier: BSD-2-Clause */
#include <stddef.h>
#include <string.h>

#include "tools/learnt.h"

/*
 * How counters are found
 *
 * - A KEY has a count of new and one of unread messages (Q77926); where, how wide
 *   and in which order of bytes is not public, and what "pointers" (Q85058)
 *   count is not either.
 * - So each field of 1, 2 or 4 bytes, in either order, is compared with each
 *   quantity that is known of the mailbag, at each time that it is known.
 * - A field fits only if the quantity was seen to change, and to fit, often
 *   enough that it is no chance. What fits alike is told together: nothing is
 *   chosen.
 */

/* Times that a quantity must be known, and values that it must have had. */
#define TIMES_MIN  4
#define VALUES_MIN 3

/* What a byte can count. */
#define BYTE_MAX 255

/* A quantity. */
typedef struct Quantity {
	size_t offset;    /* in ToolLessonPoint, an int32_t */
	bool is_relative; /* what it began with is not known */
	const char *name;
} Quantity;

static const Quantity QUANTITIES[] = {
	{ offsetof(ToolLessonPoint, live), false, "messages" },
	{ offsetof(ToolLessonPoint, unread), false, "unread messages" },
	{ offsetof(ToolLessonPoint, fresh), false,
	  "messages since the owner last read or deleted one" },
	{ offsetof(ToolLessonPoint, records), false, "records of the MBG" },
	{ offsetof(ToolLessonPoint, deleted), false, "vacant records" },
	{ offsetof(ToolLessonPoint, vacant), false,
	  "number of the first vacant record" },
	{ offsetof(ToolLessonPoint, delivered), true,
	  "messages ever delivered" },
};

/* A way to read bytes. */
typedef struct Field {
	unsigned offset;
	unsigned width;
	bool is_big;
} Field;

/* The KEY's byte that has the least significant 8 bits of @field. */
static unsigned
low_byte(const Field *field)
{
	return field->is_big ? field->offset + field->width - 1 : field->offset;
}

static uint32_t
field_read(const Field *field, const uint8_t *key)
{
	uint32_t value = 0;
	unsigned i;

	for (i = 0; i < field->width; i++) {
		unsigned at = field->is_big ? i : field->width - 1 - i;

		value = value << 8 | key[field->offset + at];
	}
	return value;
}

static int32_t
quantity_of(const Quantity *quantity, const ToolLessonPoint *point)
{
	int32_t value;

	memcpy(&value, (const char *)point + quantity->offset, sizeof(value));
	return value;
}

/* ---- one quantity -------------------------------------------------------- */

/* Whether @quantity was known and has changed often enough; what it was at
 * most. */
static bool
is_known(const Quantity *quantity, const GArray *points, int32_t *ret_max)
{
	g_autoptr(GHashTable) values =
		g_hash_table_new(g_direct_hash, g_direct_equal);
	unsigned times = 0;
	guint i;

	*ret_max = 0;
	for (i = 0; i < points->len; i++) {
		int32_t value = quantity_of(
			quantity, &g_array_index(points, ToolLessonPoint, i));

		if (value < 0)
			continue;
		times++;
		g_hash_table_add(values, GINT_TO_POINTER(value));
		*ret_max = MAX(*ret_max, value);
	}
	return times >= TIMES_MIN && g_hash_table_size(values) >= VALUES_MIN;
}

static bool
is_fit(const Field *field, const Quantity *quantity, const GArray *points)
{
	uint32_t mask =
		field->width == 4 ? UINT32_MAX : (1U << 8 * field->width) - 1;
	uint32_t base = 0;
	bool has_base = !quantity->is_relative;
	guint i;

	for (i = 0; i < points->len; i++) {
		const ToolLessonPoint *point =
			&g_array_index(points, ToolLessonPoint, i);
		int32_t value = quantity_of(quantity, point);
		uint32_t is;

		if (value < 0)
			continue;
		is = field_read(field, point->key);
		if (!has_base)
			base = is - (uint32_t)value;
		has_base = true;
		if (((is - base - (uint32_t)value) & mask) != 0)
			return false;
	}
	return true;
}

/* Whether @field is in what is known to be the bitmap. */
static bool
is_bitmap(const Field *field, const FormatKeyLearn *learn)
{
	FormatKeyLayout layout;
	size_t at = 0;

	return format_key_learn_is_settled(learn) &&
	       format_key_learn_next(learn, &at, &layout) &&
	       field->offset + field->width > layout.offset &&
	       field->offset < layout.offset + FORMAT_KEY_BITMAP_SIZE;
}

/* ---- all ----------------------------------------------------------------- */

/* What fits at one byte of the KEY. */
typedef struct Place {
	GString *fields; /* owned; NULL: nothing fits */
	GString *names;  /* owned */
	unsigned count;  /* of quantities */
	unsigned ways;   /* to read one of them */
	bool is_wide;    /* beyond what a byte can count */
} Place;

static void
place_clear(Place *place)
{
	if (place->fields == NULL)
		return;
	(void)g_string_free(place->fields, TRUE);
	(void)g_string_free(place->names, TRUE);
}

static void
append(GString *list, const char *text)
{
	g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", text);
}

/* Adds that @field fits @quantity. */
static void
add_fit(Place *place, const Field *field, const Quantity *quantity)
{
	g_autofree char *text =
		g_strdup_printf("%u byte%s at 0x%03x%s", field->width,
	                        field->width == 1 ? "" : "s", field->offset,
	                        field->width == 1 ? ""
	                        : field->is_big   ? ", highest first"
	                                          : ", lowest first");

	if (place->fields == NULL) {
		place->fields = g_string_new(NULL);
		place->names = g_string_new(NULL);
	}
	if (strstr(place->names->str, quantity->name) == NULL) {
		append(place->names, quantity->name);
		place->count++;
	}
	if (strstr(place->fields->str, text) != NULL)
		return;
	if (place->fields->len > 0)
		g_string_append(place->fields, "; ");
	g_string_append(place->fields, text);
	place->ways++;
}

/* Whether @field and what @lesson knows of @quantity are alike. */
static bool
is_alike(const Field *field, const ToolLesson *lesson, const Quantity *quantity)
{
	return field->offset + field->width <= FORMAT_KEY_SIZE &&
	       !is_bitmap(field, &lesson->learn) &&
	       is_fit(field, quantity, lesson->points);
}

/* Adds the fields that fit @quantity, to the place of their lowest byte. What is
 * beyond a byte is counted by one by chance of its low 8 bits only: such a field
 * is told where no wider one fits. */
static void
find_fields(Place places[FORMAT_KEY_SIZE], const ToolLesson *lesson,
            const Quantity *quantity)
{
	/* Wider ones first, which a byte is told after. */
	static const Field ways[] = {
		{ .width = 4, .is_big = false }, { .width = 4, .is_big = true },
		{ .width = 2, .is_big = false }, { .width = 2, .is_big = true },
		{ .width = 1, .is_big = false },
	};
	bool has_wider[FORMAT_KEY_SIZE] = { false };
	unsigned offset;
	int32_t max;
	size_t i;

	if (!is_known(quantity, lesson->points, &max))
		return;
	for (i = 0; i < G_N_ELEMENTS(ways); i++) {
		for (offset = 0; offset < FORMAT_KEY_SIZE; offset++) {
			Field field = ways[i];
			unsigned low;

			field.offset = offset;
			low = low_byte(&field);
			if (!is_alike(&field, lesson, quantity) ||
			    (field.width == 1 && max > BYTE_MAX &&
			     has_wider[low]))
				continue;
			has_wider[low] = true;
			places[low].is_wide = max > BYTE_MAX;
			add_fit(&places[low], &field, quantity);
		}
	}
}

void
tool_learnt_counters(GPtrArray *learnt, const ToolLesson *lesson,
                     const char *mailbag)
{
	g_autofree Place *places = g_new0(Place, FORMAT_KEY_SIZE);
	const ToolLessonPoint *points = (void *)lesson->points->data;
	unsigned i;

	for (i = 0; i < G_N_ELEMENTS(QUANTITIES); i++)
		find_fields(places, lesson, &QUANTITIES[i]);
	for (i = 0; i < FORMAT_KEY_SIZE; i++) {
		Place *place = &places[i];
		g_autofree char *about = g_strdup_printf("KEY 0x%03x", i);

		if (place->fields == NULL)
			continue;
		tool_learnt_add(
			learnt, place->count > 1 ? TOOL_OPEN : TOOL_FITS, about,
			g_strdup_printf("%u to %u", points[0].note,
		                        points[lesson->points->len - 1].note),
			"counts, in mailbag %s, %s%s, as %s%s", mailbag,
			place->count > 1 ? "one of: " : "", place->names->str,
			place->fields->str,
			place->ways > 1 && !place->is_wide
				? "; which, step wide tells"
				: "");
		place_clear(place);
	}
}
