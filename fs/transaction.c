/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/transaction.h"

#include <errno.h>

struct FsTransactionTable {
	FsMailbagLock *locks;  /* borrowed */
	GHashTable *by_serial; /* of the session -> FsTransaction */
};

static void
lock_free(void *data)
{
	FsTransactionLock *lock = data;

	g_free(lock->key);
	g_free(lock);
}

static void
file_free(void *data)
{
	FsTransactionFile *file = data;

	fs_written_free(file->written);
	g_free(file);
}

static GHashTable *
files_new(void)
{
	return g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
	                             file_free);
}

static GHashTable *
dirs_new(void)
{
	return g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

FsTransactionTable *
fs_transaction_table_new(FsMailbagLock *locks)
{
	FsTransactionTable *table = g_new(FsTransactionTable, 1);

	*table = (FsTransactionTable){
		.locks = locks,
		.by_serial = g_hash_table_new_full(g_int64_hash, g_int64_equal,
		                                   g_free, NULL),
	};
	return table;
}

void
fs_transaction_table_free(FsTransactionTable *table)
{
	if (table == NULL)
		return;

	g_assert(g_hash_table_size(table->by_serial) == 0);
	g_hash_table_unref(table->by_serial);
	g_free(table);
}

FsTransaction *
fs_transaction_of_serial(FsTransactionTable *table, uint64_t serial)
{
	return g_hash_table_lookup(table->by_serial, &serial);
}

FsTransaction *
fs_transaction_find(FsTransactionTable *table, const FsSession *session)
{
	return fs_transaction_of_serial(table, fs_session_serial(session));
}

static void
user_free(void *user)
{
	fs_session_unref(user);
}

FsTransaction *
fs_transaction_obtain(FsTransactionTable *table, FsSession *session)
{
	FsTransaction *transaction = fs_transaction_find(table, session);
	uint64_t serial = fs_session_serial(session);

	if (transaction != NULL)
		return transaction;

	transaction = g_new(FsTransaction, 1);
	*transaction = (FsTransaction){
		.table = table,
		.session = fs_session_ref(session),
		.users = g_hash_table_new_full(NULL, NULL, user_free, NULL),
		.seen = g_array_new(FALSE, FALSE, sizeof(StoreNode)),
		.locks = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
		                               lock_free),
		.batch = 1,
		.files = files_new(),
		.dirs = dirs_new(),
		.flying_ends = G_QUEUE_INIT,
		.ends = G_QUEUE_INIT,
	};
	g_hash_table_insert(table->by_serial, g_memdup2(&serial, sizeof serial),
	                    transaction);
	return transaction;
}

FsTransaction *
fs_transaction_any(FsTransactionTable *table)
{
	GHashTableIter iter;
	gpointer transaction;

	g_hash_table_iter_init(&iter, table->by_serial);
	return g_hash_table_iter_next(&iter, NULL, &transaction) ? transaction
	                                                         : NULL;
}

GArray *
fs_transaction_serials(FsTransactionTable *table)
{
	GArray *serials = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	GHashTableIter iter;
	gpointer serial;

	g_hash_table_iter_init(&iter, table->by_serial);
	while (g_hash_table_iter_next(&iter, &serial, NULL))
		g_array_append_vals(serials, serial, 1);
	return serials;
}

int64_t
fs_transaction_oldest_us(FsTransactionTable *table)
{
	int64_t oldest_us = INT64_MAX;
	GHashTableIter iter;
	gpointer data;

	g_hash_table_iter_init(&iter, table->by_serial);
	while (g_hash_table_iter_next(&iter, NULL, &data)) {
		const FsTransaction *transaction = data;

		if (fs_transaction_is_staged(transaction) &&
		    !transaction->is_flying)
			oldest_us = MIN(oldest_us, transaction->begun_us);
	}
	return oldest_us;
}

void
fs_transaction_add_user(FsTransaction *transaction, FsSession *user)
{
	if (!g_hash_table_contains(transaction->users, user))
		g_hash_table_add(transaction->users, fs_session_ref(user));
}

