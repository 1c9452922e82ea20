/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Several transactions at once, and plain changes beside them, on a disk that
 * fills up, fails, and leaves in doubt what it has done; and crashes. Whatever
 * happens: what was answered is there and whole, what was refused is not there
 * at all, what was undone is in the quarantine as its transaction had it, and
 * nothing is left that belongs to nobody.
 * A failure prints the seed, which may take some tries to fail again, for who
 * commits has a thread of its own; POFS_SEED begins with it, POFS_WALKS says how
 * many there are.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <glib.h>

#include "store/internal.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/turmoil.h"

#define WALKS 150
#define STEPS 200

static void
fate_free(void *data)
{
	TurmoilFate *fate = data;

	g_array_unref(fate->sets);
	g_free(fate);
}

/* ---- the disk ------------------------------------------------------------*/

static void
end_faults(Turmoil *t)
{
	KvFaultDisk *disk = t->b->disk;

	kv_fault_plan(disk, KV_FAULT_NONE, 0);
	kv_fault_end_commits(disk, NULL, 0);
	kv_fault_fail_reopens(disk, 0);
	kv_fault_fail_snapshots(disk, 0);
	kv_fault_limit(disk, 0);
	kv_fault_leave_room(disk, 0);
	kv_fault_hide_room(disk, false);
	kv_fault_break(disk, false);
	t->is_faulty = false;
}

static void
step_fault(Turmoil *t)
{
	KvFaultDisk *disk = t->b->disk;
	KvFaultKind kinds[KV_FAULT_COMMITS];
	guint i;

	t->is_faulty = true;
	for (i = 0; i < TURMOIL_CLIENTS; i++)
		t->clients[i].is_at_risk |= !t->clients[i].is_saved;
	for (i = 0; i < KV_FAULT_COMMITS; i++)
		kinds[i] = (KvFaultKind)turmoil_any(t, KV_FAULT_KINDS);
	switch (turmoil_any(t, 9)) {
	case 0:
	case 1:
		kv_fault_limit(disk, (size_t)turmoil_any(t, 60000) + 1);
		break;
	case 2:
	case 3:
	case 4:
		kv_fault_end_commits(
			disk, kinds,
			(unsigned)turmoil_any(t, KV_FAULT_COMMITS) + 1);
		break;
	case 5:
		kv_fault_fail_reopens(disk, (unsigned)turmoil_any(t, 3));
		kv_fault_fail_snapshots(disk, (unsigned)turmoil_any(t, 3));
		break;
	case 6:
		kv_fault_leave_room(disk, (uint64_t)turmoil_any(t, 300000) + 1);
		break;
	case 7:
		kv_fault_hide_room(disk, turmoil_any(t, 2) == 0);
		break;
	default:
		kv_fault_answer_later(disk, turmoil_any(t, 2) == 0);
	}
}

static void
synced(Turmoil *t)
{
	guint k;

	world_synced(t->world);
	for (k = 0; k < TURMOIL_CLIENTS; k++) {
		TurmoilClient *c = &t->clients[k];

		if (c->txn == NULL || c->is_lost || c->fate->sets->len == 0)
			continue;
		/* Its last draft has replaced the others, unless there was no
		 * room for it. */
		if (!c->is_at_risk)
			g_array_remove_range(c->fate->sets, 0,
			                     c->fate->sets->len - 1);
		c->is_saved = !c->is_at_risk && !t->has_little;
	}
}

static void
see_public(void *key, void *value, void *user_data)
{
	TurmoilFate *fate = value;

	(void)key;
	fate->is_done |= fate->is_seen && *(bool *)user_data;
	fate->is_seen = false;
}

/* Nothing is staged where nobody has staged anything. */
static void
check_counts(const Turmoil *t)
{
	guint k;

	for (k = 0; k < TURMOIL_CLIENTS; k++)
		if (t->clients[k].txn != NULL)
			return;
	{
		STORE_LOCK(t->b->store);
		assert_int_equal(t->b->store->staged, 0);
		assert_int_equal(t->b->store->staged_count, 0);
	}
}

static void
check_everything(Turmoil *t)
{
	world_check_all(t->world, t->b->store);
	turmoil_check_undone(t);
	check_counts(t);
	test_store_check(t->b->store);
}

/* The disk is well again, and so must be all that is on it. */
static void
step_heal(Turmoil *t)
{
	bool is_on_disk = true;
	unsigned tries = 4;
	int r;

	end_faults(t);
	do
		r = store_sync_wait(t->b->store);
	while (r < 0 && tries-- > 0);
	assert_int_equal(r, 0);
	g_hash_table_foreach(t->fates, see_public, &is_on_disk);
	check_everything(t);
	synced(t);
}

static void
step_crash(Turmoil *t)
{
	StoreTxn *txns[TURMOIL_CLIENTS];
	bool is_on_disk = false;
	guint k;

	end_faults(t);
	for (k = 0; k < TURMOIL_CLIENTS; k++) {
		TurmoilClient *c = &t->clients[k];

		txns[k] = c->txn;
		if (c->txn != NULL)
			c->fate->is_kept = c->is_saved && !c->is_lost;
		*c = (TurmoilClient){ .txn = NULL };
	}
	test_txn_crash_all(t->b, txns, TURMOIL_CLIENTS);
	g_hash_table_foreach(t->fates, see_public, &is_on_disk);
	world_crashed(t->world, t->b->store);
	check_everything(t);
}

