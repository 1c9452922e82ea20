/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/apply.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "store/journal.h"
#include "tools/access.h"
#include "tools/fact.h"
#include "tools/live.h"
#include "tools/rows.h"
#include "tools/target.h"

/* How often it looks at most: a busy queue rests now and then. */
#define LOOKS_MAX 10

int
tool_apply_options(const ToolCommand *command, const GOptionEntry *entries,
                   char **argv, ToolApply *apply, ToolOptions *ret_options,
                   GError **error)
{
	const GOptionEntry common[] = {
		{ "config", 0, 0, G_OPTION_ARG_FILENAME, &apply->choice.config,
		  "Take the layout of KEY files from this file", "FILE" },
		{ "dry-run", 'n', 0, G_OPTION_ARG_NONE, &apply->is_dry_run,
		  "Only say what would be changed", NULL },
		{ "snapshot", 0, 0, G_OPTION_ARG_FILENAME, &apply->snapshot,
		  "Copy what is changed to a new directory first", "DIR" },
	};
	g_autoptr(GArray) all = g_array_new(TRUE, FALSE, sizeof(GOptionEntry));
	int r;

	g_array_append_vals(all, common, G_N_ELEMENTS(common));
	for (size_t i = 0; entries[i].long_name != NULL; i++)
		g_array_append_vals(all, &entries[i], 1);
	r = tool_options_read(command, (const GOptionEntry *)all->data, argv,
	                      ret_options, error);
	if (r < 0 || ret_options->done)
		return r;
	apply->store = ret_options->arguments[0];
	return apply->snapshot != NULL
	               ? tool_target_check(apply->store, apply->snapshot, error)
	               : 0;
}

void
tool_apply_clear(ToolApply *apply)
{
	g_free(apply->choice.config);
	g_free(apply->choice.folder);
	g_free(apply->snapshot);
	tool_snapshot_free(apply->copies);
	if (apply->rows != NULL)
		g_ptr_array_unref(apply->rows);
	if (apply->entries != NULL)
		g_array_unref(apply->entries);
}

/* ---- planning ------------------------------------------------------------- */

int
tool_apply_mailbag(const ToolOffices *offices, const char *name,
                   GPtrArray **ret_all, const ToolMailbag **ret_mailbag,
                   GError **error)
{
	g_autoptr(GPtrArray) all = NULL;
	const ToolOffice *office;
	const char *rest;
	int r;

	r = tool_offices_choose(offices, name, &office, &rest, error);
	if (r < 0)
		return r;
	r = tool_mailbag_list(office, &all);
	if (r < 0)
		return tool_fail(error, r, "cannot read the mailbags: %s",
		                 g_strerror(-r));

	for (guint i = 0; i < all->len; i++) {
		const ToolMailbag *mailbag = all->pdata[i];

		if (g_ascii_strcasecmp(mailbag->name, rest) == 0) {
			*ret_mailbag = mailbag;
			*ret_all = g_steal_pointer(&all);
			return 0;
		}
	}
	return tool_fail(error, -ENOENT, "there is no mailbag %s", name);
}

const char *
tool_apply_certainty(const ToolMailbag *mailbag)
{
	if (!mailbag->has_bits)
		return "its KEY does not tell";
	return mailbag->office->layout->is_confirmed ? "confirmed" : "assumed";
}

int
tool_apply_add(StoreEdits *edits, const ToolOffice *office, StoreEditKind kind,
               const char *path, uint64_t offset, GBytes *bytes, GError **error)
{
	g_autofree char *name = tool_office_name(office, path);
	g_autofree char *full = g_strconcat("/", name, NULL);
	int r;

	r = store_edits_add(edits, office->txn, kind, full, offset, bytes);
	if (r < 0)
		return tool_fail(error, r, "%s: %s", full, g_strerror(-r));
	return 0;
}

int
tool_apply_expect_key(StoreEdits *edits, const ToolMailbag *mailbag,
                      GError **error)
{
	g_autofree char *path = g_strdup_printf("KEY/%s.KEY", mailbag->name);

	return mailbag->key.node == 0 ? 0
	                              : tool_apply_add(edits, mailbag->office,
	                                               STORE_EDIT_EXPECT, path,
	                                               0, NULL, error);
}

