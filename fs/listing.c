/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/listing.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* One entry; the names lie in one piece, as 60,000 small allocations would
 * cost more than the listing. */
typedef struct Item {
	StoreNode node;
	uint32_t mode;
	guint name; /* where it begins in names */
} Item;

struct FsListing {
	FsListings *all;   /* borrowed */
	GArray *items;     /* of Item; owned; NULL: it was lost */
	GByteArray *names; /* each with its NUL; owned; likewise */
	GList link;        /* in the queue, unless it was lost */
	bool is_whole;
	guint left; /* names that may yet be taken in this slice */
};

struct FsListings {
	GQueue queue; /* FsListing, what was read from last at the end */
	size_t size;  /* bytes of all */
	size_t max;
};

FsListings *
fs_listings_new(size_t max)
{
	FsListings *all = g_new(FsListings, 1);

	*all = (FsListings){ .max = max };
	g_queue_init(&all->queue);
	return all;
}

void
fs_listings_free(FsListings *all)
{
	if (all == NULL)
		return;

	g_assert(all->queue.length == 0);
	g_free(all);
}

size_t
fs_listings_size(const FsListings *all)
{
	return all->size;
}

/* ---- those there are -----------------------------------------------------*/

static void
listing_lose(FsListing *listing)
{
	if (listing->items == NULL)
		return;

	g_queue_unlink(&listing->all->queue, &listing->link);
	listing->all->size -=
		listing->items->len * sizeof(Item) + listing->names->len;
	g_clear_pointer(&listing->items, g_array_unref);
	g_clear_pointer(&listing->names, g_byte_array_unref);
}

bool
fs_listing_use(FsListing *listing)
{
	FsListings *all = listing->all;

	if (listing->items == NULL)
		return false;

	g_queue_unlink(&all->queue, &listing->link);
	g_queue_push_tail_link(&all->queue, &listing->link);
	while (all->size > all->max && all->queue.length > 1)
		listing_lose(all->queue.head->data);
	return true;
}

/* ---- one -----------------------------------------------------------------*/

void
fs_listing_add(FsListing *listing, StoreNode node, uint32_t mode,
               const char *name)
{
	Item item = {
		.node = node,
		.mode = mode,
		.name = listing->names->len,
	};

	g_array_append_val(listing->items, item);
	g_byte_array_append(listing->names, (const guint8 *)name,
	                    (guint)strlen(name) + 1);
	listing->all->size += sizeof(Item) + strlen(name) + 1;
}

static bool
listing_visit(void *user_data, const StoreEntry *entry)
{
	FsListing *listing = user_data;

	if (listing->left == 0) {
		listing->is_whole = false;
		return false;
	}

	listing->left--;
	fs_listing_add(listing, entry->node, entry->mode, entry->name);
	return true;
}

/* Takes a slice of the names that come after @name. */
static int
listing_fill(FsListing *listing, StoreTxn *txn, StoreNode dir, const char *name)
{
	int r;

	listing->left = FS_LISTING_SLICE;
	listing->is_whole = true;
	r = store_name_list_after(txn, dir, name, listing_visit, listing);
	if (r < 0)
		listing->is_whole = false;
	return r;
}

int
fs_listing_take_more(FsListing *listing, StoreTxn *txn, StoreNode dir)
{
	guint last = listing->items->len - 1;
	g_autofree char *name = g_strdup(fs_listing_entry(listing, last).name);
	int r;

	r = listing_fill(listing, txn, dir, name);
	/* It was removed meanwhile, and nothing is in it. */
	if (r == -ESTALE) {
		listing->is_whole = true;
		r = 0;
	}
	return r;
}

bool
fs_listing_is_whole(const FsListing *listing)
{
	return listing->is_whole;
}

int
fs_listing_take(FsListings *all, StoreTxn *txn, StoreNode dir, StoreNode parent,
                FsListing **ret_listing)
{
	g_autoptr(FsListing) listing = g_new(FsListing, 1);
	int r;

	*listing = (FsListing){
		.all = all,
		.items = g_array_new(FALSE, FALSE, sizeof(Item)),
		.names = g_byte_array_new(),
		.link = { .data = listing },
	};
	g_queue_push_tail_link(&all->queue, &listing->link);
	fs_listing_add(listing, dir, S_IFDIR, ".");
	fs_listing_add(listing, parent, S_IFDIR, "..");

	r = listing_fill(listing, txn, dir, "");
	if (r < 0)
		return r;

	*ret_listing = g_steal_pointer(&listing);
	return 0;
}

void
fs_listing_free(FsListing *listing)
{
	if (listing == NULL)
		return;

	listing_lose(listing);
	g_free(listing);
}

guint
fs_listing_count(const FsListing *listing)
{
	return listing->items->len;
}

FsListingEntry
fs_listing_entry(const FsListing *listing, guint index)
{
	const Item *item = &g_array_index(listing->items, Item, index);

	return (FsListingEntry){
		.node = item->node,
		.mode = item->mode,
		.name = (const char *)listing->names->data + item->name,
	};
}
