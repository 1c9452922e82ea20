/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include "fs/account.h"
#include "fs/log.h"
#include "fs/op_undo.h"
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
 * - While somebody waits for that, another thread of his may take a lock. He does
 *   not wait for its end, too, for he may hold a directory's lock in the kernel,
 *   or be killed: he is answered when what he did is on disk, committed if all
 *   that is staged by then may be seen, or else kept as by fsync(2).
 * - Nor does he wait who is killed; what he waited for goes on. Other signals have
 *   their time: who was told that a close had failed would do it all again.
 * - Under pressure, when somebody waits for a lock that the session merely
 *   keeps, or when it takes long, it commits what it has at the next safe point
 *   and goes on.
 * - Or else it is undone; see op_undo.c.
 */

#define US_PER_S INT64_C(1000000)

/* A batch on its way to the disk. */
typedef struct Flight {
	const FsMount *mount;
	FsTransaction *transaction;
	uint64_t batch;
	GHashTable *dirs; /* owned: names in them have changed */
	int64_t asked_us; /* monotonic */
	int r;
} Flight;

/* Of all errors the caller can do something about one; and some of the others
 * would make the kernel try again by itself. */
static int
end_error(int r)
{
	return r == 0 || r == -ENOSPC ? r : -EIO;
}

void
fs_commit_answer(GQueue *ends, int r)
{
	FsCall *call;

	r = end_error(r);
	while ((call = g_queue_pop_head(ends)) != NULL) {
		fs_reply_status(call, r);
		g_free(call);
	}
}

/* ---- who does not wait --------------------------------------------------- */

/* A thread that was interrupted while it waited for an end. */
typedef struct Caller {
	const FsMount *mount;
	uint64_t serial; /* its session's */
	pid_t tid;
} Caller;

/* A thread waits for one answer at a time. */
static void
caller_leave(const Caller *caller, GQueue *ends)
{
	GList *next;

	for (GList *l = ends->head; l != NULL; l = next) {
		FsCall *call = l->data;

		next = l->next;
		if (fuse_req_ctx(call->req)->pid != caller->tid)
			continue;
		g_queue_delete_link(ends, l);
		fs_reply_status(call, -EINTR);
		g_free(call);
	}
}

/* By a worker. */
static void
caller_look(void *user_data)
{
	g_autofree Caller *caller = user_data;
	const FsMount *mount = caller->mount;
	FsTransaction *transaction;

	if (!fs_thread_group_is_killed(caller->tid))
		return;

	g_mutex_lock(mount->turn);
	transaction =
		fs_transaction_of_serial(mount->transactions, caller->serial);
	if (transaction != NULL) {
		caller_leave(caller, &transaction->flying_ends);
		caller_leave(caller, &transaction->ends);
	}
	fs_turn_end(mount);
	g_mutex_unlock(mount->turn);
}

/* Whether it was a signal to die must be looked for, which takes its time. */
static void
end_interrupted(fuse_req_t req, void *serial)
{
	const FsMount *mount = fuse_req_userdata(req);
	Caller *caller = g_new(Caller, 1);

	*caller = (Caller){
		.mount = mount,
		.serial = GPOINTER_TO_SIZE(serial),
		.tid = fuse_req_ctx(req)->pid,
	};
	fs_workers_post(mount->workers, caller_look, caller);
}

/* Has @call, of @session, answered with the others of @ends. */
static void
end_keep(GQueue *ends, const FsCall *call, const FsSession *session)
{
	g_queue_push_tail(ends, fs_call_keep(call));
	fuse_req_interrupt_func(call->req, end_interrupted,
	                        GSIZE_TO_POINTER(fs_session_serial(session)));
}

/* ---- committing ---------------------------------------------------------- */

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

static int transaction_step(const FsMount *mount, FsTransaction *transaction);

static void
failure_log(FsSession *session, int r)
{
	g_autofree char *client = fs_session_client(session);

	fs_log(FS_EVENT_COMMIT_FAILED,
	       FS_LOG_NUMBER("session", fs_session_serial(session)),
	       FS_LOG_NUMBER("pid", fs_session_pid(session)),
	       FS_LOG_TEXT("client", client),
	       FS_LOG_TEXT("reason", g_strerror(-r)));
}

/* What @transaction's session did while it was on its way stands on what did
 * not happen. */
static void
flight_failed(const Flight *flight, bool is_told)
{
	FsTransaction *transaction = flight->transaction;

	failure_log(transaction->session, flight->r);
	fs_undo(flight->mount, transaction,
	        (FsReason){ FS_UNDONE_ERROR, "a commit of it failed" },
	        is_told);
}

