/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/torture/device.h"

#include <err.h>
#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

/* Runs a program of the system; returns whether it succeeded, or else prints
 * what it said. */
static bool
run(const char *const *command)
{
	g_autofree char *said = NULL;
	int status;

	if (!g_spawn_sync(NULL, (char **)(uintptr_t)command, NULL,
	                  G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &said, &status,
	                  NULL))
		errx(2, "%s: cannot be run", command[0]);
	if (status != 0)
		g_print("  %s\n", g_strstrip(said));
	return status == 0;
}

static char *
copy_path(const char *dir)
{
	return g_strconcat(dir, ".image", NULL);
}

bool
device_mount(const char *image, const char *type, const char *dir)
{
	g_autofree char *copy = copy_path(dir);
	const char *const make[] = { "cp", "--sparse=always", image, copy,
		                     NULL };
	/* The kernel frees the loop device with its last user. */
	const char *const mount[] = { "mount", "-t", type, "-o",
		                      "loop",  copy, dir,  NULL };

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		err(2, "%s", dir);
	if (!run(make))
		errx(2, "%s: cannot be copied", image);
	if (run(mount))
		return true;
	(void)unlink(copy);
	return false;
}

void
device_unmount(const char *dir)
{
	g_autofree char *copy = copy_path(dir);

	if (umount2(dir, MNT_DETACH) < 0 || unlink(copy) < 0)
		err(2, "%s", dir);
}
