/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/notes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/tool.h"

/* The name of the file, and the group in it that says what it is. */
#define NAME    "notes"
#define HEAD    "poctl learn"
#define VERSION 1

struct ToolNotes {
	char *dir;       /* owned; NULL: kept nowhere */
	GKeyFile *file;  /* owned */
	GPtrArray *list; /* of ToolNote, owned */
};

/* ---- one note ------------------------------------------------------------ */

ToolNote *
tool_note_new(const char *step, const char *task)
{
	ToolNote *note = g_new0(ToolNote, 1);

	note->step = g_strdup(step);
	note->task = g_strdup(task);
	note->deleted = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	note->changes = g_ptr_array_new_with_free_func(tool_change_free);
	return note;
}

void
tool_note_free(ToolNote *note)
{
	if (note == NULL)
		return;
	g_free(note->time);
	g_free(note->step);
	g_free(note->task);
	g_free(note->did);
	g_free(note->mailbag);
	g_free(note->trace);
	g_free(note->said);
	g_array_unref(note->deleted);
	g_ptr_array_unref(note->changes);
	g_free(note);
}

/* ---- changes in words ---------------------------------------------------- */

/* Adds "0x030 00>02" for each byte that differs, up to @max of them. */
static void
append_bytes(GString *text, const ToolChange *change, unsigned max)
{
	const uint8_t *bytes[2];
	gsize sizes[2];
	unsigned listed = 0;
	gsize i;

	bytes[0] = g_bytes_get_data(change->bytes[0], &sizes[0]);
	bytes[1] = g_bytes_get_data(change->bytes[1], &sizes[1]);
	for (i = 0; i < MIN(sizes[0], sizes[1]); i++) {
		if (bytes[0][i] == bytes[1][i])
			continue;
		if (listed++ < max)
			g_string_append_printf(text, "%s0x%03zx %02x>%02x",
			                       text->len > 0 ? ", " : "", i,
			                       bytes[0][i], bytes[1][i]);
	}
	if (listed > max)
		g_string_append_printf(text, ", and %u more", listed - max);
	if (sizes[0] != sizes[1])
		g_string_append_printf(text, "%s%zu>%zu bytes",
		                       text->len > 0 ? ", " : "", sizes[0],
		                       sizes[1]);
}

char *
tool_change_text(const ToolChange *change, unsigned max)
{
	GString *text = g_string_new(NULL);

	if (change->sizes[1] == TOOL_SIGHT_NONE)
		g_string_append(text, "gone");
	else if (change->sizes[0] == TOOL_SIGHT_NONE)
		g_string_append_printf(text, "new, %" G_GINT64_FORMAT " bytes",
		                       change->sizes[1]);
	else if (change->bytes[0] != NULL && change->bytes[1] != NULL)
		append_bytes(text, change, max);
	else
		g_string_append_printf(
			text, "%" G_GINT64_FORMAT ">%" G_GINT64_FORMAT " bytes",
			change->sizes[0], change->sizes[1]);
	return g_string_free(text, FALSE);
}

char *
tool_note_bytes_text(const ToolNote *note, const char *kind)
{
	g_autofree char *path =
		g_strdup_printf("%s/%s.%s", kind, note->mailbag, kind);
	const ToolChange *change = tool_change_find(note->changes, path);

	return change != NULL ? tool_change_text(change, G_MAXUINT)
	                      : g_strdup("none");
}

/* ---- bytes in words ------------------------------------------------------ */

/* "none", "1234 bytes" where they are not kept, or hexadecimal digits. */
static char *
content_print(int64_t size, GBytes *bytes)
{
	GString *text = g_string_new(NULL);
	const uint8_t *data;
	gsize count;
	gsize i;

	if (size == TOOL_SIGHT_NONE)
		g_string_append(text, "none");
	else if (bytes == NULL || g_bytes_get_size(bytes) != (gsize)size)
		g_string_append_printf(text, "%" G_GINT64_FORMAT " bytes",
		                       size);
	else
		for (data = g_bytes_get_data(bytes, &count), i = 0; i < count;
		     i++)
			g_string_append_printf(text, "%02x", data[i]);
	return g_string_free(text, FALSE);
}

