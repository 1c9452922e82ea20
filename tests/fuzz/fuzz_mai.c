/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/mai.h"
#include "tests/fuzz/fuzz.h"

/* Where the elements of each level have come to, and where they must end. */
typedef struct Levels {
	size_t at[FORMAT_MAI_DEPTH_MAX + 2];
	size_t end[FORMAT_MAI_DEPTH_MAX + 2];
	unsigned depth;
} Levels;

/* Elements fill the one that contains them, one after the other. */
static void
check_place(Levels *levels, const FormatMaiElement *element)
{
	size_t contents = element->offset + element->header;
	size_t end = contents + element->length + element->trailer;

	g_assert(element->depth <= FORMAT_MAI_DEPTH_MAX);
	g_assert(element->depth <= levels->depth);
	while (levels->depth > element->depth) {
		g_assert(levels->at[levels->depth] ==
		         levels->end[levels->depth]);
		levels->depth--;
	}
	g_assert(element->offset == levels->at[levels->depth]);
	g_assert(end <= levels->end[levels->depth]);
	g_assert(element->header >= 2);
	levels->at[levels->depth] = end;
	if (element->has_children) {
		g_assert(element->length > 0);
		levels->depth++;
		levels->at[levels->depth] = contents;
		levels->end[levels->depth] = contents + element->length;
	}
}

static int
check_walk(const uint8_t *data, size_t size, uint32_t *ret_elements)
{
	FormatMaiElement element;
	FormatMaiWalk walk;
	Levels levels = { .end = { size } };
	uint32_t elements = 0;
	int r;

	format_mai_walk_begin(&walk, data, size);
	levels.at[0] = format_mai_walk_at(&walk);
	while ((r = format_mai_walk_next(&walk, &element)) > 0) {
		check_place(&levels, &element);
		elements++;
	}
	g_assert(format_mai_walk_at(&walk) <= size);
	g_assert(elements <= size);
	for (unsigned i = 1; r == 0 && i <= levels.depth; i++)
		g_assert(levels.at[i] == levels.end[i]);
	*ret_elements = elements;
	return r;
}

static void
check_report(const uint8_t *data, size_t size)
{
	FormatMaiReport report;
	uint64_t declared = 0;
	uint32_t elements;
	int r = check_walk(data, size, &elements);

	format_mai_check(data, size, &report);
	(void)format_mai_declared_size(data, size, &declared);
	g_assert(report.declared == declared);
	g_assert(report.elements == elements);
	g_assert(report.at <= size);
	g_assert((report.verdict == FORMAT_MAI_EMPTY) == (size == 0));
	if (report.verdict > FORMAT_MAI_MALFORMED)
		g_assert(r == 0 && declared <= size);
	if (report.verdict == FORMAT_MAI_MALFORMED)
		g_assert(r < 0);
	if (report.verdict == FORMAT_MAI_SHORT)
		g_assert(declared > size);
}

static void
check_owners(const uint8_t *data, size_t size)
{
	g_autofree uint8_t *copy = g_memdup2(data, size);
	uint16_t owners;
	uint16_t again;

	if (format_mai_owners(data, size, &owners) < 0)
		return;
	g_assert(format_mai_set_owners(copy, size, owners ^ 1) == 0);
	g_assert(format_mai_owners(copy, size, &again) == 0);
	g_assert(again == (owners ^ 1));
	g_assert(format_mai_set_owners(copy, size, owners) == 0);
	g_assert(memcmp(copy, data, size) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_report(data, size);
	check_owners(data, size);
	return 0;
}
