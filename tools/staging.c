/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/staging.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <glib.h>

#include "store/name.h"
#include "tools/listing.h"

/* The attribute of a directory that an import has made. */
#define MARK "user.pofs.import"

bool
tool_staging_has_name(const char *name)
{
	return name_equal(name, TOOL_STAGING_NAME);
}

bool
tool_staging_is(StoreTxn *txn, const StoreEntry *entry)
{
	size_t size;

	return S_ISDIR(entry->mode) && tool_staging_has_name(entry->name) &&
	       store_xattr_get(txn, entry->node, MARK, NULL, 0, &size) == 0;
}

bool
tool_staging_is_left(Store *store)
{
	StoreTxn *txn = store_plain(store);
	StoreEntry entry;

	return store_name_find(txn, STORE_ROOT, TOOL_STAGING_NAME, &entry) ==
	               0 &&
	       tool_staging_is(txn, &entry);
}

bool
tool_staging_is_taken(Store *store)
{
	g_autoptr(GPtrArray) entries = NULL;
	StoreTxn *txn = store_plain(store);
	StoreEntry entry;

	if (store_name_find(txn, STORE_ROOT, TOOL_STAGING_NAME, &entry) < 0 ||
	    tool_staging_is(txn, &entry))
		return false;
	return tool_listing_read(txn, entry.node, &entries) < 0 ||
	       entries->len > 0;
}

/* Removes what is in directory @dir. */
static int
remove_content(StoreTxn *txn, StoreNode dir)
{
	g_autoptr(GPtrArray) entries = NULL;
	guint i;
	int r;

	r = tool_listing_read(txn, dir, &entries);
	if (r < 0)
		return r;

	for (i = 0; i < entries->len; i++) {
		const StoreEntry *entry = entries->pdata[i];

		if (S_ISDIR(entry->mode)) {
			r = remove_content(txn, entry->node);
			if (r < 0)
				return r;
		}
		r = store_name_remove(txn, dir, entry->name,
		                      entry->mode & S_IFMT);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Sets the root's time back: as long as nothing is published, nothing has
 * changed. */
static int
restore_time(StoreTxn *txn, const StoreAttr *root)
{
	StoreAttr attr = *root;

	return store_attr_set(txn, STORE_ROOT, &attr, STORE_SET_MTIME, &attr);
}

int
tool_staging_sweep(Store *store)
{
	StoreTxn *txn = store_plain(store);
	StoreEntry entry;
	StoreAttr root;
	int r;

	r = store_name_find(txn, STORE_ROOT, TOOL_STAGING_NAME, &entry);
	if (r == -ENOENT)
		return 0;
	if (r == 0 && tool_staging_is_taken(store))
		return -EEXIST;
	if (r == 0)
		r = store_attr_get(txn, STORE_ROOT, &root);
	if (r == 0)
		r = remove_content(txn, entry.node);
	if (r == 0)
		r = store_name_remove(txn, STORE_ROOT, TOOL_STAGING_NAME,
		                      S_IFDIR);
	return r < 0 ? r : restore_time(txn, &root);
}

int
tool_staging_begin(Store *store, StoreNode *ret_dir)
{
	const StoreAttr attr = { .mode = S_IFDIR | 0700 };
	StoreTxn *txn = store_plain(store);
	StoreAttr root, made;
	int r;

	r = tool_staging_sweep(store);
	if (r == 0)
		r = store_attr_get(txn, STORE_ROOT, &root);
	if (r == 0)
		r = store_name_add(txn, STORE_ROOT, TOOL_STAGING_NAME, &attr,
		                   &made);
	if (r == 0)
		r = store_xattr_set(txn, made.node, MARK, "", 0, 0);
	if (r == 0)
		r = restore_time(txn, &root);
	if (r == 0)
		*ret_dir = made.node;
	return r;
}

/* Copies the extended attributes of directory @from to the root. */
static int
copy_xattrs(StoreTxn *txn, StoreNode from)
{
	g_autofree char *names = NULL;
	g_autofree char *value = g_malloc(STORE_XATTR_SIZE_MAX);
	const char *name;
	size_t size;
	int r;

	r = store_xattr_list(txn, from, NULL, 0, &size);
	if (r < 0 || size == 0)
		return r;
	names = g_malloc(size);
	r = store_xattr_list(txn, from, names, size, &size);

	for (name = names; r == 0 && name < names + size;
	     name += strlen(name) + 1) {
		size_t value_size;

		r = store_xattr_get(txn, from, name, value,
		                    STORE_XATTR_SIZE_MAX, &value_size);
		if (r == 0)
			r = store_xattr_set(txn, STORE_ROOT, name, value,
			                    value_size, 0);
	}
	return r;
}

static int
move_content(StoreTxn *txn, StoreNode dir, const GPtrArray *entries)
{
	guint i;
	int r;

	for (i = 0; i < entries->len; i++) {
		const StoreEntry *entry = entries->pdata[i];

		r = store_name_move(txn, dir, entry->name, STORE_ROOT,
		                    entry->name, STORE_MOVE_NOREPLACE);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Whether nothing but the staging directory is in the root. */
static int
root_is_empty(StoreTxn *txn, bool *ret_is_empty)
{
	g_autoptr(GPtrArray) entries = NULL;
	int r;

	r = tool_listing_read(txn, STORE_ROOT, &entries);
	if (r < 0)
		return r;
	*ret_is_empty = entries->len == 1;
	return 0;
}

static int
publish_root(StoreTxn *txn, StoreNode dir)
{
	const unsigned set = STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID |
	                     STORE_SET_ATIME | STORE_SET_MTIME |
	                     STORE_SET_BTIME;
	g_autoptr(GPtrArray) entries = NULL;
	StoreAttr attr;
	bool is_empty = false;
	int r;

	/* Before the moves, which change the times of both directories. */
	r = store_attr_get(txn, dir, &attr);
	if (r == 0)
		r = root_is_empty(txn, &is_empty);
	if (r == 0)
		r = tool_listing_read(txn, dir, &entries);
	if (r == 0)
		r = move_content(txn, dir, entries);
	if (r == 0 && is_empty)
		r = copy_xattrs(txn, dir);
	if (r == 0)
		r = store_name_remove(txn, STORE_ROOT, TOOL_STAGING_NAME,
		                      S_IFDIR);
	if (r == 0 && is_empty)
		r = store_attr_set(txn, STORE_ROOT, &attr, set, &attr);
	return r;
}

int
tool_staging_publish(Store *store, StoreNode dir, const char *name)
{
	g_autoptr(StoreTxn) txn = NULL;
	int r;

	r = store_txn_begin(store, "poctl import", &txn);
	if (r == 0)
		r = store_xattr_remove(txn, dir, MARK);
	if (r < 0)
		return r;
	r = name != NULL
	            ? store_name_move(txn, STORE_ROOT, TOOL_STAGING_NAME,
	                              STORE_ROOT, name, STORE_MOVE_NOREPLACE)
	            : publish_root(txn, dir);
	if (r < 0)
		return r;
	return store_txn_commit_wait(&txn);
}