/* What is undone with it, since it took off, is counted by itself. */
static void
flight_count(const Flight *flight)
{
	FsMetrics *metrics = flight->mount->metrics;

	fs_metrics_commit(metrics, g_get_monotonic_time() - flight->asked_us);
	if (flight->r == 0)
		fs_metrics_count(metrics, FS_COUNT_COMMITTED);
	else
		fs_metrics_undone(metrics, FS_UNDONE_ERROR);
}

/* On the main thread. */
static void
flight_landed(void *user_data)
{
	Flight *flight = user_data;
	const FsMount *mount = flight->mount;
	FsTransaction *transaction = flight->transaction;
	int r = flight->r;
	GQueue ends;

	g_mutex_lock(mount->turn);
	flight_count(flight);
	dirs_settle(mount, flight->dirs);
	fs_transaction_landed(transaction, &ends);
	if (transaction->is_detached) {
		fs_transaction_release(transaction, UINT64_MAX);
		fs_transaction_tidy(transaction);
	} else if (r < 0) {
		flight_failed(flight, ends.length > 0);
	} else {
		fs_trace_tell(mount, transaction->session, "committed");
		fs_transaction_release(transaction, flight->batch);
		(void)transaction_step(mount, transaction);
	}

	fs_commit_answer(&ends, r);
	fs_turn_end(mount);
	g_mutex_unlock(mount->turn);
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
		.asked_us = g_get_monotonic_time(),
	};
	fs_account_give(transaction, mount->mailbags, mount->store);
	fs_trace_tell(mount, transaction->session, "commit");
	fs_transaction_fly(transaction);
	store_txn_checkpoint(transaction->txn, flight_done, flight);
}

/* Makes it everybody's at once. */
static int
transaction_publish(const FsMount *mount, FsTransaction *transaction)
{
	GQueue ends;
	int r;

	fs_account_give(transaction, mount->mailbags, mount->store);
	r = store_txn_publish(&transaction->txn);
	if (r < 0) {
		ends = transaction->ends;
		g_queue_init(&transaction->ends);
		fs_undo(mount, transaction,
		        (FsReason){ FS_UNDONE_ERROR, g_strerror(-r) }, true);
		fs_commit_answer(&ends, r);
		return end_error(r);
	}

	fs_metrics_count(mount->metrics, FS_COUNT_PUBLISHED);
	fs_trace_tell(mount, transaction->session, "published");
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
			fs_undo(mount, transaction,
			        (FsReason){ FS_UNDONE_TORN,
			                    "a new message file has a gap" },
			        true);
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
	fs_commit_answer(&ends, 0);
	return r;
}

/* ---- under pressure ------------------------------------------------------ */

bool
fs_commit_is_idle(const FsMount *mount, const FsSession *session,
                  const FsTransactionLock *lock)
{
	int64_t before_us =
		g_get_monotonic_time() - mount->config->idle_open_s * US_PER_S;
	g_autoptr(GPtrArray) handles = NULL;

	if (mount->config->idle_open_s == 0)
		return false;

	/* One that holds it by a byte range is not idle. */
	handles = fs_handle_of_key(mount->handles, session, lock->key);
	if (handles->len < lock->forms)
		return false;

	for (guint i = 0; i < handles->len; i++) {
		const FsHandle *handle = handles->pdata[i];

		if (handle->has_range || handle->used_us > before_us)
			return false;
	}
	return true;
}

/* An open mailbag that is no inqueue is half changed, or about to change: who
 * moves a message opens both ends first. */
static bool
has_open_mailbag(const FsMount *mount, const FsTransaction *transaction)
{
	GHashTableIter iter;
	gpointer data;

	g_hash_table_iter_init(&iter, transaction->locks);
	while (g_hash_table_iter_next(&iter, NULL, &data)) {
		const FsTransactionLock *lock = data;

		if (lock->purpose == FS_LOCK_UPDATE && lock->forms > 0 &&
		    (fs_transaction_has_changed(transaction, lock->key) ||
		     !fs_commit_is_idle(mount, transaction->session, lock)))
			return true;
	}
	return false;
}

static bool
has_inqueue(const FsTransaction *transaction)
{
	GHashTableIter iter;
	gpointer data;

	g_hash_table_iter_init(&iter, transaction->locks);
	while (g_hash_table_iter_next(&iter, NULL, &data))
		if (((FsTransactionLock *)data)->purpose == FS_LOCK_INQUEUE)
			return true;
	return false;
}

/* Whether what is staged may be seen as it is: a message's whole hand-over is
 * the smallest unit. */
