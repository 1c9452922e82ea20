/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/ends_kit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fs/op_undo.h"
#include "tests/unit/store_kit.h"
#include "tests/unit/undone_kit.h"

#define DEADLINE_US (INT64_C(30) * G_USEC_PER_SEC)

/* ---- requests and answers ------------------------------------------------ */

/* Requests are of the first session, unless one says otherwise. */
const struct fuse_ctx *
fuse_req_ctx(fuse_req_t req)
{
	static struct fuse_ctx context;
	const EndsCall *made = (const EndsCall *)(void *)req;

	context.pid = test_sessions[made->of].pid;
	return &context;
}

void *
fuse_req_userdata(fuse_req_t req)
{
	const EndsCall *made = (const EndsCall *)(void *)req;

	return (void *)(uintptr_t)made->call.mount;
}

void
fuse_req_interrupt_func(fuse_req_t req, fuse_interrupt_func_t func, void *data)
{
	EndsCall *made = (EndsCall *)(void *)req;

	made->interrupted = func;
	made->interrupted_data = data;
}

void
ends_interrupt(Ends *ends, EndsCall *call)
{
	call->interrupted(call->call.req, call->interrupted_data);
	ends_run_later(ends);
}

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

/* ---- other threads ------------------------------------------------------- */

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
fs_workers_post(FsWorkers *workers, FsWorkerJob *job, void *user_data)
{
	fs_later_post(NULL, job, user_data);
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
		.numbers = fs_numbers_new(),
		.turn = &ends->turn,
		.names_serial = &ends->names_serial,
	};
	ends->mount.mailbags =
		fs_mailbag_lock_new(DEADLINE_US, ends->mount.metrics);
	ends->mount.transactions =
		fs_transaction_table_new(ends->mount.mailbags);
	test_sessions_reset();
	*state = ends;
	return 0;
}

int
ends_teardown(void **state)
{
	Ends *ends = *state;
	bool is_kept =
		g_async_queue_length(jobs) != 0 || test_sessions_are_kept();

	fs_transaction_table_free(ends->mount.transactions);
	fs_handle_table_free(ends->mount.handles);
	test_txn_free(ends->store);
	fs_mailbag_lock_free(ends->mount.mailbags);
	fs_lock_files_free(ends->mount.lock_files);
	fs_numbers_free(ends->mount.numbers);
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

void
ends_assert_answered(const EndsCall *call, int r)
{
	assert_int_equal(call->answers, 1);
	assert_int_equal(call->r, r);
}

int
ends_tell(Ends *ends, FsSession *session, uid_t uid)
{
	EndsCall call;

	ends_call(ends, &call, uid);
	return fs_undo_tell(&call.call, session);
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

void
ends_finish(Ends *ends, FsTransaction *transaction, const char *key)
{
	FsSession *session = transaction->session;

	fs_transaction_let_go(transaction, key);
	assert_int_equal(fs_commit_settle(&ends->mount, session), 0);
	assert_true(ends_is_free(ends, key));
}

/* ---- what was done ------------------------------------------------------- */

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

/* ---- dominoes ------------------------------------------------------------ */

/* Who waits for their locks. */
#define WAITER 99

static const char *const keys[] = { ENDS_KEY, ENDS_OTHER };

/* What is undone with the one that ends. */
typedef struct Domino {
	Ends *ends;
	FsSession *next;
} Domino;

static Domino dominoes[2];

static void
topple_next(void *user_data, int r)
{
	static const FsReason toppled = { FS_UNDONE_BREAK, "toppled" };
	const Domino *domino = user_data;

	assert_int_equal(r, 0);
	fs_undo_session(&domino->ends->mount, domino->next, toppled);
}

void
ends_stand_dominoes(Ends *ends)
{
	for (int i = 0; i < 2; i++) {
		FsSession *session = &test_sessions[i];
		FsMailbagAsk ask = { .session = WAITER, .key = keys[i] };
		FsMailbagWait wait;

		dominoes[i] = (Domino){ ends, &test_sessions[1 - i] };
		(void)ends_take(ends, session, keys[i], FS_LOCK_UPDATE);
		ends_stage(ends, session, i == 0 ? "A.MAI" : "B.MAI", 1);
		ask.now_us = g_get_monotonic_time();
		assert_int_equal(fs_mailbag_lock_wait(ends->mount.mailbags,
		                                      &ask, topple_next,
		                                      &dominoes[i], &wait),
		                 0);
	}
}

void
ends_assert_toppled(Ends *ends)
{
	assert_int_equal(ends_count_undone(ends), 2);
	for (int i = 0; i < 2; i++)
		fs_mailbag_lock_drop(ends->mount.mailbags, WAITER, keys[i],
		                     g_get_monotonic_time());
}
