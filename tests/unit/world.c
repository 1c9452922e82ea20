/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "store/internal.h"
#include "tests/unit/store_kit.h"

/* How often is read what changes meanwhile. */
#define TRIES 5

World *
world_new(Store *store)
{
	World *w = g_new0(World, 1);
	guint i;

	w->later = g_array_new(FALSE, FALSE, sizeof(WorldSet));
	w->doubts = g_array_new(FALSE, FALSE, sizeof(WorldSet));
	w->got = g_malloc(WORLD_SIZE_MAX + 1);
	for (i = 0; i < WORLD_FILES; i++) {
		char name[4];

		world_dir_name(i, false, name);
		w->dirs[i] = test_add_dir(store, STORE_ROOT, name);
	}
	assert_int_equal(store_sync_wait(store), 0);
	return w;
}

void
world_free(World *w)
{
	g_array_unref(w->later);
	g_array_unref(w->doubts);
	g_free(w->got);
	g_free(w);
}

/* Each number begins elsewhere in one sequence; no byte of it is zero, as one
 * that was lost would be. */
const uint8_t *
world_bytes(uint32_t number)
{
	static const size_t size = 2 * (size_t)WORLD_SIZE_MAX;
	static uint8_t *sequence;
	size_t i;

	if (sequence == NULL) {
		g_autoptr(GRand) rand = g_rand_new_with_seed(1);

		sequence = g_malloc(size);
		for (i = 0; i < size; i++)
			sequence[i] = (uint8_t)(g_rand_int(rand) | 1);
	}
	return sequence + (size_t)number * 997 % WORLD_SIZE_MAX;
}

const char *
world_name(guint i)
{
	static const char *const names[WORLD_FILES] = {
		"F0", "F1", "F2", "F3", "F4", "F5", "F6", "F7"
	};

	return names[i];
}

void
world_dir_name(guint i, bool is_moved, char ret_name[4])
{
	g_snprintf(ret_name, 4, "D%u%c", i, is_moved ? 'B' : 'A');
}

/* ---- what is done --------------------------------------------------------*/

static void
apply(WorldFile to[WORLD_FILES], const WorldSet *set)
{
	guint i;

	for (i = 0; i < WORLD_FILES; i++)
		if (set->has[i])
			to[i] = set->of[i];
}

void
world_do(World *w, const WorldSet *set)
{
	apply(w->now, set);
	g_array_append_vals(w->later, set, 1);
}

/* It has been on disk since, with what had been done before. */
static void
do_long_ago(World *w, const WorldSet *set)
{
	guint k;
	guint i;

	apply(w->now, set);
	apply(w->disk, set);
	for (k = 0; k < w->later->len; k++)
		for (i = 0; i < WORLD_FILES; i++)
			if (set->has[i])
				g_array_index(w->later, WorldSet, k).has[i] =
					false;
}

void
world_doubt(World *w, const WorldSet *set)
{
	WorldSet doubt = *set;

	doubt.after = w->later->len;
	g_array_append_val(w->doubts, doubt);
}

static int
find_doubt(const World *w, guint i)
{
	guint k;

	for (k = 0; k < w->doubts->len; k++)
		if (g_array_index(w->doubts, WorldSet, k).has[i])
			return (int)k;
	return -1;
}

bool
world_is_doubtful(const World *w, guint i)
{
	return find_doubt(w, i) >= 0;
}

void
world_synced(World *w)
{
	guint k;

	for (k = 0; k < w->doubts->len; k++)
		g_array_index(w->doubts, WorldSet, k).after = 0;
	memcpy(w->disk, w->now, sizeof(w->disk));
	g_array_set_size(w->later, 0);
}

/* ---- what is there -------------------------------------------------------*/

/* Whether the directory of file @i has the name that @want says. */
static int
has_dir(const World *w, StoreTxn *txn, guint i, const WorldFile *want,
        bool *ret_has)
{
	StoreEntry entry;
	char name[4];
	int r;

	world_dir_name(i, want->is_moved, name);
	r = store_name_find(txn, STORE_ROOT, name, &entry);
	if (r == 0)
		assert_int_equal(entry.node, w->dirs[i]);
	*ret_has = r == 0;
	return r == -ENOENT ? 0 : r;
}

int
world_has(World *w, StoreTxn *txn, guint i, const WorldFile *want,
          bool *ret_has)
{
	StoreEntry entry;
	size_t size = 0;
	int r;

	r = has_dir(w, txn, i, want, ret_has);
	if (r < 0 || !*ret_has)
		return r;
	r = store_name_find(txn, w->dirs[i], world_name(i), &entry);
	*ret_has = r == -ENOENT && want->number == 0;
	if (r < 0 || want->number == 0)
		return r == -ENOENT ? 0 : r;
	r = store_file_read(txn, entry.node, 0, w->got, WORLD_SIZE_MAX + 1,
	                    &size);
	*ret_has = r == 0 && size == want->size &&
	           (size == 0 ||
	            memcmp(w->got, world_bytes(want->number), size) == 0);
	return r;
}

