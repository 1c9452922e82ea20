/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>

#include "fs/log.h"
#include "fs/op_undo.h"
#include "fs/ops.h"

/*
 * The locks that come with open files
 *
 * - Opening KEY or MBG of an inqueue takes its lock, in whatever mode; of every
 *   other mailbag its update lock, if it is opened for writing. A message file
 *   that is opened for writing, and CONTROL.GLB and its kin, have a lock each.
 * - The FLUSH of a close lets go, of ranges, too, for it is what the client is
 *   answered by; a RELEASE comes later, or with a process that inherited the
 *   file much later. If the open file lives on in a copy, its next use takes
 *   the lock again, unless somebody else has changed the file.
 * - An open file may be used by another process than the one that opened it: a
 *   child, or a program whose files a server opens for it, as Wine's does. It
 *   is remembered, for its death is to undo what it did; see op_undo.c.
 */

/* Byte ranges from here on are not of the mail programs: dosemu2 keeps its
 * share modes in lock bytes far above. */
#define RANGES_END ((uint64_t)1 << 31)

#define US_PER_MS 1000

static bool
flags_write(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

bool
fs_hold_is_wanted(const StorePlace *place, int flags)
{
	switch (fs_lock_key_purpose(place)) {
	case FS_LOCK_INQUEUE:
		return true;
	case FS_LOCK_UPDATE:
	case FS_LOCK_FILE:
		return flags_write(flags);
	case FS_LOCK_PROCESSING:
	case FS_LOCK_NONE:
	default:
		return false;
	}
}

int
fs_hold_check(const FsCall *call, const FsSession *session)
{
	if (fs_session_pid(session) != 0)
		return 0;

	fs_log(FS_EVENT_LOCK_STRANGER, FS_LOG_NUMBER("uid", call->caller.uid));
	return -EACCES;
}

static int
hold_try(const FsMount *mount, FsSession *session, const char *key,
         FsLockPurpose purpose)
{
	FsTransaction *transaction =
		fs_transaction_obtain(mount->transactions, session);
	int r;

	r = fs_transaction_take(transaction, key, purpose,
	                        g_get_monotonic_time());
	if (r == 0)
		fs_transaction_hold(transaction, key);
	else
		fs_transaction_tidy(transaction);
	return r;
}

int
fs_hold_take(const FsCall *call, FsSession *session, const char *key,
             FsLockPurpose purpose)
{
	int r;

	r = fs_hold_check(call, session);
	if (r == 0)
		r = hold_try(call->mount, session, key, purpose);
	if (r != -ETXTBSY)
		return r;

	/* Whoever merely keeps it may give it up at once, if he is asked. */
	fs_commit_press(call->mount, key);
	return hold_try(call->mount, session, key, purpose);
}

void
fs_hold_taken(const FsCall *call, FsSession *session, const char *key,
              FsLockPurpose purpose)
{
	FsTransaction *transaction =
		fs_transaction_obtain(call->mount->transactions, session);

	fs_transaction_taken(transaction, key, purpose);
	fs_transaction_hold(transaction, key);
}

int
fs_hold_attempt(const FsCall *call, FsSession *session, const char *key,
                FsLockPurpose purpose)
{
	const FsMount *mount = call->mount;
	const FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);
	int r;

	if (transaction != NULL && fs_transaction_has(transaction, key))
		return fs_hold_take(call, session, key, purpose);

	r = fs_mailbag_lock_attempt(mount->mailbags, fs_session_serial(session),
	                            key, g_get_monotonic_time());
	if (r == 0)
		fs_hold_taken(call, session, key, purpose);
	else
		fs_commit_press(mount, key);
	return r;
}

void
fs_hold_let_go(const FsMount *mount, const FsSession *session, const char *key)
{
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);

	if (transaction != NULL && fs_transaction_has(transaction, key))
		fs_transaction_let_go(transaction, key);
}

/* ---- refusals ------------------------------------------------------------ */

/* "/PO/INQUEUE3 (update)", or the key itself. */
static char *
lock_name(const FsMount *mount, const char *key)
{
	g_autofree char *dir = NULL;
	g_autofree char *path = NULL;
	FsLockSubject subject;

	if (!fs_lock_key_parse(key, &subject) ||
	    store_node_path(store_plain(mount->store), subject.dir, &dir) < 0)
		return g_strdup(key);

	path = g_build_filename(dir, subject.name, NULL);
	return g_strdup_printf("%s (%s)", path,
	                       fs_lock_purpose_name(subject.purpose));
}

