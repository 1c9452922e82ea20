/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/handle.h"

#include <errno.h>

struct FsHandleTable {
	Store *store;           /* borrowed */
	GHashTable *by_node;    /* node -> owned GPtrArray of its handles */
	GHashTable *by_session; /* session -> owned Count, if it has any */
	FsQuota quota;
	gsize count; /* of all sessions */
};

G_STATIC_ASSERT(sizeof(gpointer) >= sizeof(StoreNode));

/* What one session has open. */
typedef struct Count {
	unsigned all;
	unsigned messages;
} Count;

static void
handles_free(void *handles)
{
	g_ptr_array_unref(handles);
}

FsHandleTable *
fs_handle_table_new(Store *store, FsQuota quota)
{
	FsHandleTable *table = g_new(FsHandleTable, 1);

	*table = (FsHandleTable){
		.store = store,
		.by_node =
			g_hash_table_new_full(NULL, NULL, NULL, handles_free),
		.by_session = g_hash_table_new_full(NULL, NULL, NULL, g_free),
		.quota = quota,
	};
	return table;
}

void
fs_handle_table_free(FsHandleTable *table)
{
	if (table == NULL)
		return;

	g_assert(g_hash_table_size(table->by_node) == 0);
	g_hash_table_unref(table->by_node);
	g_hash_table_unref(table->by_session);
	g_free(table);
}

static Count
count_of(FsHandleTable *table, const FsSession *session)
{
	const Count *count = g_hash_table_lookup(table->by_session, session);

	return count != NULL ? *count : (Count){ .all = 0 };
}

static void
count_opened(FsHandleTable *table, const FsHandle *handle)
{
	Count *count = g_hash_table_lookup(table->by_session, handle->session);

	if (count == NULL) {
		count = g_new0(Count, 1);
		g_hash_table_insert(table->by_session, handle->session, count);
	}
	count->all++;
	count->messages += handle->kind == LAYOUT_MESSAGE;
	table->count++;
}

static void
count_closed(FsHandleTable *table, const FsHandle *handle)
{
	Count *count = g_hash_table_lookup(table->by_session, handle->session);

	count->messages -= handle->kind == LAYOUT_MESSAGE;
	if (--count->all == 0)
		g_hash_table_remove(table->by_session, handle->session);
	table->count--;
}

int
fs_handle_check(FsHandleTable *table, const FsSession *session)
{
	return fs_quota_check(&table->quota, count_of(table, session).all,
	                      table->count, 1);
}

FsHandle *
fs_handle_open(FsHandleTable *table, FsSession *session, StoreNode node,
               LayoutKind kind)
{
	gpointer key = GSIZE_TO_POINTER(node);
	GPtrArray *handles = g_hash_table_lookup(table->by_node, key);
	FsHandle *handle = g_new(FsHandle, 1);

	*handle = (FsHandle){
		.table = table,
		.session = fs_session_ref(session),
		.node = node,
		.kind = kind,
		.epoch = fs_session_epoch(session),
		.used_us = g_get_monotonic_time(),
	};

	if (handles == NULL) {
		handles = g_ptr_array_new();
		g_hash_table_insert(table->by_node, key, handles);
	}
	g_ptr_array_add(handles, handle);
	count_opened(table, handle);
	store_node_hold(table->store, node);
	return handle;
}

void
fs_handle_close(FsHandle *handle)
{
	FsHandleTable *table;
	GPtrArray *handles;
	gpointer key;

	if (handle == NULL)
		return;

	table = handle->table;
	key = GSIZE_TO_POINTER(handle->node);
	handles = g_hash_table_lookup(table->by_node, key);
	g_ptr_array_remove_fast(handles, handle);
	if (handles->len == 0)
		g_hash_table_remove(table->by_node, key);

	count_closed(table, handle);
	store_node_release(table->store, handle->node);
	fs_session_unref(handle->session);
	fs_listing_free(handle->listing);
	g_free(handle->key);
	g_free(handle);
}

bool
fs_handle_is_stale(const FsHandle *handle)
{
	return handle->epoch != fs_session_epoch(handle->session);
}

bool
fs_handle_is_open(FsHandleTable *table, StoreNode node)
{
	return g_hash_table_contains(table->by_node, GSIZE_TO_POINTER(node));
}

bool
fs_handle_is_elsewhere(FsHandleTable *table, StoreNode node,
                       const FsSession *session)
{
	const GPtrArray *handles =
		g_hash_table_lookup(table->by_node, GSIZE_TO_POINTER(node));

	for (guint i = 0; handles != NULL && i < handles->len; i++)
		if (((FsHandle *)handles->pdata[i])->session != session)
			return true;

	return false;
}

GPtrArray *
fs_handle_list(FsHandleTable *table, StoreNode node)
{
	return g_hash_table_lookup(table->by_node, GSIZE_TO_POINTER(node));
}

/* Those of @session, if @key is not NULL only those that hold its lock. */
static GPtrArray *
handles_find(FsHandleTable *table, const FsSession *session, const char *key)
{
	GPtrArray *found = g_ptr_array_new();
	GHashTableIter iter;
	gpointer handles;

	g_hash_table_iter_init(&iter, table->by_node);
	while (g_hash_table_iter_next(&iter, NULL, &handles))
		for (guint i = 0; i < ((GPtrArray *)handles)->len; i++) {
			FsHandle *handle = ((GPtrArray *)handles)->pdata[i];

			if (handle->session == session &&
			    (key == NULL || (handle->hold == FS_HOLD_HAS &&
			                     g_strcmp0(handle->key, key) == 0)))
				g_ptr_array_add(found, handle);
		}

	return found;
}

GPtrArray *
fs_handle_of_key(FsHandleTable *table, const FsSession *session,
                 const char *key)
{
	return handles_find(table, session, key);
}

GPtrArray *
fs_handle_of_session(FsHandleTable *table, const FsSession *session)
{
	return handles_find(table, session, NULL);
}

unsigned
fs_handle_count(FsHandleTable *table, const FsSession *session)
{
	return count_of(table, session).all;
}

unsigned
fs_handle_count_messages(FsHandleTable *table, const FsSession *session)
{
	return count_of(table, session).messages;
}

FsHandle *
fs_handle_any(FsHandleTable *table)
{
	GHashTableIter iter;
	gpointer handles;

	g_hash_table_iter_init(&iter, table->by_node);
	if (!g_hash_table_iter_next(&iter, NULL, &handles))
		return NULL;

	return ((GPtrArray *)handles)->pdata[0];
}
