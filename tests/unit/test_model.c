/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Random operations on the store and on a plain model in memory: after every
 * step the results must be equal, and after every reopening all there is. A
 * transaction has a model of its own, which begins as a copy of the other and
 * takes its place when it is committed.
 * A failure prints the seed and the step; POFS_SEED begins with it, POFS_WALKS
 * says how many there are.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "store/journal.h"
#include "tests/unit/model.h"
#include "tests/unit/past_kit.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/undone_kit.h"

#define WALKS 12
#define STEPS 2500

/* Names that fold together, that are long, and that DOS cannot have. */
static const char *const names[] = {
	"A",        "b",   "B", "Long name.txt", "\xc3\x84",
	"\xc3\xa4", "c.d", "e", "LONG NAME.TXT", "f"
};

typedef struct Walk {
	TestStore *test;
	Model *model; /* what the next step sees */
	GRand *rand;
	unsigned step;

	bool is_forgetful; /* the journal keeps little */
	bool is_strict;    /* everything is done in transactions */
	GArray *states;    /* Remembered, oldest first */

	StoreTxn *txn;  /* NULL: steps are plain */
	Model *outside; /* then what all others see */
	GHashTable
		*touched; /* StoreNode: what the transaction may have staged */
} Walk;

/* What there was before an entry of the journal. */
typedef struct Remembered {
	uint64_t id;
	Model *model; /* owned */
} Remembered;

static StoreTxn *
view(const Walk *w)
{
	return w->txn != NULL ? w->txn : store_plain(w->test->store);
}

static void
touch(Walk *w, StoreNode node)
{
	g_hash_table_add(w->touched, g_memdup2(&node, sizeof(node)));
}

static const char *
any_name(Walk *w)
{
	return names[g_rand_int_range(w->rand, 0, G_N_ELEMENTS(names))];
}

static size_t
any_size(Walk *w)
{
	static const int limits[] = { 10, 1100, 5000, 70000 };

	return (size_t)g_rand_int_range(
		w->rand, 0, limits[g_rand_int_range(w->rand, 0, 4)]);
}

/* ---- one step each; the model says what must come out ---------------------*/

static void
step_add(Walk *w, ModelNode *dir)
{
	const char *name = any_name(w);
	StoreAttr attr = { .mode = g_rand_boolean(w->rand) ? S_IFREG | 0644
		                                           : S_IFDIR | 0755 };
	ModelNode *made = NULL;
	int want = model_add(w->model, dir, name, attr.mode, &made);
	int r = store_name_add(view(w), dir->node, name, &attr, &attr);

	assert_int_equal(r, want);
	if (r == 0)
		made->node = attr.node;
}

static void
step_remove(Walk *w, ModelNode *dir)
{
	const char *name = any_name(w);
	uint32_t type = g_rand_boolean(w->rand) ? S_IFREG : S_IFDIR;

	touch(w, model_find(dir, name));
	assert_int_equal(store_name_remove(view(w), dir->node, name, type),
	                 model_remove(w->model, dir, name, type));
}

static void
step_move(Walk *w, ModelNode *dir)
{
	ModelNode *to = model_any_dir(w->model, w->rand);
	const char *name = any_name(w);
	const char *new_name = any_name(w);
	StoreMove how = (StoreMove)g_rand_int_range(w->rand, 0, 3);

	touch(w, model_find(dir, name));
	touch(w, model_find(to, new_name));
	assert_int_equal(store_name_move(view(w), dir->node, name, to->node,
	                                 new_name, how),
	                 model_move(w->model, dir, name, to, new_name, how));
}

static void
step_write(Walk *w, ModelNode *file)
{
	uint64_t offset =
		any_size(w) * (g_rand_int_range(w->rand, 0, 8) == 0 ? 50 : 1);
	size_t size = any_size(w);
	g_autofree uint8_t *data = g_malloc(size + 1);
	size_t i;

	for (i = 0; i < size; i++)
		data[i] = (uint8_t)(g_rand_int(w->rand) | 1);
	assert_int_equal(
		store_file_write(view(w), file->node, offset, data, size), 0);
	model_write(file, offset, data, size);
	touch(w, file->node);
}