void
fs_hold_refused(void *user_data, const FsMailbagRefusal *refusal)
{
	const FsMount *mount = user_data;
	FsEvent event = refusal->is_circle ? FS_EVENT_LOCK_CIRCLE
	                                   : FS_EVENT_LOCK_TIMEOUT;
	g_autoptr(FsSession) session =
		fs_session_by_serial(mount->sessions, refusal->session);
	g_autoptr(FsSession) holder =
		fs_session_by_serial(mount->sessions, refusal->holder);
	g_autofree char *lock = lock_name(mount, refusal->key);
	g_autofree char *client =
		session != NULL ? fs_session_client(session) : NULL;
	g_autofree char *holder_client =
		holder != NULL ? fs_session_client(holder) : NULL;

	fs_log(event, FS_LOG_NUMBER("session", refusal->session),
	       FS_LOG_NUMBER("pid",
	                     session != NULL ? fs_session_pid(session) : 0),
	       FS_LOG_TEXT("client", client), FS_LOG_TEXT("lock", lock),
	       FS_LOG_NUMBER("waited-ms", refusal->waited_us / US_PER_MS),
	       FS_LOG_NUMBER("holder", refusal->holder),
	       FS_LOG_NUMBER("holder-pid",
	                     holder != NULL ? fs_session_pid(holder) : 0),
	       FS_LOG_TEXT("holder-client", holder_client),
	       FS_LOG_NUMBER("held-ms", refusal->held_us / US_PER_MS));
}

/* ---- handles ------------------------------------------------------------- */

/* A handle that was closed, and lives on in a copy, is used again. */
static int
hold_renew(const FsCall *call, FsHandle *handle)
{
	StoreAttr attr;
	int r;

	r = store_attr_get(call->txn, handle->node, &attr);
	if (r < 0)
		return r;
	if (attr.ctime_ns != handle->left_ctime_ns)
		return -ETXTBSY;

	r = fs_hold_take(call, handle->session, handle->key, handle->purpose);
	if (r == 0)
		handle->hold = FS_HOLD_HAS;
	return r;
}

/* What was opened under a plain name may have been renamed into the mail since,
 * and then holds up the commit as a message does. */
bool
fs_hold_is_plain(const FsHandle *handle)
{
	return handle->key == NULL && !handle->is_writer;
}

bool
fs_hold_is_lost(const FsHandle *handle)
{
	return fs_handle_is_stale(handle) &&
	       (handle->kind != LAYOUT_PLAIN || handle->hold != FS_HOLD_NONE ||
	        handle->is_writer);
}

/* Remembers who uses @handle, if it is not who opened it. */
static void
user_note(const FsCall *call, const FsHandle *handle)
{
	FsSession *owner = handle->session;
	pid_t tid = fuse_req_ctx(call->req)->pid;
	g_autoptr(FsSession) user = NULL;
	FsTransaction *transaction;

	if (fs_hold_is_plain(handle) || tid == fs_session_pid(owner))
		return;

	transaction = fs_transaction_find(call->mount->transactions, owner);
	if (transaction != NULL &&
	    fs_session_find(call->mount->sessions, tid, &user) == 0 &&
	    user != owner && fs_session_pid(user) != 0)
		fs_transaction_add_user(transaction, user);
}

int
fs_hold_tell(const FsCall *call, const FsHandle *handle)
{
	if (!fs_hold_is_lost(handle))
		return 0;

	fs_undo_told(call, handle->session);
	return -EIO;
}

int
fs_hold_use(const FsCall *call, FsHandle *handle)
{
	int r = fs_hold_tell(call, handle);

	if (r == 0 && handle->hold == FS_HOLD_LEFT)
		r = hold_renew(call, handle);
	if (r < 0)
		return r;

	handle->is_closed = false;
	user_note(call, handle);
	return 0;
}

/* Lets go of what @handle has by a range. The kernel tells of the end of such a
 * lock, an flock(2) or OFD one, by the RELEASE only, which nobody waits for: who
 * was answered to a close and then is killed would be undone. From here on it is
 * as if it were had by being open. */
