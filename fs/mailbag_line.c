/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/mailbag_line.h"

/* ---- the set -------------------------------------------------------------*/

static void
mailbag_free(void *data)
{
	FsMailbag *mailbag = data;

	g_queue_clear(&mailbag->line);
	g_free(mailbag->key);
	g_free(mailbag);
}

static void
party_free(void *data)
{
	FsParty *party = data;

	g_queue_clear(&party->places);
	g_ptr_array_unref(party->held);
	g_free(party);
}

static void
place_free(void *data)
{
	FsPlace *place = data;

	g_assert(place->grant == NULL);
	g_free(place);
}

void
fs_mailbags_init(FsMailbags *all, FsMetrics *metrics)
{
	*all = (FsMailbags){
		.by_key = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
		                                mailbag_free),
		.places = g_hash_table_new_full(g_int64_hash, g_int64_equal,
		                                NULL, place_free),
		.parties = g_hash_table_new_full(g_int64_hash, g_int64_equal,
		                                 NULL, party_free),
		.metrics = metrics,
	};
	g_queue_init(&all->answers);
	g_queue_init(&all->refusals);
}

void
fs_mailbags_clear(FsMailbags *all)
{
	g_hash_table_unref(all->places);
	g_hash_table_unref(all->parties);
	g_hash_table_unref(all->by_key);
}

FsMailbag *
fs_mailbags_find(const FsMailbags *all, const char *key)
{
	return g_hash_table_lookup(all->by_key, key);
}

FsParty *
fs_mailbags_find_party(const FsMailbags *all, uint64_t session)
{
	return g_hash_table_lookup(all->parties, &session);
}

FsMailbag *
fs_mailbags_get(FsMailbags *all, const char *key)
{
	FsMailbag *mailbag = fs_mailbags_find(all, key);

	if (mailbag == NULL) {
		mailbag = g_new0(FsMailbag, 1);
		mailbag->key = g_strdup(key);
		g_queue_init(&mailbag->line);
		g_hash_table_insert(all->by_key, mailbag->key, mailbag);
	}
	return mailbag;
}

FsParty *
fs_mailbags_get_party(FsMailbags *all, uint64_t session)
{
	FsParty *party = fs_mailbags_find_party(all, session);

	if (party == NULL) {
		party = g_new0(FsParty, 1);
		party->session = session;
		party->held = g_ptr_array_new();
		g_queue_init(&party->places);
		g_hash_table_insert(all->parties, &party->session, party);
	}
	return party;
}

static bool
mailbag_is_idle(const FsMailbag *mailbag)
{
	return mailbag->holder == NULL && mailbag->line.length == 0;
}

void
fs_mailbags_tidy(FsMailbags *all, FsMailbag *mailbag)
{
	if (mailbag_is_idle(mailbag))
		g_hash_table_remove(all->by_key, mailbag->key);
}

void
fs_mailbags_tidy_party(FsMailbags *all, uint64_t session)
{
	const FsParty *party = fs_mailbags_find_party(all, session);

	if (party != NULL && party->held->len == 0 && party->places.length == 0)
		g_hash_table_remove(all->parties, &session);
}

void
fs_mailbags_serve(FsMailbags *all, int64_t now_us)
{
	GHashTableIter iter;
	gpointer mailbag;

	g_hash_table_iter_init(&iter, all->by_key);
	while (g_hash_table_iter_next(&iter, NULL, &mailbag)) {
		fs_mailbag_serve(all, mailbag, now_us);
		if (mailbag_is_idle(mailbag))
			g_hash_table_iter_remove(&iter);
	}
}

/* ---- places --------------------------------------------------------------*/

FsPlace *
fs_place_new(FsMailbags *all, FsMailbag *mailbag, FsParty *party,
             FsPlaceKind kind, int64_t now_us)
{
	FsPlace *place = g_new(FsPlace, 1);

	*place = (FsPlace){
		.id = ++all->last_place,
		.mailbag = mailbag,
		.party = party,
		.kind = kind,
		.since_us = now_us,
		.deadline_us = INT64_MAX,
	};
	g_hash_table_insert(all->places, &place->id, place);
	g_queue_push_tail(&mailbag->line, place);
	g_queue_push_tail(&party->places, place);
	return place;
}

void
fs_place_answer(FsMailbags *all, FsPlace *place, int r)
{
	FsMailbagAnswer *answer;

	if (place->grant == NULL)
		return;

	answer = g_new(FsMailbagAnswer, 1);
	*answer = (FsMailbagAnswer){
		.grant = place->grant,
		.user_data = place->user_data,
		.r = r,
	};
	place->grant = NULL;
	g_queue_push_tail(&all->answers, answer);
}

void
fs_place_end(FsMailbags *all, FsPlace *place, int r)
{
	fs_place_answer(all, place, r);
	g_queue_remove(&place->mailbag->line, place);
	g_queue_remove(&place->party->places, place);
	g_hash_table_remove(all->places, &place->id);
}

void
fs_place_serve(FsMailbags *all, FsPlace *place, int64_t now_us)
{
	fs_metrics_wait(all->metrics, place->mailbag->key,
	                now_us - place->since_us);
	fs_place_end(all, place, 0);
}

FsPlace *
fs_mailbag_find_place(const FsMailbag *mailbag, const FsParty *party,
                      FsPlaceKind kind)
{
	for (GList *l = mailbag->line.head; l != NULL; l = l->next) {
		FsPlace *place = l->data;

		if (place->party == party && place->kind == kind &&
		    place->grant == NULL)
			return place;
	}
	return NULL;
}

/* ---- taking and letting go -----------------------------------------------*/

