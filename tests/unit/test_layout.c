/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/dos_attr.h"
#include "store/layout.h"

static void
every_kind_of_name_is_known(void **state)
{
	static const struct {
		LayoutDir dir;
		LayoutKind kind;
		const char *name;
	} names[] = {
		{ LAYOUT_DIR_KEY, LAYOUT_MAILBAG, "INQUEUE3.KEY" },
		{ LAYOUT_DIR_KEY, LAYOUT_MAILBAG, "0000000a.key" },
		{ LAYOUT_DIR_KEY, LAYOUT_PLAIN, "POPULATE.MSM" },
		{ LAYOUT_DIR_MBG, LAYOUT_MAILBAG, "0000000A.MBG" },
		{ LAYOUT_DIR_MBG, LAYOUT_MESSAGE, "COPY.MBG" },
		{ LAYOUT_DIR_MAI_BUCKET, LAYOUT_MESSAGE, "00000278.MAI" },
		{ LAYOUT_DIR_ATT_BUCKET, LAYOUT_MESSAGE, "00000279.ATT" },
		{ LAYOUT_DIR_MAI_BUCKET, LAYOUT_PLAIN, "POPULATE.MSM" },
		{ LAYOUT_DIR_P1, LAYOUT_MESSAGE, "00000278.P1" },
		{ LAYOUT_DIR_P1, LAYOUT_MESSAGE, "000005AF.PBB" },
		{ LAYOUT_DIR_P1, LAYOUT_MESSAGE, "000000AB.P05" },
		{ LAYOUT_DIR_P1, LAYOUT_PLAIN, "POPULATE.MSM" },
		{ LAYOUT_DIR_P1, LAYOUT_LOCK_FILE, "00000009.0LK" },
		{ LAYOUT_DIR_P1, LAYOUT_LOCK_FILE, "0000000E.0lk" },
		{ LAYOUT_DIR_P1, LAYOUT_LOCK_FILE, "00000009.OLK" },
		{ LAYOUT_DIR_P1, LAYOUT_LOCK_FILE, "00000009.005" },
		{ LAYOUT_DIR_P1, LAYOUT_LOCK_FILE, "LOCKP1ID.PBB" },
		{ LAYOUT_DIR_POSTOFFICE, LAYOUT_LOCK_FILE, "INQUEUE.0LK" },
		{ LAYOUT_DIR_GLB, LAYOUT_LOCK_FILE, "INQUEUE3.OLK" },
		{ LAYOUT_DIR_GLB, LAYOUT_PLAIN, "00000009.0LK" },
		{ LAYOUT_DIR_GLB, LAYOUT_PLAIN, "CONTROL.GLB" },
		{ LAYOUT_DIR_FOREIGN, LAYOUT_PLAIN, "A.KEY" },
		{ LAYOUT_DIR_FOREIGN, LAYOUT_PLAIN, "INQUEUE.0LK" },
	};
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(names); i++)
		assert_int_equal(layout_kind(names[i].dir, names[i].name),
		                 names[i].kind);
}

static void
some_files_are_for_one_program_at_a_time(void **state)
{
	static const char *const NAMES[] = { "CONTROL.GLB", "TID.GLB",
		                             "FLAG.GLB", "master.glb" };

	for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
		assert_true(layout_is_one_owner(LAYOUT_DIR_GLB, NAMES[i]));
		assert_false(layout_is_one_owner(LAYOUT_DIR_KEY, NAMES[i]));
		assert_false(layout_is_one_owner(LAYOUT_DIR_FOREIGN, NAMES[i]));
	}
	assert_false(layout_is_one_owner(LAYOUT_DIR_GLB, "NETWORK.GLB"));
	assert_false(layout_is_one_owner(LAYOUT_DIR_GLB, "CONTROL.OLD"));
}

static void
bodies_are_mai_and_att(void **state)
{
	assert_true(layout_is_body(LAYOUT_DIR_MAI_BUCKET, "00000278.MAI"));
	assert_true(layout_is_body(LAYOUT_DIR_ATT_BUCKET, "00000279.att"));
	assert_false(layout_is_body(LAYOUT_DIR_MAI_BUCKET, "POPULATE.MSM"));
	assert_false(layout_is_body(LAYOUT_DIR_P1, "00000278.P1"));
	assert_false(layout_is_body(LAYOUT_DIR_MBG, "COPY.MBG"));
	assert_false(layout_is_body(LAYOUT_DIR_FOREIGN, "00000278.MAI"));
}

