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

/** A command of poctl that mends something. */
typedef struct ToolMend {
	char **words;     /* its name, and options that are always the same */
	char *postoffice; /* for its option of that name, or NULL */
	char *file;       /* the one that it removes, for --file, or NULL */
	char *mailbag;    /* what it takes after the store, or NULL */
} ToolMend;

/** Something that a rule found in a postoffice. */
typedef struct ToolFinding {
	char *id; /* "P06 0000000A": the rule and the object; owned */
	ToolSeverity severity;
	char *sentence;       /* owned */
	const char *articles; /* where the rule is from: "Q77926" */
	ToolMend *mend;       /* owned; or NULL */
	bool is_costly;       /* that would lose more than what was found */
} ToolFinding;

typedef struct ToolRule ToolRule;

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
                      const char *object, ToolMend *mend, const char *format,
                      ...) G_GNUC_PRINTF(5, 6);

/** The poctl command @command ("reset") for @mailbag. Caller frees. */
ToolMend *tool_mend_mailbag(const ToolInquiry *inquiry, const char *command,
                            const char *mailbag);

/** The same for the postoffice ("set-counter --auto"). Caller frees. */
ToolMend *tool_mend_office(const ToolInquiry *inquiry, const char *command);

/**
 * The command "purge-orphans --only @kind --older-than @days d --file @file",
 * which removes that one; NULL as long as it is younger, or a mailbag that may
 * name it is not whole. Caller frees.
 */
ToolMend *tool_mend_purge(const ToolInquiry *inquiry, const ToolFile *file,
                          unsigned days, const char *kind);

/**
 * The command line of @mend for the store in @store, its name first, with
 * @options after its own. Its file is left to those, for there may be many of
 * one command. Caller frees.
 */
char **tool_mend_line(const ToolMend *mend, const char *store, char **options);

/** @mend as a line ("poctl reset STORE 0000000A"). Caller frees. */
char *tool_mend_text(const ToolMend *mend);

/** NULL is a no-op. */
void tool_mend_free(ToolMend *mend);

/** @severity, or TOOL_SUSPICIOUS while it is assumed which records are live. */
ToolSeverity tool_finding_if_live(const ToolInquiry *inquiry,
                                  ToolSeverity severity);

/** "error", ... */
const char *tool_severity_text(ToolSeverity severity);

/** Frees a ToolFinding. */
void tool_finding_free(void *finding);
