/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/bytes.h"
#include "store/format/glb.h"
#include "store/format/size.h"
#include "tests/fuzz/fuzz.h"

static void
check_control(FuzzInput input)
{
	uint8_t bytes[FORMAT_CONTROL_SIZE];
	uint8_t again[FORMAT_CONTROL_SIZE];
	FormatControl control;
	bool is_above, is_below;

	fuzz_take(&input, bytes, sizeof(bytes));
	format_control_decode(bytes, &control);
	format_control_encode(&control, again);
	g_assert(memcmp(bytes, again, sizeof(bytes)) == 0);

	is_above = format_counter_is_above(control.mailbag, control.letter);
	is_below = format_counter_is_above(control.letter, control.mailbag);
	g_assert(!is_above || !is_below);
	g_assert(is_above || is_below || control.mailbag == control.letter ||
	         control.mailbag - control.letter == UINT32_C(1) << 31);
	g_assert(format_counter_is_above(control.letter + 1, control.letter));
}

/* A record is read from its own bytes: no more, and in their order. */
static void
check_records(FuzzInput input)
{
	g_autofree uint8_t *bytes = g_malloc(FORMAT_XTN_RECORD_SIZE);
	FormatNetwork network;
	FormatMaster master;
	FormatXtn xtn;
	FormatNme nme;

	fuzz_take(&input, bytes, FORMAT_XTN_RECORD_SIZE);
	format_xtn_decode(bytes, &xtn);
	g_assert(memcmp(xtn.name, bytes + 1, sizeof(xtn.name)) == 0);
	g_assert(memcmp(xtn.mbg, bytes + 12, sizeof(xtn.mbg)) == 0);
	bytes = g_realloc(bytes, FORMAT_MASTER_SIZE);
	format_master_decode(bytes, &master);
	g_assert(master.gateways == bytes[0x93]);
	bytes = g_realloc(bytes, FORMAT_NETWORK_RECORD_SIZE);
	format_network_decode(bytes, &network);
	g_assert(memcmp(network.mbg, bytes + 33, sizeof(network.mbg)) == 0);
	bytes = g_realloc(bytes, FORMAT_NME_RECORD_SIZE);
	format_nme_decode(bytes, &nme);
	g_assert(memcmp(&nme, bytes, 41) == 0);
}

/* A size, then the path of the file that has it. */
static void
check_size(FuzzInput input)
{
	uint8_t bytes[sizeof(uint64_t)];
	g_autofree char *path = NULL;
	g_autofree char *text = NULL;
	const FormatSizeRule *rule;
	uint64_t size;
	bool fits;

	fuzz_take(&input, bytes, sizeof(bytes));
	size = bytes_get_u64(bytes);
	path = fuzz_take_text(&input);
	rule = format_size_rule(path);
	if (rule == NULL) {
		g_assert(format_size_check(path, size) == NULL);
		return;
	}
	fits = format_size_fits(rule, size);
	g_assert((format_size_check(path, size) == NULL) == fits);
	g_assert(format_size_fits(rule, rule->base));
	if (fits && rule->unit > 1)
		g_assert(!format_size_fits(rule, size + 1));
	text = format_size_text(rule);
	g_assert(text[0] != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = { data, size };

	check_control(input);
	check_records(input);
	check_size(input);
	return 0;
}
