/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/mbg.h"
#include "store/format/name.h"
#include "store/format/text.h"
#include "tests/fuzz/fuzz.h"

/* Text is the same after a way through UTF-8, and zero after its end. */
static void
check_text(const uint8_t *field, size_t size)
{
	g_autofree char *text = format_text_decode(field, size);
	g_autofree uint8_t *again = g_malloc(size);
	size_t length = strnlen((const char *)field, size - 1);

	g_assert(g_utf8_validate(text, -1, NULL));
	format_text_encode(text, again, size);
	g_assert(memcmp(again, field, length) == 0);
	for (size_t i = length; i < size; i++)
		g_assert(again[i] == 0);
}

static void
check_faults(const FormatMbgRecord *record)
{
	unsigned faults = format_mbg_faults(record);
	g_autofree char *stem = format_mbg_stem(record);
	int64_t time_us;

	g_assert((stem == NULL) == !!(faults & FORMAT_MBG_BAD_STEM));
	g_assert((format_mbg_time(record, &time_us) < 0) ==
	         !!(faults & FORMAT_MBG_BAD_TIME));
	for (; faults != 0; faults &= faults - 1)
		g_assert(format_mbg_fault_text(faults)[0] != '\0');
}

/* What is made of anybody's parts is right. */
static void
check_made(const FormatMbgRecord *from)
{
	g_autofree char *sender = format_mbg_sender(from);
	g_autofree char *subject = format_mbg_subject(from);
	g_autofree char *stem = format_mbg_stem(from);
	FormatMbgRecord made;
	int64_t time_us = 0;

	(void)format_mbg_time(from, &time_us);
	/* New Year's Eve of the last year may be after it elsewhere. */
	if (from->year == 2079)
		time_us = 0;
	/* 1970 is no year of a mailbag. */
	time_us = MAX(time_us, INT64_C(400000000) * G_USEC_PER_SEC);
	format_mbg_make(sender, subject, time_us,
	                stem != NULL ? stem : "00000001", &made);
	g_assert((format_mbg_faults(&made) &
	          ~(unsigned)FORMAT_MBG_ODD_SUBJECT) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = { data, size };
	uint8_t bytes[FORMAT_MBG_RECORD_SIZE];
	uint8_t again[FORMAT_MBG_RECORD_SIZE];
	FormatMbgRecord record;

	do {
		fuzz_take(&input, bytes, sizeof(bytes));
		format_mbg_decode(bytes, &record);
		format_mbg_encode(&record, again);
		g_assert(memcmp(bytes, again, sizeof(bytes)) == 0);
		check_text(record.sender, sizeof(record.sender));
		check_text(record.subject, sizeof(record.subject));
		check_faults(&record);
		check_made(&record);
	} while (input.size > 0);
	g_assert(format_mbg_count(size) <= size / FORMAT_MBG_RECORD_SIZE);
	return 0;
}
