/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/op_undo.h"

#include <errno.h>

#include "fs/account.h"
#include "fs/log.h"

/*
 * How a transaction is undone
 *
 * - It is undone when its session dies or its client disconnects, when it is
 *   broken, takes too long, cannot be committed, or leaves a new message file
 *   with a gap in it. What it had staged goes to the quarantine.
 * - The session's locks and lock files go with it, and what was open is of no
 *   use any more: to use or close it fails. A session that lives on and was
 *   told nothing yet is told by its next change, lest it goes on where it was:
 *   a client that has given up one of its drives hears nothing of how smbd then
 *   closes what was open there.
 * - What it was perhaps about to delete is there under another inode number
 *   afterwards, lest its smbd's mark delete it: number.h. For the session's
 *   open files are of no use any more, whether it lives or not. So a death with
 *   nothing staged is looked for, too.
 * - The death of a process that used the session's files counts as that of the
 *   session, if it was killed: under Wine, a server opens and closes them, and
 *   closes in order what a killed program had open. One that exits may be seen
 *   to do so before or after that close, so its exit code does not count.
 * - Nor does the end of a child that has closed what it inherited, for its
 *   parent lives and waits for it; how it ended is known to that one alone, as
 *   a rule, before we can look.
 */

#define US_PER_MS 1000

static const FsReason NOT_UNDONE = { .why = FS_UNDONE_NOT };
static const FsReason DISCONNECTED = { FS_UNDONE_DISCONNECT,
	                               "its client disconnected" };

/* @reason, and whose it was, if that is known by now. */
static char *
reason_complete(FsSession *session, const char *reason)
{
	g_autofree char *client = fs_session_client(session);
	g_autofree char *escaped = NULL;

	if (client == NULL)
		return g_strdup(reason);

	/* It is a program's own, and to be one line. */
	escaped = g_strescape(client, NULL);
	return g_strdup_printf("%s (%s)", reason, escaped);
}

/* What was staged, why it was undone, and where it is kept, if it is. */
static void
undone_log(const FsTransaction *transaction, FsReason reason,
           uint64_t quarantine)
{
	FsSession *session = transaction->session;
	g_autofree char *client = fs_session_client(session);
	int64_t age_us = g_get_monotonic_time() - transaction->begun_us;

	fs_log(FS_EVENT_UNDONE,
	       FS_LOG_NUMBER("session", fs_session_serial(session)),
	       FS_LOG_NUMBER("pid", fs_session_pid(session)),
	       FS_LOG_TEXT("client", client),
	       FS_LOG_TEXT("why", fs_metrics_undone_name(reason.why)),
	       FS_LOG_TEXT("reason", reason.text),
	       FS_LOG_NUMBER("age-ms", age_us / US_PER_MS),
	       FS_LOG_NUMBER("files", g_hash_table_size(transaction->files)),
	       FS_LOG_NUMBER("bytes", transaction->bytes),
	       FS_LOG_NUMBER("quarantine", quarantine));
}

static void
not_kept_log(FsSession *session, int r)
{
	g_autofree char *client = fs_session_client(session);

	fs_log(FS_EVENT_NOT_KEPT,
	       FS_LOG_NUMBER("session", fs_session_serial(session)),
	       FS_LOG_NUMBER("pid", fs_session_pid(session)),
	       FS_LOG_TEXT("client", client),
	       FS_LOG_TEXT("reason", g_strerror(-r)));
}