static bool
is_safe(const FsMount *mount, const FsTransaction *transaction)
{
	if (!fs_transaction_is_staged(transaction))
		return true;
	if (transaction->writers > 0 || has_open_mailbag(mount, transaction))
		return false;

	return transaction->is_last_index || !has_inqueue(transaction);
}

/* Commits what there is, and so lets go of what is merely kept. */
static void
transaction_relieve(const FsMount *mount, FsTransaction *transaction)
{
	if (transaction->is_flying || !is_safe(mount, transaction))
		return;

	if (fs_transaction_is_staged(transaction)) {
		if (!is_torn(transaction))
			transaction_fly(mount, transaction);
		return;
	}

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

	/* What is kept for a batch on its way is in no transaction's book. */
	transaction = fs_transaction_of_serial(mount->transactions, holder);
	if (transaction == NULL || !fs_transaction_has(transaction, key))
		return;

	fs_transaction_press(transaction, key);
	if (fs_transaction_is_pressed(transaction))
		transaction_relieve(mount, transaction);
}

/* ---- after each step ----------------------------------------------------- */

static int64_t
age_us(const FsTransaction *transaction)
{
	return fs_transaction_is_staged(transaction)
	               ? g_get_monotonic_time() - transaction->begun_us
	               : 0;
}

/* What is staged for longer is committed at the next safe point, though nobody
 * waits for a lock: there are also those who look. */
static int64_t
safe_age_us(const FsMount *mount)
{
	int64_t age_s = mount->config->commit_age_s;

	return age_s > 0 ? age_s * US_PER_S : INT64_MAX;
}

/* Answers those who came when it was over, which it is no more. They wait for
 * what was staged by then, and not for what has begun since. */
static void
ends_relieve(const FsMount *mount, FsTransaction *transaction)
{
	FsCall *call;

	if (transaction->ends.length > 0 && is_safe(mount, transaction) &&
	    !is_torn(transaction))
		transaction_fly(mount, transaction);

	while ((call = g_queue_pop_head(&transaction->ends)) != NULL) {
		fs_sync_reply(call, transaction->session);
		g_free(call);
	}
}

static int
transaction_step(const FsMount *mount, FsTransaction *transaction)
{
	if (transaction->is_flying)
		return 0;
	if (fs_transaction_is_over(transaction))
		return transaction_end(mount, transaction);
	ends_relieve(mount, transaction);
	if (fs_transaction_is_pressed(transaction) ||
	    age_us(transaction) > safe_age_us(mount))
		transaction_relieve(mount, transaction);
	return 0;
}

int
fs_commit_settle(const FsMount *mount, const FsSession *session)
{
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);

	return transaction != NULL ? transaction_step(mount, transaction) : 0;
}

int
fs_commit_end(const FsCall *call, const FsSession *session, int r)
{
	int settled = fs_commit_settle(call->mount, session);

	return r < 0 ? r : settled;
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

	if (transaction->is_flying && !fs_transaction_is_staged(transaction)) {
		end_keep(&transaction->flying_ends, call, session);
		return;
	}

	end_keep(&transaction->ends, call, session);
	(void)transaction_step(mount, transaction);
}

/* ---- time ---------------------------------------------------------------- */

static int64_t
limit_us(const FsMount *mount)
{
	int64_t limit_s = mount->config->transaction_limit_s;

	return limit_s > 0 ? limit_s * US_PER_S : INT64_MAX;
}

/* Called with a serial, for any session may end while others are looked at. */
static void
serial_expire(const FsMount *mount, uint64_t serial)
{
	FsTransaction *transaction =
		fs_transaction_of_serial(mount->transactions, serial);
	int64_t us = transaction != NULL ? age_us(transaction) : 0;

	if (us < MIN(safe_age_us(mount), limit_us(mount)) ||
	    transaction->is_flying)
		return;

	/* If nothing is half done: better late than undone. */
	transaction_relieve(mount, transaction);
	if (us >= limit_us(mount) && !transaction->is_flying)
		fs_undo(mount, transaction,
		        (FsReason){ FS_UNDONE_AGE,
		                    "it took longer than transaction-limit" },
		        false);
}

void
fs_commit_expire(const FsMount *mount)
{
	g_autoptr(GArray) serials = fs_transaction_serials(mount->transactions);

	for (guint i = 0; i < serials->len; i++)
		serial_expire(mount, g_array_index(serials, uint64_t, i));
}

int64_t
fs_commit_due_us(const FsMount *mount)
{
	int64_t begun_us = fs_transaction_oldest_us(mount->transactions);
	int64_t most_us = MIN(safe_age_us(mount), limit_us(mount));

	return begun_us == INT64_MAX || most_us == INT64_MAX
	               ? INT64_MAX
	               : begun_us + most_us;
}
