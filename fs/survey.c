/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/survey.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "fs/control.h"

/* How long it may take, for all sessions together, to find out who they are;
 * who is not known by then is asked for the next time. In microseconds. */
#define PEERS_US INT64_C(1000000)

static void
add_count(GVariantBuilder *row, const char *name, unsigned count)
{
	g_variant_builder_add(row, "{sv}", name, g_variant_new_uint32(count));
}

static void
add_number(GVariantBuilder *row, const char *name, uint64_t number)
{
	g_variant_builder_add(row, "{sv}", name, g_variant_new_uint64(number));
}

static void
add_time(GVariantBuilder *row, const char *name, int64_t us)
{
	g_variant_builder_add(row, "{sv}", name, g_variant_new_int64(us));
}

static void
add_text(GVariantBuilder *row, const char *name, const char *text)
{
	g_variant_builder_add(row, "{sv}", name, fs_control_text(text));
}

/* ---- sessions ------------------------------------------------------------ */

/* One session, as it is while we have the turn. */
typedef struct Client {
	FsSession *session; /* borrowed from the list of all */
	unsigned handles;
	unsigned lock_files;
	unsigned locks;
	unsigned waits;
	unsigned staged_files;
	uint64_t staged_bytes;
	int64_t begun_us; /* 0: nothing is staged */
	bool is_committing;
} Client;

static void
client_init(const FsSurvey *survey, FsSession *session, Client *ret_client)
{
	const FsTransaction *transaction =
		fs_transaction_find(survey->transactions, session);

	*ret_client = (Client){
		.session = session,
		.handles = fs_handle_count(survey->handles, session),
		.lock_files = fs_lock_file_count(survey->lock_files,
		                                 fs_session_serial(session)),
	};
	if (transaction == NULL)
		return;

	ret_client->staged_files = g_hash_table_size(transaction->files);
	ret_client->staged_bytes = transaction->bytes;
	ret_client->begun_us = transaction->begun_us;
	ret_client->is_committing = transaction->is_flying;
}

/* Enters what @row says of its session in a table of Client, by serial. */
static void
client_count(void *user_data, const FsMailbagRow *row)
{
	Client *client = g_hash_table_lookup(user_data, &row->session);

	if (client == NULL)
		return;
	if (row->kind == FS_MAILBAG_HAS)
		client->locks++;
	else
		client->waits++;
}

/* Called with the turn. */
static void
clients_copy(const FsSurvey *survey, const GPtrArray *sessions, Client *clients)
{
	g_autoptr(GHashTable) by_serial = g_hash_table_new_full(
		g_int64_hash, g_int64_equal, g_free, NULL);

	for (guint i = 0; i < sessions->len; i++) {
		uint64_t serial = fs_session_serial(sessions->pdata[i]);

		client_init(survey, sessions->pdata[i], &clients[i]);
		g_hash_table_insert(by_serial,
		                    g_memdup2(&serial, sizeof serial),
		                    &clients[i]);
	}
	fs_mailbag_lock_list(survey->mailbags, client_count, by_serial);
}

static const char *
client_state(const Client *client)
{
	if (client->is_committing)
		return "committing";
	if (client->waits > 0)
		return "waiting";
	return client->locks > 0 ? "holding" : "idle";
}

static void
client_add_peer(GVariantBuilder *row, FsSession *session, int64_t until_us)
{
	FsPeer peer;

	if (g_get_monotonic_time() < until_us)
		fs_session_await_peer(session);
	if (!fs_session_peer(session, &peer))
		return;

	add_text(row, "kind", peer.is_smbd ? "smbd" : "local");
	if (peer.address[0] != '\0')
		add_text(row, "peer", peer.address);
	add_text(row, "command", peer.command);
}

static GVariant *
client_row(const Client *client, int64_t until_us)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	FsSession *session = client->session;

	add_number(&row, "id", fs_session_serial(session));
	add_count(&row, "pid", (unsigned)fs_session_pid(session));
	add_count(&row, "slot", fs_session_slot(session));
	client_add_peer(&row, session, until_us);
	add_text(&row, "state", client_state(client));
	add_count(&row, "handles", client->handles);
	add_count(&row, "locks", client->locks);
	add_count(&row, "lock-files", client->lock_files);
	add_count(&row, "waits", client->waits);
	add_count(&row, "staged-files", client->staged_files);
	add_number(&row, "staged-bytes", client->staged_bytes);
	if (client->begun_us != 0)
		add_time(&row, "transaction-age-us",
		         g_get_monotonic_time() - client->begun_us);
	return g_variant_builder_end(&row);
}

/* Callers without a process are a session only if there are any. */
static bool
client_is_there(const Client *client)
{
	return fs_session_pid(client->session) != 0 || client->handles > 0 ||
	       client->locks > 0;
}