static bool
can_be_read(Store *store)
{
	STORE_LOCK(store);
	return store->base != NULL;
}

/* Whether everybody sees @want; while the database comes or goes that is asked
 * again. */
static int
sees(World *w, Store *store, guint i, const WorldFile *want, bool *ret_has)
{
	unsigned tries = TRIES;
	bool was_open;
	int r;

	do {
		was_open = can_be_read(store);
		r = world_has(w, store_plain(store), i, want, ret_has);
		assert_true(r == 0 || r == -EIO);
	} while (tries-- > 0 && r == 0 && !*ret_has &&
	         !(was_open && can_be_read(store)));
	return r;
}

/* Of an empty file the number cannot be seen. */
static bool
is_same(const WorldFile *a, const WorldFile *b)
{
	return (a->number == 0) == (b->number == 0) && a->size == b->size &&
	       (a->size == 0 || a->number == b->number) &&
	       a->is_moved == b->is_moved;
}

/* Looks at what doubt @k says of file @i, if that tells what became of it. */
static bool
settle_by(World *w, Store *store, guint k, guint i)
{
	WorldSet set = g_array_index(w->doubts, WorldSet, k);
	bool is_done = false;

	if (!set.has[i] || is_same(&set.of[i], &w->now[i]) ||
	    !can_be_read(store) ||
	    sees(w, store, i, &set.of[i], &is_done) < 0 || !can_be_read(store))
		return false;
	g_array_remove_index(w->doubts, k);
	if (is_done)
		do_long_ago(w, &set);
	if (set.ret_done != NULL)
		*set.ret_done = is_done;
	return true;
}

static void
fail_file(World *w, Store *store, guint i)
{
	bool has = false;

	(void)world_has(w, store_plain(store), i, &w->disk[i], &has);
	fail_msg("file %u is not number %u, %u bytes, moved %d%s", i,
	         w->now[i].number, w->now[i].size, w->now[i].is_moved,
	         has ? "; it is as it was on disk" : "");
}

static void
check(World *w, Store *store, guint i)
{
	bool has = false;

	if (sees(w, store, i, &w->now[i], &has) == 0 && !has)
		fail_file(w, store, i);
}

void
world_check(World *w, Store *store, guint i)
{
	int k = find_doubt(w, i);

	if (k < 0 || settle_by(w, store, (guint)k, i))
		check(w, store, i);
}

static void
settle_all(World *w, Store *store)
{
	guint k;
	guint i;

	for (k = w->doubts->len; k-- > 0;) {
		for (i = 0; i < WORLD_FILES; i++)
			if (settle_by(w, store, k, i))
				break;
		/* It would make no difference. */
		if (i == WORLD_FILES)
			g_array_remove_index(w->doubts, k);
	}
}

void
world_check_all(World *w, Store *store)
{
	guint i;

	assert_true(can_be_read(store));
	settle_all(w, store);
	for (i = 0; i < WORLD_FILES; i++)
		check(w, store, i);
}

/* ---- after a crash -------------------------------------------------------*/

/* Whether those of @files are there that @set is about. */
static bool
has_set(World *w, Store *store, const WorldSet *set,
        const WorldFile files[WORLD_FILES])
{
	bool has = true;
	guint i;

	for (i = 0; has && i < WORLD_FILES; i++)
		if (set->has[i])
			assert_int_equal(sees(w, store, i, &files[i], &has), 0);
	return has;
}

/* Whether all is there as it is now, when @done have been done, but for doubts:
 * each was done as a whole, and after what comes first, or not at all. */
static bool
is_all(World *w, Store *store, guint done)
{
	WorldSet rest = { .ret_done = NULL };
	bool has;
	guint i;
	guint k;

	for (i = 0; i < WORLD_FILES; i++)
		rest.has[i] = !world_is_doubtful(w, i);
	has = has_set(w, store, &rest, w->now);
	for (k = 0; has && k < w->doubts->len; k++) {
		const WorldSet *doubt = &g_array_index(w->doubts, WorldSet, k);

		has = has_set(w, store, doubt, w->now) ||
		      (done >= doubt->after &&
		       has_set(w, store, doubt, doubt->of));
	}
	return has;
}

void
world_crashed(World *w, Store *store)
{
	g_autoptr(GArray) later = w->later;
	guint k;

	w->later = g_array_new(FALSE, FALSE, sizeof(WorldSet));
	memcpy(w->now, w->disk, sizeof(w->now));
	for (k = 0; !is_all(w, store, k); k++) {
		if (k == later->len)
			fail_msg("what a crash has left is no state that was");
		apply(w->now, &g_array_index(later, WorldSet, k));
	}
	world_check_all(w, store);
	world_synced(w);
}
