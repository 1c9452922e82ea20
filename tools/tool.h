/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <stdbool.h>

#include <glib.h>

/**
 * What the commands of poctl share.
 *
 * A function that can fail returns 0 or a negative errno, and then *error is
 * the sentence for the administrator: main() prints it, nobody else does. The
 * code of the error is the exit status.
 *
 * Threads: the tools have one.
 */

/** Exit status; the numbers are documented in poctl.8. */
typedef enum ToolExit {
	TOOL_OK = 0,
	TOOL_FAILED = 1, /* it could not be done, or check found something */
	TOOL_USAGE = 2,  /* the command line makes no sense */
} ToolExit;

#define TOOL_ERROR tool_error_quark()
GQuark tool_error_quark(void);

/** Sets *@error to the formatted sentence (TOOL_FAILED) and returns @r. */
int tool_fail(GError **error, int r, const char *format, ...)
	G_GNUC_PRINTF(3, 4);

/** As tool_fail(), for a mistake on the command line; returns -EINVAL. */
int tool_misuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/**
 * Prints "poctl: " and the formatted sentence as one line on the standard
 * error, through tool_show(): whatever names are in it, it is harmless.
 */
void tool_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);

/** Prints the formatted sentence on the standard output in the same way. */
void tool_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/**
 * @text without what a terminal would take for more than text: control
 * characters and what is not UTF-8 become octal escapes.
 * Ownership: the caller frees it.
 */
char *tool_show(const char *text);

/** @count with its noun ("1 file", "2 files"). Ownership: the caller's. */
char *tool_count(guint64 count, const char *one, const char *many);

/** One command of poctl: the table in poctl.c lists them all. */
typedef struct ToolCommand {
	const char *name;
	const char *arguments; /* as the help shows them: "STORE [DIR]"; what is
	                        * in brackets may be left out */
	const char *summary;   /* one sentence */

	/**
	 * Runs the command; @argv[0] is its name. Returns an exit status;
	 * where it is not TOOL_OK, *@error may say why.
	 */
	ToolExit (*run)(const struct ToolCommand *self, char **argv,
	                GError **error);
} ToolCommand;

/**
 * Finds the command that *@argv begins with, and has *@argv begin with its last
 * word. NULL if there is none.
 */
const ToolCommand *tool_command_find(char ***argv);

/** What the command line asked of any command. */
typedef struct ToolOptions {
	gboolean quiet;
	gboolean json;
	gboolean done;    /* --help or --version was answered: nothing to do */
	char **arguments; /* owned; as many as the command names, or NULL at
	                   * the first that was left out */
} ToolOptions;

/**
 * Reads the command line @argv of @command, whose own options are @entries
 * (ended by an empty one).
 *
 * Ownership: the caller clears *@ret_options.
 */
int tool_options_read(const ToolCommand *command, const GOptionEntry *entries,
                      char **argv, ToolOptions *ret_options, GError **error);

void tool_options_clear(ToolOptions *options);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ToolOptions, tool_options_clear)

ToolExit tool_create(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_import(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_export(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_diff(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_backup(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_restore(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_verify(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_check(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_stat(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_queue(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_message(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_explain(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_log(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_show_entry(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_status(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_sessions(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_locks(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_top(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_metrics(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_break(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_repair(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_undo(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_reset(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_rebuild(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_requeue(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_set_counter(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_set_owners(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_purge_orphans(const ToolCommand *self, char **argv,
                            GError **error);
ToolExit tool_learn(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_trace_start(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_trace_stop(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_trace_show(const ToolCommand *self, char **argv, GError **error);
ToolExit tool_quarantine_list(const ToolCommand *self, char **argv,
                              GError **error);
ToolExit tool_quarantine_show(const ToolCommand *self, char **argv,
                              GError **error);
ToolExit tool_quarantine_restore(const ToolCommand *self, char **argv,
                                 GError **error);
ToolExit tool_quarantine_discard(const ToolCommand *self, char **argv,
                                 GError **error);
