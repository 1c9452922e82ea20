/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/learnt.h"

static void
learnt_free(void *data)
{
	ToolLearnt *learnt = data;

	g_free(learnt->about);
	g_free(learnt->sentence);
	g_free(learnt->notes);
	g_free(learnt);
}

void
tool_learnt_add(GPtrArray *learnt, ToolCertainty certainty, const char *about,
                char *notes, const char *format, ...)
{
	ToolLearnt *one = g_new0(ToolLearnt, 1);
	va_list arguments;

	one->about = g_strdup(about);
	one->certainty = certainty;
	one->notes = notes;
	va_start(arguments, format);
	one->sentence = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_ptr_array_add(learnt, one);
}

void
tool_learnt_cite(GString *cited, const ToolNote *note)
{
	g_string_append_printf(cited, "%s%u", cited->len > 0 ? ", " : "",
	                       note->number);
}

const char *
tool_certainty_text(ToolCertainty certainty)
{
	static const char *const texts[] = {
		[TOOL_SEEN] = "seen",       [TOOL_FITS] = "fits",
		[TOOL_FOLLOWS] = "follows", [TOOL_CONTRADICTS] = "contradicts",
		[TOOL_OPEN] = "open",
	};

	return texts[certainty];
}

GPtrArray *
tool_learnt_find(const ToolNotes *notes)
{
	GPtrArray *learnt = g_ptr_array_new_with_free_func(learnt_free);

	tool_learnt_mailbags(learnt, notes);
	tool_learnt_headers(learnt, notes);
	tool_learnt_messages(learnt, notes);
	tool_learnt_traces(learnt, notes);
	return learnt;
}
