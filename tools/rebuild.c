/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include <glib.h>

#include "store/format/mai.h"
#include "store/format/name.h"
#include "tools/apply.h"
#include "tools/record_list.h"
#include "tools/tool.h"

/*
 * How a mailbag is rebuilt
 *
 * - The records that are live, as far as the KEY tells, and whose message is
 *   there, in an inqueue with its envelope, become a new MBG, in their order,
 *   each once; or those that the administrator names. A message in the wrong
 *   directory is there: without its record nobody would know whose it is.
 * - In the KEY they are the first, and live; the bits behind them are zero, as
 *   a reset leaves them (Q104279). The other 48 bytes are not public: they stay
 *   as they are, for there are also the flags that say whether there is mail to
 *   be sent (Q77628). So the counters of new and unread messages may be too
 *   high until the mailbag's program counts again.
 * - A message that is missing may be replaced by a copy of a stub. What it says
 *   is enciphered in a way that is not public, so that only a mail program can
 *   have made it.
 */

/* Largest message that is taken for a stub, in bytes. */
#define STUB_SIZE_MAX ((gsize)64 << 10)

typedef struct Rebuild {
	const char *mailbag; /* of the command line */
	char *keep;          /* records to be kept, of the command line */
	ToolRecordList list; /* the same */
	char *stub;          /* a file with the stub */
	GBytes *stub_bytes;  /* owned; NULL: there is none */

	/* Of one look. */
	GArray *records;   /* ToolRecord: those to be kept; owned */
	GHashTable *stubs; /* stem -> how many records have it; owned */
	GHashTable
		*seen;   /* set of the records that are kept, as bytes; owned */
	uint32_t before; /* records that there were */
	uint32_t missing; /* left out, as their message or P1 is missing */
	uint32_t copies;  /* left out, as they were there already */
	const char *certainty;
} Rebuild;

/* ---- stubs ---------------------------------------------------------------- */

static int
stub_read(Rebuild *rebuild, GError **error)
{
	g_autoptr(GError) problem = NULL;
	FormatMaiReport report;
	uint16_t owners;
	gsize size;
	char *data;

	if (rebuild->stub == NULL)
		return 0;
	if (!g_file_get_contents(rebuild->stub, &data, &size, &problem))
		return tool_fail(error, -EIO, "%s", problem->message);

	rebuild->stub_bytes = g_bytes_new_take(data, size);
	format_mai_check((const uint8_t *)data, size, &report);
	if (size > STUB_SIZE_MAX || report.verdict < FORMAT_MAI_NO_TEXT ||
	    format_mai_owners((const uint8_t *)data, size, &owners) < 0)
		return tool_fail(
			error, -EINVAL, "%s cannot be a stub: it is %s",
			rebuild->stub,
			size > STUB_SIZE_MAX
				? "too large"
				: format_mai_verdict_text(report.verdict));
	return 0;
}

/* Counts the records that the stubs are for: each is an owner (Q104423). */
static int
owner_count(void *user_data, const ToolMailbag *mailbag,
            const ToolRecord *record)
{
	g_autofree char *stem = format_mbg_stem(&record->header);
	GHashTable *stubs = user_data;
	gpointer count;

	(void)mailbag;
	if (record->is_live && stem != NULL &&
	    g_hash_table_lookup_extended(stubs, stem, NULL, &count) &&
	    GPOINTER_TO_UINT(count) < UINT16_MAX)
		g_hash_table_insert(
			stubs, g_steal_pointer(&stem),
			GUINT_TO_POINTER(GPOINTER_TO_UINT(count) + 1));
	return 0;
}

static int
stub_add(const Rebuild *rebuild, const ToolOffice *office, const char *stem,
         unsigned owners, StoreEdits *edits, GError **error)
{
	gsize size = g_bytes_get_size(rebuild->stub_bytes);
	uint8_t *data =
		g_memdup2(g_bytes_get_data(rebuild->stub_bytes, NULL), size);
	g_autoptr(GBytes) bytes = g_bytes_new_take(data, size);
	g_autofree char *path = format_name_path(FORMAT_NAME_MAI, stem);

	(void)format_mai_set_owners(data, size, (uint16_t)MAX(owners, 1));
	return tool_apply_add(edits, office, STORE_EDIT_WRITE, path, 0, bytes,
	                      error);
}

