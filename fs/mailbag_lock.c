/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/mailbag_lock.h"

#include <errno.h>
#include <string.h>

#include "fs/mailbag_line.h"

struct FsMailbagLock {
	int64_t wait_us; /* constant, like these two */
	FsMailbagRefused *refused;
	void *refused_data;
	GMutex mutex; /* protects everything below */
	FsMailbags all;
};

/* The way out of every function that changes something. */
static void
table_unlock(FsMailbagLock *table)
{
	GQueue answers = table->all.answers;
	GQueue refusals = table->all.refusals;
	FsMailbagRefusal *refusal;
	FsMailbagAnswer *answer;

	g_queue_init(&table->all.answers);
	g_queue_init(&table->all.refusals);
	g_mutex_unlock(&table->mutex);

	while ((refusal = g_queue_pop_head(&refusals)) != NULL) {
		if (table->refused != NULL)
			table->refused(table->refused_data, refusal);
		g_free((char *)(uintptr_t)refusal->key);
		g_free(refusal);
	}

	while ((answer = g_queue_pop_head(&answers)) != NULL) {
		answer->grant(answer->user_data, answer->r);
		g_free(answer);
	}
}

FsMailbagLock *
fs_mailbag_lock_new(int64_t wait_us, FsMetrics *metrics)
{
	FsMailbagLock *table = g_new0(FsMailbagLock, 1);

	table->wait_us = wait_us;
	g_mutex_init(&table->mutex);
	fs_mailbags_init(&table->all, metrics);
	return table;
}

void
fs_mailbag_lock_free(FsMailbagLock *table)
{
	if (table == NULL)
		return;

	fs_mailbags_clear(&table->all);
	g_mutex_clear(&table->mutex);
	g_free(table);
}

void
fs_mailbag_lock_watch(FsMailbagLock *table, FsMailbagRefused *refused,
                      void *user_data)
{
	table->refused = refused;
	table->refused_data = user_data;
}

/* ---- looking -------------------------------------------------------------*/

bool
fs_mailbag_lock_is_elsewhere(FsMailbagLock *table, uint64_t session,
                             const char *key, int64_t now_us)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	const FsMailbag *mailbag = fs_mailbags_find(&table->all, key);

	return mailbag != NULL &&
	       !fs_mailbag_can_take(mailbag, session, now_us);
}

bool
fs_mailbag_lock_holder(FsMailbagLock *table, const char *key,
                       uint64_t *ret_session)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	const FsMailbag *mailbag = fs_mailbags_find(&table->all, key);

	if (mailbag == NULL || mailbag->holder == NULL)
		return false;

	*ret_session = mailbag->holder->session;
	return true;
}

bool
fs_mailbag_lock_is_held(FsMailbagLock *table, uint64_t session, const char *key)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	const FsMailbag *mailbag = fs_mailbags_find(&table->all, key);

	return mailbag != NULL && fs_mailbag_is_held(mailbag, session);
}

bool
fs_mailbag_lock_times(FsMailbagLock *table, uint64_t session, const char *key,
                      FsMailbagTimes *ret_times)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	const FsMailbag *mailbag = fs_mailbags_find(&table->all, key);

	if (mailbag == NULL || !fs_mailbag_is_held(mailbag, session))
		return false;

	*ret_times = (FsMailbagTimes){ mailbag->since_us, mailbag->waited_us };
	return true;
}

bool
fs_mailbag_lock_is_waiting(FsMailbagLock *table, uint64_t session)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	const FsParty *party = fs_mailbags_find_party(&table->all, session);

	return party != NULL && party->places.length > 0;
}

bool
fs_mailbag_lock_is_wanted(FsMailbagLock *table, const char *key)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	const FsMailbag *mailbag = fs_mailbags_find(&table->all, key);

	if (mailbag == NULL)
		return false;

	for (GList *l = mailbag->line.head; l != NULL; l = l->next)
		if (mailbag->is_detached ||
		    ((const FsPlace *)l->data)->party != mailbag->holder)
			return true;
	return false;
}

/* ---- listing -------------------------------------------------------------*/

static FsMailbagRowKind
place_row_kind(const FsPlace *place, bool is_next)
{
	if (place->kind == FS_PLACE_TRIES)
		return is_next ? FS_MAILBAG_KEPT : FS_MAILBAG_TRIES;

	return place->grant != NULL ? FS_MAILBAG_WAITS : FS_MAILBAG_AWAY;
}

static void
mailbag_list(const FsMailbag *mailbag, FsMailbagVisit *visit, void *user_data)
{
	bool is_free = mailbag->holder == NULL;
	FsMailbagRow row = {
		.key = mailbag->key,
		.kind = FS_MAILBAG_HAS,
		.count = mailbag->count,
		.since_us = mailbag->since_us,
	};

	if (!is_free) {
		row.session = mailbag->holder->session;
		visit(user_data, &row);
	}

	row.count = 0;
	for (GList *l = mailbag->line.head; l != NULL; l = l->next) {
		const FsPlace *place = l->data;
		bool is_next = is_free && place->kept_us != 0;

		row.kind = place_row_kind(place, is_next);
		row.session = place->party->session;
		row.since_us = place->since_us;
		visit(user_data, &row);
		is_free = is_free && !is_next;
	}
}

