/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs that change one mailbag and die while they do, at any instant, and
 * others that look at it.
 *
 *	mortals DIRECTORY KILLS LOOKERS SEED flock|ofd|posix
 *
 * At least KILLS die, and until a fifth as many have looked with the lock.
 * The last word is how they lock the KEY, for as long as they have it open.
 * LOOKERS of them only look at it with the lock, again and again.
 *
 * All of KEY and MBG says the same number, over and over; a change makes it the
 * next one, in several writes. Who has the lock must see one number in both, and
 * one that is not lower than any that was acknowledged; who looks without a
 * lock, one number in each. Prints how often that was looked at, and was not so.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY_WORDS 70
#define MBG_WORDS 290
#define PIECES    5
#define WRITERS   3
#define LOOKERS   16
#define LOOKS     50 /* before who looks opens the files again */
#define PAUSE_US  200
#define LIFE_US   4000 /* at most */
#define TURN_US   1000 /* more of it, for each who has the lock in between */

/* What all of them share. */
typedef struct Tally {
	atomic_uint_fast64_t killed;
	atomic_uint_fast64_t acknowledged; /* the highest number */
	atomic_uint_fast64_t locked;       /* looks, of who writes then */
	atomic_uint_fast64_t shared;       /* and of who only looks */
	atomic_uint_fast64_t unlocked;
	atomic_uint_fast64_t torn;
	atomic_uint_fast64_t lost;
	atomic_uint_fast64_t failed;
	atomic_bool is_over;
} Tally;

typedef struct Mailbag {
	char key[256];
	char mbg[256];
	const char *form; /* of its lock */
} Mailbag;

/* What nobody's death is a reason for; errno says why. */
static void
failure_tell(Tally *tally, const char *what)
{
	tally->failed++;
	warn("%s", what);
}

/* Whether all of a file, @count words, is one number: that one. */
static bool
file_read(int fd, unsigned count, uint64_t *ret_number)
{
	uint64_t words[MBG_WORDS];
	ssize_t size = (ssize_t)(count * sizeof words[0]);

	if (pread(fd, words, (size_t)size, 0) != size)
		return false;

	for (unsigned i = 1; i < count; i++)
		if (words[i] != words[0])
			return false;
	*ret_number = words[0];
	return true;
}

/* One of PIECES of a file; it may be the last thing that is done. */
static bool
piece_write(int fd, unsigned count, unsigned piece, uint64_t number)
{
	uint64_t words[MBG_WORDS];
	unsigned from = count * piece / PIECES;
	ssize_t size = (ssize_t)((count * (piece + 1) / PIECES - from) *
	                         sizeof words[0]);

	for (unsigned i = 0; i < count; i++)
		words[i] = number;
	if (rand() % 2 == 0)
		usleep((useconds_t)(rand() % PAUSE_US));
	return pwrite(fd, words, (size_t)size,
	              (off_t)(from * sizeof words[0])) == size;
}

/* Looks at what is locked; returns the number of the KEY. */
static uint64_t
pair_look(Tally *tally, int key, int mbg)
{
	uint64_t acknowledged = tally->acknowledged;
	uint64_t number = 0;
	uint64_t other = 0;
	bool is_whole = file_read(key, KEY_WORDS, &number) &&
	                file_read(mbg, MBG_WORDS, &other) && number == other;

	if (!is_whole)
		tally->torn++;
	else if (number < acknowledged)
		tally->lost++;
	return number;
}

static void
number_acknowledge(Tally *tally, uint64_t number)
{
	uint64_t known = tally->acknowledged;

	while (known < number && !atomic_compare_exchange_weak(
					 &tally->acknowledged, &known, number))
		continue;
}

/* @type is F_WRLCK, F_RDLCK or F_UNLCK. */
static bool
key_lock(const Mailbag *mailbag, int key, short type)
{
	static const int operations[] = {
		[F_WRLCK] = LOCK_EX,
		[F_RDLCK] = LOCK_SH,
		[F_UNLCK] = LOCK_UN,
	};
	struct flock whole = { .l_type = type };

	if (strcmp(mailbag->form, "flock") == 0)
		return flock(key, operations[type]) == 0;

	return fcntl(key,
	             strcmp(mailbag->form, "ofd") == 0 ? F_OFD_SETLKW
	                                               : F_SETLKW,
	             &whole) == 0;
}

static void
pair_change(Tally *tally, const Mailbag *mailbag)
{
	int key = open(mailbag->key, O_RDWR);
	int mbg = key < 0 || !key_lock(mailbag, key, F_WRLCK)
	                  ? -1
	                  : open(mailbag->mbg, O_RDWR);
	bool is_done = mbg >= 0;
	uint64_t number;

	if (!is_done) {
		failure_tell(tally, key < 0 ? "a KEY to change" : "its lock");
		return;
	}
	number = pair_look(tally, key, mbg) + 1;
	tally->locked++;
	for (unsigned piece = 0; piece < PIECES; piece++)
		is_done = is_done &&
		          piece_write(key, KEY_WORDS, piece, number) &&
		          piece_write(mbg, MBG_WORDS, piece, number);
	is_done = close(mbg) == 0 && is_done;
	is_done = close(key) == 0 && is_done;
	if (is_done)
		number_acknowledge(tally, number);
	else
		failure_tell(tally, "a change");
}

