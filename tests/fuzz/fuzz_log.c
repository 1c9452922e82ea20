/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/error.h"
#include "store/format/log.h"
#include "tests/fuzz/fuzz.h"

static void
check_time(const FormatLogTime *time)
{
	if (!time->is_known)
		return;
	g_assert(time->hour >= 0 && time->hour < 24);
	g_assert(time->minute >= 0 && time->minute < 60);
	if (!time->has_date)
		return;
	g_assert(time->year >= FORMAT_LOG_YEAR_MIN &&
	         time->year <= FORMAT_LOG_YEAR_MAX);
	g_assert(g_date_valid_dmy((GDateDay)time->day, (GDateMonth)time->month,
	                          (GDateYear)time->year));
}

/* Names are in the text, in upper case, and are found in its order. */
static void
check_names(const FormatLogEntry *entry)
{
	char name[FORMAT_LOG_NAME_SIZE];
	size_t before = 0;
	size_t at = 0;

	while (format_log_name_next(entry->text, entry->size, &at, name)) {
		size_t length = strlen(name);

		g_assert(length > 0 && length < sizeof(name));
		g_assert(at > before && at <= entry->size);
		before = at;
		for (size_t i = 0; i < length; i++)
			g_assert(!g_ascii_islower(name[i]));
	}
	g_assert(at == entry->size);
}

/* An error that is found in a text is there however the text goes on. */
static void
check_error(const FormatLogEntry *entry)
{
	const FormatError *error =
		format_error_in_text(entry->text, entry->size);
	g_autofree char *longer = NULL;

	if (error == NULL)
		return;
	longer = g_strdup_printf("%.*s\n", (int)entry->size, entry->text);
	if (strlen(longer) == entry->size + 1)
		g_assert(format_error_in_text(longer, entry->size + 1) ==
		         error);
}

static void
check_dates(FormatLogEntry *entries, size_t count)
{
	const FormatLogTime end = { .is_known = true,
		                    .has_date = true,
		                    .year = 2026,
		                    .month = 1,
		                    .day = 1 };

	format_log_assume_dates(entries, count, &end);
	for (size_t i = 0; i < count; i++)
		g_assert(!entries[i].time.is_known ||
		         g_date_valid_dmy((GDateDay)entries[i].time.day,
		                          (GDateMonth)entries[i].time.month,
		                          (GDateYear)entries[i].time.year));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GArray) entries =
		g_array_new(FALSE, FALSE, sizeof(FormatLogEntry));
	const char *end = (const char *)data;
	FormatLogEntry entry;
	FormatErrorCode code;
	FormatLog log;

	format_log_init(&log, data, size);
	while (format_log_next(&log, &entry)) {
		g_autofree char *word = g_strndup(entry.text, entry.size);

		g_assert(entry.size > 0 && entry.text >= end);
		end = entry.text + entry.size;
		g_assert(end <= (const char *)data + size);
		check_time(&entry.time);
		check_names(&entry);
		check_error(&entry);
		if (format_error_parse(word, &code))
			(void)format_error_find(code.kind, code.number);
		g_array_append_val(entries, entry);
	}
	check_dates((FormatLogEntry *)(void *)entries->data, entries->len);
	return 0;
}
