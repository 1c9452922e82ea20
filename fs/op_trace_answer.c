/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "fs/ops.h"

/*
 * What an administrator says of traces: which sessions are traced, until when.
 */

/* "10.0.0.7 (smbd 4711)" */
static char *
who_text(FsSession *session)
{
	FsPeer peer;

	fs_session_await_peer(session);
	if (!fs_session_peer(session, &peer))
		return g_strdup_printf("%d", (int)fs_session_pid(session));
	return g_strdup_printf("%s (%s %d)",
	                       peer.address[0] != '\0' ? peer.address : "local",
	                       peer.command, (int)fs_session_pid(session));
}

static const char *
start_problem(int r)
{
	switch (r) {
	case -EALREADY:
		return "it is traced already";
	case -EMFILE:
		return "too many are traced already";
	case -EEXIST:
		return "there is a trace of that number: move it away";
	default:
		return g_strerror(-r);
	}
}

/* Begins to trace @session. */
static int
start(const FsMount *mount, FsSession *session, char **ret_error)
{
	g_autofree char *who = who_text(session);
	uint64_t serial = fs_session_serial(session);
	int r;

	g_mutex_lock(mount->turn);
	r = fs_trace_start(mount->trace, serial, who);
	g_mutex_unlock(mount->turn);
	if (r < 0)
		*ret_error = g_strdup_printf("session %" G_GUINT64_FORMAT
		                             " cannot be traced: %s",
		                             serial, start_problem(r));
	return r;
}

GVariant *
fs_trace_answer_start(void *user_data, const char *argument, char **ret_error)
{
	const FsMount *mount = user_data;
	g_autoptr(FsSession) session = NULL;

	session = fs_session_named(mount->sessions, argument, ret_error);
	if (session == NULL)
		return NULL;
	return start(mount, session, ret_error) < 0
	               ? NULL
	               : g_variant_new_uint64(fs_session_serial(session));
}

/* Keeps the trace of @serial if it is the client with @address; drops it if it
 * is another, and leaves it if that is not known yet. Returns whether it is. */
static bool
settle(const FsMount *mount, uint64_t serial, const char *address)
{
	g_autoptr(FsSession) session =
		fs_session_by_serial(mount->sessions, serial);
	g_autofree char *who = session != NULL ? who_text(session) : NULL;
	bool is_wanted = false;
	FsPeer peer;

	if (session == NULL || !fs_session_peer(session, &peer))
		return false;
	g_mutex_lock(mount->turn);
	if (fs_peer_is_at(&peer, address))
		is_wanted = fs_trace_keep(mount->trace, serial, who) == 0;
	else
		fs_trace_drop(mount->trace, serial);
	g_mutex_unlock(mount->turn);
	return is_wanted;
}

/* The newest of @sessions that is known to be at @address, or NULL. */
static FsSession *
newest_at(const GPtrArray *sessions, const char *address)
{
	FsSession *newest = NULL;

	for (guint i = 0; i < sessions->len; i++) {
		FsSession *session = sessions->pdata[i];
		FsPeer peer;

		if (fs_session_peer(session, &peer) &&
		    fs_peer_is_at(&peer, address) &&
		    (newest == NULL ||
		     fs_session_serial(session) > fs_session_serial(newest)))
			newest = session;
	}
	return newest;
}

static uint64_t
last_serial(const GPtrArray *sessions)
{
	uint64_t last = 0;

	for (guint i = 0; i < sessions->len; i++)
		last = MAX(last, fs_session_serial(sessions->pdata[i]));
	return last;
}

GVariant *
fs_trace_answer_expect(void *user_data, const char *argument, char **ret_error)
{
	const FsMount *mount = user_data;
	g_autoptr(GPtrArray) sessions = fs_session_list(mount->sessions);
	g_autoptr(GArray) expected = NULL;
	FsSession *old;

	/* Who comes from now on is traced. */
	g_mutex_lock(mount->turn);
	fs_trace_expect(mount->trace, last_serial(sessions));
	g_mutex_unlock(mount->turn);

	expected = fs_trace_expected(mount->trace);
	for (guint i = 0; i < expected->len; i++) {
		uint64_t serial = g_array_index(expected, uint64_t, i);

		if (settle(mount, serial, argument))
			return g_variant_new_uint64(serial);
	}

	old = newest_at(sessions, argument);
	if (old == NULL)
		return g_variant_new_uint64(0);
	return start(mount, old, ret_error) < 0
	               ? NULL
	               : g_variant_new_uint64(fs_session_serial(old));
}

GVariant *
fs_trace_answer_stop(void *user_data, const char *argument, char **ret_error)
{
	const FsMount *mount = user_data;
	unsigned count = 0;
	guint64 serial;

	g_mutex_lock(mount->turn);
	if (strcmp(argument, "all") == 0)
		count = fs_trace_stop_all(mount->trace);
	else if (g_ascii_string_to_unsigned(argument, 10, 1, G_MAXUINT64,
	                                    &serial, NULL))
		count = fs_trace_stop(mount->trace, serial) == 0;
	g_mutex_unlock(mount->turn);
	if (count > 0)
		return g_variant_new_uint32(count);
	*ret_error =
		strcmp(argument, "all") == 0
			? g_strdup("no session is traced")
			: g_strdup_printf("session %s is not traced", argument);
	return NULL;
}
