/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Cuts the power at many moments of a log of pcut.c, and judges what is left.
 *
 *	replay [OPTION...] LOG SCRATCH
 *
 * Each state is checked by a child, for a damaged database may kill who reads
 * it. Prints a line for each fault and at last one line of JSON; exits with 1
 * if there was a fault.
 *
 *   --count N      how many states
 *   --seed N       which; the same again for the same log
 *   --strict       names need a sync of their directory
 *   --store NAME   of the store in the log's directory; without it, the
 *                  directory itself is judged, as plain files
 *   --command C    run for each state, with it as the working directory; what
 *                  it prints is the state of the subject ".", instead
 *   --device TYPE  the log is of blklog.c: what a cut leaves is a disk with a
 *                  file system of this type, which is mounted to be judged
 *   --audit C      run for each state that is right; must succeed
 *   --pick         chooses one state and leaves it in SCRATCH/state: prints
 *                  what has been promised there, judges nothing
 */

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/torture/device.h"
#include "tests/torture/disk.h"
#include "tests/torture/history.h"
#include "tests/torture/state.h"

static const char *const loss_names[DISK_LOSSES] = {
	[DISK_DROP] = "drop",     [DISK_KEEP] = "keep",
	[DISK_PREFIX] = "prefix", [DISK_SUFFIX] = "suffix",
	[DISK_PAGE] = "page",     [DISK_SECTOR] = "sector",
};

/* How a state was found to be; the exit codes of who looks. */
typedef enum Verdict {
	VERDICT_RIGHT,
	VERDICT_LOST,
	VERDICT_TORN,
	VERDICT_REFUSED, /* is no sound store */
	VERDICT_AUDIT,   /* the audit has failed */
	VERDICT_DEAD,    /* who looked was killed */
	VERDICTS,
} Verdict;

static const char *const verdict_names[VERDICTS] = {
	[VERDICT_RIGHT] = "right",     [VERDICT_LOST] = "lost",
	[VERDICT_TORN] = "torn",       [VERDICT_REFUSED] = "refused",
	[VERDICT_AUDIT] = "suspected", [VERDICT_DEAD] = "deadly",
};

typedef struct Replay {
	gint count;
	gint seed;
	gboolean is_strict;
	gboolean is_pick;
	char *store;   /* owned */
	char *command; /* owned */
	char *audit;   /* owned */
	char *device;  /* owned */
	const char *log;
	char *state; /* the directory that states are shown in; owned */
	char *place; /* the one in which they are judged; owned */
	GRand *random;
	History *history;
	uint64_t noted; /* records that the history has */
	uint64_t counts[VERDICTS];
} Replay;

/* ---- judging, in a child -------------------------------------------------*/

typedef struct Judging {
	const Replay *replay;
	StateReader *reader;
	Verdict verdict;
} Judging;

static char *
run_command(const char *command, int *ret_status)
{
	g_autofree char *said = NULL;

	if (!g_spawn_command_line_sync(command, &said, NULL, ret_status, NULL))
		errx(2, "%s: cannot be run", command);
	return g_strdup(g_strstrip(said));
}

static char *
state_of(const Judging *judging, const char *subject)
{
	const Replay *replay = judging->replay;
	int status;

	if (replay->command != NULL)
		return run_command(replay->command, &status);
	if (replay->store != NULL)
		return state_of_subject(judging->reader, subject);
	return state_of_directory(subject);
}

static void
judge_subject(void *user_data, const char *subject, uint64_t acked,
              uint64_t begun)
{
	Judging *judging = user_data;
	g_autofree char *state = state_of(judging, subject);

	if (judging->verdict != VERDICT_RIGHT)
		return;
	switch (history_judge(judging->replay->history, subject, state)) {
	case HISTORY_LOST:
		judging->verdict = VERDICT_LOST;
		break;
	case HISTORY_TORN:
		judging->verdict = VERDICT_TORN;
		break;
	case HISTORY_RIGHT:
	default:
		return;
	}
	printf("  %s, steps %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
	       ": %s\n",
	       subject, acked, begun, state);
}

