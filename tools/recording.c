/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/recording.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "tools/tool.h"
#include "tools/trace_line.h"

static void
add_rows(ToolRecording *recording, ToolTraceReader *reader, bool is_last)
{
	GVariant *row;

	while ((row = tool_trace_reader_next(reader, is_last)) != NULL) {
		const char *op = tool_recording_text(row, "op");

		if (strcmp(op, "start") == 0 || strcmp(op, "end") == 0 ||
		    g_str_has_prefix(op, "it is "))
			g_variant_unref(row);
		else
			g_ptr_array_add(recording->rows, row);
	}
}

int
tool_recording_read(const char *path, ToolRecording **ret_recording,
                    GError **error)
{
	g_autoptr(ToolTraceReader) reader = tool_trace_reader_new();
	g_autoptr(GError) problem = NULL;
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	ToolRecording *recording;
	size_t i;

	if (!g_file_get_contents(path, &text, NULL, &problem))
		return tool_fail(error, -EIO, "%s", problem->message);
	lines = g_strsplit(text, "\n", -1);
	recording = g_new(ToolRecording, 1);
	recording->rows =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	for (i = 0; lines[i] != NULL; i++) {
		if (lines[i][0] == '\0')
			continue;
		tool_trace_reader_add(reader, lines[i]);
		add_rows(recording, reader, false);
	}
	add_rows(recording, reader, true);
	*ret_recording = recording;
	return 0;
}

void
tool_recording_free(ToolRecording *recording)
{
	if (recording == NULL)
		return;
	g_ptr_array_unref(recording->rows);
	g_free(recording);
}

const char *
tool_recording_text(GVariant *row, const char *key)
{
	const char *text = "";

	(void)g_variant_lookup(row, key, "&s", &text);
	return text;
}

/* Whether the file that row @i opened was closed before anything was done with
 * it: so smbd does where its own share modes refuse an open, up to six times. */
static bool
is_unused(const ToolRecording *recording, guint i, const char *path)
{
	for (i++; i < recording->rows->len; i++) {
		GVariant *row = recording->rows->pdata[i];
		const char *op = tool_recording_text(row, "op");

		if (strcmp(tool_recording_text(row, "path"), path) == 0)
			return strcmp(op, "close") == 0 ||
			       strcmp(op, "release") == 0;
	}
	return false;
}

/* How the try in row @i was answered, @after_s after the one before. */
static char *
answer_text(const ToolRecording *recording, guint i, const char *path,
            double after_s, bool is_first)
{
	const char *result =
		tool_recording_text(recording->rows->pdata[i], "result");
	const char *use =
		strcmp(result, "ok") == 0 && is_unused(recording, i, path)
			? ", unused"
			: "";

	return is_first ? g_strconcat(result, use, NULL)
	                : g_strdup_printf("%s%s after %.1f s", result, use,
	                                  after_s);
}

unsigned
tool_recording_count_opens(const ToolRecording *recording, const char *path,
                           GPtrArray *answers)
{
	unsigned count = 0;
	double last_s = 0;
	guint i;

	for (i = 0; i < recording->rows->len; i++) {
		GVariant *row = recording->rows->pdata[i];
		const char *op = tool_recording_text(row, "op");
		double at_s =
			g_ascii_strtod(tool_recording_text(row, "at"), NULL);

		if ((strcmp(op, "open") != 0 && strcmp(op, "create") != 0) ||
		    strcmp(tool_recording_text(row, "path"), path) != 0)
			continue;
		if (answers != NULL)
			g_ptr_array_add(answers,
			                answer_text(recording, i, path,
			                            at_s - last_s, count == 0));
		last_s = at_s;
		count++;
	}
	return count;
}
