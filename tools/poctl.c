/* SPDX-License-Identifier: BSD-2-Clause */
/* poctl, the administrator's command: one command a file, and this table. */

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include "store/std_fds.h"
#include "tools/tool.h"

/* Bytes that are held; of memory that is not used there is none. */
#define OUTPUT_MAX ((size_t)64 << 20)

static const ToolCommand commands[] = {
	{ "create", "STORE", "Make a store with an empty postoffice.",
	  tool_create },
	{ "import", "STORE DIR", "Copy a postoffice's files into a store.",
	  tool_import },
	{ "export", "STORE DIR",
	  "Copy a store's files to a directory, or as a tar stream to -.",
	  tool_export },
	{ "diff", "STORE DIR", "Compare a store with a directory.", tool_diff },
	{ "backup", "STORE FILE",
	  "Write all of a store to a file, or to - as a stream.", tool_backup },
	{ "restore", "STORE FILE...",
	  "Make a new store of a backup, or files as they were.",
	  tool_restore },
	{ "verify", "FILE", "Prove that a backup is whole.", tool_verify },
	{ "check", "STORE", "Verify every invariant of a store.", tool_check },
	{ "stat", "STORE", "Describe a store.", tool_stat },
	{ "queue", "STORE [MAILBAG]", "List the mailbags, or what is in one.",
	  tool_queue },
	{ "message", "STORE MESSAGE", "Describe a message, and who has it.",
	  tool_message },
	{ "explain", "STORE [CODE|LOGFILE]",
	  "Say what an error, or a log of them, means.", tool_explain },
	{ "log", "STORE", "List what the transactions did.", tool_log },
	{ "show", "STORE ENTRY", "Describe what a transaction did.",
	  tool_show_entry },
	{ "status", "STORE", "Describe the mount that serves a store.",
	  tool_status },
	{ "sessions", "STORE", "List the clients of a mount.", tool_sessions },
	{ "locks", "STORE", "List who has which mailbag, and who waits.",
	  tool_locks },
	{ "top", "STORE", "Show live who has what, who waits, and the queues.",
	  tool_top },
	{ "metrics", "STORE", "Print measurements for a monitoring system.",
	  tool_metrics },
	{ "break", "STORE SESSION",
	  "Undo a client's transaction, take its locks.", tool_break },
	{ "repair", "STORE FINDING", "Mend what a check of the mail has found.",
	  tool_repair },
	{ "undo", "STORE ENTRY", "Undo what a transaction did.", tool_undo },
	{ "reset", "STORE MAILBAG", "Empty a mailbag.", tool_reset },
	{ "rebuild", "STORE MAILBAG", "Keep a mailbag's good records.",
	  tool_rebuild },
	{ "requeue", "STORE MAILBAG RECORD", "Queue a deleted message again.",
	  tool_requeue },
	{ "set-owners", "STORE MESSAGE",
	  "Have a message count an owner for each header.", tool_set_owners },
	{ "set-counter", "STORE", "Set the numbers for new files.",
	  tool_set_counter },
	{ "purge-orphans", "STORE", "Remove messages in no mailbag.",
	  tool_purge_orphans },
	{ "learn", "STORE", "Find out of licensed programs what is not public.",
	  tool_learn },
	{ "trace start", "STORE [SESSION]", "Record what a client does.",
	  tool_trace_start },
	{ "trace stop", "STORE SESSION|all", "Stop recording it.",
	  tool_trace_stop },
	{ "trace show", "STORE SESSION|FILE", "Show what was recorded.",
	  tool_trace_show },
	{ "quarantine list", "STORE", "List what was undone.",
	  tool_quarantine_list },
	{ "quarantine show", "STORE ENTRY", "Describe what was undone.",
	  tool_quarantine_show },
	{ "quarantine restore", "STORE ENTRY DIR",
	  "Copy what was undone to a directory.", tool_quarantine_restore },
	{ "quarantine discard", "STORE ENTRY", "Forget what was undone.",
	  tool_quarantine_discard },
};