static int
stubs_add(const Rebuild *rebuild, const ToolOffice *office,
          const GPtrArray *all, StoreEdits *edits, GError **error)
{
	GHashTableIter iter;
	gpointer owners;
	gpointer stem;
	int r = 0;

	for (guint i = 0; r == 0 && i < all->len; i++)
		r = tool_mailbag_read(all->pdata[i], owner_count,
		                      rebuild->stubs);
	if (r < 0)
		return tool_fail(error, r, "cannot read the mailbags: %s",
		                 g_strerror(-r));

	g_hash_table_iter_init(&iter, rebuild->stubs);
	while (r == 0 && g_hash_table_iter_next(&iter, &stem, &owners))
		r = stub_add(rebuild, office, stem, GPOINTER_TO_UINT(owners),
		             edits, error);
	return r;
}

/* ---- records -------------------------------------------------------------- */

/* Finds the file of @kind that @record names. */
static int
file_find(const ToolMailbag *mailbag, FormatNameKind kind, const char *stem)
{
	g_autofree char *path = NULL;
	StoreAttr attr;

	if (stem == NULL)
		return -ENOENT;
	path = format_name_path(kind, stem);
	return tool_office_find(mailbag->office, path, &attr);
}

/* Finds the message of @stem, also where no program looks: it can be moved. */
static int
message_find(const ToolMailbag *mailbag, const char *stem)
{
	int r = file_find(mailbag, FORMAT_NAME_MAI, stem);

	for (unsigned i = 0; r == -ENOENT && stem != NULL && i < 16; i++) {
		g_autofree char *path =
			g_strdup_printf("MAI/MA%X/%s.MAI", i, stem);
		StoreAttr attr;

		r = tool_office_find(mailbag->office, path, &attr);
	}
	return r;
}

/* Whether @record says nothing that another does not: a mailbag has one live
 * record of a message (Q77926), and copies come of what is torn (Q127752). */
static bool
is_copy(const Rebuild *rebuild, const ToolRecord *record)
{
	uint8_t bytes[FORMAT_MBG_RECORD_SIZE];

	format_mbg_encode(&record->header, bytes);
	return !g_hash_table_add(rebuild->seen,
	                         g_bytes_new(bytes, sizeof bytes));
}

/* Keeps @record if it is asked for and its message is there, or will be; in an
 * inqueue its envelope, too, without which nobody can deliver it (Q103960). */
static int
record_visit(void *user_data, const ToolMailbag *mailbag,
             const ToolRecord *record)
{
	g_autofree char *stem = format_mbg_stem(&record->header);
	Rebuild *rebuild = user_data;
	bool needs_stub;
	int r;

	if (rebuild->keep != NULL ? !rebuild->list.has[record->number]
	                          : !record->is_live)
		return 0;

	r = message_find(mailbag, stem);
	needs_stub =
		r == -ENOENT && stem != NULL && rebuild->stub_bytes != NULL;
	if (r == 0 || needs_stub)
		r = mailbag->kind == TOOL_MAILBAG_INQUEUE
		            ? file_find(mailbag, FORMAT_NAME_P1, stem)
		            : 0;
	if (r == 0 && needs_stub)
		g_hash_table_insert(rebuild->stubs, g_steal_pointer(&stem),
		                    NULL);
	if (r == -ENOENT)
		rebuild->missing++;
	else if (r == 0 && rebuild->keep == NULL && is_copy(rebuild, record))
		rebuild->copies++;
	else if (r == 0)
		g_array_append_vals(rebuild->records, record, 1);
	return r == -ENOENT ? 0 : r;
}

static int
records_read(Rebuild *rebuild, const ToolMailbag *mailbag, GError **error)
{
	int r;

	rebuild->before = mailbag->records;
	rebuild->missing = 0;
	rebuild->copies = 0;
	rebuild->certainty = rebuild->keep != NULL
	                             ? "as asked"
	                             : tool_apply_certainty(mailbag);
	g_array_set_size(rebuild->records, 0);
	g_hash_table_remove_all(rebuild->stubs);
	g_hash_table_remove_all(rebuild->seen);
	if (rebuild->list.end > mailbag->records)
		return tool_fail(error, -ENOENT, "%s has no record %u",
		                 rebuild->mailbag, rebuild->list.end - 1);

	r = tool_mailbag_read(mailbag, record_visit, rebuild);
	if (r < 0)
		return tool_fail(error, r, "cannot read %s: %s",
		                 rebuild->mailbag, g_strerror(-r));
	return 0;
}

/* ---- the pair ------------------------------------------------------------- */

static GBytes *
mbg_make(const GArray *records)
{
	gsize size = (gsize)records->len * FORMAT_MBG_RECORD_SIZE;
	uint8_t *mbg = g_malloc(MAX(size, 1));

	for (guint i = 0; i < records->len; i++)
		format_mbg_encode(&g_array_index(records, ToolRecord, i).header,
		                  mbg + (gsize)i * FORMAT_MBG_RECORD_SIZE);
	return g_bytes_new_take(mbg, size);
}

