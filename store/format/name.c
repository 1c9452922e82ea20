/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/format/name.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include <glib.h>

#include "store/layout.h"

/* ---- stems ---------------------------------------------------------------*/

int
format_stem_parse(const char *stem, uint32_t *ret_number)
{
	uint32_t number = 0;

	for (size_t i = 0; i < FORMAT_STEM_SIZE; i++) {
		if (!g_ascii_isxdigit(stem[i]) || g_ascii_islower(stem[i]))
			return -EINVAL;
		number = number << 4 | (uint32_t)g_ascii_xdigit_value(stem[i]);
	}
	if (stem[FORMAT_STEM_SIZE] != '\0')
		return -EINVAL;
	*ret_number = number;
	return 0;
}

void
format_stem_print(uint32_t number, char ret_stem[FORMAT_STEM_SIZE + 1])
{
	g_snprintf(ret_stem, FORMAT_STEM_SIZE + 1, "%08X", number);
}

bool
format_stem_is_number(const char *stem)
{
	uint32_t number;

	return format_stem_parse(stem, &number) == 0;
}

bool
format_stem_is_mailbag(const char *stem)
{
	return format_stem_is_number(stem) || strcmp(stem, "INQUEUE") == 0 ||
	       strcmp(stem, "INQUEUE3") == 0 || strcmp(stem, "SYSTEM") == 0;
}

/* ---- what is where -------------------------------------------------------*/

/* What may stand before the extension. */
typedef enum Stem {
	STEM_NUMBER,  /* eight hexadecimal digits */
	STEM_MAILBAG, /* or INQUEUE, INQUEUE3, SYSTEM */
	STEM_ANY,
} Stem;

/* The first pattern that fits decides; patterns are fnmatch()'s. */
static const struct {
	const char *pattern;
	FormatNameKind kind;
	Stem stem;
} names[] = {
	{ "KEY/*.KEY", FORMAT_NAME_KEY, STEM_MAILBAG },
	{ "MBG/COPY.MBG", FORMAT_NAME_COPY, STEM_ANY },
	{ "MBG/*.MBG", FORMAT_NAME_MBG, STEM_MAILBAG },
	{ "MAI/MA[0-9A-F]/*.MAI", FORMAT_NAME_MAI, STEM_NUMBER },
	{ "MAI/MA[0-9A-F]/*.MAX", FORMAT_NAME_LEFTOVER,
	  STEM_NUMBER }, /* Q166153 */
	{ "ATT/AT[0-9A-F]/*.ATT", FORMAT_NAME_ATT, STEM_NUMBER },
	{ "ATT/AT[0-9A-F]/*.ATX", FORMAT_NAME_LEFTOVER, STEM_NUMBER },
	{ "P1/*.P1", FORMAT_NAME_P1, STEM_NUMBER },
	{ "P1/*.PX", FORMAT_NAME_LEFTOVER, STEM_NUMBER },
	{ "P1/*.P??", FORMAT_NAME_ENVELOPE, STEM_NUMBER },
	{ "XTN/*.XTN", FORMAT_NAME_XTN, STEM_NUMBER },
	{ "USR/IMPORT.USR", FORMAT_NAME_LEFTOVER, STEM_ANY }, /* Q134228 */
	{ "INF/IMPORT.INF", FORMAT_NAME_LEFTOVER, STEM_ANY },
	{ "USR/*.USR", FORMAT_NAME_USR, STEM_NUMBER },
	{ "INF/*.INF", FORMAT_NAME_INF, STEM_ANY },
	{ "TPL/*.TPL", FORMAT_NAME_TPL, STEM_ANY },
	{ "NME/*.NME", FORMAT_NAME_NME, STEM_ANY },
	{ "GRP/*.GRP", FORMAT_NAME_GRP, STEM_ANY },
	{ "MEM/*.MEM", FORMAT_NAME_MEM, STEM_NUMBER },
	{ "MMF/*.MMF", FORMAT_NAME_MMF, STEM_NUMBER },
	{ "FOLDERS/*.IDX", FORMAT_NAME_FOLDER, STEM_ANY },
	{ "FOLDERS/*/*.IDX", FORMAT_NAME_FOLDER, STEM_ANY },
	{ "FOLDERS/*/*/*.IDX", FORMAT_NAME_FOLDER, STEM_ANY },
	{ "FOLDERS/*.FLD", FORMAT_NAME_FOLDER, STEM_ANY },
	{ "FOLDERS/*/*.FLD", FORMAT_NAME_FOLDER, STEM_ANY },
	{ "FOLDERS/*/*/*.FLD", FORMAT_NAME_FOLDER, STEM_ANY },
	{ "GLB/DELTID.GLB", FORMAT_NAME_LEFTOVER, STEM_ANY }, /* Q121956 */
	{ "GLB/NPTRANS.GLB", FORMAT_NAME_LEFTOVER, STEM_ANY },
	{ "GLB/SORT????.GLB", FORMAT_NAME_LEFTOVER, STEM_ANY }, /* Q96060 */
	{ "GLB/IGWTRANS.GLB", FORMAT_NAME_LEFTOVER, STEM_ANY },
	{ "GLB/IUSRTRAN.GLB", FORMAT_NAME_LEFTOVER, STEM_ANY },
	{ "GLB/INMETRAN.GLB", FORMAT_NAME_LEFTOVER, STEM_ANY },
	{ "GLB/SRVUPDS.GLB", FORMAT_NAME_LEFTOVER, STEM_ANY },
	{ "GLB/REQUPDS.GLB", FORMAT_NAME_LEFTOVER, STEM_ANY },
	{ "GLB/*.GLB", FORMAT_NAME_GLB, STEM_ANY },
	{ "GLB/*.SCR", FORMAT_NAME_OTHER, STEM_ANY }, /* Q127954 */
	{ "GLB/*.MDM", FORMAT_NAME_OTHER, STEM_ANY },
	{ "CAL/*.CAL", FORMAT_NAME_OTHER, STEM_ANY },
	{ "CAL/*.POF", FORMAT_NAME_OTHER, STEM_ANY },
	{ "CAL/*.PRF", FORMAT_NAME_OTHER, STEM_ANY },
	{ "CAL/SCHEDULE.KEY", FORMAT_NAME_OTHER, STEM_ANY },
	{ "INI/*.INI", FORMAT_NAME_OTHER, STEM_ANY },
	{ "LOG/*.LOG", FORMAT_NAME_OTHER, STEM_ANY },
	{ "HLP/*", FORMAT_NAME_OTHER, STEM_ANY },
	/* Gateways: Q148666, Q87181, Q85349, Q86955. */
	{ "MACGATE/*", FORMAT_NAME_OTHER, STEM_ANY },
	{ "VMGATE/*", FORMAT_NAME_OTHER, STEM_ANY },
	{ "VMGATE/ERR/*", FORMAT_NAME_OTHER, STEM_ANY },
	{ "FAX/*", FORMAT_NAME_OTHER, STEM_ANY },
	{ "MFFGET/*", FORMAT_NAME_OTHER, STEM_ANY },
	{ "MFFPUT/*", FORMAT_NAME_OTHER, STEM_ANY },
};