static gint
key_compare(gconstpointer a, gconstpointer b)
{
	return strcmp(a, b);
}

void
fs_mailbag_lock_list(FsMailbagLock *table, FsMailbagVisit *visit,
                     void *user_data)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	g_autoptr(GList) keys = g_hash_table_get_keys(table->all.by_key);

	keys = g_list_sort(keys, key_compare);
	for (GList *l = keys; l != NULL; l = l->next)
		mailbag_list(fs_mailbags_find(&table->all, l->data), visit,
		             user_data);
}

/* ---- taking --------------------------------------------------------------*/

/* Called with the table locked. Takes @mailbag if nobody is in the way. */
static int
table_take(FsMailbagLock *table, FsMailbag *mailbag, FsParty *party,
           int64_t now_us)
{
	FsPlace *absent;

	if (!fs_mailbag_can_take(mailbag, party->session, now_us))
		return -ETXTBSY;

	fs_mailbag_take(&table->all, mailbag, party, now_us);
	absent = fs_mailbag_find_place(mailbag, party, FS_PLACE_WAITS);
	if (absent != NULL)
		fs_place_serve(&table->all, absent, now_us);

	return 0;
}

int
fs_mailbag_lock_try(FsMailbagLock *table, uint64_t session, const char *key,
                    int64_t now_us)
{
	FsMailbag *mailbag;
	int r;

	g_mutex_lock(&table->mutex);
	mailbag = fs_mailbags_get(&table->all, key);
	r = table_take(table, mailbag,
	               fs_mailbags_get_party(&table->all, session), now_us);
	fs_mailbags_tidy_party(&table->all, session);
	table_unlock(table);
	return r;
}

/* Called with the table locked. A new place for @party, if it may have one
 * more, or NULL. */
static FsPlace *
table_place(FsMailbagLock *table, FsMailbag *mailbag, FsParty *party,
            FsPlaceKind kind, int64_t now_us)
{
	if (table->wait_us == 0 || party->places.length >= FS_MAILBAG_WAITS_MAX)
		return NULL;

	return fs_place_new(&table->all, mailbag, party, kind, now_us);
}

int
fs_mailbag_lock_attempt(FsMailbagLock *table, uint64_t session, const char *key,
                        int64_t now_us)
{
	FsMailbag *mailbag;
	FsPlace *place;
	FsParty *party;
	int r;

	g_mutex_lock(&table->mutex);
	mailbag = fs_mailbags_get(&table->all, key);
	party = fs_mailbags_get_party(&table->all, session);
	r = table_take(table, mailbag, party, now_us);
	if (r < 0) {
		place = fs_mailbag_find_place(mailbag, party, FS_PLACE_TRIES);
		if (place == NULL)
			place = table_place(table, mailbag, party,
			                    FS_PLACE_TRIES, now_us);
		if (place != NULL) {
			place->kept_us = now_us + FS_MAILBAG_KEPT_US;
			place->leave_us = now_us + FS_MAILBAG_ABSENT_US;
		}
	}
	fs_mailbags_tidy_party(&table->all, session);
	table_unlock(table);
	return r;
}

/* ---- waiting -------------------------------------------------------------*/

/* Called with the table locked. Finds or takes a place in the line, and makes
 * its owner present there. */
static int
table_park(FsMailbagLock *table, FsMailbag *mailbag, FsParty *party,
           const FsMailbagAsk *ask, FsMailbagGrant *grant, void *user_data,
           FsMailbagWait *ret_wait)
{
	FsPlace *place = fs_mailbag_find_place(mailbag, party, FS_PLACE_WAITS);
	bool is_late;

	if (place == NULL) {
		place = table_place(table, mailbag, party, FS_PLACE_WAITS,
		                    ask->now_us);
		if (place == NULL)
			return -ETXTBSY;
		place->deadline_us = ask->now_us + table->wait_us;
	}

	place->grant = grant;
	place->user_data = user_data;
	is_late = place->deadline_us <= ask->now_us;
	if (is_late || fs_place_is_circle(&table->all, place)) {
		fs_place_refuse(&table->all, place, !is_late, ask->now_us);
		place->grant = NULL;
		fs_place_end(&table->all, place, 0);
		return -ETXTBSY;
	}

	place->leave_us = ask->park_us == FS_MAILBAG_STAYS
	                          ? INT64_MAX
	                          : ask->now_us + ask->park_us;
	*ret_wait = place->id;
	return 0;
}

