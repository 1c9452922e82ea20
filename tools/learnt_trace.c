/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <string.h>

#include "store/format/mbg.h"
#include "store/format/name.h"
#include "tools/learnt.h"
#include "tools/recording.h"
#include "tools/task.h"

/* What one program did with one file. */
typedef struct Use {
	GPtrArray *hows; /* of char *, each once: how it was opened */
	unsigned opens;
	unsigned refusals;
	unsigned reads;
	unsigned writes;
	unsigned odd_writes; /* not of whole records of an MBG */
	unsigned ranges;
	GPtrArray *places; /* of char *: the ranges, each once */
	gint64 written;    /* bytes, at most */
	GString *content;  /* of a lock file, in hexadecimal */
	unsigned unlinks;
} Use;

static void
use_free(void *data)
{
	Use *use = data;

	g_ptr_array_unref(use->hows);
	g_ptr_array_unref(use->places);
	(void)g_string_free(use->content, TRUE);
	g_free(use);
}

static Use *
use_new(void)
{
	Use *use = g_new0(Use, 1);

	use->hows = g_ptr_array_new_with_free_func(g_free);
	use->places = g_ptr_array_new_with_free_func(g_free);
	use->content = g_string_new(NULL);
	return use;
}

static void
add_once(GPtrArray *texts, const char *text)
{
	if (!g_ptr_array_find_with_equal_func(texts, text, g_str_equal, NULL))
		g_ptr_array_add(texts, g_strdup(text));
}

/* The number after @name in @detail; -1 if there is none. */
static gint64
detail_number(const char *detail, const char *name)
{
	const char *at = strstr(detail, name);

	return at != NULL ? g_ascii_strtoll(at + strlen(name), NULL, 10) : -1;
}

static void
use_write(Use *use, const char *path, const char *detail)
{
	gint64 offset = detail_number(detail, "offset=");
	gint64 size = detail_number(detail, "size=");

	const char *bytes = strstr(detail, "bytes=");

	use->writes++;
	if (bytes != NULL)
		g_string_append_printf(use->content, "%s%s",
		                       use->content->len > 0 ? ", " : "",
		                       bytes + strlen("bytes="));
	use->written = MAX(use->written, offset + size);
	use->odd_writes += g_str_has_suffix(path, ".MBG") &&
	                   (offset % FORMAT_MBG_RECORD_SIZE != 0 ||
	                    size % FORMAT_MBG_RECORD_SIZE != 0);
}

/* Takes in @request of that file. */
static void
use_add(Use *use, GVariant *request)
{
	const char *op = tool_recording_text(request, "op");
	const char *path = tool_recording_text(request, "path");
	const char *detail = tool_recording_text(request, "detail");
	const char *result = tool_recording_text(request, "result");

	if (strcmp(op, "open") == 0 || strcmp(op, "create") == 0) {
		g_autofree char *how = g_strdup_printf("%s %s", op, detail);

		use->opens++;
		use->refusals += strcmp(result, "ok") != 0;
		add_once(use->hows, how);
	} else if (strcmp(op, "share") == 0) {
		add_once(use->hows, detail);
	} else if (strcmp(op, "read") == 0) {
		use->reads++;
	} else if (strcmp(op, "write") == 0) {
		use_write(use, path, detail);
	} else if (strcmp(op, "range") == 0 || strcmp(op, "flock") == 0) {
		use->ranges++;
		add_once(use->places, detail);
	} else if (strcmp(op, "unlink") == 0) {
		use->unlinks++;
	}
}

/* ---- one program --------------------------------------------------------- */

static char *
list_text(const GPtrArray *texts)
{
	GString *text = g_string_new(NULL);
	guint i;

	for (i = 0; i < texts->len; i++)
		g_string_append_printf(text, "%s%s", i > 0 ? "; " : "",
		                       (const char *)texts->pdata[i]);
	return g_string_free(text, FALSE);
}

/* What the file @path is, wherever its postoffice is: the last directory of KEY
 * and of lock files says it. */
static FormatNameKind
kind_of(const char *path, FormatName *ret_name)
{
	const char *file = strrchr(path, '/');

	while (file != NULL && file > path && file[-1] != '/')
		file--;
	format_name_parse(file != NULL ? file : path, ret_name);
	return ret_name->kind;
}

