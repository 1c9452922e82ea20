/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include <glib.h>

#include "store/format/key.h"
#include "tools/apply.h"
#include "tools/tool.h"

/* What `reset` is asked, and what it finds. */
typedef struct Reset {
	const char *mailbag; /* of the command line */
	gboolean is_forced;
	uint32_t records; /* that go */
	uint32_t live;    /* of them */
	const char *certainty;
} Reset;

/* Whether there is nothing to do. */
static bool
is_reset(const ToolMailbag *mailbag)
{
	return mailbag->has_bits && mailbag->mbg.node != 0 &&
	       mailbag->mbg.size == 0 && format_key_is_zero(mailbag->bits);
}

/* Zeros in the KEY and no byte in the MBG are an empty mailbag (Q104279,
 * Q123319) [D]. */
static int
plan_reset(void *user_data, const ToolOffices *offices, StoreEdits *edits,
           GError **error)
{
	static const uint8_t zeros[FORMAT_KEY_SIZE];
	g_autoptr(GBytes) key = g_bytes_new_static(zeros, sizeof zeros);
	g_autoptr(GBytes) mbg = g_bytes_new_static("", 0);
	g_autoptr(GPtrArray) all = NULL;
	const ToolMailbag *mailbag;
	Reset *reset = user_data;
	int r;

	r = tool_apply_mailbag(offices, reset->mailbag, &all, &mailbag, error);
	if (r < 0)
		return r;
	reset->records = mailbag->records;
	reset->live = mailbag->live;
	reset->certainty = tool_apply_certainty(mailbag);
	if (is_reset(mailbag))
		return 0;
	if (mailbag->live > 0 && !reset->is_forced)
		return tool_fail(error, -EPERM,
		                 "%s has %u live records (%s): --force has "
		                 "them go, too",
		                 reset->mailbag, mailbag->live,
		                 reset->certainty);

	return tool_apply_add_mailbag(edits, mailbag, key, mbg, error);
}

ToolExit
tool_reset(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(ToolApply) apply = { 0 };
	g_autofree char *what = NULL;
	Reset reset = { 0 };
	size_t count = 0;
	const GOptionEntry entries[] = {
		{ "force", 0, 0, G_OPTION_ARG_NONE, &reset.is_forced,
		  "Even if there are live records", NULL },
		{ NULL },
	};

	if (tool_apply_options(self, entries, argv, &apply, &options, error) <
	    0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;

	reset.mailbag = options.arguments[1];
	what = g_strdup_printf("reset %s", reset.mailbag);
	apply.what = what;
	if (tool_apply(&apply, plan_reset, &reset, &count, error) < 0)
		return TOOL_FAILED;
	if (count == 0)
		tool_apply_print(&apply, &options, "%s is empty.",
		                 reset.mailbag);
	else
		tool_apply_print(&apply, &options,
		                 "Reset %s, with %u records, %u of them live "
		                 "(%s).",
		                 reset.mailbag, reset.records, reset.live,
		                 reset.certainty);
	return TOOL_OK;
}
