/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The database file with a bad page: bits that were flipped, a page that was
 * swapped with another, zeroed or cut off. Whoever opens it is refused with
 * words, or told of an error; never given other bytes than were written.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "tests/unit/store_kit.h"

#define PAGE  4096
#define FILES 60
#define SIZE  6000

/* What came of looking at a damaged store. */
typedef enum Verdict {
	WELL,    /* all is there */
	REFUSED, /* with words, before anything was read */
	FAULTY,  /* with errors, but nothing that is wrong */
	WRONG,
	MUTE, /* refused without a word */
} Verdict;

/* Each file has bytes of its own. */
static char
fill_of(int number)
{
	return (char)('A' + number % 50);
}

static void
fill(Store *store)
{
	StoreNode dir = test_add_dir(store, STORE_ROOT, "d");
	int i;

	for (i = 0; i < FILES; i++) {
		g_autofree char *name = g_strdup_printf("f%02d", i);
		g_autofree char *bytes = g_strnfill(SIZE, fill_of(i));
		StoreNode file = test_add_file(store, dir, name);

		assert_int_equal(store_file_write(store_plain(store), file, 0,
		                                  bytes, SIZE),
		                 0);
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
		return WRONG;
	if (r < 0)
		return FAULTY;
	return size == SIZE && memcmp(got, want, SIZE) == 0 ? WELL : WRONG;
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
		return r == -ENOENT ? WRONG : FAULTY;
	for (i = 0; i < FILES; i++)
		verdict = MAX(verdict, look_at_file(store, entry.node, i));
	return verdict;
}

static GLogWriterOutput
say_nothing(GLogLevelFlags level, const GLogField *fields, gsize count,
            void *user_data)
{
	return G_LOG_WRITER_HANDLED;
}

/* In a process of its own, which may end by a signal. */
static int
look(void *user_data)
{
	g_autofree char *reason = NULL;
	g_autoptr(Store) store = NULL;
	int r;

	g_log_set_writer_func(say_nothing, NULL, NULL);
	r = store_open(user_data, STORE_READ, NULL, &store, &reason);
	if (r < 0)
		return reason != NULL && *reason != '\0' ? REFUSED : MUTE;
	return (int)look_at_all(store);
}

/* The same for who writes to it as well. */
static int
change(void *user_data)
{
	StoreAttr attr = { .mode = S_IFREG | 0644 };
	g_autofree char *reason = NULL;
	g_autoptr(Store) store = NULL;
	Verdict verdict;
	int r;

	g_log_set_writer_func(say_nothing, NULL, NULL);
	r = store_open(user_data, STORE_WRITE, NULL, &store, &reason);
	if (r < 0)
		return reason != NULL && *reason != '\0' ? REFUSED : MUTE;
	verdict = look_at_all(store);
	r = store_name_add(store_plain(store), STORE_ROOT, "new", &attr, &attr);
	if (r == 0)
		(void)store_sync_wait(store);
	return (int)MAX(verdict, look_at_all(store));
}

/* ---- damage --------------------------------------------------------------*/

typedef enum Damage {
	FLIPPED, /* one bit */
	SWAPPED, /* with another page */
	ZEROED,
	CUT, /* the file ends before it */
	DAMAGES,
} Damage;

/* Writes the database @bytes with @page damaged. */
static void
write_damaged(const char *path, const char *bytes, gsize size, gsize page,
              Damage damage)
{
	gsize other = (page + 7) % (size / PAGE);
	g_autofree char *copy = g_memdup2(bytes, size);
	char *at = copy + page * PAGE;

	switch (damage) {
	case FLIPPED:
		at[16 + page * 7919 % (PAGE - 16)] ^= 4;
		break;
	case SWAPPED:
		memcpy(at, bytes + other * PAGE, PAGE);
		memcpy(copy + other * PAGE, bytes + page * PAGE, PAGE);
		break;
	case ZEROED:
		memset(at, 0, PAGE);
		break;
	case CUT:
	case DAMAGES:
	default:
		size = page * PAGE;
		break;
	}
	assert_true(g_file_set_contents(path, copy, (gssize)size, NULL));
}

/* Counts in @seen what comes of it for a writer, and for a reader after it. */
static void
try_damage(const char *dir, gsize page, Damage damage, guint seen[MUTE + 1])
{
	int changed = test_in_child(change, (void *)(uintptr_t)dir);
	int looked = test_in_child(look, (void *)(uintptr_t)dir);

	if (changed < 0 || changed >= WRONG || looked < 0 || looked >= WRONG)
		fail_msg("page %" G_GSIZE_FORMAT ", damage %d: %d, then %d",
		         page, (int)damage, changed, looked);
	seen[changed]++;
}

/* The pages that say where all others are, and some of those. */
static bool
is_tried(gsize page, int damage)
{
	return page < 2 || page % 9 == (gsize)damage;
}

static void
no_bad_page_is_taken_for_a_good_one(void **state)
{
	TestStore *test = *state;
	g_autofree char *path = g_build_filename(test->dir, "data.mdb", NULL);
	g_autofree char *bytes = NULL;
	guint seen[MUTE + 1] = { 0 };
	gsize size = 0;
	gsize page;
	int damage;

	fill(test->store);
	assert_int_equal(store_close(g_steal_pointer(&test->store)), 0);
	assert_true(g_file_get_contents(path, &bytes, &size, NULL));
	assert_int_equal(test_in_child(look, test->dir), WELL);

	for (damage = FLIPPED; damage < DAMAGES; damage++)
		for (page = 0; page < size / PAGE; page++) {
			if (!is_tried(page, damage))
				continue;
			write_damaged(path, bytes, size, page, (Damage)damage);
			try_damage(test->dir, page, (Damage)damage, seen);
		}
	assert_true(seen[REFUSED] > 5 && seen[FAULTY] > 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(no_bad_page_is_taken_for_a_good_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
