/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include <glib.h>

#include "store/format/name.h"
#include "tools/apply.h"
#include "tools/owner_count.h"
#include "tools/past.h"
#include "tools/record_list.h"
#include "tools/tool.h"

/*
 * How a message is queued again
 *
 * - A header that was deleted is in its mailbag until another message takes its
 *   place: its bit in the KEY is taken back. The message has an owner more then
 *   (Q104423).
 * - With --to-inqueue a copy of the header is put into INQUEUE3, deleted or
 *   not, where mailers find it, in the place that a program would take (Q77926).
 *   Whether such a header is an owner is not public: the count stays.
 * - The message must be there and, for an inqueue, its envelope (P1), which says
 *   whom it is for. If one of them is gone it comes back as the journal has it;
 *   how an envelope is made is not public. Of a message that comes back nobody
 *   was an owner any more but who let it go, and who now has it again: then the
 *   count stays, too.
 */

#define INQUEUE "INQUEUE3"

typedef struct Requeue {
	const char *mailbag; /* of the command line */
	uint32_t record;
	gboolean is_to_inqueue;

	/* Of one look. */
	Store *store;            /* borrowed */
	const ToolMailbag *from; /* borrowed */
	bool is_message_back;    /* from the journal; so the envelope */
	bool is_envelope_back;
	ToolRecord found;
	char *stem;     /* owned */
	uint32_t place; /* where it is now */
	const char *certainty;
} Requeue;

static int
record_find(Requeue *requeue, GError **error)
{
	int r;

	if (requeue->record >= requeue->from->records)
		return tool_fail(error, -ENOENT, "%s has no record %u",
		                 requeue->mailbag, requeue->record);
	r = tool_record_read(requeue->from, requeue->record, &requeue->found);
	if (r < 0)
		return tool_fail(error, r, "cannot read %s: %s",
		                 requeue->mailbag, g_strerror(-r));

	g_free(requeue->stem);
	requeue->stem = format_mbg_stem(&requeue->found.header);
	if (requeue->stem == NULL)
		return tool_fail(error, -EINVAL,
		                 "record %u of %s names no message",
		                 requeue->record, requeue->mailbag);
	return 0;
}

/* Has the file @path, which is gone, be there again as the journal has it. */
static int
file_fetch(const Requeue *requeue, const char *path, StoreEdits *edits)
{
	const ToolOffice *office = requeue->from->office;
	g_autofree char *name = tool_office_name(office, path);
	g_autofree char *full = g_strconcat("/", name, NULL);
	g_autoptr(StoreTxn) past = NULL;
	g_autoptr(GBytes) was = NULL;
	StoreNode node;
	int r;

	r = tool_past_find_removed(requeue->store, full, &past, &node);
	if (r == 0)
		r = tool_past_read(past, node, &was);
	return r < 0 ? r
	             : tool_past_add(edits, office->txn, full, past, node, was);
}

/* Has the file of @kind stay as it is, or come back. */
static int
file_expect(const Requeue *requeue, FormatNameKind kind, StoreEdits *edits,
            bool *ret_is_back, GError **error)
{
	g_autofree char *path = format_name_path(kind, requeue->stem);
	g_autoptr(GError) problem = NULL;
	int r;

	*ret_is_back = false;
	r = tool_apply_add(edits, requeue->from->office, STORE_EDIT_EXPECT,
	                   path, 0, NULL, &problem);
	if (r == 0)
		return 0;
	if (r != -ENOENT) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return r;
	}
	r = file_fetch(requeue, path, edits);
	if (r < 0)
		return tool_fail(error, r,
		                 "record %u of %s cannot be queued: its %s %s "
		                 "is gone, and the journal does not have it",
		                 requeue->record, requeue->mailbag,
		                 format_name_text(kind), path);
	*ret_is_back = true;
	return 0;
}

/* ---- twice ---------------------------------------------------------------- */

