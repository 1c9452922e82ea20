/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/proc_stat.h"

#include <stdlib.h>
#include <string.h>

#include <glib.h>

char *
fs_proc_stat_read(const char *dir)
{
	g_autofree char *path = g_build_filename(dir, "stat", NULL);
	char *stat = NULL;

	(void)g_file_get_contents(path, &stat, NULL, NULL);
	return stat;
}

char
fs_proc_stat_state(const char *stat)
{
	/* It follows the name, which is in brackets and may hold anything. */
	const char *name_end = strrchr(stat, ')');

	return name_end != NULL && name_end[1] == ' ' ? name_end[2] : '\0';
}

unsigned long
fs_proc_stat_field(const char *stat, unsigned number)
{
	const char *field = strrchr(stat, ')');

	for (unsigned i = 2; field != NULL && i < number; i++)
		field = strchr(field + 1, ' ');
	return field == NULL ? 0 : strtoul(field, NULL, 10);
}
