/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "store/journal.h"
#include "tests/unit/past_kit.h"
#include "tests/unit/turmoil.h"
#include "tests/unit/undone_kit.h"

void
turmoil_begin(Turmoil *t, TurmoilClient *c)
{
	TurmoilFate *fate = g_new0(TurmoilFate, 1);

	fate->sets = g_array_new(FALSE, FALSE, sizeof(WorldSet));
	g_snprintf(fate->who, sizeof(fate->who), "t%u", t->step);
	g_hash_table_insert(t->fates, fate->who, fate);
	*c = (TurmoilClient){ .fate = fate };
	assert_int_equal(store_txn_begin(t->b->store, fate->who, &c->txn), 0);
}

/* What @c has staged was done. */
static void
succeed(Turmoil *t, TurmoilClient *c)
{
	assert_false(c->is_lost);
	if (turmoil_has_any(&c->staged))
		world_do(t->world, &c->staged);
	c->staged = (WorldSet){ .ret_done = NULL };
}

/* It was not, or nobody knows. */
static void
miss(Turmoil *t, TurmoilClient *c, bool is_unknown)
{
	TurmoilFate *fate = c->fate;

	fate->may_have = true;
	g_array_append_val(fate->sets, c->staged);
	if (is_unknown && !c->is_lost && turmoil_has_any(&c->staged)) {
		WorldSet doubt = c->staged;

		doubt.ret_done = &fate->is_done;
		world_doubt(t->world, &doubt);
	}
	c->is_lost = true;
}

/* A commit, or a checkpoint, was answered. */
static void
answered(Turmoil *t, TurmoilClient *c, int r)
{
	bool has_staged = turmoil_has_any(&c->staged);

	if (r < 0) {
		miss(t, c, r == -EIO);
		return;
	}
	succeed(t, c);
	c->fate->may_have = false;
	c->is_saved = false;
	g_array_set_size(c->fate->sets, 0);
	if (has_staged)
		world_synced(t->world);
}

void
turmoil_checkpoint(Turmoil *t, TurmoilClient *c)
{
	answered(t, c, test_checkpoint(c->txn));
}

void
turmoil_publish(Turmoil *t, TurmoilClient *c)
{
	int r = store_txn_publish(&c->txn);

	if (r == -EBUSY) /* its checkpoint is in doubt */
		store_txn_abort(c->txn);
	else if (r < 0)
		miss(t, c, false);
	else {
		succeed(t, c);
		c->fate->is_seen = true;
	}
	*c = (TurmoilClient){ .txn = NULL };
}

/* Undoes it; *@ret_id is that of its entry, or 0. */
static void
quarantine(Turmoil *t, TurmoilClient *c, uint64_t *ret_id)
{
	StoreCause cause = test_killed;
	bool is_empty = store_txn_is_empty(c->txn);
	int r;

	*ret_id = 0;
	cause.ret_id = ret_id;
	miss(t, c, false);
	r = store_txn_quarantine(&c->txn, &cause);
	assert_true(r == 0 || r == -ENOSPC);
	*c = (TurmoilClient){ .txn = NULL };
	if (t->is_faulty)
		return;
	assert_int_equal(r, 0);
	assert_int_equal(*ret_id == 0, is_empty);
	if (*ret_id != 0)
		turmoil_check_kept(t, *ret_id);
}

void
turmoil_quarantine(Turmoil *t, TurmoilClient *c)
{
	uint64_t id;

	quarantine(t, c, &id);
}

void
turmoil_abort(TurmoilClient *c)
{
	store_txn_abort(c->txn);
	*c = (TurmoilClient){ .txn = NULL };
}

/* Some at once. */
void
turmoil_commit(Turmoil *t)
{
	TestAnswer answers[TURMOIL_CLIENTS] = { { .r = 0 } };
	bool asked[TURMOIL_CLIENTS];
	guint k;

	for (k = 0; k < TURMOIL_CLIENTS; k++) {
		TurmoilClient *c = &t->clients[k];

		asked[k] = c->txn != NULL && turmoil_any(t, 2) == 0;
		if (asked[k])
			store_txn_commit(&c->txn, test_answered, &answers[k]);
	}
	for (k = 0; k < TURMOIL_CLIENTS; k++) {
		if (!asked[k])
			continue;
		answered(t, &t->clients[k], test_await(&answers[k]));
		t->clients[k] = (TurmoilClient){ .txn = NULL };
	}
}