void
fs_transaction_remove_user(FsTransaction *transaction, const FsSession *user)
{
	g_hash_table_remove(transaction->users, user);
}

static void
transaction_free(FsTransaction *transaction)
{
	g_assert(transaction->ends.length == 0);
	g_assert(transaction->flying_ends.length == 0);
	store_txn_abort(transaction->txn);
	g_hash_table_unref(transaction->locks);
	g_hash_table_unref(transaction->files);
	g_hash_table_unref(transaction->dirs);
	g_clear_pointer(&transaction->flying, g_hash_table_unref);
	g_hash_table_unref(transaction->users);
	g_array_unref(transaction->seen);
	fs_session_unref(transaction->session);
	g_free(transaction);
}

static void
table_remove(FsTransaction *transaction)
{
	uint64_t serial = fs_session_serial(transaction->session);

	if (!transaction->is_detached)
		g_hash_table_remove(transaction->table->by_serial, &serial);
}

/* Where @node is among those seen; or how many there are. */
static guint
seen_find(const FsTransaction *transaction, StoreNode node)
{
	guint at = 0;

	while (at < transaction->seen->len &&
	       g_array_index(transaction->seen, StoreNode, at) != node)
		at++;
	return at;
}

void
fs_transaction_see(FsTransaction *transaction, StoreNode node)
{
	GArray *seen = transaction->seen;

	transaction->is_renumbered = false;
	if (seen_find(transaction, node) < seen->len)
		return;

	if (seen->len < FS_TRANSACTION_SEEN_MAX) {
		g_array_append_val(seen, node);
		return;
	}
	g_array_index(seen, StoreNode, transaction->seen_next) = node;
	transaction->seen_next =
		(transaction->seen_next + 1) % FS_TRANSACTION_SEEN_MAX;
}

void
fs_transaction_unsee(FsTransaction *transaction, StoreNode node)
{
	guint at = seen_find(transaction, node);

	if (at < transaction->seen->len)
		g_array_remove_index_fast(transaction->seen, at);
}

void
fs_transaction_tidy(FsTransaction *transaction)
{
	if (transaction->is_flying || transaction->is_releasing ||
	    transaction->ends.length > 0 ||
	    fs_transaction_is_staged(transaction) ||
	    g_hash_table_size(transaction->locks) > 0)
		return;

	table_remove(transaction);
	transaction_free(transaction);
}

void
fs_transaction_detach(FsTransaction *transaction)
{
	GHashTableIter iter;
	gpointer data;

	table_remove(transaction);
	transaction->is_detached = true;
	g_clear_pointer(&transaction->txn, store_txn_abort);
	g_hash_table_remove_all(transaction->files);
	transaction->bytes = 0;
	transaction->pieces = 0;
	transaction->begun_us = 0;
	transaction->forms = 0;
	transaction->writers = 0;

	g_hash_table_iter_init(&iter, transaction->locks);
	while (g_hash_table_iter_next(&iter, NULL, &data)) {
		FsTransactionLock *lock = data;

		lock->forms = 0;
		if (transaction->is_flying)
			fs_mailbag_lock_detach(
				transaction->table->locks,
				fs_session_serial(transaction->session),
				lock->key);
	}

	if (!transaction->is_flying) {
		fs_transaction_release(transaction, UINT64_MAX);
		fs_transaction_tidy(transaction);
	}
}

/* ---- locks ---------------------------------------------------------------*/

static bool
is_of_mailbag(FsLockPurpose purpose)
{
	return purpose != FS_LOCK_FILE;
}

static FsTransactionLock *
lock_find(const FsTransaction *transaction, const char *key)
{
	return g_hash_table_lookup(transaction->locks, key);
}

