/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/session.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "fs/identity.h"
#include "fs/log.h"
#include "fs/view.h"

/* Slot 0 is everybody's (view.h); this one is of callers without a process. */
#define SHARED_SLOT 1

/* Threads that are remembered; beyond that all are asked about anew. */
#define THREADS_MAX 4096

struct FsSession {
	FsSessionTable *table; /* borrowed; it outlives its sessions */
	unsigned refs;         /* guarded by the table; one is its watch's */
	unsigned slot;
	uint64_t serial;
	pid_t tgid;
	int pidfd; /* -1: the shared session */
	bool is_untold;
	bool is_bridged;
	unsigned epoch;
	int64_t heard_us;
	FsIdentity *who; /* owned */
	/* As its process says, or ""; guarded by the table: */
	char client[FS_PEER_ADDRESS_SIZE];
};

struct FsSessionTable {
	FsLiveness *liveness; /* borrowed */
	FsSessionEnd *end;    /* may be NULL */
	void *end_data;       /* borrowed */
	GMutex mutex;         /* guards everything below */
	GHashTable *by_pid;   /* tgid -> session; no reference */
	GHashTable *by_tid;   /* other threads -> session; no reference */
	FsSession **by_slot;  /* FS_VIEW_SLOT_MAX + 1 of them; no reference */
	unsigned last_slot;
	uint64_t last_serial;
	FsSession *shared;
};

/* Called with the table locked. Slots go round, so that one that has just
 * become free stays so for as long as possible. */
static int
slot_find(FsSessionTable *table, unsigned *ret_slot)
{
	for (unsigned i = 0; i < FS_VIEW_SLOT_MAX; i++) {
		unsigned slot = (table->last_slot + i) % FS_VIEW_SLOT_MAX + 1;

		if (table->by_slot[slot] == NULL) {
			*ret_slot = slot;
			return 0;
		}
	}

	return -ENFILE;
}

/* Called with the table locked. */
static FsSession *
session_new(FsSessionTable *table, unsigned slot, pid_t tgid, int pidfd)
{
	FsSession *session = g_new(FsSession, 1);

	*session = (FsSession){
		.table = table,
		.refs = 1,
		.slot = slot,
		.serial = ++table->last_serial,
		.tgid = tgid,
		.pidfd = pidfd,
		.who = fs_identity_new(tgid, pidfd),
	};
	table->by_slot[slot] = session;
	table->last_slot = slot;
	return session;
}

FsSessionTable *
fs_session_table_new(FsLiveness *liveness)
{
	FsSessionTable *table = g_new0(FsSessionTable, 1);

	table->liveness = liveness;
	g_mutex_init(&table->mutex);
	table->by_pid = g_hash_table_new(NULL, NULL);
	table->by_tid = g_hash_table_new(NULL, NULL);
	table->by_slot = g_new0(FsSession *, FS_VIEW_SLOT_MAX + 1);
	table->shared = session_new(table, SHARED_SLOT, 0, -1);
	return table;
}

void
fs_session_table_watch(FsSessionTable *table, FsSessionEnd *end,
                       void *user_data)
{
	table->end = end;
	table->end_data = user_data;
}

/* Called with the table locked. */
static void
session_unref_locked(FsSession *session)
{
	g_assert(session->refs > 0);
	if (--session->refs > 0)
		return;

	session->table->by_slot[session->slot] = NULL;
	if (session->pidfd >= 0)
		close(session->pidfd);
	fs_identity_free(session->who);
	g_free(session);
}

static gboolean
thread_is_of(gpointer tid, gpointer session, gpointer wanted)
{
	return session == wanted;
}

/* Called with the table locked: nobody is of @session any more. What it holds
 * open keeps it, and so does its watch until its event has come. */
static void
session_forget(FsSessionTable *table, FsSession *session)
{
	gpointer pid = GINT_TO_POINTER(session->tgid);

	if (g_hash_table_lookup(table->by_pid, pid) != session)
		return;

	g_hash_table_remove(table->by_pid, pid);
	g_hash_table_foreach_remove(table->by_tid, thread_is_of, session);
}

static void
session_log_end(FsSession *session)
{
	g_autofree char *client = fs_session_client(session);

	fs_log(FS_EVENT_SESSION_END, FS_LOG_NUMBER("session", session->serial),
	       FS_LOG_NUMBER("pid", session->tgid),
	       FS_LOG_TEXT("client", client));
}

static void
session_ended(void *user_data, int pidfd)
{
	FsSession *session = user_data;
	FsSessionTable *table = session->table;

	fs_liveness_unwatch(table->liveness, pidfd);
	if (fs_log_is_verbose())
		session_log_end(session);
	if (table->end != NULL)
		table->end(table->end_data, session->serial);

	g_mutex_lock(&table->mutex);
	session_forget(table, session);
	session_unref_locked(session);
	g_mutex_unlock(&table->mutex);
}

