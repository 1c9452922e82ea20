/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include "fs/ops.h"

/*
 * How a transaction ends
 *
 * - It is over when its session holds no mailbag's lock and has no message file
 *   that it changed open for writing. If a mailbag's lock was held, whoever let
 *   go of the last one is answered when everything is on disk; else, as for a
 *   message that is written before its queue is locked, what it has done is
 *   everybody's at once and on disk with the next commit, before any queue
 *   entry that points to it.
 * - Under pressure, when somebody waits for a lock that the session merely
 *   keeps, it commits what it has at the next safe point and goes on.
 * - It is undone when its session dies, is broken, takes too long, or leaves a
 *   new message file with a gap in it. What it had goes to the quarantine.
 */

#define US_PER_S INT64_C(1000000)

/* A batch on its way to the disk. */
typedef struct Flight {
	const FsMount *mount;
	FsTransaction *transaction;
	uint64_t batch;
	GHashTable *dirs; /* owned: names in them have changed */
	GQueue ends;      /* FsCall, owned: to be answered */
	int r;
} Flight;

static void
ends_answer(GQueue *ends, int r)
{
	FsCall *call;

	while ((call = g_queue_pop_head(ends)) != NULL) {
		fs_reply_status(call, r);
		g_free(call);
	}
}

/* Names in @dirs are others now. */
static void
dirs_settle(const FsMount *mount, GHashTable *dirs)
{
	GHashTableIter iter;
	gpointer dir;

	if (g_hash_table_size(dirs) > 0)
		++*mount->names_serial;
	g_hash_table_iter_init(&iter, dirs);
	while (g_hash_table_iter_next(&iter, &dir, NULL))
		fs_notify_attr(mount->notify, *(StoreNode *)dir);
}

/* ---- undoing ------------------------------------------------------------- */

/* @reason, and whose it was, if that is known by now. */
static char *
reason_complete(FsSession *session, const char *reason)
{
	g_autofree char *command = NULL;
	FsPeer peer;

	if (!fs_session_peer(session, &peer))
		return g_strdup(reason);

	/* It is a program's own, and to be one line. */
	command = g_strescape(peer.command, NULL);
	return g_strdup_printf("%s (%s)", reason,
	                       peer.is_smbd && peer.address[0] != '\0'
	                               ? peer.address
	                               : command);
}

static void
transaction_quarantine(FsTransaction *transaction, const char *reason)
{
	g_autofree char *full = reason_complete(transaction->session, reason);
	StoreCause cause = {
		.reason = full,
		.begun_ns = transaction->begun_ns,
	};
	int r;

	g_warning("undone session=%" G_GUINT64_FORMAT
	          " pid=%d files=%u reason=\"%s\"",
	          fs_session_serial(transaction->session),
	          (int)fs_session_pid(transaction->session),
	          g_hash_table_size(transaction->files), full);

	r = store_txn_quarantine(&transaction->txn, &cause);
	if (r < 0)
		g_critical("not quarantined: %s", g_strerror(-r));
}

/* Byte ranges that were forms of locks go with them. */
static void
ranges_drop(const FsMount *mount, const FsSession *session)
{
	g_autoptr(GPtrArray) handles =
		fs_handle_of_session(mount->handles, session);

	for (guint i = 0; i < handles->len; i++) {
		FsHandle *handle = handles->pdata[i];

		if (handle->has_range)
			fs_range_lock_drop_handle(mount->locks, handle->node,
			                          handle);
		handle->has_range = false;
	}
}

/* Undoes what @transaction has staged, and ends everything that its session
 * holds; the session begins anew. */
static void
transaction_undo(const FsMount *mount, FsTransaction *transaction,
                 const char *reason)
{
	g_autoptr(FsSession) session = fs_session_ref(transaction->session);
	GQueue ends = transaction->ends;

	g_queue_init(&transaction->ends);
	/* What failed to be published is in the quarantine already. */
	if (fs_transaction_is_staged(transaction) && transaction->txn != NULL)
		transaction_quarantine(transaction, reason);
	fs_lock_file_end(mount->lock_files, fs_session_serial(session));
	fs_session_next_epoch(session);
	if (g_hash_table_size(transaction->dirs) > 0)
		++*mount->names_serial;
	fs_transaction_detach(transaction);
	ranges_drop(mount, session);
	ends_answer(&ends, -EIO);
}

void
fs_commit_abort(const FsMount *mount, const FsSession *session,
                const char *reason)
{
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);

	if (transaction != NULL)
		transaction_undo(mount, transaction, reason);
}

/*
 * Who lets go, and how? An smbd closes as root when its client is gone, and as
 * the share's user when the client says so; a process that is killed closes as
 * it exits. So is told what is done from what was broken off. Returns the
 * reason to undo it, or NULL.
 */
