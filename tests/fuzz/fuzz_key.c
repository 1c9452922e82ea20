/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/key.h"
#include "tests/fuzz/fuzz.h"

static void
check_bits(uint8_t *key, const FormatKeyLayout *layout, uint32_t records)
{
	uint32_t vacant = format_key_find_vacant(key, layout, records);
	uint32_t live = 0;

	for (uint32_t i = 0; i < records; i++) {
		bool is = format_key_is_deleted(key, layout, i);

		g_assert(i >= vacant || !is);
		live += !is;
	}
	g_assert(format_key_count_live(key, layout, records) == live);
	g_assert(vacant == records ||
	         format_key_is_deleted(key, layout, vacant));
}

static void
check_change(uint8_t *key, const FormatKeyLayout *layout, uint32_t record)
{
	bool was = format_key_is_deleted(key, layout, record);
	uint8_t before[FORMAT_KEY_SIZE];

	memcpy(before, key, sizeof(before));
	format_key_set_deleted(key, layout, record, was);
	g_assert(memcmp(key, before, sizeof(before)) == 0);
	format_key_set_deleted(key, layout, record, !was);
	g_assert(format_key_is_deleted(key, layout, record) == !was);
	format_key_set_deleted(key, layout, record, was);
	g_assert(memcmp(key, before, sizeof(before)) == 0);
}

static void
check_text(const char *text)
{
	FormatKeyLayout layout;
	FormatKeyLayout again;
	g_autofree char *printed = NULL;

	if (format_key_layout_parse(text, &layout) < 0)
		return;
	printed = format_key_layout_print(&layout);
	g_assert(format_key_layout_parse(printed, &again) == 0);
	g_assert(again.offset == layout.offset);
	g_assert(again.first_bit_is_lsb == layout.first_bit_is_lsb);
	g_assert(again.one_is_deleted == layout.one_is_deleted);
	g_assert(again.word == layout.word);
	g_assert(again.is_confirmed == layout.is_confirmed);
}

/* Layout, number of records, one of them, the key; or a layout in words. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = { data, size };
	g_autofree char *text = NULL;
	FormatKeyLayout layout = { 0 };
	uint8_t key[FORMAT_KEY_SIZE];
	uint16_t numbers[2];
	uint8_t head[2];

	fuzz_take(&input, head, sizeof(head));
	fuzz_take(&input, numbers, sizeof(numbers));
	fuzz_take(&input, key, sizeof(key));
	layout.offset = head[0] % 49;
	layout.first_bit_is_lsb = head[1] & 1;
	layout.one_is_deleted = head[1] & 2;
	layout.word = 1U << head[1] / 4 % 3;
	check_bits(key, &layout, numbers[0] % (FORMAT_KEY_RECORDS_MAX + 1));
	check_change(key, &layout, numbers[1] % FORMAT_KEY_RECORDS_MAX);

	input = (FuzzInput){ data, size };
	text = fuzz_take_text(&input);
	check_text(text);
	return 0;
}