static void
range_leave(const FsMount *mount, FsHandle *handle, bool is_stale)
{
	if (!handle->has_range)
		return;

	fs_range_lock_drop_handle(mount->locks, handle->node, handle);
	handle->has_range = false;
	if (handle->hold != FS_HOLD_HAS)
		handle->hold = FS_HOLD_HAS;
	else if (!is_stale)
		fs_hold_let_go(mount, handle->session, handle->key);
}

void
fs_hold_leave(const FsMount *mount, FsHandle *handle)
{
	FsTransaction *transaction =
		fs_transaction_find(mount->transactions, handle->session);
	StoreAttr attr;

	range_leave(mount, handle, fs_handle_is_stale(handle));
	if (fs_handle_is_stale(handle))
		transaction = NULL;

	if (handle->is_writer && transaction != NULL)
		transaction->writers--;
	handle->is_writer = false;
	handle->is_closed = true;
	if (handle->hold != FS_HOLD_HAS)
		return;

	handle->left_ctime_ns =
		store_attr_get(transaction != NULL && transaction->txn != NULL
	                               ? transaction->txn
	                               : store_plain(mount->store),
	                       handle->node, &attr) == 0
			? attr.ctime_ns
			: 0;
	handle->hold = FS_HOLD_LEFT;
	if (transaction != NULL)
		fs_hold_let_go(mount, handle->session, handle->key);
}

void
fs_hold_note_attr(const FsCall *call, const FsSession *session,
                  const StoreAttr *before)
{
	GPtrArray *handles = fs_handle_list(call->mount->handles, before->node);
	StoreAttr after;

	if (store_attr_get(call->txn, before->node, &after) < 0)
		return;

	for (guint i = 0; handles != NULL && i < handles->len; i++) {
		FsHandle *handle = handles->pdata[i];

		if (handle->session == session &&
		    handle->left_ctime_ns == before->ctime_ns)
			handle->left_ctime_ns = after.ctime_ns;
	}
}

/* ---- idle handles -------------------------------------------------------- */

/* A mailbag that a client has left open, with nothing done to it for a while,
 * keeps others out no longer (Q92439). */
static bool
is_left(const FsMount *mount, const FsTransaction *transaction,
        const FsTransactionLock *lock)
{
	return lock->purpose == FS_LOCK_UPDATE && lock->forms > 0 &&
	       !fs_transaction_is_staged(transaction) &&
	       !transaction->is_flying &&
	       fs_mailbag_lock_is_wanted(mount->mailbags, lock->key) &&
	       fs_commit_is_idle(mount, transaction->session, lock);
}

static void
key_leave(const FsMount *mount, const FsSession *session, const char *key)
{
	g_autoptr(GPtrArray) handles =
		fs_handle_of_key(mount->handles, session, key);

	for (guint i = 0; i < handles->len; i++)
		fs_hold_leave(mount, handles->pdata[i]);
}

/* Whether a lock is had for long by somebody who does nothing, and for good
 * reason: a queue by its lock file, through a telephone call; a number by one, as
 * long as a program runs; FLAG.GLB, while somebody sits before ADMIN (Q131670). */
static bool
is_long(const FsTransactionLock *lock)
{
	FsLockSubject subject;

	if (lock->purpose != FS_LOCK_FILE)
		return lock->purpose == FS_LOCK_PROCESSING;

	return fs_lock_key_parse(lock->key, &subject) &&
	       (g_ascii_strncasecmp(subject.name, "LOCKP1ID", 8) == 0 ||
	        g_ascii_strcasecmp(subject.name, "FLAG.GLB") == 0);
}

/* Whether nothing has been heard of a session for too long. Who waits for a lock
 * is silent because we are, and when that ends its time begins. */
static bool
is_silent(const FsMount *mount, FsSession *session)
{
	int64_t limit_us = mount->config->silent_limit_s * G_USEC_PER_SEC;

	if (fs_mailbag_lock_is_waiting(mount->mailbags,
	                               fs_session_serial(session)))
		fs_session_hear(session);
	return limit_us > 0 &&
	       g_get_monotonic_time() - fs_session_heard_us(session) >=
	               limit_us;
}

