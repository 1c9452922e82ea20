/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/deed.h"

#include <errno.h>
#include <string.h>

#include "tools/fact.h"
#include "tools/tool.h"
#include "tools/undone.h"

#define NS_PER_US 1000

/* ---- reading -------------------------------------------------------------*/

static void
file_free(void *data)
{
	StoreJournalFile *file = data;

	g_free((char *)(uintptr_t)file->old_path);
	g_free((char *)(uintptr_t)file->new_path);
	g_free(file);
}

static ToolDeed *
deed_new(const StoreJournalEntry *entry)
{
	ToolDeed *deed = g_new(ToolDeed, 1);

	*deed = (ToolDeed){
		.entry = *entry,
		.files = g_ptr_array_new_with_free_func(file_free),
	};
	deed->entry.who = g_strdup(entry->who);
	deed->entry.reason = g_strdup(entry->reason);
	deed->entry.mailbags = g_strdup(entry->mailbags);
	return deed;
}

void
tool_deed_free(ToolDeed *deed)
{
	if (deed == NULL)
		return;
	g_free((char *)(uintptr_t)deed->entry.who);
	g_free((char *)(uintptr_t)deed->entry.reason);
	g_free((char *)(uintptr_t)deed->entry.mailbags);
	g_ptr_array_unref(deed->files);
	g_free(deed);
}

static void
free_deed(void *deed)
{
	tool_deed_free(deed);
}

static bool
add_file(void *user_data, const StoreJournalFile *file)
{
	StoreJournalFile *copy = g_memdup2(file, sizeof(*file));

	copy->old_path = g_strdup(file->old_path);
	copy->new_path = g_strdup(file->new_path);
	g_ptr_array_add(user_data, copy);
	return true;
}

static int
read_files(Store *store, ToolDeed *deed, GError **error)
{
	int r = store_journal_files(store, deed->entry.id, add_file,
	                            deed->files);

	return r < 0 ? tool_fail(error, r,
	                         "entry %" G_GUINT64_FORMAT
	                         " of the journal: %s",
	                         deed->entry.id, g_strerror(-r))
	             : 0;
}

typedef struct Listing {
	StoreJournalVisit *wants;
	void *user_data;
	GPtrArray *deeds;
} Listing;

static bool
list_entry(void *user_data, const StoreJournalEntry *entry)
{
	const Listing *listing = user_data;

	if (listing->wants == NULL || listing->wants(listing->user_data, entry))
		g_ptr_array_add(listing->deeds, deed_new(entry));
	return true;
}

int
tool_deeds_read(Store *store, uint64_t id, StoreJournalVisit *wants,
                void *user_data, GPtrArray **ret_deeds, GError **error)
{
	g_autoptr(GPtrArray) deeds = g_ptr_array_new_with_free_func(free_deed);
	Listing listing = { wants, user_data, deeds };
	guint i;
	int r;

	r = store_journal_list(store, id, list_entry, &listing);
	if (r < 0)
		return tool_fail(error, r, "cannot read the journal: %s",
		                 g_strerror(-r));
	for (i = 0; i < deeds->len; i++) {
		r = read_files(store, deeds->pdata[i], error);
		if (r < 0)
			return r;
	}
	*ret_deeds = g_steal_pointer(&deeds);
	return 0;
}

static bool
keep_first(void *user_data, const StoreJournalEntry *entry)
{
	*(ToolDeed **)user_data = deed_new(entry);
	return false;
}

int
tool_deed_read(Store *store, uint64_t id, ToolDeed **ret_deed, GError **error)
{
	g_autoptr(ToolDeed) deed = NULL;
	int r;

	r = store_journal_list(store, id, keep_first, &deed);
	if (r < 0)
		return tool_fail(error, r, "cannot read the journal: %s",
		                 g_strerror(-r));
	if (deed == NULL || deed->entry.id != id)
		return tool_fail(error, -ENOENT,
		                 "there is no entry %" G_GUINT64_FORMAT
		                 " in the journal",
		                 id);
	r = read_files(store, deed, error);
	if (r == 0)
		*ret_deed = g_steal_pointer(&deed);
	return r;
}

/* ---- words ---------------------------------------------------------------*/

const char *
tool_deed_outcome(const ToolDeed *deed)
{
	switch (deed->entry.outcome) {
	case STORE_COMMITTED:
		return "committed";
	case STORE_PUBLISHED:
		return "published";
	case STORE_UNDONE:
		return "undone";
	}
	g_assert_not_reached();
}

/* The path by which people know @file, without its slash. */
static const char *
path_of(const StoreJournalFile *file)
{
	const char *path =
		file->new_path[0] != '\0' ? file->new_path : file->old_path;

	return path[0] == '/' ? path + 1 : path;
}

/* Whether @path is that of a KEY or MBG, and if so of @mailbag, unless NULL. */
static bool
is_mailbag(const char *path, const char *mailbag)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	guint count = g_strv_length(parts);
	g_autofree char *suffix = NULL;
	g_autofree char *name = NULL;

	if (count < 2 || (strcmp(parts[count - 2], "KEY") != 0 &&
	                  strcmp(parts[count - 2], "MBG") != 0))
		return false;
	suffix = g_strconcat(".", parts[count - 2], NULL);
	if (!g_str_has_suffix(parts[count - 1], suffix))
		return false;
	if (mailbag == NULL)
		return true;
	name = g_strconcat(mailbag, suffix, NULL);
	return g_ascii_strcasecmp(parts[count - 1], name) == 0;
}

