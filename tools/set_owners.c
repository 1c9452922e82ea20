/* SPDX-License-Identifier: BSD-2-Clause */
#include <glib.h>

#include "store/format/name.h"
#include "tools/apply.h"
#include "tools/office_reference.h"
#include "tools/owner_count.h"
#include "tools/tool.h"

/*
 * How a message gets its owners back
 *
 * - Whoever deletes a header takes one from the count, and the last one erases
 *   the message (Q104423): one that counts fewer owners than it has headers is
 *   gone before all have read it. It is given as many as it has live headers.
 * - A count that is higher stays: whether external recipients are in it is not
 *   public.
 * - The mailbags that name it must not change meanwhile.
 */

typedef struct SetOwners {
	const char *message; /* of the command line */

	/* Of one look. */
	uint16_t before;
	uint16_t after;
	const char *certainty;
} SetOwners;

/* Decides what message @number, @stem, of @office shall count. */
static int
owners_set(SetOwners *set, const ToolOffice *office, const char *stem,
           uint32_t number, StoreEdits *edits, GError **error)
{
	g_autoptr(GPtrArray) mailbags = NULL;
	g_autoptr(GArray) references = NULL;
	const ToolReference *first;
	ToolReferenceCount count;
	guint all;
	int r;

	r = tool_mailbag_list(office, &mailbags);
	if (r == 0)
		r = tool_reference_list(mailbags, &references);
	if (r < 0)
		return tool_fail(error, r, "cannot read the mailbags: %s",
		                 g_strerror(-r));
	first = tool_reference_find(references, number, &all);
	count = tool_reference_count(mailbags, first, all);
	set->after = (uint16_t)MAX(
		set->before, MIN(count.owners + count.queued, UINT16_MAX));
	if (set->after == set->before)
		return 0;

	for (guint i = 0; r == 0 && i < all; i++)
		r = tool_apply_expect_key(
			edits, mailbags->pdata[first[i].mailbag], error);
	return r < 0 ? r
	             : tool_owner_count_add(edits, office, stem, set->after,
	                                    error);
}

static int
plan_set(void *user_data, const ToolOffices *offices, StoreEdits *edits,
         GError **error)
{
	SetOwners *set = user_data;
	g_autofree char *stem = NULL;
	const ToolOffice *office;
	const char *rest;
	uint32_t number;
	int r;

	r = tool_offices_choose(offices, set->message, &office, &rest, error);
	if (r < 0)
		return r;
	stem = g_ascii_strup(rest, -1);
	if (format_stem_parse(stem, &number) < 0)
		return tool_misuse(error, "%s is no message's number",
		                   set->message);
	set->certainty = office->layout->is_confirmed ? "confirmed" : "assumed";
	r = tool_owner_count_read(office, stem, &set->before, error);
	return r < 0 ? r : owners_set(set, office, stem, number, edits, error);
}

ToolExit
tool_set_owners(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(ToolApply) apply = { 0 };
	g_autofree char *what = NULL;
	SetOwners set = { 0 };
	size_t count;
	const GOptionEntry entries[] = { { NULL } };

	if (tool_apply_options(self, entries, argv, &apply, &options, error) <
	    0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	set.message = options.arguments[1];
	what = g_strdup_printf("set-owners %s", set.message);
	apply.what = what;
	if (tool_apply(&apply, plan_set, &set, &count, error) < 0)
		return TOOL_FAILED;
	tool_apply_print(&apply, &options,
	                 "Message %s counts %u owners (it was %u; %s).",
	                 set.message, set.after, set.before, set.certainty);
	return TOOL_OK;
}
