/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "tools/rule.h"

#define NS_PER_S  INT64_C(1000000000)
#define US_PER_NS 1000

/* How far a header's local time may be ahead of the file's: all time zones, and
 * an hour for summer (Q119089, Q112281). */
#define AHEAD_NS (NS_PER_S * 27 * 3600)

/* ---- each live header ---------------------------------------------------- */

/* Tells of what is wrong with one live header. */
typedef void RecordCheck(const ToolInquiry *inquiry, const ToolMailbag *mailbag,
                         const ToolRecord *record);

/* A walk through the live headers. */
typedef struct Walk {
	const ToolInquiry *inquiry;
	RecordCheck *check;
} Walk;

static int
visit_record(void *user_data, const ToolMailbag *mailbag,
             const ToolRecord *record)
{
	const Walk *walk = user_data;

	if (record->is_live)
		walk->check(walk->inquiry, mailbag, record);
	return 0;
}

/* Has @check look at each live header, but where there is no KEY to tell which
 * are: deleted records keep whatever they had. */
static int
check_all(const ToolInquiry *inquiry, RecordCheck *check)
{
	const GPtrArray *mailbags = inquiry->census->mailbags;
	Walk walk = { .inquiry = inquiry, .check = check };
	guint i;
	int r = 0;

	for (i = 0; i < mailbags->len && r == 0; i++) {
		const ToolMailbag *mailbag = mailbags->pdata[i];

		if (mailbag->has_bits)
			r = tool_mailbag_read(mailbag, visit_record, &walk);
	}
	return r;
}

/* Adds a finding about @record of @mailbag, which @mend mends, unless NULL. Where
 * the MBG is cut off, what mends that mends it, too. Deleted records go with it:
 * one may be so by a damage, and be the last that names its message. */
static void G_GNUC_PRINTF(6, 7)
	add_finding(const ToolInquiry *inquiry, ToolSeverity severity,
                    const ToolMailbag *mailbag, uint32_t record,
                    const char *mend, const char *format, ...)
{
	g_autofree char *object =
		g_strdup_printf("%s/%u", mailbag->name, record);
	g_autofree char *sentence = NULL;
	ToolMend *made = NULL;
	ToolFinding *finding;
	va_list args;

	va_start(args, format);
	sentence = g_strdup_vprintf(format, args);
	va_end(args);
	if (mend != NULL && tool_mailbag_is_whole(mailbag))
		made = tool_mend_mailbag(inquiry, mend, mailbag->name);
	tool_finding_add(inquiry, tool_finding_if_live(inquiry, severity),
	                 object, made, "%s", sentence);
	finding = inquiry->findings->pdata[inquiry->findings->len - 1];
	finding->is_costly = made != NULL && mailbag->has_last;
}

/* The number of the message that @record is of, or false if it has none. */
static bool
read_number(const ToolRecord *record, uint32_t *ret_number)
{
	g_autofree char *stem = format_mbg_stem(&record->header);

	return stem != NULL && format_stem_parse(stem, ret_number) == 0;
}

/* ---- P01: no envelope ---------------------------------------------------- */

static void
check_envelope(const ToolInquiry *inquiry, const ToolMailbag *mailbag,
               const ToolRecord *record)
{
	uint32_t number;

	if (mailbag->kind != TOOL_MAILBAG_INQUEUE ||
	    !read_number(record, &number) ||
	    tool_file_find(inquiry->census->files->envelopes, number) != NULL)
		return;
	add_finding(inquiry, TOOL_FAULT, mailbag, record->number, "rebuild",
	            "P1/%08X.P1 is missing: the header stays, and is reported "
	            "as [021]; the mail may have been delivered",
	            number);
}

int
tool_rule_record_envelope(const ToolInquiry *inquiry)
{
	return check_all(inquiry, check_envelope);
}

/* ---- P02: no message ----------------------------------------------------- */

/* The MAI of @number in a directory where no program looks, or NULL. */
static const ToolFile *
find_misplaced(const ToolInquiry *inquiry, uint32_t number)
{
	const GArray *all = inquiry->census->files->all;
	guint i;

	for (i = 0; i < all->len; i++) {
		const ToolFile *file = &g_array_index(all, ToolFile, i);

		if (file->is_misplaced && file->kind == FORMAT_NAME_MAI &&
		    file->number == number)
			return file;
	}
	return NULL;
}

static void
check_message(const ToolInquiry *inquiry, const ToolMailbag *mailbag,
              const ToolRecord *record)
{
	const ToolFile *misplaced;
	uint32_t number;

	if (!read_number(record, &number) ||
	    tool_file_find(inquiry->census->files->messages, number) != NULL)
		return;
	misplaced = find_misplaced(inquiry, number);
	if (misplaced == NULL) {
		add_finding(inquiry, TOOL_FAULT, mailbag, record->number,
		            "rebuild",
		            "its message %08X is missing: it cannot be read or "
		            "sent ([016])",
		            number);
		return;
	}
	add_finding(inquiry, TOOL_FAULT, mailbag, record->number, NULL,
	            "its message is %s, where no program looks: it cannot be "
	            "read or sent ([016]) until it is moved",
	            misplaced->path);
}