static const char *
caller_fault(const FsCall *call, FsSession *session)
{
	bool is_smbd = fs_session_is_smbd(session);
	FsThreadEnd end;

	if (is_smbd && call->caller.uid == 0)
		return "its client disconnected";
	if (fs_session_pid(session) == 0)
		return NULL;
	if (fs_thread_group_read_end(fuse_req_ctx(call->req)->pid, &end) < 0)
		return "it is not known how its process ended";

	switch (end) {
	case FS_THREAD_GOES_ON:
		return NULL;
	case FS_THREAD_EXITS:
		return is_smbd ? "its smbd ended" : NULL;
	case FS_THREAD_FAILS:
	default:
		return "its process was killed or failed";
	}
}

void
fs_commit_look_at(const FsCall *call, FsSession *session)
{
	const FsMount *mount = call->mount;
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);
	const char *fault;

	if (transaction == NULL || !fs_transaction_is_staged(transaction))
		return;

	fault = caller_fault(call, session);
	if (fault != NULL)
		transaction_undo(mount, transaction, fault);
}

/* ---- committing ---------------------------------------------------------- */

static void transaction_settle(const FsMount *mount,
                               FsTransaction *transaction);

/* Called with the turn, on the main thread. */
static void
flight_landed(void *user_data)
{
	Flight *flight = user_data;
	const FsMount *mount = flight->mount;
	FsTransaction *transaction = flight->transaction;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(mount->turn);

	transaction->is_flying = false;
	dirs_settle(mount, flight->dirs);
	if (transaction->is_detached) {
		fs_transaction_release(transaction, UINT64_MAX);
	} else if (flight->r == 0) {
		fs_transaction_release(transaction, flight->batch);
	}
	ends_answer(&flight->ends, flight->r);

	if (transaction->is_detached) {
		fs_transaction_tidy(transaction);
	} else if (flight->r < 0) {
		g_critical("commit failed session=%" G_GUINT64_FORMAT ": %s",
		           fs_session_serial(transaction->session),
		           g_strerror(-flight->r));
		transaction_undo(mount, transaction,
		                 "the commit before it failed");
	} else {
		transaction_settle(mount, transaction);
	}

	g_hash_table_unref(flight->dirs);
	g_free(flight);
}

/* Called on the committer's thread, which must not wait. */
static void
flight_done(void *user_data, int r)
{
	Flight *flight = user_data;

	flight->r = r;
	fs_later_post(flight->mount->later, flight_landed, flight);
}

static void
transaction_fly(const FsMount *mount, FsTransaction *transaction)
{
	Flight *flight = g_new(Flight, 1);

	*flight = (Flight){
		.mount = mount,
		.transaction = transaction,
		.batch = transaction->batch,
		.dirs = g_hash_table_ref(transaction->dirs),
		.ends = transaction->ends,
	};
	g_queue_init(&transaction->ends);
	fs_transaction_next_batch(transaction);
	transaction->is_flying = true;
	store_txn_checkpoint(transaction->txn, flight_done, flight);
}

/* Makes it everybody's at once. */
static int
transaction_publish(const FsMount *mount, FsTransaction *transaction)
{
	int r = store_txn_publish(&transaction->txn);

	if (r < 0) {
		transaction_undo(mount, transaction, g_strerror(-r));
		return r;
	}

	dirs_settle(mount, transaction->dirs);
	fs_transaction_next_batch(transaction);
	return 0;
}

/* A new message file with a gap is one whose data did not arrive. */
static bool
is_torn(FsTransaction *transaction)
{
	GHashTableIter iter;
	gpointer data;

	g_hash_table_iter_init(&iter, transaction->files);
	while (g_hash_table_iter_next(&iter, NULL, &data)) {
		const FsTransactionFile *file = data;
		StoreAttr attr;

		if (file->written != NULL &&
		    store_attr_get(transaction->txn, file->node, &attr) == 0 &&
		    attr.parent != 0 &&
		    !fs_written_covers(file->written, attr.size))
			return true;
	}
	return false;
}

/* The session has let go of everything, and nothing of it is on its way. */
static int
transaction_end(const FsMount *mount, FsTransaction *transaction)
{
	GQueue ends;
	int r = 0;

	if (fs_transaction_is_staged(transaction)) {
		if (is_torn(transaction)) {
			transaction_undo(mount, transaction,
			                 "a new message file has a gap");
			return -EIO;
		}
		if (transaction->is_durable) {
			transaction_fly(mount, transaction);
			return 0;
		}
		r = transaction_publish(mount, transaction);
		if (r < 0)
			return r;
	}

	ends = transaction->ends;
	g_queue_init(&transaction->ends);
	transaction->is_durable = false;
	fs_transaction_release(transaction, UINT64_MAX);
	fs_transaction_tidy(transaction);
	ends_answer(&ends, 0);
	return r;
}