static bool
is_lock_file(const char *path)
{
	FormatName name;

	return kind_of(path, &name) == FORMAT_NAME_QUEUE_LOCK;
}

static void
add_use(GPtrArray *learnt, const ToolNote *note, const char *path,
        const Use *use)
{
	g_autofree char *hows = list_text(use->hows);
	g_autofree char *places = list_text(use->places);
	g_autofree char *cited = g_strdup_printf("%u", note->number);

	tool_learnt_add(learnt, TOOL_SEEN, path, g_steal_pointer(&cited),
	                "%s opened it %u times (%s), refused %u; read %u, "
	                "wrote %u; byte ranges %u%s%s%s",
	                note->task, use->opens, hows, use->refusals, use->reads,
	                use->writes, use->ranges, use->ranges > 0 ? " (" : "",
	                places, use->ranges > 0 ? ")" : "");
	if (is_lock_file(path))
		tool_learnt_add(learnt, TOOL_SEEN, path,
		                g_strdup_printf("%u", note->number),
		                "%s: the lock file has %" G_GINT64_FORMAT
		                " bytes of content%s%s",
		                note->task, use->written,
		                use->content->len > 0 ? ": " : "",
		                use->content->str);
	if (use->odd_writes > 0)
		tool_learnt_add(learnt, TOOL_CONTRADICTS, path,
		                g_strdup_printf("%u", note->number),
		                "%s: %u of %u writes are not of whole records "
		                "(rule 14, inferred)",
		                note->task, use->odd_writes, use->writes);
}

/* Both inqueues are one here. */
static bool
is_same_mailbag(const FormatName *lock, const FormatName *key)
{
	return strcmp(lock->stem, key->stem) == 0 ||
	       (g_str_has_prefix(lock->stem, "INQUEUE") &&
	        g_str_has_prefix(key->stem, "INQUEUE"));
}

/* Counts how often the program wrote the KEY of the mailbag whose lock file is
 * @path, and how often it did so when it had deleted that already. */
static unsigned
count_key_writes(const ToolRecording *recording, const char *path,
                 unsigned *ret_late)
{
	unsigned count = 0;
	bool is_gone = false;
	FormatName lock;
	guint i;

	*ret_late = 0;
	(void)kind_of(path, &lock);
	for (i = 0; i < recording->rows->len; i++) {
		GVariant *row = recording->rows->pdata[i];
		const char *op = tool_recording_text(row, "op");
		const char *file = tool_recording_text(row, "path");
		FormatName name;

		if (strcmp(file, path) == 0) {
			if (strcmp(tool_recording_text(row, "result"), "ok") ==
			    0)
				is_gone =
					strcmp(op, "unlink") == 0 ||
					(is_gone && strcmp(op, "create") != 0);
		} else if (strcmp(op, "write") == 0 &&
		           kind_of(file, &name) == FORMAT_NAME_KEY &&
		           is_same_mailbag(&lock, &name)) {
			count++;
			*ret_late += is_gone;
		}
	}
	return count;
}

/* Whether the lock file @path went after the KEY of its mailbag was written:
 * before 3.5.20 the 3.5 External does it the other way (Q136004). What it does
 * in other mailbags later tells nothing. */
static void
add_order(GPtrArray *learnt, const ToolNote *note, const char *path,
          const ToolRecording *recording)
{
	unsigned late;

	if (count_key_writes(recording, path, &late) == 0)
		return;
	tool_learnt_add(learnt, late == 0 ? TOOL_FITS : TOOL_CONTRADICTS, path,
	                g_strdup_printf("%u", note->number),
	                "%s deleted its lock file %s the KEY was written last "
	                "(%s)",
	                note->task, late == 0 ? "after" : "before",
	                late == 0 ? "Q119642"
	                          : "not as Q119642 says, but as External 3.5 "
	                            "before 3.5.20: Q136004");
}