static Verdict
judge(const Replay *replay)
{
	Judging judging = { .replay = replay };
	g_autofree char *reason = NULL;
	g_autofree char *said = NULL;
	int status = 0;

	if (chdir(replay->place) < 0)
		err(2, "%s", replay->place);
	if (replay->store != NULL)
		judging.reader = state_reader_open(replay->store, &reason);
	if (reason != NULL) {
		printf("  %s\n", reason);
		return VERDICT_REFUSED;
	}
	history_visit(replay->history, judge_subject, &judging);
	state_reader_close(judging.reader);
	if (judging.verdict != VERDICT_RIGHT || replay->audit == NULL ||
	    judging.reader == NULL)
		return judging.verdict;
	said = run_command(replay->audit, &status);
	if (status == 0)
		return VERDICT_RIGHT;
	printf("  %s\n", said);
	return VERDICT_AUDIT;
}

static Verdict
judge_in_child(const Replay *replay)
{
	pid_t child;
	int status;

	(void)fflush(stdout);
	child = fork();
	if (child < 0)
		err(2, "fork");
	if (child == 0) {
		Verdict verdict = judge(replay);

		(void)fflush(stdout);
		_exit((int)verdict + 10);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) >= 10)
		return (Verdict)(WEXITSTATUS(status) - 10);
	return VERDICT_DEAD;
}

/* Judges the file system that is on the disk of that state. */
static Verdict
judge_device(const Replay *replay)
{
	g_autofree char *image = g_build_filename(replay->state, "image", NULL);
	Verdict verdict;

	if (!device_mount(image, replay->device, replay->place))
		return VERDICT_REFUSED;
	verdict = judge_in_child(replay);
	device_unmount(replay->place);
	return verdict;
}

/* ---- cuts ----------------------------------------------------------------*/

/* Notes what was promised before record @end. */
static void
note_promises(Replay *replay, const Disk *disk, uint64_t end)
{
	for (; replay->noted < end; replay->noted++) {
		DiskRecord record = disk_record(disk, replay->noted);
		const char *text = (const char *)record.payload;

		if (record.head->type == PCUT_BEGIN)
			history_begin(replay->history, text);
		else if (record.head->type == PCUT_ACK)
			history_acknowledge(replay->history, text);
	}
}

/* Where the first cut may be: after what was there before. */
static uint64_t
find_start(const Disk *disk)
{
	uint64_t start = 0;

	while (start < disk_count(disk) &&
	       disk_record(disk, start).head->type != PCUT_ACK)
		start++;
	return start + 1;
}

/* The number of a record around which to cut: any, or one with a sync. */
static uint64_t
choose_cut(const Replay *replay, const GArray *syncs, uint64_t start,
           uint64_t count)
{
	uint64_t cut;

	if (syncs->len == 0 || g_rand_boolean(replay->random))
		return start +
		       (uint64_t)g_rand_double_range(
			       replay->random, 0, (double)(count - start + 1));
	cut = g_array_index(
		syncs, uint64_t,
		g_rand_int_range(replay->random, 0, (gint32)syncs->len));
	cut += (uint64_t)g_rand_int_range(replay->random, 0, 3);
	return CLAMP(cut, start + 1, count + 1) - 1;
}

static int
compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* All cuts, in order. */
static GArray *
choose_cuts(const Replay *replay, const Disk *disk)
{
	GArray *cuts = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_autoptr(GArray) syncs = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	uint64_t start = find_start(disk);
	uint64_t count = disk_count(disk);

	if (start > count)
		errx(2, "the log acknowledges nothing");
	for (uint64_t i = start; i < count; i++) {
		const PcutRecord *head = disk_record(disk, i).head;

		if (head->type == PCUT_SYNC || head->type == PCUT_FAILED ||
		    head->flags != 0)
			g_array_append_val(syncs, i);
	}
	for (gint i = 0; i < replay->count; i++) {
		uint64_t cut = choose_cut(replay, syncs, start, count);

		g_array_append_val(cuts, cut);
	}
	g_array_sort(cuts, compare_numbers);
	return cuts;
}

static DiskLoss
choose_loss(const Replay *replay)
{
	return (DiskLoss)g_rand_int_range(replay->random, 0, DISK_LOSSES);
}

