/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What part a directory plays follows from its name, its parent's part, and
 * whether it has the children KEY and MBG. It is found when asked for, and
 * remembered until any directory comes, goes or moves, which is rare.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"
#include "store/name.h"

static int
has_child_dir(StoreTxn *txn, StoreNode dir, const char *folded, bool *ret_has)
{
	RecordKey key = record_key_name(dir, folded);
	RecordName name;
	KvSlice value;
	int r;

	r = txn_get(txn, record_slice(&key), &value);
	if (r == 0)
		r = record_name_decode(value, &name);
	if (r < 0 && r != -ENOENT)
		return r;
	*ret_has = r == 0 && S_ISDIR(name.mode);
	return 0;
}

static int
is_postoffice(StoreTxn *txn, StoreNode dir, bool *ret_is)
{
	bool has = false;
	int r;

	r = has_child_dir(txn, dir, "key", &has);
	if (r == 0 && has)
		r = has_child_dir(txn, dir, "mbg", &has);
	if (r == 0)
		*ret_is = has;
	return r;
}

/* The role of @dir, given that of its parent. */
static int
role_below(StoreTxn *txn, const RecordNode *dir, LayoutDir parent,
           LayoutDir *ret_role)
{
	bool is = false;
	int r;

	r = is_postoffice(txn, dir->attr.node, &is);
	if (r == 0)
		*ret_role = is ? LAYOUT_DIR_POSTOFFICE
		               : layout_child(parent, dir->name);
	return r;
}

static void
remember(StoreTxn *txn, StoreNode dir, LayoutDir role)
{
	if (txn->layer == NULL)
		g_hash_table_insert(txn->store->roles,
		                    g_memdup2(&dir, sizeof(dir)),
		                    GINT_TO_POINTER(role));
}

static bool
recall(StoreTxn *txn, StoreNode dir, LayoutDir *ret_role)
{
	void *role;

	if (txn->layer != NULL ||
	    !g_hash_table_lookup_extended(txn->store->roles, &dir, NULL, &role))
		return false;
	*ret_role = (LayoutDir)GPOINTER_TO_INT(role);
	return true;
}

int
dir_role(StoreTxn *txn, StoreNode dir, LayoutDir *ret_role)
{
	g_autoptr(GArray) chain = g_array_new(FALSE, FALSE, sizeof(StoreNode));
	LayoutDir role = LAYOUT_DIR_FOREIGN;
	RecordNode record;
	StoreNode node;
	int r;

	/* Up to what is known or the root, then down again. */
	for (node = dir; node != 0 && !recall(txn, node, &role);
	     node = record.attr.parent) {
		r = dir_load(txn, node, &record);
		if (r < 0)
			return r;
		g_array_append_val(chain, node);
	}
	while (chain->len > 0) {
		node = g_array_index(chain, StoreNode, chain->len - 1);
		g_array_set_size(chain, chain->len - 1);
		r = dir_load(txn, node, &record);
		if (r == 0)
			r = role_below(txn, &record, role, &role);
		if (r < 0)
			return r;
		remember(txn, node, role);
	}
	*ret_role = role;
	return 0;
}

int
store_dir_role(StoreTxn *txn, StoreNode dir, LayoutDir *ret_role)
{
	STORE_LOCK(txn->store);
	return dir_role(txn, dir, ret_role);
}

/* ---- places --------------------------------------------------------------*/

/* Up from a directory that is part of a postoffice. */
static int
find_office(StoreTxn *txn, StoreNode dir, LayoutDir role, StoreNode *ret_office)
{
	RecordNode record;
	int r;

	while (role != LAYOUT_DIR_FOREIGN && role != LAYOUT_DIR_POSTOFFICE) {
		r = dir_load(txn, dir, &record);
		if (r < 0)
			return r;
		dir = record.attr.parent;
		r = dir_role(txn, dir, &role);
		if (r < 0)
			return r;
	}
	*ret_office = role == LAYOUT_DIR_POSTOFFICE ? dir : 0;
	return 0;
}

static int
find_place(StoreTxn *txn, StoreNode dir, const char *name,
           StorePlace *ret_place)
{
	/* Directories are never staged, and their roles are remembered. */
	StoreTxn *plain = &txn->store->plain;
	int r;

	if (strlen(name) > STORE_NAME_MAX)
		return -ENAMETOOLONG;

	*ret_place = (StorePlace){ .dir = dir };
	r = dir_role(plain, dir, &ret_place->role);
	if (r == 0)
		r = find_office(plain, dir, ret_place->role,
		                &ret_place->office);
	if (r < 0)
		return r;
	/* A name that cannot be stored is not found either. */
	if (!layout_is_dos(ret_place->role) ||
	    name_to_dos(name, ret_place->name) < 0)
		g_strlcpy(ret_place->name, name, sizeof(ret_place->name));
	ret_place->kind = layout_kind(ret_place->role, ret_place->name);
	return 0;
}

int
store_place_in(StoreTxn *txn, StoreNode dir, const char *name,
               StorePlace *ret_place)
{
	STORE_LOCK(txn->store);
	return find_place(txn, dir, name, ret_place);
}

int
store_place_of(StoreTxn *txn, StoreNode node, StorePlace *ret_place)
{
	RecordNode record;
	int r;

	STORE_LOCK(txn->store);
	r = node_load(txn, node, &record);
	if (r < 0)
		return r;
	if (record.attr.parent == 0)
		return -ESTALE;
	r = find_place(txn, record.attr.parent, record.name, ret_place);
	if (r == 0 && S_ISDIR(record.attr.mode))
		ret_place->kind = LAYOUT_PLAIN;
	return r;
}