static void
step_truncate(Walk *w, ModelNode *file)
{
	uint64_t size = any_size(w);

	assert_int_equal(store_file_truncate(view(w), file->node, size), 0);
	model_truncate(file, size);
	touch(w, file->node);
}

static void
step_punch(Walk *w, ModelNode *file)
{
	uint64_t offset = any_size(w);
	uint64_t size = any_size(w);

	assert_int_equal(store_file_punch(view(w), file->node, offset, size),
	                 0);
	model_punch(file, offset, size);
	touch(w, file->node);
}

static void
step_read(Walk *w, ModelNode *file)
{
	uint64_t offset = any_size(w);
	size_t size = any_size(w);
	g_autofree uint8_t *got = g_malloc(size + 1);
	g_autofree uint8_t *want = g_malloc(size + 1);
	size_t got_size = 0;
	size_t want_size = model_read(file, offset, want, size);

	assert_int_equal(store_file_read(view(w), file->node, offset, got, size,
	                                 &got_size),
	                 0);
	assert_int_equal(got_size, want_size);
	assert_memory_equal(got, want, want_size);
}

static void
step_xattr(Walk *w, ModelNode *node)
{
	g_autofree char *name =
		g_strdup_printf("user.%d", g_rand_int_range(w->rand, 0, 4));
	g_autofree char *value = g_strdup_printf("%u", g_rand_int(w->rand));

	touch(w, node->node);
	if (g_rand_boolean(w->rand)) {
		assert_int_equal(store_xattr_set(view(w), node->node, name,
		                                 value, strlen(value), 0),
		                 0);
		model_xattr_set(node, name, value);
	} else {
		assert_int_equal(store_xattr_remove(view(w), node->node, name),
		                 model_xattr_remove(node, name));
	}
}

/* ---- transactions --------------------------------------------------------*/

static void
keep_answer(void *user_data, int r)
{
	g_atomic_int_set((int *)user_data, r);
}

static int
checkpoint(Walk *w)
{
	int r = 1;

	store_txn_checkpoint(w->txn, keep_answer, &r);
	while (g_atomic_int_get(&r) == 1)
		(void)store_sync_wait(w->test->store);
	return r;
}

/* What the transaction did holds for everybody, or never happened. */
static void
settle(Walk *w, bool is_done)
{
	g_hash_table_remove_all(w->touched);
	if (!is_done) {
		model_free(w->model);
		w->model = g_steal_pointer(&w->outside);
		g_clear_pointer(&w->txn, store_txn_abort);
	} else if (w->txn == NULL) {
		g_clear_pointer(&w->outside, model_free);
	} else {
		model_free(w->outside);
		w->outside = model_copy(w->model);
	}
}

static bool
add_file(void *user_data, const StoreUndoneFile *file)
{
	if (S_ISREG(file->mode) && file->what != STORE_UNDONE_REMOVED)
		g_array_append_val((GArray *)user_data, file->node);
	return true;
}

/* What is undone can be read as the transaction saw it. */
static void
quarantine(Walk *w)
{
	static const StoreCause cause = { "undone", 1 };
	Store *store = w->test->store;
	g_autoptr(GArray) files = g_array_new(FALSE, FALSE, sizeof(StoreNode));
	bool is_empty = store_txn_is_empty(w->txn);
	/* Commits that were stale are there, too. */
	uint64_t before = test_undone(store).id;
	uint64_t id;
	guint i;

	assert_int_equal(store_txn_quarantine(&w->txn, &cause), 0);
	id = test_undone(store).id;
	assert_int_equal(id == before, is_empty);
	if (is_empty)
		return;
	assert_int_equal(store_quarantine_files(store, id, add_file, files), 0);
	for (i = 0; i < files->len; i++) {
		StoreNode node = g_array_index(files, StoreNode, i);
		const ModelNode *want = model_node(w->model, node);
		g_autofree uint8_t *got = g_malloc(want->bytes->len + 1);
		size_t size = 0;

		assert_int_equal(store_quarantine_read(store, id, node, 0, got,
		                                       want->bytes->len + 1,
		                                       &size),
		                 0);
		assert_int_equal(size, want->bytes->len);
		if (size > 0)
			assert_memory_equal(got, want->bytes->data, size);
	}
	if (g_rand_boolean(w->rand))
		assert_int_equal(store_sync_wait(store), 0);
	assert_int_equal(store_quarantine_discard(store, id), 0);
}

