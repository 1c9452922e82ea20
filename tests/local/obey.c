/* SPDX-License-Identifier: BSD-2-Clause */
#include "obey.h"

/* There is no C library for DOS. */

#define WORDS_MAX 6

static char line[OBEY_LINE_SIZE];
static unsigned char bytes[OBEY_BYTES_MAX];

static int
is_same(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* ---- numbers and bytes --------------------------------------------------- */

static unsigned
digit_value(char digit)
{
	return (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static unsigned
number_decode(const char *text)
{
	unsigned number = 0;

	for (; *text != '\0'; text++)
		number = number << 4 | digit_value(*text);
	return number;
}

static unsigned
bytes_decode(const char *text)
{
	unsigned size = 0;

	for (; text[0] != '\0' && size < OBEY_BYTES_MAX; text += 2)
		bytes[size++] = (unsigned char)(digit_value(text[0]) << 4 |
		                                digit_value(text[1]));
	return size;
}

/* Each of these puts something at @at and returns where it ends. */

static char *
digits_put(char *at, unsigned number, int digits)
{
	while (digits-- > 0)
		*at++ = "0123456789abcdef"[number >> 4 * digits & 15];
	return at;
}

static char *
text_put(char *at, const char *text)
{
	while (*text != '\0')
		*at++ = *text++;
	return at;
}

static char *
number_put(char *at, unsigned number)
{
	*at++ = ' ';
	return digits_put(at, number, 8);
}

static char *
bytes_put(char *at, unsigned size)
{
	*at++ = ' ';
	for (unsigned i = 0; i < size; i++)
		at = digits_put(at, bytes[i], 2);
	return at;
}

/* ---- the calls ----------------------------------------------------------- */

/* Each puts what it found at *@end, and returns the error or 0. */
typedef unsigned Call(char *words[], char **end);

static unsigned
call_open(char *words[], char **end)
{
	unsigned handle;
	unsigned size;
	unsigned r = os_open(words[4], number_decode(words[1]),
	                     number_decode(words[2]), number_decode(words[3]),
	                     &handle, &size);

	if (r == 0)
		*end = number_put(number_put(*end, handle), size);
	return r;
}

static unsigned
call_read(char *words[], char **end)
{
	unsigned size = number_decode(words[3]);
	unsigned r =
		os_read(number_decode(words[1]), number_decode(words[2]), bytes,
	                size < OBEY_BYTES_MAX ? size : OBEY_BYTES_MAX, &size);

	if (r == 0)
		*end = bytes_put(*end, size);
	return r;
}

static unsigned
call_write(char *words[], char **end)
{
	(void)end;
	return os_write(number_decode(words[1]), number_decode(words[2]), bytes,
	                bytes_decode(words[3]));
}

static unsigned
call_truncate(char *words[], char **end)
{
	(void)end;
	return os_truncate(number_decode(words[1]), number_decode(words[2]));
}

static unsigned
call_lock(char *words[], char **end)
{
	(void)end;
	return os_lock(number_decode(words[1]), number_decode(words[2]),
	               number_decode(words[3]));
}

static unsigned
call_unlock(char *words[], char **end)
{
	(void)end;
	return os_unlock(number_decode(words[1]), number_decode(words[2]),
	                 number_decode(words[3]));
}

static unsigned
call_close(char *words[], char **end)
{
	(void)end;
	return os_close(number_decode(words[1]));
}

static unsigned
call_delete(char *words[], char **end)
{
	(void)end;
	return os_delete(words[1]);
}

static unsigned
call_rename(char *words[], char **end)
{
	(void)end;
	return os_rename(words[1], words[2]);
}

static unsigned
call_find(char *words[], char **end)
{
	char name[16];
	unsigned r = os_find(words[1], name);

	if (r == 0)
		*end = text_put(text_put(*end, " "), name);
	return r;
}

static unsigned
call_end(char *words[], char **end)
{
	(void)end;
	os_end(number_decode(words[1]));
	return 0;
}

static const struct {
	const char *name;
	Call *call;
} CALLS[] = {
	{ "open", call_open },         { "read", call_read },
	{ "write", call_write },       { "lock", call_lock },
	{ "unlock", call_unlock },     { "close", call_close },
	{ "delete", call_delete },     { "rename", call_rename },
	{ "truncate", call_truncate }, { "find", call_find },
	{ "end", call_end },
};

/* ---- lines --------------------------------------------------------------- */

/* Cuts the line into words; those that it lacks are empty. */
static void
line_split(char *words[WORDS_MAX])
{
	char *at = line;

	for (int i = 0; i < WORDS_MAX; i++) {
		words[i] = at;
		while (*at != '\0' && *at != ' ')
			at++;
		if (*at == ' ')
			*at++ = '\0';
	}
}

static void
answer(unsigned r, char *end)
{
	if (r != 0)
		end = number_put(text_put(line, "error"), r);
	*end = '\0';
	os_say(line);
}

/* Of a word that it does not know it says that nothing came of it. */
static void
line_obey(void)
{
	char *words[WORDS_MAX];
	char *end = line;
	unsigned r = ~0U;

	line_split(words);
	for (unsigned i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++)
		if (is_same(words[0], CALLS[i].name)) {
			/* The words are read before the answer is written. */
			char result[2 * OBEY_BYTES_MAX + 32];

			end = text_put(result, "ok");
			r = CALLS[i].call(words, &end);
			*end = '\0';
			end = text_put(line, result);
			break;
		}
	answer(r, end);
}

void
obey(void)
{
	while (os_hear(line))
		line_obey();
}
