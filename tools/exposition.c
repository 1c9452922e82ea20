/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/exposition.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/json.h"
#include "tools/tool.h"

/* What ends a text. */
#define END "# EOF\n"

/* Whoever may enter its directory may read the file: another user collects. */
#define FILE_MODE 0644

/* A label of the next sample. */
typedef struct Label {
	const char *name; /* borrowed */
	char *value;      /* owned */
} Label;

struct ToolExposition {
	GString *text;            /* owned; NULL: JSON */
	ToolJson *json;           /* owned; NULL: text */
	const ToolFamily *family; /* borrowed */
	GArray *labels;           /* of Label, owned */
};

static void
label_clear(void *data)
{
	g_free(((Label *)data)->value);
}

ToolExposition *
tool_exposition_new(bool is_json)
{
	ToolExposition *exposition = g_new0(ToolExposition, 1);

	if (is_json) {
		exposition->json = tool_json_new();
		tool_json_list_begin(exposition->json, "metrics");
	} else {
		exposition->text = g_string_new(NULL);
	}
	exposition->labels = g_array_new(FALSE, FALSE, sizeof(Label));
	g_array_set_clear_func(exposition->labels, label_clear);
	return exposition;
}

void
tool_exposition_free(ToolExposition *exposition)
{
	if (exposition == NULL)
		return;
	if (exposition->text != NULL)
		g_string_free(exposition->text, TRUE);
	tool_json_free(exposition->json);
	g_array_unref(exposition->labels);
	g_free(exposition);
}

/* ---- families ------------------------------------------------------------ */

void
tool_exposition_begin(ToolExposition *exposition, const ToolFamily *family)
{
	GString *text = exposition->text;

	exposition->family = family;
	if (text == NULL)
		return;
	g_string_append_printf(text, "# TYPE %s %s\n", family->name,
	                       family->type);
	if (family->unit != NULL)
		g_string_append_printf(text, "# UNIT %s %s\n", family->name,
		                       family->unit);
	g_string_append_printf(text, "# HELP %s %s\n", family->name,
	                       family->help);
}

void
tool_exposition_label(ToolExposition *exposition, const char *name,
                      const char *value)
{
	Label label = { .name = name, .value = g_strdup(value) };

	g_array_append_val(exposition->labels, label);
}

/* ---- samples ------------------------------------------------------------- */

static void
append_label(GString *text, const Label *label)
{
	const char *p;

	g_string_append_printf(text, "%s=\"", label->name);
	for (p = label->value; *p != '\0'; p++) {
		if (*p == '\n')
			g_string_append(text, "\\n");
		else if (*p == '"' || *p == '\\')
			g_string_append_printf(text, "\\%c", *p);
		else
			g_string_append_c(text, *p);
	}
	g_string_append_c(text, '"');
}

/* Begins a line, up to the value. */
static void
append_head(const ToolExposition *exposition, const char *suffix)
{
	const GArray *labels = exposition->labels;
	GString *text = exposition->text;
	guint i;

	g_string_append_printf(text, "%s%s", exposition->family->name, suffix);
	for (i = 0; i < labels->len; i++) {
		g_string_append_c(text, i == 0 ? '{' : ',');
		append_label(text, &g_array_index(labels, Label, i));
	}
	g_string_append(text, labels->len > 0 ? "} " : " ");
}

/* The same of an object. */
static void
json_head(const ToolExposition *exposition, const char *suffix)
{
	g_autofree char *name =
		g_strconcat(exposition->family->name, suffix, NULL);
	const GArray *labels = exposition->labels;
	ToolJson *json = exposition->json;
	guint i;

	tool_json_object_begin(json, NULL);
	tool_json_string(json, "name", name);
	tool_json_object_begin(json, "labels");
	for (i = 0; i < labels->len; i++) {
		const Label *label = &g_array_index(labels, Label, i);

		tool_json_string(json, label->name, label->value);
	}
	tool_json_object_end(json);
}

void
tool_exposition_add(ToolExposition *exposition, const char *suffix,
                    guint64 value)
{
	if (exposition->json != NULL) {
		json_head(exposition, suffix);
		tool_json_number(exposition->json, "value", value);
		tool_json_object_end(exposition->json);
	} else {
		append_head(exposition, suffix);
		g_string_append_printf(exposition->text,
		                       "%" G_GUINT64_FORMAT "\n", value);
	}
	g_array_set_size(exposition->labels, 0);
}

void
tool_exposition_add_real(ToolExposition *exposition, const char *suffix,
                         double value)
{
	if (exposition->json != NULL) {
		json_head(exposition, suffix);
		tool_json_real(exposition->json, "value", value);
		tool_json_object_end(exposition->json);
	} else {
		append_head(exposition, suffix);
		g_string_append_printf(exposition->text, "%.6f\n", value);
	}
	g_array_set_size(exposition->labels, 0);
}

/* ---- the end ------------------------------------------------------------- */

void
tool_exposition_print(ToolExposition *exposition)
{
	if (exposition->json == NULL) {
		(void)fputs(exposition->text->str, stdout);
		(void)fputs(END, stdout);
		return;
	}
	tool_json_list_end(exposition->json);
	tool_json_print(&exposition->json);
}

int
tool_exposition_write(const ToolExposition *exposition, const char *file,
                      GError **error)
{
	g_autofree char *text = g_strconcat(exposition->text->str, END, NULL);
	g_autoptr(GError) problem = NULL;

	if (g_file_set_contents_full(file, text, (gssize)strlen(text),
	                             G_FILE_SET_CONTENTS_CONSISTENT, FILE_MODE,
	                             &problem))
		return 0;
	return tool_fail(error, -EIO, "%s", problem->message);
}
