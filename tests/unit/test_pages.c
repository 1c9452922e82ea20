/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The database file with a bad page: a bit that was flipped in a page of any
 * kind, a page that was swapped with another, zeroed, as it was before, or cut
 * off. Whoever opens it is refused with words, or told of an error; never given
 * other bytes than were written. What is lost is found by a check, and what is
 * left is not written over by who goes on.
 *
 * POFS_FLIPS says how many bits are flipped, POFS_SEED which.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>
#include <xxhash.h>

#include "store/internal.h"
#include "store/kv_lmdb_page.h"
#include "tests/unit/store_kit.h"

#define PAGE      4096
#define PAGE_BITS ((uint64_t)PAGE * 8)
#define FILES     60
#define SIZE      6000
#define SMALL     300

/* How many, unless somebody asks for more: a sanitizer takes its time. */
#ifdef __SANITIZE_ADDRESS__
#define FLIPS 60
#else
#define FLIPS 500
#endif

/* Of a meta page: the second bit of its transaction's number. Without it the
 * newest state looks like one that LMDB has taken back. */
#define UNKNOWN_BIT (144 * 8 + 1)

/* What came of looking at a damaged store; the worst counts. */
typedef enum Verdict {
	WELL,    /* all is there, and a check finds nothing */
	NOTED,   /* the same, but a check finds something */
	REFUSED, /* with words, before anything was read */
	FAULTY,  /* with errors, but nothing that is wrong */
	WRONG,   /* other bytes than were written */
	MISSED,  /* something is not there, and a check finds nothing */
	MUTE,    /* refused without a word */
	VERDICTS,
} Verdict;

static const char *const VERDICT_NAMES[VERDICTS] = {
	"well", "noted", "refused", "faulty", "wrong", "missed", "mute",
};

/* A sound database, which is damaged in many ways. */
typedef struct Bench {
	TestStore *test;
	char *path;    /* of the database; owned */
	char *bytes;   /* owned */
	char *earlier; /* as it was some commits before; owned */
	gsize size;
	gsize earlier_size;
	int fd;
	uint64_t digest;
	guint seen[VERDICTS];
} Bench;

/* ---- what is in it -------------------------------------------------------*/

/* Each file has bytes of its own, and every other one is small. */
static char
fill_of(int number)
{
	return (char)('A' + number % 50);
}

static size_t
size_of(int number)
{
	return number % 2 == 0 ? SIZE : SMALL;
}

static void
add_files(Store *store, StoreNode dir, int from, int to)
{
	int i;

	for (i = from; i < to; i++) {
		g_autofree char *name = g_strdup_printf("f%02d", i);
		g_autofree char *bytes = g_strnfill(SIZE, fill_of(i));
		StoreTxn *txn = NULL;
		StoreAttr attr = { .mode = S_IFREG | 0644 };

		assert_int_equal(store_txn_begin(store, "test", &txn), 0);
		assert_int_equal(store_name_add(txn, dir, name, &attr, &attr),
		                 0);
		assert_int_equal(
			store_file_write(txn, attr.node, 0, bytes, size_of(i)),
			0);
		assert_int_equal(store_txn_commit_wait(&txn), 0);
	}
}

/* Reads file @number; only what is right, or an error, will do. */
static Verdict
look_at_file(Store *store, StoreNode dir, int number)
{
	g_autofree char *name = g_strdup_printf("f%02d", number);
	g_autofree char *want = g_strnfill(SIZE, fill_of(number));
	g_autofree char *got = g_malloc0(SIZE + 1);
	StoreTxn *plain = store_plain(store);
	StoreEntry entry;
	size_t size = 0;
	int r;

	r = store_name_find(plain, dir, name, &entry);
	if (r == 0)
		r = store_file_read(plain, entry.node, 0, got, SIZE + 1, &size);
	if (r == -ENOENT)
		return MISSED;
	if (r < 0)
		return FAULTY;
	return size == size_of(number) && memcmp(got, want, size) == 0 ? WELL
	                                                               : WRONG;
}

