/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/log.h"

#include <string.h>

#include <glib.h>

/* An entry of SYSTEM.LOG ends at a line of at least so many dashes. */
#define RULE_LENGTH 20

#define SYSTEM_HEAD "System log entry on:"

/* Some bytes of the log. */
typedef struct Span {
	const char *at;
	const char *end;
} Span;

/* ---- lines --------------------------------------------------------------- */

/* Spaces, the rests of a line's end, and what DOS ends a file with. */
static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0x1a;
}

static Span
span_strip(Span span)
{
	while (span.at < span.end && is_blank(*span.at))
		span.at++;
	while (span.at < span.end && is_blank(span.end[-1]))
		span.end--;
	return span;
}

/* The line that begins where @log is, without its end. */
static Span
log_line(const FormatLog *log)
{
	const char *end = memchr(log->at, '\n', (size_t)(log->end - log->at));

	return (Span){ log->at, end != NULL ? end : log->end };
}

static void
log_pass(FormatLog *log, Span line)
{
	log->at = line.end < log->end ? line.end + 1 : line.end;
	log->line++;
}

/* ---- times --------------------------------------------------------------- */

static bool
take_char(Span *span, char c)
{
	if (span->at == span->end || *span->at != c)
		return false;
	span->at++;
	return true;
}

/* Takes a number of @min to @max digits. */
static bool
take_number(Span *span, int min, int max, int *ret_number)
{
	int number = 0;
	int digits = 0;

	while (span->at < span->end && g_ascii_isdigit(*span->at)) {
		if (++digits > max)
			return false;
		number = number * 10 + g_ascii_digit_value(*span->at++);
	}
	*ret_number = number;
	return digits >= min;
}

/* Two digits are a year of 1980 to 2079; programs that count on from 1900
 * write three of them, or all four. */
static bool
year_of(int number, int *ret_year)
{
	int year = number;

	if (number < FORMAT_LOG_YEAR_MIN - 1900)
		year += 2000;
	else if (number < FORMAT_LOG_YEAR_MIN)
		year += 1900;
	*ret_year = year;
	return year >= FORMAT_LOG_YEAR_MIN && year <= FORMAT_LOG_YEAR_MAX;
}

/* "05-14-93" */
static bool
take_date(Span *span, FormatLogTime *time)
{
	int number;

	if (!take_number(span, 1, 2, &time->month) || !take_char(span, '-') ||
	    !take_number(span, 1, 2, &time->day) || !take_char(span, '-') ||
	    !take_number(span, 2, 4, &number) || !year_of(number, &time->year))
		return false;
	time->has_date = true;
	return g_date_valid_dmy((GDateDay)time->day, (GDateMonth)time->month,
	                        (GDateYear)time->year);
}

/* "11:32", perhaps with seconds */
static bool
take_clock(Span *span, FormatLogTime *time)
{
	int seconds;

	if (!take_number(span, 1, 2, &time->hour) || !take_char(span, ':') ||
	    !take_number(span, 2, 2, &time->minute))
		return false;
	if (take_char(span, ':') && !take_number(span, 2, 2, &seconds))
		return false;
	time->is_known = true;
	return time->hour < 24 && time->minute < 60;
}

/* Takes "05-14-93 11:32". */
static bool
take_stamp(Span *line, FormatLogTime *ret_time)
{
	FormatLogTime time = { .is_known = false };
	Span span = span_strip(*line);

	if (!take_date(&span, &time) || !take_char(&span, ' '))
		return false;
	span = span_strip(span);
	if (!take_clock(&span, &time))
		return false;
	*ret_time = time;
	*line = span;
	return true;
}

/* Takes "[11:32] - ". */
static bool
take_short_stamp(Span *line, FormatLogTime *ret_time)
{
	FormatLogTime time = { .is_known = false };
	Span span = span_strip(*line);

	if (!take_char(&span, '[') || !take_clock(&span, &time) ||
	    !take_char(&span, ']'))
		return false;
	span = span_strip(span);
	(void)take_char(&span, '-');
	*ret_time = time;
	*line = span;
	return true;
}

/* ---- entries ------------------------------------------------------------- */

static bool
is_system_head(Span line)
{
	line = span_strip(line);
	return (size_t)(line.end - line.at) >= strlen(SYSTEM_HEAD) &&
	       g_ascii_strncasecmp(line.at, SYSTEM_HEAD, strlen(SYSTEM_HEAD)) ==
	               0;
}

static bool
is_rule(Span line)
{
	line = span_strip(line);
	if (line.end - line.at < RULE_LENGTH)
		return false;
	while (take_char(&line, '-'))
		;
	return line.at == line.end;
}

/* Whether another entry begins with @line. */
static bool
is_start(Span line)
{
	FormatLogTime time;

	return is_system_head(line) || take_stamp(&line, &time) ||
	       take_short_stamp(&line, &time);
}