static bool
fits(Stem stem, const FormatName *name)
{
	switch (stem) {
	case STEM_NUMBER:
		return name->has_number;
	case STEM_MAILBAG:
		return format_stem_is_mailbag(name->stem);
	case STEM_ANY:
	default:
		return true;
	}
}

static FormatNameKind
find_kind(const char *path, const FormatName *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		/* The first letter spares most of fnmatch(), which is slow. */
		if (names[i].pattern[0] == path[0] &&
		    fnmatch(names[i].pattern, path, FNM_PATHNAME) == 0)
			return fits(names[i].stem, name) ? names[i].kind
			                                 : FORMAT_NAME_FOREIGN;
	return FORMAT_NAME_FOREIGN;
}

/* The role of the directory that @path is in; its last part begins at
 * *@ret_file. */
static LayoutDir
find_dir(const char *path, const char **ret_file)
{
	LayoutDir role = LAYOUT_DIR_POSTOFFICE;
	const char *slash;

	while ((slash = strchr(path, '/')) != NULL) {
		g_autofree char *part = g_strndup(path, (gsize)(slash - path));

		role = layout_child(role, part);
		path = slash + 1;
	}
	*ret_file = path;
	return role;
}

/* The file system decides what a lock file is. */
static FormatNameKind
find_lock(LayoutDir dir, const char *file, FormatName *name)
{
	char mailbag[LAYOUT_MAILBAG_MAX + 1];

	if (layout_kind(dir, file) != LAYOUT_LOCK_FILE)
		return FORMAT_NAME_FOREIGN;
	if (layout_mailbag(dir, file, mailbag))
		return format_stem_is_mailbag(mailbag) ? FORMAT_NAME_QUEUE_LOCK
		                                       : FORMAT_NAME_FOREIGN;
	name->stem[0] = '\0';
	return FORMAT_NAME_SUFFIX_LOCK;
}

