/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/mailbags.h"

#include <errno.h>
#include <sys/stat.h>

#include "tools/listing.h"

static void
mailbag_free(void *data)
{
	ToolMailbag *mailbag = data;

	g_free(mailbag->office);
	g_free(mailbag);
}

uint64_t
tool_mailbag_records(const ToolMailbag *mailbag)
{
	return mailbag->bytes / TOOL_MAILBAG_RECORD_SIZE;
}

/* ---- one postoffice ------------------------------------------------------ */

/* The size of the MBG to a mailbag, in the directory @mbg. */
static int
mailbag_measure(StoreTxn *txn, StoreNode mbg, ToolMailbag *mailbag)
{
	g_autofree char *name = g_strdup_printf("%s.MBG", mailbag->name);
	StoreEntry entry;
	StoreAttr attr;
	int r;

	r = store_name_find(txn, mbg, name, &entry);
	if (r == 0)
		r = store_attr_get(txn, entry.node, &attr);
	if (r == 0)
		mailbag->bytes = attr.size;
	return r == -ENOENT ? 0 : r;
}

/* Adds the mailbag of @key, if it is a KEY. */
static int
mailbag_add(StoreTxn *txn, StoreNode mbg, const char *office,
            const StoreEntry *key, GPtrArray *mailbags)
{
	ToolMailbag *mailbag;
	StoreAttr attr;
	int r;

	if (!S_ISREG(key->mode) ||
	    layout_kind(LAYOUT_DIR_KEY, key->name) != LAYOUT_MAILBAG)
		return 0;
	r = store_attr_get(txn, key->node, &attr);
	if (r < 0)
		return r;

	mailbag = g_new0(ToolMailbag, 1);
	mailbag->office = g_strdup(office);
	mailbag->changed_ns = attr.mtime_ns;
	(void)layout_mailbag(LAYOUT_DIR_KEY, key->name, mailbag->name);
	g_ptr_array_add(mailbags, mailbag);
	return mailbag_measure(txn, mbg, mailbag);
}

static int
office_list(StoreTxn *txn, StoreNode office, GPtrArray *mailbags)
{
	g_autoptr(GPtrArray) keys = NULL;
	g_autofree char *path = NULL;
	StoreEntry key;
	StoreEntry mbg;
	guint i;
	int r;

	r = store_node_path(txn, office, &path);
	if (r == 0)
		r = store_name_find(txn, office, "KEY", &key);
	if (r == 0)
		r = store_name_find(txn, office, "MBG", &mbg);
	if (r == 0)
		r = tool_listing_read(txn, key.node, &keys);
	for (i = 0; r == 0 && i < keys->len; i++)
		r = mailbag_add(txn, mbg.node, path, keys->pdata[i], mailbags);
	return r;
}

/* ---- all of them --------------------------------------------------------- */

/* Queues the directories in @dir, in which there may be postoffices. */
static int
agenda_add(StoreTxn *txn, StoreNode dir, GArray *agenda)
{
	g_autoptr(GPtrArray) entries = NULL;
	guint i;
	int r;

	r = tool_listing_read(txn, dir, &entries);
	for (i = 0; r == 0 && i < entries->len; i++) {
		const StoreEntry *entry = entries->pdata[i];

		if (S_ISDIR(entry->mode))
			g_array_append_val(agenda, entry->node);
	}
	return r;
}

int
tool_mailbags_list(Store *store, GPtrArray **ret_mailbags)
{
	g_autoptr(GPtrArray) mailbags =
		g_ptr_array_new_with_free_func(mailbag_free);
	g_autoptr(GArray) agenda = g_array_new(FALSE, FALSE, sizeof(StoreNode));
	StoreTxn *txn = store_plain(store);
	StoreNode dir = STORE_ROOT;
	LayoutDir role;
	guint i;
	int r = 0;

	g_array_append_val(agenda, dir);
	for (i = 0; r == 0 && i < agenda->len; i++) {
		dir = g_array_index(agenda, StoreNode, i);
		r = store_dir_role(txn, dir, &role);
		if (r < 0)
			break;
		if (role == LAYOUT_DIR_POSTOFFICE)
			r = office_list(txn, dir, mailbags);
		else if (role == LAYOUT_DIR_FOREIGN)
			r = agenda_add(txn, dir, agenda);
	}
	if (r < 0)
		return r;
	*ret_mailbags = g_steal_pointer(&mailbags);
	return 0;
}
