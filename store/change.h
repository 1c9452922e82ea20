/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "store/kv.h"

/**
 * Pending changes: a layer of puts and deletions over a database, in order of
 * keys.
 *
 * Threads: none of its own; its owner says who may use it when. A layer that
 * nobody changes may be read by many.
 */
typedef struct ChangeLayer ChangeLayer;

/** Bytes kept free behind every value, for the checksum of the record. */
#define CHANGE_TRAILER 8

/** One pending change. */
typedef struct Change {
	uint8_t *value;   /* owned; NULL: the key is deleted */
	size_t size;      /* bytes of value, without the trailer */
	size_t capacity;  /* bytes allocated, without the trailer */
	uint64_t beneath; /* what it replaces, see claim.c */
	KvSlice key;      /* its bytes follow */
	uint8_t key_bytes[];
} Change;

ChangeLayer *change_layer_new(void);

/** NULL is a no-op. */
void change_layer_free(ChangeLayer *layer);

/** How many changes there are. */
size_t change_layer_count(const ChangeLayer *layer);

/** Bytes of memory the changes take, about. */
size_t change_layer_bytes(const ChangeLayer *layer);

/** Finds the change of @key, or NULL. Ownership: borrowed from @layer. */
Change *change_layer_find(const ChangeLayer *layer, KvSlice key);

/** Puts @value (copied) under @key. */
void change_layer_put(ChangeLayer *layer, KvSlice key, KvSlice value);

/** Marks @key as deleted. */
void change_layer_delete(ChangeLayer *layer, KvSlice key);

/**
 * Makes the value of @key @size bytes, keeping what it had in this layer and
 * filling with zeros.
 *
 * Returns the bytes. Ownership: borrowed until the next change.
 */
uint8_t *change_layer_resize(ChangeLayer *layer, KvSlice key, size_t size);

/** Forgets the change of @key, if there is one. */
void change_layer_forget(ChangeLayer *layer, KvSlice key);

/** A place in a layer. */
typedef GTreeNode ChangePlace;

/** The first change with a key >= @from, or NULL. */
ChangePlace *change_layer_seek(const ChangeLayer *layer, KvSlice from);

/** The change at @place. */
const Change *change_place_get(ChangePlace *place);

/** The place after @place, or NULL. */
ChangePlace *change_place_next(ChangePlace *place);

/** Whether the key at @place, which may be NULL, begins with @prefix. */
bool change_place_has_prefix(ChangePlace *place, KvSlice prefix);

/** Moves of @from what @onto does not have, and empties it. */
void change_layer_move_under(ChangeLayer *from, ChangeLayer *onto);

/** Moves all of @from over what @onto has, and empties it. */
void change_layer_move_over(ChangeLayer *from, ChangeLayer *onto);

/** Whether a key of @layer begins with @prefix. */
bool change_layer_has_prefix(const ChangeLayer *layer, KvSlice prefix);

/** Moves what has a key that begins with @prefix over what @onto has. */
void change_layer_move_prefix(ChangeLayer *from, KvSlice prefix,
                              ChangeLayer *onto);

/** Orders keys as the database does: memcmp, then the shorter one first. */
int change_compare_keys(KvSlice a, KvSlice b);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ChangeLayer, change_layer_free)
