/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/format/glb.h"
#include "store/format/size.h"
#include "store/format/text.h"
#include "store/layout.h"

static void
the_published_counter_is_read_and_written(void **state)
{
	static const uint8_t BYTES[FORMAT_CONTROL_SIZE] = { 0x11, 0,    0,
		                                            0,    0x4D, 0x3C,
		                                            0x2B, 0x1A };
	uint8_t again[FORMAT_CONTROL_SIZE];
	FormatControl control;

	format_control_decode(BYTES, &control);
	assert_int_equal(control.mailbag, 0x11);
	assert_int_equal(control.letter, 439041101);
	format_control_encode(&control, again);
	assert_memory_equal(again, BYTES, sizeof(again));
}

/* Two weeks of a busy postoffice (Q122852). */
static void
counters_go_up_round_the_circle(void **state)
{
	static const uint8_t WEEKS[][4] = {
		{ 0x4D, 0x3C, 0x2B, 0x1A },
		{ 0xC8, 0x2C, 0x2C, 0x1A },
		{ 0x29, 0x21, 0x2D, 0x1A },
	};

	for (size_t i = 1; i < G_N_ELEMENTS(WEEKS); i++) {
		uint32_t before = format_serial_decode(WEEKS[i - 1]);
		uint32_t after = format_serial_decode(WEEKS[i]);

		assert_true(format_counter_is_above(after, before));
		assert_false(format_counter_is_above(before, after));
		assert_in_range(after - before, 61000, 63000);
	}
	assert_false(format_counter_is_above(7, 7));
	assert_true(format_counter_is_above(2, UINT32_MAX));
	assert_false(format_counter_is_above(UINT32_MAX, 2));
}

static void
the_published_network_is_read(void **state)
{
	/* Q148666: state, type, name, 25 zeros from the end of the name on. */
	uint8_t bytes[FORMAT_NETWORK_RECORD_SIZE] = "\x01\x10MSMAIL";
	FormatNetwork network;
	g_autofree char *name = NULL;

	memcpy(bytes + 2 + 6 + 25, "0000002E", 9);
	format_network_decode(bytes, &network);
	assert_int_equal(network.state, FORMAT_STATE_ACTIVE);
	assert_int_equal(network.type, FORMAT_NETWORK_CONNECTION);
	name = format_text_decode(network.name, sizeof(network.name));
	assert_string_equal(name, "MSMAIL");
	assert_string_equal((const char *)network.mbg, "0000002E");
	assert_string_equal((const char *)network.xtn, "");
}

/* The places that Q148666 names, for every record of a file of 45. */
static void
a_networks_fields_are_where_the_article_says(void **state)
{
	g_autofree uint8_t *file = g_malloc0(5490);
	FormatNetwork network;

	for (size_t n = 1; n <= 45; n++) {
		size_t at = 122 * (n - 1);

		file[at] = 1;
		file[at + 0x01] = 0x64;
		file[at + 0x02] = 'n';
		file[at + 0x0D] = 'x';
		file[at + 0x21] = 'm';
		format_network_decode(file + at, &network);
		assert_int_equal(network.type, FORMAT_NETWORK_FFAPI);
		assert_int_equal(network.name[0], 'n');
		assert_int_equal(network.xtn[0], 'x');
		assert_int_equal(network.mbg[0], 'm');
	}
	assert_null(format_size_check("GLB/NETWORK.GLB", 5490));
	assert_int_equal(45 * FORMAT_NETWORK_RECORD_SIZE, 5490);
}

/* Where DEBUG shows the first, second and 20th record, less 0x100. */
static void
a_postoffices_fields_are_where_the_article_says(void **state)
{
	static const struct {
		size_t record;
		size_t state, name, routed;
	} PLACES[] = {
		{ 0, 0x100, 0x101, 0x389 },
		{ 1, 0x3BA, 0x3BB, 0x643 },
		{ 19, 0x34CE, 0x34CF, 0x3757 },
	};
	uint8_t file[20 * FORMAT_XTN_RECORD_SIZE] = { 0 };
	FormatXtn xtn;

	for (size_t i = 0; i < G_N_ELEMENTS(PLACES); i++) {
		uint8_t *record =
			file + PLACES[i].record * FORMAT_XTN_RECORD_SIZE;

		file[PLACES[i].state - 0x100] = 1;
		file[PLACES[i].name - 0x100] = 'P';
		file[PLACES[i].routed - 0x100] = 0x02;
		file[PLACES[i].routed - 0xFF] = 0x01;
		memcpy(record + 0x0C, "0000000E", 9);
		format_xtn_decode(record, &xtn);
		assert_int_equal(xtn.state, FORMAT_STATE_ACTIVE);
		assert_string_equal((const char *)xtn.name, "P");
		assert_string_equal((const char *)xtn.mbg, "0000000E");
		assert_int_equal(xtn.routed, 0x0102);
	}
}

