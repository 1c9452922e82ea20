/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "fs/mailbag_lock.h"

/**
 * Mailbags, the sessions that have them, and their places in the lines for
 * them: what mailbag_lock.c keeps behind its mutex, and nobody else sees.
 *
 * - A mailbag that somebody has or waits for has one holder and a line of
 *   places. When it is free, the turn is of the first place that is present,
 *   or kept: one who is present takes it then, and for one who tries again it
 *   is kept a moment.
 * - A party is a session that has a mailbag or a place. All of its places in
 *   one line are served with the first, for the lock is re-entrant.
 * - What a change ends is queued, to be answered when the mutex is free.
 *
 * Threads: one at a time.
 */
typedef struct FsMailbags FsMailbags;

typedef struct FsParty FsParty;

typedef struct FsMailbag {
	char *key;         /* owned */
	FsParty *holder;   /* NULL: free */
	bool is_detached;  /* its holder's session is as any other to it */
	unsigned count;    /* how often the holder has it */
	int64_t since_us;  /* the holder has it */
	int64_t waited_us; /* the holder had waited for it */
	GQueue line;       /* FsPlace, in order of arrival; owned by the set */
} FsMailbag;

struct FsParty {
	uint64_t session;
	GPtrArray *held; /* FsMailbag, each once */
	GQueue places;   /* FsPlace, in any line */
	uint64_t mark;   /* the last search for a circle that was here */
};

typedef enum FsPlaceKind {
	FS_PLACE_WAITS, /* parked now, or told EAGAIN and coming back */
	FS_PLACE_TRIES, /* never parked: each attempt is answered at once */
} FsPlaceKind;

typedef struct FsPlace {
	FsMailbagWait id;
	FsMailbag *mailbag;
	FsParty *party;
	FsPlaceKind kind;
	FsMailbagGrant *grant; /* NULL: it is absent */
	void *user_data;       /* borrowed */
	int64_t since_us;
	int64_t deadline_us;
	int64_t leave_us; /* present until then; absent until then */
	int64_t kept_us;  /* not passed until then; 0: it is, while absent */
} FsPlace;

typedef struct FsMailbagAnswer {
	FsMailbagGrant *grant;
	void *user_data;
	int r;
} FsMailbagAnswer;

struct FsMailbags {
	GHashTable *by_key; /* key -> FsMailbag, owned */
	GHashTable *places; /* id -> FsPlace, owned */
	GQueue answers;     /* FsMailbagAnswer, owned: to be given */
	GQueue refusals; /* FsMailbagRefusal with its key, owned: to be told */
	FsMetrics *metrics; /* borrowed; or NULL */

	/* Of mailbag_line.c. */
	GHashTable *parties; /* session -> FsParty, owned */
	FsMailbagWait last_place;
	uint64_t mark; /* of the last search for a circle */
};

void fs_mailbags_init(FsMailbags *all, FsMetrics *metrics);

/** Nobody may be present in any line. */
void fs_mailbags_clear(FsMailbags *all);

/** Finds @key's mailbag; NULL if nobody has it or wants it. */
FsMailbag *fs_mailbags_find(const FsMailbags *all, const char *key);

/** Finds @session's party; NULL if it has nothing and wants nothing. */
FsParty *fs_mailbags_find_party(const FsMailbags *all, uint64_t session);

/** As the two above, but they make what is missing; see fs_mailbags_tidy(). */
FsMailbag *fs_mailbags_get(FsMailbags *all, const char *key);
FsParty *fs_mailbags_get_party(FsMailbags *all, uint64_t session);

/** Forgets @mailbag or @session's party, if nothing is left of it. */
void fs_mailbags_tidy(FsMailbags *all, FsMailbag *mailbag);
void fs_mailbags_tidy_party(FsMailbags *all, uint64_t session);

/** Serves every line whose mailbag is free, and forgets what is left empty. */
void fs_mailbags_serve(FsMailbags *all, int64_t now_us);

/** Whether @mailbag is @session's. */
bool fs_mailbag_is_held(const FsMailbag *mailbag, uint64_t session);

/** Whether @session, which has @mailbag or not, may take it at @now_us. */
bool fs_mailbag_can_take(const FsMailbag *mailbag, uint64_t session,
                         int64_t now_us);

/** Gives @mailbag, which it can take, to @party once more. */
void fs_mailbag_take(FsMailbags *all, FsMailbag *mailbag, FsParty *party,
                     int64_t now_us);

/** Takes @mailbag from its holder, however often it has it. */
void fs_mailbag_free_up(FsMailbag *mailbag);

/** Gives a free @mailbag to who is next in its line and present. */
void fs_mailbag_serve(FsMailbags *all, FsMailbag *mailbag, int64_t now_us);

/** The absent place of @kind that @party has in the line, or NULL. */
FsPlace *fs_mailbag_find_place(const FsMailbag *mailbag, const FsParty *party,
                               FsPlaceKind kind);

/** Gives @party the last place in the line, for now absent. */
FsPlace *fs_place_new(FsMailbags *all, FsMailbag *mailbag, FsParty *party,
                      FsPlaceKind kind, int64_t now_us);

/** Answers @place, if it is present; it is kept, and absent then. */
void fs_place_answer(FsMailbags *all, FsPlace *place, int r);

/** Answers @place and gives it up; mailbag and party are left to be tidied. */
void fs_place_end(FsMailbags *all, FsPlace *place, int r);

/** The same for one whose party has just taken the mailbag. */
void fs_place_serve(FsMailbags *all, FsPlace *place, int64_t now_us);

/** Counts @place's wait as one that came to nothing, and has that told. */
void fs_place_refuse(FsMailbags *all, const FsPlace *place, bool is_circle,
                     int64_t now_us);

/**
 * Whether the owner of @place, waiting there, waits for itself: for the holder,
 * and for those present before it in the line, who will be the holder before
 * it. It does not wait for those absent, whom it would pass, or
 * who keep it out for a moment only, as one who has it detached does; and who
 * tries waits for nobody.
 */
bool fs_place_is_circle(FsMailbags *all, const FsPlace *place);
