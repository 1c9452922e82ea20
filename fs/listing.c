/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/listing.h"

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
	GArray *items;     /* of Item */
	GByteArray *names; /* each with its NUL */
};

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
}

static bool
listing_visit(void *user_data, const StoreEntry *entry)
{
	fs_listing_add(user_data, entry->node, entry->mode, entry->name);
	return true;
}

int
fs_listing_take(StoreTxn *txn, StoreNode dir, StoreNode parent,
                FsListing **ret_listing)
{
	g_autoptr(FsListing) listing = g_new(FsListing, 1);
	int r;

	*listing = (FsListing){
		.items = g_array_new(FALSE, FALSE, sizeof(Item)),
		.names = g_byte_array_new(),
	};
	fs_listing_add(listing, dir, S_IFDIR, ".");
	fs_listing_add(listing, parent, S_IFDIR, "..");

	r = store_name_list(txn, dir, listing_visit, listing);
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

	g_array_unref(listing->items);
	g_byte_array_unref(listing->names);
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