void
fs_session_table_free(FsSessionTable *table)
{
	if (table == NULL)
		return;

	/* The references of the watches, whose events will not come now. */
	for (unsigned slot = 0; slot <= FS_VIEW_SLOT_MAX; slot++) {
		if (table->by_slot[slot] != NULL)
			session_unref_locked(table->by_slot[slot]);
		g_assert(table->by_slot[slot] == NULL);
	}

	g_hash_table_unref(table->by_pid);
	g_hash_table_unref(table->by_tid);
	g_free(table->by_slot);
	g_mutex_clear(&table->mutex);
	g_free(table);
}

static bool
session_is_alive(const FsSession *session)
{
	struct pollfd end = { .fd = session->pidfd, .events = POLLIN };

	return poll(&end, 1, 0) == 0;
}

/* Called with the table locked. */
static FsSession *
session_recall(FsSessionTable *table, pid_t tid)
{
	gpointer key = GINT_TO_POINTER(tid);
	FsSession *session = g_hash_table_lookup(table->by_pid, key);

	if (session == NULL) {
		session = g_hash_table_lookup(table->by_tid, key);
		if (session != NULL &&
		    !fs_thread_group_has(session->tgid, tid)) {
			g_hash_table_remove(table->by_tid, key);
			return NULL;
		}
	}

	if (session != NULL && !session_is_alive(session)) {
		session_forget(table, session);
		return NULL;
	}

	return session;
}

/* Called with the table locked. Cheaper than asking about @tid, and works on
 * every kernel. */
static FsSession *
session_of_thread(FsSessionTable *table, pid_t tid)
{
	GHashTableIter iter;
	gpointer session;

	g_hash_table_iter_init(&iter, table->by_pid);
	while (g_hash_table_iter_next(&iter, NULL, &session))
		if (fs_thread_group_has(((FsSession *)session)->tgid, tid))
			return session;

	return NULL;
}

/* Called with the table locked. Takes @pidfd, also on error. */
static int
session_begin(FsSessionTable *table, pid_t tgid, int pidfd,
              FsSession **ret_session)
{
	FsSession *session;
	unsigned slot;
	int r;

	r = slot_find(table, &slot);
	if (r < 0) {
		close(pidfd);
		return r;
	}

	session = session_new(table, slot, tgid, pidfd);
	r = fs_liveness_watch(table->liveness, pidfd, session_ended, session);
	if (r < 0) {
		session_unref_locked(session);
		return r;
	}

	g_hash_table_insert(table->by_pid, GINT_TO_POINTER(tgid), session);
	fs_log(FS_EVENT_SESSION_BEGIN,
	       FS_LOG_NUMBER("session", session->serial),
	       FS_LOG_NUMBER("pid", tgid));
	*ret_session = session;
	return 0;
}

/* Called with the table locked, for a @tid that is not remembered. */
static int
session_meet(FsSessionTable *table, pid_t tid, FsSession **ret_session)
{
	int pidfd = fs_thread_group_open(tid);

	if (pidfd >= 0)
		return session_begin(table, tid, pidfd, ret_session);

	if (pidfd == -ENOENT)
		*ret_session = session_of_thread(table, tid);

	return pidfd;
}

/* Called with the table locked. */
static void
thread_remember(FsSessionTable *table, pid_t tid, FsSession *session)
{
	if (session->tgid == tid)
		return;

	if (g_hash_table_size(table->by_tid) >= THREADS_MAX)
		g_hash_table_remove_all(table->by_tid);
	g_hash_table_insert(table->by_tid, GINT_TO_POINTER(tid), session);
}

/* Finds the session of @tid without waiting for anything. -ENOENT: it is a
 * thread of a process that has no session yet. */
static int
session_find_now(FsSessionTable *table, pid_t tid, pid_t tgid,
                 FsSession **ret_session)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	FsSession *session = session_recall(table, tid);
	int r = 0;

	if (session == NULL)
		session = session_recall(table, tgid);
	if (session == NULL)
		r = session_meet(table, tgid, &session);
	if (session == NULL && r == -ESRCH)
		session = table->shared;
	if (session == NULL)
		return r;

	if (session != table->shared)
		thread_remember(table, tid, session);
	session->refs++;
	*ret_session = session;
	return 0;
}

int
fs_session_find(FsSessionTable *table, pid_t tid, FsSession **ret_session)
{
	pid_t tgid;
	int r;

	if (tid == 0) {
		*ret_session = fs_session_ref(table->shared);
		return 0;
	}

	r = session_find_now(table, tid, tid, ret_session);
	if (r != -ENOENT)
		return r;

	r = fs_thread_group_find(tid, &tgid);
	if (r == 0)
		r = session_find_now(table, tid, tgid, ret_session);
	if (r == 0 || r == -ENFILE)
		return r;

	*ret_session = fs_session_ref(table->shared);
	return 0;
}

FsSession *
fs_session_ref(FsSession *session)
{
	g_mutex_lock(&session->table->mutex);
	session->refs++;
	g_mutex_unlock(&session->table->mutex);
	return session;
}

void
fs_session_unref(FsSession *session)
{
	FsSessionTable *table;

	if (session == NULL)
		return;

	table = session->table;
	g_mutex_lock(&table->mutex);
	session_unref_locked(session);
	g_mutex_unlock(&table->mutex);
}

