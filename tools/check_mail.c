/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/check_mail.h"

#include "tools/rule.h"
#include "tools/tool.h"

static int
check_office(const ToolOffice *office, ToolProgress *progress,
             GPtrArray *findings)
{
	g_autoptr(ToolCensus) census = NULL;
	int r;

	r = tool_census_make(office, progress, &census);
	return r < 0 ? r : tool_rule_apply_all(census, findings);
}

int
tool_check_mail(const ToolOffices *offices, gboolean is_quiet,
                GPtrArray **ret_findings, GError **error)
{
	g_autoptr(GPtrArray) findings =
		g_ptr_array_new_with_free_func(tool_finding_free);
	g_autoptr(ToolProgress) progress =
		tool_progress_new("checking mail", is_quiet);
	guint i;
	int r = 0;

	for (i = 0; i < offices->list->len && r == 0; i++)
		r = check_office(offices->list->pdata[i], progress, findings);
	if (r < 0)
		return tool_fail(error, r, "the mail could not be checked: %s",
		                 g_strerror(-r));
	*ret_findings = g_steal_pointer(&findings);
	return 0;
}
