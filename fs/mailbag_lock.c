/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/mailbag_lock.h"

#include <errno.h>

/*
 * How the table works
 *
 * - A mailbag that somebody has or waits for has one holder and a line of
 *   waits. It is free exactly when nobody in the line is present.
 * - A party is a session that has or waits for something. All of its waits in
 *   one line are granted with the first, for the lock is re-entrant.
 * - A party waits for the holder, and for those present before its first place
 *   in the line: they will be the holder before it. It does not wait for those
 *   absent, whom it would pass. One who comes back is looked at anew.
 * - What a change ends is queued and answered on the way out of the table, when
 *   it is unlocked.
 */

typedef struct Party Party;

typedef struct Mailbag {
	char *key;        /* owned */
	Party *holder;    /* NULL: free */
	unsigned count;   /* how often the holder has it */
	int64_t since_us; /* the holder has it */
	GQueue line;      /* Wait, in order of arrival; owned by the table */
} Mailbag;

struct Party {
	uint64_t session;
	GPtrArray *held; /* Mailbag, each once */
	GQueue waits;    /* Wait, in any line */
	uint64_t mark;   /* the last search for a circle that was here */
};

typedef struct Wait {
	FsMailbagWait id;
	Mailbag *mailbag;
	Party *party;
	FsMailbagGrant *grant; /* NULL: it is absent */
	void *user_data;       /* borrowed */
	int64_t deadline_us;
	int64_t leave_us; /* present until then; absent until then */
} Wait;

typedef struct Answer {
	FsMailbagGrant *grant;
	void *user_data;
	int r;
} Answer;

struct FsMailbagLock {
	int64_t wait_us;      /* constant */
	GMutex mutex;         /* protects everything below */
	GHashTable *mailbags; /* key -> Mailbag, owned */
	GHashTable *parties;  /* session -> Party, owned */
	GHashTable *waits;    /* id -> Wait, owned */
	GQueue answers;       /* Answer, owned: to be given */
	FsMailbagWait last_wait;
	uint64_t mark; /* of the last search for a circle */
};

/* ---- the table's objects -------------------------------------------------*/

static void
party_free(void *data)
{
	Party *party = data;

	g_ptr_array_unref(party->held);
	g_free(party);
}

static void
mailbag_free(void *data)
{
	Mailbag *mailbag = data;

	g_free(mailbag->key);
	g_free(mailbag);
}

static Mailbag *
table_mailbag(FsMailbagLock *table, const char *key)
{
	Mailbag *mailbag = g_hash_table_lookup(table->mailbags, key);

	if (mailbag == NULL) {
		mailbag = g_new0(Mailbag, 1);
		mailbag->key = g_strdup(key);
		g_queue_init(&mailbag->line);
		g_hash_table_insert(table->mailbags, mailbag->key, mailbag);
	}
	return mailbag;
}

static Party *
table_party(FsMailbagLock *table, uint64_t session)
{
	Party *party = g_hash_table_lookup(table->parties, &session);

	if (party == NULL) {
		party = g_new0(Party, 1);
		party->session = session;
		party->held = g_ptr_array_new();
		g_queue_init(&party->waits);
		g_hash_table_insert(table->parties, &party->session, party);
	}
	return party;
}

static void
table_tidy_mailbag(FsMailbagLock *table, Mailbag *mailbag)
{
	if (mailbag->holder == NULL && mailbag->line.length == 0)
		g_hash_table_remove(table->mailbags, mailbag->key);
}

static void
table_tidy_party(FsMailbagLock *table, Party *party)
{
	if (party->held->len == 0 && party->waits.length == 0)
		g_hash_table_remove(table->parties, &party->session);
}

/* ---- waits ---------------------------------------------------------------*/

/* Queues the answer of @wait, if it is present; its place stays. */
static void
wait_answer(FsMailbagLock *table, Wait *wait, int r)
{
	Answer *answer;

	if (wait->grant == NULL)
		return;

	answer = g_new(Answer, 1);
	*answer = (Answer){
		.grant = wait->grant,
		.user_data = wait->user_data,
		.r = r,
	};
	wait->grant = NULL;
	g_queue_push_tail(&table->answers, answer);
}

