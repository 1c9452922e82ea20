/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "store/format/glb.h"
#include "store/format/size.h"
#include "tools/rule.h"

/* Whether a header in an inqueue waits for the envelope of @number, which is not
 * there: a copy may be the only one. What is deleted is known for certain, or may
 * be live. */
static bool
is_awaited(const ToolCensus *census, uint32_t number)
{
	const ToolReference *first;
	guint count;

	if (tool_file_find(census->files->envelopes, number) != NULL)
		return false;
	first = tool_reference_find(census->references, number, &count);
	for (guint i = 0; i < count; i++) {
		const ToolMailbag *mailbag =
			census->mailbags->pdata[first[i].mailbag];

		if (mailbag->kind == TOOL_MAILBAG_INQUEUE &&
		    (first[i].is_live || !census->office->layout->is_confirmed))
			return true;
	}
	return false;
}

/* Tells of the files of @kind that are a cycle old, which are leftovers. */
static void
check_left(const ToolInquiry *inquiry, FormatNameKind kind,
           const char *sentence)
{
	const GArray *all = inquiry->census->files->all;
	guint i;

	for (i = 0; i < all->len; i++) {
		const ToolFile *file = &g_array_index(all, ToolFile, i);

		if (file->kind == kind &&
		    tool_census_is_older(inquiry->census, file,
		                         TOOL_CENSUS_CYCLE_S))
			tool_finding_add(
				inquiry, TOOL_WARNING, file->path,
				is_awaited(inquiry->census, file->number)
					? NULL
					: tool_mend_purge(inquiry, file, 2,
			                                  "leftovers"),
				"%s", sentence);
	}
}

/* ---- P11: companions of locks -------------------------------------------- */

/* Lock files are never in a store. */

int
tool_rule_file_lock(const ToolInquiry *inquiry)
{
	check_left(inquiry, FORMAT_NAME_ENVELOPE,
	           "a session's copy of an envelope, left by one that ended");
	return 0;
}

/* ---- P15: compress ------------------------------------------------------- */

int
tool_rule_file_copy(const ToolInquiry *inquiry)
{
	check_left(inquiry, FORMAT_NAME_COPY,
	           "ADMIN Compress did not finish: compress again, while no "
	           "External or gateway runs");
	return 0;
}

/* ---- P20: IMPORT --------------------------------------------------------- */

static bool
is_import(const ToolFile *file)
{
	return strcmp(file->path, "USR/IMPORT.USR") == 0 ||
	       strcmp(file->path, "INF/IMPORT.INF") == 0;
}

int
tool_rule_file_import(const ToolInquiry *inquiry)
{
	const GArray *all = inquiry->census->files->all;
	guint i;

	for (i = 0; i < all->len; i++) {
		const ToolFile *file = &g_array_index(all, ToolFile, i);

		if (is_import(file))
			tool_finding_add(inquiry, TOOL_WARNING, file->path,
			                 NULL,
			                 "IMPORT could not put the new list in "
			                 "the old one's place: run IMPORT -Y "
			                 "-Q again");
	}
	return 0;
}

/* ---- P18: counters ------------------------------------------------------- */

/* The highest number that a counter has to stay above. */
typedef struct Highest {
	uint32_t counter;
	uint32_t number; /* ahead of it, farther than any other */
	bool is_behind;
} Highest;

/* Takes @number into account. One that equals the counter is taken for its
 * last, for a counter is at 0 where a mailbag 00000000 is. */
static void
highest_add(Highest *highest, uint32_t number)
{
	if (number == highest->counter ||
	    format_counter_is_above(highest->counter, number))
		return;
	if (!highest->is_behind ||
	    number - highest->counter > highest->number - highest->counter)
		highest->number = number;
	highest->is_behind = true;
}

static void
print_counter(GString *sentence, const Highest *highest, const char *what)
{
	if (highest->is_behind)
		g_string_append_printf(
			sentence,
			"the counter of %s is %08X, but %08X is in use; ", what,
			highest->counter, highest->number);
}