/* Before entry @id everything was as it still is outside; and so it is again
 * after the contrary of it. Where little is kept, that may be gone already. */
static void
look_back(Walk *w, uint64_t id)
{
	Store *store = w->test->store;
	g_autofree char *reason = NULL;
	StoreTxn *txn = NULL;
	int r;

	r = store_past_before(store, id, &txn);
	if (r == 0)
		model_compare(w->outside, txn);
	else
		assert_true(w->is_forgetful && r == -ENODATA);
	store_txn_abort(txn);

	assert_int_equal(store_txn_begin(store, "undo", &txn), 0);
	r = store_journal_undo(txn, id, &reason);
	if (r == 0)
		model_compare_names(w->outside, txn);
	else
		assert_true(w->is_forgetful && r == -ENODATA);
	store_txn_abort(txn);
}

static void
remember(Walk *w, uint64_t id)
{
	Remembered state = { id, model_copy(w->outside) };

	g_array_append_val(w->states, state);
}

static void
forget(void *data)
{
	model_free(((Remembered *)data)->model);
}

/* The states that were are still to be seen: some of them, for it takes time. */
static void
look_at_all(Walk *w)
{
	guint i;

	for (i = 0; i < w->states->len; i += 5) {
		const Remembered *state =
			&g_array_index(w->states, Remembered, i);
		g_autoptr(StoreTxn) past = NULL;

		assert_int_equal(
			store_past_before(w->test->store, state->id, &past), 0);
		model_compare(state->model, past);
	}
}

/* Goes back from entry to entry, as far as that can be: what was removed comes
 * back as another file, and what was done to it before cannot be undone. */
static void
go_back(Walk *w)
{
	Store *store = w->test->store;
	guint i = w->states->len;
	int r = 0;

	while (r == 0 && i-- > 0) {
		const Remembered *state =
			&g_array_index(w->states, Remembered, i);
		g_autofree char *reason = NULL;
		g_autoptr(StoreTxn) txn = NULL;

		assert_int_equal(store_txn_begin(store, "undo", &txn), 0);
		r = store_journal_undo(txn, state->id, &reason);
		if (r < 0) {
			/* Nothing can have happened after the last one. */
			assert_true(r == -EBUSY && i + 1 < w->states->len);
			break;
		}
		assert_int_equal(store_txn_commit_wait(&txn), 0);
		model_compare_names(state->model, store_plain(store));
	}
	test_store_check(w->test->store);
}

/* A checkpoint, or an end; @want is how it ends unless it is an abort. */
static void
step_end(Walk *w, int want)
{
	static const StoreCause draft = { "a draft", 1 };
	int choice = g_rand_int_range(w->rand, 0, want < 0 ? 3 : 5);
	uint64_t before = test_last_entry(w->test->store);
	StoreJournalEntry entry;

	if (g_rand_boolean(w->rand))
		assert_int_equal(store_txn_save(w->txn, &draft, NULL, NULL), 0);
	if (choice == 0)
		assert_int_equal(checkpoint(w), want);
	else if (choice == 1)
		assert_int_equal(store_txn_commit_wait(&w->txn), want);
	else if (choice == 2)
		assert_int_equal(store_txn_publish(&w->txn), want);
	else if (choice == 3)
		quarantine(w);
	entry = test_journal(w->test->store).last;
	if (entry.id > before && entry.outcome != STORE_UNDONE) {
		look_back(w, entry.id);
		if (w->is_strict)
			remember(w, entry.id);
	}
	settle(w, want == 0 && choice < 3);
}

/* A plain change beside the transaction: if that has staged the same node, it
 * has come to nothing. */
