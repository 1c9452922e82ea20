/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/bench/clock.h"

/*
 * Grows a directory and prints, at each of the sizes asked for, what it costs
 * there to create a file, to find one that exists and one that does not (in
 * microseconds), and to list the whole directory (in milliseconds).
 *
 * Names are looked up in an order that no cache foresees.
 */

#define PROBES 500

/* Numbers below @size, far apart from one to the next. */
static unsigned
scatter(unsigned i, unsigned size)
{
	return (unsigned)((uint64_t)i * 2654435761U % size);
}

static void
create_one(int dir, unsigned i)
{
	char name[16];

	snprintf(name, sizeof(name), "F%07u.DAT", i);
	must_close(must_open(dir, name, O_WRONLY | O_CREAT | O_EXCL));
}

static void
grow(int dir, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		create_one(dir, i);
}

static void
find(int dir, unsigned size, int exists)
{
	for (unsigned i = 0; i < PROBES; i++) {
		struct stat st;
		char name[16];
		int r;

		snprintf(name, sizeof(name), exists ? "F%07u.DAT" : "G%07u.DAT",
		         scatter(i, size));
		r = fstatat(dir, name, &st, 0);
		if (exists ? r < 0 : r == 0 || errno != ENOENT)
			err(1, "stat %s", name);
	}
}

static void
list(const char *path, unsigned size)
{
	unsigned count = 0;
	DIR *dir = opendir(path);

	if (dir == NULL)
		err(1, "%s", path);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	if (count != size + 2)
		errx(1, "%s lists %u of %u", path, count, size + 2);
}

/* The kernel must not answer for the file system. */
static void
drop_caches(void)
{
	int fd = must_open(AT_FDCWD, "/proc/sys/vm/drop_caches", O_WRONLY);

	if (write(fd, "2", 1) != 1)
		err(1, "drop_caches");
	must_close(fd);
}

static double
measure_list(const char *path, unsigned size)
{
	double best = 1e9;

	for (int i = 0; i < 3; i++) {
		double start;

		drop_caches();
		start = now_s();
		list(path, size);
		start = now_s() - start;
		if (start < best)
			best = start;
	}
	return best;
}

int
main(int argc, char **argv)
{
	unsigned size = 0;
	int dir;

	if (argc < 3)
		errx(2, "usage: directory DIR SIZE...");
	dir = must_open(AT_FDCWD, argv[1], O_RDONLY | O_DIRECTORY);

	for (int i = 2; i < argc; i++) {
		unsigned wanted = must_number(argv[i]);
		double start;

		if (wanted < size + PROBES)
			errx(2, "sizes must grow by %u at least", PROBES);
		grow(dir, size, wanted - PROBES);
		must_settle(dir);

		start = now_s();
		grow(dir, wanted - PROBES, wanted);
		printf("create_%u_us %.2f\n", wanted,
		       (now_s() - start) * 1e6 / PROBES);

		drop_caches();
		start = now_s();
		find(dir, wanted, 1);
		printf("find_%u_us %.2f\n", wanted,
		       (now_s() - start) * 1e6 / PROBES);

		start = now_s();
		find(dir, wanted, 0);
		printf("miss_%u_us %.2f\n", wanted,
		       (now_s() - start) * 1e6 / PROBES);

		printf("list_%u_ms %.2f\n", wanted,
		       measure_list(argv[1], wanted) * 1e3);
		size = wanted;
	}
	return 0;
}
