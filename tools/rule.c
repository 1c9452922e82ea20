/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/rule.h"

/*
 * P is for the published scenarios of corruption and loss, R for the rules that
 * the published facts add up to. Of the scenarios, these leave nothing in a
 * postoffice that a program could see: P12 and P22 (only in SENT.LOG), P24;
 * P14 (names are upper case in a store); P19 is seen as P18 and P08, P25 as
 * P02. Of the rules, R02, R03, R05, R06, R10 and R12 to R14 are P06, P07, P02,
 * P01, P18, P05 and P11, and what no file shows.
 */
static const ToolRule rules[] = {
	{ "P01", "Q136379, Q103960", tool_rule_record_envelope },
	{ "P02", "Q126750, Q136004", tool_rule_record_message },
	{ "P03", "Q101833, Q104423", tool_rule_message_orphan },
	{ "P04", "Q77926, Q148515", tool_rule_message_attachment },
	{ "P05", "Q148707, Q237695", tool_rule_message_envelope },
	{ "P06", "Q77926, Q118619", tool_rule_mailbag_size },
	{ "P07", "Q77926, Q124042, Q118619", tool_rule_mailbag_pair },
	{ "P08", "Q120220, Q134378", tool_rule_mailbag_stuck },
	{ "P09", "Q99204, Q124042", tool_rule_record_number },
	{ "P10", "Q143413", tool_rule_message_torn },
	{ "P11", "Q128913, Q111558", tool_rule_file_lock },
	{ "P13", "Q117646, Q99725", tool_rule_message_empty },
	{ "P15", "Q101749, Q103850", tool_rule_file_copy },
	{ "P16", "Q138054, Q119088", tool_rule_mailbag_full },
	{ "P17", "Q173099, Q123319", tool_rule_record_header },
	{ "P18", "Q87388, Q124042, Q117738", tool_rule_file_control },
	{ "P20", "Q134228", tool_rule_file_import },
	{ "P21", "Q77926, Q127752", tool_rule_record_duplicate },
	{ "P23", "Q137676, Q112281", tool_rule_record_date },
	{ "P26", "Q120449", tool_rule_mailbag_owner },
	{ "R07", "Q104423", tool_rule_message_owners },
	{ "R08", "Q87409", tool_rule_file_place },
	{ "R09", "Q77926, Q132744", tool_rule_file_size },
	{ "R11", "Q132744, Q77926", tool_rule_file_name },
	{ "R15", "Q132744, Q124042", tool_rule_file_directory },
};

int
tool_rule_apply_all(const ToolCensus *census, GPtrArray *findings)
{
	size_t i;
	int r = 0;

	for (i = 0; i < G_N_ELEMENTS(rules) && r == 0; i++) {
		const ToolInquiry inquiry = { .census = census,
			                      .rule = &rules[i],
			                      .findings = findings };

		r = rules[i].find(&inquiry);
	}
	return r;
}
