/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/name.h"
#include "store/layout.h"
#include "tests/fuzz/fuzz.h"

/* Whether format_name_path() knows the way back. */
static bool
has_path(FormatNameKind kind)
{
	switch (kind) {
	case FORMAT_NAME_KEY:
	case FORMAT_NAME_MBG:
	case FORMAT_NAME_MAI:
	case FORMAT_NAME_ATT:
	case FORMAT_NAME_P1:
	case FORMAT_NAME_XTN:
	case FORMAT_NAME_USR:
		return true;
	case FORMAT_NAME_FOREIGN:
	case FORMAT_NAME_POPULATE:
	case FORMAT_NAME_COPY:
	case FORMAT_NAME_ENVELOPE:
	case FORMAT_NAME_QUEUE_LOCK:
	case FORMAT_NAME_SUFFIX_LOCK:
	case FORMAT_NAME_INF: /* these two may have longer names */
	case FORMAT_NAME_TPL:
	case FORMAT_NAME_NME:
	case FORMAT_NAME_GRP:
	case FORMAT_NAME_MEM:
	case FORMAT_NAME_MMF:
	case FORMAT_NAME_FOLDER:
	case FORMAT_NAME_GLB:
	case FORMAT_NAME_OTHER:
	case FORMAT_NAME_LEFTOVER:
	default:
		return false;
	}
}

static void
check_path(const char *path, const FormatName *name)
{
	g_autofree char *upper = g_ascii_strup(path, -1);
	g_autofree char *again = NULL;

	if (!has_path(name->kind))
		return;
	again = format_name_path(name->kind, name->stem);
	g_assert((strcmp(again, upper) != 0) == name->is_misplaced);
}

/* What the file system takes for a mailbag or its lock is the same here. */
static void
check_layout(const char *path, const FormatName *name)
{
	char mailbag[LAYOUT_MAILBAG_MAX + 1];
	const char *file = strrchr(path, '/');
	LayoutDir dir = name->kind == FORMAT_NAME_KEY   ? LAYOUT_DIR_KEY
	                : name->kind == FORMAT_NAME_MBG ? LAYOUT_DIR_MBG
	                                                : LAYOUT_DIR_P1;

	file = file != NULL ? file + 1 : path;
	if (name->kind != FORMAT_NAME_KEY && name->kind != FORMAT_NAME_MBG &&
	    name->kind != FORMAT_NAME_QUEUE_LOCK)
		return;
	g_assert(layout_mailbag(dir, file, mailbag));
	g_assert(strcmp(mailbag, name->stem) == 0);
	g_assert(format_stem_is_mailbag(mailbag));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = { data, size };
	g_autofree char *path = fuzz_take_text(&input);
	char stem[FORMAT_STEM_SIZE + 1];
	FormatName name;

	format_name_parse(path, &name);
	g_assert(format_name_text(name.kind)[0] != '\0');
	g_assert(format_stem_is_number(name.stem) == name.has_number);
	if (name.has_number) {
		format_stem_print(name.number, stem);
		g_assert(strcmp(stem, name.stem) == 0);
	}
	check_path(path, &name);
	check_layout(path, &name);
	return 0;
}