int
tool_rule_record_message(const ToolInquiry *inquiry)
{
	return check_all(inquiry, check_message);
}

/* ---- P17: bad headers ---------------------------------------------------- */

static void
check_header(const ToolInquiry *inquiry, const ToolMailbag *mailbag,
             const ToolRecord *record)
{
	unsigned faults = format_mbg_faults(&record->header);
	g_autoptr(GString) sentence = g_string_new(NULL);
	unsigned left;

	if (faults == 0)
		return;
	for (left = faults; left != 0; left &= left - 1)
		g_string_append_printf(sentence, "%s%s",
		                       sentence->len > 0 ? "; " : "",
		                       format_mbg_fault_text(left));
	add_finding(inquiry,
	            faults == FORMAT_MBG_ODD_SUBJECT ? TOOL_SUSPICIOUS
	                                             : TOOL_FAULT,
	            mailbag, record->number,
	            (faults & FORMAT_MBG_BAD_STEM) != 0 ? "rebuild" : NULL,
	            "%s", sentence->str);
}

int
tool_rule_record_header(const ToolInquiry *inquiry)
{
	return check_all(inquiry, check_header);
}

/* ---- P23: from the future ------------------------------------------------ */

static void
check_date(const ToolInquiry *inquiry, const ToolMailbag *mailbag,
           const ToolRecord *record)
{
	g_autofree char *object =
		g_strdup_printf("%s/%u", mailbag->name, record->number);
	g_autofree char *date = NULL;
	int64_t time_us;

	if (format_mbg_time(&record->header, &time_us) < 0 ||
	    time_us * US_PER_NS - mailbag->mbg.mtime_ns <= AHEAD_NS)
		return;
	date = tool_record_time(record, false);
	tool_finding_add(inquiry, tool_finding_if_live(inquiry, TOOL_WARNING),
	                 object, NULL,
	                 "it is dated %s, after the mailbag was last written: "
	                 "the clock of whoever delivered it is wrong",
	                 date);
}

int
tool_rule_record_date(const ToolInquiry *inquiry)
{
	return check_all(inquiry, check_date);
}

/* ---- P09: one number, two messages --------------------------------------- */

/* Looks at the @count references to one message. */
static void
check_number(const ToolInquiry *inquiry, const ToolReference *references,
             guint count)
{
	const ToolReference *first = NULL;
	char stem[FORMAT_STEM_SIZE + 1];
	guint i;

	for (i = 0; i < count; i++) {
		const ToolMailbag *mailbag =
			inquiry->census->mailbags->pdata[references[i].mailbag];

		if (!references[i].is_live || !mailbag->has_bits)
			continue;
		if (first == NULL)
			first = &references[i];
		if (references[i].digest == first->digest)
			continue;
		format_stem_print(first->message, stem);
		tool_finding_add(
			inquiry, tool_finding_if_live(inquiry, TOOL_FAULT),
			stem, NULL,
			"live headers of different subjects name this message: "
			"its number was given out twice; one text is lost, and "
			"has to be sent again");
		return;
	}
}

int
tool_rule_record_number(const ToolInquiry *inquiry)
{
	const GArray *references = inquiry->census->references;
	guint i = 0;

	while (i < references->len) {
		const ToolReference *reference =
			&g_array_index(references, ToolReference, i);
		guint count;

		reference = tool_reference_find(references, reference->message,
		                                &count);
		check_number(inquiry, reference, count);
		i += count;
	}
	return 0;
}

/* ---- P21: twice in a mailbag --------------------------------------------- */

int
tool_rule_record_duplicate(const ToolInquiry *inquiry)
{
	const ToolCensus *census = inquiry->census;
	const ToolReference *last = NULL;
	guint i;

	/* References to a message in a mailbag are next to each other. */
	for (i = 0; i < census->references->len; i++) {
		const ToolReference *reference =
			&g_array_index(census->references, ToolReference, i);
		const ToolMailbag *mailbag =
			census->mailbags->pdata[reference->mailbag];

		if (!reference->is_live || !mailbag->has_bits)
			continue;
		if (last != NULL && last->message == reference->message &&
		    last->mailbag == reference->mailbag)
			add_finding(inquiry, TOOL_FAULT, mailbag,
			            reference->record, "rebuild",
			            "message %08X is in this mailbag already, "
			            "as record %u",
			            last->message, last->record);
		else
			last = reference;
	}
	return 0;
}