static Verdict
look_at_all(Store *store)
{
	Verdict verdict = WELL;
	StoreEntry entry;
	int i;
	int r;

	r = store_name_find(store_plain(store), STORE_ROOT, "d", &entry);
	if (r < 0)
		return r == -ENOENT ? MISSED : FAULTY;
	for (i = 0; i < FILES; i++)
		verdict = MAX(verdict, look_at_file(store, entry.node, i));
	return verdict;
}

/* ---- looking at it -------------------------------------------------------*/

static GLogWriterOutput
say_nothing(GLogLevelFlags level, const GLogField *fields, gsize count,
            void *user_data)
{
	return G_LOG_WRITER_HANDLED;
}

static void
hear_nothing(void *user_data, const char *sentence)
{
}

/* What a check finds; -EUCLEAN is a finding, too. */
static bool
is_found(Store *store)
{
	uint64_t count = 0;
	int r = store_check(store, hear_nothing, NULL, NULL, &count);

	return r < 0 || count > 0;
}

/* All records of the store as a number: what nobody reads counts, too. */
static uint64_t
digest(Store *store)
{
	g_autoptr(KvSnapshot) snapshot = NULL;
	g_autoptr(KvIter) iter = NULL;
	uint64_t sum = 0;
	KvSlice key;
	KvSlice value;

	assert_int_equal(kv_snapshot(store->kv, &snapshot), 0);
	assert_int_equal(kv_iter(snapshot, (KvSlice){ "", 1 }, &iter), 0);
	while (kv_iter_next(iter, &key, &value) == 0)
		sum = sum * 31 + XXH3_64bits(key.data, key.size) +
		      XXH3_64bits(value.data, value.size);
	return sum;
}

/* What it is of the sound database; 0: who looks need not care. */
static uint64_t sound_digest;

/* What can be read, and with @access salvage of what is left. */
static Verdict
look_with(const char *dir, StoreAccess access)
{
	g_autofree char *reason = NULL;
	g_autoptr(Store) store = NULL;
	Verdict verdict;
	bool is_noted;
	int r;

	r = store_open(dir, access, NULL, &store, &reason);
	if (r < 0)
		return reason != NULL && *reason != '\0' ? REFUSED : MUTE;
	is_noted = is_found(store);
	/* LMDB is not let near pages that the check refuses. */
	if (is_noted && access != STORE_SALVAGE &&
	    look_with(dir, STORE_SALVAGE) > FAULTY)
		return WRONG;
	if (is_noted && access != STORE_SALVAGE)
		return NOTED;
	verdict = look_at_all(store);
	if (verdict == MISSED && is_noted)
		return FAULTY;
	if (verdict == WELL && !is_noted && sound_digest != 0 &&
	    digest(store) != sound_digest)
		return MISSED;
	return verdict == WELL && is_noted ? NOTED : verdict;
}

/* In a process of its own, which may end by a signal. */
static int
look(void *user_data)
{
	Verdict verdict;
	Verdict left;

	g_log_set_writer_func(say_nothing, NULL, NULL);
	verdict = look_with(user_data, STORE_READ);
	if (verdict != REFUSED)
		return (int)verdict;
	left = look_with(user_data, STORE_SALVAGE);
	return (int)(left > FAULTY ? left : REFUSED);
}

/* For who reads without looking at the pages first, a page may be the end: then
 * there is what is left. */
static int
look_left(void *user_data)
{
	Verdict left;

	g_log_set_writer_func(say_nothing, NULL, NULL);
	left = look_with(user_data, STORE_SALVAGE);
	return (int)(left > FAULTY ? left : REFUSED);
}

static int
look_in_child(const Bench *bench)
{
	int looked = test_in_child(look, bench->test->dir);

	return looked < 0 ? test_in_child(look_left, bench->test->dir) : looked;
}

/* The same for who writes to it as well. What is missing then is found by a
 * check afterwards. */