/* Whether something is still to be erased, which takes room, too. */
static bool
has_remains(Store *store)
{
	STORE_LOCK(store);
	return !g_queue_is_empty(&store->orphans) ||
	       store->journal.has_remains || store->journal.is_pressed;
}

static size_t
size_of(const ChangeLayer *layer)
{
	return layer == NULL
	               ? 0
	               : change_layer_bytes(layer) +
	                         RECORD_SEAL_SIZE * change_layer_count(layer);
}

/* Bytes that what is pending takes in a batch, and a little more. */
static size_t
pending(Store *store)
{
	STORE_LOCK(store);
	return size_of(store->active) + size_of(store->frozen) + 4000;
}

void
turmoil_squeeze(Turmoil *t, TurmoilClient *c)
{
	Store *store = t->b->store;
	uint64_t id;

	if (t->has_little || t->is_forgetful)
		return;
	do
		assert_int_equal(store_sync_wait(store), 0);
	while (has_remains(store));
	quarantine(t, c, &id);
	if (has_remains(store))
		return;
	kv_fault_limit(t->b->disk, pending(store));
	turmoil_commit(t);
	kv_fault_limit(t->b->disk, 0);
	if (id != 0)
		turmoil_check_kept(t, id);
	while (store_sync_wait(store) < 0)
		continue;
}

/* ---- what was ------------------------------------------------------------*/

/* Whether @txn sees what is in @set as it was @before. */
static void
check_before(Turmoil *t, StoreTxn *txn, const WorldSet *set,
             const WorldFile before[WORLD_FILES])
{
	bool has = true;
	guint i;

	for (i = 0; i < WORLD_FILES; i++) {
		if (set->has[i])
			assert_int_equal(
				world_has(t->world, txn, i, &before[i], &has),
				0);
		assert_true(has);
	}
}

/* Whether there may be no past of @set: that of too much is not kept. */
static bool
may_be_forgotten(const Turmoil *t, const WorldSet *set,
                 const WorldFile before[WORLD_FILES])
{
	uint64_t size = 0;
	guint i;

	for (i = 0; i < WORLD_FILES; i++)
		size += set->has[i] ? before[i].size : 0;
	return t->is_forgetful || size > t->b->options.staged_max / 2;
}

/* Has @c stage the contrary of entry @id, which changed @set. */
static void
undo(Turmoil *t, TurmoilClient *c, uint64_t id, const WorldSet *set,
     const WorldFile before[WORLD_FILES])
{
	g_autofree char *reason = NULL;
	guint i;
	int r;

	turmoil_begin(t, c);
	r = store_journal_undo(c->txn, id, &reason);
	if (r < 0) {
		/* What cannot be spilled may be too much. */
		assert_true(r == -ENOSPC || (r == -ENODATA &&
		                             may_be_forgotten(t, set, before)));
		turmoil_abort(c);
		return;
	}
	check_before(t, c->txn, set, before);
	for (i = 0; i < WORLD_FILES; i++) {
		c->holds[i] = c->staged.has[i] = set->has[i];
		c->staged.of[i] = before[i];
	}
}

/* Commits, and looks at what was before; perhaps goes back to it. */
void
turmoil_look_back(Turmoil *t, TurmoilClient *c)
{
	WorldFile before[WORLD_FILES];
	WorldSet set = c->staged;
	g_autoptr(StoreTxn) past = NULL;
	uint64_t last = test_last_entry(t->b->store);
	uint64_t id;
	int r;

	memcpy(before, t->world->now, sizeof(before));
	r = store_txn_commit_wait(&c->txn);
	answered(t, c, r);
	*c = (TurmoilClient){ .txn = NULL };
	id = test_last_entry(t->b->store);
	if (r < 0 || id == last)
		return;
	r = store_past_before(t->b->store, id, &past);
	/* A past is right until the next change: what expires is one. */
	if (r == 0 && !t->is_forgetful)
		check_before(t, past, &set, before);
	else
		assert_true(r == 0 || (r == -ENODATA &&
		                       may_be_forgotten(t, &set, before)));
	if (turmoil_any(t, 2) == 0)
		undo(t, c, id, &set, before);
}