static int
record_check(void *user_data, const ToolMailbag *mailbag,
             const ToolRecord *record)
{
	g_autofree char *stem = format_mbg_stem(&record->header);
	const Requeue *requeue = user_data;

	(void)mailbag;
	return record->is_live && g_strcmp0(stem, requeue->stem) == 0 ? -EEXIST
	                                                              : 0;
}

static int
mailbag_check(Requeue *requeue, const ToolMailbag *mailbag, GError **error)
{
	int r = tool_mailbag_read(mailbag, record_check, requeue);

	if (r == -EEXIST)
		return tool_fail(error, r, "message %s is in %s (%s)",
		                 requeue->stem, mailbag->name,
		                 requeue->certainty);
	return r < 0 ? tool_fail(error, r, "cannot read %s: %s", mailbag->name,
	                         g_strerror(-r))
	             : 0;
}

/* A live record more of a message that @target has would be a copy to whoever
 * works it off; that is the same mailers for both inqueues (Q103960). */
static int
target_check(Requeue *requeue, const ToolMailbag *target, const GPtrArray *all,
             StoreEdits *edits, GError **error)
{
	int r = mailbag_check(requeue, target, error);

	for (guint i = 0; r == 0 && i < all->len; i++) {
		const ToolMailbag *mailbag = all->pdata[i];

		if (mailbag == target || mailbag->kind != target->kind ||
		    target->kind != TOOL_MAILBAG_INQUEUE)
			continue;
		r = mailbag_check(requeue, mailbag, error);
		if (r == 0)
			r = tool_apply_expect_key(edits, mailbag, error);
	}
	return r;
}

/* ---- in its place --------------------------------------------------------- */

static int
owner_add(const Requeue *requeue, StoreEdits *edits, GError **error)
{
	const ToolOffice *office = requeue->from->office;
	uint16_t owners;
	int r;

	r = tool_owner_count_read(office, requeue->stem, &owners, error);
	if (r == 0 && owners == UINT16_MAX)
		return tool_fail(error, -EINVAL, "%s has too many owners",
		                 requeue->stem);
	return r < 0 ? r
	             : tool_owner_count_add(edits, office, requeue->stem,
	                                    (uint16_t)(owners + 1), error);
}

/* Has @record of @mailbag be live. */
static int
record_revive(const ToolMailbag *mailbag, uint32_t record, StoreEdits *edits,
              GError **error)
{
	g_autofree char *path = g_strdup_printf("KEY/%s.KEY", mailbag->name);
	g_autoptr(GBytes) bytes = NULL;
	uint8_t key[FORMAT_KEY_SIZE];

	if (!mailbag->has_bits)
		return tool_fail(error, -EINVAL, "%s is no KEY: see rebuild",
		                 path);
	memcpy(key, mailbag->bits, sizeof key);
	format_key_set_deleted(key, mailbag->office->layout, record, false);
	bytes = g_bytes_new(key, sizeof key);
	return tool_apply_add(edits, mailbag->office, STORE_EDIT_WRITE, path, 0,
	                      bytes, error);
}

static int
revive(Requeue *requeue, const GPtrArray *all, StoreEdits *edits,
       GError **error)
{
	int r;

	if (requeue->found.is_live)
		return tool_fail(
			error, -EEXIST, "record %u of %s is in the queue (%s)",
			requeue->record, requeue->mailbag, requeue->certainty);
	r = target_check(requeue, requeue->from, all, edits, error);
	if (r == 0)
		r = record_revive(requeue->from, requeue->record, edits, error);
	if (r == 0 && !requeue->is_message_back)
		r = owner_add(requeue, edits, error);
	return r;
}

/* ---- into the inqueue ----------------------------------------------------- */

static const ToolMailbag *
inqueue_find(const GPtrArray *all)
{
	for (guint i = 0; i < all->len; i++)
		if (strcmp(((ToolMailbag *)all->pdata[i])->name, INQUEUE) == 0)
			return all->pdata[i];
	return NULL;
}

