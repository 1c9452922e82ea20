/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A daemon's control socket without the daemon: answers each COMMAND with the
 * GVariant that TEXT spells, or, if that begins with "!", with an error. Says
 * "ready", then one line with command and argument a question, until SIGTERM.
 *
 *   answer STORE [COMMAND TEXT]...
 */
#include <signal.h>
#include <stdio.h>

#include "fs/control.h"

static GVariant *
answer(void *user_data, const char *argument, char **ret_error)
{
	char **pair = user_data;

	(void)printf("%s %s\n", pair[0], argument);
	(void)fflush(stdout);
	if (pair[1][0] == '!') {
		*ret_error = g_strdup(pair[1] + 1);
		return NULL;
	}
	return g_variant_new_parsed(pair[1]);
}

int
main(int argc, char **argv)
{
	g_autoptr(FsLiveness) liveness = NULL;
	g_autoptr(FsControl) control = NULL;
	sigset_t signals;
	int i;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	if (argc < 2 || fs_liveness_open(&liveness) < 0 ||
	    fs_control_open(liveness, NULL, NULL, argv[1], &control) < 0)
		return 1;

	for (i = 2; i + 1 < argc; i += 2)
		fs_control_add(control, argv[i], answer, &argv[i]);
	(void)puts("ready");
	(void)fflush(stdout);
	fs_liveness_run(liveness);
	return 0;
}
