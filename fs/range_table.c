/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/range_table.h"

/* ---- the table's objects -------------------------------------------------*/

FsRangeFile *
fs_range_table_file(FsRangeLock *table, const FsLockRange *range)
{
	GHashTable *files = table->files[range->space];
	FsRangeFile *file = g_hash_table_lookup(files, &range->node);

	if (file == NULL) {
		file = g_new0(FsRangeFile, 1);
		file->node = range->node;
		file->space = range->space;
		g_queue_init(&file->line);
		g_hash_table_insert(files, &file->node, file);
	}
	return file;
}

void
fs_range_table_mark(FsRangeLock *table, FsRangeFile *file)
{
	if (file->changed)
		return;

	file->changed = true;
	g_queue_push_tail(&table->changed, file);
}

FsRangeOwner *
fs_range_table_owner(FsRangeLock *table, uint64_t id)
{
	FsRangeOwner *owner = g_hash_table_lookup(table->owners, &id);

	if (owner == NULL) {
		owner = g_new0(FsRangeOwner, 1);
		owner->id = id;
		g_queue_init(&owner->waits);
		g_hash_table_insert(table->owners, &owner->id, owner);
	}
	return owner;
}

void
fs_range_table_forget(FsRangeLock *table, uint64_t id)
{
	FsRangeOwner *owner = g_hash_table_lookup(table->owners, &id);

	if (owner != NULL && owner->held == 0 && owner->waits.length == 0)
		g_hash_table_remove(table->owners, &id);
}

FsRangeClient *
fs_range_table_client(FsRangeLock *table, uint64_t session)
{
	FsRangeClient *client = g_hash_table_lookup(table->clients, &session);

	if (client == NULL) {
		client = g_new0(FsRangeClient, 1);
		client->session = session;
		g_hash_table_insert(table->clients, &client->session, client);
	}
	return client;
}

void
fs_range_table_forget_client(FsRangeLock *table, uint64_t session)
{
	const FsRangeClient *client =
		g_hash_table_lookup(table->clients, &session);

	if (client != NULL && client->held == 0 && client->waits == 0)
		g_hash_table_remove(table->clients, &session);
}

/* ---- taking and dropping -------------------------------------------------*/

static void
file_add(FsRangeLock *table, FsRangeFile *file, const FsLockOwner *owner,
         uint64_t first, uint64_t last, bool exclusive)
{
	fs_range_tree_add(&file->held, owner, first, last, exclusive);
	table->held++;
	fs_range_table_owner(table, owner->owner)->held++;
	fs_range_table_client(table, owner->session)->held++;
}

void
fs_range_file_remove(FsRangeLock *table, FsRangeFile *file, FsRange *held)
{
	table->held--;
	fs_range_table_owner(table, held->owner.owner)->held--;
	fs_range_table_client(table, held->owner.session)->held--;
	fs_range_table_forget_client(table, held->owner.session);
	fs_range_table_mark(table, file);
	fs_range_tree_remove(&file->held, held);
}

/* Leaves of @held what lies outside @first to @last. */
static void
file_cut(FsRangeLock *table, FsRangeFile *file, FsRange *held, uint64_t first,
         uint64_t last)
{
	if (held->first < first)
		file_add(table, file, &held->owner, held->first, first - 1,
		         held->exclusive);
	if (held->last > last)
		file_add(table, file, &held->owner, last + 1, held->last,
		         held->exclusive);
	fs_range_file_remove(table, file, held);
}

void
fs_range_file_drop(FsRangeLock *table, FsRangeFile *file,
                   const FsLockOwner *owner, uint64_t first, uint64_t last)
{
	g_autoptr(GPtrArray) own =
		fs_range_tree_of_owner(file->held, owner->owner, first, last);

	for (guint i = 0; i < own->len; i++)
		file_cut(table, file, own->pdata[i], first, last);
	fs_range_table_forget(table, owner->owner);
}

/* Those of the owner's waits that stood back because it held nothing need no
 * longer do so. */
static void
table_mark_waits(FsRangeLock *table, uint64_t id)
{
	FsRangeOwner *owner = fs_range_table_owner(table, id);

	for (GList *l = owner->waits.head; l != NULL; l = l->next)
		fs_range_table_mark(table, ((FsRangeWait *)l->data)->file);
}

void
fs_range_file_take(FsRangeLock *table, FsRangeFile *file,
                   const FsLockOwner *owner, const FsLockRange *range)
{
	uint64_t first = range->first;
	uint64_t last = range->last;
	g_autoptr(GPtrArray) near = fs_range_tree_of_owner(
		file->held, owner->owner, first == 0 ? 0 : first - 1,
		last == UINT64_MAX ? last : last + 1);

	for (guint i = 0; i < near->len; i++) {
		const FsRange *held = near->pdata[i];

		if (held->exclusive == range->exclusive &&
		    held->owner.handle == owner->handle) {
			first = MIN(first, held->first);
			last = MAX(last, held->last);
		}
	}

	fs_range_file_drop(table, file, owner, first, last);
	file_add(table, file, owner, first, last, range->exclusive);
	table_mark_waits(table, owner->owner);
	/* A downgrade lets others in. */
	fs_range_table_mark(table, file);
}