/* A MAI is in the directory of its last digit: "MAI/MA2/00000062.MAI". */
static bool
is_misplaced(const char *path, const FormatName *name)
{
	return (name->kind == FORMAT_NAME_MAI ||
	        name->kind == FORMAT_NAME_ATT) &&
	       path[strlen("MAI/MA")] != name->stem[FORMAT_STEM_SIZE - 1];
}

/* Whether @file is of the form 8.3; its stem has @size characters. */
static bool
is_dos(const char *file, size_t size)
{
	return size <= FORMAT_STEM_SIZE &&
	       (file[size] == '\0' || strchr(file + size + 1, '.') == NULL);
}

void
format_name_parse(const char *path, FormatName *ret_name)
{
	g_autofree char *upper = g_ascii_strup(path, -1);
	FormatName name = { .is_lower = strcmp(upper, path) != 0 };
	const char *file;
	LayoutDir dir = find_dir(upper, &file);
	size_t size = strcspn(file, ".");

	if (is_dos(file, size)) {
		memcpy(name.stem, file, size);
		name.kind = find_lock(dir, file, &name);
	}
	name.has_number = format_stem_parse(name.stem, &name.number) == 0;
	if (layout_is_dos(dir) && strcmp(file, "POPULATE.MSM") == 0)
		name.kind = FORMAT_NAME_POPULATE;
	if (name.kind == FORMAT_NAME_FOREIGN)
		name.kind = find_kind(upper, &name);
	name.is_misplaced = is_misplaced(upper, &name);
	*ret_name = name;
}

/* ---- and back ------------------------------------------------------------*/

char *
format_name_path(FormatNameKind kind, const char *stem)
{
	static const struct {
		FormatNameKind kind;
		const char *dir;
		const char *extension;
	} PLACES[] = {
		{ FORMAT_NAME_KEY, "KEY", "KEY" },
		{ FORMAT_NAME_MBG, "MBG", "MBG" },
		{ FORMAT_NAME_MAI, "MAI/MA", "MAI" },
		{ FORMAT_NAME_ATT, "ATT/AT", "ATT" },
		{ FORMAT_NAME_P1, "P1", "P1" },
		{ FORMAT_NAME_XTN, "XTN", "XTN" },
		{ FORMAT_NAME_USR, "USR", "USR" },
		{ FORMAT_NAME_INF, "INF", "INF" },
		{ FORMAT_NAME_TPL, "TPL", "TPL" },
	};
	bool has_bucket = kind == FORMAT_NAME_MAI || kind == FORMAT_NAME_ATT;
	size_t size = strlen(stem);

	for (size_t i = 0; i < G_N_ELEMENTS(PLACES); i++)
		if (PLACES[i].kind == kind)
			return g_strdup_printf(
				"%s%s/%s.%s", PLACES[i].dir,
				has_bucket && size > 0 ? stem + size - 1 : "",
				stem, PLACES[i].extension);
	g_assert_not_reached();
}

const char *
format_name_text(FormatNameKind kind)
{
	static const char *const TEXTS[] = {
		[FORMAT_NAME_FOREIGN] = "foreign file",
		[FORMAT_NAME_POPULATE] = "placeholder",
		[FORMAT_NAME_KEY] = "mailbag's index",
		[FORMAT_NAME_MBG] = "mailbag's headers",
		[FORMAT_NAME_COPY] = "copy of a mailbag",
		[FORMAT_NAME_MAI] = "message",
		[FORMAT_NAME_ATT] = "attachment",
		[FORMAT_NAME_P1] = "envelope",
		[FORMAT_NAME_ENVELOPE] = "program's copy of an envelope",
		[FORMAT_NAME_QUEUE_LOCK] = "queue's lock file",
		[FORMAT_NAME_SUFFIX_LOCK] = "lock file of a suffix",
		[FORMAT_NAME_XTN] = "network",
		[FORMAT_NAME_USR] = "postoffice's users",
		[FORMAT_NAME_INF] = "template data",
		[FORMAT_NAME_TPL] = "template",
		[FORMAT_NAME_NME] = "list of addresses",
		[FORMAT_NAME_GRP] = "list of groups",
		[FORMAT_NAME_MEM] = "group's members",
		[FORMAT_NAME_MMF] = "user's message store",
		[FORMAT_NAME_FOLDER] = "folder",
		[FORMAT_NAME_GLB] = "postoffice's configuration",
		[FORMAT_NAME_OTHER] = "file of the postoffice",
		[FORMAT_NAME_LEFTOVER] = "leftover of a program",
	};

	return kind < G_N_ELEMENTS(TEXTS) ? TEXTS[kind] : "";
}
