/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/name.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "store/store.h"

/*
 * Simple folding from GLib's simple case mappings: lower(upper(c)) puts all
 * members of a folding class together (final sigma, micro sign, long s). What
 * differs from CaseFolding.txt (compared with that of Unicode 14, all 1,424
 * classes): the two dotted and dotless Turkish letters have a simple lower or
 * upper case, but no simple folding; and GLib maps letters only, not the Roman
 * numerals, the circled letters and the iota below.
 */
static gunichar
fold_char(gunichar c)
{
	if (c == 0x0130 || c == 0x0131)
		return c;
	if (c >= 0x2160 && c <= 0x216f)
		return c + 0x10;
	if (c >= 0x24b6 && c <= 0x24cf)
		return c + 0x1a;
	if (c == 0x0345)
		return 0x03b9;
	return g_unichar_tolower(g_unichar_toupper(c));
}

/* Windows folds by its own table, in which these two stay as they are, too. */
static gunichar
upper_char(gunichar c)
{
	return c == 0x0131 ? c : g_unichar_toupper(c);
}

size_t
name_fold(const char *name, char ret_folded[NAME_FOLDED_MAX + 1])
{
	const char *p;
	char utf8[6];
	size_t part;
	size_t size = 0;

	ret_folded[0] = '\0';
	if (!g_utf8_validate(name, -1, NULL))
		return 0;

	for (p = name; *p != '\0'; p = g_utf8_next_char(p)) {
		part = (size_t)g_unichar_to_utf8(fold_char(g_utf8_get_char(p)),
		                                 utf8);
		if (size + part > NAME_FOLDED_MAX) {
			ret_folded[0] = '\0';
			return 0;
		}
		memcpy(ret_folded + size, utf8, part);
		size += part;
	}
	ret_folded[size] = '\0';
	return size;
}

bool
name_equal(const char *a, const char *b)
{
	char folded_a[NAME_FOLDED_MAX + 1];
	char folded_b[NAME_FOLDED_MAX + 1];

	return name_fold(a, folded_a) > 0 && name_fold(b, folded_b) > 0 &&
	       strcmp(folded_a, folded_b) == 0;
}

/* Whether the first @size bytes of @name, its stem, name a DOS device. DOS
 * opens the device whatever extension follows. */
static bool
is_device(const char *name, size_t size)
{
	static const char *const devices[] = { "CON",    "PRN",    "AUX",
		                               "NUL",    "CLOCK$", "CONIN$",
		                               "CONOUT$" };
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(devices); i++)
		if (strlen(devices[i]) == size &&
		    g_ascii_strncasecmp(name, devices[i], size) == 0)
			return true;

	return size == 4 &&
	       (g_ascii_strncasecmp(name, "COM", 3) == 0 ||
	        g_ascii_strncasecmp(name, "LPT", 3) == 0) &&
	       name[3] >= '1' && name[3] <= '9';
}

static bool
has_device_stem(const char *name)
{
	size_t size = strcspn(name, ".");

	while (size > 0 && name[size - 1] == ' ')
		size--;
	return is_device(name, size);
}

int
name_check(const char *name)
{
	size_t size = strlen(name);
	const char *p;

	if (size > STORE_NAME_MAX)
		return -ENAMETOOLONG;
	if (size == 0 || !g_utf8_validate(name, (gssize)size, NULL))
		return -EINVAL;

	for (p = name; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f ||
		    strchr("\\/:*?\"<>|", *p) != NULL)
			return -EINVAL;

	if (name[size - 1] == '.' || name[size - 1] == ' ')
		return -EINVAL;
	return has_device_stem(name) ? -EINVAL : 0;
}

/* Whether code page 437 or 850 has @c, one UTF-8 character of @size bytes. */
static bool
in_code_page(const char *c, size_t size)
{
	static const char *const pages[] = { "CP850", "CP437" };
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(pages); i++) {
		g_autofree char *byte = NULL;
		gsize length = 0;

		byte = g_convert(c, (gssize)size, pages[i], "UTF-8", NULL,
		                 &length, NULL);
		if (byte != NULL && length == 1)
			return true;
	}
	return false;
}

/* Writes @c in upper case, or as it is if DOS has no capital of it. Returns
 * the bytes written, or 0 if DOS has no such character. */
static size_t
dos_char(gunichar c, char *to)
{
	size_t size = (size_t)g_unichar_to_utf8(upper_char(c), to);

	if (size == 1)
		return g_ascii_isalnum(*to) ||
		       strchr("!#$%&'()-@^_`{}~", *to) != NULL;
	if (in_code_page(to, size))
		return size;
	size = (size_t)g_unichar_to_utf8(c, to);
	return in_code_page(to, size) ? size : 0;
}

/* Copies one part of a DOS name in upper case: @max characters between @from
 * and @end. Returns the end of what was written, or NULL. */
static char *
dos_part(const char *from, const char *end, int max, char *to)
{
	const char *p;
	int count = 0;

	for (p = from; p < end; p = g_utf8_next_char(p)) {
		size_t size = dos_char(g_utf8_get_char(p), to);

		if (++count > max || size == 0)
			return NULL;
		to += size;
	}
	*to = '\0';
	return to;
}

int
name_to_dos(const char *name, char ret_name[256])
{
	char dos[96];
	const char *dot = strchr(name, '.');
	const char *end = name + strlen(name);
	char *to;

	if (!g_utf8_validate(name, -1, NULL) || dot == name || name == end)
		return -EINVAL;

	/* At most 9 + 4 characters of 6 bytes and a dot: always in dos[]. */
	to = dos_part(name, dot != NULL ? dot : end, 8, dos);
	if (to == NULL)
		return -EINVAL;
	if (dot != NULL) {
		*to++ = '.';
		if (dot + 1 == end || dos_part(dot + 1, end, 3, to) == NULL)
			return -EINVAL;
	}
	if (has_device_stem(dos))
		return -EINVAL;

	g_strlcpy(ret_name, dos, 256);
	return 0;
}