static void
transaction_quarantine(const FsMount *mount, FsTransaction *transaction,
                       FsReason reason)
{
	g_autofree char *full =
		reason_complete(transaction->session, reason.text);
	uint64_t id = 0;
	StoreCause cause = {
		.reason = full,
		.begun_ns = transaction->begun_ns,
		.ret_id = &id,
	};
	int r = 0;

	fs_metrics_undone(mount->metrics, reason.why);

	/* What could not be published is in the quarantine already. */
	if (transaction->txn != NULL) {
		fs_account_give(transaction, mount->mailbags, mount->store);
		r = store_txn_quarantine(&transaction->txn, &cause);
	}
	undone_log(transaction, reason, id);
	if (r < 0)
		not_kept_log(transaction->session, r);
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

/* ---- what was to be deleted ---------------------------------------------- */

/* The set of nodes that the session may have marked: what it has looked up, and
 * messages that it has open, which it deletes before it closes them. */
static GHashTable *
perhaps_marked(const FsMount *mount, const FsTransaction *transaction)
{
	GHashTable *nodes = g_hash_table_new(NULL, NULL);
	g_autoptr(GPtrArray) handles =
		fs_handle_of_session(mount->handles, transaction->session);

	for (guint i = 0; i < transaction->seen->len; i++)
		g_hash_table_add(
			nodes, GSIZE_TO_POINTER(g_array_index(transaction->seen,
		                                              StoreNode, i)));
	for (guint i = 0; i < handles->len; i++) {
		const FsHandle *handle = handles->pdata[i];

		if (handle->kind == LAYOUT_MESSAGE)
			g_hash_table_add(nodes, GSIZE_TO_POINTER(handle->node));
	}
	return nodes;
}

void
fs_undo_renumber(const FsMount *mount, FsTransaction *transaction)
{
	g_autoptr(GHashTable) nodes = NULL;
	GHashTableIter iter;
	gpointer key;

	/* One who dies closes all that it had open. */
	if (transaction->is_renumbered)
		return;

	transaction->is_renumbered = true;
	nodes = perhaps_marked(mount, transaction);
	g_hash_table_iter_init(&iter, nodes);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		StoreNode node = GPOINTER_TO_SIZE(key);

		/* Whoever else has it open goes by its number. */
		if (fs_handle_is_elsewhere(mount->handles, node,
		                           transaction->session))
			fs_numbers_owe(mount->numbers, node);
		else
			fs_numbers_change(mount->numbers, node);
	}
}

void
fs_undo(const FsMount *mount, FsTransaction *transaction, FsReason reason,
        bool is_told)
{
	g_autoptr(FsSession) session = fs_session_ref(transaction->session);
	g_autofree char *event = g_strconcat("undone: ", reason.text, NULL);
	GQueue ends = transaction->ends;

	g_queue_init(&transaction->ends);
	fs_trace_tell(mount, session, event);
	fs_undo_renumber(mount, transaction);
	if (fs_transaction_is_staged(transaction))
		transaction_quarantine(mount, transaction, reason);
	if (!is_told && ends.length == 0)
		fs_session_set_untold(session, true);

	fs_lock_file_end(mount->lock_files, fs_session_serial(session));
	fs_session_next_epoch(session);
	if (g_hash_table_size(transaction->dirs) > 0)
		++*mount->names_serial;
	fs_transaction_detach(transaction);
	ranges_drop(mount, session);
	fs_commit_answer(&ends, -EIO);
}

void
fs_undo_session(const FsMount *mount, const FsSession *session, FsReason reason)
{
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);

	if (transaction != NULL)
		fs_undo(mount, transaction, reason, false);
}

void
fs_undo_stop(const FsMount *mount, FsReason reason)
{
	FsTransaction *transaction;

	while ((transaction = fs_transaction_any(mount->transactions)) != NULL)
		fs_undo(mount, transaction, reason, false);
}

/* ---- who lets go, and how ------------------------------------------------ */

/* Whether a close or an unlock is that of an smbd that has lost its client: it
 * acts as root then, and as the share's user when the client says so. What is
 * not known to be a local program is taken for an smbd. */
static bool
is_lost(const FsCall *call, FsSession *session)
{
	return call->caller.uid == 0 && !fs_session_is_local(session);
}

void
fs_undo_told(const FsCall *call, FsSession *session)
{
	if (!is_lost(call, session))
		fs_session_set_untold(session, false);
}

int
fs_undo_tell(const FsCall *call, FsSession *session)
{
	if (!fs_session_is_untold(session))
		return 0;

	fs_undo_told(call, session);
	return -EIO;
}

static FsReason
end_fault(FsSession *session, int r, FsThreadEnd end)
{
	if (r < 0)
		return (FsReason){ FS_UNDONE_DEATH,
			           "it is not known how its process ended" };

	switch (end) {
	case FS_THREAD_GOES_ON:
		return NOT_UNDONE;
	case FS_THREAD_EXITS:
		fs_session_find_name(session);
		if (fs_session_is_local(session))
			return NOT_UNDONE;
		return (FsReason){ FS_UNDONE_DEATH, "its smbd ended" };
	case FS_THREAD_FAILS:
	case FS_THREAD_IS_KILLED:
	default:
		return (FsReason){ FS_UNDONE_DEATH,
			           "its process was killed or failed" };
	}
}