int
fs_mailbag_lock_wait(FsMailbagLock *table, const FsMailbagAsk *ask,
                     FsMailbagGrant *grant, void *user_data,
                     FsMailbagWait *ret_wait)
{
	FsMailbagWait wait = 0;
	FsMailbag *mailbag;
	FsParty *party;
	int r;

	g_mutex_lock(&table->mutex);
	mailbag = fs_mailbags_get(&table->all, ask->key);
	party = fs_mailbags_get_party(&table->all, ask->session);
	r = table_take(table, mailbag, party, ask->now_us);
	if (r < 0)
		r = table_park(table, mailbag, party, ask, grant, user_data,
		               &wait);
	fs_mailbags_tidy_party(&table->all, ask->session);
	if (r == 0)
		*ret_wait = wait;
	table_unlock(table);

	if (r == 0 && wait == 0)
		grant(user_data, 0);
	return r;
}

/* Called with the table locked. */
static void
table_end(FsMailbagLock *table, FsPlace *place, int r)
{
	FsMailbag *mailbag = place->mailbag;
	uint64_t session = place->party->session;

	fs_place_end(&table->all, place, r);
	fs_mailbags_tidy(&table->all, mailbag);
	fs_mailbags_tidy_party(&table->all, session);
}

void
fs_mailbag_lock_cancel(FsMailbagLock *table, FsMailbagWait wait)
{
	FsPlace *place;

	g_mutex_lock(&table->mutex);
	place = g_hash_table_lookup(table->all.places, &wait);
	if (place != NULL && place->grant != NULL)
		table_end(table, place, -EINTR);
	table_unlock(table);
}

/* ---- letting go ----------------------------------------------------------*/

void
fs_mailbag_lock_drop(FsMailbagLock *table, uint64_t session, const char *key,
                     int64_t now_us)
{
	FsMailbag *mailbag;

	g_mutex_lock(&table->mutex);
	mailbag = fs_mailbags_find(&table->all, key);
	if (mailbag != NULL && mailbag->holder != NULL &&
	    mailbag->holder->session == session && --mailbag->count == 0) {
		fs_metrics_hold(table->all.metrics, key,
		                now_us - mailbag->since_us);
		fs_mailbag_free_up(mailbag);
		fs_mailbag_serve(&table->all, mailbag, now_us);
		fs_mailbags_tidy(&table->all, mailbag);
		fs_mailbags_tidy_party(&table->all, session);
	}
	table_unlock(table);
}

void
fs_mailbag_lock_detach(FsMailbagLock *table, uint64_t session, const char *key)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	FsMailbag *mailbag = fs_mailbags_find(&table->all, key);

	g_assert(mailbag != NULL && fs_mailbag_is_held(mailbag, session));
	mailbag->is_detached = true;
}

void
fs_mailbag_lock_leave(FsMailbagLock *table, uint64_t session, int64_t now_us)
{
	FsParty *party;
	FsPlace *place;

	g_mutex_lock(&table->mutex);
	party = fs_mailbags_find_party(&table->all, session);
	if (party != NULL) {
		while ((place = g_queue_peek_head(&party->places)) != NULL)
			fs_place_end(&table->all, place, -ETXTBSY);
		fs_mailbags_tidy_party(&table->all, session);
		fs_mailbags_serve(&table->all, now_us);
	}
	table_unlock(table);
}

/* ---- time ----------------------------------------------------------------*/

static int64_t
place_due_us(const FsPlace *place)
{
	if (place->grant != NULL)
		return MIN(place->deadline_us, place->leave_us);

	return place->kept_us != 0 ? place->kept_us : place->leave_us;
}

/* Called with the table locked. */
static void
place_expire(FsMailbagLock *table, FsPlace *place, int64_t now_us)
{
	if (place->kept_us <= now_us)
		place->kept_us = 0;
	if (place_due_us(place) > now_us)
		return;

	if (place->grant == NULL || place->deadline_us <= now_us) {
		if (place->grant != NULL)
			fs_place_refuse(&table->all, place, false, now_us);
		table_end(table, place, -ETXTBSY);
		return;
	}

	fs_place_answer(&table->all, place, -EAGAIN);
	place->leave_us = now_us + FS_MAILBAG_ABSENT_US;
}

void
fs_mailbag_lock_expire(FsMailbagLock *table, int64_t now_us)
{
	g_autoptr(GList) places = NULL;

	g_mutex_lock(&table->mutex);
	places = g_hash_table_get_values(table->all.places);
	for (GList *l = places; l != NULL; l = l->next)
		place_expire(table, l->data, now_us);
	fs_mailbags_serve(&table->all, now_us);
	table_unlock(table);
}

int64_t
fs_mailbag_lock_due_us(FsMailbagLock *table)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	int64_t due_us = INT64_MAX;
	GHashTableIter iter;
	gpointer place;

	g_hash_table_iter_init(&iter, table->all.places);
	while (g_hash_table_iter_next(&iter, NULL, &place))
		due_us = MIN(due_us, place_due_us(place));
	return due_us;
}

void
fs_mailbag_lock_stop(FsMailbagLock *table, int r)
{
	g_autoptr(GList) places = NULL;

	g_mutex_lock(&table->mutex);
	places = g_hash_table_get_values(table->all.places);
	for (GList *l = places; l != NULL; l = l->next)
		table_end(table, l->data, r);
	table_unlock(table);
}