static int
content_parse(const char *text, int64_t *ret_size, GBytes **ret_bytes)
{
	size_t length = strlen(text);
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	size_t i;

	*ret_bytes = NULL;
	*ret_size = TOOL_SIGHT_NONE;
	if (strcmp(text, "none") == 0)
		return 0;
	if (g_str_has_suffix(text, " bytes")) {
		*ret_size = g_ascii_strtoll(text, NULL, 10);
		return *ret_size < 0 ? -EINVAL : 0;
	}
	if (length % 2 != 0)
		return -EINVAL;
	for (i = 0; i < length; i += 2) {
		int high = g_ascii_xdigit_value(text[i]);
		int low = g_ascii_xdigit_value(text[i + 1]);
		uint8_t byte = (uint8_t)(high * 16 + low);

		if (high < 0 || low < 0)
			return -EINVAL;
		g_byte_array_append(bytes, &byte, 1);
	}
	*ret_size = (int64_t)(length / 2);
	*ret_bytes = g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
	return 0;
}

/* ---- reading ------------------------------------------------------------- */

/* Reads change @i of the note in @group: 0, or -ENOENT after the last. */
static int
read_change(GKeyFile *file, const char *group, unsigned i, ToolNote *note)
{
	static const char *const names[] = { "before", "after" };
	g_autofree char *key = g_strdup_printf("file-%u", i);
	char *path = g_key_file_get_string(file, group, key, NULL);
	ToolChange *change;
	size_t side;
	int r = 0;

	if (path == NULL)
		return -ENOENT;
	change = g_new0(ToolChange, 1);
	change->path = path;
	g_ptr_array_add(note->changes, change);
	for (side = 0; r == 0 && side < 2; side++) {
		g_autofree char *name =
			g_strdup_printf("%s-%u", names[side], i);
		g_autofree char *text =
			g_key_file_get_string(file, group, name, NULL);

		r = text != NULL ? content_parse(text, &change->sizes[side],
		                                 &change->bytes[side])
		                 : -EINVAL;
	}
	return r;
}

static char *
read_text(GKeyFile *file, const char *group, const char *key)
{
	return g_key_file_get_string(file, group, key, NULL);
}

static void
read_deleted(GKeyFile *file, const char *group, GArray *deleted)
{
	gsize count = 0;
	g_autofree int *numbers = g_key_file_get_integer_list(
		file, group, "deleted", &count, NULL);
	gsize i;

	for (i = 0; i < count; i++) {
		uint32_t record = (uint32_t)numbers[i];

		g_array_append_val(deleted, record);
	}
}

static int
read_note(GKeyFile *file, const char *group, unsigned number, ToolNote *note)
{
	unsigned i = 1;
	int r;

	note->number = number;
	note->time = read_text(file, group, "time");
	note->step = read_text(file, group, "step");
	note->task = read_text(file, group, "task");
	note->did = read_text(file, group, "did");
	note->mailbag = read_text(file, group, "mailbag");
	note->trace = read_text(file, group, "trace");
	note->said = read_text(file, group, "said");
	read_deleted(file, group, note->deleted);
	if (note->step == NULL || note->task == NULL || note->did == NULL ||
	    (note->trace != NULL && strchr(note->trace, '/') != NULL))
		return -EINVAL;
	do
		r = read_change(file, group, i++, note);
	while (r == 0);
	return r == -ENOENT ? 0 : r;
}

static int
read_all(ToolNotes *notes)
{
	unsigned number = 1;
	int r = 0;

	if (g_key_file_get_integer(notes->file, HEAD, "version", NULL) !=
	    VERSION)
		return -EINVAL;
	for (; r == 0; number++) {
		g_autofree char *group = g_strdup_printf("note %u", number);
		g_autoptr(ToolNote) note = NULL;

		if (!g_key_file_has_group(notes->file, group))
			return 0;
		note = tool_note_new(NULL, NULL);
		r = read_note(notes->file, group, number, note);
		if (r == 0)
			g_ptr_array_add(notes->list, g_steal_pointer(&note));
	}
	return r;
}

ToolNotes *
tool_notes_new(void)
{
	ToolNotes *notes = g_new0(ToolNotes, 1);

	notes->file = g_key_file_new();
	notes->list =
		g_ptr_array_new_with_free_func((GDestroyNotify)tool_note_free);
	g_key_file_set_integer(notes->file, HEAD, "version", VERSION);
	g_key_file_set_string(notes->file, HEAD, "program", POFS_VERSION);
	return notes;
}

