/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "tools/census.h"

/** How bad it is. */
typedef enum ToolSeverity {
	TOOL_NOTE,       /* worth knowing; nothing is wrong */
	TOOL_SUSPICIOUS, /* wrong if what is assumed is right */
	TOOL_WARNING,    /* mail may get stuck or stay behind */
	TOOL_FAULT,      /* mail is damaged, or programs will fail */
} ToolSeverity;

/** Something that a rule found in a postoffice. */
typedef struct ToolFinding {
	char *id; /* "P06 0000000A": the rule and the object; owned */
	ToolSeverity severity;
	char *sentence;       /* owned */
	const char *articles; /* where the rule is from: "Q77926" */
	char **mend;    /* owned: a command of poctl and what it takes, with
	              * TOOL_MEND_STORE for the store; or NULL */
	bool is_costly; /* that would lose more than what was found */
} ToolFinding;

typedef struct ToolRule ToolRule;

/** What stands in a command for the store's directory. */
#define TOOL_MEND_STORE "STORE"

/** A rule at work on a postoffice. */
typedef struct ToolInquiry {
	const ToolCensus *census;
	const ToolRule *rule;
	GPtrArray *findings; /* of ToolFinding */
} ToolInquiry;

/** A rule of check --mail. */
struct ToolRule {
	/* P and its number in the list of what goes wrong, or R and that in
	 * the list of rules: see tools/rule.c. A number stays what it is. */
	const char *id;
	const char *articles;

	/** Adds what it finds. Returns 0 or a negative errno. */
	int (*find)(const ToolInquiry *inquiry);
};

/**
 * Adds what @inquiry found about @object: a mailbag, record, message or file of
 * the postoffice.
 *
 * Ownership: takes @mend, a command that mends it; NULL if none does.
 */
void tool_finding_add(const ToolInquiry *inquiry, ToolSeverity severity,
                      const char *object, char **mend, const char *format, ...)
	G_GNUC_PRINTF(5, 6);

/** The poctl command @command ("reset") for @mailbag. Caller frees. */
char **tool_mend_mailbag(const ToolInquiry *inquiry, const char *command,
                         const char *mailbag);

/** The same for the postoffice ("set-counter --auto"). Caller frees. */
char **tool_mend_office(const ToolInquiry *inquiry, const char *command);

/**
 * The command "purge-orphans --only @kind --older-than @days d", which removes
 * @file; NULL as long as it is younger, or a mailbag that may name it is not
 * whole. Caller frees.
 */
char **tool_mend_purge(const ToolInquiry *inquiry, const ToolFile *file,
                       unsigned days, const char *kind);

/** @mend as a line ("poctl reset STORE 0000000A"). Caller frees. */
char *tool_mend_text(char **mend);

/** @severity, or TOOL_SUSPICIOUS while it is assumed which records are live. */
ToolSeverity tool_finding_if_live(const ToolInquiry *inquiry,
                                  ToolSeverity severity);

/** "error", ... */
const char *tool_severity_text(ToolSeverity severity);

/** Frees a ToolFinding. */
void tool_finding_free(void *finding);
