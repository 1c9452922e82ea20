/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/suspect.h"

#include <string.h>

#include "tools/fact.h"
#include "tools/tool.h"
#include "tools/undone.h"

/* A transaction, and what it touched. */
typedef struct Deed {
	uint64_t id;
	char *who;    /* owned */
	char *reason; /* owned; why it was undone */
	int64_t begun_ns;
	int64_t ended_ns;
	GPtrArray *files; /* owned; of owned StoreUndoneFile, NULL until asked
	                   * for */
} Deed;

struct ToolSuspects {
	Store *store; /* borrowed */
	int64_t from_ns;
	bool is_iso;
	GArray *deeds; /* owned; of Deed, oldest first */
};

/* ---- the transactions ---------------------------------------------------- */

static void
deed_clear(void *data)
{
	Deed *deed = data;

	g_free(deed->who);
	g_free(deed->reason);
	g_clear_pointer(&deed->files, g_ptr_array_unref);
}

static bool
add_undone(void *user_data, const StoreUndone *undone)
{
	ToolSuspects *suspects = user_data;
	Deed deed = {
		.id = undone->id,
		.begun_ns = undone->begun_ns,
		.ended_ns = undone->undone_ns,
	};

	if (undone->undone_ns >= suspects->from_ns) {
		deed.who = g_strdup(undone->who);
		deed.reason = g_strdup(undone->reason);
		g_array_append_val(suspects->deeds, deed);
	}
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
	suspects->deeds = g_array_new(FALSE, FALSE, sizeof(Deed));
	g_array_set_clear_func(suspects->deeds, deed_clear);
	r = store_quarantine_list(store, add_undone, suspects);
	if (r < 0)
		return tool_fail(error, r, "cannot read the quarantine: %s",
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
	g_free(suspects);
}

/* ---- what they touched --------------------------------------------------- */

/* Whether @path leads to a file whose name has the stem of @name: a KEY and
 * its MBG, a MAI and its P1 go together. */
static bool
is_related(const char *path, const char *name)
{
	const char *file = strrchr(path, '/');
	size_t length = strcspn(name, ".");

	file = file != NULL ? file + 1 : path;
	return strcspn(file, ".") == length &&
	       g_ascii_strncasecmp(file, name, length) == 0;
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

static const char *
what_text(StoreUndoneWhat what)
{
	switch (what) {
	case STORE_UNDONE_CREATED:
		return "created";
	case STORE_UNDONE_CHANGED:
		return "changed";
	case STORE_UNDONE_RENAMED:
		return "renamed";
	case STORE_UNDONE_REMOVED:
		return "removed";
	}
	g_assert_not_reached();
}

/* Adds to @text what @deed did to the files that @entry names. */
static void
add_files(const Deed *deed, const FormatLogEntry *entry, GString *text)
{
	guint i;

	for (i = 0; i < deed->files->len; i++) {
		const StoreUndoneFile *file = deed->files->pdata[i];

		if (is_named(entry, file->path))
			g_string_append_printf(
				text, "%s%s %s", text->len > 0 ? ", " : "",
				what_text(file->what), file->path);
	}
}

/* ---- finding ------------------------------------------------------------- */

static void
add_row(const Deed *deed, const char *files, bool is_iso, GVariantBuilder *rows)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

	tool_fact_number(&row, "quarantine", deed->id);
	tool_fact_text(&row, "who", deed->who);
	tool_fact_text(&row, "reason", deed->reason);
	tool_fact_time(&row, "begun", deed->begun_ns, is_iso);
	tool_fact_time(&row, "ended", deed->ended_ns, is_iso);
	tool_fact_text(&row, "files", files);
	g_variant_builder_add_value(rows, g_variant_builder_end(&row));
}

/* Reads the files of @deed, if that is not done yet. */
static int
need_files(Store *store, Deed *deed, GError **error)
{
	return deed->files != NULL ? 0
	                           : tool_undone_files(store, deed->id,
	                                               &deed->files, error);
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

		if (deed->ended_ns < from_ns || deed->begun_ns > to_ns)
			continue;
		r = need_files(suspects->store, deed, error);
		if (r < 0)
			return r;
		add_files(deed, entry, files);
		if (files->len > 0) {
			add_row(deed, files->str, suspects->is_iso, &rows);
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

char *
tool_suspect_text(GVariant *row)
{
	guint64 id = 0;

	(void)g_variant_lookup(row, "quarantine", "t", &id);
	return g_strdup_printf("%s to %s  %s, undone: %s; %s "
	                       "(poctl quarantine show STORE %" G_GUINT64_FORMAT
	                       ")",
	                       row_text(row, "begun"), row_text(row, "ended"),
	                       row_text(row, "who"), row_text(row, "reason"),
	                       row_text(row, "files"), id);
}
