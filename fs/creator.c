/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/creator.h"

struct FsCreators {
	GHashTable *by_session; /* serial -> set of nodes; both owned */
};

static void
set_free(void *set)
{
	g_hash_table_unref(set);
}

FsCreators *
fs_creators_new(void)
{
	FsCreators *creators = g_new(FsCreators, 1);

	creators->by_session = g_hash_table_new_full(
		g_int64_hash, g_int64_equal, g_free, set_free);
	return creators;
}

void
fs_creators_free(FsCreators *creators)
{
	if (creators == NULL)
		return;

	g_hash_table_unref(creators->by_session);
	g_free(creators);
}

void
fs_creators_add(FsCreators *creators, uint64_t session, uint64_t node)
{
	GHashTable *nodes = g_hash_table_lookup(creators->by_session, &session);

	if (nodes == NULL) {
		nodes = g_hash_table_new_full(g_int64_hash, g_int64_equal,
		                              g_free, NULL);
		g_hash_table_insert(creators->by_session,
		                    g_memdup2(&session, sizeof session), nodes);
	}

	if (g_hash_table_size(nodes) >= FS_CREATOR_NODES_MAX)
		g_hash_table_remove_all(nodes);
	g_hash_table_add(nodes, g_memdup2(&node, sizeof node));
}

bool
fs_creators_has(const FsCreators *creators, uint64_t session, uint64_t node)
{
	GHashTable *nodes = g_hash_table_lookup(creators->by_session, &session);

	return nodes != NULL && g_hash_table_contains(nodes, &node);
}

void
fs_creators_end(FsCreators *creators, uint64_t session)
{
	g_hash_table_remove(creators->by_session, &session);
}