static bool
place_is_passed(const FsPlace *place, int64_t now_us)
{
	return place->grant == NULL && place->kept_us <= now_us;
}

bool
fs_mailbag_is_held(const FsMailbag *mailbag, uint64_t session)
{
	return mailbag->holder != NULL && !mailbag->is_detached &&
	       mailbag->holder->session == session;
}

bool
fs_mailbag_can_take(const FsMailbag *mailbag, uint64_t session, int64_t now_us)
{
	if (mailbag->holder != NULL)
		return fs_mailbag_is_held(mailbag, session);

	for (GList *l = mailbag->line.head; l != NULL; l = l->next) {
		const FsPlace *before = l->data;

		if (before->party->session == session)
			return true;
		if (!place_is_passed(before, now_us))
			return false;
	}
	return true;
}

/* For how long @party has stood in the line. */
static int64_t
line_waited_us(const FsMailbag *mailbag, const FsParty *party, int64_t now_us)
{
	for (GList *l = mailbag->line.head; l != NULL; l = l->next) {
		const FsPlace *place = l->data;

		if (place->party == party)
			return now_us - place->since_us;
	}
	return 0;
}

void
fs_mailbag_take(FsMailbags *all, FsMailbag *mailbag, FsParty *party,
                int64_t now_us)
{
	FsPlace *tries = fs_mailbag_find_place(mailbag, party, FS_PLACE_TRIES);

	if (mailbag->holder == NULL) {
		g_ptr_array_add(party->held, mailbag);
		mailbag->holder = party;
		mailbag->since_us = now_us;
		mailbag->waited_us = line_waited_us(mailbag, party, now_us);
	}
	mailbag->count++;
	if (tries != NULL)
		fs_place_serve(all, tries, now_us);
}

void
fs_mailbag_free_up(FsMailbag *mailbag)
{
	g_ptr_array_remove_fast(mailbag->holder->held, mailbag);
	mailbag->holder = NULL;
	mailbag->is_detached = false;
	mailbag->count = 0;
}

/* Whose turn it is; NULL if all in the line may be passed. */
static FsParty *
mailbag_next(const FsMailbag *mailbag, int64_t now_us)
{
	for (GList *l = mailbag->line.head; l != NULL; l = l->next) {
		const FsPlace *place = l->data;

		if (!place_is_passed(place, now_us))
			return place->party;
	}
	return NULL;
}

static FsPlace *
mailbag_find_present(const FsMailbag *mailbag, const FsParty *party)
{
	for (GList *l = mailbag->line.head; l != NULL; l = l->next) {
		FsPlace *place = l->data;

		if (place->party == party && place->grant != NULL)
			return place;
	}
	return NULL;
}

void
fs_mailbag_serve(FsMailbags *all, FsMailbag *mailbag, int64_t now_us)
{
	FsParty *next = NULL;
	FsPlace *place;

	if (mailbag->holder == NULL)
		next = mailbag_next(mailbag, now_us);
	if (next == NULL)
		return;

	while ((place = mailbag_find_present(mailbag, next)) != NULL) {
		fs_mailbag_take(all, mailbag, next, now_us);
		fs_place_serve(all, place, now_us);
	}
}

/* ---- refusals ------------------------------------------------------------*/

void
fs_place_refuse(FsMailbags *all, const FsPlace *place, bool is_circle,
                int64_t now_us)
{
	const FsMailbag *mailbag = place->mailbag;
	FsMailbagRefusal *refusal = g_new(FsMailbagRefusal, 1);

	*refusal = (FsMailbagRefusal){
		.key = g_strdup(mailbag->key),
		.session = place->party->session,
		.waited_us = now_us - place->since_us,
		.is_circle = is_circle,
	};
	if (mailbag->holder != NULL) {
		refusal->holder = mailbag->holder->session;
		refusal->held_us = now_us - mailbag->since_us;
	}
	g_queue_push_tail(&all->refusals, refusal);
	fs_metrics_count(all->metrics,
	                 is_circle ? FS_COUNT_DEADLOCK : FS_COUNT_TIMEOUT);
}

/* ---- circles -------------------------------------------------------------*/

/* Adds to @agenda all those for whom @party waits. */
static void
party_follow(const FsParty *party, GPtrArray *agenda)
{
	for (GList *p = party->places.head; p != NULL; p = p->next) {
		const FsPlace *place = p->data;
		const FsMailbag *mailbag = place->mailbag;

		if (place->kind == FS_PLACE_TRIES)
			continue;
		if (mailbag->holder != NULL && !mailbag->is_detached)
			g_ptr_array_add(agenda, mailbag->holder);

		for (GList *l = mailbag->line.head; l != NULL; l = l->next) {
			const FsPlace *before = l->data;

			if (before == place)
				break;
			if (before->grant == NULL)
				continue;
			if (before->party == party)
				break;
			g_ptr_array_add(agenda, before->party);
		}
	}
}

bool
fs_place_is_circle(FsMailbags *all, const FsPlace *place)
{
	g_autoptr(GPtrArray) agenda = g_ptr_array_new();
	const FsParty *goal = place->party;

	/* Most wait for one thing and have nothing: nobody waits for them. */
	if (goal->held->len == 0 && goal->places.length == 1)
		return false;

	all->mark++;
	party_follow(goal, agenda);
	while (agenda->len > 0) {
		FsParty *party =
			g_ptr_array_remove_index_fast(agenda, agenda->len - 1);

		if (party == goal)
			return true;
		if (party->mark == all->mark)
			continue;
		party->mark = all->mark;
		party_follow(party, agenda);
	}
	return false;
}