GVariant *
fs_survey_sessions(void *user_data, const char *argument, char **ret_error)
{
	const FsSurvey *survey = user_data;
	g_autoptr(GPtrArray) sessions = fs_session_list(survey->sessions);
	g_autofree Client *clients = g_new0(Client, sessions->len);
	GVariantBuilder rows = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	int64_t until_us = g_get_monotonic_time() + PEERS_US;

	(void)argument;
	(void)ret_error;
	g_mutex_lock(survey->turn);
	clients_copy(survey, sessions, clients);
	g_mutex_unlock(survey->turn);

	for (guint i = 0; i < sessions->len; i++) {
		if (client_is_there(&clients[i]))
			g_variant_builder_add_value(
				&rows, client_row(&clients[i], until_us));
	}
	return g_variant_builder_end(&rows);
}

/* ---- how much there is --------------------------------------------------- */

static void
add_clients(GVariantBuilder *answer, const Client *clients, guint count)
{
	Client all = { .handles = 0 };
	uint64_t sessions = 0;

	for (guint i = 0; i < count; i++) {
		const Client *client = &clients[i];

		sessions += client_is_there(client);
		all.handles += client->handles;
		all.locks += client->locks;
		all.waits += client->waits;
		all.staged_bytes += client->staged_bytes;
	}
	add_number(answer, "sessions", sessions);
	add_number(answer, "handles", all.handles);
	add_number(answer, "locks", all.locks);
	add_number(answer, "waiters", all.waits);
	add_number(answer, "staged-bytes", all.staged_bytes);
}

static void
add_vitals(GVariantBuilder *answer, const StoreVitals *vitals)
{
	add_number(answer, "store-commits", vitals->commits);
	add_number(answer, "store-used-bytes", vitals->disk_used);
	add_number(answer, "store-free-bytes", vitals->room.free);
	add_number(answer, "quarantine-entries", vitals->undone);
	add_number(answer, "quarantine-bytes", vitals->undone_bytes);
	add_text(answer, "store-error",
	         vitals->error == 0 ? "" : g_strerror(vitals->error));
}

GVariant *
fs_survey_metrics(void *user_data, const char *argument, char **ret_error)
{
	const FsSurvey *survey = user_data;
	g_autoptr(GPtrArray) sessions = fs_session_list(survey->sessions);
	g_autofree Client *clients = g_new0(Client, sessions->len);
	GVariantBuilder answer = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	StoreVitals vitals;
	int r;

	(void)argument;
	r = store_vitals(survey->store, &vitals);
	if (r < 0) {
		*ret_error = g_strdup_printf(
			"the store's disk does not answer: %s", g_strerror(-r));
		return NULL;
	}

	g_mutex_lock(survey->turn);
	clients_copy(survey, sessions, clients);
	g_mutex_unlock(survey->turn);

	fs_metrics_list(survey->metrics, &answer);
	add_clients(&answer, clients, sessions->len);
	add_vitals(&answer, &vitals);
	return g_variant_builder_end(&answer);
}

/* ---- locks --------------------------------------------------------------- */

/* One who stands in the line for a lock. */
typedef struct Waiter {
	uint64_t session;
	int64_t since_us;
	FsMailbagRowKind kind;
} Waiter;

/* One lock, as it is while we have the turn. */
typedef struct Lock {
	char *key;        /* owned */
	uint64_t session; /* 0: nobody has it just now */
	int64_t since_us;
	char *forms;     /* owned; NULL: it is only kept */
	GArray *waiters; /* of Waiter, owned */
} Lock;

static void
lock_free(void *data)
{
	Lock *lock = data;

	g_free(lock->key);
	g_free(lock->forms);
	g_array_unref(lock->waiters);
	g_free(lock);
}

/* The last of @locks, if it is @key's; a new one otherwise. */
static Lock *
locks_get(GPtrArray *locks, const char *key)
{
	Lock *lock = locks->len > 0 ? locks->pdata[locks->len - 1] : NULL;

	if (lock != NULL && strcmp(lock->key, key) == 0)
		return lock;

	lock = g_new0(Lock, 1);
	lock->key = g_strdup(key);
	lock->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
	g_ptr_array_add(locks, lock);
	return lock;
}

static void
lock_copy(void *user_data, const FsMailbagRow *row)
{
	Lock *lock = locks_get(user_data, row->key);
	Waiter waiter = {
		.session = row->session,
		.since_us = row->since_us,
		.kind = row->kind,
	};

	if (row->kind == FS_MAILBAG_HAS) {
		lock->session = row->session;
		lock->since_us = row->since_us;
	} else {
		g_array_append_val(lock->waiters, waiter);
	}
}

static void
form_print(GString *text, unsigned count, const char *name)
{
	if (count == 0)
		return;
	if (text->len > 0)
		g_string_append(text, ", ");
	if (count > 1)
		g_string_append_printf(text, "%u ", count);
	g_string_append(text, name);
}

/* In which forms @lock is held, or NULL. An open file whose share mode denies
 * others anything is said to be declared; what is neither an open file nor a
 * byte range is a lock file. */
