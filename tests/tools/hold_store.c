/* SPDX-License-Identifier: BSD-2-Clause */
/* Keeps a store open for writing until its standard input ends, as a daemon
 * would; says "ready" when it has it. */

#include <stdio.h>

#include "store/store.h"

int
main(int argc, char **argv)
{
	g_autofree char *reason = NULL;
	Store *store;

	if (argc != 2 ||
	    store_open(argv[1], STORE_WRITE, NULL, &store, &reason) < 0) {
		(void)fprintf(stderr, "%s\n",
		              reason != NULL ? reason : "usage");
		return 1;
	}
	(void)puts("ready");
	(void)fflush(stdout);
	while (getchar() != EOF)
		;
	return store_close(store) < 0 ? 1 : 0;
}