static int
expect_mailbag(StoreEdits *edits, const ToolMailbag *mailbag, GError **error)
{
	g_autofree char *path = g_strdup_printf("MBG/%s.MBG", mailbag->name);
	int r = tool_apply_expect_key(edits, mailbag, error);

	return r < 0 || mailbag->mbg.node == 0
	               ? r
	               : tool_apply_add(edits, mailbag->office,
	                                STORE_EDIT_EXPECT, path, 0, NULL,
	                                error);
}

int
tool_apply_expect_mailbags(StoreEdits *edits, const GPtrArray *mailbags,
                           ToolMailbags which, GError **error)
{
	int r = 0;

	for (guint i = 0; r == 0 && i < mailbags->len; i++) {
		const ToolMailbag *mailbag = mailbags->pdata[i];

		if (which == TOOL_MAILBAGS_ALL ||
		    mailbag->kind == TOOL_MAILBAG_INQUEUE)
			r = expect_mailbag(edits, mailbag, error);
	}
	return r;
}

int
tool_apply_add_mailbag(StoreEdits *edits, const ToolMailbag *mailbag,
                       GBytes *key, GBytes *mbg, GError **error)
{
	g_autofree char *key_path =
		g_strdup_printf("KEY/%s.KEY", mailbag->name);
	g_autofree char *mbg_path =
		g_strdup_printf("MBG/%s.MBG", mailbag->name);
	int r;

	r = tool_apply_add(edits, mailbag->office, STORE_EDIT_WRITE, mbg_path,
	                   0, mbg, error);
	return r < 0 ? r
	             : tool_apply_add(edits, mailbag->office, STORE_EDIT_WRITE,
	                              key_path, 0, key, error);
}

/* ---- applying ------------------------------------------------------------- */

static int
stale_fail(GError **error, const char *reason)
{
	return tool_fail(error, -ESTALE, "%s", reason);
}

/* Whose the change is: so the daemon calls it, too. */
static char *
who_text(const ToolApply *apply)
{
	g_autofree char *what = g_strescape(apply->what, NULL);

	return g_strdup_printf("poctl, process %d: %s", (int)getpid(), what);
}

/* Without a daemon, nobody else writes to the store. */
static int
apply_here(const ToolApply *apply, const StoreEdits *edits, GError **error)
{
	g_autofree char *who = who_text(apply);
	g_autofree char *reason = NULL;
	g_autoptr(Store) store = NULL;
	g_autoptr(StoreTxn) txn = NULL;
	int r;

	r = tool_access_open(apply->store, STORE_WRITE, &store, error);
	if (r < 0)
		return r;
	r = store_txn_begin(store, who, &txn);
	if (r == 0)
		r = store_edits_apply(txn, edits, &reason);
	if (r == 0)
		r = store_txn_commit_wait(&txn);
	if (r < 0) {
		g_clear_pointer(&txn, store_txn_abort);
		return tool_fail(error, r, "%s",
		                 reason != NULL ? reason : g_strerror(-r));
	}
	return tool_access_close(&store, error);
}

static int
apply_there(const ToolApply *apply, const StoreEdits *edits, GError **error)
{
	g_autoptr(GBytes) bytes = store_edits_encode(edits);
	g_autoptr(GVariant) answer = NULL;
	const char *reason;
	int r;

	r = tool_live_send(apply->store, "edit", apply->what, bytes, "a{sv}",
	                   &answer, error);
	if (r == 0 && g_variant_lookup(answer, "stale", "&s", &reason))
		return stale_fail(error, reason);
	return r;
}

/* The last entry of @who. */
typedef struct Entry {
	const char *who;
	uint64_t id;
} Entry;

static bool
entry_keep(void *user_data, const StoreJournalEntry *entry)
{
	Entry *found = user_data;

	if (strncmp(entry->who, found->who, STORE_JOURNAL_LINE_MAX) == 0)
		found->id = entry->id;
	return true;
}

/* Entry @i, or 0 if there is none. */
static uint64_t
entry_at(const ToolApply *apply, guint i)
{
	return apply->entries != NULL && i < apply->entries->len
	               ? g_array_index(apply->entries, uint64_t, i)
	               : 0;
}

static guint
entry_count(const ToolApply *apply)
{
	return apply->entries != NULL ? apply->entries->len : 0;
}

