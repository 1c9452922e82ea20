/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * The numbers and phrases by which the mail programs say what went wrong, in
 * words: what it says, what the usual cause is, and what helps here.
 *
 * Pure functions over a table. Each entry names the Microsoft Knowledge Base
 * articles that it stands on; one without any is a number that exists, but that
 * no public article explains.
 *
 * Threads: any.
 */

/** Who says it, and so where its number is from. */
typedef enum FormatErrorKind {
	FORMAT_ERROR_MAIL,    /* "[021]" in SYSTEM.LOG and in a report to the
	                       * sender */
	FORMAT_ERROR_DOS,     /* "error code=32" in SESSION.LOG */
	FORMAT_ERROR_DEVICE,  /* "Error Code=1005 Device Error=000C": the low
	                       * byte of the second number */
	FORMAT_ERROR_NOTICE,  /* "Notice 6" of a client or ADMIN */
	FORMAT_ERROR_WARNING, /* "Warning 8" of Dispatch and dirsync */
	FORMAT_ERROR_FATAL,   /* "Fatal [59]" of the same */
	FORMAT_ERROR_EVENT,   /* in the event log of an Exchange server */
	FORMAT_ERROR_PHRASE,  /* has no number */
} FormatErrorKind;

typedef struct FormatError {
	FormatErrorKind kind;
	unsigned number;   /* 0 for a phrase */
	const char *text;  /* what it says or stands for; of a phrase, what is
	                      * looked for in a line */
	const char *cause; /* one sentence, or NULL if it is not public */
	const char *cure;  /* on pofs; NULL: there is none, or none known */
	const char
		*sources; /* "Q103960, Q136379"; NULL if it is not explained */
} FormatError;

/** Every entry, by kind and number. *@ret_count is how many there are. */
const FormatError *format_error_table(size_t *ret_count);

/** The entry of @number, or NULL. */
const FormatError *format_error_find(FormatErrorKind kind, unsigned number);

/** "mail error", "DOS error", ... */
const char *format_error_kind_name(FormatErrorKind kind);

/** What somebody has read or typed: perhaps a kind, and a number. */
typedef struct FormatErrorCode {
	bool has_kind;
	FormatErrorKind kind;
	unsigned number;
} FormatErrorCode;

/**
 * Reads "21", "021", "0021", "[021]", "notice 6", "Fatal [59]", "DOS 32",
 * "event 2117". In brackets and without a kind it is a mail error, and so it
 * is with a leading zero. Returns false if @word is nothing of the kind.
 */
bool format_error_parse(const char *word, FormatErrorCode *ret_code);

/**
 * The entry of the first number or phrase of this table in the log line of
 * @size bytes at @text; if there is none, NULL. For a number in brackets which
 * is not in the table NULL, too.
 */
const FormatError *format_error_in_text(const char *text, size_t size);
