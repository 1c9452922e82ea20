/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <glib.h>

#include "store/format/name.h"
#include "store/journal.h"
#include "tools/apply.h"
#include "tools/deed.h"
#include "tools/office_reference.h"
#include "tools/tool.h"
#include "tools/undone.h"

#define ID "%" G_GUINT64_FORMAT

/* ---- what depends on a message -------------------------------------------- */

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

/* Programs make a message and its envelope first, and enter them in mailbags
 * with another transaction: that depends on it, though it has changed other
 * files. */
static int
check_messages(const ToolOffice *office, const ToolDeed *deed,
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

		if (name.kind != FORMAT_NAME_MAI && name.kind != FORMAT_NAME_P1)
			continue;
		has_any = true;
		if (name.kind == FORMAT_NAME_MAI)
			which = TOOL_MAILBAGS_ALL;
		r = check_message(&look, file, &name, error);
	}
	if (r == 0 && has_any)
		r = tool_apply_expect_mailbags(edits, look.mailbags, which,
		                               error);
	return r;
}

/* ---- planning ------------------------------------------------------------- */

/* An edit of @path, unless it is that of nothing. */
static int
add_path(StoreEdits *edits, Store *store, uint64_t id, const char *path,
         GError **error)
{
	int r;

	if (path[0] == '\0')
		return 0;
	r = store_edits_add(edits, store_plain(store), STORE_EDIT_UNDO, path,
	                    id, NULL);
	return r < 0 ? tool_fail(error, r, "%s: %s", path, g_strerror(-r)) : 0;
}

static int
add_file(StoreEdits *edits, Store *store, uint64_t id,
         const StoreJournalFile *file, GError **error)
{
	int r;

	if (S_ISDIR(file->mode))
		return tool_fail(error, -ENOTSUP,
		                 "entry " ID " changed directories: only what "
		                 "was done to files can be undone",
		                 id);
	r = add_path(edits, store, id, file->new_path, error);
	if (r == 0 && g_strcmp0(file->old_path, file->new_path) != 0)
		r = add_path(edits, store, id, file->old_path, error);
	return r;
}

static int
plan_undo(void *user_data, const ToolOffices *offices, StoreEdits *edits,
          GError **error)
{
	uint64_t id = *(const uint64_t *)user_data;
	g_autoptr(ToolDeed) deed = NULL;
	int r;

	r = tool_deed_read(offices->store, id, &deed, error);
	if (r < 0)
		return r;
	if (deed->entry.outcome == STORE_UNDONE)
		return tool_fail(error, -EALREADY,
		                 "entry " ID " was undone, and did nothing",
		                 id);
	if (!deed->entry.has_past)
		return tool_fail(
			error, -ENODATA,
			"what entry " ID " changed is not kept any more", id);
	for (guint i = 0; r == 0 && i < offices->list->len; i++)
		r = check_messages(offices->list->pdata[i], deed, edits, error);
	for (guint i = 0; r == 0 && i < deed->files->len; i++)
		r = add_file(edits, offices->store, id, deed->files->pdata[i],
		             error);
	return r;
}

ToolExit
tool_undo(const ToolCommand *self, char **argv, GError **error)
{
	g_auto(ToolOptions) options = { 0 };
	g_auto(ToolApply) apply = { 0 };
	g_autofree char *what = NULL;
	const GOptionEntry entries[] = { { NULL } };
	size_t count = 0;
	uint64_t id;

	if (tool_apply_options(self, entries, argv, &apply, &options, error) <
	    0)
		return TOOL_USAGE;
	if (options.done)
		return TOOL_OK;
	if (tool_undone_id(options.arguments[1], &id, error) < 0)
		return TOOL_USAGE;

	what = g_strdup_printf("undo " ID, id);
	apply.what = what;
	if (tool_apply(&apply, plan_undo, &id, &count, error) < 0)
		return TOOL_FAILED;
	tool_apply_print(&apply, &options,
	                 "Undid what entry " ID " of the journal did.", id);
	return TOOL_OK;
}