/* Whether others wait in vain for what a session has that asks for nothing any
 * more: a machine that hangs keeps its connection, and so its locks. Returns
 * that lock, or NULL. Who is on the telephone is let be with all that it has:
 * the other end may have been told already that its mail is here. */
static const FsTransactionLock *
silent_lock(const FsMount *mount, const FsTransaction *transaction)
{
	const FsTransactionLock *wanted = NULL;
	GHashTableIter iter;
	gpointer data;

	if (transaction->is_flying || !is_silent(mount, transaction->session))
		return NULL;

	g_hash_table_iter_init(&iter, transaction->locks);
	while (g_hash_table_iter_next(&iter, NULL, &data)) {
		const FsTransactionLock *lock = data;

		if (is_long(lock))
			return NULL;
		if (fs_mailbag_lock_is_wanted(mount->mailbags, lock->key))
			wanted = lock;
	}
	return wanted;
}

static void
silent_log(const FsMount *mount, FsSession *session, const char *key)
{
	g_autofree char *client = fs_session_client(session);
	g_autofree char *lock = lock_name(mount, key);

	fs_log(FS_EVENT_SILENT,
	       FS_LOG_NUMBER("session", fs_session_serial(session)),
	       FS_LOG_NUMBER("pid", fs_session_pid(session)),
	       FS_LOG_TEXT("client", client), FS_LOG_TEXT("lock", lock));
}

static void
session_expire(const FsMount *mount, FsTransaction *transaction)
{
	g_autoptr(FsSession) session = fs_session_ref(transaction->session);
	const FsTransactionLock *silent = silent_lock(mount, transaction);
	GHashTableIter iter;
	gpointer lock;

	if (silent != NULL) {
		silent_log(mount, session, silent->key);
		fs_undo(mount, transaction,
		        (FsReason){ FS_UNDONE_AGE,
		                    "it kept others waiting and was silent" },
		        false);
		return;
	}

	/* Nothing is given up before it is settled, so nobody is called. */
	g_hash_table_iter_init(&iter, transaction->locks);
	while (g_hash_table_iter_next(&iter, NULL, &lock))
		if (is_left(mount, transaction, lock))
			key_leave(mount, session,
			          ((FsTransactionLock *)lock)->key);
	(void)fs_commit_settle(mount, session);
}

void
fs_hold_expire(const FsMount *mount)
{
	g_autoptr(GArray) serials = fs_transaction_serials(mount->transactions);

	for (guint i = 0; i < serials->len; i++) {
		FsTransaction *transaction = fs_transaction_of_serial(
			mount->transactions,
			g_array_index(serials, uint64_t, i));

		if (transaction != NULL)
			session_expire(mount, transaction);
	}
}

void
fs_hold_excuse(const FsMount *mount, int64_t us)
{
	g_autoptr(GArray) serials = fs_transaction_serials(mount->transactions);

	for (guint i = 0; i < serials->len; i++) {
		FsTransaction *transaction = fs_transaction_of_serial(
			mount->transactions,
			g_array_index(serials, uint64_t, i));

		fs_session_hear(transaction->session);
		if (fs_transaction_is_staged(transaction))
			transaction->begun_us = MIN(transaction->begun_us + us,
			                            g_get_monotonic_time());
	}
}

/* ---- byte ranges --------------------------------------------------------- */

bool
fs_hold_is_range(const FsHandle *handle, const FsLockRange *range)
{
	return handle->key != NULL && range->first < RANGES_END &&
	       (handle->purpose == FS_LOCK_UPDATE ||
	        handle->purpose == FS_LOCK_INQUEUE);
}

void
fs_hold_range(FsHandle *handle)
{
	handle->has_range = true;
}

void
fs_hold_ranges(const FsMount *mount, const FsHandle *of)
{
	GPtrArray *handles = fs_handle_list(mount->handles, of->node);

	for (guint i = 0; handles != NULL && i < handles->len; i++) {
		FsHandle *handle = handles->pdata[i];

		if (!handle->has_range || handle->session != of->session ||
		    fs_range_lock_has(mount->locks, handle->node, handle,
		                      RANGES_END))
			continue;
		handle->has_range = false;
		if (!fs_handle_is_stale(handle))
			fs_hold_let_go(mount, handle->session, handle->key);
	}
}
