/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/json.h"

#include <stdio.h>

#include "tools/tool.h"

struct ToolJson {
	GString *text;
	bool is_first; /* of its object or list: no comma before it */
};

ToolJson *
tool_json_new(void)
{
	ToolJson *json = g_new0(ToolJson, 1);

	json->text = g_string_new("{");
	json->is_first = true;
	return json;
}

static void
append_quoted(GString *text, const char *value)
{
	/* JSON cannot say what is not UTF-8. */
	bool is_utf8 = g_utf8_validate(value, -1, NULL);
	g_autofree char *utf8 = is_utf8 ? g_strdup(value) : tool_show(value);
	const char *p;

	g_string_append_c(text, '"');
	for (p = utf8; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '"' || c == '\\')
			g_string_append_printf(text, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			g_string_append_printf(text, "\\u%04x", c);
		else
			g_string_append_c(text, *p);
	}
	g_string_append_c(text, '"');
}

static void
append_key(ToolJson *json, const char *key)
{
	if (!json->is_first)
		g_string_append_c(json->text, ',');
	json->is_first = false;
	if (key != NULL) {
		append_quoted(json->text, key);
		g_string_append_c(json->text, ':');
	}
}

static void
begin(ToolJson *json, const char *key, char bracket)
{
	append_key(json, key);
	g_string_append_c(json->text, bracket);
	json->is_first = true;
}

static void
end(ToolJson *json, char bracket)
{
	g_string_append_c(json->text, bracket);
	json->is_first = false;
}

void
tool_json_string(ToolJson *json, const char *key, const char *value)
{
	append_key(json, key);
	append_quoted(json->text, value);
}

void
tool_json_number(ToolJson *json, const char *key, guint64 value)
{
	append_key(json, key);
	g_string_append_printf(json->text, "%" G_GUINT64_FORMAT, value);
}

void
tool_json_real(ToolJson *json, const char *key, double value)
{
	append_key(json, key);
	g_string_append_printf(json->text, "%.3f", value);
}

void
tool_json_bool(ToolJson *json, const char *key, bool value)
{
	append_key(json, key);
	g_string_append(json->text, value ? "true" : "false");
}

void
tool_json_list_begin(ToolJson *json, const char *key)
{
	begin(json, key, '[');
}

void
tool_json_list_end(ToolJson *json)
{
	end(json, ']');
}

void
tool_json_object_begin(ToolJson *json, const char *key)
{
	begin(json, key, '{');
}

void
tool_json_object_end(ToolJson *json)
{
	end(json, '}');
}

void
tool_json_print(ToolJson **json)
{
	g_autoptr(ToolJson) j = g_steal_pointer(json);

	(void)printf("%s}\n", j->text->str);
}

void
tool_json_free(ToolJson *json)
{
	if (json == NULL)
		return;
	g_string_free(json->text, TRUE);
	g_free(json);
}