static void
lock_add(FsTransaction *transaction, const char *key, FsLockPurpose purpose)
{
	FsTransactionLock *lock = g_new(FsTransactionLock, 1);

	*lock = (FsTransactionLock){
		.key = g_strdup(key),
		.purpose = purpose,
		.batch = transaction->batch,
	};
	g_hash_table_insert(transaction->locks, lock->key, lock);
	/* Whoever waits for it behind this one has asked the last who had it. */
	if (fs_mailbag_lock_is_wanted(transaction->table->locks, key))
		fs_transaction_press(transaction, key);
}

bool
fs_transaction_has(const FsTransaction *transaction, const char *key)
{
	return lock_find(transaction, key) != NULL;
}

int
fs_transaction_take(FsTransaction *transaction, const char *key,
                    FsLockPurpose purpose, int64_t now_us)
{
	FsTransactionLock *lock = lock_find(transaction, key);
	int r;

	if (lock != NULL) {
		lock->batch = transaction->batch;
		return 0;
	}

	if (g_hash_table_size(transaction->locks) >= FS_TRANSACTION_LOCKS_MAX)
		return -ENOSPC;

	r = fs_mailbag_lock_try(transaction->table->locks,
	                        fs_session_serial(transaction->session), key,
	                        now_us);
	if (r == 0)
		lock_add(transaction, key, purpose);
	return r;
}

void
fs_transaction_taken(FsTransaction *transaction, const char *key,
                     FsLockPurpose purpose)
{
	if (!fs_transaction_has(transaction, key)) {
		lock_add(transaction, key, purpose);
		return;
	}

	/* Two opens of one session waited, and both were granted. */
	fs_mailbag_lock_drop(transaction->table->locks,
	                     fs_session_serial(transaction->session), key,
	                     g_get_monotonic_time());
}

void
fs_transaction_hold(FsTransaction *transaction, const char *key)
{
	FsTransactionLock *lock = lock_find(transaction, key);

	lock->forms++;
	lock->batch = transaction->batch;
	if (is_of_mailbag(lock->purpose)) {
		transaction->forms++;
		transaction->is_durable = true;
	}
}

void
fs_transaction_let_go(FsTransaction *transaction, const char *key)
{
	FsTransactionLock *lock = lock_find(transaction, key);

	g_assert(lock != NULL && lock->forms > 0);
	lock->forms--;
	if (is_of_mailbag(lock->purpose))
		transaction->forms--;
}

void
fs_transaction_press(FsTransaction *transaction, const char *key)
{
	FsTransactionLock *lock = lock_find(transaction, key);

	if (lock != NULL && !lock->is_wanted) {
		lock->is_wanted = true;
		transaction->wanted++;
	}
}

bool
fs_transaction_is_pressed(const FsTransaction *transaction)
{
	GHashTableIter iter;
	gpointer data;

	if (transaction->wanted == 0)
		return false;

	g_hash_table_iter_init(&iter, transaction->locks);
	while (g_hash_table_iter_next(&iter, NULL, &data)) {
		const FsTransactionLock *lock = data;

		if (lock->is_wanted && lock->forms == 0)
			return true;
	}
	return false;
}

/* Takes the locks that may go out of the book, before anybody is given one:
 * that calls whoever waited. */
static GPtrArray *
locks_take_out(FsTransaction *transaction, uint64_t batch)
{
	GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	gpointer data;

	g_hash_table_iter_init(&iter, transaction->locks);
	while (g_hash_table_iter_next(&iter, NULL, &data)) {
		FsTransactionLock *lock = data;

		if (lock->forms > 0 || lock->batch > batch)
			continue;
		if (lock->is_wanted)
			transaction->wanted--;
		g_ptr_array_add(keys, g_strdup(lock->key));
		g_hash_table_iter_remove(&iter);
	}
	return keys;
}

void
fs_transaction_release(FsTransaction *transaction, uint64_t batch)
{
	g_autoptr(GPtrArray) keys = locks_take_out(transaction, batch);
	uint64_t serial = fs_session_serial(transaction->session);
	FsMailbagLock *locks = transaction->table->locks;

	transaction->is_releasing = true;
	for (guint i = 0; i < keys->len; i++)
		fs_mailbag_lock_drop(locks, serial, keys->pdata[i],
		                     g_get_monotonic_time());
	transaction->is_releasing = false;
}

