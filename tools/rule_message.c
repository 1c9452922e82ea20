/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/rule.h"
#include "tools/tool.h"

/* Tells of what is wrong with one message. */
typedef void MessageCheck(const ToolInquiry *inquiry,
                          const ToolCensusMessage *message, const char *stem);

static int
check_all(const ToolInquiry *inquiry, MessageCheck *check)
{
	const GArray *messages = inquiry->census->messages;
	char stem[FORMAT_STEM_SIZE + 1];
	guint i;

	for (i = 0; i < messages->len; i++) {
		const ToolCensusMessage *message =
			&g_array_index(messages, ToolCensusMessage, i);

		format_stem_print(message->file->number, stem);
		check(inquiry, message, stem);
	}
	return 0;
}

/* ---- P03: orphans -------------------------------------------------------- */

static void
check_orphan(const ToolInquiry *inquiry, const ToolCensusMessage *message,
             const char *stem)
{
	bool is_named = message->count.all > 0;

	if (message->count.owners + message->count.queued > 0 ||
	    !tool_census_is_older(inquiry->census, message->file,
	                          TOOL_CENSUS_DAY_S))
		return;
	tool_finding_add(
		inquiry, is_named ? TOOL_SUSPICIOUS : TOOL_WARNING, stem,
		is_named ? NULL
			 : tool_mend_purge(inquiry, message->file, 30,
	                                   "messages"),
		"no %sheader names this message: nobody can read it, unless it "
		"is in a folder of a DOS client%s",
		is_named ? "live " : "",
		is_named ? "; it can be queued again (requeue)" : "");
}

int
tool_rule_message_orphan(const ToolInquiry *inquiry)
{
	return check_all(inquiry, check_orphan);
}

/* ---- P10: torn ----------------------------------------------------------- */

static void
check_torn(const ToolInquiry *inquiry, const ToolCensusMessage *message,
           const char *stem)
{
	FormatMaiVerdict verdict = message->report.verdict;
	bool is_certain =
		verdict == FORMAT_MAI_SHORT || verdict == FORMAT_MAI_ZERO_TAIL;

	if (!message->is_checked || verdict == FORMAT_MAI_EMPTY ||
	    verdict >= FORMAT_MAI_NO_TEXT)
		return;
	tool_finding_add(inquiry, is_certain ? TOOL_FAULT : TOOL_SUSPICIOUS,
	                 stem, NULL,
	                 "the MAI is %s: it was not written as a whole; bring "
	                 "it back (restore --at, or a backup), or delete it",
	                 format_mai_verdict_text(verdict));
}

int
tool_rule_message_torn(const ToolInquiry *inquiry)
{
	return check_all(inquiry, check_torn);
}

/* ---- P13: empty ---------------------------------------------------------- */

static void
check_empty(const ToolInquiry *inquiry, const ToolCensusMessage *message,
            const char *stem)
{
	bool is_named = message->count.all > 0;

	if (message->file->size > 0 ||
	    (!is_named && !tool_census_is_older(inquiry->census, message->file,
	                                        TOOL_CENSUS_CYCLE_S)))
		return;
	tool_finding_add(
		inquiry, is_named ? TOOL_FAULT : TOOL_WARNING, stem,
		is_named ? NULL
			 : tool_mend_purge(inquiry, message->file, 30,
	                                   "messages"),
		"the MAI is empty: the disk was full, or its file had no "
		"owner, when it was written%s",
		is_named ? "; bring it back (restore --at, or a backup), or "
			   "delete it"
			 : "");
}

int
tool_rule_message_empty(const ToolInquiry *inquiry)
{
	return check_all(inquiry, check_empty);
}

/* ---- R07: owners --------------------------------------------------------- */