/* Passes the lines of an entry of SYSTEM.LOG after its first. */
static Span
system_text(FormatLog *log)
{
	Span text = { log->at, log->at };

	while (log->at < log->end) {
		Span line = log_line(log);

		if (is_start(line))
			break;
		log_pass(log, line);
		if (is_rule(line))
			break;
		text.end = line.end;
	}
	return text;
}

/* Reads what begins with the next line. */
static Span
entry_text(FormatLog *log, bool *ret_is_system)
{
	Span line = log_line(log);
	Span text = line;

	log_pass(log, line);
	*ret_is_system = is_system_head(line);
	if (*ret_is_system) {
		text = span_strip(line);
		text.at += strlen(SYSTEM_HEAD);
		log->time = (FormatLogTime){ .is_known = false };
		(void)take_stamp(&text, &log->time);
		return system_text(log);
	}
	if (!take_stamp(&text, &log->time))
		(void)take_short_stamp(&text, &log->time);
	return text;
}

void
format_log_init(FormatLog *log, const void *data, size_t size)
{
	*log = (FormatLog){
		.at = data,
		.end = size > 0 ? (const char *)data + size : data,
		.line = 1,
	};
}

bool
format_log_next(FormatLog *log, FormatLogEntry *ret_entry)
{
	while (log->at < log->end) {
		size_t line = log->line;
		bool is_system;
		Span text = span_strip(entry_text(log, &is_system));

		if (text.at == text.end || is_rule(text))
			continue;
		*ret_entry = (FormatLogEntry){
			.time = log->time,
			.line = line,
			.is_system = is_system,
			.text = text.at,
			.size = (size_t)(text.end - text.at),
		};
		return true;
	}
	return false;
}

/* ---- dates --------------------------------------------------------------- */

/* Whether @a is later in its day than @b. */
static bool
is_later_in_day(const FormatLogTime *a, const FormatLogTime *b)
{
	return a->hour * 60 + a->minute > b->hour * 60 + b->minute;
}

static void
take_day_before(FormatLogTime *time)
{
	GDate date;

	g_date_set_dmy(&date, (GDateDay)time->day, (GDateMonth)time->month,
	               (GDateYear)time->year);
	g_date_subtract_days(&date, 1);
	time->year = g_date_get_year(&date);
	time->month = (int)g_date_get_month(&date);
	time->day = g_date_get_day(&date);
}

void
format_log_assume_dates(FormatLogEntry *entries, size_t count,
                        const FormatLogTime *end)
{
	FormatLogTime next = *end; /* of what is after the entry */
	size_t i;

	for (i = count; i-- > 0;) {
		FormatLogTime *time = &entries[i].time;

		if (!time->is_known)
			continue;
		if (!time->has_date) {
			if (is_later_in_day(time, &next))
				take_day_before(&next);
			time->year = next.year;
			time->month = next.month;
			time->day = next.day;
		}
		next = *time;
	}
}

/* ---- names --------------------------------------------------------------- */

static bool
is_name_char(char c)
{
	return g_ascii_isalnum(c) || (c != '\0' && strchr("_$~!#%&-.", c));
}

static size_t
count_hex(const char *text, size_t size)
{
	size_t count = 0;

	while (count < size && g_ascii_isxdigit(text[count]))
		count++;
	return count;
}

/* Whether the three characters at @text are those of a mailbag's file. */
static bool
is_mailbag_extension(const char *text)
{
	return g_ascii_strncasecmp(text, "KEY", 3) == 0 ||
	       g_ascii_strncasecmp(text, "MBG", 3) == 0;
}

/* Whether the @size bytes at @word, all of them characters of a name, are the
 * name of a file; @is_path if there is a backslash before them. */
static bool
is_name(const char *word, size_t size, bool is_path)
{
	const char *dot = memchr(word, '.', size);
	size_t base = dot != NULL ? (size_t)(dot - word) : size;
	size_t extension = dot != NULL ? size - base - 1 : 0;

	if (base < 1 || base > 8 || extension > 3)
		return false;
	if (extension == 0)
		return size == 8 && count_hex(word, size) == 8;
	return memchr(dot + 1, '.', extension) == NULL &&
	       (is_path || count_hex(word, base) == 8 ||
	        (extension == 3 && is_mailbag_extension(dot + 1)));
}

bool
format_log_name_next(const char *text, size_t size, size_t *at,
                     char ret_name[FORMAT_LOG_NAME_SIZE])
{
	size_t begin = *at;

	while (begin < size) {
		size_t end = begin;
		size_t length;

		while (end < size && is_name_char(text[end]))
			end++;
		/* The point that ends a sentence is no part of a name. */
		length = end - begin;
		while (length > 0 && text[begin + length - 1] == '.')
			length--;
		if (length > 0 &&
		    is_name(text + begin, length,
		            begin > 0 && text[begin - 1] == '\\')) {
			for (size_t i = 0; i < length; i++)
				ret_name[i] = g_ascii_toupper(text[begin + i]);
			ret_name[length] = '\0';
			*at = end;
			return true;
		}
		begin = MAX(end, begin + 1);
	}
	*at = size;
	return false;
}