static char *
forms_text(const FsTransactionLock *lock, const GPtrArray *handles)
{
	GString *text = g_string_new(NULL);
	unsigned declared = 0;
	unsigned opens = 0;
	unsigned ranges = 0;

	for (guint i = 0; i < handles->len; i++) {
		const FsHandle *handle = handles->pdata[i];

		if (fs_handle_is_stale(handle) ||
		    g_strcmp0(handle->key, lock->key) != 0)
			continue;
		if (handle->hold == FS_HOLD_HAS && handle->share.is_declared &&
		    handle->share.deny != 0)
			declared++;
		else if (handle->hold == FS_HOLD_HAS &&
		         handle->lock_file == NULL)
			opens++;
		if (handle->has_range)
			ranges++;
	}

	form_print(text, opens, "open");
	form_print(text, declared, "declared");
	form_print(text, lock->forms - opens - declared - ranges, "lock file");
	form_print(text, ranges, "range");
	return g_string_free(text, text->len == 0);
}

/* The locks of one session, in @locks: key -> Lock. */
static void
forms_copy(const FsSurvey *survey, const FsTransaction *transaction,
           GHashTable *locks)
{
	g_autoptr(GPtrArray) handles =
		fs_handle_of_session(survey->handles, transaction->session);
	GHashTableIter iter;
	gpointer data;

	g_hash_table_iter_init(&iter, transaction->locks);
	while (g_hash_table_iter_next(&iter, NULL, &data)) {
		const FsTransactionLock *held = data;
		Lock *lock = g_hash_table_lookup(locks, held->key);

		if (lock != NULL)
			lock->forms = forms_text(held, handles);
	}
}

/* Called with the turn. */
static void
locks_copy(const FsSurvey *survey, GPtrArray *locks)
{
	g_autoptr(GHashTable) by_key =
		g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GArray) serials =
		fs_transaction_serials(survey->transactions);

	fs_mailbag_lock_list(survey->mailbags, lock_copy, locks);
	for (guint i = 0; i < locks->len; i++)
		g_hash_table_insert(by_key, ((Lock *)locks->pdata[i])->key,
		                    locks->pdata[i]);
	for (guint i = 0; i < serials->len; i++)
		forms_copy(survey,
		           fs_transaction_of_serial(
				   survey->transactions,
				   g_array_index(serials, uint64_t, i)),
		           by_key);
}

static void
lock_add_subject(GVariantBuilder *row, const FsSurvey *survey, const char *key)
{
	g_autofree char *dir = NULL;
	g_autofree char *path = NULL;
	FsLockSubject subject;

	if (!fs_lock_key_parse(key, &subject))
		return;

	add_text(row, "what", fs_lock_purpose_name(subject.purpose));
	if (store_node_path(store_plain(survey->store), subject.dir, &dir) == 0)
		path = g_build_filename(dir, subject.name, NULL);
	add_text(row, "path", path != NULL ? path : subject.name);
}

static GVariant *
waiter_row(const Waiter *waiter, int64_t now_us)
{
	static const char *const hows[] = {
		[FS_MAILBAG_WAITS] = "waits",
		[FS_MAILBAG_AWAY] = "away",
		[FS_MAILBAG_TRIES] = "tries",
		[FS_MAILBAG_KEPT] = "kept",
	};
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

	add_number(&row, "session", waiter->session);
	add_time(&row, "since-us-ago", now_us - waiter->since_us);
	add_text(&row, "how", hows[waiter->kind]);
	return g_variant_builder_end(&row);
}

static GVariant *
lock_row(const FsSurvey *survey, const Lock *lock, int64_t now_us)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	GVariantBuilder line = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));

	add_text(&row, "key", lock->key);
	lock_add_subject(&row, survey, lock->key);
	if (lock->session != 0) {
		add_number(&row, "session", lock->session);
		add_time(&row, "since-us-ago", now_us - lock->since_us);
		add_text(&row, "forms",
		         lock->forms != NULL ? lock->forms
		                             : "kept for the commit");
	}

	for (guint i = 0; i < lock->waiters->len; i++)
		g_variant_builder_add_value(
			&line,
			waiter_row(&g_array_index(lock->waiters, Waiter, i),
		                   now_us));
	g_variant_builder_add(&row, "{sv}", "waiters",
	                      g_variant_builder_end(&line));
	return g_variant_builder_end(&row);
}

GVariant *
fs_survey_locks(void *user_data, const char *argument, char **ret_error)
{
	const FsSurvey *survey = user_data;
	g_autoptr(GPtrArray) locks = g_ptr_array_new_with_free_func(lock_free);
	GVariantBuilder rows = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	int64_t now_us = g_get_monotonic_time();

	(void)argument;
	(void)ret_error;
	g_mutex_lock(survey->turn);
	locks_copy(survey, locks);
	g_mutex_unlock(survey->turn);

	for (guint i = 0; i < locks->len; i++)
		g_variant_builder_add_value(
			&rows, lock_row(survey, locks->pdata[i], now_us));
	return g_variant_builder_end(&rows);
}