int
tool_notes_read(const char *dir, ToolNotes **ret_notes, GError **error)
{
	g_autoptr(ToolNotes) notes = tool_notes_new();
	g_autofree char *path = g_build_filename(dir, NAME, NULL);
	g_autoptr(GError) problem = NULL;
	g_autoptr(GKeyFile) file = g_key_file_new();

	notes->dir = g_strdup(dir);
	if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &problem)) {
		if (!g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			return tool_fail(error, -EINVAL, "%s: %s", path,
			                 problem->message);
		*ret_notes = g_steal_pointer(&notes);
		return 0;
	}
	g_key_file_unref(notes->file);
	notes->file = g_steal_pointer(&file);
	if (read_all(notes) < 0)
		return tool_fail(error, -EINVAL,
		                 "%s is not what learn has written: note %u",
		                 path, notes->list->len + 1);
	*ret_notes = g_steal_pointer(&notes);
	return 0;
}

void
tool_notes_free(ToolNotes *notes)
{
	if (notes == NULL)
		return;
	g_key_file_unref(notes->file);
	g_ptr_array_unref(notes->list);
	g_free(notes->dir);
	g_free(notes);
}

unsigned
tool_notes_count(const ToolNotes *notes)
{
	return notes->list->len;
}

const ToolNote *
tool_notes_get(const ToolNotes *notes, unsigned i)
{
	return notes->list->pdata[i];
}

const char *
tool_notes_dir(const ToolNotes *notes)
{
	return notes->dir;
}

const ToolNote *
tool_notes_find(const ToolNotes *notes, const char *step, const char *task,
                const char *mailbag)
{
	guint i;

	for (i = notes->list->len; i-- > 0;) {
		const ToolNote *note = notes->list->pdata[i];

		if (strcmp(note->step, step) == 0 &&
		    strcmp(note->task, task) == 0 &&
		    (mailbag == NULL || g_strcmp0(note->mailbag, mailbag) == 0))
			return note;
	}
	return NULL;
}

/* ---- writing ------------------------------------------------------------- */

static void
write_text(GKeyFile *file, const char *group, const char *key, const char *text)
{
	if (text != NULL)
		g_key_file_set_string(file, group, key, text);
}

static void
write_change(GKeyFile *file, const char *group, unsigned i,
             const ToolChange *change)
{
	static const char *const names[] = { "before", "after" };
	g_autofree char *key = g_strdup_printf("file-%u", i);
	size_t side;

	write_text(file, group, key, change->path);
	for (side = 0; side < 2; side++) {
		g_autofree char *name =
			g_strdup_printf("%s-%u", names[side], i);
		g_autofree char *text =
			content_print(change->sizes[side], change->bytes[side]);

		write_text(file, group, name, text);
	}
}

static void
write_note(GKeyFile *file, const ToolNote *note)
{
	g_autofree char *group = g_strdup_printf("note %u", note->number);
	guint i;

	write_text(file, group, "time", note->time);
	write_text(file, group, "step", note->step);
	write_text(file, group, "task", note->task);
	write_text(file, group, "did", note->did);
	write_text(file, group, "mailbag", note->mailbag);
	write_text(file, group, "trace", note->trace);
	write_text(file, group, "said", note->said);
	if (note->deleted->len > 0)
		g_key_file_set_integer_list(file, group, "deleted",
		                            (int *)(void *)note->deleted->data,
		                            note->deleted->len);
	for (i = 0; i < note->changes->len; i++)
		write_change(file, group, i + 1, note->changes->pdata[i]);
}

int
tool_notes_make_dir(const char *dir, GError **error)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return tool_fail(error, -errno, "cannot make %s: %s", dir,
		                 g_strerror(errno));
	if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return tool_fail(error, -ENOTDIR, "%s is not a directory", dir);
	return 0;
}

static int
write_all(const ToolNotes *notes, GError **error)
{
	g_autofree char *path = NULL;
	g_autofree char *text = NULL;
	g_autoptr(GError) problem = NULL;
	gsize size;
	int r;

	if (notes->dir == NULL)
		return 0;
	path = g_build_filename(notes->dir, NAME, NULL);
	r = tool_notes_make_dir(notes->dir, error);
	if (r < 0)
		return r;
	text = g_key_file_to_data(notes->file, &size, NULL);
	if (!g_file_set_contents_full(path, text, (gssize)size,
	                              G_FILE_SET_CONTENTS_CONSISTENT |
	                                      G_FILE_SET_CONTENTS_DURABLE,
	                              0600, &problem))
		return tool_fail(error, -EIO, "%s", problem->message);
	return 0;
}

int
tool_notes_add(ToolNotes *notes, ToolNote *note, GError **error)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_local();

	note->number = notes->list->len + 1;
	note->time = g_date_time_format_iso8601(now);
	g_ptr_array_add(notes->list, note);
	write_note(notes->file, note);
	return write_all(notes, error);
}