bool
fs_undo_is_due(const FsCall *call, const FsSession *session)
{
	const FsTransaction *transaction =
		fs_transaction_find(call->mount->transactions, session);

	return transaction != NULL && fs_transaction_is_staged(transaction) &&
	       fs_session_pid(session) != 0;
}

bool
fs_undo_may_delete(const FsCall *call, const FsSession *session)
{
	const FsTransaction *transaction =
		fs_transaction_find(call->mount->transactions, session);

	return transaction != NULL && !transaction->is_renumbered &&
	       (transaction->seen->len > 0 ||
	        fs_handle_count_messages(call->mount->handles, session) > 0);
}

FsReason
fs_undo_look(const FsCall *call, FsSession *session)
{
	FsThreadEnd end = FS_THREAD_GOES_ON;
	int r;

	if (call->caller.uid == 0)
		fs_session_find_name(session);
	if (is_lost(call, session))
		return DISCONNECTED;

	r = fs_thread_group_read_end(fuse_req_ctx(call->req)->pid, &end);
	return end_fault(session, r, end);
}

/* ---- who uses what others have opened ------------------------------------ */

bool
fs_undo_is_user(const FsCall *call, const FsSession *session, FsSession *user)
{
	const FsTransaction *transaction =
		fs_transaction_find(call->mount->transactions, session);

	return fs_undo_is_due(call, session) &&
	       g_hash_table_contains(transaction->users, user);
}

static bool
is_child(const FsSession *user, const FsSession *session)
{
	pid_t parent;

	return fs_thread_group_read_parent(fs_session_pid(user), &parent) ==
	               0 &&
	       parent == fs_session_pid(session);
}

FsReason
fs_undo_look_user(const FsSession *user, const FsSession *closes_of,
                  bool *ret_is_over)
{
	FsThreadEnd end = FS_THREAD_GOES_ON;
	int r = fs_session_read_end(user, &end);

	*ret_is_over =
		r == 0 && (end == FS_THREAD_EXITS || end == FS_THREAD_FAILS ||
	                   (end == FS_THREAD_GOES_ON && closes_of != NULL &&
	                    is_child(user, closes_of)));
	/* It executes a program, and cannot be looked at. */
	if (r == -ETIMEDOUT && closes_of != NULL)
		return NOT_UNDONE;
	if (r < 0)
		return (FsReason){ FS_UNDONE_DEATH,
			           "it is not known how a program that used "
			           "its files ended" };
	if (end == FS_THREAD_IS_KILLED)
		return (FsReason){ FS_UNDONE_DEATH,
			           "a program that used its files was "
			           "killed" };
	return NOT_UNDONE;
}

void
fs_undo_user_ended(const FsMount *mount, const FsSession *user)
{
	g_autoptr(GArray) serials = fs_transaction_serials(mount->transactions);

	for (guint i = 0; i < serials->len; i++) {
		FsTransaction *transaction = fs_transaction_of_serial(
			mount->transactions,
			g_array_index(serials, uint64_t, i));
		FsReason fault = NOT_UNDONE;
		bool is_over;

		if (transaction == NULL ||
		    !g_hash_table_contains(transaction->users, user))
			continue;
		/* It has ended, so that this does not take long. */
		if (fs_transaction_is_staged(transaction))
			fault = fs_undo_look_user(user, NULL, &is_over);
		fs_transaction_remove_user(transaction, user);
		if (fault.why != FS_UNDONE_NOT)
			fs_undo(mount, transaction, fault, false);
	}
}

bool
fs_undo_is_doubtful(const FsCall *call, FsSession *session)
{
	return call->caller.uid == 0 && fs_undo_is_due(call, session) &&
	       !fs_session_has_name(session);
}

bool
fs_undo_lost(const FsCall *call, FsSession *session)
{
	FsTransaction *transaction =
		fs_transaction_find(call->mount->transactions, session);

	if (!fs_undo_is_due(call, session) || !is_lost(call, session))
		return false;

	fs_undo(call->mount, transaction, DISCONNECTED, false);
	return true;
}
