/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/key.h"

#include <errno.h>
#include <string.h>

#include <glib.h>

const FormatKeyLayout FORMAT_KEY_LAYOUT_ASSUMED = {
	.offset = FORMAT_KEY_SIZE - FORMAT_KEY_BITMAP_SIZE,
	.first_bit_is_lsb = true,
	.one_is_deleted = true,
	.word = 1,
};

static size_t
byte_of(const FormatKeyLayout *layout, uint32_t record)
{
	g_assert(layout->offset <= FORMAT_KEY_SIZE - FORMAT_KEY_BITMAP_SIZE);
	g_assert(record < FORMAT_KEY_RECORDS_MAX);
	return layout->offset + (record / 8 ^ (MAX(layout->word, 1) - 1));
}

static uint8_t
mask_of(const FormatKeyLayout *layout, uint32_t record)
{
	return (uint8_t)(layout->first_bit_is_lsb ? 1U << record % 8
	                                          : 0x80U >> record % 8);
}

bool
format_key_is_deleted(const uint8_t *key, const FormatKeyLayout *layout,
                      uint32_t record)
{
	bool is_one = key[byte_of(layout, record)] & mask_of(layout, record);

	return is_one == layout->one_is_deleted;
}

void
format_key_set_deleted(uint8_t *key, const FormatKeyLayout *layout,
                       uint32_t record, bool is_deleted)
{
	uint8_t *byte = &key[byte_of(layout, record)];
	uint8_t mask = mask_of(layout, record);

	if (is_deleted == layout->one_is_deleted)
		*byte |= mask;
	else
		*byte &= (uint8_t)~mask;
}

uint32_t
format_key_count_live(const uint8_t *key, const FormatKeyLayout *layout,
                      uint32_t records)
{
	uint32_t live = 0;

	records = MIN(records, FORMAT_KEY_RECORDS_MAX);
	for (uint32_t i = 0; i < records; i++)
		live += !format_key_is_deleted(key, layout, i);
	return live;
}

uint32_t
format_key_find_vacant(const uint8_t *key, const FormatKeyLayout *layout,
                       uint32_t records)
{
	records = MIN(records, FORMAT_KEY_RECORDS_MAX);
	for (uint32_t i = 0; i < records; i++)
		if (format_key_is_deleted(key, layout, i))
			return i;
	return records;
}

bool
format_key_is_zero(const uint8_t *key)
{
	return key[0] == 0 && memcmp(key, key + 1, FORMAT_KEY_SIZE - 1) == 0;
}

/* ---- the layout in words -------------------------------------------------*/

static int
read_offset(const char *value, uint32_t *ret_offset)
{
	bool is_hex = g_ascii_strncasecmp(value, "0x", 2) == 0;
	guint64 offset;

	if (!g_ascii_string_to_unsigned(
		    is_hex ? value + 2 : value, is_hex ? 16 : 10, 0,
		    FORMAT_KEY_SIZE - FORMAT_KEY_BITMAP_SIZE, &offset, NULL))
		return -EINVAL;
	*ret_offset = (uint32_t)offset;
	return 0;
}

/* One of two words. */
static int
read_choice(const char *value, const char *no, const char *yes, bool *ret_is)
{
	if (strcmp(value, no) != 0 && strcmp(value, yes) != 0)
		return -EINVAL;
	*ret_is = strcmp(value, yes) == 0;
	return 0;
}

/* A power of two, so that a bitmap has whole words. */
static int
read_word(const char *value, uint32_t *ret_word)
{
	if (strcmp(value, "1") != 0 && strcmp(value, "2") != 0 &&
	    strcmp(value, "4") != 0)
		return -EINVAL;
	*ret_word = (uint32_t)(value[0] - '0');
	return 0;
}

int
format_key_layout_set(FormatKeyLayout *layout, const char *property,
                      const char *value)
{
	if (strcmp(property, "offset") == 0)
		return read_offset(value, &layout->offset);
	if (strcmp(property, "order") == 0)
		return read_choice(value, "msb", "lsb",
		                   &layout->first_bit_is_lsb);
	if (strcmp(property, "deleted") == 0)
		return read_choice(value, "0", "1", &layout->one_is_deleted);
	if (strcmp(property, "word") == 0)
		return read_word(value, &layout->word);
	if (strcmp(property, "confirmed") == 0)
		return read_choice(value, "no", "yes", &layout->is_confirmed);
	return -ENOENT;
}

int
format_key_layout_parse(const char *text, FormatKeyLayout *ret_layout)
{
	g_auto(GStrv) words = g_strsplit_set(text, " \t", -1);
	FormatKeyLayout layout = FORMAT_KEY_LAYOUT_ASSUMED;
	char *equals;
	int r = 0;

	for (char **word = words; *word != NULL && r == 0; word++) {
		if (**word == '\0')
			continue;
		equals = strchr(*word, '=');
		if (equals == NULL)
			return -EINVAL;
		*equals = '\0';
		r = format_key_layout_set(&layout, *word, equals + 1);
	}
	if (r == 0)
		*ret_layout = layout;
	return r;
}

char *
format_key_layout_print(const FormatKeyLayout *layout)
{
	g_autofree char *word =
		layout->word > 1 ? g_strdup_printf(" word=%u", layout->word)
				 : g_strdup("");

	return g_strdup_printf("offset=%u order=%s deleted=%c%s confirmed=%s",
	                       layout->offset,
	                       layout->first_bit_is_lsb ? "lsb" : "msb",
	                       layout->one_is_deleted ? '1' : '0', word,
	                       layout->is_confirmed ? "yes" : "no");
}
