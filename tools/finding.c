/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/finding.h"

#include <stdarg.h>
#include <string.h>

void
tool_finding_add(const ToolInquiry *inquiry, ToolSeverity severity,
                 const char *object, ToolMend *mend, const char *format, ...)
{
	const ToolOffice *office = inquiry->census->office;
	g_autofree char *name = tool_office_name(office, object);
	ToolFinding *finding = g_new0(ToolFinding, 1);
	va_list args;

	va_start(args, format);
	finding->sentence = g_strdup_vprintf(format, args);
	va_end(args);
	finding->id = g_strconcat(inquiry->rule->id, " ", name, NULL);
	finding->severity = severity;
	finding->articles = inquiry->rule->articles;
	finding->mend = mend;
	g_ptr_array_add(inquiry->findings, finding);
}

static ToolMend *
new_mend(const char *command)
{
	ToolMend *mend = g_new0(ToolMend, 1);

	mend->words = g_strsplit(command, " ", -1);
	return mend;
}

ToolMend *
tool_mend_mailbag(const ToolInquiry *inquiry, const char *command,
                  const char *mailbag)
{
	ToolMend *mend = new_mend(command);

	mend->mailbag = tool_office_name(inquiry->census->office, mailbag);
	return mend;
}

ToolMend *
tool_mend_office(const ToolInquiry *inquiry, const char *command)
{
	const char *path = inquiry->census->office->path;
	ToolMend *mend = new_mend(command);

	if (path[0] != '\0')
		mend->postoffice = g_strdup(path);
	return mend;
}

ToolMend *
tool_mend_purge(const ToolInquiry *inquiry, const ToolFile *file, unsigned days,
                const char *kind)
{
	g_autofree char *command = g_strdup_printf(
		"purge-orphans --only %s --older-than %ud", kind, days);
	ToolMend *mend;

	if (!inquiry->census->is_whole ||
	    !tool_census_is_older(inquiry->census, file,
	                          (int64_t)days * TOOL_CENSUS_DAY_S))
		return NULL;
	mend = tool_mend_office(inquiry, command);
	mend->file = tool_office_name(inquiry->census->office, file->path);
	return mend;
}

static void
add_words(GStrvBuilder *line, char **words)
{
	for (char **word = words; *word != NULL; word++)
		g_strv_builder_add(line, *word);
}

char **
tool_mend_line(const ToolMend *mend, const char *store, char **options)
{
	g_autoptr(GStrvBuilder) line = g_strv_builder_new();

	g_strv_builder_add(line, mend->words[0]);
	add_words(line, mend->words + 1);
	if (mend->postoffice != NULL)
		g_strv_builder_add_many(line, "--postoffice", mend->postoffice,
		                        NULL);
	add_words(line, options);
	g_strv_builder_add(line, store);
	if (mend->mailbag != NULL)
		g_strv_builder_add(line, mend->mailbag);
	return g_strv_builder_end(line);
}

char *
tool_mend_text(const ToolMend *mend)
{
	char option[] = "--file";
	char *options[] = { mend->file != NULL ? option : NULL, mend->file,
		            NULL };
	g_auto(GStrv) line = tool_mend_line(mend, "STORE", options);
	GString *text = g_string_new("poctl");

	for (char **word = line; *word != NULL; word++) {
		bool is_plain =
			strpbrk(*word, " \t'\"\\$`&|;<>()*?[]#~!") == NULL;
		g_autofree char *quoted =
			is_plain ? g_strdup(*word) : g_shell_quote(*word);

		g_string_append_printf(text, " %s", quoted);
	}
	return g_string_free(text, FALSE);
}

void
tool_mend_free(ToolMend *mend)
{
	if (mend == NULL)
		return;
	g_strfreev(mend->words);
	g_free(mend->postoffice);
	g_free(mend->file);
	g_free(mend->mailbag);
	g_free(mend);
}

ToolSeverity
tool_finding_if_live(const ToolInquiry *inquiry, ToolSeverity severity)
{
	return inquiry->census->office->layout->is_confirmed ? severity
	                                                     : TOOL_SUSPICIOUS;
}

const char *
tool_severity_text(ToolSeverity severity)
{
	static const char *const texts[] = {
		[TOOL_NOTE] = "note",
		[TOOL_SUSPICIOUS] = "suspicious",
		[TOOL_WARNING] = "warning",
		[TOOL_FAULT] = "error",
	};

	return texts[severity];
}

void
tool_finding_free(void *finding)
{
	ToolFinding *f = finding;

	g_free(f->id);
	g_free(f->sentence);
	tool_mend_free(f->mend);
	g_free(f);
}
