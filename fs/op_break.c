/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/log.h"
#include "fs/op_undo.h"

/* What breaking @session would undo or end. */
typedef struct Break {
	uint64_t session;
	unsigned locks;
	unsigned waits;
	unsigned files; /* staged */
	bool is_committing;
} Break;

static void
break_count(void *user_data, const FsMailbagRow *row)
{
	Break *broken = user_data;

	if (row->session != broken->session)
		return;
	if (row->kind == FS_MAILBAG_HAS)
		broken->locks++;
	else
		broken->waits++;
}

static void
break_log(FsSession *session, const Break *broken)
{
	g_autofree char *client = fs_session_client(session);

	fs_log(FS_EVENT_BREAK, FS_LOG_NUMBER("session", broken->session),
	       FS_LOG_NUMBER("pid", fs_session_pid(session)),
	       FS_LOG_TEXT("client", client),
	       FS_LOG_NUMBER("locks", broken->locks),
	       FS_LOG_NUMBER("waits", broken->waits),
	       FS_LOG_NUMBER("files", broken->files));
}

/* Called with the turn. Returns whether there was anything to break. */
static bool
session_break(const FsMount *mount, FsSession *session, Break *ret_broken)
{
	uint64_t serial = fs_session_serial(session);
	const FsTransaction *transaction =
		fs_transaction_find(mount->transactions, session);

	*ret_broken = (Break){ .session = serial };
	fs_mailbag_lock_list(mount->mailbags, break_count, ret_broken);
	if (transaction != NULL) {
		ret_broken->files = g_hash_table_size(transaction->files);
		ret_broken->is_committing = transaction->is_flying;
	}
	if (ret_broken->locks == 0 && ret_broken->waits == 0)
		return false;

	break_log(session, ret_broken);
	fs_mailbag_lock_leave(mount->mailbags, serial, g_get_monotonic_time());
	fs_undo_session(
		mount, session,
		(FsReason){ FS_UNDONE_BREAK, "broken by the administrator" });
	/* An edit has its locks by itself. */
	if (transaction == NULL && ret_broken->locks > 0)
		fs_session_next_epoch(session);
	fs_turn_end(mount);
	return true;
}

/* What was staged is in the quarantine, and there for who looks at the disk. */
static GVariant *
break_result(const FsMount *mount, const Break *broken)
{
	g_autofree char *kept = NULL;
	int r = 0;

	if (broken->files > 0)
		r = store_sync_wait(mount->store);

	if (broken->files == 0)
		kept = g_strdup("nothing was staged");
	else if (r < 0)
		kept = g_strdup_printf("what it had staged could not be kept: "
		                       "%s",
		                       g_strerror(-r));
	else
		kept = g_strdup_printf("what it had staged, of %u %s, is in "
		                       "the quarantine",
		                       broken->files,
		                       broken->files == 1 ? "file" : "files");

	return g_variant_new_printf(
		"Session %" G_GUINT64_FORMAT " was broken; %s%s.",
		broken->session, kept,
		broken->is_committing ? "; what it was committing is "
					"not undone"
				      : "");
}

GVariant *
fs_break_answer(void *user_data, const char *argument, char **ret_error)
{
	const FsMount *mount = user_data;
	g_autoptr(FsSession) session = NULL;
	bool is_broken;
	Break broken;

	session = fs_session_named(mount->sessions, argument, ret_error);
	if (session == NULL)
		return NULL;

	g_mutex_lock(mount->turn);
	is_broken = session_break(mount, session, &broken);
	g_mutex_unlock(mount->turn);
	if (is_broken)
		return break_result(mount, &broken);

	*ret_error = g_strdup_printf("session %s holds no lock and waits for "
	                             "none",
	                             argument);
	return NULL;
}