/* Gives up the place of @wait; mailbag and party are left to be tidied. */
static void
wait_end(FsMailbagLock *table, Wait *wait, int r)
{
	wait_answer(table, wait, r);
	g_queue_remove(&wait->mailbag->line, wait);
	g_queue_remove(&wait->party->waits, wait);
	g_hash_table_remove(table->waits, &wait->id);
}

static void
wait_end_tidily(FsMailbagLock *table, Wait *wait, int r)
{
	Mailbag *mailbag = wait->mailbag;
	Party *party = wait->party;

	wait_end(table, wait, r);
	table_tidy_mailbag(table, mailbag);
	table_tidy_party(table, party);
}

static Wait *
wait_new(FsMailbagLock *table, Mailbag *mailbag, Party *party,
         int64_t deadline_us)
{
	Wait *wait = g_new(Wait, 1);

	*wait = (Wait){
		.id = ++table->last_wait,
		.mailbag = mailbag,
		.party = party,
		.deadline_us = deadline_us,
	};
	g_hash_table_insert(table->waits, &wait->id, wait);
	g_queue_push_tail(&mailbag->line, wait);
	g_queue_push_tail(&party->waits, wait);
	return wait;
}

/* The place that @party has left and comes back to, or NULL. */
static Wait *
mailbag_find_absent(const Mailbag *mailbag, const Party *party)
{
	for (GList *l = mailbag->line.head; l != NULL; l = l->next) {
		Wait *wait = l->data;

		if (wait->party == party && wait->grant == NULL)
			return wait;
	}
	return NULL;
}

/* ---- taking and letting go -----------------------------------------------*/

static void
mailbag_take(Mailbag *mailbag, Party *party, int64_t now_us)
{
	if (mailbag->holder == NULL) {
		g_ptr_array_add(party->held, mailbag);
		mailbag->since_us = now_us;
	}
	mailbag->holder = party;
	mailbag->count++;
}

/* Gives a free @mailbag to the first who is present, and with it to all of the
 * same session. */
static void
mailbag_grant(FsMailbagLock *table, Mailbag *mailbag, int64_t now_us)
{
	GList *next;

	for (GList *l = mailbag->line.head; l != NULL; l = next) {
		Wait *wait = l->data;

		next = l->next;
		if (wait->grant == NULL ||
		    (mailbag->holder != NULL && mailbag->holder != wait->party))
			continue;
		mailbag_take(mailbag, wait->party, now_us);
		wait_end(table, wait, 0);
	}
}

static void
mailbag_free_up(FsMailbagLock *table, Mailbag *mailbag, int64_t now_us)
{
	g_ptr_array_remove_fast(mailbag->holder->held, mailbag);
	mailbag->holder = NULL;
	mailbag->count = 0;
	mailbag_grant(table, mailbag, now_us);
	table_tidy_mailbag(table, mailbag);
}

/* ---- circles -------------------------------------------------------------*/

/* Adds to @agenda all those for whom @party waits. */
static void
party_follow(const Party *party, GPtrArray *agenda)
{
	for (GList *w = party->waits.head; w != NULL; w = w->next) {
		const Mailbag *mailbag = ((Wait *)w->data)->mailbag;

		if (mailbag->holder != NULL)
			g_ptr_array_add(agenda, mailbag->holder);

		for (GList *l = mailbag->line.head; l != NULL; l = l->next) {
			const Wait *before = l->data;

			if (before->party == party)
				break;
			if (before->grant != NULL)
				g_ptr_array_add(agenda, before->party);
		}
	}
}

static bool
table_is_circle(FsMailbagLock *table, const Wait *wait)
{
	g_autoptr(GPtrArray) agenda = g_ptr_array_new();
	const Party *goal = wait->party;

	/* Most wait for one thing and have nothing: nobody waits for them. */
	if (goal->held->len == 0 && goal->waits.length == 1)
		return false;

	table->mark++;
	party_follow(goal, agenda);
	while (agenda->len > 0) {
		Party *party =
			g_ptr_array_remove_index_fast(agenda, agenda->len - 1);

		if (party == goal)
			return true;
		if (party->mark == table->mark)
			continue;
		party->mark = table->mark;
		party_follow(party, agenda);
	}
	return false;
}

/* ---- the public side -----------------------------------------------------*/

