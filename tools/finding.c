/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/finding.h"

#include <stdarg.h>
#include <string.h>

void
tool_finding_add(const ToolInquiry *inquiry, ToolSeverity severity,
                 const char *object, char **mend, const char *format, ...)
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

/* The words of @command, then @option and its value, if there is one, then the
 * store, then @mailbag, if there is one. */
static char **
new_mend(const char *command, const char *option, const char *value,
         const char *mailbag)
{
	g_auto(GStrv) words = g_strsplit(command, " ", -1);
	g_autoptr(GStrvBuilder) mend = g_strv_builder_new();

	for (char **word = words; *word != NULL; word++)
		g_strv_builder_add(mend, *word);
	if (value[0] != '\0')
		g_strv_builder_add_many(mend, option, value, NULL);
	g_strv_builder_add(mend, TOOL_MEND_STORE);
	if (mailbag != NULL)
		g_strv_builder_add(mend, mailbag);
	return g_strv_builder_end(mend);
}

char **
tool_mend_mailbag(const ToolInquiry *inquiry, const char *command,
                  const char *mailbag)
{
	g_autofree char *name =
		tool_office_name(inquiry->census->office, mailbag);

	return new_mend(command, "", "", name);
}

char **
tool_mend_office(const ToolInquiry *inquiry, const char *command)
{
	return new_mend(command, "--postoffice", inquiry->census->office->path,
	                NULL);
}

char **
tool_mend_purge(const ToolInquiry *inquiry, const ToolFile *file, unsigned days,
                const char *kind)
{
	g_autofree char *command = g_strdup_printf(
		"purge-orphans --only %s --older-than %ud", kind, days);

	if (!inquiry->census->is_whole ||
	    !tool_census_is_older(inquiry->census, file,
	                          (int64_t)days * TOOL_CENSUS_DAY_S))
		return NULL;
	return tool_mend_office(inquiry, command);
}

char *
tool_mend_text(char **mend)
{
	GString *text = g_string_new("poctl");

	for (; *mend != NULL; mend++) {
		bool is_plain =
			strpbrk(*mend, " \t'\"\\$`&|;<>()*?[]#~!") == NULL;
		g_autofree char *word =
			is_plain ? g_strdup(*mend) : g_shell_quote(*mend);

		g_string_append_printf(text, " %s", word);
	}
	return g_string_free(text, FALSE);
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
	g_strfreev(f->mend);
	g_free(f);
}