static void
step_meddle(Walk *w)
{
	ModelNode *file = model_any_file(w->outside, w->rand);
	ModelNode *inside;
	bool is_touched;

	if (file == NULL)
		return;
	inside = model_node(w->model, file->node);
	is_touched = g_hash_table_contains(w->touched, &file->node);
	/* Some touches change nothing: this does. */
	if (is_touched && inside != NULL)
		assert_int_equal(store_file_truncate(w->txn, file->node,
		                                     inside->bytes->len),
		                 0);
	assert_int_equal(store_xattr_set(store_plain(w->test->store),
	                                 file->node, "user.0", "m", 1, 0),
	                 0);
	model_xattr_set(file, "user.0", "m");
	if (is_touched)
		step_end(w, -ESTALE);
	else
		model_xattr_set(inside, "user.0", "m");
}

static void
step_transaction(Walk *w)
{
	int choice = g_rand_int_range(w->rand, 0, 6);

	if (w->txn == NULL) {
		g_hash_table_remove_all(w->touched);
		assert_int_equal(
			store_txn_begin(w->test->store, "walk", &w->txn), 0);
		w->outside = w->model;
		w->model = model_copy(w->outside);
	} else if (choice == 0) {
		model_compare(w->outside, store_plain(w->test->store));
		model_compare(w->model, w->txn);
	} else if (choice < 4 && !w->is_strict) {
		step_meddle(w);
	} else {
		step_end(w, 0);
	}
}

static void
step_reopen(Walk *w)
{
	if (w->txn != NULL)
		settle(w, false);
	test_store_reopen(w->test);
	model_compare(w->model, store_plain(w->test->store));
	test_store_check(w->test->store);
}

/* ---- the walk ------------------------------------------------------------*/

static void
step(Walk *w)
{
	ModelNode *dir = model_any_dir(w->model, w->rand);
	ModelNode *file = model_any_file(w->model, w->rand);
	int choice = g_rand_int_range(w->rand, 0, 100);

	if (choice == 0)
		step_reopen(w);
	else if (choice < 3)
		assert_int_equal(store_sync_wait(w->test->store), 0);
	else if (choice < 8 || (w->is_strict && w->txn == NULL))
		step_transaction(w);
	else if (choice < 30 || (choice >= 52 && file == NULL))
		step_add(w, dir);
	else if (choice < 42)
		step_remove(w, dir);
	else if (choice < 52)
		step_move(w, dir);
	else if (choice < 70)
		step_write(w, file);
	else if (choice < 76)
		step_truncate(w, file);
	else if (choice < 80)
		step_punch(w, file);
	else if (choice < 92)
		step_read(w, file);
	else
		step_xattr(w, g_rand_boolean(w->rand) ? file : dir);
}

/* Each other seed has transactions that spill whatever they can; each third one
 * a journal that keeps little, and each other third one nothing but
 * transactions. */
static TestStore *
store_for(guint32 seed)
{
	StoreOptions options = STORE_OPTIONS_DEFAULT;

	if (seed % 2 == 1)
		options.staged_limit = 1;
	if (seed % 3 == 1)
		options.journal_max = 50000;
	return test_store_new_with(&options);
}

static void
the_store_behaves_like_a_plain_model(void **state)
{
	guint32 first = test_number_of("POFS_SEED", g_random_int());
	guint walks = test_number_of("POFS_WALKS", WALKS);
	guint i;

	for (i = 0; i < walks; i++) {
		guint32 seed = first + i;
		TestStore *test = store_for(seed);
		Walk w = { .test = test,
			   .model = model_new(),
			   .rand = g_rand_new_with_seed(seed),
			   .is_forgetful = seed % 3 == 1,
			   .is_strict = seed % 3 == 2,
			   .states = g_array_new(FALSE, FALSE,
			                         sizeof(Remembered)),
			   .touched = g_hash_table_new_full(
				   g_int64_hash, g_int64_equal, g_free, NULL) };

		print_message("POFS_SEED=%u\n", seed);
		for (w.step = 0; w.step < STEPS; w.step++)
			step(&w);
		step_reopen(&w);
		look_at_all(&w);
		go_back(&w);
		g_array_set_clear_func(w.states, forget);
		g_array_unref(w.states);
		g_rand_free(w.rand);
		g_hash_table_unref(w.touched);
		model_free(w.model);
		test_store_free(test);
		test_tally("operations", w.step);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_store_behaves_like_a_plain_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