static GBytes *
key_make(const ToolMailbag *mailbag, uint32_t records)
{
	const FormatKeyLayout *layout = mailbag->office->layout;
	uint8_t key[FORMAT_KEY_SIZE] = { 0 };

	if (mailbag->has_bits)
		memcpy(key, mailbag->bits, sizeof key);
	memset(key + layout->offset, 0, FORMAT_KEY_BITMAP_SIZE);
	for (uint32_t i = 0; i < records; i++)
		format_key_set_deleted(key, layout, i, false);
	return g_bytes_new(key, sizeof key);
}

/* Whether @mailbag, of which all records are kept, is as @key and @records have
 * it: who rebuilt it before can undo that as long as nothing is written. */
static bool
is_rebuilt(const ToolMailbag *mailbag, GBytes *key, const GArray *records)
{
	return mailbag->has_bits && mailbag->mbg.node != 0 &&
	       records->len == mailbag->records &&
	       mailbag->mbg.size ==
	               (uint64_t)records->len * FORMAT_MBG_RECORD_SIZE &&
	       memcmp(g_bytes_get_data(key, NULL), mailbag->bits,
	              FORMAT_KEY_SIZE) == 0;
}

static int
plan_rebuild(void *user_data, const ToolOffices *offices, StoreEdits *edits,
             GError **error)
{
	g_autoptr(GPtrArray) all = NULL;
	g_autoptr(GBytes) key = NULL;
	g_autoptr(GBytes) mbg = NULL;
	Rebuild *rebuild = user_data;
	const ToolMailbag *mailbag;
	int r;

	r = tool_apply_mailbag(offices, rebuild->mailbag, &all, &mailbag,
	                       error);
	if (r == 0)
		r = records_read(rebuild, mailbag, error);
	if (r == 0)
		r = stubs_add(rebuild, mailbag->office, all, edits, error);
	if (r < 0)
		return r;

	key = key_make(mailbag, rebuild->records->len);
	if (store_edits_count(edits) == 0 &&
	    is_rebuilt(mailbag, key, rebuild->records))
		return 0;
	mbg = mbg_make(rebuild->records);
	return tool_apply_add_mailbag(edits, mailbag, key, mbg, error);
}

/* ---- the command line ----------------------------------------------------- */

static void
rebuild_clear(Rebuild *rebuild)
{
	g_free(rebuild->keep);
	g_free(rebuild->stub);
	g_clear_pointer(&rebuild->stub_bytes, g_bytes_unref);
	g_clear_pointer(&rebuild->records, g_array_unref);
	g_clear_pointer(&rebuild->stubs, g_hash_table_unref);
	g_clear_pointer(&rebuild->seen, g_hash_table_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rebuild, rebuild_clear)

ToolExit
tool_rebuild(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(ToolApply) apply = { 0 };
	g_auto(Rebuild) rebuild = {
		.records = g_array_new(FALSE, FALSE, sizeof(ToolRecord)),
		.stubs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
		                               NULL),
		.seen = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
		                              (GDestroyNotify)g_bytes_unref,
		                              NULL),
	};
	g_autofree char *what = NULL;
	size_t count;
	const GOptionEntry entries[] = {
		{ "keep", 0, 0, G_OPTION_ARG_STRING, &rebuild.keep,
		  "Keep these records, not those that are live", "0,3,5-9" },
		{ "stub-missing", 0, 0, G_OPTION_ARG_FILENAME, &rebuild.stub,
		  "Copy this message where one is missing", "FILE" },
		{ NULL },
	};

	if (tool_apply_options(self, entries, argv, &apply, &options, error) <
	    0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	rebuild.mailbag = options.arguments[1];
	what = g_strdup_printf("rebuild %s", rebuild.mailbag);
	apply.what = what;
	apply.has_records = rebuild.keep != NULL;
	if (rebuild.keep != NULL &&
	    tool_record_list_read(rebuild.keep, &rebuild.list, error) < 0)
		return TOOL_USAGE;
	if (stub_read(&rebuild, error) < 0 ||
	    tool_apply(&apply, plan_rebuild, &rebuild, &count, error) < 0)
		return TOOL_FAILED;
	tool_apply_print(&apply, &options,
	                 "Rebuilt %s: kept %u of %u records (%s); left out %u "
	                 "without a message and %u copies, made %u stubs.",
	                 rebuild.mailbag, rebuild.records->len, rebuild.before,
	                 rebuild.certainty, rebuild.missing, rebuild.copies,
	                 g_hash_table_size(rebuild.stubs));
	return TOOL_OK;
}
