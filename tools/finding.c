/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/finding.h"

#include <stdarg.h>

void
tool_finding_add(const ToolInquiry *inquiry, ToolSeverity severity,
                 const char *object, char *mend, const char *format, ...)
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

char *
tool_mend_mailbag(const ToolInquiry *inquiry, const char *command,
                  const char *mailbag)
{
	g_autofree char *name =
		tool_office_name(inquiry->census->office, mailbag);

	return g_strdup_printf("poctl %s STORE %s", command, name);
}

char *
tool_mend_office(const ToolInquiry *inquiry, const char *command)
{
	const char *path = inquiry->census->office->path;

	return g_strdup_printf("poctl %s%s%s STORE", command,
	                       path[0] != '\0' ? " --postoffice " : "", path);
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
		[TOOL_ERROR] = "error",
	};

	return texts[severity];
}

void
tool_finding_free(void *finding)
{
	ToolFinding *f = finding;

	g_free(f->id);
	g_free(f->sentence);
	g_free(f->mend);
	g_free(f);
}
