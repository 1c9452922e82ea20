/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/session_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

FsSession test_sessions[TEST_SESSIONS];

void
test_sessions_reset(void)
{
	for (int i = 0; i < TEST_SESSIONS; i++)
		test_sessions[i] = (FsSession){ .serial = (uint64_t)i + 1,
			                        .pid = 1000 + i };
}

bool
test_sessions_are_kept(void)
{
	bool are_kept = false;

	for (int i = 0; i < TEST_SESSIONS; i++)
		are_kept |= test_sessions[i].refs != 0;
	return are_kept;
}

/* ---- sessions ------------------------------------------------------------ */

FsSession *
fs_session_ref(FsSession *session)
{
	session->refs++;
	return session;
}

void
fs_session_unref(FsSession *session)
{
	session->refs--;
}

uint64_t
fs_session_serial(const FsSession *session)
{
	return session->serial;
}

pid_t
fs_session_pid(const FsSession *session)
{
	return session->pid;
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

bool
fs_session_peer(FsSession *session, FsPeer *ret_peer)
{
	if (session->has_peer)
		*ret_peer = session->peer;
	return session->has_peer;
}

bool
fs_session_has_name(FsSession *session)
{
	return session->has_peer;
}

bool
fs_session_is_local(FsSession *session)
{
	return session->has_peer && !session->peer.is_smbd;
}

void
fs_session_find_name(FsSession *session)
{
	(void)session;
}

char *
fs_session_client(FsSession *session)
{
	return session->has_peer ? g_strdup(session->peer.command) : NULL;
}

int
fs_session_read_end(const FsSession *session, FsThreadEnd *ret_end)
{
	if (session->end_r == 0)
		*ret_end = session->end;
	return session->end_r;
}

/* By its serial, as an administrator has it. */
FsSession *
fs_session_named(FsSessionTable *table, const char *text, char **ret_error)
{
	uint64_t serial = g_ascii_strtoull(text, NULL, 10);

	if (serial >= 1 && serial <= TEST_SESSIONS)
		return fs_session_ref(&test_sessions[serial - 1]);
	*ret_error = g_strdup("nobody");
	return NULL;
}

/* ---- processes ----------------------------------------------------------- */

static const FsSession *
of_pid(pid_t pid)
{
	int i = 0;

	while (i < TEST_SESSIONS - 1 && test_sessions[i].pid != pid)
		i++;
	assert_int_equal(test_sessions[i].pid, pid);
	return &test_sessions[i];
}

int
fs_thread_group_read_end(pid_t tid, FsThreadEnd *ret_end)
{
	return fs_session_read_end(of_pid(tid), ret_end);
}

bool
fs_thread_group_is_killed(pid_t tid)
{
	return of_pid(tid)->is_killed;
}

int
fs_thread_group_read_parent(pid_t pid, pid_t *ret_parent)
{
	const FsSession *session = of_pid(pid);

	if (session->parent_r == 0)
		*ret_parent = session->parent;
	return session->parent_r;
}
