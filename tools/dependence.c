/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/dependence.h"

#include <errno.h>
#include <string.h>

#include "store/format/name.h"
#include "tools/apply.h"
#include "tools/office_message.h"
#include "tools/office_reference.h"

/* ---- what the deed has given ---------------------------------------------- */

/* What is looked at in a postoffice. */
typedef struct Look {
	const ToolOffice *office;
	const ToolDeed *deed;
	GPtrArray *mailbags; /* owned */
	GArray *references;  /* owned */
} Look;

static void
look_clear(Look *look)
{
	g_clear_pointer(&look->mailbags, g_ptr_array_unref);
	g_clear_pointer(&look->references, g_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Look, look_clear)

static bool
is_new(const StoreJournalFile *file)
{
	return strcmp(file->new_path, file->old_path) != 0;
}

/* The path below @office that @file has got, made or renamed, or under which it
 * has got longer; NULL if neither. */
static const char *
path_got(const ToolOffice *office, const StoreJournalFile *file)
{
	const char *path = file->new_path;
	size_t size = strlen(office->path);

	if (path[0] != '/' ||
	    (!is_new(file) && file->new_size <= file->old_size))
		return NULL;
	path++;
	if (size > 0 &&
	    (strncmp(path, office->path, size) != 0 || path[size] != '/'))
		return NULL;
	return path + size + (size > 0);
}

/* What @file of the deed is, if that has given it anything. */
static FormatName
name_got(const Look *look, const StoreJournalFile *file)
{
	const char *path = path_got(look->office, file);
	FormatName name = { .kind = FORMAT_NAME_FOREIGN };

	if (path != NULL)
		format_name_parse(path, &name);
	return name;
}

static bool
has_path(const StoreJournalFile *file, const char *path)
{
	return g_ascii_strcasecmp(file->old_path, path) == 0 ||
	       g_ascii_strcasecmp(file->new_path, path) == 0;
}

/* Whether @deed has changed @mailbag, so that what it names goes back with it.
 * That it only had the lock is not enough. */
static bool
has_changed(const ToolDeed *deed, const ToolMailbag *mailbag)
{
	static const FormatNameKind kinds[] = { FORMAT_NAME_KEY,
		                                FORMAT_NAME_MBG };
	bool is_changed = false;

	for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
		g_autofree char *inside =
			format_name_path(kinds[k], mailbag->name);
		g_autofree char *name =
			tool_office_name(mailbag->office, inside);
		g_autofree char *path = g_strconcat("/", name, NULL);

		for (guint i = 0; !is_changed && i < deed->files->len; i++)
			is_changed = has_path(deed->files->pdata[i], path);
	}
	return is_changed;
}

/* ---- what names it -------------------------------------------------------- */

/* A live record of these @which mailbags, none that the deed has changed, that
 * names @message; NULL if there is none. */
static const ToolReference *
find_live(const Look *look, uint32_t message, ToolMailbags which)
{
	const ToolReference *reference;
	guint count = 0;

	reference = tool_reference_find(look->references, message, &count);
	for (; count > 0; count--, reference++) {
		const ToolMailbag *mailbag =
			look->mailbags->pdata[reference->mailbag];

		if (reference->is_live &&
		    (which == TOOL_MAILBAGS_ALL ||
		     mailbag->kind == TOOL_MAILBAG_INQUEUE) &&
		    !has_changed(look->deed, mailbag))
			return reference;
	}
	return NULL;
}

static const char *
mailbag_name(const Look *look, const ToolReference *reference)
{
	return ((const ToolMailbag *)look->mailbags->pdata[reference->mailbag])
	        ->name;
}

/* Refuses to have @file, a message or an envelope, which is called @name, go or
 * lose of its content while a live record names it. */
