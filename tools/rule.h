/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include "tools/finding.h"

/** The rules of check --mail; rule.c has the table. */

/** Applies every rule to @census, in the order of the table. */
int tool_rule_apply_all(const ToolCensus *census, GPtrArray *findings);

/* rule_mailbag.c: the two files of a mailbag */
int tool_rule_mailbag_size(const ToolInquiry *inquiry);
int tool_rule_mailbag_pair(const ToolInquiry *inquiry);
int tool_rule_mailbag_stuck(const ToolInquiry *inquiry);
int tool_rule_mailbag_full(const ToolInquiry *inquiry);
int tool_rule_mailbag_owner(const ToolInquiry *inquiry);

/* rule_record.c: headers */
int tool_rule_record_message(const ToolInquiry *inquiry);
int tool_rule_record_envelope(const ToolInquiry *inquiry);
int tool_rule_record_header(const ToolInquiry *inquiry);
int tool_rule_record_date(const ToolInquiry *inquiry);
int tool_rule_record_number(const ToolInquiry *inquiry);
int tool_rule_record_duplicate(const ToolInquiry *inquiry);

/* rule_message.c: MAI, ATT and P1 */
int tool_rule_message_orphan(const ToolInquiry *inquiry);
int tool_rule_message_torn(const ToolInquiry *inquiry);
int tool_rule_message_empty(const ToolInquiry *inquiry);
int tool_rule_message_owners(const ToolInquiry *inquiry);
int tool_rule_message_attachment(const ToolInquiry *inquiry);
int tool_rule_message_envelope(const ToolInquiry *inquiry);

/* rule_file.c: names, sizes, counters */
int tool_rule_file_control(const ToolInquiry *inquiry);
int tool_rule_file_copy(const ToolInquiry *inquiry);
int tool_rule_file_import(const ToolInquiry *inquiry);
int tool_rule_file_lock(const ToolInquiry *inquiry);
int tool_rule_file_place(const ToolInquiry *inquiry);
int tool_rule_file_size(const ToolInquiry *inquiry);
int tool_rule_file_name(const ToolInquiry *inquiry);
int tool_rule_file_directory(const ToolInquiry *inquiry);