/* Writes nothing, and has the files open for reading only: it is the lock that
 * keeps the others out. */
static void
pair_look_locked(Tally *tally, const Mailbag *mailbag)
{
	int key = open(mailbag->key, O_RDONLY);
	int mbg = open(mailbag->mbg, O_RDONLY);
	bool is_done = key >= 0 && mbg >= 0;

	for (int i = 0; is_done && i < LOOKS && !tally->is_over; i++) {
		is_done = key_lock(mailbag, key, F_RDLCK);
		if (is_done) {
			(void)pair_look(tally, key, mbg);
			tally->shared++;
		}
		is_done = is_done && key_lock(mailbag, key, F_UNLCK);
	}
	is_done = close(mbg) == 0 && is_done;
	is_done = close(key) == 0 && is_done;
	if (!is_done)
		failure_tell(tally, "a look with the lock");
}

static void
file_look(Tally *tally, const char *path, unsigned count)
{
	int fd = open(path, O_RDONLY);
	uint64_t number;

	if (fd < 0) {
		failure_tell(tally, "a look");
		return;
	}
	tally->unlocked++;
	if (!file_read(fd, count, &number))
		tally->torn++;
	close(fd);
}

/* What a mortal does again and again. */
typedef void Deed(Tally *tally, const Mailbag *mailbag);

static void
pair_look_unlocked(Tally *tally, const Mailbag *mailbag)
{
	file_look(tally, mailbag->key, KEY_WORDS);
	file_look(tally, mailbag->mbg, MBG_WORDS);
}

/* One that changes, or looks, until it is killed or all is over. */
static pid_t
mortal_start(Tally *tally, const Mailbag *mailbag, Deed *deed)
{
	int seed = rand();
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid != 0)
		return pid;

	/* Or else it would outlive one that has died before this. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	srand((unsigned)seed);
	while (getppid() == parent && !tally->is_over)
		deed(tally, mailbag);
	_exit(0);
}

static void
mailbag_make(const Mailbag *mailbag)
{
	int key = open(mailbag->key, O_RDWR | O_CREAT, 0666);
	int mbg = open(mailbag->mbg, O_RDWR | O_CREAT, 0666);

	for (unsigned piece = 0; piece < PIECES; piece++)
		if (!piece_write(key, KEY_WORDS, piece, 0) ||
		    !piece_write(mbg, MBG_WORDS, piece, 0))
			err(1, "%s", mailbag->key);
	if (close(mbg) < 0 || close(key) < 0)
		err(1, "%s", mailbag->key);
}

/* Kills one after the other, and has another one in its place. */
static void
mortals_kill(Tally *tally, const Mailbag *mailbag, int kills, int lookers)
{
	pid_t writers[WRITERS];

	(void)mortal_start(tally, mailbag, pair_look_unlocked);
	for (int i = 0; i < lookers; i++)
		(void)mortal_start(tally, mailbag, pair_look_locked);
	for (int i = 0; i < WRITERS; i++)
		writers[i] = mortal_start(tally, mailbag, pair_change);
	/* On a busy machine few get to have the lock before they die. */
	for (int i = 0; i < kills || tally->locked <= (unsigned)kills / 5;
	     i++) {
		int victim = rand() % WRITERS;
		int status;

		usleep((useconds_t)(rand() % (LIFE_US + lookers * TURN_US)));
		kill(writers[victim], SIGKILL);
		waitpid(writers[victim], &status, 0);
		tally->killed += WIFSIGNALED(status);
		writers[victim] = mortal_start(tally, mailbag, pair_change);
	}
	tally->is_over = true;
	while (wait(NULL) > 0)
		continue;
}

int
main(int argc, char **argv)
{
	Tally *tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE,
	                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	Mailbag mailbag;

	if (argc != 6 || tally == MAP_FAILED)
		errx(2, "usage: mortals DIRECTORY KILLS LOOKERS SEED FORM");

	snprintf(mailbag.key, sizeof mailbag.key, "%s/KEY/A.KEY", argv[1]);
	snprintf(mailbag.mbg, sizeof mailbag.mbg, "%s/MBG/A.MBG", argv[1]);
	mailbag.form = argv[5];
	srand((unsigned)atoi(argv[4]));
	mailbag_make(&mailbag);
	mortals_kill(tally, &mailbag, atoi(argv[2]), atoi(argv[3]));
	printf("{\"killed\": %ju, \"acknowledged\": %ju, \"locked\": %ju, "
	       "\"shared\": %ju, \"unlocked\": %ju, \"torn\": %ju, \"lost\": %ju, "
	       "\"failed\": %ju}\n",
	       (uintmax_t)tally->killed, (uintmax_t)tally->acknowledged,
	       (uintmax_t)tally->locked, (uintmax_t)tally->shared,
	       (uintmax_t)tally->unlocked, (uintmax_t)tally->torn,
	       (uintmax_t)tally->lost, (uintmax_t)tally->failed);
	return 0;
}
