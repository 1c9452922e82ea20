/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/suspect.h"

#include <string.h>

#include "store/journal.h"
#include "tools/fact.h"
#include "tools/tool.h"
#include "tools/undone.h"

#define NS_PER_US 1000

/* What a transaction did with one file, in words. */
typedef struct Touch {
	char *path; /* owned */
	const char *what;
} Touch;

/* A transaction, and what it touched. Its texts are in the suspects' chunk. */
typedef struct Deed {
	StoreJournalEntry entry;
	GArray *touches; /* owned; of Touch, NULL until asked for */
} Deed;

struct ToolSuspects {
	Store *store; /* borrowed */
	int64_t from_ns;
	bool is_iso;
	GStringChunk *texts; /* owned */
	GArray *deeds;       /* owned; of Deed, oldest first */
};

/* ---- the transactions ---------------------------------------------------- */

static void
deed_clear(void *data)
{
	Deed *deed = data;

	g_clear_pointer(&deed->touches, g_array_unref);
}

static bool
add_deed(void *user_data, const StoreJournalEntry *entry)
{
	ToolSuspects *suspects = user_data;
	Deed deed = { .entry = *entry };

	if (entry->ended_ns < suspects->from_ns)
		return true;
	deed.entry.who =
		g_string_chunk_insert_const(suspects->texts, entry->who);
	deed.entry.reason =
		g_string_chunk_insert_const(suspects->texts, entry->reason);
	deed.entry.mailbags =
		g_string_chunk_insert_const(suspects->texts, entry->mailbags);
	g_array_append_val(suspects->deeds, deed);
	return true;
}

int
tool_suspects_read(Store *store, int64_t from_ns, bool is_iso,
                   ToolSuspects **ret_suspects, GError **error)
{
	g_autoptr(ToolSuspects) suspects = g_new0(ToolSuspects, 1);
	int r;

	suspects->store = store;
	suspects->from_ns = from_ns;
	suspects->is_iso = is_iso;
	suspects->texts = g_string_chunk_new(4096);
	suspects->deeds = g_array_new(FALSE, FALSE, sizeof(Deed));
	g_array_set_clear_func(suspects->deeds, deed_clear);
	r = store_journal_list(store, 0, add_deed, suspects);
	if (r < 0)
		return tool_fail(error, r, "cannot read the journal: %s",
		                 g_strerror(-r));
	*ret_suspects = g_steal_pointer(&suspects);
	return 0;
}

void
tool_suspects_free(ToolSuspects *suspects)
{
	if (suspects == NULL)
		return;
	g_array_unref(suspects->deeds);
	g_string_chunk_free(suspects->texts);
	g_free(suspects);
}

/* ---- what they touched --------------------------------------------------- */

static void
touch_clear(void *data)
{
	Touch *touch = data;

	g_free(touch->path);
}

static bool
add_touch(void *user_data, const StoreJournalFile *file)
{
	const char *path =
		file->new_path[0] != '\0' ? file->new_path : file->old_path;
	Touch touch = { g_strdup(path), tool_undone_what(file->what) };

	g_array_append_val((GArray *)user_data, touch);
	return true;
}

/* Reads what @deed touched, if that is not done yet. */
static int
need_touches(Store *store, Deed *deed, GError **error)
{
	int r;

	if (deed->touches != NULL)
		return 0;
	deed->touches = g_array_new(FALSE, FALSE, sizeof(Touch));
	g_array_set_clear_func(deed->touches, touch_clear);
	r = store_journal_files(store, deed->entry.id, add_touch,
	                        deed->touches);
	if (r < 0)
		return tool_fail(error, r, "cannot read the journal: %s",
		                 g_strerror(-r));
	return 0;
}

/* ---- what is named ------------------------------------------------------- */

/* Whether @path leads to a file whose name has the stem of @name: a KEY and
 * its MBG, a MAI and its P1 go together, and both inqueues, which have one
 * lock. */
static bool
is_related(const char *path, const char *name)
{
	const char *file = strrchr(path, '/');
	g_autofree char *stem = NULL;
	g_autofree char *wanted = g_strndup(name, strcspn(name, "."));

	file = file != NULL ? file + 1 : path;
	stem = g_strndup(file, strcspn(file, "."));
	return g_ascii_strcasecmp(stem, wanted) == 0 ||
	       (layout_is_inqueue(stem) && layout_is_inqueue(wanted));
}

/* Whether the one of @path is among those that @entry names; if it names none,
 * any is. */
static bool
is_named(const FormatLogEntry *entry, const char *path)
{
	char name[FORMAT_LOG_NAME_SIZE];
	bool names_any = false;
	size_t at = 0;

	while (format_log_name_next(entry->text, entry->size, &at, name)) {
		if (is_related(path, name))
			return true;
		names_any = true;
	}
	return !names_any;
}

