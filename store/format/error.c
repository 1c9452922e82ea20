/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/error.h"

#include <string.h>

#include <glib.h>

/* Numbers have at most so many digits. */
#define DIGITS_MAX 5

/* By FormatErrorKind. */
static const struct {
	const char *name; /* as people call it */
	const char
		*word; /* that comes before the number; NULL: there is none */
	unsigned base; /* of the number */
} kinds[] = {
	{ "mail error", "mail", 10 },     { "DOS error", "dos", 10 },
	{ "device error", "device", 16 }, { "notice", "notice", 10 },
	{ "warning", "warning", 10 },     { "fatal error", "fatal", 10 },
	{ "event", "event", 10 },         { "phrase", NULL, 0 },
};

const FormatError *
format_error_find(FormatErrorKind kind, unsigned number)
{
	size_t count;
	const FormatError *errors = format_error_table(&count);
	size_t i;

	for (i = 0; i < count; i++)
		if (errors[i].kind == kind && errors[i].number == number)
			return &errors[i];
	return NULL;
}

const char *
format_error_kind_name(FormatErrorKind kind)
{
	return kinds[kind].name;
}

/* ---- reading bytes ------------------------------------------------------- */

/* Bytes that are looked at, from their start to their end. */
typedef struct Scan {
	const char *at;
	const char *end;
} Scan;

static void
skip_spaces(Scan *scan)
{
	while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t'))
		scan->at++;
}

static bool
take_char(Scan *scan, char c)
{
	if (scan->at == scan->end || *scan->at != c)
		return false;
	scan->at++;
	return true;
}

/* Takes @word, in any case. */
static bool
take_word(Scan *scan, const char *word)
{
	size_t length;

	/* Nearly always it ends here. */
	if (scan->at == scan->end ||
	    g_ascii_tolower(*scan->at) != g_ascii_tolower(*word))
		return false;
	length = strlen(word);
	if ((size_t)(scan->end - scan->at) < length ||
	    g_ascii_strncasecmp(scan->at, word, length) != 0)
		return false;
	scan->at += length;
	return true;
}

/* Takes up to DIGITS_MAX digits. Returns how many; 0 too, if there are more. */
static size_t
take_number(Scan *scan, unsigned base, unsigned *ret_number)
{
	unsigned number = 0;
	size_t digits = 0;

	while (scan->at < scan->end && g_ascii_isxdigit(*scan->at) &&
	       (base == 16 || g_ascii_isdigit(*scan->at))) {
		if (++digits > DIGITS_MAX)
			return 0;
		number = number * base +
		         (unsigned)g_ascii_xdigit_value(*scan->at++);
	}
	*ret_number = number;
	return digits;
}

/* Takes "21" or "[21]". Returns how many digits there are. */
static size_t
take_code(Scan *scan, unsigned base, bool *ret_is_bracketed,
          unsigned *ret_number)
{
	size_t digits;

	*ret_is_bracketed = take_char(scan, '[');
	digits = take_number(scan, base, ret_number);
	if (*ret_is_bracketed && !take_char(scan, ']'))
		return 0;
	return digits;
}

/* Takes the word of a kind; FORMAT_ERROR_PHRASE if there is none. */
static FormatErrorKind
take_kind(Scan *scan)
{
	FormatErrorKind kind = FORMAT_ERROR_MAIL;

	while (kinds[kind].word != NULL && !take_word(scan, kinds[kind].word))
		kind++;
	return kind;
}

/* ---- a word -------------------------------------------------------------- */

bool
format_error_parse(const char *word, FormatErrorCode *ret_code)
{
	Scan scan = { word, word + strlen(word) };
	FormatErrorCode code = { .kind = take_kind(&scan) };
	bool is_bracketed;
	bool is_padded;
	size_t digits;

	code.has_kind = code.kind != FORMAT_ERROR_PHRASE;
	skip_spaces(&scan);
	is_padded = scan.at < scan.end && *scan.at == '0';
	digits = take_code(&scan, code.has_kind ? kinds[code.kind].base : 10,
	                   &is_bracketed, &code.number);
	if (digits == 0 || scan.at != scan.end)
		return false;
	if (!code.has_kind && (is_bracketed || (is_padded && digits > 1))) {
		code.has_kind = true;
		code.kind = FORMAT_ERROR_MAIL;
	}
	if (code.kind == FORMAT_ERROR_DEVICE)
		code.number &= 0xff;
	*ret_code = code;
	return true;
}

/* ---- a line -------------------------------------------------------------- */

/* "error code=32", "Device Error=000C". */
static const FormatError *
match_assigned(Scan scan, const char *word, FormatErrorKind kind, unsigned mask)
{
	unsigned number;

	if (!take_word(&scan, word))
		return NULL;
	skip_spaces(&scan);
	if (!take_char(&scan, '='))
		return NULL;
	skip_spaces(&scan);
	if (take_number(&scan, kinds[kind].base, &number) == 0)
		return NULL;
	return format_error_find(kind, number & mask);
}

static const FormatError *
match_device(Scan scan)
{
	return match_assigned(scan, "device error", FORMAT_ERROR_DEVICE, 0xff);
}

static const FormatError *
match_dos(Scan scan)
{
	return match_assigned(scan, "error code", FORMAT_ERROR_DOS, ~0U);
}

/* "Fatal [59]", "Notice 6". */
static const FormatError *
match_kind(Scan scan)
{
	FormatErrorKind kind = take_kind(&scan);
	bool is_bracketed;
	unsigned number;

	if (kind != FORMAT_ERROR_NOTICE && kind != FORMAT_ERROR_WARNING &&
	    kind != FORMAT_ERROR_FATAL)
		return NULL;
	skip_spaces(&scan);
	if (take_code(&scan, 10, &is_bracketed, &number) == 0)
		return NULL;
	return format_error_find(kind, number);
}

/* "[021]": three digits always, so that no count or time is taken for one. */
static const FormatError *
match_mail(Scan scan)
{
	bool is_bracketed;
	unsigned number;

	if (take_code(&scan, 10, &is_bracketed, &number) != 3 || !is_bracketed)
		return NULL;
	return format_error_find(FORMAT_ERROR_MAIL, number);
}

/* The phrases are the last in the table. */
static const FormatError *
match_phrase(Scan scan)
{
	size_t count;
	const FormatError *errors = format_error_table(&count);

	while (count-- > 0 && errors[count].kind == FORMAT_ERROR_PHRASE)
		if (take_word(&scan, errors[count].text))
			return &errors[count];
	return NULL;
}

const FormatError *
format_error_in_text(const char *text, size_t size)
{
	/* What says more comes first: "Error Code=1005" is said beside every
	 * device error, and "Fatal" before a number that is no mail error. */
	static const FormatError *(*const matches[])(Scan) = {
		match_device, match_kind, match_mail, match_dos, match_phrase
	};
	const FormatError *error = NULL;
	size_t i;
	size_t k;

	for (i = 0; i < G_N_ELEMENTS(matches) && error == NULL; i++)
		for (k = 0; k < size && error == NULL; k++)
			error = matches[i]((Scan){ text + k, text + size });
	return error;
}
