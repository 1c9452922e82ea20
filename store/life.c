/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How a transaction lives
 *
 * - What it changes is staged in a layer of its own, which nobody else sees.
 * - A checkpoint or the commit hands that layer to the commit queue. After a
 *   checkpoint the transaction goes on with an empty one; until it has ended,
 *   the other (flight) lies beneath it. One is under way at a time, so what
 *   follows waits for it, and fails if it fails.
 * - The transaction itself is counted, for its owner may let it go while its
 *   checkpoint is still under way.
 */

#include <errno.h>

#include "store/internal.h"

int
store_txn_begin(Store *store, const char *who, StoreTxn **ret_txn)
{
	StoreTxn *txn;

	if (store->access != STORE_WRITE)
		return -EROFS;
	txn = g_atomic_rc_box_new0(StoreTxn);
	txn->store = store;
	txn->who = g_strdup(who);
	txn->layer = change_layer_new();
	txn->begun_ns = store_now_ns();
	*ret_txn = txn;
	return 0;
}

static void
txn_clear(void *data)
{
	StoreTxn *txn = data;

	g_free(txn->who);
	journal_account_free(txn->account);
	change_layer_free(txn->layer);
	change_layer_free(txn->kept);
	g_clear_pointer(&txn->touched, g_hash_table_unref);
	g_clear_pointer(&txn->fresh, g_hash_table_unref);
	g_clear_pointer(&txn->spilled, g_hash_table_unref);
	g_clear_pointer(&txn->drafted, g_hash_table_unref);
	g_clear_pointer(&txn->lost, g_hash_table_unref);
}

void
txn_unref(StoreTxn *txn)
{
	g_atomic_rc_box_release_full(txn, txn_clear);
}

void
txn_end(StoreTxn *txn)
{
	ChangeLayer *layer = g_steal_pointer(&txn->layer);

	txn_uncount(txn->store, layer);
	spill_release(txn->store, layer);
	change_layer_free(layer);
	/* A checkpoint that is under way keeps the rest. */
	txn_unref(txn);
}

/* Keeps what could not be committed. */
static void
keep_failed(StoreTxn *txn, int r)
{
	g_autofree char *reason =
		g_strdup_printf("the commit failed: %s", g_strerror(-r));
	StoreCause cause = { reason, txn->begun_ns };

	(void)quarantine_keep(txn, &cause);
}

void
store_txn_abort(StoreTxn *txn)
{
	Store *store;

	if (txn == NULL)
		return;
	store = txn->store;
	STORE_LOCK(store);
	if (txn->has_failed)
		keep_failed(txn, txn->error);
	else
		quarantine_drop_draft(txn);
	txn_end(txn);
}

int
store_txn_quarantine(StoreTxn **txn, const StoreCause *cause)
{
	StoreTxn *t = g_steal_pointer(txn);
	Store *store = t->store;
	int r;

	STORE_LOCK(store);
	r = quarantine_keep(t, cause);
	txn_end(t);
	return r;
}

bool
store_txn_is_empty(const StoreTxn *txn)
{
	STORE_LOCK(txn->store);
	return change_layer_count(txn->layer) == 0;
}

/* ---- ends ----------------------------------------------------------------*/

/* Marks directory @dir as changed now, unless the transaction or a commit under
 * way changes its record: that has times of its own. */
static void
touch_directory(StoreTxn *txn, StoreNode dir)
{
	StoreTxn *plain = &txn->store->plain;
	RecordKey key = record_key_node(dir);
	RecordNode node;

	if (change_layer_find(txn->layer, record_slice(&key)) != NULL ||
	    claim_has_key(txn->store, record_slice(&key)) ||
	    node_load(plain, dir, &node) < 0)
		return;
	node.attr.mtime_ns = node.attr.ctime_ns = store_now_ns();
	node_save(plain, &node);
}

/* Directories change their times with what is in them, for everyone, so not
 * in the transaction's own copy of their records. */
static void
touch_directories(StoreTxn *txn)
{
	GHashTableIter iter;
	void *key;

	if (txn->touched == NULL)
		return;
	g_hash_table_iter_init(&iter, txn->touched);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		touch_directory(txn, *(StoreNode *)key);
	g_clear_pointer(&txn->touched, g_hash_table_unref);
}

/* What @txn has staged ends its draft with it; else that would turn up as undone
 * some day. Returns whether it may be committed. */
static int
prepare(StoreTxn *txn)
{
	g_assert(txn->lost == NULL); /* the past is past */
	if (txn->error == 0)
		txn->error = quarantine_stage_end(txn);
	return txn->error;
}

