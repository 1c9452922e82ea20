/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/bench/clock.h"

/*
 * Delivers mail into the postoffice in the current directory, as fast as it
 * goes, and prints how many messages a second became durable.
 *
 * One delivery is what a mail program does: create a MAI of 1 to 100 KB (log
 * uniform) and a P1 of 200 bytes, and, while it has the KEY open, which is the
 * lock, append a record of 116 bytes to the MBG, read the KEY and write 16
 * bytes of it. Each writer has a mailbag of its own, the first INQUEUE3.
 *
 * What is synced: "each" syncs every one of the four files, which any file
 * system needs; "none" syncs nothing, which suffices where letting go of a lock
 * is a commit.
 */

#define MBG_RECORD 116
#define MBG_START  116000
#define KEY_SIZE   560
#define P1_SIZE    200
#define MAI_MIN    1024.0
#define MAI_MAX    102400.0
#define NAME_SIZE  64

typedef struct Writer {
	unsigned id;
	double end_s;
	int sync_each;
	unsigned seed;
	char body[(size_t)MAI_MAX];
} Writer;

static void
sync_file(int fd)
{
	if (fsync(fd) < 0)
		err(1, "fsync");
}

static void
put_file(const Writer *writer, const char *name, const void *data, size_t size)
{
	int fd = must_open(AT_FDCWD, name, O_WRONLY | O_CREAT | O_EXCL);

	must_write(fd, data, size, 0);
	if (writer->sync_each)
		sync_file(fd);
	must_close(fd);
}

static void
append_file(const Writer *writer, const char *name, off_t offset)
{
	int fd = must_open(AT_FDCWD, name, O_RDWR);

	must_write(fd, writer->body, MBG_RECORD, offset);
	if (writer->sync_each)
		sync_file(fd);
	must_close(fd);
}

/* "KEY/00000002.KEY" */
static void
mailbag_name(unsigned id, const char *kind, char name[NAME_SIZE])
{
	if (id == 1)
		snprintf(name, NAME_SIZE, "%s/INQUEUE3.%s", kind, kind);
	else
		snprintf(name, NAME_SIZE, "%s/%08X.%s", kind, id, kind);
}

static size_t
mai_size(Writer *writer)
{
	double x = (double)rand_r(&writer->seed) / RAND_MAX;

	return (size_t)(MAI_MIN * pow(MAI_MAX / MAI_MIN, x));
}

static void
deliver(Writer *writer, unsigned number)
{
	uint8_t key[KEY_SIZE];
	char name[NAME_SIZE];
	int fd;

	snprintf(name, sizeof(name), "MAI/MA%X/%X%07X.MAI", number % 16,
	         writer->id, number);
	put_file(writer, name, writer->body, mai_size(writer));
	snprintf(name, sizeof(name), "P1/%X%07X.P1", writer->id, number);
	put_file(writer, name, writer->body, P1_SIZE);

	mailbag_name(writer->id, "KEY", name);
	fd = must_open(AT_FDCWD, name, O_RDWR);
	mailbag_name(writer->id, "MBG", name);
	append_file(writer, name, MBG_START + (off_t)MBG_RECORD * number);
	must_read(fd, key, sizeof(key), 0);
	must_write(fd, key, 16, (off_t)16 * (number % 30));
	if (writer->sync_each)
		sync_file(fd);
	must_close(fd);
}

static unsigned
deliver_until(Writer *writer)
{
	unsigned count = 0;

	while (now_s() < writer->end_s)
		deliver(writer, count++);
	return count;
}

/* A postoffice as the writers need it. */
static void
prepare(unsigned writers)
{
	static const char *const dirs[] = { "KEY", "MBG", "P1", "MAI" };
	static const uint8_t zeros[MBG_START]; /* 1000 records */
	char name[NAME_SIZE];
	int dir;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (mkdir(dirs[i], 0777) < 0)
			err(1, "mkdir %s", dirs[i]);
	for (unsigned i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "MAI/MA%X", i);
		if (mkdir(name, 0777) < 0)
			err(1, "mkdir %s", name);
	}
	for (unsigned i = 0; i < writers; i++) {
		int fd;

		mailbag_name(i + 1, "MBG", name);
		fd = must_open(AT_FDCWD, name, O_WRONLY | O_CREAT);
		must_write(fd, zeros, sizeof(zeros), 0);
		must_close(fd);
		mailbag_name(i + 1, "KEY", name);
		fd = must_open(AT_FDCWD, name, O_WRONLY | O_CREAT);
		must_write(fd, zeros, KEY_SIZE, 0);
		must_close(fd);
	}
	dir = must_open(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY);
	must_settle(dir);
	must_close(dir);
}

/* Runs one writer as a process of its own; its count goes to @report. */
static void
start_writer(const Writer *template, unsigned id, int report)
{
	static Writer writer;
	unsigned count;
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (child > 0)
		return;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	writer = *template;
	writer.id = id;
	writer.seed = id;
	count = deliver_until(&writer);
	if (write(report, &count, sizeof(count)) != sizeof(count))
		err(1, "pipe");
	_exit(0);
}

static unsigned long
sum_of_reports(int report, unsigned writers)
{
	unsigned long sum = 0;

	for (unsigned i = 0; i < writers; i++) {
		unsigned count;

		if (read(report, &count, sizeof(count)) != sizeof(count))
			errx(1, "a writer failed");
		sum += count;
	}
	while (wait(NULL) > 0)
		;
	return sum;
}

int
main(int argc, char **argv)
{
	static Writer writer;
	unsigned long sum;
	unsigned writers;
	double start;
	int report[2];

	if (argc != 5)
		errx(2, "usage: mail DIR WRITERS SECONDS each|none");
	if (chdir(argv[1]) < 0)
		err(1, "%s", argv[1]);
	writers = must_number(argv[2]);
	writer.sync_each = strcmp(argv[4], "each") == 0;
	memset(writer.body, 'x', sizeof(writer.body));
	if (pipe(report) < 0)
		err(1, "pipe");

	prepare(writers);
	start = now_s();
	writer.end_s = start + must_number(argv[3]);
	for (unsigned i = 0; i < writers; i++)
		start_writer(&writer, i + 1, report[1]);
	must_close(report[1]);

	sum = sum_of_reports(report[0], writers);
	printf("deliveries_per_s %.1f\n", (double)sum / (now_s() - start));
	return 0;
}