/* ---- changes -------------------------------------------------------------*/

int
fs_transaction_begin(FsTransaction *transaction, Store *store)
{
	g_autofree char *who = NULL;

	if (transaction->txn != NULL)
		return 0;

	who = g_strdup_printf("session %" G_GUINT64_FORMAT ", pid %d",
	                      fs_session_serial(transaction->session),
	                      (int)fs_session_pid(transaction->session));
	return store_txn_begin(store, who, &transaction->txn);
}

FsTransactionFile *
fs_transaction_file(const FsTransaction *transaction, StoreNode node)
{
	return g_hash_table_lookup(transaction->files, &node);
}

bool
fs_transaction_has_changed(const FsTransaction *transaction, const char *key)
{
	const FsTransactionLock *lock = lock_find(transaction, key);

	return lock != NULL && lock->changed == transaction->batch;
}

/* Enters that something at @place has changed. */
static void
lock_note(const FsTransaction *transaction, const StorePlace *place)
{
	g_autofree char *key = fs_lock_key(place);
	FsTransactionLock *lock =
		key != NULL ? lock_find(transaction, key) : NULL;

	if (lock != NULL)
		lock->changed = transaction->batch;
}

FsTransactionFile *
fs_transaction_note(FsTransaction *transaction, StoreNode node,
                    const StorePlace *place, bool is_new)
{
	FsTransactionFile *file = fs_transaction_file(transaction, node);

	if (transaction->begun_us == 0) {
		transaction->begun_us = g_get_monotonic_time();
		transaction->begun_ns = g_get_real_time() * 1000;
	}
	transaction->is_last_index = false;
	lock_note(transaction, place);
	if (file != NULL)
		return file;

	file = g_new(FsTransactionFile, 1);
	*file = (FsTransactionFile){
		.node = node,
		.purpose = fs_lock_key_purpose(place),
		.written = is_new && place->kind == LAYOUT_MESSAGE
		                   ? fs_written_new(&transaction->pieces)
		                   : NULL,
	};
	g_hash_table_insert(transaction->files, &file->node, file);
	return file;
}

bool
fs_transaction_is_staged(const FsTransaction *transaction)
{
	return transaction->begun_us != 0;
}

bool
fs_transaction_is_over(const FsTransaction *transaction)
{
	return transaction->forms == 0 && transaction->writers == 0;
}

void
fs_transaction_next_batch(FsTransaction *transaction)
{
	g_hash_table_unref(transaction->files);
	transaction->files = files_new();
	transaction->pieces = 0;
	g_hash_table_unref(transaction->dirs);
	transaction->dirs = dirs_new();
	transaction->batch++;
	transaction->bytes = 0;
	transaction->begun_us = 0;
	transaction->begun_ns = 0;
	transaction->is_last_index = false;
	transaction->is_durable = transaction->forms > 0;
}

bool
fs_transaction_touches(const FsTransaction *transaction, StoreNode node)
{
	return fs_transaction_file(transaction, node) != NULL ||
	       (transaction->flying != NULL &&
	        g_hash_table_contains(transaction->flying, &node));
}

void
fs_transaction_fly(FsTransaction *transaction)
{
	transaction->flying = g_hash_table_ref(transaction->files);
	transaction->flying_ends = transaction->ends;
	g_queue_init(&transaction->ends);
	fs_transaction_next_batch(transaction);
	transaction->is_flying = true;
}

void
fs_transaction_landed(FsTransaction *transaction, GQueue *ret_ends)
{
	*ret_ends = transaction->flying_ends;
	g_queue_init(&transaction->flying_ends);
	g_clear_pointer(&transaction->flying, g_hash_table_unref);
	transaction->is_flying = false;
}