unsigned
fs_session_slot(const FsSession *session)
{
	return session->slot;
}

uint64_t
fs_session_serial(const FsSession *session)
{
	return session->serial;
}

pid_t
fs_session_pid(const FsSession *session)
{
	return session->tgid;
}

int
fs_session_read_end(const FsSession *session, FsThreadEnd *ret_end)
{
	FsThreadEnd end = FS_THREAD_GOES_ON;
	int r;

	if (session_is_alive(session)) {
		r = fs_thread_group_read_end(session->tgid, &end);
		if (r == -ESRCH)
			r = fs_thread_group_ask_end(session->pidfd, &end);
	} else {
		/* Once it was waited for, its number may be another's. */
		r = fs_thread_group_ask_end(session->pidfd, &end);
		if (r < 0)
			r = fs_thread_group_see_end(session->tgid, &end);
		if (r == 0 && end == FS_THREAD_GOES_ON)
			r = -ESRCH;
	}
	if (r == 0)
		*ret_end = end;
	return r;
}

unsigned
fs_session_epoch(const FsSession *session)
{
	return session->epoch;
}

void
fs_session_next_epoch(FsSession *session)
{
	session->epoch++;
}

void
fs_session_hear(FsSession *session)
{
	session->heard_us = g_get_monotonic_time();
}

int64_t
fs_session_heard_us(const FsSession *session)
{
	return session->heard_us;
}

bool
fs_session_is_untold(const FsSession *session)
{
	return session->is_untold;
}

void
fs_session_set_untold(FsSession *session, bool is_untold)
{
	session->is_untold = is_untold;
}

FsSession *
fs_session_by_slot(FsSessionTable *table, unsigned slot)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	FsSession *session =
		slot <= FS_VIEW_SLOT_MAX ? table->by_slot[slot] : NULL;

	if (session != NULL)
		session->refs++;
	return session;
}

FsSession *
fs_session_by_serial(FsSessionTable *table, uint64_t serial)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);

	for (unsigned slot = 0; slot <= FS_VIEW_SLOT_MAX; slot++) {
		FsSession *session = table->by_slot[slot];

		if (session != NULL && session->serial == serial) {
			session->refs++;
			return session;
		}
	}
	return NULL;
}

FsSession *
fs_session_named(FsSessionTable *table, const char *text, char **ret_error)
{
	FsSession *session = NULL;
	guint64 serial;

	if (g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT64, &serial, NULL))
		session = fs_session_by_serial(table, serial);
	if (session == NULL)
		*ret_error = g_strdup_printf("there is no session %s", text);
	return session;
}

static void
session_let_go(void *session)
{
	fs_session_unref(session);
}

GPtrArray *
fs_session_list(FsSessionTable *table)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	GPtrArray *sessions = g_ptr_array_new_with_free_func(session_let_go);

	for (unsigned slot = 0; slot <= FS_VIEW_SLOT_MAX; slot++) {
		FsSession *session = table->by_slot[slot];

		if (session == NULL)
			continue;
		session->refs++;
		g_ptr_array_add(sessions, session);
	}
	return sessions;
}

bool
fs_session_is_smbd(FsSession *session)
{
	bool smbd;

	return fs_identity_find_name(session->who, FS_PROC_HURRIED, &smbd) &&
	       smbd;
}

bool
fs_session_is_local(FsSession *session)
{
	bool smbd;

	return fs_identity_find_name(session->who, FS_PROC_HURRIED, &smbd) &&
	       !smbd;
}

void
fs_session_find_name(FsSession *session)
{
	bool smbd;

	(void)fs_identity_find_name(session->who, FS_PROC_PATIENT, &smbd);
}

bool
fs_session_has_name(FsSession *session)
{
	return fs_identity_has_name(session->who);
}

void
fs_session_set_bridged(FsSession *session, const char *client)
{
	session->is_bridged = true;
	g_mutex_lock(&session->table->mutex);
	g_strlcpy(session->client, client, sizeof session->client);
	g_mutex_unlock(&session->table->mutex);
}

bool
fs_session_is_bridged(const FsSession *session)
{
	return session->is_bridged;
}

bool
fs_session_peer(FsSession *session, FsPeer *ret_peer)
{
	if (!fs_identity_peer(session->who, ret_peer))
		return false;

	g_mutex_lock(&session->table->mutex);
	if (ret_peer->is_smbd && ret_peer->address[0] == '\0')
		g_strlcpy(ret_peer->address, session->client,
		          sizeof ret_peer->address);
	g_mutex_unlock(&session->table->mutex);
	return true;
}

char *
fs_session_client(FsSession *session)
{
	const char *client;
	FsPeer peer;

	if (!fs_session_peer(session, &peer))
		return NULL;

	/* Who ends just now has no command line any more. */
	client = peer.is_smbd && peer.address[0] != '\0' ? peer.address
	                                                 : peer.command;
	return client[0] != '\0' ? g_strdup(client) : NULL;
}

void
fs_session_find_peer(FsSession *session)
{
	fs_identity_find_peer(session->who);
}

void
fs_session_await_peer(FsSession *session)
{
	fs_identity_await_peer(session->who);
}