/* The way out of every function that changes something. */
static void
table_unlock(FsMailbagLock *table)
{
	GQueue answers = table->answers;
	Answer *answer;

	g_queue_init(&table->answers);
	g_mutex_unlock(&table->mutex);

	while ((answer = g_queue_pop_head(&answers)) != NULL) {
		answer->grant(answer->user_data, answer->r);
		g_free(answer);
	}
}

FsMailbagLock *
fs_mailbag_lock_new(int64_t wait_us)
{
	FsMailbagLock *table = g_new0(FsMailbagLock, 1);

	table->wait_us = wait_us;
	g_mutex_init(&table->mutex);
	table->mailbags = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
	                                        mailbag_free);
	table->parties = g_hash_table_new_full(g_int64_hash, g_int64_equal,
	                                       NULL, party_free);
	table->waits = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
	                                     g_free);
	g_queue_init(&table->answers);
	return table;
}

void
fs_mailbag_lock_free(FsMailbagLock *table)
{
	GHashTableIter iter;
	gpointer wait;

	if (table == NULL)
		return;

	g_hash_table_iter_init(&iter, table->waits);
	while (g_hash_table_iter_next(&iter, NULL, &wait)) {
		g_assert(((Wait *)wait)->grant == NULL);
		g_queue_clear(&((Wait *)wait)->mailbag->line);
		g_queue_clear(&((Wait *)wait)->party->waits);
	}
	g_hash_table_unref(table->waits);
	g_hash_table_unref(table->mailbags);
	g_hash_table_unref(table->parties);
	g_mutex_clear(&table->mutex);
	g_free(table);
}

bool
fs_mailbag_lock_is_elsewhere(FsMailbagLock *table, uint64_t session,
                             const char *key, int64_t now_us)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	const Mailbag *mailbag = g_hash_table_lookup(table->mailbags, key);

	return mailbag != NULL && mailbag->holder != NULL &&
	       mailbag->holder->session != session;
}

bool
fs_mailbag_lock_is_held(FsMailbagLock *table, uint64_t session, const char *key)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	const Mailbag *mailbag = g_hash_table_lookup(table->mailbags, key);

	return mailbag != NULL && mailbag->holder != NULL &&
	       mailbag->holder->session == session;
}

/* Called with the table locked. Takes @mailbag if nobody else has it. */
static int
table_take(FsMailbagLock *table, Mailbag *mailbag, Party *party, int64_t now_us)
{
	Wait *absent;

	if (mailbag->holder != NULL && mailbag->holder != party)
		return -ETXTBSY;

	mailbag_take(mailbag, party, now_us);
	absent = mailbag_find_absent(mailbag, party);
	if (absent != NULL)
		wait_end(table, absent, 0);

	return 0;
}

int
fs_mailbag_lock_try(FsMailbagLock *table, uint64_t session, const char *key,
                    int64_t now_us)
{
	Mailbag *mailbag;
	Party *party;
	int r;

	g_mutex_lock(&table->mutex);
	mailbag = table_mailbag(table, key);
	party = table_party(table, session);
	r = table_take(table, mailbag, party, now_us);
	if (r < 0)
		table_tidy_party(table, party);
	table_unlock(table);
	return r;
}

/* Called with the table locked. Finds or takes a place in the line, and makes
 * its owner present there. */
static int
table_park(FsMailbagLock *table, Mailbag *mailbag, Party *party,
           const FsMailbagAsk *ask, FsMailbagGrant *grant, void *user_data,
           FsMailbagWait *ret_wait)
{
	Wait *wait = mailbag_find_absent(mailbag, party);

	if (wait == NULL) {
		if (table->wait_us == 0 ||
		    party->waits.length >= FS_MAILBAG_WAITS_MAX)
			return -ETXTBSY;
		wait = wait_new(table, mailbag, party,
		                ask->now_us + table->wait_us);
	}

	wait->grant = grant;
	wait->user_data = user_data;
	if (wait->deadline_us <= ask->now_us || table_is_circle(table, wait)) {
		wait->grant = NULL;
		wait_end(table, wait, 0);
		return -ETXTBSY;
	}

	wait->leave_us = ask->park_us == FS_MAILBAG_STAYS
	                         ? INT64_MAX
	                         : ask->now_us + ask->park_us;
	*ret_wait = wait->id;
	return 0;
}

