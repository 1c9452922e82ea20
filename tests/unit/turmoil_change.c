/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "tests/unit/turmoil.h"
#include "tests/unit/undone_kit.h"

/* Most bytes that one call writes. */
#define CALL_MAX 60000

int
turmoil_any(Turmoil *t, int end)
{
	return g_rand_int_range(t->rand, 0, end);
}

static StoreTxn *
view(const Turmoil *t, const TurmoilClient *c)
{
	return c != NULL ? c->txn : store_plain(t->b->store);
}

static WorldFile
seen(const Turmoil *t, const TurmoilClient *c, guint i)
{
	return c != NULL && c->staged.has[i] ? c->staged.of[i]
	                                     : t->world->now[i];
}

/* A call ended with @r that makes @file of file @i. */
static bool
note(Turmoil *t, TurmoilClient *c, guint i, WorldFile file, int r)
{
	WorldSet set = { .ret_done = NULL };

	set.has[i] = true;
	set.of[i] = file;
	assert_true(r == 0 || r == -EIO || r == -ENOSPC);
	if (c == NULL && r == 0)
		world_do(t->world, &set);
	if (c != NULL) {
		c->is_lost |= r < 0;
		c->staged.has[i] = true;
		c->staged.of[i] = file;
		c->staged.is_new[i] &= r == 0;
	}
	return r == 0;
}

static bool
find(Turmoil *t, TurmoilClient *c, guint i, StoreNode *ret_node)
{
	StoreEntry entry;
	int r = store_name_find(view(t, c), t->world->dirs[i], world_name(i),
	                        &entry);

	assert_true(r == 0 || r == -EIO);
	*ret_node = entry.node;
	return r == 0;
}

bool
turmoil_has_any(const WorldSet *set)
{
	guint i;

	for (i = 0; i < WORLD_FILES; i++)
		if (set->has[i])
			return true;
	return false;
}

void
turmoil_save(Turmoil *t, TurmoilClient *c)
{
	if (store_txn_save(c->txn, &test_killed, NULL, NULL) < 0 ||
	    !turmoil_has_any(&c->staged))
		return;
	c->is_saved = false;
	c->is_at_risk = t->is_faulty;
	c->fate->may_have = true;
	g_array_append_val(c->fate->sets, c->staged);
}

static uint32_t
any_size(Turmoil *t)
{
	static const int limits[] = { 900, 900, 20000, 20000, 20000, 400000 };

	/* More than what is erased in a round. */
	if (turmoil_any(t, 200) == 0)
		return 1500000;
	return (uint32_t)turmoil_any(
		       t, limits[turmoil_any(t, G_N_ELEMENTS(limits))]) +
	       1;
}

static void
step_append(Turmoil *t, TurmoilClient *c, guint i)
{
	WorldFile file = seen(t, c, i);
	uint32_t end = file.size + any_size(t);
	StoreNode node;

	if (end > WORLD_SIZE_MAX || !find(t, c, i, &node))
		return;
	while (file.size < end) {
		uint32_t at = file.size;
		uint32_t most = (uint32_t)turmoil_any(t, CALL_MAX) + 1;
		uint32_t size = MIN(most, end - at);

		file.size += size;
		if (!note(t, c, i, file,
		          store_file_write(view(t, c), node, at,
		                           world_bytes(file.number) + at,
		                           size)))
			return;
		if (c != NULL && turmoil_any(t, 20) == 0)
			turmoil_save(t, c);
	}
}

static void
step_add(Turmoil *t, TurmoilClient *c, guint i)
{
	WorldFile file = { .number = ++t->last_number,
		           .is_moved = seen(t, c, i).is_moved };
	StoreAttr attr = { .mode = S_IFREG | 0644 };

	if (c != NULL)
		c->staged.is_new[i] = true;
	if (note(t, c, i, file,
	         store_name_add(view(t, c), t->world->dirs[i], world_name(i),
	                        &attr, &attr)))
		step_append(t, c, i);
}