/* Finds the change in the journal; that it cannot be found does no harm. */
static void
entry_find(ToolApply *apply)
{
	uint64_t last = entry_at(apply, entry_count(apply) - 1);
	g_autofree char *who = who_text(apply);
	g_autoptr(Store) store = NULL;
	Entry entry = { .who = who };

	if (tool_access_open(apply->store, STORE_READ, &store, NULL) < 0 ||
	    store_journal_list(store, last + 1, entry_keep, &entry) < 0 ||
	    entry.id == 0)
		return;
	if (apply->entries == NULL)
		apply->entries = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_array_append_val(apply->entries, entry.id);
}

static int
edits_apply(const ToolApply *apply, const StoreEdits *edits, GError **error)
{
	g_autoptr(GError) problem = NULL;
	int r;

	r = apply_there(apply, edits, &problem);
	if (r == -ENOTCONN)
		return apply_here(apply, edits, error);
	if (r < 0)
		g_propagate_error(error, g_steal_pointer(&problem));
	return r;
}

/* ---- as it was ------------------------------------------------------------ */

static int
copies_take(ToolApply *apply, Store *store, const StoreEdits *edits,
            GError **error)
{
	if (apply->copies == NULL)
		apply->copies = tool_snapshot_new(apply->snapshot);
	return tool_snapshot_take(apply->copies, store, edits, error);
}

/* Carries out @edits. Of another error than that files have changed, nobody knows
 * for certain that nothing was done. */
static int
edits_finish(ToolApply *apply, const StoreEdits *edits, GError **error)
{
	int r = edits_apply(apply, edits, error);

	if (apply->copies != NULL && r == -ESTALE)
		tool_snapshot_discard(apply->copies);
	else if (apply->copies != NULL)
		tool_snapshot_keep(apply->copies);
	return r;
}

/* ---- saying --------------------------------------------------------------- */

static const char *
change_text(const StoreEdit *edit)
{
	if (edit->kind == STORE_EDIT_REMOVE)
		return "removed";
	if (edit->kind == STORE_EDIT_UNDO)
		return "put back";
	if (edit->kind == STORE_EDIT_ATTR)
		return "attributes";
	return edit->node == 0 ? "created" : "written";
}

/* The size of @edit's file afterwards. */
static uint64_t
size_after(const StoreEdit *edit)
{
	uint64_t size = edit->bytes != NULL ? g_bytes_get_size(edit->bytes) : 0;

	if (edit->kind == STORE_EDIT_ATTR)
		return edit->size;
	return edit->kind == STORE_EDIT_PATCH
	               ? MAX(edit->size, edit->offset + size)
	               : size;
}

static GVariant *
change_row(const StoreEdit *edit)
{
	GVariantBuilder row = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

	tool_fact_text(&row, "change", change_text(edit));
	tool_fact_text(&row, "path", edit->path);
	if (edit->node != 0)
		tool_fact_number(&row, "size-before", edit->size);
	if (edit->kind != STORE_EDIT_REMOVE && edit->kind != STORE_EDIT_UNDO)
		tool_fact_number(&row, "size-after", size_after(edit));
	return g_variant_builder_end(&row);
}

/* Whether there is to be a row for the edit @i: attributes come with a content,
 * as a rule. */
static bool
is_told(const StoreEdits *edits, size_t i)
{
	const StoreEdit *edit = store_edits_at(edits, i);

	if (edit->kind == STORE_EDIT_ATTR)
		return i == 0 || strcmp(store_edits_at(edits, i - 1)->path,
		                        edit->path) != 0;
	return edit->kind != STORE_EDIT_EXPECT;
}

static void
rows_add(ToolApply *apply, const StoreEdits *edits)
{
	if (apply->rows == NULL)
		apply->rows = g_ptr_array_new_with_free_func(
			(GDestroyNotify)g_variant_unref);
	for (size_t i = 0; i < store_edits_count(edits); i++) {
		if (is_told(edits, i))
			g_ptr_array_add(apply->rows,
			                g_variant_ref_sink(change_row(
						store_edits_at(edits, i))));
	}
}

/* The entries in words: "7", "7 to 9 and 11". Caller frees. */
static char *
entries_text(const ToolApply *apply)
{
	GString *text = g_string_new(NULL);
	guint next;

	for (guint i = 0; i < entry_count(apply); i = next) {
		uint64_t first = entry_at(apply, i);

		next = i + 1;
		while (entry_at(apply, next) == first + next - i)
			next++;
		if (i > 0)
			g_string_append(text, next < entry_count(apply)
			                              ? ", "
			                              : " and ");
		g_string_append_printf(text, "%" G_GUINT64_FORMAT, first);
		if (next - i > 1)
			g_string_append_printf(text, " to %" G_GUINT64_FORMAT,
			                       first + next - i - 1);
	}
	return g_string_free(text, FALSE);
}