int
fs_mailbag_lock_wait(FsMailbagLock *table, const FsMailbagAsk *ask,
                     FsMailbagGrant *grant, void *user_data,
                     FsMailbagWait *ret_wait)
{
	FsMailbagWait wait = 0;
	Mailbag *mailbag;
	Party *party;
	int r;

	g_mutex_lock(&table->mutex);
	mailbag = table_mailbag(table, ask->key);
	party = table_party(table, ask->session);
	r = table_take(table, mailbag, party, ask->now_us);
	if (r < 0)
		r = table_park(table, mailbag, party, ask, grant, user_data,
		               &wait);
	if (r < 0)
		table_tidy_party(table, party);
	if (r == 0)
		*ret_wait = wait;
	table_unlock(table);

	if (r == 0 && wait == 0)
		grant(user_data, 0);
	return r;
}

void
fs_mailbag_lock_cancel(FsMailbagLock *table, FsMailbagWait id)
{
	Wait *wait;

	g_mutex_lock(&table->mutex);
	wait = g_hash_table_lookup(table->waits, &id);
	if (wait != NULL && wait->grant != NULL)
		wait_end_tidily(table, wait, -EINTR);
	table_unlock(table);
}

void
fs_mailbag_lock_drop(FsMailbagLock *table, uint64_t session, const char *key,
                     int64_t now_us)
{
	Mailbag *mailbag;
	Party *party;

	g_mutex_lock(&table->mutex);
	mailbag = g_hash_table_lookup(table->mailbags, key);
	party = mailbag != NULL ? mailbag->holder : NULL;
	if (party != NULL && party->session == session &&
	    --mailbag->count == 0) {
		mailbag_free_up(table, mailbag, now_us);
		table_tidy_party(table, party);
	}
	table_unlock(table);
}

void
fs_mailbag_lock_end(FsMailbagLock *table, uint64_t session, int64_t now_us)
{
	Party *party;
	Wait *wait;

	g_mutex_lock(&table->mutex);
	party = g_hash_table_lookup(table->parties, &session);
	if (party != NULL) {
		while ((wait = g_queue_peek_head(&party->waits)) != NULL) {
			Mailbag *mailbag = wait->mailbag;

			wait_end(table, wait, -EINTR);
			table_tidy_mailbag(table, mailbag);
		}
		while (party->held->len > 0)
			mailbag_free_up(table, party->held->pdata[0], now_us);
		table_tidy_party(table, party);
	}
	table_unlock(table);
}

static int64_t
wait_due_us(const Wait *wait)
{
	return wait->grant != NULL ? MIN(wait->deadline_us, wait->leave_us)
	                           : wait->leave_us;
}

/* Called with the table locked. */
static void
wait_expire(FsMailbagLock *table, Wait *wait, int64_t now_us)
{
	if (wait_due_us(wait) > now_us)
		return;

	if (wait->grant == NULL || wait->deadline_us <= now_us) {
		wait_end_tidily(table, wait, -ETXTBSY);
		return;
	}

	wait_answer(table, wait, -EAGAIN);
	wait->leave_us = now_us + FS_MAILBAG_ABSENT_US;
}

void
fs_mailbag_lock_expire(FsMailbagLock *table, int64_t now_us)
{
	g_autoptr(GList) waits = NULL;

	g_mutex_lock(&table->mutex);
	waits = g_hash_table_get_values(table->waits);
	for (GList *l = waits; l != NULL; l = l->next)
		wait_expire(table, l->data, now_us);
	table_unlock(table);
}

int64_t
fs_mailbag_lock_due_us(FsMailbagLock *table)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED =
		g_mutex_locker_new(&table->mutex);
	int64_t due_us = INT64_MAX;
	GHashTableIter iter;
	gpointer wait;

	g_hash_table_iter_init(&iter, table->waits);
	while (g_hash_table_iter_next(&iter, NULL, &wait))
		due_us = MIN(due_us, wait_due_us(wait));
	return due_us;
}

void
fs_mailbag_lock_stop(FsMailbagLock *table, int r)
{
	g_autoptr(GList) waits = NULL;

	g_mutex_lock(&table->mutex);
	waits = g_hash_table_get_values(table->waits);
	for (GList *l = waits; l != NULL; l = l->next)
		wait_end_tidily(table, l->data, r);
	table_unlock(table);
}