static void
check_counters(const ToolInquiry *inquiry, const FormatControl *control)
{
	const GArray *all = inquiry->census->files->all;
	const GArray *references = inquiry->census->references;
	Highest mailbags = { .counter = control->mailbag };
	Highest letters = { .counter = control->letter };
	g_autoptr(GString) sentence = g_string_new(NULL);
	guint i;

	for (i = 0; i < all->len; i++) {
		const ToolFile *file = &g_array_index(all, ToolFile, i);
		const char *name = strrchr(file->path, '/');

		if (file->kind == FORMAT_NAME_MAI ||
		    file->kind == FORMAT_NAME_ATT ||
		    file->kind == FORMAT_NAME_P1)
			highest_add(&letters, file->number);
		else if ((file->kind == FORMAT_NAME_KEY ||
		          file->kind == FORMAT_NAME_MBG) &&
		         name != NULL && g_ascii_isxdigit(name[1]))
			highest_add(&mailbags, file->number);
	}
	for (i = 0; i < references->len; i++) {
		const ToolReference *reference =
			&g_array_index(references, ToolReference, i);

		if (reference->is_live)
			highest_add(&letters, reference->message);
	}
	print_counter(sentence, &mailbags, "mailbags");
	print_counter(sentence, &letters, "messages");
	if (sentence->len > 0)
		tool_finding_add(
			inquiry, TOOL_FAULT, "GLB/CONTROL.GLB",
			tool_mend_office(inquiry, "set-counter --auto"),
			"%snumbers will be given out twice", sentence->str);
}

int
tool_rule_file_control(const ToolInquiry *inquiry)
{
	g_autoptr(GBytes) bytes = NULL;
	FormatControl control;
	size_t size;
	int r;

	r = tool_office_read(inquiry->census->office, "GLB/CONTROL.GLB",
	                     FORMAT_CONTROL_SIZE, &bytes);
	if (r < 0 && r != -ENOENT)
		return r;
	size = bytes != NULL ? g_bytes_get_size(bytes) : 0;
	if (size < FORMAT_CONTROL_SIZE) {
		tool_finding_add(
			inquiry, TOOL_FAULT, "GLB/CONTROL.GLB",
			tool_mend_office(inquiry, "set-counter --auto"),
			"the counters %s: no mail can be written",
			bytes == NULL ? "are not there" : "are cut off");
		return 0;
	}
	format_control_decode(g_bytes_get_data(bytes, NULL), &control);
	check_counters(inquiry, &control);
	return 0;
}

/* ---- R08: places --------------------------------------------------------- */

int
tool_rule_file_place(const ToolInquiry *inquiry)
{
	const GArray *all = inquiry->census->files->all;
	guint i;

	for (i = 0; i < all->len; i++) {
		const ToolFile *file = &g_array_index(all, ToolFile, i);

		if (file->is_misplaced)
			tool_finding_add(inquiry, TOOL_FAULT, file->path, NULL,
			                 "it is not in the directory of its "
			                 "last digit, where programs look: "
			                 "move it there");
	}
	return 0;
}

/* ---- R09: sizes ---------------------------------------------------------- */

static void
check_size(const ToolInquiry *inquiry, const ToolFile *file)
{
	const FormatSizeRule *rule = format_size_check(file->path, file->size);
	g_autofree char *wanted = NULL;

	if (rule == NULL)
		return;
	if (rule->is_when_idle) {
		if (tool_census_is_older(inquiry->census, file,
		                         TOOL_CENSUS_DAY_S))
			tool_finding_add(inquiry, TOOL_WARNING, file->path,
			                 NULL,
			                 "directory synchronization has left "
			                 "%" G_GUINT64_FORMAT
			                 " bytes in it: it did not finish",
			                 file->size);
		return;
	}
	wanted = format_size_text(rule);
	tool_finding_add(inquiry, TOOL_FAULT, file->path, NULL,
	                 "it has %" G_GUINT64_FORMAT
	                 " bytes, not %s; bring it back from a backup",
	                 file->size, wanted);
}

