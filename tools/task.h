/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * The steps of learn, and the tasks of each: what the administrator is asked to
 * do with the licensed programs, so that what was never published can be seen.
 */

/** What is asked for. */
typedef enum ToolTaskKind {
	TOOL_TASK_SEND,     /* number messages */
	TOOL_TASK_FILL,     /* messages until there are number records */
	TOOL_TASK_DELETE,   /* a message whose record is number or later, in
	                     * its span (key_learn.h) */
	TOOL_TASK_READ,     /* a message */
	TOOL_TASK_COMPRESS, /* the mailbags */
	TOOL_TASK_ONE,      /* one message, as words says, with number
	                     * attachments */
	TOOL_TASK_ROUTE, /* the same, and its envelope; who gets it is asked */
	TOOL_TASK_TRACE, /* words, while the program's session is traced */
	TOOL_TASK_DENY,  /* the same while another station holds words open,
	                     * so that it denies number: 0 none, 1 read, 2
	                     * write, 3 all */
} ToolTaskKind;

typedef struct ToolTask {
	const char *name; /* of the task; unique in its step */
	ToolTaskKind kind;
	uint32_t number;
	const char *words;
} ToolTask;

typedef struct ToolStep {
	const char *name;
	bool is_usual; /* done where no step is named */
	bool needs_mailbag;
	const char *summary;
	const ToolTask *tasks; /* ended by an empty one */
} ToolStep;

/** The names of tasks that say more than what was done: the mailbag was looked
 * at, whatever had happened; a message was read. */
#define TOOL_TASK_LOOK    "look"
#define TOOL_TASK_READING "a reading"

/** In their order; ended by an empty one. */
extern const ToolStep TOOL_STEPS[];

/** The step @name, or NULL. */
const ToolStep *tool_step_find(const char *name);

/** Whether tasks of @step keep traces. */
bool tool_step_has_traces(const ToolStep *step);