static void
directories_have_their_roles(void **state)
{
	LayoutDir mai = layout_child(LAYOUT_DIR_POSTOFFICE, "mai");

	assert_int_equal(mai, LAYOUT_DIR_MAI);
	assert_int_equal(layout_child(mai, "MAF"), LAYOUT_DIR_MAI_BUCKET);
	assert_int_equal(layout_child(mai, "MAG"), LAYOUT_DIR_OWN);
	assert_int_equal(layout_child(LAYOUT_DIR_POSTOFFICE, "MACGATE"),
	                 LAYOUT_DIR_FOREIGN);
	assert_int_equal(layout_child(LAYOUT_DIR_FOREIGN, "KEY"),
	                 LAYOUT_DIR_FOREIGN);
	assert_false(layout_is_dos(LAYOUT_DIR_POSTOFFICE));
	assert_true(layout_is_dos(LAYOUT_DIR_OWN));
}

static void
the_skeleton_is_what_mailint_looks_for(void **state)
{
	const LayoutItem *item;
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
	int dirs = 0;

	for (item = layout_skeleton(); item->path != NULL; item++) {
		g_autofree char *parent = g_path_get_dirname(item->path);

		dirs += item->is_dir;
		/* Parents come first. */
		assert_true(strcmp(parent, ".") == 0 ||
		            g_hash_table_contains(seen, parent));
		g_hash_table_add(seen, (char *)(uintptr_t)item->path);
		if (g_str_has_suffix(item->path, ".KEY"))
			assert_int_equal(item->size, 560);
		if (strcmp(item->path, "GLB/CONTROL.GLB") == 0)
			assert_int_equal(item->size, 8);
	}
	/* 19 and 2 times 16 (Q132744), and the two below FOLDERS. */
	assert_int_equal(dirs, 51 + 2);
	assert_true(g_hash_table_contains(seen, "ATT/ATF/POPULATE.MSM"));
	assert_true(g_hash_table_contains(seen, "MBG/INQUEUE3.MBG"));
}

/* What smbd 4.17 was seen to write for a read-only archive file. */
static const uint8_t observed[DOS_ATTR_SIZE] = {
	0, 0, 5, 0, 5, 0, 0, 0, 0x11, 0, 0, 0, 0x21, 0, 0, 0,
};

static void
dos_attributes_are_read_as_smbd_wrote_them(void **state)
{
	uint32_t attr = 0;

	assert_true(dos_attr_decode(observed, sizeof(observed), &attr));
	assert_int_equal(attr, DOS_ATTR_READ_ONLY | DOS_ATTR_ARCHIVE);
	assert_true(dos_attr_decode((const uint8_t *)"0x27", 4, &attr));
	assert_int_equal(attr, 0x27);
	assert_true(dos_attr_decode((const uint8_t *)"0x7\0", 4, &attr));
	assert_int_equal(attr, 0x7);
	assert_false(dos_attr_decode((const uint8_t *)"", 0, &attr));
	assert_false(dos_attr_decode((const uint8_t *)"0x", 2, &attr));
	assert_false(dos_attr_decode((const uint8_t *)"0xzz", 4, &attr));
	assert_false(dos_attr_decode(observed, 15, &attr));
}

static void
dos_attributes_are_written_as_smbd_does(void **state)
{
	uint8_t value[DOS_ATTR_SIZE];

	dos_attr_encode(0x21, 0, value);
	assert_memory_equal(value, observed, 16);
	/* 1970 in steps of 100 ns since 1601. */
	assert_memory_equal(value + 16, "\x00\x80\x3e\xd5\xde\xb1\x9d\x01", 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_name_is_known),
		cmocka_unit_test(some_files_are_for_one_program_at_a_time),
		cmocka_unit_test(bodies_are_mai_and_att),
		cmocka_unit_test(directories_have_their_roles),
		cmocka_unit_test(the_skeleton_is_what_mailint_looks_for),
		cmocka_unit_test(dos_attributes_are_read_as_smbd_wrote_them),
		cmocka_unit_test(dos_attributes_are_written_as_smbd_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