static int
change(void *user_data)
{
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	g_autofree char *bytes = g_strnfill(SIZE, 'z');
	g_autofree char *reason = NULL;
	Store *store = NULL;
	Verdict verdict;
	int r;
	int i;

	g_log_set_writer_func(say_nothing, NULL, NULL);
	r = store_open(user_data, STORE_WRITE, NULL, &store, &reason);
	if (r < 0)
		return reason != NULL && *reason != '\0' ? REFUSED : MUTE;
	for (i = 0; i < 3; i++) {
		g_autofree char *name = g_strdup_printf("new%d", i);

		r = store_name_add(store_plain(store), STORE_ROOT, name, &attr,
		                   &attr);
		if (r == 0)
			(void)store_file_write(store_plain(store), attr.node, 0,
			                       bytes, SIZE);
		(void)store_sync_wait(store);
	}
	verdict = look_at_all(store);
	store_close(store);
	return (int)(verdict == MISSED ? FAULTY : verdict);
}

/* ---- damage --------------------------------------------------------------*/

static void
put_back(const Bench *bench)
{
	assert_int_equal(ftruncate(bench->fd, (off_t)bench->size), 0);
	assert_int_equal(pwrite(bench->fd, bench->bytes, bench->size, 0),
	                 bench->size);
}

/* What comes of it for who looks, for who writes, and for who looks then. What
 * could be read at first still can. */
static Verdict
judge(Bench *bench, const char *what, gsize at)
{
	int looked;
	int changed;
	int again;

	sound_digest = bench->digest;
	looked = look_in_child(bench);
	sound_digest = 0;
	changed = test_in_child(change, bench->test->dir);
	again = look_in_child(bench);

	if (looked < 0 || looked >= WRONG || changed < 0 || changed >= WRONG ||
	    again < 0 || again >= WRONG || (looked == WELL && again != WELL))
		fail_msg("%s at %" G_GSIZE_FORMAT ": %d, then %d, then %d",
		         what, at, looked, changed, again);
	bench->seen[looked]++;
	return (Verdict)looked;
}

static bool
is_of_kind(const Bench *bench, gsize page, uint16_t kind)
{
	LmdbHeader header;

	memcpy(&header, bench->bytes + page * PAGE, sizeof(header));
	return header.number == page && header.flags == kind;
}

/* Whether without @bit a meta page says that it is of two transactions before.
 * That is what LMDB makes of the page of a commit whose sync failed, to take it
 * back: nobody can tell one from the other. */
static bool
is_taken_back(gsize bit)
{
	gsize at = sizeof(LmdbHeader) + offsetof(LmdbMeta, txn);

	return bit / 8 / PAGE < 2 && bit % PAGE_BITS == at * 8 + 1;
}

/* A bit of a page of the kind whose turn it is; of a meta page where its
 * content is, and mostly where pages keep their structure. */
static gsize
choose_bit(const Bench *bench, GRand *random, guint turn)
{
	static const uint16_t kinds[] = { LMDB_PAGE_META, LMDB_PAGE_BRANCH,
		                          LMDB_PAGE_LEAF, LMDB_PAGE_OVERFLOW };
	uint16_t kind = kinds[turn % G_N_ELEMENTS(kinds)];
	bool is_head = kind == LMDB_PAGE_META || turn / 4 % 4 == 0;
	gsize page;
	gsize bit;

	do {
		page = (gsize)g_rand_int_range(random, 0,
		                               (gint32)(bench->size / PAGE));
		bit = page * PAGE * 8 +
		      (gsize)g_rand_int_range(random, 0,
		                              is_head ? 152 * 8 : PAGE * 8);
	} while (!is_of_kind(bench, page, kind) || is_taken_back(bit));
	return bit;
}

static void
no_flipped_bit_is_taken_for_a_good_one(void **state)
{
	Bench *bench = *state;
	guint seed = test_number_of("POFS_SEED", (guint)g_get_real_time());
	g_autoptr(GRand) random = g_rand_new_with_seed(seed);
	guint count = test_number_of("POFS_FLIPS", FLIPS);
	guint flipped = 0;
	guint i;

	print_message("POFS_SEED=%u\n", seed);
	for (i = 0; i < count; i++) {
		gsize bit = choose_bit(bench, random, i);
		char byte = (char)(bench->bytes[bit / 8] ^ 1 << bit % 8);

		if (bit % PAGE_BITS == UNKNOWN_BIT && bit < 2 * PAGE_BITS)
			continue;
		assert_int_equal(pwrite(bench->fd, &byte, 1, (off_t)(bit / 8)),
		                 1);
		judge(bench, "bit", bit);
		put_back(bench);
		flipped++;
	}
	for (i = 0; i < VERDICTS; i++)
		print_message("%s: %u\n", VERDICT_NAMES[i], bench->seen[i]);
	test_tally("flipped bits", flipped);
	assert_true(bench->seen[NOTED] + bench->seen[REFUSED] > count / 10);
}

