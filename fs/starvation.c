/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/starvation.h"

#include <glib.h>

#include "fs/proc_stat.h"

/* Fields of /proc/PID/task/TID/stat, in ticks of a hundredth of a second. */
#define STAT_USER_TIME   14
#define STAT_SYSTEM_TIME 15

struct FsStarvation {
	char *task_dir;
	GHashTable *runnable; /* of the last look: tid, owned -> its time */
};

FsStarvation *
fs_starvation_new(const char *task_dir)
{
	FsStarvation *starvation = g_new(FsStarvation, 1);

	starvation->task_dir = g_strdup(task_dir);
	starvation->runnable =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return starvation;
}

void
fs_starvation_free(FsStarvation *starvation)
{
	if (starvation == NULL)
		return;

	g_hash_table_unref(starvation->runnable);
	g_free(starvation->task_dir);
	g_free(starvation);
}

/* Whether @tid could run; then @ret_time is how long it has. */
static bool
is_runnable(const FsStarvation *starvation, const char *tid,
            unsigned long *ret_time)
{
	g_autofree char *dir =
		g_build_filename(starvation->task_dir, tid, NULL);
	g_autofree char *stat = fs_proc_stat_read(dir);

	if (stat == NULL || fs_proc_stat_state(stat) != 'R')
		return false;

	*ret_time = fs_proc_stat_field(stat, STAT_USER_TIME) +
	            fs_proc_stat_field(stat, STAT_SYSTEM_TIME);
	return true;
}

bool
fs_starvation_look(FsStarvation *starvation)
{
	g_autoptr(GDir) dir = g_dir_open(starvation->task_dir, 0, NULL);
	g_autoptr(GHashTable) before = starvation->runnable;
	bool is_starved = false;
	const char *tid;

	starvation->runnable =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	while (dir != NULL && (tid = g_dir_read_name(dir)) != NULL) {
		unsigned long now;
		gpointer then;

		if (!is_runnable(starvation, tid, &now))
			continue;
		if (g_hash_table_lookup_extended(before, tid, NULL, &then))
			is_starved |= GPOINTER_TO_SIZE(then) == now;
		g_hash_table_insert(starvation->runnable, g_strdup(tid),
		                    GSIZE_TO_POINTER(now));
	}
	return is_starved;
}
