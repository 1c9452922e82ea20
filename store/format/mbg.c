/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/mbg.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <glib.h>

#include "store/bytes.h"
#include "store/format/name.h"
#include "store/format/text.h"

#define GET(array, offset) memcpy(array, bytes + (offset), sizeof(array))
#define PUT(array, offset) memcpy(ret_bytes + (offset), array, sizeof(array))

uint32_t
format_mbg_count(uint64_t size)
{
	return (uint32_t)(MIN(size, FORMAT_MBG_SIZE_MAX) /
	                  FORMAT_MBG_RECORD_SIZE);
}

void
format_mbg_decode(const uint8_t *bytes, FormatMbgRecord *ret_record)
{
	GET(ret_record->opaque_00, 0x00);
	GET(ret_record->sender, 0x02);
	GET(ret_record->subject, 0x0D);
	GET(ret_record->opaque_36, 0x36);
	ret_record->minute = bytes_get_u16(bytes + 0x38);
	ret_record->hour = bytes_get_u16(bytes + 0x3A);
	ret_record->day = bytes_get_u16(bytes + 0x3C);
	ret_record->month = bytes_get_u16(bytes + 0x3E);
	ret_record->year = bytes_get_u16(bytes + 0x40);
	GET(ret_record->opaque_42, 0x42);
	GET(ret_record->stem, 0x43);
	GET(ret_record->opaque_4c, 0x4C);
	ret_record->size_guess = bytes_get_u32(bytes + 0x4E);
	GET(ret_record->opaque_52, 0x52);
}

void
format_mbg_encode(const FormatMbgRecord *record, uint8_t *ret_bytes)
{
	PUT(record->opaque_00, 0x00);
	PUT(record->sender, 0x02);
	PUT(record->subject, 0x0D);
	PUT(record->opaque_36, 0x36);
	bytes_put_u16(ret_bytes + 0x38, record->minute);
	bytes_put_u16(ret_bytes + 0x3A, record->hour);
	bytes_put_u16(ret_bytes + 0x3C, record->day);
	bytes_put_u16(ret_bytes + 0x3E, record->month);
	bytes_put_u16(ret_bytes + 0x40, record->year);
	PUT(record->opaque_42, 0x42);
	PUT(record->stem, 0x43);
	PUT(record->opaque_4c, 0x4C);
	bytes_put_u32(ret_bytes + 0x4E, record->size_guess);
	PUT(record->opaque_52, 0x52);
}

bool
format_mbg_is_telling(size_t at)
{
	return (at >= 0x02 && at < 0x36) || (at >= 0x38 && at < 0x42) ||
	       (at >= 0x43 && at < 0x4C);
}

bool
format_mbg_is_same(const uint8_t *a, const uint8_t *b)
{
	size_t at;

	for (at = 0; at < FORMAT_MBG_RECORD_SIZE; at++)
		if (a[at] != b[at] && format_mbg_is_telling(at))
			return false;
	return true;
}

void
format_mbg_make(const char *sender, const char *subject, int64_t time_us,
                const char *stem, FormatMbgRecord *ret_record)
{
	time_t seconds = (time_t)(time_us / G_USEC_PER_SEC);
	struct tm tm = { .tm_mday = 1 };

	localtime_r(&seconds, &tm);
	*ret_record = (FormatMbgRecord){
		.minute = (uint16_t)tm.tm_min,
		.hour = (uint16_t)tm.tm_hour,
		.day = (uint16_t)tm.tm_mday,
		.month = (uint16_t)(tm.tm_mon + 1),
		.year = (uint16_t)(tm.tm_year + 1900),
	};
	format_text_encode(sender, ret_record->sender,
	                   sizeof(ret_record->sender));
	format_text_encode(subject, ret_record->subject,
	                   sizeof(ret_record->subject));
	format_text_encode(stem, ret_record->stem, sizeof(ret_record->stem));
}

char *
format_mbg_sender(const FormatMbgRecord *record)
{
	return format_text_decode(record->sender, sizeof(record->sender));
}

char *
format_mbg_subject(const FormatMbgRecord *record)
{
	return format_text_decode(record->subject, sizeof(record->subject));
}

char *
format_mbg_stem(const FormatMbgRecord *record)
{
	g_autofree char *stem =
		g_strndup((const char *)record->stem, sizeof(record->stem));

	return format_stem_is_number(stem) ? g_steal_pointer(&stem) : NULL;
}

/* Rule 4 of what a record may hold; the years are those of a DOS clock. */
static bool
has_time(const FormatMbgRecord *record)
{
	return record->minute < 60 && record->hour < 24 && record->day >= 1 &&
	       record->day <= 31 && record->month >= 1 && record->month <= 12 &&
	       record->year >= 1980 && record->year <= 2079;
}

int
format_mbg_time(const FormatMbgRecord *record, int64_t *ret_time_us)
{
	struct tm tm = {
		.tm_min = record->minute,
		.tm_hour = record->hour,
		.tm_mday = record->day,
		.tm_mon = record->month - 1,
		.tm_year = record->year - 1900,
		.tm_isdst = -1,
	};

	if (!has_time(record))
		return -EINVAL;
	*ret_time_us = (int64_t)mktime(&tm) * G_USEC_PER_SEC;
	return 0;
}

/* ---- faults --------------------------------------------------------------*/

static const struct {
	FormatMbgFault fault;
	const char *text;
	const char *article;
} rules[] = {
	{ FORMAT_MBG_BAD_STEM, "the name of the MAI is no number", "Q173099" },
	{ FORMAT_MBG_BAD_TIME, "the date or time does not exist", "Q123319" },
	{ FORMAT_MBG_BAD_SENDER, "the sender does not end", "Q108027" },
	{ FORMAT_MBG_BAD_SUBJECT, "the subject does not end", "Q108027" },
	{ FORMAT_MBG_ODD_SUBJECT, "the subject has graphics characters",
	  "Q123319" },
};

unsigned
format_mbg_faults(const FormatMbgRecord *record)
{
	g_autofree char *stem = format_mbg_stem(record);
	const size_t subject_size = sizeof(record->subject);
	unsigned faults = 0;

	if (stem == NULL)
		faults |= FORMAT_MBG_BAD_STEM;
	if (!has_time(record))
		faults |= FORMAT_MBG_BAD_TIME;
	if (!format_text_is_ended(record->sender, sizeof(record->sender)))
		faults |= FORMAT_MBG_BAD_SENDER;
	if (!format_text_is_ended(record->subject, subject_size))
		faults |= FORMAT_MBG_BAD_SUBJECT;
	if (format_text_has_graphics(record->subject, subject_size))
		faults |= FORMAT_MBG_ODD_SUBJECT;
	return faults;
}

const char *
format_mbg_fault_text(unsigned faults)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rules); i++)
		if (faults & rules[i].fault)
			return rules[i].text;
	return "";
}

const char *
format_mbg_fault_article(unsigned faults)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rules); i++)
		if (faults & rules[i].fault)
			return rules[i].article;
	return "";
}
