/* SPDX-License-Identifier: BSD-2-Clause */
#include <glib.h>

#include "store/format/mai.h"

/* Where the zeros at the end of @size bytes begin. */
static size_t
find_zeros(const uint8_t *bytes, size_t size)
{
	while (size > 0 && bytes[size - 1] == 0)
		size--;
	return size;
}

/* What the walk through the elements showed. */
typedef struct Sight {
	bool is_known;  /* the first is one that a message begins with */
	bool is_closed; /* they add up */
	bool has_text;
	size_t at;
	uint32_t elements;
} Sight;

static bool
is_text(const FormatMaiElement *element)
{
	return element->id == FORMAT_MAI_FIELD && !element->is_vendors &&
	       element->has_qualifier == FORMAT_MAI_QUALIFIED &&
	       element->qualifier == FORMAT_MAI_TEXT;
}

static Sight
look(const uint8_t *bytes, size_t size)
{
	Sight sight = { .is_known = false };
	FormatMaiElement element;
	FormatMaiWalk walk;
	int r;

	format_mai_walk_begin(&walk, bytes, size);
	while ((r = format_mai_walk_next(&walk, &element)) > 0) {
		if (sight.elements++ == 0)
			sight.is_known = element.id == FORMAT_MAI_MESSAGE ||
			                 element.id == FORMAT_MAI_FIELD ||
			                 element.id == FORMAT_MAI_VENDOR;
		sight.has_text |= is_text(&element);
	}
	sight.is_closed = r == 0;
	sight.at = format_mai_walk_at(&walk);
	return sight;
}

void
format_mai_check(const uint8_t *bytes, size_t size, FormatMaiReport *ret_report)
{
	FormatMaiReport report = { .verdict = FORMAT_MAI_GOOD };
	Sight sight = look(bytes, size);
	size_t zeros;
	size_t end = size;

	report.elements = sight.elements;
	if (format_mai_declared_size(bytes, size, &report.declared) == 0)
		end = (size_t)MIN(report.declared, size);
	zeros = find_zeros(bytes, end);

	if (size == 0) {
		report.verdict = FORMAT_MAI_EMPTY;
	} else if (zeros == 0) {
		report.verdict = FORMAT_MAI_ZERO_TAIL;
	} else if (!sight.is_known) {
		report.verdict = FORMAT_MAI_FOREIGN;
	} else if (report.declared > size) {
		report.verdict = FORMAT_MAI_SHORT;
	} else if (end - zeros >= FORMAT_MAI_ZERO_TAIL_MIN) {
		report.verdict = FORMAT_MAI_ZERO_TAIL;
		report.at = zeros;
	} else if (!sight.is_closed) {
		report.verdict = FORMAT_MAI_MALFORMED;
		report.at = sight.at;
	} else if (!sight.has_text) {
		report.verdict = FORMAT_MAI_NO_TEXT;
	}
	*ret_report = report;
}

const char *
format_mai_verdict_text(FormatMaiVerdict verdict)
{
	switch (verdict) {
	case FORMAT_MAI_EMPTY:
		return "empty";
	case FORMAT_MAI_FOREIGN:
		return "not a message";
	case FORMAT_MAI_SHORT:
		return "shorter than it declares";
	case FORMAT_MAI_ZERO_TAIL:
		return "ends in zeros";
	case FORMAT_MAI_MALFORMED:
		return "malformed";
	case FORMAT_MAI_NO_TEXT:
		return "without text";
	case FORMAT_MAI_GOOD:
		return "good";
	default:
		return "";
	}
}
