/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/rows.h"

#include <stdio.h>
#include <string.h>

#include "tools/tool.h"

#define US_PER_S 1000000

/* ---- words --------------------------------------------------------------- */

char *
tool_row_bytes(GVariant *value)
{
	return g_format_size_full(g_variant_get_uint64(value),
	                          G_FORMAT_SIZE_IEC_UNITS);
}

char *
tool_row_time(GVariant *value)
{
	static const struct {
		gint64 seconds;
		const char *name;
	} units[] = {
		{ 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" }
	};
	gint64 us = MAX(g_variant_get_int64(value), 0);
	gint64 seconds = us / US_PER_S;
	size_t i = 0;

	if (seconds < 60)
		return g_strdup_printf("%.1f s", (double)us / US_PER_S);
	while (seconds < units[i].seconds)
		i++;
	return g_strdup_printf(
		"%" G_GINT64_FORMAT " %s %" G_GINT64_FORMAT " %s",
		seconds / units[i].seconds, units[i].name,
		seconds % units[i].seconds / units[i + 1].seconds,
		units[i + 1].name);
}

/* The usual words for @value. */
static char *
value_text(GVariant *value)
{
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
		return g_variant_dup_string(value, NULL);
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_INT64))
		return tool_row_time(value);
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN))
		return g_strdup(g_variant_get_boolean(value) ? "yes" : "no");
	return g_variant_print(value, FALSE);
}

/* What @column shows of @row; a lone dash if there is nothing. */
static char *
cell_text(GVariant *row, const ToolColumn *column)
{
	const GVariantType *type =
		column->type != NULL ? G_VARIANT_TYPE(column->type) : NULL;
	g_autoptr(GVariant) value =
		g_variant_lookup_value(row, column->key, type);
	g_autofree char *text = NULL;

	if (value != NULL)
		text = column->text != NULL ? column->text(value)
		                            : value_text(value);
	return tool_show(text != NULL && text[0] != '\0' ? text : "-");
}

/* ---- for people ---------------------------------------------------------- */

static size_t
column_count(const ToolColumn *columns)
{
	size_t count = 0;

	while (columns[count].key != NULL)
		count++;
	return count;
}

/* Adds @text to @line, wide enough for what is below and above it. */
static void
append_cell(GString *line, const char *text, glong width, bool is_last)
{
	glong gap = is_last ? 0 : width - g_utf8_strlen(text, -1) + 2;

	g_string_append_printf(line, "%s%*s", text, (int)gap, "");
}

/* @cells, @count a line, under each other. */
static GPtrArray *
lines_of(const GPtrArray *cells, size_t count)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
	g_autofree glong *widths = g_new0(glong, count);
	g_autoptr(GString) line = g_string_new(NULL);
	size_t i;

	for (i = 0; i < cells->len; i++)
		widths[i % count] = MAX(widths[i % count],
		                        g_utf8_strlen(cells->pdata[i], -1));
	for (i = 0; i < cells->len; i++) {
		bool is_last = i % count == count - 1;

		append_cell(line, cells->pdata[i], widths[i % count], is_last);
		if (!is_last)
			continue;
		g_ptr_array_add(lines, g_strdup(line->str));
		g_string_truncate(line, 0);
	}
	return lines;
}

static void
print_lines(const GPtrArray *lines)
{
	guint i;

	for (i = 0; i < lines->len; i++)
		(void)puts(lines->pdata[i]);
}

GPtrArray *
tool_rows_lines(GVariant *rows, const ToolColumn *columns)
{
	g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
	size_t count = column_count(columns);
	GVariantIter iter;
	GVariant *row;
	size_t i;

	for (i = 0; i < count; i++)
		g_ptr_array_add(cells, g_strdup(columns[i].title));
	g_variant_iter_init(&iter, rows);
	while ((row = g_variant_iter_next_value(&iter)) != NULL) {
		for (i = 0; i < count; i++)
			g_ptr_array_add(cells, cell_text(row, &columns[i]));
		g_variant_unref(row);
	}
	return lines_of(cells, count);
}

void
tool_rows_print(GVariant *rows, const ToolColumn *columns)
{
	g_autoptr(GPtrArray) lines = tool_rows_lines(rows, columns);

	print_lines(lines);
}

void
tool_row_print(GVariant *row, const ToolColumn *columns)
{
	g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) lines = NULL;
	size_t i;

	for (i = 0; columns[i].key != NULL; i++) {
		g_ptr_array_add(cells, g_strdup(columns[i].title));
		g_ptr_array_add(cells, cell_text(row, &columns[i]));
	}
	lines = lines_of(cells, 2);
	print_lines(lines);
}

/* ---- for programs -------------------------------------------------------- */

static char *
json_key(const char *key, bool is_time)
{
	g_autoptr(GString) name = g_string_new(key);

	if (is_time)
		g_string_replace(name, "-us", "", 1);
	g_string_replace(name, "-", "_", 0);
	return g_string_free(g_steal_pointer(&name), FALSE);
}

void
tool_rows_json(ToolJson *json, const char *name, GVariant *rows)
{
	GVariantIter iter;
	GVariant *row;

	tool_json_list_begin(json, name);
	g_variant_iter_init(&iter, rows);
	while ((row = g_variant_iter_next_value(&iter)) != NULL) {
		tool_json_object_begin(json, NULL);
		tool_row_json(json, row);
		tool_json_object_end(json);
		g_variant_unref(row);
	}
	tool_json_list_end(json);
}

static void
value_json(ToolJson *json, const char *key, GVariant *value)
{
	bool is_time = g_variant_is_of_type(value, G_VARIANT_TYPE_INT64);
	g_autofree char *name = json_key(key, is_time);
	g_autofree char *text = value_text(value);

	if (is_time)
		tool_json_real(json, name,
		               (double)g_variant_get_int64(value) / US_PER_S);
	else if (g_variant_is_of_type(value, G_VARIANT_TYPE_DOUBLE))
		tool_json_real(json, name, g_variant_get_double(value));
	else if (g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32))
		tool_json_number(json, name, g_variant_get_uint32(value));
	else if (g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64))
		tool_json_number(json, name, g_variant_get_uint64(value));
	else if (g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN))
		tool_json_bool(json, name, g_variant_get_boolean(value));
	else if (g_variant_is_of_type(value, G_VARIANT_TYPE("aa{sv}")))
		tool_rows_json(json, name, value);
	else
		tool_json_string(json, name, text);
}

void
tool_row_json(ToolJson *json, GVariant *row)
{
	GVariantIter iter;
	GVariant *value;
	const char *key;

	g_variant_iter_init(&iter, row);
	while (g_variant_iter_loop(&iter, "{&sv}", &key, &value))
		value_json(json, key, value);
}

void
tool_rows_print_json(const char *name, GVariant *rows)
{
	g_autoptr(ToolJson) json = tool_json_new();

	tool_rows_json(json, name, rows);
	tool_json_print(&json);
}
