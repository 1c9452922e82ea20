/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "store/store.h"

/**
 * The names of a directory as they were at one moment, so that reading a large
 * directory in many pieces is linear, misses nothing, and can seek. Of a very
 * large one there are some only, and more are taken as they are read, for nobody
 * is served meanwhile.
 *
 * All listings together take so much memory; where they would take more, those
 * that nobody has read from for longest are lost. Whoever goes on reading such a
 * directory has it listed anew.
 *
 * Threads: one at a time.
 */
typedef struct FsListing FsListing;

/** All listings. */
typedef struct FsListings FsListings;

/** @max: bytes that they take, but for one listing alone that takes more. */
FsListings *fs_listings_new(size_t max);

/** There may be none any more. NULL is a no-op. */
void fs_listings_free(FsListings *all);

/** What they take, in bytes. */
size_t fs_listings_size(const FsListings *all);

typedef struct FsListingEntry {
	StoreNode node;
	uint32_t mode;    /* S_IFREG or S_IFDIR */
	const char *name; /* borrowed from the listing */
} FsListingEntry;

/** Takes a listing of @dir, whose parent is @parent; "." and ".." come first,
 * then the first FS_LISTING_SLICE names.
 * Ownership: the caller frees *@ret_listing. */
int fs_listing_take(FsListings *all, StoreTxn *txn, StoreNode dir,
                    StoreNode parent, FsListing **ret_listing);

/** Most names that are taken at once. */
#define FS_LISTING_SLICE 8192

/** Takes as many more. */
int fs_listing_take_more(FsListing *listing, StoreTxn *txn, StoreNode dir);

/** Whether all names are there. */
bool fs_listing_is_whole(const FsListing *listing);

/** Has it be the one that was read from last. Returns whether it is still
 * there: what was lost has no entries. */
bool fs_listing_use(FsListing *listing);

/** Adds an entry at the end. */
void fs_listing_add(FsListing *listing, StoreNode node, uint32_t mode,
                    const char *name);

/** NULL is a no-op. */
void fs_listing_free(FsListing *listing);

/** How many entries it has. */
guint fs_listing_count(const FsListing *listing);

FsListingEntry fs_listing_entry(const FsListing *listing, guint index);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsListing, fs_listing_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsListings, fs_listings_free)