typedef enum Damage {
	SWAPPED, /* with another page */
	ZEROED,
	STALE, /* as it was some commits before */
	CUT,   /* the file ends before it */
	DAMAGES,
} Damage;

static void
damage_page(const Bench *bench, gsize page, Damage damage)
{
	gsize other = (page + 7) % (bench->size / PAGE);
	off_t at = (off_t)(page * PAGE);
	const char zeros[PAGE] = { 0 };

	switch (damage) {
	case SWAPPED:
		(void)!pwrite(bench->fd, bench->bytes + other * PAGE, PAGE, at);
		(void)!pwrite(bench->fd, bench->bytes + at, PAGE,
		              (off_t)(other * PAGE));
		break;
	case ZEROED:
		(void)!pwrite(bench->fd, zeros, PAGE, at);
		break;
	case STALE:
		if ((gsize)at + PAGE <= bench->earlier_size)
			(void)!pwrite(bench->fd, bench->earlier + at, PAGE, at);
		break;
	case CUT:
	case DAMAGES:
	default:
		(void)!ftruncate(bench->fd, at);
		break;
	}
}

static void
no_bad_page_is_taken_for_a_good_one(void **state)
{
	static const char *const names[] = { "swapped", "zeroed", "stale",
		                             "cut" };
	guint each = test_number_of("POFS_FLIPS", FLIPS) > 1000 ? 1 : 4;
	Bench *bench = *state;
	int damage;
	gsize page;

	for (damage = SWAPPED; damage < DAMAGES; damage++)
		for (page = 0; page < bench->size / PAGE; page++) {
			if (page >= 2 && page % each != (gsize)damage % each)
				continue;
			damage_page(bench, page, (Damage)damage);
			judge(bench, names[damage], page);
			put_back(bench);
		}
	assert_true(bench->seen[REFUSED] > 2);
}

/* ---- the bench -----------------------------------------------------------*/

static void
read_file(const Bench *bench, char **ret_bytes, gsize *ret_size)
{
	assert_true(
		g_file_get_contents(bench->path, ret_bytes, ret_size, NULL));
}

static uint64_t
digest_of(const char *dir)
{
	g_autofree char *reason = NULL;
	g_autoptr(Store) store = NULL;

	assert_int_equal(store_open(dir, STORE_READ, NULL, &store, &reason), 0);
	return digest(store);
}

static int
setup(void **state)
{
	Bench *bench = g_new0(Bench, 1);
	StoreNode dir;

	bench->test = test_store_new();
	bench->path = g_build_filename(bench->test->dir, "data.mdb", NULL);
	dir = test_add_dir(bench->test->store, STORE_ROOT, "d");
	add_files(bench->test->store, dir, 0, FILES / 2);
	read_file(bench, &bench->earlier, &bench->earlier_size);
	add_files(bench->test->store, dir, FILES / 2, FILES);
	assert_int_equal(store_close(g_steal_pointer(&bench->test->store)), 0);
	bench->digest = digest_of(bench->test->dir);
	read_file(bench, &bench->bytes, &bench->size);
	bench->fd = open(bench->path, O_RDWR | O_CLOEXEC);
	assert_int_equal(test_in_child(look, bench->test->dir), WELL);
	*state = bench;
	return 0;
}

static int
teardown(void **state)
{
	Bench *bench = *state;

	close(bench->fd);
	test_store_free(bench->test);
	g_free(bench->path);
	g_free(bench->bytes);
	g_free(bench->earlier);
	g_free(bench);
	return 0;
}

#define PAGES_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PAGES_TEST(no_flipped_bit_is_taken_for_a_good_one),
		PAGES_TEST(no_bad_page_is_taken_for_a_good_one),
	};

	/* In memory: a damaged page is not a matter of the disk's pace. */
	(void)g_setenv("TMPDIR", "/dev/shm", TRUE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