static void
say_entries(const ToolApply *apply)
{
	g_autofree char *text = entries_text(apply);

	if (entry_count(apply) == 1)
		tool_say("It is entry %s of the journal.", text);
	else if (entry_count(apply) > 1)
		tool_say("They are entries %s of the journal.", text);
}

static void
print_json(const ToolApply *apply)
{
	g_autoptr(ToolJson) json = tool_json_new();

	tool_json_list_begin(json, "changes");
	for (guint i = 0; i < apply->rows->len; i++) {
		tool_json_object_begin(json, NULL);
		tool_row_json(json, apply->rows->pdata[i]);
		tool_json_object_end(json);
	}
	tool_json_list_end(json);
	if (entry_count(apply) > 0)
		tool_json_number(json, "entry",
		                 entry_at(apply, entry_count(apply) - 1));
	tool_json_list_begin(json, "entries");
	for (guint i = 0; i < entry_count(apply); i++)
		tool_json_number(json, NULL, entry_at(apply, i));
	tool_json_list_end(json);
	tool_json_print(&json);
}

void
tool_apply_print(const ToolApply *apply, const ToolOptions *options,
                 const char *format, ...)
{
	static const ToolColumn columns[] = {
		{ "change", "CHANGE", NULL, NULL },
		{ "path", "PATH", NULL, NULL },
		{ "size-before", "BEFORE", NULL, NULL },
		{ "size-after", "AFTER", NULL, NULL },
		{ NULL },
	};
	g_autoptr(GVariant) rows = g_variant_ref_sink(g_variant_new_array(
		G_VARIANT_TYPE_VARDICT, (GVariant *const *)apply->rows->pdata,
		apply->rows->len));
	g_autofree char *sentence = NULL;
	va_list args;

	va_start(args, format);
	sentence = g_strdup_vprintf(format, args);
	va_end(args);
	if (options->json) {
		print_json(apply);
		return;
	}
	if (options->quiet)
		return;
	if ((apply->is_dry_run || apply->is_listed) && apply->rows->len > 0)
		tool_rows_print(rows, columns);
	tool_say("%s%s", apply->is_dry_run ? "Not done: " : "", sentence);
	say_entries(apply);
}

/* ---- looking -------------------------------------------------------------- */

/* Looks once, and does what is to be done. */
static int
look(ToolApply *apply, ToolPlan *plan, void *user_data, size_t *ret_count,
     GError **error)
{
	g_autoptr(StoreEdits) edits = store_edits_new();
	g_auto(ToolOffices) offices = { 0 };
	int r;

	/* If that cannot be had, it is looked at as it is. */
	(void)tool_live_catch_up(apply->store, NULL);
	r = tool_offices_open(apply->store, &apply->choice, &offices, error);
	if (r == 0)
		r = plan(user_data, &offices, edits, error);
	if (r == 0 && !apply->is_dry_run && apply->snapshot != NULL)
		r = copies_take(apply, offices.store, edits, error);

	/* A process may have a store open only once. */
	tool_offices_close(&offices);
	if (r == 0 && !apply->is_dry_run && store_edits_count(edits) > 0)
		r = edits_finish(apply, edits, error);
	if (r < 0)
		return r;

	if (!apply->is_dry_run && store_edits_count(edits) > 0)
		entry_find(apply);
	rows_add(apply, edits);
	*ret_count = store_edits_count(edits);
	return 0;
}

int
tool_apply(ToolApply *apply, ToolPlan *plan, void *user_data, size_t *ret_count,
           GError **error)
{
	unsigned looks = apply->has_records ? 1 : LOOKS_MAX;
	g_autoptr(GError) problem = NULL;
	int r = -ESTALE;

	for (unsigned i = 0; r == -ESTALE && i < looks; i++) {
		g_clear_error(&problem);
		r = look(apply, plan, user_data, ret_count, &problem);
	}
	if (r == -ESTALE)
		return tool_fail(error, r, "nothing was changed: %s, %s",
		                 problem->message,
		                 apply->has_records
		                         ? "and its records may have other "
		                           "numbers now: look again"
		                         : "again and again");
	if (r < 0)
		g_propagate_error(error, g_steal_pointer(&problem));
	return r;
}
