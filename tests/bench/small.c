/* SPDX-License-Identifier: BSD-2-Clause */
#include <sys/stat.h>

#include "tests/bench/clock.h"

/*
 * Creates, looks at, reads and removes small files in the current directory,
 * and prints the microseconds that each takes. Nothing is synced.
 */

#define FILE_SIZE 1024

static void
file_name(unsigned i, char name[16])
{
	snprintf(name, 16, "F%07u.DAT", i);
}

static void
create_one(int dir, const char *name)
{
	static const char content[FILE_SIZE];
	int fd = must_open(dir, name, O_WRONLY | O_CREAT | O_EXCL);

	must_write(fd, content, sizeof(content), 0);
	must_close(fd);
}

static void
stat_one(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, 0) < 0 || st.st_size != FILE_SIZE)
		err(1, "stat %s", name);
}

static void
read_one(int dir, const char *name)
{
	char content[FILE_SIZE];
	int fd = must_open(dir, name, O_RDONLY);

	must_read(fd, content, sizeof(content), 0);
	must_close(fd);
}

static void
unlink_one(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) < 0)
		err(1, "unlink %s", name);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(int dir, const char *name);
	} steps[] = {
		{ "create", create_one },
		{ "stat", stat_one },
		{ "read", read_one },
		{ "unlink", unlink_one },
	};
	unsigned count;
	int dir;

	if (argc != 3)
		errx(2, "usage: small DIR COUNT");
	dir = must_open(AT_FDCWD, argv[1], O_RDONLY | O_DIRECTORY);
	count = must_number(argv[2]);

	for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
		double start = now_s();

		for (unsigned i = 0; i < count; i++) {
			char name[16];

			file_name(i, name);
			steps[s].run(dir, name);
		}
		printf("%s_us %.2f\n", steps[s].name,
		       (now_s() - start) * 1e6 / count);
	}
	return 0;
}
