/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/ends_kit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/store_kit.h"
#include "tests/unit/undone_kit.h"

#define DEADLINE_US (INT64_C(30) * G_USEC_PER_SEC)

static Ends *current;

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

	if (serial >= 1 && serial <= ENDS_SESSIONS)
		return fs_session_ref(&current->sessions[serial - 1]);
	*ret_error = g_strdup("nobody");
	return NULL;
}

/* ---- processes ----------------------------------------------------------- */

static const FsSession *
of_pid(pid_t pid)
{
	int i = 0;

	while (i < ENDS_SESSIONS - 1 && current->sessions[i].pid != pid)
		i++;
	assert_int_equal(current->sessions[i].pid, pid);
	return &current->sessions[i];
}

int
fs_thread_group_read_end(pid_t tid, FsThreadEnd *ret_end)
{
	return fs_session_read_end(of_pid(tid), ret_end);
}

int
fs_thread_group_read_parent(pid_t pid, pid_t *ret_parent)
{
	const FsSession *session = of_pid(pid);

	if (session->parent_r == 0)
		*ret_parent = session->parent;
	return session->parent_r;
}

/* All requests are of the first one. */
const struct fuse_ctx *
fuse_req_ctx(fuse_req_t req)
{
	static struct fuse_ctx context;

	context.pid = current->sessions[0].pid;
	return &context;
}

/* ---- answers ------------------------------------------------------------- */

FsCall *
fs_call_keep(const FsCall *call)
{
	return g_memdup2(call, sizeof *call);
}

void
fs_reply_status(const FsCall *call, int r)
{
	EndsCall *made = (EndsCall *)(void *)call->req;

	made->answers++;
	made->r = r;
}

void
fs_notify_attr(FsNotify *notify, uint64_t nodeid)
{
}

void
fs_trace_tell(const FsMount *mount, const FsSession *session, const char *event)
{
}

void
fs_turn_end(const FsMount *mount)
{
}

/* ---- the main thread ----------------------------------------------------- */

typedef struct Job {
	FsLaterJob *job;
	void *user_data;
} Job;

static GAsyncQueue *jobs;

void
fs_later_post(FsLater *later, FsLaterJob *job, void *user_data)
{
	Job *posted = g_new(Job, 1);

	*posted = (Job){ job, user_data };
	g_async_queue_push(jobs, posted);
}

void
ends_run_later(Ends *ends)
{
	g_autofree Job *job = g_async_queue_timeout_pop(jobs, DEADLINE_US);

	assert_non_null(job);
	job->job(job->user_data);
}

/* ---- a mount ------------------------------------------------------------- */

int
ends_setup(void **state)
{
	Ends *ends = g_new0(Ends, 1);
	Store *store;

	jobs = g_async_queue_new_full(g_free);
	current = ends;
	ends->store = test_txn_new(&STORE_OPTIONS_DEFAULT);
	store = ends->store->store;
	ends->config = fs_config_default();
	g_mutex_init(&ends->turn);
	ends->mount = (FsMount){
		.store = store,
		.config = &ends->config,
		.handles = fs_handle_table_new(store, (FsQuota){ 100, 100 }),
		.locks = fs_range_lock_new((FsQuota){ 100, 100 }),
		.metrics = fs_metrics_new(),
		.lock_files = fs_lock_files_new(),
		.turn = &ends->turn,
		.names_serial = &ends->names_serial,
	};
	ends->mount.mailbags =
		fs_mailbag_lock_new(DEADLINE_US, ends->mount.metrics);
	ends->mount.transactions =
		fs_transaction_table_new(ends->mount.mailbags);
	for (int i = 0; i < ENDS_SESSIONS; i++)
		ends->sessions[i] = (FsSession){ .serial = (uint64_t)i + 1,
			                         .pid = 1000 + i };
	*state = ends;
	return 0;
}

int
ends_teardown(void **state)
{
	Ends *ends = *state;
	bool is_kept = g_async_queue_length(jobs) != 0;

	for (int i = 0; i < ENDS_SESSIONS; i++)
		is_kept |= ends->sessions[i].refs != 0;
	fs_transaction_table_free(ends->mount.transactions);
	fs_handle_table_free(ends->mount.handles);
	test_txn_free(ends->store);
	fs_mailbag_lock_free(ends->mount.mailbags);
	fs_lock_files_free(ends->mount.lock_files);
	fs_range_lock_free(ends->mount.locks);
	fs_metrics_free(ends->mount.metrics);
	g_mutex_clear(&ends->turn);
	g_async_queue_unref(jobs);
	g_free(ends);
	return is_kept ? -1 : 0;
}

void
ends_call(Ends *ends, EndsCall *call, uid_t uid)
{
	*call = (EndsCall){ .call = { .req = (fuse_req_t)(void *)call,
		                      .mount = &ends->mount,
		                      .op = "test",
		                      .caller = { .uid = uid } } };
}

FsTransaction *
ends_take(Ends *ends, FsSession *session, const char *key,
          FsLockPurpose purpose)
{
	FsTransaction *transaction =
		fs_transaction_obtain(ends->mount.transactions, session);

	assert_int_equal(fs_transaction_take(transaction, key, purpose,
	                                     g_get_monotonic_time()),
	                 0);
	fs_transaction_hold(transaction, key);
	return transaction;
}

StoreNode
ends_stage(Ends *ends, FsSession *session, const char *name, size_t size)
{
	FsTransaction *transaction =
		fs_transaction_obtain(ends->mount.transactions, session);
	StorePlace place = { .dir = STORE_ROOT,
		             .office = 2,
		             .role = LAYOUT_DIR_MAI_BUCKET,
		             .kind = LAYOUT_MESSAGE };
	g_autofree char *bytes = g_strnfill(size + 1, 'x');
	StoreNode dir = STORE_ROOT;
	FsTransactionFile *file;
	StoreNode node;

	g_strlcpy(place.name, name, sizeof place.name);
	assert_int_equal(fs_transaction_begin(transaction, ends->mount.store),
	                 0);
	node = test_stage_file(transaction->txn, dir, name);
	assert_int_equal(
		store_file_write(transaction->txn, node, 0, bytes, size), 0);
	file = fs_transaction_note(transaction, node, &place, true);
	fs_written_add(file->written, 0, size);
	g_hash_table_add(transaction->dirs, g_memdup2(&dir, sizeof dir));
	return node;
}

void
ends_age(Ends *ends, FsSession *session, int64_t seconds)
{
	FsTransaction *transaction =
		fs_transaction_find(ends->mount.transactions, session);

	assert_non_null(transaction);
	assert_true(fs_transaction_is_staged(transaction));
	transaction->begun_us -= seconds * G_USEC_PER_SEC;
}

bool
ends_is_seen(Ends *ends, const char *name)
{
	return test_has(ends->store->plain, STORE_ROOT, name);
}

unsigned
ends_count_undone(Ends *ends)
{
	return test_undone(ends->mount.store).count;
}

bool
ends_is_free(Ends *ends, const char *key)
{
	return !fs_mailbag_lock_is_elsewhere(ends->mount.mailbags, 1000, key,
	                                     g_get_monotonic_time());
}
