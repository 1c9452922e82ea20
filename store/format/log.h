/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * The logs that mail programs keep in LOG: SESSION.LOG, SYSTEM.LOG and their
 * like. Pure functions over bytes: any bytes will do, and lines of any length.
 *
 * The forms of a line are "MM-DD-YY HH:MM text" (3.2) and "[HH:MM] - text" (2.1
 * and 3.0) (Q92438, Q116434) [D]; a line without a time belongs to the time
 * before it. In SYSTEM.LOG an entry has several lines, from "System log entry
 * on: MM-DD-YY HH:MM" to a line of dashes (Q99204, Q126750) [D].
 *
 * Times are those of the clock and in the zone of the station that wrote them,
 * texts in its code page.
 *
 * Threads: any; a FormatLog one at a time.
 */

/** The first and last year that two digits stand for. */
#define FORMAT_LOG_YEAR_MIN 1980
#define FORMAT_LOG_YEAR_MAX 2079

typedef struct FormatLogTime {
	bool is_known; /* else nothing here is */
	bool has_date; /* else year, month and day are 0, or assumed */
	int year;      /* all four digits */
	int month;     /* from 1 */
	int day;       /* of the month, from 1 */
	int hour;
	int minute;
} FormatLogTime;

/** A line, or an entry of SYSTEM.LOG. */
typedef struct FormatLogEntry {
	FormatLogTime time; /* of its own, or of what was before it */
	size_t line;        /* of the log, where it begins; from 1 */
	bool is_system;     /* an entry of SYSTEM.LOG: perhaps many lines */
	const char *text;   /* borrowed from the log: what is after the time,
	                     * without spaces at its ends */
	size_t size;        /* bytes of it, 0 too */
} FormatLogEntry;

/** A log that is being read. */
typedef struct FormatLog {
	const char *at; /* borrowed */
	const char *end;
	size_t line;
	FormatLogTime time; /* the last one */
} FormatLog;

/** Begins to read the @size bytes at @data, which must stay. */
void format_log_init(FormatLog *log, const void *data, size_t size);

/** Reads the next entry with text. Returns false at the end. */
bool format_log_next(FormatLog *log, FormatLogEntry *ret_entry);

/**
 * Gives the @count @entries that have a time of day only the dates that follow
 * from @end, the time of the log's last change, and from each being at most a
 * day before the next: assumed, as stations were idle for longer now and then.
 * Their has_date stays false.
 */
void format_log_assume_dates(FormatLogEntry *entries, size_t count,
                             const FormatLogTime *end);

/** Room for a DOS name, "INQUEUE3.KEY", and its NUL. */
#define FORMAT_LOG_NAME_SIZE 13

/**
 * Finds the next file, or stem of eight hexadecimal digits, that is named in
 * @size bytes of @text, from *@at on: of "M:MAI\MAE\0009DF5E.MAI" it is
 * "0009DF5E.MAI". Upper case. *@at is 0 at first, and then where to go on.
 * Returns false if there are no more.
 */
bool format_log_name_next(const char *text, size_t size, size_t *at,
                          char ret_name[FORMAT_LOG_NAME_SIZE]);