static void
the_other_published_bytes_are_read(void **state)
{
	static const uint8_t ID[] = { 0x3C, 0x56, 0x4F, 0x4D };
	uint8_t master[FORMAT_MASTER_SIZE] = { [0x93] = 0x71, [0x94] = 1 };
	uint8_t nme[FORMAT_NME_RECORD_SIZE] = "\x01\x02Martian";
	FormatMaster decoded;
	FormatNme address;

	format_master_decode(master, &decoded);
	assert_int_equal(decoded.gateways & FORMAT_MASTER_CONNECTION, 0x10);
	assert_int_equal(decoded.security, 1);
	master[0x93] = 0x61;
	format_master_decode(master, &decoded);
	assert_int_equal(decoded.gateways & FORMAT_MASTER_CONNECTION, 0);

	/* The id is 0x27 after the first character of the name (Q119563). */
	memcpy(nme + 2 + 0x27, ID, sizeof(ID));
	format_nme_decode(nme, &address);
	assert_string_equal((const char *)address.name, "Martian");
	assert_int_equal(address.id, 0x4D4F563C);
	assert_int_equal(format_serial_decode(ID), 0x4D4F563C);
	assert_int_equal(format_flag_decode((const uint8_t *)"\x34\x12"),
	                 0x1234);
}

static void
sizes_keep_to_their_rules(void **state)
{
	static const struct {
		const char *path;
		uint64_t good, bad;
		const char *text;
	} SIZES[] = {
		{ "KEY/INQUEUE3.KEY", 560, 559, "560 bytes" },
		{ "key/0000000a.key", 560, 561, "560 bytes" },
		{ "MBG/0000000A.MBG", 0, 115,
		  "116 bytes a record, at most 475136" },
		{ "MBG/0000000A.MBG", 475136, 475136 + 116,
		  "116 bytes a record, at most 475136" },
		{ "GLB/ACCESS.GLB", 1172, 585, "586 bytes a record" },
		{ "GLB/CONTROL.GLB", 8, 0, "8 bytes" },
		{ "GLB/FLAG.GLB", 2, 3, "2 bytes" },
		{ "GLB/GROUP.GLB", 4 + 51, 3, "4 bytes and 51 bytes a record" },
		{ "GLB/GRPMEM.GLB", 4, 3, "4 bytes and 128 bytes a record" },
		{ "GLB/MASTER.GLB", 176, 0, "176 bytes" },
		{ "GLB/PROCESS.GLB", 512 + 197, 513,
		  "512 bytes and 197 bytes a record" },
		{ "GLB/SERVER.GLB", 0, 180, "181 bytes a record" },
		{ "GLB/REQTRANS.GLB", 0, 1, "empty" },
		{ "GLB/GALINDEX.GLB", 208 + 6, 207,
		  "208 bytes and 6 bytes a record" },
		{ "MEM/00000011.MEM", 2000, 2004,
		  "4 bytes a record, at most 2000" },
		{ "NME/ADMIN.NME", 45, 44, "45 bytes a record" },
		{ "XTN/0000002E.XTN", 698, 697, "698 bytes a record" },
		{ "FOLDERS/SERIALNO.IDX", 4, 100, "4 bytes" },
		{ "FOLDERS/LOC/0000000A/0000000A.IDX", 258, 158,
		  "100 bytes and 158 bytes a record" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(SIZES); i++) {
		const FormatSizeRule *rule =
			format_size_check(SIZES[i].path, SIZES[i].bad);
		g_autofree char *text = NULL;

		assert_non_null(rule);
		assert_ptr_equal(rule, format_size_rule(SIZES[i].path));
		assert_null(format_size_check(SIZES[i].path, SIZES[i].good));
		assert_int_equal(rule->articles[0], 'Q');
		text = format_size_text(rule);
		assert_string_equal(text, SIZES[i].text);
	}
	assert_null(format_size_check("LOG/SESSION.LOG", 3));
	assert_null(format_size_check("KEY/SUB/0000000A.KEY", 3));
	assert_true(format_size_rule("GLB/GWTRANS.GLB")->is_when_idle);
	assert_false(format_size_rule("GLB/TID.GLB")->is_when_idle);
}

static void
an_empty_postoffice_keeps_to_every_rule(void **state)
{
	for (const LayoutItem *i = layout_skeleton(); i->path != NULL; i++)
		if (!i->is_dir)
			assert_null(format_size_check(i->path, i->size));
}

static void
the_three_access_files_have_as_many_records(void **state)
{
	assert_true(format_size_access_agrees(586, 69, 512));
	assert_true(format_size_access_agrees(293000, 34500, 256000));
	assert_false(format_size_access_agrees(586, 138, 512));
	assert_false(format_size_access_agrees(586, 69, 1024));
	assert_false(format_size_access_agrees(0, 69, 512));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_counter_is_read_and_written),
		cmocka_unit_test(counters_go_up_round_the_circle),
		cmocka_unit_test(the_published_network_is_read),
		cmocka_unit_test(a_networks_fields_are_where_the_article_says),
		cmocka_unit_test(
			a_postoffices_fields_are_where_the_article_says),
		cmocka_unit_test(the_other_published_bytes_are_read),
		cmocka_unit_test(sizes_keep_to_their_rules),
		cmocka_unit_test(an_empty_postoffice_keeps_to_every_rule),
		cmocka_unit_test(the_three_access_files_have_as_many_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
