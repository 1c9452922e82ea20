/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <glib.h>

#include "tests/unit/turmoil.h"

/* What an entry has. */
typedef struct Entry {
	uint64_t id;
	uint64_t bytes;
	char who[16];
	StoreNode files[WORLD_FILES]; /* 0: none */
} Entry;

static bool
add_entry(void *user_data, const StoreUndone *undone)
{
	Entry entry = { .id = undone->id, .bytes = undone->bytes };

	g_strlcpy(entry.who, undone->who, sizeof(entry.who));
	g_array_append_val((GArray *)user_data, entry);
	return true;
}

static bool
add_entry_file(void *user_data, const StoreUndoneFile *file)
{
	Entry *entry = user_data;

	if (S_ISREG(file->mode) && file->what != STORE_UNDONE_REMOVED)
		entry->files[*(strchr(file->path, '\0') - 1) - '0'] =
			file->node;
	return true;
}

static GArray *
entries(Turmoil *t)
{
	GArray *found = g_array_new(FALSE, FALSE, sizeof(Entry));

	assert_int_equal(store_quarantine_list(t->b->store, add_entry, found),
	                 0);
	return found;
}

/* Whether the quarantine has just what @set is about, as far as it is new. */
static bool
entry_has(Turmoil *t, const Entry *entry, const WorldSet *set)
{
	guint i;

	for (i = 0; i < WORLD_FILES; i++) {
		const WorldFile *file = &set->of[i];
		uint8_t *got = t->world->got;
		size_t size = 0;

		if (!set->is_new[i] || file->number == 0)
			continue;
		if (entry->files[i] == 0)
			return false;
		assert_int_equal(store_quarantine_read(t->b->store, entry->id,
		                                       entry->files[i], 0, got,
		                                       WORLD_SIZE_MAX + 1,
		                                       &size),
		                 0);
		if (size != file->size ||
		    memcmp(got, world_bytes(file->number), size) != 0)
			return false;
	}
	return true;
}

static void
check_entry(Turmoil *t, Entry *entry, GHashTable *found)
{
	TurmoilFate *fate = g_hash_table_lookup(t->fates, entry->who);
	guint i;

	assert_non_null(fate);
	if (!g_hash_table_add(found, fate->who))
		fail_msg("%s has two entries", fate->who);
	if (!fate->may_have || fate->is_done)
		fail_msg("%s has an entry", fate->who);
	assert_int_equal(store_quarantine_files(t->b->store, entry->id,
	                                        add_entry_file, entry),
	                 0);
	for (i = 0; i < fate->sets->len; i++)
		if (entry_has(t, entry,
		              &g_array_index(fate->sets, WorldSet, i)))
			return;
	fail_msg("the entry of %s has not what it had staged", fate->who);
}

/* Each entry is what a transaction had, and those that were on disk are there;
 * from now on, all are. */
void
turmoil_check_undone(Turmoil *t)
{
	g_autoptr(GHashTable) found = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GArray) list = entries(t);
	StoreVitals vitals;
	GHashTableIter iter;
	uint64_t bytes = 0;
	void *value;
	guint i;

	for (i = 0; i < list->len; i++) {
		check_entry(t, &g_array_index(list, Entry, i), found);
		bytes += g_array_index(list, Entry, i).bytes;
	}
	assert_int_equal(store_vitals(t->b->store, &vitals), 0);
	assert_int_equal(vitals.undone, list->len);
	assert_int_equal(vitals.undone_bytes, bytes);
	g_hash_table_iter_init(&iter, t->fates);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		TurmoilFate *fate = value;
		bool is_there = g_hash_table_contains(found, fate->who);

		if (fate->is_kept && !is_there)
			fail_msg("the entry of %s is gone", fate->who);
		fate->is_kept = is_there && !t->has_little;
	}
}

void
turmoil_discard(Turmoil *t)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(Entry));
	guint i;

	(void)store_quarantine_list(t->b->store, add_entry, list);
	for (i = 0; i < list->len; i++) {
		const Entry *entry = &g_array_index(list, Entry, i);
		TurmoilFate *fate = g_hash_table_lookup(t->fates, entry->who);

		if (turmoil_any(t, 2) == 0 &&
		    store_quarantine_discard(t->b->store, entry->id) == 0)
			fate->is_kept = false;
	}
}

void
turmoil_check_kept(Turmoil *t, uint64_t id)
{
	g_autoptr(GArray) list = entries(t);
	guint i = 0;

	while (i < list->len && g_array_index(list, Entry, i).id != id)
		i++;
	assert_true(i < list->len);
}

void
turmoil_discard_all(Turmoil *t)
{
	g_autoptr(GArray) list = entries(t);
	guint i;

	for (i = 0; i < list->len; i++)
		assert_int_equal(
			store_quarantine_discard(
				t->b->store, g_array_index(list, Entry, i).id),
			0);
}
