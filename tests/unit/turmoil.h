/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "tests/unit/txn_kit.h"
#include "tests/unit/world.h"

/**
 * Several transactions at once on a disk that fails (test_turmoil.c): what each
 * may do, and what must come of it.
 */
#define TURMOIL_CLIENTS 3

/** What became of a transaction. */
typedef struct TurmoilFate {
	char who[16];
	GArray *sets;  /* WorldSet: one of them is what its entry has */
	bool may_have; /* an entry, or a draft that a crash makes one */
	bool is_done;  /* then it has none; */
	bool is_seen;  /* it will be, when what everybody sees is on disk */
	bool is_kept;  /* its entry is on disk, and stays there */
} TurmoilFate;

typedef struct TurmoilClient {
	StoreTxn *txn;     /* NULL: none */
	TurmoilFate *fate; /* borrowed */
	WorldSet staged;
	bool holds[WORLD_FILES]; /* files that nobody else may change */
	bool is_lost;            /* a call has failed: it must not be done */
	bool is_saved;           /* its draft is on disk; */
	bool is_at_risk;         /* perhaps there was no room for it */
} TurmoilClient;

typedef struct Turmoil {
	TestTxn *b;
	World *world;
	GRand *rand;
	TurmoilClient clients[TURMOIL_CLIENTS];
	GHashTable *fates; /* who -> TurmoilFate; owned */
	uint32_t last_number;
	unsigned step;
	bool is_faulty;    /* the disk may fail */
	bool has_little;   /* of the quarantine */
	bool is_forgetful; /* the journal keeps little */
} Turmoil;

/** A number from 0 to before @end. */
int turmoil_any(Turmoil *t, int end);

/* turmoil_change.c ----------------------------------------------------------*/

/** Whether @set is of any file. */
bool turmoil_has_any(const WorldSet *set);

/** A change by @c, or a plain one with NULL; a plain one of what @c has
 * changed, which is lost by that; a draft. */
void turmoil_change(Turmoil *t, TurmoilClient *c);
void turmoil_meddle(Turmoil *t, TurmoilClient *c);
void turmoil_save(Turmoil *t, TurmoilClient *c);

/* turmoil_end.c -------------------------------------------------------------*/

void turmoil_begin(Turmoil *t, TurmoilClient *c);
void turmoil_checkpoint(Turmoil *t, TurmoilClient *c);
void turmoil_publish(Turmoil *t, TurmoilClient *c);
void turmoil_quarantine(Turmoil *t, TurmoilClient *c);
void turmoil_abort(TurmoilClient *c);

/** Commits some at once. */
void turmoil_commit(Turmoil *t);

/** Undoes @c; and then there is room for that, but not for another. */
void turmoil_squeeze(Turmoil *t, TurmoilClient *c);

/** Commits @c, and looks at what was before; perhaps goes back to it. */
void turmoil_look_back(Turmoil *t, TurmoilClient *c);

/* turmoil_undone.c ----------------------------------------------------------*/

/** Fails the test unless each entry is what a transaction had, and those that
 * were on disk are there, as they all are from now on. */
void turmoil_check_undone(Turmoil *t);

/** Fails the test unless there is entry @id. */
void turmoil_check_kept(Turmoil *t, uint64_t id);

/** Discards some entries, or all. */
void turmoil_discard(Turmoil *t);
void turmoil_discard_all(Turmoil *t);