/* ---- under pressure ------------------------------------------------------ */

/* Whether the session has a lock for @purpose: if @is_open, in some form, not
 * merely kept. */
static bool
has_lock(const FsTransaction *transaction, FsLockPurpose purpose, bool is_open)
{
	GHashTableIter iter;
	gpointer data;

	g_hash_table_iter_init(&iter, transaction->locks);
	while (g_hash_table_iter_next(&iter, NULL, &data)) {
		const FsTransactionLock *lock = data;

		if (lock->purpose == purpose && (lock->forms > 0 || !is_open))
			return true;
	}
	return false;
}

/* Whether what is staged may be seen as it is: a message's whole hand-over is
 * the smallest unit. An open mailbag that is no inqueue is about to change, if
 * it has not: who moves a message opens both ends first. */
static bool
is_safe(const FsTransaction *transaction)
{
	if (transaction->writers > 0)
		return false;
	if (!fs_transaction_is_staged(transaction))
		return true;
	if (has_lock(transaction, FS_LOCK_UPDATE, true))
		return false;

	return transaction->is_last_index ||
	       !has_lock(transaction, FS_LOCK_INQUEUE, false);
}

/* Commits what there is, and so lets go of what is merely kept. */
static void
transaction_relieve(const FsMount *mount, FsTransaction *transaction)
{
	if (transaction->is_flying || !is_safe(transaction))
		return;

	if (fs_transaction_is_staged(transaction)) {
		if (!is_torn(transaction))
			transaction_fly(mount, transaction);
		return;
	}

	transaction->is_pressed = false;
	fs_transaction_release(transaction, UINT64_MAX);
	fs_transaction_tidy(transaction);
}

void
fs_commit_press(const FsMount *mount, const char *key)
{
	FsTransaction *transaction;
	uint64_t holder;

	if (!fs_mailbag_lock_holder(mount->mailbags, key, &holder))
		return;

	transaction = fs_transaction_of_serial(mount->transactions, holder);
	if (transaction == NULL)
		return;

	transaction->is_pressed = true;
	transaction_relieve(mount, transaction);
}

/* ---- after each step ----------------------------------------------------- */

static int
transaction_step(const FsMount *mount, FsTransaction *transaction)
{
	if (transaction->is_flying)
		return 0;
	if (fs_transaction_is_over(transaction))
		return transaction_end(mount, transaction);
	if (transaction->is_pressed)
		transaction_relieve(mount, transaction);
	return 0;
}

static void
transaction_settle(const FsMount *mount, FsTransaction *transaction)
{
	(void)transaction_step(mount, transaction);
}

int
fs_commit_settle(const FsMount *mount, const FsSession *session)
{
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);

	return transaction != NULL ? transaction_step(mount, transaction) : 0;
}

void
fs_commit_reply(const FsCall *call, const FsSession *session, int r)
{
	const FsMount *mount = call->mount;
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);

	if (transaction == NULL || r < 0 ||
	    !fs_transaction_is_over(transaction)) {
		(void)fs_commit_settle(mount, session);
		fs_reply_status(call, r);
		return;
	}

	g_queue_push_tail(&transaction->ends, fs_call_keep(call));
	(void)transaction_step(mount, transaction);
}

/* ---- time ---------------------------------------------------------------- */

static int64_t
limit_us(const FsMount *mount, const FsTransaction *transaction)
{
	if (mount->config->transaction_limit_s == 0 ||
	    !fs_transaction_is_staged(transaction))
		return INT64_MAX;

	return transaction->begun_us +
	       mount->config->transaction_limit_s * US_PER_S;
}

void
fs_commit_expire(const FsMount *mount, int64_t now_us)
{
	g_autoptr(GList) all = fs_transaction_list(mount->transactions);

	for (GList *l = all; l != NULL; l = l->next) {
		FsTransaction *transaction = l->data;

		if (limit_us(mount, transaction) > now_us)
			continue;

		/* Nothing is half done: better late than undone. */
		transaction_relieve(mount, transaction);
		if (limit_us(mount, transaction) <= now_us &&
		    !transaction->is_flying)
			transaction_undo(mount, transaction,
			                 "it took longer than "
			                 "transaction-limit");
	}
}

int64_t
fs_commit_due_us(const FsMount *mount)
{
	int64_t begun_us = fs_transaction_oldest_us(mount->transactions);

	if (mount->config->transaction_limit_s == 0 || begun_us == INT64_MAX)
		return INT64_MAX;

	return begun_us + mount->config->transaction_limit_s * US_PER_S;
}

void
fs_commit_stop(const FsMount *mount, const char *reason)
{
	FsTransaction *transaction;

	while ((transaction = fs_transaction_any(mount->transactions)) != NULL)
		transaction_undo(mount, transaction, reason);
}