bool
tool_deed_is_of(const ToolDeed *deed, const char *mailbag)
{
	g_auto(GStrv) locked = g_strsplit(deed->entry.mailbags, " ", -1);
	guint i;

	for (i = 0; locked[i] != NULL; i++) {
		g_autofree char *name = g_path_get_basename(locked[i]);

		if (g_ascii_strcasecmp(name, mailbag) == 0)
			return true;
	}
	for (i = 0; i < deed->files->len; i++) {
		const StoreJournalFile *file = deed->files->pdata[i];

		if (is_mailbag(file->old_path, mailbag) ||
		    is_mailbag(file->new_path, mailbag))
			return true;
	}
	return false;
}

/* Files of one directory that are no mailbags'. */
typedef struct Group {
	guint counts[STORE_UNDONE_REMOVED + 1];
} Group;

/* The directory of @path; of MAI/MA5 and ATT/AT5 that above it. */
static char *
group_of(const char *path)
{
	g_autofree char *dir = g_path_get_dirname(path);
	g_autofree char *bucket = g_path_get_basename(dir);
	g_autofree char *above = g_path_get_dirname(dir);
	g_autofree char *name = g_path_get_basename(above);

	if (strlen(bucket) == 3 && g_str_has_prefix(name, "MAI") &&
	    g_str_has_prefix(bucket, "MA"))
		return g_steal_pointer(&above);
	if (strlen(bucket) == 3 && g_str_has_prefix(name, "ATT") &&
	    g_str_has_prefix(bucket, "AT"))
		return g_steal_pointer(&above);
	if (strcmp(dir, ".") == 0)
		return g_strdup("/");
	return g_steal_pointer(&dir);
}

static void
append_word(GString *text, const char *word)
{
	if (text->len > 0)
		g_string_append_c(text, ' ');
	g_string_append(text, word);
}

static void
append_groups(GString *text, GHashTable *groups)
{
	static const char signs[] = { [STORE_UNDONE_CREATED] = '+',
		                      [STORE_UNDONE_CHANGED] = '~',
		                      [STORE_UNDONE_RENAMED] = '>',
		                      [STORE_UNDONE_REMOVED] = '-' };
	g_autoptr(GList) names = g_hash_table_get_keys(groups);
	GList *l;
	size_t i;

	names = g_list_sort(names, (GCompareFunc)strcmp);
	for (l = names; l != NULL; l = l->next) {
		const Group *group = g_hash_table_lookup(groups, l->data);

		append_word(text, l->data);
		for (i = 0; i < G_N_ELEMENTS(signs); i++)
			if (group->counts[i] > 0)
				g_string_append_printf(text, " %c%u", signs[i],
				                       group->counts[i]);
	}
}

char *
tool_deed_summary(const ToolDeed *deed)
{
	g_autoptr(GHashTable) groups =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	GString *text = g_string_new(NULL);
	guint i;

	for (i = 0; i < deed->files->len; i++) {
		const StoreJournalFile *file = deed->files->pdata[i];
		g_autofree char *name = NULL;
		Group *group;

		if (is_mailbag(path_of(file), NULL)) {
			append_word(text, path_of(file));
			continue;
		}
		name = group_of(path_of(file));
		group = g_hash_table_lookup(groups, name);
		if (group == NULL) {
			group = g_new0(Group, 1);
			g_hash_table_insert(groups, g_steal_pointer(&name),
			                    group);
		}
		group->counts[file->what]++;
	}
	append_groups(text, groups);
	return g_string_free(text, FALSE);
}

/* ---- rows ----------------------------------------------------------------*/

static GVariant *
file_row(const StoreJournalFile *file)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

	tool_fact_text(&row, "what", tool_undone_what(file->what));
	if (file->old_path[0] != '\0') {
		tool_fact_text(&row, "old-path", file->old_path);
		tool_fact_number(&row, "old-size", file->old_size);
	}
	if (file->new_path[0] != '\0') {
		tool_fact_text(&row, "new-path", file->new_path);
		tool_fact_number(&row, "new-size", file->new_size);
	}
	return g_variant_builder_end(&row);
}

static void
add_duration(GVariantBuilder *row, const char *key, int64_t ns)
{
	g_variant_builder_add(row, "{sv}", key,
	                      g_variant_new_int64(ns / NS_PER_US));
}

GVariant *
tool_deed_row(const ToolDeed *deed, bool is_iso)
{
	const StoreJournalEntry *entry = &deed->entry;
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	GVariantBuilder files =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	guint i;

	for (i = 0; i < deed->files->len; i++)
		g_variant_builder_add_value(&files,
		                            file_row(deed->files->pdata[i]));
	tool_fact_number(&row, "id", entry->id);
	tool_fact_text(&row, "outcome", tool_deed_outcome(deed));
	tool_fact_time(&row, "begun", entry->begun_ns, is_iso);
	tool_fact_time(&row, "ended", entry->ended_ns, is_iso);
	tool_fact_number(&row, "session", entry->session);
	tool_fact_text(&row, "who", entry->who);
	tool_fact_text(&row, "mailbags", entry->mailbags);
	add_duration(&row, "held-us", entry->held_ns);
	add_duration(&row, "waited-us", entry->waited_ns);
	if (entry->outcome == STORE_UNDONE) {
		tool_fact_text(&row, "reason", entry->reason);
		tool_fact_number(&row, "quarantine", entry->undone);
	}
	tool_fact_bool(&row, "has-past", entry->has_past);
	tool_fact_number(&row, "past-bytes", entry->bytes);
	g_variant_builder_add(&row, "{sv}", "files",
	                      g_variant_builder_end(&files));
	return g_variant_builder_end(&row);
}
