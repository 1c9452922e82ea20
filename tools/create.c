/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <glib.h>

#include "store/dos_attr.h"
#include "store/layout.h"
#include "store/name.h"
#include "store/store.h"
#include "tools/draft.h"
#include "tools/json.h"
#include "tools/owner.h"
#include "tools/staging.h"
#include "tools/tool.h"

/* A DOS client wants the x bit for some ways of opening a file, and who may
 * do what is decided by the mount. */
#define PERMISSIONS 0777

#define MIB ((guint64)1 << 20)

/* Where the skeleton goes. */
typedef struct Place {
	StoreTxn *txn;
	StoreAttr attr; /* owner of what is made */
} Place;

static int
add(const Place *place, StoreNode dir, const char *name, uint32_t type,
    StoreAttr *ret_attr)
{
	StoreAttr attr = place->attr;

	attr.mode = type | PERMISSIONS;
	return store_name_add(place->txn, dir, name, &attr, ret_attr);
}

/* Finds the directory of @item below @top and, in @ret_name, its name there. */
static int
find_parent(const Place *place, StoreNode top, const LayoutItem *item,
            StoreNode *ret_dir, const char **ret_name)
{
	g_auto(GStrv) parts = g_strsplit(item->path, "/", -1);
	StoreNode dir = top;
	StoreEntry entry;
	size_t i;
	int r;

	for (i = 0; parts[i + 1] != NULL; i++) {
		r = store_name_find(place->txn, dir, parts[i], &entry);
		if (r < 0)
			return r;
		dir = entry.node;
	}
	*ret_dir = dir;
	*ret_name = item->path + strlen(item->path) - strlen(parts[i]);
	return 0;
}

static int
fill(const Place *place, const StoreAttr *file, const LayoutItem *item)
{
	uint8_t value[DOS_ATTR_SIZE];
	int r;

	/* All its bytes are zero. */
	r = store_file_truncate(place->txn, file->node, item->size);
	if (r < 0 || !item->is_read_only)
		return r;

	dos_attr_encode(DOS_ATTR_READ_ONLY, file->btime_ns, value);
	return store_xattr_set(place->txn, file->node, DOS_ATTR_XATTR, value,
	                       sizeof(value), 0);
}

static int
add_item(const Place *place, StoreNode top, const LayoutItem *item)
{
	const char *name;
	StoreNode dir;
	StoreAttr made;
	int r;

	r = find_parent(place, top, item, &dir, &name);
	if (r < 0)
		return r;

	r = add(place, dir, name, item->is_dir ? S_IFDIR : S_IFREG, &made);
	if (r < 0 || item->is_dir)
		return r;
	return fill(place, &made, item);
}

/* Makes an empty postoffice in directory @top. */
static int
add_skeleton(const Place *place, StoreNode top)
{
	const LayoutItem *item;
	int r = 0;

	for (item = layout_skeleton(); item->path != NULL && r == 0; item++)
		r = add_item(place, top, item);
	return r;
}

/* Makes one postoffice for each of @names, or one at the root. */
static int
add_postoffices(const Place *place, char **names)
{
	StoreAttr folder;
	size_t i;
	int r;

	if (names == NULL)
		return add_skeleton(place, STORE_ROOT);

	for (i = 0; names[i] != NULL; i++) {
		r = add(place, STORE_ROOT, names[i], S_IFDIR, &folder);
		if (r < 0)
			return r;
		r = add_skeleton(place, folder.node);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Fills the new store in one transaction. */
static int
fill_store(ToolDraft *draft, char **names, GError **error)
{
	const ToolOwner *owner = tool_draft_owner(draft);
	g_autoptr(StoreTxn) txn = NULL;
	Place place = { .attr = { .mode = PERMISSIONS,
		                  .uid = owner->uid,
		                  .gid = owner->gid } };
	StoreAttr root;
	int r;

	r = store_txn_begin(tool_draft_store(draft), "poctl create", &txn);
	if (r == 0) {
		place.txn = txn;
		r = store_attr_set(
			txn, STORE_ROOT, &place.attr,
			STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID, &root);
	}
	if (r == 0)
		r = add_postoffices(&place, names);
	if (r == 0)
		r = store_txn_commit_wait(&txn);
	if (r < 0)
		return tool_fail(error, r, "cannot fill the new store: %s",
		                 g_strerror(-r));
	return 0;
}

static int
check_names(char **names, GError **error)
{
	size_t i, j;

	for (i = 0; names != NULL && names[i] != NULL; i++) {
		if (name_check(names[i]) < 0)
			return tool_misuse(error,
			                   "no DOS or Windows program "
			                   "could use a folder called %s",
			                   names[i]);
		if (tool_staging_has_name(names[i]))
			return tool_misuse(error,
			                   "no folder can be called %s: "
			                   "imports need that name",
			                   names[i]);
		for (j = 0; j < i; j++)
			if (name_equal(names[i], names[j]))
				return tool_misuse(error,
				                   "two postoffices "
				                   "cannot both be called %s",
				                   names[i]);
	}
	return 0;
}

static int
create(const char *path, char **names, const char *owner_text,
       gint64 map_size_mib, GError **error)
{
	g_autoptr(ToolDraft) draft = NULL;
	ToolOwner owner;
	int r;

	if (map_size_mib < 0 || map_size_mib > (gint64)(G_MAXINT64 / MIB))
		return tool_misuse(error, "--map-size-mib is out of range");
	r = check_names(names, error);
	if (r == 0 && owner_text != NULL)
		r = tool_owner_parse(owner_text, &owner, error);
	if (r < 0)
		return r;

	r = tool_draft_begin(path, (guint64)map_size_mib * MIB,
	                     owner_text != NULL ? &owner : NULL, &draft, error);
	if (r < 0)
		return r;
	r = fill_store(draft, names, error);
	if (r < 0)
		return r;
	return tool_draft_publish(&draft, error);
}

static void
print_result(const ToolOptions *options, char **names)
{
	g_autoptr(ToolJson) json = NULL;
	size_t i;

	if (!options->json) {
		tool_say("Made %s in %s.",
		         names == NULL ? "an empty postoffice"
		                       : "empty postoffices",
		         options->arguments[0]);
		return;
	}
	json = tool_json_new();
	tool_json_string(json, "store", options->arguments[0]);
	tool_json_list_begin(json, "postoffices");
	if (names == NULL)
		tool_json_string(json, NULL, "");
	for (i = 0; names != NULL && names[i] != NULL; i++)
		tool_json_string(json, NULL, names[i]);
	tool_json_list_end(json);
	tool_json_print(&json);
}

ToolExit
tool_create(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(GStrv) names = NULL;
	g_autofree char *owner = NULL;
	gint64 map_size_mib = 0;
	const GOptionEntry entries[] = {
		{ "postoffice", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &names,
		  "Make the postoffice in folder NAME; may be repeated",
		  "NAME" },
		{ "owner", 0, 0, G_OPTION_ARG_FILENAME, &owner,
		  "Whose the store and its files are", "USER[:GROUP]" },
		{ "map-size-mib", 0, 0, G_OPTION_ARG_INT64, &map_size_mib,
		  "Most that the store may ever hold, in MiB", "N" },
		{ NULL },
	};

	if (tool_options_read(self, entries, argv, &options, error) < 0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	if (create(options.arguments[0], names, owner, map_size_mib, error) < 0)
		return TOOL_FAILED;
	if (!options.quiet)
		print_result(&options, names);
	return TOOL_OK;
}
