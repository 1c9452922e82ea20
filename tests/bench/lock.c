/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>

#include "tests/bench/clock.h"

/*
 * Takes a lock that nobody else wants and lets it go, again and again, in the
 * current directory, a postoffice, and prints the microseconds that each pair
 * takes by the clock and of this program's CPU. Nothing is changed under it.
 */

static int key; /* KEY/A.KEY, open for reading: that alone locks nothing */

static void
open_one(const char *name)
{
	must_close(must_open(AT_FDCWD, name, O_RDWR));
}

static void
open_plain(void)
{
	open_one("GLB/PLAIN.GLB");
}

static void
open_mailbag(void)
{
	open_one("KEY/A.KEY");
}

static void
open_inqueue(void)
{
	open_one("KEY/INQUEUE3.KEY");
}

static void
lock_range(void)
{
	struct flock range = { .l_type = F_RDLCK, .l_len = 1 };

	if (fcntl(key, F_SETLK, &range) < 0)
		err(1, "lock");
	range.l_type = F_UNLCK;
	if (fcntl(key, F_SETLK, &range) < 0)
		err(1, "unlock");
}

static void
create_one(const char *name)
{
	must_close(must_open(AT_FDCWD, name, O_WRONLY | O_CREAT | O_EXCL));
	if (unlink(name) < 0)
		err(1, "unlink %s", name);
}

static void
create_plain(void)
{
	create_one("GLB/NEW.GLB");
}

static void
create_lock_file(void)
{
	create_one("P1/A.0LK");
}

static double
cpu_s(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} kinds[] = {
		{ "open-plain", open_plain },
		{ "open-mailbag", open_mailbag },
		{ "open-inqueue", open_inqueue },
		{ "range", lock_range },
		{ "create-plain", create_plain },
		{ "lock-file", create_lock_file },
	};
	void (*run)(void) = NULL;
	double start_s;
	double start_cpu_s;
	unsigned count;

	if (argc != 4)
		errx(2, "usage: lock DIR KIND COUNT");
	if (chdir(argv[1]) < 0)
		err(1, "%s", argv[1]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(argv[2], kinds[i].name) == 0)
			run = kinds[i].run;
	if (run == NULL)
		errx(2, "no such kind: %s", argv[2]);
	count = must_number(argv[3]);

	key = must_open(AT_FDCWD, "KEY/A.KEY", O_RDONLY);
	start_s = now_s();
	start_cpu_s = cpu_s();
	for (unsigned i = 0; i < count; i++)
		run();
	printf("wall_us %.2f\n", (now_s() - start_s) * 1e6 / count);
	printf("client_us %.2f\n", (cpu_s() - start_cpu_s) * 1e6 / count);
	return 0;
}
