/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "tools/fact.h"
#include "tools/office_mailbag.h"
#include "tools/queue.h"

/* ---- messages ------------------------------------------------------------ */

/* The times of the oldest and the newest live message, as texts, whose order
 * is that of time. */
typedef struct Span {
	bool iso;
	char *oldest; /* owned; NULL: there is none */
	char *newest; /* owned */
} Span;

static void
span_clear(Span *span)
{
	g_free(span->oldest);
	g_free(span->newest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Span, span_clear)

static int
span_add(void *user_data, const ToolMailbag *mailbag, const ToolRecord *record)
{
	Span *span = user_data;
	g_autofree char *time =
		record->is_live ? tool_record_time(record, span->iso) : NULL;

	(void)mailbag;
	if (time == NULL)
		return 0;
	if (span->oldest == NULL || strcmp(time, span->oldest) < 0) {
		g_free(span->oldest);
		span->oldest = g_strdup(time);
	}
	if (span->newest == NULL || strcmp(time, span->newest) > 0) {
		g_free(span->newest);
		span->newest = g_steal_pointer(&time);
	}
	return 0;
}

static int
add_span(GVariantBuilder *row, const ToolMailbag *mailbag, bool iso)
{
	g_auto(Span) span = { .iso = iso };
	int r;

	r = tool_mailbag_read(mailbag, span_add, &span);
	if (r < 0)
		return r;
	if (span.oldest != NULL) {
		tool_fact_text(row, "oldest", span.oldest);
		tool_fact_text(row, "newest", span.newest);
	}
	return 0;
}

/* ---- locks --------------------------------------------------------------- */

/* Whether the lock of mailbag @lock is @mailbag's: the inqueues have one. */
static bool
is_lock_of(const char *lock, const ToolMailbag *mailbag)
{
	return strcmp(lock, mailbag->name) == 0 ||
	       (mailbag->kind == TOOL_MAILBAG_INQUEUE &&
	        layout_is_inqueue(lock));
}

/* Adds "update by session 7" to @text if @lock, a row of the daemon's, is one
 * of @mailbag. */
static void
print_lock(GString *text, GVariant *lock, const ToolMailbag *mailbag)
{
	g_autofree char *folder = g_strconcat("/", mailbag->office->path, NULL);
	g_autofree char *dir = NULL;
	const char *path;
	const char *what;
	const char *slash;
	guint64 session;

	if (!g_variant_lookup(lock, "path", "&s", &path) ||
	    !g_variant_lookup(lock, "what", "&s", &what) ||
	    !g_variant_lookup(lock, "session", "t", &session) ||
	    strcmp(what, "file") == 0)
		return;
	slash = strrchr(path, '/');
	if (slash == NULL || !is_lock_of(slash + 1, mailbag))
		return;
	dir = g_strndup(path, (gsize)MAX(slash - path, 1));
	if (strcmp(dir, folder) != 0)
		return;
	g_string_append_printf(text, "%s%s by session %" G_GUINT64_FORMAT,
	                       text->len > 0 ? ", " : "", what, session);
}

/* Enters who has @mailbag, if a daemon says so. */
static void
add_locks(GVariantBuilder *row, const ToolMailbag *mailbag, GVariant *locks)
{
	g_autoptr(GString) text = g_string_new(NULL);
	GVariantIter iter;
	GVariant *lock;

	if (locks == NULL)
		return;
	g_variant_iter_init(&iter, locks);
	while (g_variant_iter_loop(&iter, "@a{sv}", &lock))
		print_lock(text, lock, mailbag);
	if (text->len > 0)
		tool_fact_text(row, "lock", text->str);
}

/* ---- rows ---------------------------------------------------------------- */

static bool
is_wanted(const ToolMailbag *mailbag, const ToolQueueFilter *filter)
{
	if (filter->waiting && mailbag->live == 0)
		return false;
	return filter->kind == NULL ||
	       strcmp(filter->kind, tool_mailbag_kind_text(mailbag->kind)) == 0;
}

static int
mailbag_row(const ToolMailbag *mailbag, GVariant *locks,
            const ToolQueueFilter *filter, GVariant **ret_row)
{
	g_auto(GVariantBuilder) row =
		G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	int r;

	tool_fact_text(&row, "postoffice", mailbag->office->path);
	tool_fact_text(&row, "mailbag", mailbag->name);
	tool_fact_text(&row, "kind", tool_mailbag_kind_text(mailbag->kind));
	tool_fact_text(&row, "owner", mailbag->owner);
	tool_fact_number(&row, "records", mailbag->records);
	if (mailbag->has_bits)
		tool_fact_number(&row, "live", mailbag->live);
	r = add_span(&row, mailbag, filter->iso);
	if (r < 0)
		return r;
	if (mailbag->mbg.node != 0)
		tool_fact_number(&row, "size", mailbag->mbg.size);
	if (mailbag->key.node != 0)
		tool_fact_time(&row, "changed", mailbag->key.mtime_ns,
		               filter->iso);
	add_locks(&row, mailbag, locks);
	*ret_row = g_variant_ref_sink(g_variant_builder_end(&row));
	return 0;
}

int
tool_queue_mailbags(const ToolOffice *office, GVariant *locks,
                    const ToolQueueFilter *filter, GPtrArray *rows)
{
	g_autoptr(GPtrArray) mailbags = NULL;
	guint i;
	int r;

	r = tool_mailbag_list(office, &mailbags);
	for (i = 0; r == 0 && i < mailbags->len; i++) {
		GVariant *row;

		if (!is_wanted(mailbags->pdata[i], filter))
			continue;
		r = mailbag_row(mailbags->pdata[i], locks, filter, &row);
		if (r == 0)
			g_ptr_array_add(rows, row);
	}
	return r;
}