static void
print_help(void)
{
	size_t i;

	(void)puts("Usage:\n  poctl COMMAND [OPTION...] STORE [ARGUMENT...]\n\n"
	           "Looks after the store of a postoffice.\n\nCommands:");
	for (i = 0; i < G_N_ELEMENTS(commands); i++)
		(void)printf("  %-18s %-15s %s\n", commands[i].name,
		             commands[i].arguments, commands[i].summary);
	(void)puts("\nOptions:\n"
	           "  -h, --help   Print this help, or that of a command\n"
	           "  --version    Print the version\n\n"
	           "Exit status: 0 done, 1 failed or something found, "
	           "2 bad usage.");
}

/* How many of the first words of @argv are the words of @name; 0 if not all. */
static size_t
match_name(const char *name, char **argv)
{
	g_auto(GStrv) words = g_strsplit(name, " ", -1);
	size_t i;

	for (i = 0; words[i] != NULL; i++)
		if (argv[i] == NULL || strcmp(argv[i], words[i]) != 0)
			return 0;
	return i;
}

const ToolCommand *
tool_command_find(char ***argv)
{
	size_t i;

	for (i = 0; i < G_N_ELEMENTS(commands); i++) {
		size_t count = match_name(commands[i].name, *argv);

		if (count > 0) {
			*argv += count - 1;
			return &commands[i];
		}
	}
	return NULL;
}

/* Runs what @argv, without the program's name, asks for. */
static ToolExit
run(char **argv, GError **error)
{
	const ToolCommand *command;

	if (argv[0] == NULL) {
		(void)tool_misuse(error, "no command given (see poctl --help)");
		return TOOL_USAGE;
	}
	if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
		print_help();
		return TOOL_OK;
	}
	if (strcmp(argv[0], "--version") == 0) {
		(void)puts("poctl " POFS_VERSION);
		return TOOL_OK;
	}
	command = tool_command_find(&argv);
	if (command == NULL) {
		(void)tool_misuse(error, "unknown %s %s (see poctl --help)",
		                  argv[0][0] == '-' ? "option" : "command",
		                  argv[0]);
		return TOOL_USAGE;
	}
	return command->run(command, argv, error);
}

/* Has what is printed to a pipe or a file wait until the store is closed, which
 * a command does in its end: whoever reads it may take his time, as a pager
 * does, and as long the daemon could not use again the room of what it replaces.
 */
static void
hold_output(void)
{
	char *buffer;

	if (isatty(STDOUT_FILENO))
		return;

	/* What is never printed takes no memory, with any malloc(3). */
	buffer = mmap(NULL, OUTPUT_MAX, PROT_READ | PROT_WRITE,
	              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer != MAP_FAILED)
		(void)setvbuf(stdout, buffer, _IOFBF, OUTPUT_MAX);
}

/* What the store warns of is one line like any other. */
static void
log_line(const char *domain, GLogLevelFlags level, const char *message,
         void *user_data)
{
	if ((level & G_LOG_LEVEL_MASK) < G_LOG_LEVEL_MESSAGE)
		tool_warn("%s", message);
}

int
main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	ToolExit status;

	std_fds_fill();

	/* Names are UTF-8 in the store and in what is written, whatever the
	 * administrator's locale is. */
	(void)setlocale(LC_CTYPE, "C.UTF-8");

	/* A reader that goes away and a limit on the size of files (ulimit -f)
	 * are errors like others, after which there is something to tidy. */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	/* Who starts us may ignore this, and then nobody is told how a child
	 * ended. */
	(void)signal(SIGCHLD, SIG_DFL);

	(void)g_log_set_default_handler(log_line, NULL);
	hold_output();

	status = run(argc > 0 ? argv + 1 : argv, &error);
	if (error != NULL) {
		tool_warn("%s", error->message);
		return error->code;
	}
	/* What could not be written is not kept for the last attempt. */
	errno = 0;
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		tool_warn("cannot write the standard output: %s",
		          g_strerror(errno != 0 ? errno : EIO));
		return TOOL_FAILED;
	}
	return (int)status;
}