static int
copy(Requeue *requeue, const GPtrArray *all, StoreEdits *edits, GError **error)
{
	const ToolMailbag *inqueue = inqueue_find(all);
	uint8_t data[FORMAT_MBG_RECORD_SIZE];
	g_autoptr(GBytes) bytes = NULL;
	int r;

	if (inqueue == NULL || inqueue->mbg.node == 0 || !inqueue->has_bits)
		return tool_fail(error, -ENOENT, "there is no whole " INQUEUE);
	r = target_check(requeue, inqueue, all, edits, error);
	if (r < 0)
		return r;

	requeue->place = format_key_find_vacant(
		inqueue->bits, inqueue->office->layout, inqueue->records);
	if (requeue->place >= FORMAT_KEY_RECORDS_MAX)
		return tool_fail(error, -ENOSPC, INQUEUE " is full");
	format_mbg_encode(&requeue->found.header, data);
	bytes = g_bytes_new(data, sizeof data);
	r = tool_apply_add(
		edits, inqueue->office, STORE_EDIT_PATCH, "MBG/" INQUEUE ".MBG",
		(uint64_t)requeue->place * sizeof data, bytes, error);
	return r < 0 ? r : record_revive(inqueue, requeue->place, edits, error);
}

/* ---- the command line ----------------------------------------------------- */

static int
plan_requeue(void *user_data, const ToolOffices *offices, StoreEdits *edits,
             GError **error)
{
	g_autoptr(GPtrArray) all = NULL;
	Requeue *requeue = user_data;
	bool needs_envelope;
	int r;

	r = tool_apply_mailbag(offices, requeue->mailbag, &all, &requeue->from,
	                       error);
	if (r < 0)
		return r;

	requeue->store = offices->store;
	requeue->certainty = tool_apply_certainty(requeue->from);
	requeue->place = requeue->record;
	needs_envelope = requeue->is_to_inqueue ||
	                 requeue->from->kind == TOOL_MAILBAG_INQUEUE;
	r = record_find(requeue, error);
	if (r == 0)
		r = file_expect(requeue, FORMAT_NAME_MAI, edits,
		                &requeue->is_message_back, error);
	requeue->is_envelope_back = false;
	if (r == 0 && needs_envelope)
		r = file_expect(requeue, FORMAT_NAME_P1, edits,
		                &requeue->is_envelope_back, error);
	if (r < 0)
		return r;
	return requeue->is_to_inqueue ? copy(requeue, all, edits, error)
	                              : revive(requeue, all, edits, error);
}

ToolExit
tool_requeue(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(ToolApply) apply = { 0 };
	g_autofree char *what = NULL;
	Requeue requeue = { 0 };
	size_t count;
	int r;
	const GOptionEntry entries[] = {
		{ "to-inqueue", 0, 0, G_OPTION_ARG_NONE, &requeue.is_to_inqueue,
		  "Copy the header into " INQUEUE, NULL },
		{ NULL },
	};

	if (tool_apply_options(self, entries, argv, &apply, &options, error) <
	    0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	requeue.mailbag = options.arguments[1];
	what = g_strdup_printf("requeue %s %s", requeue.mailbag,
	                       options.arguments[2]);
	apply.what = what;
	apply.has_records = true;
	if (tool_record_parse(options.arguments[2], &requeue.record, error) < 0)
		return TOOL_USAGE;
	r = tool_apply(&apply, plan_requeue, &requeue, &count, error);
	if (r == 0)
		tool_apply_print(
			&apply, &options,
			"Message %s is in %s again, as record %u (%s)%s%s%s.",
			requeue.stem,
			requeue.is_to_inqueue ? INQUEUE : requeue.mailbag,
			requeue.place, requeue.certainty,
			requeue.is_message_back ? ", its text" : "",
			requeue.is_envelope_back ? ", its envelope" : "",
			requeue.is_message_back || requeue.is_envelope_back
				? " from the journal"
				: "");
	g_free(requeue.stem);
	return r < 0 ? TOOL_FAILED : TOOL_OK;
}
