/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/census.h"

#include <string.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_US INT64_C(1000)

/* Notes whose deleted records alone name a message that is there, of which these
 * are the @count @references. */
static void
note_last(const ToolCensus *census, const ToolReference *references,
          guint count)
{
	guint i;

	for (i = 0; i < count; i++)
		if (references[i].is_live)
			return;
	for (i = 0; i < count; i++) {
		ToolMailbag *mailbag =
			census->mailbags->pdata[references[i].mailbag];

		mailbag->has_last = true;
	}
}

/* Looks at the MAI @file. */
static int
message_look(const ToolCensus *census, const ToolFile *file,
             ToolCensusMessage *ret_message)
{
	const StoreAttr mai = { .node = file->node, .size = file->size };
	const ToolReference *first;
	ToolMessage message = { 0 };
	guint count;
	int r;

	r = tool_message_read(census->office, &mai, &message);
	if (r < 0)
		return r;
	first = tool_reference_find(census->references, file->number, &count);
	note_last(census, first, count);
	*ret_message = (ToolCensusMessage){
		.file = file,
		.count = tool_reference_count(census->mailbags, first, count),
		.has_owners = message.has_owners,
		.is_checked = message.is_checked,
		.owners = message.owners,
		.report = message.report,
	};
	return 0;
}

static int
read_messages(ToolCensus *census, ToolProgress *progress)
{
	const GPtrArray *files = census->files->messages;
	ToolCensusMessage message;
	guint i;
	int r = 0;

	census->messages =
		g_array_sized_new(FALSE, FALSE, sizeof message, files->len);
	for (i = 0; i < files->len && r == 0; i++) {
		r = message_look(census, files->pdata[i], &message);
		g_array_append_val(census->messages, message);
		tool_progress_show(progress, i, files->len);
	}
	return r;
}

int
tool_census_make(const ToolOffice *office, ToolProgress *progress,
                 ToolCensus **ret_census)
{
	g_autoptr(ToolCensus) census = g_new0(ToolCensus, 1);
	int r;

	census->office = office;
	census->now_ns = g_get_real_time() * NS_PER_US;
	r = tool_mailbag_list(office, &census->mailbags);
	if (r == 0)
		r = tool_reference_list(census->mailbags, &census->references);
	if (r == 0)
		r = tool_file_list(office, &census->files);
	if (r == 0)
		r = read_messages(census, progress);
	if (r < 0)
		return r;
	census->is_whole = tool_mailbags_are_whole(office, census->mailbags);
	*ret_census = g_steal_pointer(&census);
	return 0;
}

const ToolMailbag *
tool_census_mailbag(const ToolCensus *census, const char *name)
{
	guint i;

	for (i = 0; i < census->mailbags->len; i++) {
		const ToolMailbag *mailbag = census->mailbags->pdata[i];

		if (strcmp(mailbag->name, name) == 0)
			return mailbag;
	}
	return NULL;
}

bool
tool_census_is_older(const ToolCensus *census, const ToolFile *file,
                     int64_t age_s)
{
	return census->now_ns / NS_PER_S - file->touched_ns / NS_PER_S > age_s;
}

void
tool_census_free(ToolCensus *census)
{
	if (census == NULL)
		return;
	g_clear_pointer(&census->mailbags, g_ptr_array_unref);
	g_clear_pointer(&census->references, g_array_unref);
	g_clear_pointer(&census->files, tool_files_free);
	g_clear_pointer(&census->messages, g_array_unref);
	g_free(census);
}
