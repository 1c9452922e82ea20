/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/format/name.h"
#include "store/layout.h"

static void
every_name_is_what_it_is(void **state)
{
	static const struct {
		const char *path;
		FormatNameKind kind;
		const char *stem;
	} NAMES[] = {
		{ "KEY/0000000A.KEY", FORMAT_NAME_KEY, "0000000A" },
		{ "KEY/INQUEUE3.KEY", FORMAT_NAME_KEY, "INQUEUE3" },
		{ "MBG/SYSTEM.MBG", FORMAT_NAME_MBG, "SYSTEM" },
		{ "MBG/COPY.MBG", FORMAT_NAME_COPY, "COPY" },
		{ "MAI/MA8/00000278.MAI", FORMAT_NAME_MAI, "00000278" },
		{ "ATT/ATF/0000027F.ATT", FORMAT_NAME_ATT, "0000027F" },
		{ "P1/00000278.P1", FORMAT_NAME_P1, "00000278" },
		{ "P1/00000278.PBB", FORMAT_NAME_ENVELOPE, "00000278" },
		{ "P1/000005AF.PBB", FORMAT_NAME_ENVELOPE, "000005AF" },
		{ "P1/000000AB.P05", FORMAT_NAME_ENVELOPE, "000000AB" },
		{ "P1/000000AB.P00", FORMAT_NAME_ENVELOPE, "000000AB" },
		{ "P1/00000009.0LK", FORMAT_NAME_QUEUE_LOCK, "00000009" },
		{ "P1/0000000E.OLK", FORMAT_NAME_QUEUE_LOCK, "0000000E" },
		{ "P1/00000009.005", FORMAT_NAME_QUEUE_LOCK, "00000009" },
		{ "P1/INQUEUE3.0LK", FORMAT_NAME_QUEUE_LOCK, "INQUEUE3" },
		{ "INQUEUE.0LK", FORMAT_NAME_QUEUE_LOCK, "INQUEUE" },
		{ "P1/LOCKP1ID.PBB", FORMAT_NAME_SUFFIX_LOCK, "" },
		{ "XTN/0000002E.XTN", FORMAT_NAME_XTN, "0000002E" },
		{ "USR/0000000E.USR", FORMAT_NAME_USR, "0000000E" },
		{ "INF/0000000E.INF", FORMAT_NAME_INF, "0000000E" },
		{ "TPL/0000000E.TPL", FORMAT_NAME_TPL, "0000000E" },
		{ "NME/ADMINSHD.NME", FORMAT_NAME_NME, "ADMINSHD" },
		{ "GRP/ADMIN.GRP", FORMAT_NAME_GRP, "ADMIN" },
		{ "MEM/00000011.MEM", FORMAT_NAME_MEM, "00000011" },
		{ "MMF/0000000A.MMF", FORMAT_NAME_MMF, "0000000A" },
		{ "FOLDERS/SERIALNO.IDX", FORMAT_NAME_FOLDER, "SERIALNO" },
		{ "FOLDERS/LOC/0000000A/FOLDROOT.IDX", FORMAT_NAME_FOLDER,
		  "FOLDROOT" },
		{ "FOLDERS/PUB/00000001.FLD", FORMAT_NAME_FOLDER, "00000001" },
		{ "GLB/CONTROL.GLB", FORMAT_NAME_GLB, "CONTROL" },
		{ "GLB/HAYES.SCR", FORMAT_NAME_OTHER, "HAYES" },
		{ "CAL/SCHEDULE.KEY", FORMAT_NAME_OTHER, "SCHEDULE" },
		{ "LOG/SESSION.LOG", FORMAT_NAME_OTHER, "SESSION" },
		{ "MACGATE/PCTOMAC", FORMAT_NAME_OTHER, "PCTOMAC" },
		{ "GLB/DELTID.GLB", FORMAT_NAME_LEFTOVER, "DELTID" },
		{ "GLB/SORT0001.GLB", FORMAT_NAME_LEFTOVER, "SORT0001" },
		{ "GLB/C850SORT.GLB", FORMAT_NAME_GLB, "C850SORT" },
		{ "MAI/MA8/00000278.MAX", FORMAT_NAME_LEFTOVER, "00000278" },
		{ "P1/00000278.PX", FORMAT_NAME_LEFTOVER, "00000278" },
		{ "USR/IMPORT.USR", FORMAT_NAME_LEFTOVER, "IMPORT" },
		{ "KEY/POPULATE.MSM", FORMAT_NAME_POPULATE, "POPULATE" },
		{ "ATT/AT0/POPULATE.MSM", FORMAT_NAME_POPULATE, "POPULATE" },
	};
	FormatName name;

	for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
		format_name_parse(NAMES[i].path, &name);
		assert_int_equal(name.kind, NAMES[i].kind);
		assert_string_equal(name.stem, NAMES[i].stem);
		assert_false(name.is_misplaced);
		assert_false(name.is_lower);
		assert_string_not_equal(format_name_text(name.kind), "");
	}
}