static void
check_owners(const ToolInquiry *inquiry, const ToolCensusMessage *message,
             const char *stem)
{
	ToolOwnership ownership =
		tool_reference_compare(&message->count, message->owners);
	unsigned live = message->count.owners;
	g_autofree char *owners =
		tool_count(message->owners, "owner", "owners");
	g_autofree char *headers = NULL;

	/* What is no message has no count, and one of no header is an orphan. */
	if (!message->has_owners ||
	    (message->is_checked &&
	     message->report.verdict == FORMAT_MAI_FOREIGN) ||
	    live + message->count.queued == 0)
		return;
	if (message->owners == 0)
		ownership = TOOL_OWNERSHIP_LESS;
	if (ownership == TOOL_OWNERSHIP_LESS)
		live += message->count.queued;
	headers = tool_count(live, "live header", "live headers");
	if (ownership == TOOL_OWNERSHIP_LESS ||
	    ownership == TOOL_OWNERSHIP_MORE)
		tool_finding_add(
			inquiry,
			ownership == TOOL_OWNERSHIP_MORE
				? TOOL_NOTE
				: tool_finding_if_live(inquiry, TOOL_FAULT),
			stem,
			ownership == TOOL_OWNERSHIP_MORE
				? NULL
				: tool_mend_mailbag(inquiry, "set-owners",
		                                    stem),
			"it counts %s, but has %s: %s", owners, headers,
			tool_ownership_text(ownership));
}

int
tool_rule_message_owners(const ToolInquiry *inquiry)
{
	return check_all(inquiry, check_owners);
}

/* ---- P04: attachments ---------------------------------------------------- */

/* Whether there is a message whose number is near @number. */
static bool
has_neighbour(const ToolCensus *census, uint32_t number)
{
	const GPtrArray *messages = census->files->messages;
	guint place = tool_file_place(messages, number);
	const ToolFile *file;

	if (place < messages->len) {
		file = messages->pdata[place];
		if (file->number - number <= TOOL_MESSAGE_NEIGHBOURS)
			return true;
	}
	if (place > 0) {
		file = messages->pdata[place - 1];
		return number - file->number <= TOOL_MESSAGE_NEIGHBOURS;
	}
	return false;
}

int
tool_rule_message_attachment(const ToolInquiry *inquiry)
{
	const ToolCensus *census = inquiry->census;
	const GPtrArray *attachments = census->files->attachments;
	guint i;

	for (i = 0; i < attachments->len; i++) {
		const ToolFile *file = attachments->pdata[i];

		if (has_neighbour(census, file->number) ||
		    !tool_census_is_older(census, file, TOOL_CENSUS_DAY_S))
			continue;
		tool_finding_add(
			inquiry, TOOL_SUSPICIOUS, file->path, NULL,
			"there is no message of about its number any more: its "
			"own is gone (a guess); purge-orphans --attachments "
			"removes it when it is older than every message");
	}
	return 0;
}

/* ---- P05: envelopes ------------------------------------------------------ */

int
tool_rule_message_envelope(const ToolInquiry *inquiry)
{
	const ToolCensus *census = inquiry->census;
	const GPtrArray *envelopes = census->files->envelopes;
	bool is_certain = census->office->layout->is_confirmed;
	guint i;

	for (i = 0; i < envelopes->len; i++) {
		const ToolFile *file = envelopes->pdata[i];
		const ToolReference *first;
		ToolReferenceCount count;
		bool is_named;
		guint all;

		first = tool_reference_find(census->references, file->number,
		                            &all);
		count = tool_reference_count(census->mailbags, first, all);
		if (count.queued > 0 ||
		    !tool_census_is_older(census, file, TOOL_CENSUS_CYCLE_S))
			continue;
		/* What is deleted is known for certain, or may be live. */
		is_named = (is_certain ? count.owners : all) > 0;
		tool_finding_add(
			inquiry, is_named ? TOOL_SUSPICIOUS : TOOL_WARNING,
			file->path,
			tool_mend_purge(inquiry, file, 2,
		                        is_named ? "delivered" : "envelopes"),
			"no live header in an inqueue names this envelope: its "
			"recipients get nothing");
	}
	return 0;
}
