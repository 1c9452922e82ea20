/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/moment.h"

#include <string.h>

#include "tools/tool.h"

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_US 1000

/* Longest time ago, of any unit: no product of it overflows. */
#define AGO_MAX 100000

/* "12h" */
static bool
read_ago(const char *word, int64_t *ret_ns)
{
	static const struct {
		const char *name;
		int64_t seconds;
	} units[] = {
		{ "s", 1 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 }
	};
	char *unit;
	guint64 count = g_ascii_strtoull(word, &unit, 10);
	size_t i;

	if (!g_ascii_isdigit(word[0]) || count > AGO_MAX)
		return false;
	for (i = 0; i < G_N_ELEMENTS(units); i++)
		if (strcmp(unit, units[i].name) == 0) {
			*ret_ns = g_get_real_time() * NS_PER_US -
			          (int64_t)count * units[i].seconds * NS_PER_S;
			return true;
		}
	return false;
}

/* "2026-11-22 05:06"; what is left out at its end is zero. */
static GDateTime *
read_date(const char *word)
{
	static const char *const rests[] = { "", ":00", " 00:00:00" };
	g_autoptr(GTimeZone) zone = g_time_zone_new_local();
	GDateTime *time = NULL;
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(rests) && time == NULL; i++) {
		g_autofree char *text = g_strconcat(word, rests[i], NULL);
		char *space = strchr(text, ' ');

		if (space != NULL)
			*space = 'T';
		time = g_date_time_new_from_iso8601(text, zone);
	}
	return time;
}

int
tool_moment_read(const char *word, int64_t *ret_ns, GError **error)
{
	const int64_t most_s = INT64_MAX / NS_PER_S - 1;
	g_autoptr(GDateTime) time = NULL;

	if (read_ago(word, ret_ns))
		return 0;
	time = read_date(word);
	/* Those before 1678 and after 2261 are too far away for nanoseconds. */
	if (time == NULL || g_date_time_to_unix(time) > most_s ||
	    g_date_time_to_unix(time) < -most_s)
		return tool_misuse(error,
		                   "%s is no time (2026-11-22, "
		                   "\"2026-11-22 05:06\", 12h)",
		                   word);
	*ret_ns = g_date_time_to_unix(time) * NS_PER_S +
	          (int64_t)g_date_time_get_microsecond(time) * NS_PER_US;
	return 0;
}

char *
tool_moment_text(int64_t ns, bool is_iso)
{
	g_autoptr(GDateTime) time =
		g_date_time_new_from_unix_local(ns / NS_PER_S);

	if (time == NULL)
		return g_strdup("?");
	return is_iso ? g_date_time_format_iso8601(time)
	              : g_date_time_format(time, "%F %T");
}