/* The three parts of the list of users have as many records each. */
static int
check_access(const ToolInquiry *inquiry)
{
	static const char *const paths[] = { "GLB/ACCESS.GLB",
		                             "GLB/ACCESS2.GLB",
		                             "GLB/ACCESS3.GLB" };
	StoreAttr attr[G_N_ELEMENTS(paths)];
	size_t i;
	int r;

	for (i = 0; i < G_N_ELEMENTS(paths); i++) {
		r = tool_office_find(inquiry->census->office, paths[i],
		                     &attr[i]);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		/* One that is damaged has been told of. */
		if (format_size_check(paths[i], attr[i].size) != NULL)
			return 0;
	}
	if (!format_size_access_agrees(attr[0].size, attr[1].size,
	                               attr[2].size))
		tool_finding_add(inquiry, TOOL_FAULT, paths[0], NULL,
		                 "ACCESS.GLB, ACCESS2.GLB and ACCESS3.GLB do "
		                 "not have the same number of users");
	return 0;
}

/* Whether a rule of its own looks at the size of @file, or none has to. */
static bool
has_own_rule(const ToolFile *file)
{
	static const char *const dirs[] = { "KEY/", "MBG/", "MAI/", "ATT/",
		                            "P1/" };
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(dirs); i++)
		if (g_str_has_prefix(file->path, dirs[i]))
			return true;
	return strcmp(file->path, "GLB/CONTROL.GLB") == 0 &&
	       file->size < FORMAT_CONTROL_SIZE;
}

int
tool_rule_file_size(const ToolInquiry *inquiry)
{
	const GArray *all = inquiry->census->files->all;
	guint i;

	for (i = 0; i < all->len; i++) {
		const ToolFile *file = &g_array_index(all, ToolFile, i);

		if (!has_own_rule(file))
			check_size(inquiry, file);
	}
	return check_access(inquiry);
}

/* ---- R11: names ---------------------------------------------------------- */

int
tool_rule_file_name(const ToolInquiry *inquiry)
{
	const GArray *all = inquiry->census->files->all;
	guint i;

	for (i = 0; i < all->len; i++) {
		const ToolFile *file = &g_array_index(all, ToolFile, i);

		if (file->kind == FORMAT_NAME_FOREIGN)
			tool_finding_add(inquiry, TOOL_NOTE, file->path, NULL,
			                 "no mail program makes a file of this "
			                 "name here");
		else if (file->kind == FORMAT_NAME_LEFTOVER && !is_import(file))
			tool_finding_add(inquiry, TOOL_NOTE, file->path, NULL,
			                 "a program that stopped has left it; "
			                 "it does no harm");
	}
	return 0;
}

/* ---- R15: directories ---------------------------------------------------- */

/* Whether mail is lost or stuck without @path, not just a part of the
 * service. */
static bool
is_vital(const char *path)
{
	static const char *const names[] = { "ATT", "GLB", "KEY",
		                             "MAI", "MBG", "P1" };
	size_t size = strcspn(path, "/");
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(names); i++)
		if (strlen(names[i]) == size &&
		    strncmp(path, names[i], size) == 0)
			return true;
	return false;
}

int
tool_rule_file_directory(const ToolInquiry *inquiry)
{
	const LayoutItem *item;

	for (item = layout_skeleton(); item->path != NULL; item++)
		if (item->is_dir &&
		    !g_hash_table_contains(inquiry->census->files->directories,
		                           item->path))
			tool_finding_add(inquiry,
			                 is_vital(item->path) ? TOOL_FAULT
			                                      : TOOL_WARNING,
			                 item->path, NULL,
			                 "the directory is not there: make it, "
			                 "with a POPULATE.MSM in it");
	return 0;
}
