/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "store/store.h"

/**
 * What there may be of some files that transactions change while commits fail:
 * what everybody has seen, what is on disk for certain, and what is in doubt.
 * Each file is alone in a directory that has one of two names.
 */
#define WORLD_FILES 8

/** The longest file, in bytes. */
#define WORLD_SIZE_MAX ((uint32_t)2 << 20)

/** What a file has: bytes that follow from a number. */
typedef struct WorldFile {
	uint32_t number; /* 0: there is no file */
	uint32_t size;
	bool is_moved; /* its directory has the other name */
} WorldFile;

/** Some of the files, which change together or not at all. */
typedef struct WorldSet {
	bool has[WORLD_FILES];
	bool is_new[WORLD_FILES]; /* all that is in it has come with them */
	WorldFile of[WORLD_FILES];
	guint after; /* of a doubt: how many of what is done later come first */
	bool *ret_done; /* borrowed; set when it turns out that this doubt was
	                 * done; or NULL */
} WorldSet;

typedef struct World {
	StoreNode dirs[WORLD_FILES];
	WorldFile now[WORLD_FILES];  /* what everybody sees, but for doubts, */
	WorldFile disk[WORLD_FILES]; /* and what is on disk; */
	GArray *later;  /* WorldSet: what was done in between, in this order */
	GArray *doubts; /* WorldSet: all of it was done, or nothing */
	uint8_t *got;   /* what was read last */
} World;

/** A world of @store, which is empty; its directories are made. */
World *world_new(Store *store);
void world_free(World *w);

/** The bytes of a file with this number, WORLD_SIZE_MAX of them. */
const uint8_t *world_bytes(uint32_t number);

/** The name of file @i, which ends with its number; and of its directory. */
const char *world_name(guint i);
void world_dir_name(guint i, bool is_moved, char ret_name[4]);

/** Says what has become of @set: it was done; that may be. */
void world_do(World *w, const WorldSet *set);
void world_doubt(World *w, const WorldSet *set);
bool world_is_doubtful(const World *w, guint i);

/** Says that all that was done is on disk. */
void world_synced(World *w);

/**
 * Whether @txn sees @want as file @i. Errors: -EIO, if the store cannot be read
 * just now.
 */
int world_has(World *w, StoreTxn *txn, guint i, const WorldFile *want,
              bool *ret_has);

/** Fails the test unless everybody sees file @i as it has to be, as far as it
 * can be read. */
void world_check(World *w, Store *store, guint i);

/** The same of all of them, which can be read; nothing is in doubt then. */
void world_check_all(World *w, Store *store);

/** Finds out what a crash has left: some of what was done, from the first on,
 * and each doubt as a whole; or the test fails. */
void world_crashed(World *w, Store *store);