/* Gives what @txn has staged, and a reference to it, to the commit queue. */
static void
hand_over(StoreTxn *txn, StoreDone *done, void *user_data)
{
	ChangeLayer *layer;

	touch_directories(txn);
	/* What it has made so far will have a name. */
	g_clear_pointer(&txn->fresh, g_hash_table_unref);
	txn->spill_at = 0;
	layer = g_steal_pointer(&txn->layer);
	if (txn->flight == NULL)
		txn->flight = layer;
	waiter_enqueue(txn->store, txn, layer, done, user_data);
}

/* Hands over what a checkpoint of @txn shall commit, if there is something. */
static bool
begin_checkpoint(StoreTxn *txn, StoreDone *done, void *user_data, int *ret_r)
{
	STORE_LOCK(txn->store);
	*ret_r = txn->error;
	if (change_layer_count(txn->layer) == 0)
		return false;
	*ret_r = prepare(txn);
	if (*ret_r < 0)
		return false;
	g_assert(txn->flight == NULL);
	hand_over(g_atomic_rc_box_acquire(txn), done, user_data);
	txn->layer = change_layer_new();
	return true;
}

void
store_txn_checkpoint(StoreTxn *txn, StoreDone *done, void *user_data)
{
	int r;

	if (!begin_checkpoint(txn, done, user_data, &r))
		done(user_data, r);
}

static int
begin_commit(StoreTxn *txn, StoreDone *done, void *user_data)
{
	Store *store = txn->store;
	int r = 0;

	STORE_LOCK(store);
	r = prepare(txn);
	if (r == 0) {
		hand_over(txn, done, user_data);
		return 0;
	}
	keep_failed(txn, r);
	txn_end(txn);
	return r;
}

void
store_txn_commit(StoreTxn **txn, StoreDone *done, void *user_data)
{
	int r = begin_commit(g_steal_pointer(txn), done, user_data);

	if (r < 0)
		done(user_data, r);
}

/* Stages again what a checkpoint could not commit: it belongs together with
 * what has followed. */
static void
stage_again(StoreTxn *txn, ChangeLayer *layer)
{
	txn_uncount(txn->store, txn->layer);
	change_layer_move_under(layer, txn->layer);
	txn_count(txn->store, txn->layer);
}

void
txn_fail(StoreTxn *txn, ChangeLayer **layer, int r)
{
	if (txn->error == 0)
		txn->error = r;
	txn->has_failed = true;
	if (txn->layer != NULL) {
		stage_again(txn, *layer);
		return;
	}
	/* It has ended: nobody but the quarantine wants it. */
	txn->layer = g_steal_pointer(layer);
	keep_failed(txn, r);
	*layer = g_steal_pointer(&txn->layer);
	spill_release(txn->store, *layer);
}

void
txn_reveal(Store *store, const ChangeLayer *layer)
{
	orphan_queue_layer(store, layer);
	g_hash_table_remove_all(store->roles);
	commit_note_change(store);
}

/* Whether the plain layer may take @layer now. A full disk takes what makes
 * room. */
static int
check_health(const Store *store, const ChangeLayer *layer)
{
	static const uint8_t table = RECORD_CHUNK;
	ChangePlace *place = change_layer_seek(layer, (KvSlice){ &table, 1 });
	const Change *first = place == NULL ? NULL : change_place_get(place);
	bool has_content = first != NULL && first->value != NULL &&
	                   first->key_bytes[0] == table;

	if (store->health == STORE_FULL && !has_content)
		return 0;
	return commit_health_error(store);
}

static int
publish(StoreTxn *txn)
{
	Store *store = txn->store;
	JournalAsk ask = { .txn = txn,
		           .account = txn->account,
		           .layer = txn->layer,
		           .outcome = STORE_PUBLISHED };
	g_autoptr(JournalEntry) entry = NULL;
	int r = prepare(txn);

	if (r == 0)
		r = check_health(store, txn->layer);
	if (r == 0 && !claim_is_free(store, txn->layer))
		r = -ESTALE;
	if (r == 0)
		r = claim_verify(store, txn->layer);
	if (r == 0)
		r = journal_write(store, &ask, &entry);
	if (r < 0)
		return r;

	touch_directories(txn);
	txn_uncount(store, txn->layer);
	txn_reveal(store, txn->layer);
	change_layer_move_over(txn->layer, store->active);
	journal_apply(store, entry);
	return 0;
}

int
store_txn_publish(StoreTxn **txn)
{
	Store *store = (*txn)->store;
	StoreTxn *t;
	int r;

	STORE_LOCK(store);
	if ((*txn)->flight != NULL)
		return -EBUSY;
	t = g_steal_pointer(txn);
	r = publish(t);
	if (r < 0)
		keep_failed(t, r);
	txn_end(t);
	return r;
}
