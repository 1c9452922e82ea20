/* SPDX-License-Identifier: BSD-2-Clause */

/* Gives a target every file of a corpus, without a fuzzer: replay DIRECTORY
 * None may take long. */

#include <stdio.h>
#include <time.h>

#include "tests/fuzz/fuzz.h"

/* The most that one may take, in processor time. */
#define TIME_MAX (CLOCKS_PER_SEC / 10)

static int
replay(const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	g_autofree uint8_t *bytes = NULL;
	clock_t began;
	gsize size;

	if (!g_file_get_contents(path, &text, &size, &error)) {
		fprintf(stderr, "%s\n", error->message);
		return 1;
	}
	/* GLib ends it with a NUL, which would hide a read too far. */
	bytes = g_memdup2(text, size);
	began = clock();
	(void)LLVMFuzzerTestOneInput(bytes, size);
	if (clock() - began <= TIME_MAX)
		return 0;

	fprintf(stderr, "%s: takes too long\n", path);
	return 1;
}

int
main(int argc, char **argv)
{
	g_autoptr(GDir) dir = NULL;
	const char *name;
	int failed = 0;
	int count = 0;

	if (argc == 2)
		dir = g_dir_open(argv[1], 0, NULL);
	if (dir == NULL)
		return 2;
	while ((name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(argv[1], name, NULL);

		failed |= replay(path);
		count++;
	}
	printf("%d files\n", count);
	return failed || count == 0;
}