/* ---- the walk ------------------------------------------------------------*/

static void
step_look(Turmoil *t)
{
	guint k;
	guint i;

	for (i = 0; i < WORLD_FILES; i++)
		world_check(t->world, t->b->store, i);
	for (k = 0; k < TURMOIL_CLIENTS; k++) {
		TurmoilClient *c = &t->clients[k];
		bool has = true;

		for (i = 0; i < WORLD_FILES; i++) {
			if (c->txn == NULL || c->is_lost || !c->staged.has[i] ||
			    world_has(t->world, c->txn, i, &c->staged.of[i],
			              &has) < 0)
				continue;
			assert_true(has);
		}
	}
}

static void
step_client(Turmoil *t, TurmoilClient *c, int choice)
{
	if (choice < 32)
		turmoil_change(t, c);
	else if (choice < 34)
		turmoil_meddle(t, c);
	else if (choice < 40)
		turmoil_save(t, c);
	else if (choice < 44)
		turmoil_checkpoint(t, c);
	else if (choice < 48)
		turmoil_commit(t);
	else if (choice < 51)
		turmoil_publish(t, c);
	else if (choice < 55)
		turmoil_quarantine(t, c);
	else if (choice < 57)
		turmoil_abort(c);
	else if (!t->is_faulty && choice < 58)
		turmoil_squeeze(t, c);
	else if (!t->is_faulty)
		turmoil_look_back(t, c);
}

static void
step(Turmoil *t)
{
	TurmoilClient *c = &t->clients[turmoil_any(t, TURMOIL_CLIENTS)];
	int choice = turmoil_any(t, 100);

	if (choice < 60 && c->txn == NULL)
		turmoil_begin(t, c);
	else if (choice < 60)
		step_client(t, c, choice);
	else if (choice < 70)
		turmoil_change(t, NULL);
	else if (choice < 74 && store_sync_wait(t->b->store) == 0)
		synced(t);
	else if (choice < 78)
		turmoil_discard(t);
	else if (choice < 82)
		step_look(t);
	else if (choice < 93)
		step_fault(t);
	else if (choice < 98)
		step_heal(t);
	else
		step_crash(t);
}

/* What is undone at last, and forgotten, leaves nothing. */
static void
finish(Turmoil *t)
{
	guint k;

	step_heal(t);
	for (k = 0; k < TURMOIL_CLIENTS; k++)
		if (t->clients[k].txn != NULL)
			turmoil_abort(&t->clients[k]);
	step_heal(t);
	test_txn_reopen(t->b);
	check_everything(t);
	turmoil_discard_all(t);
	test_txn_reopen(t->b);
	test_txn_reopen(t->b);
	assert_int_equal(test_count_records(t->b->store, RECORD_UNDONE), 0);
	assert_int_equal(test_count_records(t->b->store, RECORD_ORPHAN), 0);
}

static void
begin_walk(Turmoil *t)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;

	options.staged_limit = 32 << 10;
	options.staged_max = 1 << 20;
	options.staged_all = 4 << 20;
	options.sync_ms = turmoil_any(t, 2) == 0 ? 5 : 0;
	t->is_forgetful = turmoil_any(t, 3) > 0;
	if (t->is_forgetful)
		options.journal_max = turmoil_any(t, 2) == 0 ? 0 : 100000;
	t->has_little = turmoil_any(t, 3) == 0;
	if (t->has_little)
		options.quarantine_max = 300000;
	t->b = test_txn_new(&options);
	t->world = world_new(t->b->store);
	t->fates =
		g_hash_table_new_full(g_str_hash, g_str_equal, NULL, fate_free);
}

static void
walk(guint32 seed)
{
	Turmoil t = { .rand = g_rand_new_with_seed(seed) };

	print_message("POFS_SEED=%u\n", seed);
	begin_walk(&t);
	for (t.step = 0; t.step < STEPS; t.step++)
		step(&t);
	finish(&t);
	test_txn_free(t.b);
	world_free(t.world);
	g_hash_table_unref(t.fates);
	g_rand_free(t.rand);
}

static void
say_nothing(const char *domain, GLogLevelFlags level, const char *text,
            void *user_data)
{
	(void)domain;
	(void)level;
	(void)text;
	(void)user_data;
}

static void
whatever_fails_is_whole_or_not_there(void **state)
{
	guint32 first = test_number_of("POFS_SEED", g_random_int());
	guint walks = test_number_of("POFS_WALKS", WALKS);
	guint i;

	(void)state;
	/* What has no room is said, again and again. */
	g_log_set_handler("store", G_LOG_LEVEL_WARNING, say_nothing, NULL);
	for (i = 0; i < walks; i++)
		walk(first + i);
	test_tally("operations", walks * STEPS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_fails_is_whole_or_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
