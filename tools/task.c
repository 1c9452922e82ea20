/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/task.h"

#include <stddef.h>
#include <string.h>

/* One message settles where a bit may be, three more which bit comes first, and
 * what a record's reuse looks like. */
static const ToolTask FIRST[] = {
	{ "one message", TOOL_TASK_SEND, 1, NULL },
	{ NULL },
};

static const ToolTask DELETION[] = {
	{ "three messages", TOOL_TASK_SEND, 3, NULL },
	{ "a deletion", TOOL_TASK_DELETE, 0, NULL },
	{ TOOL_TASK_READING, TOOL_TASK_READ, 0, NULL },
	{ NULL },
};

/* A bitmap's bytes may be in words of 2 or 4: deletions in its byte 1, 2 and 4
 * tell them apart. */
static const ToolTask FILLS[] = {
	{ "reuse of a record", TOOL_TASK_SEND, 1, NULL },
	{ "9 records", TOOL_TASK_FILL, 9, NULL },
	{ "deletion from 8 on", TOOL_TASK_DELETE, 8, NULL },
	{ "17 records", TOOL_TASK_FILL, 17, NULL },
	{ "deletion from 16 on", TOOL_TASK_DELETE, 16, NULL },
	{ "33 records", TOOL_TASK_FILL, 33, NULL },
	{ "deletion from 32 on", TOOL_TASK_DELETE, 32, NULL },
	{ NULL },
};

static const ToolTask COMPRESSION[] = {
	{ "compress", TOOL_TASK_COMPRESS, 0, NULL },
	{ NULL },
};

/* A counter of one byte is at its end; where the next byte is, shows. */
static const ToolTask WIDTHS[] = {
	{ "258 records", TOOL_TASK_FILL, 258, NULL },
	{ NULL },
};

/* Two plain ones, for what differs between any two messages. */
static const ToolTask HEADERS[] = {
	{ "plain", TOOL_TASK_ONE, 0, "with priority 3 and nothing else" },
	{ "plain again", TOOL_TASK_ONE, 0, "exactly like the one before" },
	{ "priority 1", TOOL_TASK_ONE, 0, "like the first, with priority 1" },
	{ "priority 2", TOOL_TASK_ONE, 0, "like the first, with priority 2" },
	{ "priority 4", TOOL_TASK_ONE, 0, "like the first, with priority 4" },
	{ "priority 5", TOOL_TASK_ONE, 0, "like the first, with priority 5" },
	{ "receipt", TOOL_TASK_ONE, 0,
	  "like the first, with a return receipt" },
	{ "1 attachment", TOOL_TASK_ONE, 1,
	  "like the first, with 1 file attached" },
	{ "2 attachments", TOOL_TASK_ONE, 2,
	  "like the first, with 2 files attached" },
	{ "long subject", TOOL_TASK_ONE, 0,
	  "like the first, with a subject of 40 characters" },
	{ "long text", TOOL_TASK_ONE, 0,
	  "like the first, with a text that is 100 characters longer" },
	{ NULL },
};

static const ToolTask PROGRAMS[] = {
	{ "external", TOOL_TASK_TRACE, 0,
	  "queue a message to an external postoffice and run External with "
	  "-q1 -q3 until it has sent it" },
	{ "queue-delete", TOOL_TASK_TRACE, 0,
	  "queue a message to an external postoffice and delete it with ADMIN, "
	  "External-Admin Queue" },
	{ "compress", TOOL_TASK_TRACE, 0,
	  "run ADMIN, Local-Admin Storage Compress" },
	{ "dos-poll", TOOL_TASK_TRACE, 0,
	  "leave the DOS client signed in for two minutes, have a message come "
	  "and read it" },
	{ "windows", TOOL_TASK_TRACE, 0,
	  "start the Windows client, have a message come, read and delete it, "
	  "send one and exit" },
	{ "msmail32", TOOL_TASK_TRACE, 0,
	  "the same with MSMAIL32 of Windows NT" },
	{ "win95", TOOL_TASK_TRACE, 0,
	  "the same with the provider of Windows 95" },
	{ NULL },
};

#define DENIALS_OF(name, path)                                   \
	{ name " deny none", TOOL_TASK_DENY, 0, path },          \
		{ name " deny read", TOOL_TASK_DENY, 1, path },  \
		{ name " deny write", TOOL_TASK_DENY, 2, path }, \
	{                                                        \
		name " deny all", TOOL_TASK_DENY, 3, path        \
	}

static const ToolTask DENIALS[] = {
	DENIALS_OF("KEY", "KEY/@.KEY"),
	DENIALS_OF("MBG", "MBG/@.MBG"),
	DENIALS_OF("inqueue's KEY", "KEY/INQUEUE3.KEY"),
	DENIALS_OF("inqueue's MBG", "MBG/INQUEUE3.MBG"),
	DENIALS_OF("counter", "GLB/CONTROL.GLB"),
	DENIALS_OF("master", "GLB/MASTER.GLB"),
	{ NULL },
};

static const ToolTask ROUTES[] = {
	{ "one local", TOOL_TASK_ROUTE, 0, "to one user here" },
	{ "two local", TOOL_TASK_ROUTE, 0, "to two users here" },
	{ "five local", TOOL_TASK_ROUTE, 0, "to five users here" },
	{ "local and copy", TOOL_TASK_ROUTE, 0,
	  "to one user here, with a copy (Cc) to another one here" },
	{ "one external", TOOL_TASK_ROUTE, 0,
	  "to one user of an external postoffice" },
	{ "two external", TOOL_TASK_ROUTE, 0,
	  "to two users of that external postoffice" },
	{ "local and external", TOOL_TASK_ROUTE, 0,
	  "to one user here and one of that external postoffice" },
	{ "inbound one", TOOL_TASK_ROUTE, 0,
	  "from another postoffice to one user here, with the Mailer here "
	  "stopped (External -md)" },
	{ "inbound two", TOOL_TASK_ROUTE, 0,
	  "from another postoffice to two users here, with the Mailer here "
	  "stopped (External -md)" },
	{ "inbound copy", TOOL_TASK_ROUTE, 0,
	  "from another postoffice to one user here and a copy (Cc) to another "
	  "one, with the Mailer here stopped (External -md)" },
	{ NULL },
};

const ToolStep TOOL_STEPS[] = {
	{ "first", true, true, "One message: the first bit, counters", FIRST },
	{ "delete", true, true,
	  "A deletion and a reading: which bit, what 1 means", DELETION },
	{ "fill", true, true,
	  "9, 17 and 33 records: which record is used again, order of bytes",
	  FILLS },
	{ "compress", true, true, "ADMIN's Compress: what it does to counters",
	  COMPRESSION },
	{ "wide", false, true, "258 records: how wide counters are", WIDTHS },
	{ "headers", false, true,
	  "Priorities, receipt, attachments: opaque bytes of MBG and MAI",
	  HEADERS },
	{ "programs", false, false,
	  "What each mail program opens, locks, reads and writes", PROGRAMS },
	{ "denials", false, true,
	  "What a program does when another one denies it a file", DENIALS },
	{ "recipients", false, false,
	  "Envelopes, owner counts, the first bytes of messages", ROUTES },
	{ NULL },
};

const ToolStep *
tool_step_find(const char *name)
{
	const ToolStep *step;

	for (step = TOOL_STEPS; step->name != NULL; step++)
		if (strcmp(step->name, name) == 0)
			return step;
	return NULL;
}

bool
tool_step_has_traces(const ToolStep *step)
{
	return step->tasks[0].kind == TOOL_TASK_TRACE ||
	       step->tasks[0].kind == TOOL_TASK_DENY;
}