/* Which files it used first, in their order. */
static void
add_sequence(GPtrArray *learnt, const ToolNote *note,
             const ToolRecording *recording)
{
	GString *text = g_string_new(NULL);
	const char *last = "";
	guint i;

	for (i = 0; i < recording->rows->len; i++) {
		GVariant *row = recording->rows->pdata[i];
		const char *op = tool_recording_text(row, "op");
		const char *path = tool_recording_text(row, "path");
		g_autofree char *step = NULL;

		if (strcmp(op, "create") != 0 && strcmp(op, "write") != 0 &&
		    strcmp(op, "unlink") != 0 && strcmp(op, "rename") != 0 &&
		    strcmp(op, "range") != 0)
			continue;
		step = g_strdup_printf("%s %s", op, path);
		if (strcmp(step, last) == 0)
			continue;
		g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "",
		                       step);
		last = text->str + text->len - strlen(step);
	}
	if (text->len > 0)
		tool_learnt_add(learnt, TOOL_SEEN, "order",
		                g_strdup_printf("%u", note->number), "%s: %s",
		                note->task, text->str);
	(void)g_string_free(text, TRUE);
}

static gint
compare_paths(gconstpointer a, gconstpointer b)
{
	return strcmp(a, b);
}

static void
add_program(GPtrArray *learnt, const ToolNote *note,
            const ToolRecording *recording)
{
	g_autoptr(GHashTable) uses = g_hash_table_new_full(
		g_str_hash, g_str_equal, g_free, use_free);
	g_autoptr(GList) paths = NULL;
	GList *at;
	guint i;

	for (i = 0; i < recording->rows->len; i++) {
		GVariant *row = recording->rows->pdata[i];
		const char *path = tool_recording_text(row, "path");
		Use *use = g_hash_table_lookup(uses, path);

		if (path[0] == '\0')
			continue;
		if (use == NULL) {
			use = use_new();
			g_hash_table_insert(uses, g_strdup(path), use);
		}
		use_add(use, row);
	}
	paths = g_list_sort(g_hash_table_get_keys(uses), compare_paths);
	for (at = paths; at != NULL; at = at->next) {
		const Use *use = g_hash_table_lookup(uses, at->data);

		if (use->opens > 0 || use->unlinks > 0)
			add_use(learnt, note, at->data, use);
		if (use->unlinks > 0 && is_lock_file(at->data))
			add_order(learnt, note, at->data, recording);
	}
	add_sequence(learnt, note, recording);
}

/* ---- a file that was denied ---------------------------------------------- */

/* The file that was denied, which @note says first. Caller frees. */
static char *
denied_path(const ToolNote *note)
{
	/* "another station held KEY/0000000A.KEY and denied ..." */
	const char *begin = strstr(note->did, " held ");
	const char *end = g_strrstr(note->did, " and denied ");

	if (begin == NULL || end == NULL)
		return g_strdup("");
	begin += strlen(" held ");
	return end > begin ? g_strdup_printf("/%.*s", (int)(end - begin), begin)
	                   : g_strdup("");
}

static void
add_denial(GPtrArray *learnt, const ToolNote *note,
           const ToolRecording *recording)
{
	g_autofree char *path = denied_path(note);
	g_autoptr(GPtrArray) answers = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *text = NULL;
	const char *said = note->said != NULL ? note->said : "";
	unsigned tries = tool_recording_count_opens(recording, path, answers);

	text = list_text(answers);
	tool_learnt_add(
		learnt, TOOL_SEEN, path, g_strdup_printf("%u", note->number),
		"%s: tried %u times to open it (%s); said %s%s%s", note->did,
		tries, text, said[0] != '\0' ? "\"" : "nothing", said,
		said[0] != '\0' ? "\"" : "");
}

void
tool_learnt_traces(GPtrArray *learnt, const ToolNotes *notes)
{
	unsigned i;

	for (i = 0; i < tool_notes_count(notes); i++) {
		const ToolNote *note = tool_notes_get(notes, i);
		g_autoptr(ToolRecording) recording = NULL;
		g_autoptr(GError) problem = NULL;
		g_autofree char *path = NULL;

		if (note->trace == NULL || tool_notes_dir(notes) == NULL)
			continue;
		path = g_build_filename(tool_notes_dir(notes), note->trace,
		                        NULL);
		if (tool_recording_read(path, &recording, &problem) < 0)
			tool_learnt_add(learnt, TOOL_OPEN, note->trace,
			                g_strdup_printf("%u", note->number),
			                "its trace cannot be read: %s",
			                problem->message);
		else if (strcmp(note->step, "denials") == 0)
			add_denial(learnt, note, recording);
		else
			add_program(learnt, note, recording);
	}
}
