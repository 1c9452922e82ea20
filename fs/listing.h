/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdint.h>

#include <glib.h>

#include "store/store.h"

/**
 * The names of a directory as they were at one moment, so that reading a large
 * directory in many pieces is linear, misses nothing, and can seek.
 *
 * Threads: one at a time.
 */
typedef struct FsListing FsListing;

typedef struct FsListingEntry {
	StoreNode node;
	uint32_t mode;    /* S_IFREG or S_IFDIR */
	const char *name; /* borrowed from the listing */
} FsListingEntry;

/** Takes a listing of @dir, whose parent is @parent; "." and ".." come first.
 * Ownership: the caller frees *@ret_listing. */
int fs_listing_take(StoreTxn *txn, StoreNode dir, StoreNode parent,
                    FsListing **ret_listing);

/** Adds an entry at the end. */
void fs_listing_add(FsListing *listing, StoreNode node, uint32_t mode,
                    const char *name);

/** NULL is a no-op. */
void fs_listing_free(FsListing *listing);

/** How many entries it has. */
guint fs_listing_count(const FsListing *listing);

FsListingEntry fs_listing_entry(const FsListing *listing, guint index);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsListing, fs_listing_free)
