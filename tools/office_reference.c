/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/office_reference.h"

#include <string.h>

#include "store/format/name.h"

/* ---- listing ------------------------------------------------------------- */

/* A list being made. */
typedef struct Reading {
	uint32_t mailbag;
	GArray *references;
} Reading;

/* FNV-1a: short, and good enough to tell a handful of subjects apart. */
static uint32_t
subject_digest(const FormatMbgRecord *header)
{
	uint32_t digest = 2166136261u;
	size_t i;

	for (i = 0; i < sizeof header->subject && header->subject[i] != 0; i++)
		digest = (digest ^ header->subject[i]) * 16777619u;
	return digest;
}

static int
add_reference(void *user_data, const ToolMailbag *mailbag,
              const ToolRecord *record)
{
	Reading *reading = user_data;
	ToolReference reference = {
		.mailbag = reading->mailbag,
		.record = record->number,
		.is_live = record->is_live,
	};
	char stem[FORMAT_STEM_SIZE + 1];

	(void)mailbag;
	if (record->header.stem[FORMAT_STEM_SIZE] != '\0')
		return 0;
	g_strlcpy(stem, (const char *)record->header.stem, sizeof stem);
	if (format_stem_parse(stem, &reference.message) < 0)
		return 0;
	reference.digest = subject_digest(&record->header);
	g_array_append_val(reading->references, reference);
	return 0;
}

static int
compare_references(gconstpointer a, gconstpointer b)
{
	const ToolReference *x = a;
	const ToolReference *y = b;

	if (x->message != y->message)
		return x->message < y->message ? -1 : 1;
	if (x->mailbag != y->mailbag)
		return x->mailbag < y->mailbag ? -1 : 1;
	return (x->record > y->record) - (x->record < y->record);
}

int
tool_reference_list(const GPtrArray *mailbags, GArray **ret_references)
{
	g_autoptr(GArray) references =
		g_array_new(FALSE, FALSE, sizeof(ToolReference));
	Reading reading = { .references = references };
	guint i;
	int r = 0;

	for (i = 0; i < mailbags->len && r == 0; i++) {
		reading.mailbag = i;
		r = tool_mailbag_read(mailbags->pdata[i], add_reference,
		                      &reading);
	}
	if (r < 0)
		return r;
	g_array_sort(references, compare_references);
	*ret_references = g_steal_pointer(&references);
	return 0;
}

/* ---- finding ------------------------------------------------------------- */

/* The first reference to @message or a later one. */
static guint
find_first(const GArray *references, uint32_t message)
{
	guint low = 0;
	guint high = references->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (g_array_index(references, ToolReference, middle).message <
		    message)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const ToolReference *
tool_reference_find(const GArray *references, uint32_t message,
                    guint *ret_count)
{
	guint first = find_first(references, message);
	guint i = first;

	while (i < references->len &&
	       g_array_index(references, ToolReference, i).message == message)
		i++;
	*ret_count = i - first;
	return i > first ? &g_array_index(references, ToolReference, first)
	                 : NULL;
}

/* ---- owners -------------------------------------------------------------- */

ToolReferenceCount
tool_reference_count(const GPtrArray *mailbags, const ToolReference *references,
                     guint count)
{
	ToolReferenceCount result = { .all = count };
	guint i;

	for (i = 0; i < count; i++) {
		const ToolMailbag *mailbag =
			mailbags->pdata[references[i].mailbag];

		if (!references[i].is_live)
			continue;
		if (mailbag->kind == TOOL_MAILBAG_INQUEUE)
			result.queued++;
		else
			result.owners++;
	}
	return result;
}

ToolOwnership
tool_reference_compare(const ToolReferenceCount *count, uint16_t owners)
{
	if (count->owners > owners)
		return TOOL_OWNERSHIP_LESS;
	if (count->queued > 0)
		return TOOL_OWNERSHIP_QUEUED;
	return count->owners == owners ? TOOL_OWNERSHIP_EVEN
	                               : TOOL_OWNERSHIP_MORE;
}

const char *
tool_ownership_text(ToolOwnership ownership)
{
	static const char *const texts[] = {
		[TOOL_OWNERSHIP_EVEN] = "as many owners as live headers",
		[TOOL_OWNERSHIP_QUEUED] =
			"in an inqueue: the mailer gives its owners their "
			"headers",
		[TOOL_OWNERSHIP_LESS] =
			"more live headers than owners: it is erased before "
			"all have read it",
		[TOOL_OWNERSHIP_MORE] =
			"more owners than live headers: it stays behind when "
			"the last is deleted, unless external recipients are "
			"counted (how they are is not public)",
	};

	return texts[ownership];
}
