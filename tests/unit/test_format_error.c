/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/format/error.h"

static void
every_entry_is_one_of_its_own(void **state)
{
	size_t count;
	const FormatError *errors = format_error_table(&count);
	size_t i;

	for (i = 0; i < count; i++) {
		const FormatError *error = &errors[i];

		assert_non_null(error->text);
		assert_non_null(format_error_kind_name(error->kind));
		if (error->kind != FORMAT_ERROR_PHRASE)
			assert_ptr_equal(
				format_error_find(error->kind, error->number),
				error);
		/* What nobody has explained has nothing to say. */
		if (error->sources == NULL) {
			assert_null(error->cause);
			assert_null(error->cure);
		} else {
			assert_int_equal(error->sources[0], 'Q');
		}
		if (i > 0) {
			assert_true(error->kind >= errors[i - 1].kind);
			if (error->kind == errors[i - 1].kind &&
			    error->kind != FORMAT_ERROR_PHRASE)
				assert_true(error->number >
				            errors[i - 1].number);
		}
	}
}

static void
all_mail_errors_are_known_by_name_or_as_unexplained(void **state)
{
	static const unsigned unexplained[] = { 6,  10, 11, 14, 15, 19,
		                                20, 22, 25, 26, 27, 28 };
	unsigned number;
	size_t i = 0;

	for (number = 1; number <= 30; number++) {
		const FormatError *error =
			format_error_find(FORMAT_ERROR_MAIL, number);

		assert_non_null(error);
		if (i < G_N_ELEMENTS(unexplained) && unexplained[i] == number) {
			assert_null(error->sources);
			i++;
		} else {
			assert_non_null(error->sources);
		}
	}
	assert_int_equal(i, G_N_ELEMENTS(unexplained));
	assert_null(format_error_find(FORMAT_ERROR_MAIL, 31));
}

static void
codes_are_read_in_every_spelling(void **state)
{
	static const struct {
		const char *word;
		bool has_kind;
		FormatErrorKind kind;
		unsigned number;
	} codes[] = {
		{ "21", false, FORMAT_ERROR_PHRASE, 21 },
		{ "021", true, FORMAT_ERROR_MAIL, 21 },
		{ "0021", true, FORMAT_ERROR_MAIL, 21 },
		{ "[021]", true, FORMAT_ERROR_MAIL, 21 },
		{ "[21]", true, FORMAT_ERROR_MAIL, 21 },
		{ "0", false, FORMAT_ERROR_PHRASE, 0 },
		{ "notice 6", true, FORMAT_ERROR_NOTICE, 6 },
		{ "Fatal [59]", true, FORMAT_ERROR_FATAL, 59 },
		{ "WARNING 8", true, FORMAT_ERROR_WARNING, 8 },
		{ "dos 32", true, FORMAT_ERROR_DOS, 32 },
		{ "device 0C", true, FORMAT_ERROR_DEVICE, 0x0c },
		{ "device 010C", true, FORMAT_ERROR_DEVICE, 0x0c },
		{ "event 2117", true, FORMAT_ERROR_EVENT, 2117 },
		{ "mail21", true, FORMAT_ERROR_MAIL, 21 },
	};
	static const char *const bad[] = {
		"",           "[",      "[]",    "[21",    "21]",
		"x21",        "21x",    "fatal", "fatal ", "123456",
		"notice 0x6", "[[21]]", "-21",
	};
	FormatErrorCode code;
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(codes); i++) {
		assert_true(format_error_parse(codes[i].word, &code));
		assert_int_equal(code.has_kind, codes[i].has_kind);
		assert_int_equal(code.number, codes[i].number);
		if (code.has_kind)
			assert_int_equal(code.kind, codes[i].kind);
	}
	for (i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_false(format_error_parse(bad[i], &code));
}

static void
errors_are_found_in_lines(void **state)
{
	static const struct {
		const char *line;
		FormatErrorKind kind;
		unsigned number;
	} lines[] = {
		{ "File I/O: Error opening \"M:KEY\\INQUEUE3.KEY\" error "
		  "code=32",
		  FORMAT_ERROR_DOS, 32 },
		{ "finding \"M:MAI\\MAE\\0009DF5E.MAI\", error code=2",
		  FORMAT_ERROR_DOS, 2 },
		{ "[016] Message was not sent due to missing message file.",
		  FORMAT_ERROR_MAIL, 16 },
		{ "A Critical Error has occurred Error Code=1005 Device "
		  "Error=000C",
		  FORMAT_ERROR_DEVICE, 0x0c },
		{ "Error Code=1005 Device Error=00FF", FORMAT_ERROR_DOS, 1005 },
		{ "Fatal [59] cannot open", FORMAT_ERROR_FATAL, 59 },
		{ "Notice 6", FORMAT_ERROR_NOTICE, 6 },
		{ "File I/O: Short Write", FORMAT_ERROR_PHRASE, 0 },
		{ "unable to grab semaphore file P1\\00000009.0LK",
		  FORMAT_ERROR_PHRASE, 0 },
		{ "error code = 33", FORMAT_ERROR_DOS, 33 },
	};
	static const char *const harmless[] = {
		"",
		"[",
		"[0",
		"[02",
		"[021",
		"021]",
		"[11:32] - OK",
		"Sent 21 messages",
		"[12]",
		"[1234]",
		"[099]",
		"error code=",
		"error code=77",
		"error code",
		"Notice",
		"Notice of 6",
		"Device Error=",
		"a wholly good day",
		"error code=99999999999",
	};
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(lines); i++) {
		const FormatError *error = format_error_in_text(
			lines[i].line, strlen(lines[i].line));

		assert_non_null(error);
		assert_int_equal(error->kind, lines[i].kind);
		assert_int_equal(error->number, lines[i].number);
	}
	for (i = 0; i < G_N_ELEMENTS(harmless); i++)
		assert_null(
			format_error_in_text(harmless[i], strlen(harmless[i])));
}

/* A line that ends in the middle of what is looked for. */
static void
nothing_is_read_beyond_the_line(void **state)
{
	static const char LINE[] =
		"Fatal [059] error code=32 Device Error=000C Short Write";
	size_t begin;
	size_t size;

	for (begin = 0; begin < sizeof(LINE) - 1; begin++) {
		for (size = 0; size <= sizeof(LINE) - 1 - begin; size++) {
			g_autofree char *copy =
				g_memdup2(LINE + begin, MAX(size, 1));

			(void)format_error_in_text(copy, size);
		}
	}
	assert_int_equal(format_error_in_text(LINE, 24)->number, 59);
	assert_null(format_error_in_text(LINE + 12, 11));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_entry_is_one_of_its_own),
		cmocka_unit_test(
			all_mail_errors_are_known_by_name_or_as_unexplained),
		cmocka_unit_test(codes_are_read_in_every_spelling),
		cmocka_unit_test(errors_are_found_in_lines),
		cmocka_unit_test(nothing_is_read_beyond_the_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
