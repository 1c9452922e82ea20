/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/edit_attr.h"

#include <errno.h>
#include <string.h>

/* Permission bits, owner, group, three times, ({name, value}, ...). */
#define ATTR_TYPE "(uuuxxxa(say))"

/* Which of its attributes a file gets again; when it was changed is now. */
#define ATTR_SET                                                    \
	((unsigned)STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID | \
	 STORE_SET_ATIME | STORE_SET_MTIME | STORE_SET_BTIME)

/* The names of @node's extended attributes, each ended by a NUL. */
static int
list_xattrs(StoreTxn *txn, StoreNode node, char **ret_names, size_t *ret_size)
{
	g_autofree char *names = NULL;
	size_t size = 0;
	int r;

	r = store_xattr_list(txn, node, NULL, 0, &size);
	names = g_malloc(size + 1);
	if (r == 0 && size > 0)
		r = store_xattr_list(txn, node, names, size, &size);
	if (r < 0)
		return r;
	*ret_names = g_steal_pointer(&names);
	*ret_size = size;
	return 0;
}

/* ---- as bytes ------------------------------------------------------------- */

static int
add_xattr(GVariantBuilder *rows, StoreTxn *txn, StoreNode node,
          const char *name)
{
	g_autofree uint8_t *value = g_malloc(STORE_XATTR_SIZE_MAX);
	size_t size = 0;
	int r;

	r = store_xattr_get(txn, node, name, value, STORE_XATTR_SIZE_MAX,
	                    &size);
	if (r == 0)
		g_variant_builder_add(
			rows, "(s@ay)", name,
			g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, value,
		                                  size, 1));
	return r;
}

int
store_edit_attr_encode(StoreTxn *txn, StoreNode node, GBytes **ret_bytes)
{
	g_auto(GVariantBuilder) rows =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a(say)"));
	g_autoptr(GVariant) variant = NULL;
	g_autofree char *names = NULL;
	const char *name;
	StoreAttr attr;
	size_t size;
	int r;

	r = store_attr_get(txn, node, &attr);
	if (r == 0)
		r = list_xattrs(txn, node, &names, &size);
	if (r < 0)
		return r;
	for (name = names; name < names + size; name += strlen(name) + 1) {
		r = add_xattr(&rows, txn, node, name);
		if (r < 0)
			return r;
	}
	variant = g_variant_ref_sink(
		g_variant_new("(uuuxxx@a(say))", attr.mode & 07777, attr.uid,
	                      attr.gid, attr.atime_ns, attr.mtime_ns,
	                      attr.btime_ns, g_variant_builder_end(&rows)));
	*ret_bytes = g_variant_get_data_as_bytes(variant);
	return 0;
}

/* ---- back again ----------------------------------------------------------- */

static int
remove_xattrs(StoreTxn *txn, StoreNode node)
{
	g_autofree char *names = NULL;
	const char *name;
	size_t size;
	int r;

	r = list_xattrs(txn, node, &names, &size);
	if (r < 0)
		return r;
	for (name = names; r == 0 && name < names + size;
	     name += strlen(name) + 1)
		r = store_xattr_remove(txn, node, name);
	return r;
}

static int
set_xattrs(StoreTxn *txn, StoreNode node, GVariantIter *rows)
{
	const char *name;
	GVariant *value;
	int r = 0;

	while (r == 0 && g_variant_iter_next(rows, "(&s@ay)", &name, &value)) {
		size_t size;
		const void *data = g_variant_get_fixed_array(value, &size, 1);

		r = store_xattr_set(txn, node, name, data, size, 0);
		g_variant_unref(value);
	}
	return r;
}

int
store_edit_attr_apply(StoreTxn *txn, StoreNode node, GBytes *bytes)
{
	g_autoptr(GVariant) variant =
		g_variant_ref_sink(g_variant_new_from_bytes(
			G_VARIANT_TYPE(ATTR_TYPE), bytes, FALSE));
	g_autoptr(GVariantIter) rows = NULL;
	StoreAttr attr = { .node = node };
	int r;

	if (!g_variant_is_normal_form(variant))
		return -EBADMSG;
	g_variant_get(variant, ATTR_TYPE, &attr.mode, &attr.uid, &attr.gid,
	              &attr.atime_ns, &attr.mtime_ns, &attr.btime_ns, &rows);
	r = remove_xattrs(txn, node);
	if (r == 0)
		r = set_xattrs(txn, node, rows);
	return r < 0 ? r : store_attr_set(txn, node, &attr, ATTR_SET, &attr);
}