/* Whether @deed had the lock of a mailbag that @entry names. */
static bool
has_mailbag(const Deed *deed, const FormatLogEntry *entry)
{
	g_auto(GStrv) paths = g_strsplit_set(deed->entry.mailbags, " ,", -1);
	size_t i = 0;

	while (paths[i] != NULL &&
	       (paths[i][0] == '\0' || !is_named(entry, paths[i])))
		i++;
	return paths[i] != NULL;
}

/* Adds to @text what @deed did to the files that @entry names. */
static void
add_touches(const Deed *deed, const FormatLogEntry *entry, GString *text)
{
	guint i;

	for (i = 0; i < deed->touches->len; i++) {
		const Touch *touch = &g_array_index(deed->touches, Touch, i);

		if (is_named(entry, touch->path))
			g_string_append_printf(text, "%s%s %s",
			                       text->len > 0 ? ", " : "",
			                       touch->what, touch->path);
	}
}

/* ---- finding ------------------------------------------------------------- */

static const char *
outcome_text(StoreOutcome outcome)
{
	switch (outcome) {
	case STORE_COMMITTED:
	case STORE_PUBLISHED:
		return "committed";
	case STORE_UNDONE:
		return "undone";
	}
	g_assert_not_reached();
}

static void
add_row(const ToolSuspects *suspects, const Deed *deed, const char *files,
        GVariantBuilder *rows)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	const StoreJournalEntry *entry = &deed->entry;

	tool_fact_number(&row, "id", entry->id);
	tool_fact_text(&row, "who", entry->who);
	tool_fact_number(&row, "session", entry->session);
	tool_fact_text(&row, "outcome", outcome_text(entry->outcome));
	tool_fact_text(&row, "reason", entry->reason);
	tool_fact_time(&row, "begun", entry->begun_ns, suspects->is_iso);
	tool_fact_time(&row, "ended", entry->ended_ns, suspects->is_iso);
	g_variant_builder_add(&row, "{sv}", "held",
	                      g_variant_new_int64(entry->held_ns / NS_PER_US));
	g_variant_builder_add(
		&row, "{sv}", "waited",
		g_variant_new_int64(entry->waited_ns / NS_PER_US));
	tool_fact_text(&row, "mailbags", entry->mailbags);
	tool_fact_text(&row, "files", files);
	g_variant_builder_add_value(rows, g_variant_builder_end(&row));
}

/* Whether @deed was under way, or had its locks, in that time. */
static bool
is_within(const Deed *deed, int64_t from_ns, int64_t to_ns)
{
	const StoreJournalEntry *entry = &deed->entry;

	return entry->ended_ns >= from_ns &&
	       MIN(entry->begun_ns, entry->ended_ns - entry->held_ns) <= to_ns;
}

int
tool_suspects_find(ToolSuspects *suspects, int64_t from_ns, int64_t to_ns,
                   const FormatLogEntry *entry, GVariant **ret_rows,
                   GError **error)
{
	g_auto(GVariantBuilder) rows =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	unsigned count = 0;
	guint i;
	int r;

	for (i = 0; i < suspects->deeds->len && count < TOOL_SUSPECTS_MAX;
	     i++) {
		Deed *deed = &g_array_index(suspects->deeds, Deed, i);
		g_autoptr(GString) files = g_string_new(NULL);

		if (!is_within(deed, from_ns, to_ns))
			continue;
		r = need_touches(suspects->store, deed, error);
		if (r < 0)
			return r;
		add_touches(deed, entry, files);
		if (files->len > 0 || has_mailbag(deed, entry)) {
			add_row(suspects, deed, files->str, &rows);
			count++;
		}
	}
	*ret_rows = g_variant_ref_sink(g_variant_builder_end(&rows));
	return 0;
}

/* The text that @row has under @key, which must be there. */
static const char *
row_text(GVariant *row, const char *key)
{
	const char *text = "";

	(void)g_variant_lookup(row, key, "&s", &text);
	return text;
}

static gint64
row_us(GVariant *row, const char *key)
{
	gint64 us = 0;

	(void)g_variant_lookup(row, key, "x", &us);
	return us;
}

char *
tool_suspect_text(GVariant *row)
{
	const char *mailbags = row_text(row, "mailbags");
	const char *reason = row_text(row, "reason");
	const char *files = row_text(row, "files");
	GString *text = g_string_new(NULL);
	guint64 id = 0;

	(void)g_variant_lookup(row, "id", "t", &id);
	g_string_append_printf(text, "%s  %s", row_text(row, "ended"),
	                       row_text(row, "who"));
	if (mailbags[0] != '\0')
		g_string_append_printf(
			text, " had %s for %.1f s, waited %.1f s", mailbags,
			(double)row_us(row, "held") / G_USEC_PER_SEC,
			(double)row_us(row, "waited") / G_USEC_PER_SEC);
	if (files[0] != '\0')
		g_string_append_printf(text, ", %s", files);
	g_string_append_printf(text,
	                       "; %s%s%s "
	                       "(poctl show STORE %" G_GUINT64_FORMAT ")",
	                       row_text(row, "outcome"),
	                       reason[0] != '\0' ? ": " : "", reason, id);
	return g_string_free(text, FALSE);
}