static void
what_is_not_known_is_foreign(void **state)
{
	static const char *const NAMES[] = {
		"",
		"/",
		"README.TXT",
		"POPULATE.MSM",
		"FOO/POPULATE.MSM",
		"KEY/ADMIN.KEY",
		"KEY/0000000A.MBG",
		"KEY/SUB/0000000A.KEY",
		"MBG/0000000A.OLD",
		"MBG/0000000.MBG",
		"MBG/000000000.MBG",
		"MBG/.MBG",
		"MBG/0000000A.X.MBG",
		"P1/INQUEUE.X.0LK",
		"P1/LOCKP1ID.X.PBB",
		"MAI/00000278.MAI",
		"MAI/MAG/00000278.MAI",
		"MAI/MA8/0000027G.MAI",
		"MAI/MA8/INQUEUE3.MAI",
		"MAI/MA8/SUB/00000278.MAI",
		"ATT/AT9/00000279.MAI",
		"P1/00000278.P",
		"P1/00000278.P123",
		"P1/LOCKP1ID.P1",
		"P1/ADMIN.0LK",
		"P1/INQUEUE.P1",
		"KEY/0000000A.0LK",
		"XTN/NETWORK.XTN",
		"GLB/CONTROL.BAK",
		"FOO/0000000A.KEY",
		"../KEY/0000000A.KEY",
		"KEY/../KEY/0000000A.KEY",
	};
	FormatName name;

	for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
		format_name_parse(NAMES[i], &name);
		assert_int_equal(name.kind, FORMAT_NAME_FOREIGN);
	}
}

static void
nothing_in_an_empty_postoffice_is_foreign(void **state)
{
	FormatName name;

	for (const LayoutItem *i = layout_skeleton(); i->path != NULL; i++) {
		if (i->is_dir)
			continue;
		format_name_parse(i->path, &name);
		assert_int_not_equal(name.kind, FORMAT_NAME_FOREIGN);
	}
}

static void
case_and_place_are_noticed(void **state)
{
	FormatName name;

	format_name_parse("MAI/MA2/00000063.MAI", &name);
	assert_int_equal(name.kind, FORMAT_NAME_MAI);
	assert_true(name.is_misplaced);
	assert_true(name.has_number);
	assert_int_equal(name.number, 0x63);
	format_name_parse("P1/0000000e.0lk", &name);
	assert_int_equal(name.kind, FORMAT_NAME_QUEUE_LOCK);
	assert_string_equal(name.stem, "0000000E");
	assert_true(name.is_lower);
	format_name_parse("P1/lockp1id.pbb", &name);
	assert_int_equal(name.kind, FORMAT_NAME_SUFFIX_LOCK);
	assert_true(name.is_lower);
	assert_false(name.has_number);
}

static void
paths_are_found_again(void **state)
{
	static const FormatNameKind KINDS[] = {
		FORMAT_NAME_KEY, FORMAT_NAME_MBG, FORMAT_NAME_MAI,
		FORMAT_NAME_ATT, FORMAT_NAME_P1,  FORMAT_NAME_XTN,
		FORMAT_NAME_USR, FORMAT_NAME_INF, FORMAT_NAME_TPL,
	};
	FormatName name;

	for (size_t i = 0; i < G_N_ELEMENTS(KINDS); i++) {
		g_autofree char *path = format_name_path(KINDS[i], "0000ABCD");

		format_name_parse(path, &name);
		assert_int_equal(name.kind, KINDS[i]);
		assert_int_equal(name.number, 0xABCD);
		assert_false(name.is_misplaced);
	}
}

static void
stems_are_numbers(void **state)
{
	char stem[FORMAT_STEM_SIZE + 1];
	uint32_t number = 0;

	format_stem_print(439041101, stem);
	assert_string_equal(stem, "1A2B3C4D");
	assert_int_equal(format_stem_parse(stem, &number), 0);
	assert_int_equal(number, 439041101);
	assert_int_equal(format_stem_parse("FFFFFFFF", &number), 0);
	assert_int_equal(number, UINT32_MAX);
	assert_false(format_stem_is_number("0000000a"));
	assert_false(format_stem_is_number("0000000"));
	assert_false(format_stem_is_number("000000000"));
	assert_int_equal(format_stem_parse("", &number), -EINVAL);
	assert_true(format_stem_is_mailbag("0000000A"));
	assert_true(format_stem_is_mailbag("INQUEUE"));
	assert_false(format_stem_is_mailbag("inqueue"));
	assert_false(format_stem_is_mailbag("ADMIN"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_is_what_it_is),
		cmocka_unit_test(what_is_not_known_is_foreign),
		cmocka_unit_test(nothing_in_an_empty_postoffice_is_foreign),
		cmocka_unit_test(case_and_place_are_noticed),
		cmocka_unit_test(paths_are_found_again),
		cmocka_unit_test(stems_are_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