static int
check_message(const Look *look, const StoreJournalFile *file,
              const FormatName *name, GError **error)
{
	const ToolReference *reference = find_live(
		look, name->number,
		name->kind == FORMAT_NAME_MAI ? TOOL_MAILBAGS_ALL
					      : TOOL_MAILBAGS_INQUEUES);

	if (reference == NULL)
		return 0;
	if (is_new(file))
		return tool_fail(error, -EBUSY,
		                 "record %u of %s names %s since then",
		                 reference->record,
		                 mailbag_name(look, reference), file->new_path);
	return tool_fail(error, -EBUSY,
	                 "record %u of %s names %s, of which %" G_GUINT64_FORMAT
	                 " bytes would be left",
	                 reference->record, mailbag_name(look, reference),
	                 file->new_path, file->old_size);
}

/* Whether the deed has made a message that an attachment with the number @number
 * may be of: they go together. */
static bool
has_message(const Look *look, uint32_t number)
{
	for (guint i = 0; i < look->deed->files->len; i++) {
		FormatName name = name_got(look, look->deed->files->pdata[i]);

		if (name.kind == FORMAT_NAME_MAI &&
		    name.number - number - 1 < TOOL_MESSAGE_NEIGHBOURS)
			return true;
	}
	return false;
}

/* Whether @message was made after @attachment. */
static bool
is_younger(const Look *look, uint32_t message, const StoreAttr *attachment)
{
	char stem[FORMAT_STEM_SIZE + 1];
	g_autofree char *path = NULL;
	StoreAttr mai;

	format_stem_print(message, stem);
	path = format_name_path(FORMAT_NAME_MAI, stem);
	return tool_office_find(look->office, path, &mai) == 0 &&
	       mai.btime_ns >= attachment->btime_ns;
}

/* Refuses to have @file, an attachment, which is called @name, go or lose of its
 * content while a live record names a message that it may be of. Which that is
 * is not public; but it is made after it, with a number not far above (Q148515,
 * Q127001). */
static int
check_attachment(const Look *look, const StoreJournalFile *file,
                 const FormatName *name, GError **error)
{
	const ToolReference *reference;
	StoreAttr attachment;

	/* One that is gone has changed since then. */
	if (has_message(look, name->number) ||
	    tool_office_find(look->office, path_got(look->office, file),
	                     &attachment) < 0)
		return 0;
	for (uint32_t i = 1; i <= TOOL_MESSAGE_NEIGHBOURS; i++) {
		reference =
			find_live(look, name->number + i, TOOL_MAILBAGS_ALL);
		if (reference != NULL &&
		    is_younger(look, reference->message, &attachment))
			return tool_fail(error, -EBUSY,
			                 "record %u of %s names message %08X, "
			                 "which %s may be of",
			                 reference->record,
			                 mailbag_name(look, reference),
			                 reference->message, file->new_path);
	}
	return 0;
}

static int
check_file(const Look *look, const StoreJournalFile *file,
           const FormatName *name, GError **error)
{
	return name->kind == FORMAT_NAME_ATT
	               ? check_attachment(look, file, name, error)
	               : check_message(look, file, name, error);
}

int
tool_dependence_check(const ToolOffice *office, const ToolDeed *deed,
                      StoreEdits *edits, GError **error)
{
	g_auto(Look) look = { .office = office, .deed = deed };
	ToolMailbags which = TOOL_MAILBAGS_INQUEUES;
	bool has_any = false;
	int r;

	r = tool_mailbag_list(office, &look.mailbags);
	if (r == 0)
		r = tool_reference_list(look.mailbags, &look.references);
	if (r < 0)
		return tool_fail(error, r, "cannot read the mailbags: %s",
		                 g_strerror(-r));
	for (guint i = 0; r == 0 && i < deed->files->len; i++) {
		const StoreJournalFile *file = deed->files->pdata[i];
		FormatName name = name_got(&look, file);

		if (name.kind != FORMAT_NAME_MAI &&
		    name.kind != FORMAT_NAME_ATT && name.kind != FORMAT_NAME_P1)
			continue;
		has_any = true;
		if (name.kind != FORMAT_NAME_P1)
			which = TOOL_MAILBAGS_ALL;
		r = check_file(&look, file, &name, error);
	}
	if (r == 0 && has_any)
		r = tool_apply_expect_mailbags(edits, look.mailbags, which,
		                               error);
	return r;
}
