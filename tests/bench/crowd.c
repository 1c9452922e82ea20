/* SPDX-License-Identifier: BSD-2-Clause */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/bench/clock.h"

/*
 * Many processes, each a session, with the KEY files of the current directory,
 * a postoffice. Says "ready" when they are at it, and ends when its standard
 * input does.
 *
 *   read   each opens, reads and closes its share of the files every second
 *   stat   each looks at the attributes of every file every second
 *   wait   one has INQUEUE3.KEY, the others wait for it
 *   pass   all of them want INQUEUE3.KEY, again and again; prints the median
 *          and the slowest hundredth of the times from when one begins to close
 *          it to when the next has it, in microseconds
 *   work   the same, and who has it writes to it: a commit each time
 */

#define KEY_SIZE 560
#define PASSES   100000

typedef struct Shared {
	unsigned at_it; /* processes */
	unsigned count; /* passes */
	double left_s;  /* when the lock was let go; 0 at first */
	double passes_us[PASSES];
} Shared;

static Shared *shared;
static unsigned processes;
static unsigned files;

static void
key_read(unsigned number)
{
	uint8_t content[KEY_SIZE];
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "KEY/%08X.KEY", number);
	fd = must_open(AT_FDCWD, name, O_RDONLY);
	must_read(fd, content, sizeof(content), 0);
	must_close(fd);
}

static void
key_stat(unsigned number)
{
	struct stat st;
	char name[32];

	snprintf(name, sizeof(name), "KEY/%08X.KEY", number);
	if (stat(name, &st) < 0)
		err(1, "%s", name);
}

static void
sleep_until(double until_s)
{
	struct timespec at = {
		.tv_sec = (time_t)until_s,
		.tv_nsec = (long)((until_s - (double)(time_t)until_s) * 1e9),
	};

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* Spread over the second, as those of machines that know nothing of each other
 * are. */
static void
poll_keys(unsigned id, void (*look)(unsigned), unsigned first, unsigned step)
{
	double next_s = now_s() + (double)id / processes;

	__atomic_add_fetch(&shared->at_it, 1, __ATOMIC_SEQ_CST);
	for (;; next_s += 1) {
		sleep_until(next_s);
		for (unsigned i = first; i < files; i += step)
			look(i);
	}
}

static void
run_read(unsigned id)
{
	poll_keys(id, key_read, id, processes);
}

static void
run_stat(unsigned id)
{
	poll_keys(id, key_stat, 0, 1);
}

/* The first has it; the others are at it when they are about to wait. */
static void
run_wait(unsigned id)
{
	while (id > 0 && __atomic_load_n(&shared->at_it, __ATOMIC_SEQ_CST) == 0)
		sleep_until(now_s() + 0.001);
	if (id > 0)
		__atomic_add_fetch(&shared->at_it, 1, __ATOMIC_SEQ_CST);
	(void)must_open(AT_FDCWD, "KEY/INQUEUE3.KEY", O_RDWR);
	if (id == 0)
		__atomic_add_fetch(&shared->at_it, 1, __ATOMIC_SEQ_CST);
	for (;;)
		(void)pause();
}

/* What is shared is the holder's. */
static void
pass_on(size_t size)
{
	static const uint8_t content[KEY_SIZE];

	__atomic_add_fetch(&shared->at_it, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		int fd = must_open(AT_FDCWD, "KEY/INQUEUE3.KEY", O_RDWR);

		if (shared->left_s > 0 && shared->count < PASSES)
			shared->passes_us[shared->count++] =
				(now_s() - shared->left_s) * 1e6;
		must_write(fd, content, size, 0);
		shared->left_s = now_s();
		must_close(fd);
	}
}

static void
run_pass(unsigned id)
{
	(void)id;
	pass_on(0);
}

static void
run_work(unsigned id)
{
	(void)id;
	pass_on(16);
}

static void
start(void (*run)(unsigned id), unsigned id)
{
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (child > 0)
		return;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run(id);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
print_passes(void)
{
	unsigned count = shared->count;

	if (count == 0)
		errx(1, "it was never passed on");
	qsort(shared->passes_us, count, sizeof(double), compare);
	printf("median_us %.1f\n", shared->passes_us[count / 2]);
	printf("slowest_us %.1f\n", shared->passes_us[count * 99 / 100]);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(unsigned id);
	} kinds[] = {
		{ "read", run_read }, { "stat", run_stat },
		{ "wait", run_wait }, { "pass", run_pass },
		{ "work", run_work },
	};
	void (*run)(unsigned id) = NULL;
	char byte;

	if (argc != 5)
		errx(2, "usage: crowd DIR KIND PROCESSES FILES");
	if (chdir(argv[1]) < 0)
		err(1, "%s", argv[1]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(argv[2], kinds[i].name) == 0)
			run = kinds[i].run;
	if (run == NULL)
		errx(2, "no such kind: %s", argv[2]);
	processes = must_number(argv[3]);
	files = must_number(argv[4]);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");

	for (unsigned id = 0; id < processes; id++)
		start(run, id);
	while (__atomic_load_n(&shared->at_it, __ATOMIC_SEQ_CST) < processes)
		sleep_until(now_s() + 0.001);
	printf("ready\n");
	(void)fflush(stdout);
	while (read(0, &byte, 1) > 0)
		continue;

	if (run == run_pass || run == run_work)
		print_passes();
	(void)fflush(stdout);
	/* The others end with us. */
	return 0;
}