static void
judge_cut(Replay *replay, Disk *disk, uint64_t cut)
{
	DiskLoss loss = choose_loss(replay);
	Verdict verdict;

	note_promises(replay, disk, cut);
	disk_advance(disk, cut);
	disk_show(disk, loss, replay->state);
	verdict = replay->device != NULL ? judge_device(replay)
	                                 : judge_in_child(replay);
	disk_hide(disk);
	replay->counts[verdict]++;
	if (verdict != VERDICT_RIGHT)
		printf("%s: cut before record %" G_GUINT64_FORMAT
		       " of %s, seed %d, %s\n",
		       verdict_names[verdict], cut, replay->log, replay->seed,
		       loss_names[loss]);
}

static void
print_promise(void *user_data, const char *subject, uint64_t acked,
              uint64_t begun)
{
	bool *is_first = user_data;

	printf("%s\"%s\": [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "]",
	       *is_first ? "" : ", ", subject, acked, begun);
	*is_first = false;
}

/* Leaves the state of one cut where it was shown. */
static int
pick(Replay *replay, Disk *disk)
{
	g_autoptr(GArray) cuts = choose_cuts(replay, disk);
	uint64_t cut = g_array_index(cuts, uint64_t, 0);
	bool is_first = true;

	note_promises(replay, disk, cut);
	disk_advance(disk, cut);
	disk_show(disk, choose_loss(replay), replay->state);
	printf("{");
	history_visit(replay->history, print_promise, &is_first);
	printf("}\n");
	return 0;
}

static int
judge_all(Replay *replay, Disk *disk)
{
	g_autoptr(GArray) cuts = choose_cuts(replay, disk);
	gint64 start_us = g_get_monotonic_time();

	for (guint i = 0; i < cuts->len; i++)
		judge_cut(replay, disk, g_array_index(cuts, uint64_t, i));
	printf("{\"states\": %u, \"records\": %" G_GUINT64_FORMAT, cuts->len,
	       disk_count(disk));
	for (int i = 0; i < VERDICTS; i++)
		printf(", \"%s\": %" G_GUINT64_FORMAT, verdict_names[i],
		       replay->counts[i]);
	printf(", \"seconds\": %.3f}\n",
	       (double)(g_get_monotonic_time() - start_us) / G_USEC_PER_SEC);
	return replay->counts[VERDICT_RIGHT] == cuts->len ? 0 : 1;
}

int
main(int argc, char **argv)
{
	Replay replay = { .count = 1 };
	const GOptionEntry entries[] = {
		{ .long_name = "count", 0, 0, G_OPTION_ARG_INT, &replay.count },
		{ .long_name = "seed", 0, 0, G_OPTION_ARG_INT, &replay.seed },
		{ .long_name = "strict",
		  0,
		  0,
		  G_OPTION_ARG_NONE,
		  &replay.is_strict },
		{ .long_name = "pick",
		  0,
		  0,
		  G_OPTION_ARG_NONE,
		  &replay.is_pick },
		{ .long_name = "store",
		  0,
		  0,
		  G_OPTION_ARG_STRING,
		  &replay.store },
		{ .long_name = "command",
		  0,
		  0,
		  G_OPTION_ARG_STRING,
		  &replay.command },
		{ .long_name = "device",
		  0,
		  0,
		  G_OPTION_ARG_STRING,
		  &replay.device },
		{ .long_name = "audit",
		  0,
		  0,
		  G_OPTION_ARG_STRING,
		  &replay.audit },
		{ .long_name = NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new("LOG SCRATCH");
	g_autoptr(GError) error = NULL;
	Disk *disk;
	int status;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 3)
		errx(2, "usage: replay [OPTION...] LOG SCRATCH");
	replay.log = argv[1];
	replay.state = g_build_filename(argv[2], "state", NULL);
	replay.place = g_build_filename(
		argv[2], replay.device != NULL ? "mnt" : "state", NULL);
	replay.random = g_rand_new_with_seed((guint32)replay.seed);
	replay.history = history_new();
	disk = disk_open(
		argv[1], argv[2], replay.is_strict ? DISK_STRICT : DISK_ORDERED,
		replay.device != NULL ? DISK_PAGE_SIZE : DISK_SECTOR_SIZE,
		replay.random);
	status =
		replay.is_pick ? pick(&replay, disk) : judge_all(&replay, disk);
	disk_close(disk);
	history_free(replay.history);
	g_rand_free(replay.random);
	g_free(replay.state);
	g_free(replay.store);
	g_free(replay.command);
	g_free(replay.audit);
	g_free(replay.device);
	g_free(replay.place);
	return status;
}