static void
step_renew(Turmoil *t, TurmoilClient *c, guint i)
{
	WorldFile file = { .number = ++t->last_number,
		           .is_moved = seen(t, c, i).is_moved };
	StoreNode node;

	if (!find(t, c, i, &node))
		return;
	if (c != NULL)
		c->staged.is_new[i] = true;
	if (note(t, c, i, file, store_file_truncate(view(t, c), node, 0)))
		step_append(t, c, i);
}

static void
step_remove(Turmoil *t, TurmoilClient *c, guint i)
{
	WorldFile none = { .is_moved = seen(t, c, i).is_moved };

	(void)note(t, c, i, none,
	           store_name_remove(view(t, c), t->world->dirs[i],
	                             world_name(i), S_IFREG));
}

static void
step_cut(Turmoil *t, TurmoilClient *c, guint i)
{
	WorldFile file = seen(t, c, i);
	StoreNode node;

	/* What is cut off may be missing from a draft. */
	if (!find(t, c, i, &node) || file.size == 0 ||
	    (c != NULL && c->fate->sets->len > 0))
		return;
	file.size = (uint32_t)turmoil_any(t, (int)file.size) + 1;
	(void)note(t, c, i, file,
	           store_file_truncate(view(t, c), node, file.size));
}

static void
step_move_dir(Turmoil *t, TurmoilClient *c, guint i)
{
	WorldFile file = seen(t, c, i);
	char name[4];
	char new_name[4];

	world_dir_name(i, file.is_moved, name);
	file.is_moved = !file.is_moved;
	world_dir_name(i, file.is_moved, new_name);
	(void)note(t, c, i, file,
	           store_name_move(view(t, c), STORE_ROOT, name, STORE_ROOT,
	                           new_name, STORE_MOVE_NOREPLACE));
}

/* Moves file @i over file @j. */
static void
step_move(Turmoil *t, TurmoilClient *c, guint i, guint j)
{
	WorldFile file = seen(t, c, i);
	WorldFile none = { .is_moved = file.is_moved };
	bool is_new = c->staged.is_new[i];
	int r;

	file.is_moved = seen(t, c, j).is_moved;
	r = store_name_move(c->txn, t->world->dirs[i], world_name(i),
	                    t->world->dirs[j], world_name(j),
	                    STORE_MOVE_REPLACE);
	if (note(t, c, i, none, r))
		c->staged.is_new[j] = is_new;
	(void)note(t, c, j, file, r);
}

static bool
is_free(const Turmoil *t, const TurmoilClient *c, guint i)
{
	guint k;

	for (k = 0; k < TURMOIL_CLIENTS; k++)
		if (&t->clients[k] != c && t->clients[k].holds[i])
			return false;
	return !world_is_doubtful(t->world, i);
}

void
turmoil_change(Turmoil *t, TurmoilClient *c)
{
	guint i = (guint)turmoil_any(t, WORLD_FILES);
	guint j = (guint)turmoil_any(t, WORLD_FILES);
	bool has_both = c != NULL && i != j && is_free(t, c, j);
	int choice = turmoil_any(t, 10);

	if (!is_free(t, c, i) || (c != NULL && c->is_lost))
		return;
	if (c != NULL)
		c->holds[i] = true;
	if (choice == 0)
		step_move_dir(t, c, i);
	else if (seen(t, c, i).number == 0)
		step_add(t, c, i);
	else if (choice < 3)
		step_remove(t, c, i);
	else if (choice < 4)
		step_cut(t, c, i);
	else if (choice < 6)
		step_append(t, c, i);
	else if (choice > 7 || !has_both)
		step_renew(t, c, i);
	else {
		c->holds[j] = true;
		step_move(t, c, i, j);
	}
}

/* A plain change of what a transaction has changed, which comes to nothing. */
void
turmoil_meddle(Turmoil *t, TurmoilClient *c)
{
	guint i = (guint)turmoil_any(t, WORLD_FILES);
	WorldFile before = t->world->now[i];

	if (!c->staged.has[i] || before.number == 0 ||
	    before.number == c->staged.of[i].number ||
	    world_is_doubtful(t->world, i))
		return;
	step_append(t, NULL, i);
	c->is_lost |= t->world->now[i].size > before.size;
}
