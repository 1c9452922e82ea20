/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include <fuse_lowlevel.h>
#include <glib.h>

#include "fs/control.h"
#include "fs/launch.h"
#include "fs/liveness.h"
#include "fs/ops.h"
#include "fs/options.h"
#include "fs/quarantine.h"
#include "fs/status.h"
#include "fs/survey.h"

#define MIB       ((uint64_t)1 << 20)
#define S_PER_DAY 86400

/* How often the request thread is woken until it has noticed the end. */
#define WAKE_INTERVAL_NS 10000000L

/* Threads that wait for requests; see loop_turn(). */
#define LOOPS 2

/* Everything that a mount is made of. */
typedef struct Server {
	const FsOptions *options;
	FsConfig config;
	Store *store;
	FsLiveness *liveness;
	FsControl *control; /* NULL: nobody can ask */
	FsStatus status;
	FsSurvey survey;
	struct fuse_session *fuse;
	pthread_t loops[LOOPS];
	GMutex receive; /* held while waiting for a request */
	GMutex turn;    /* see ops.h */
	FsMount mount;  /* owns its parts, but for store and config */
	uint64_t names_serial;
} Server;

/* ---- the log ------------------------------------------------------------- */

static GLogWriterOutput
log_write(GLogLevelFlags level, const GLogField *fields, gsize count,
          gpointer user_data)
{
	const FsOptions *options = ((Server *)user_data)->options;
	const char *message = "";

	if ((level & G_LOG_LEVEL_DEBUG) != 0 && !options->verbose)
		return G_LOG_WRITER_HANDLED;

	if (!options->foreground &&
	    g_log_writer_journald(level, fields, count, NULL) ==
	            G_LOG_WRITER_HANDLED)
		return G_LOG_WRITER_HANDLED;

	for (gsize i = 0; i < count; i++)
		if (strcmp(fields[i].key, "MESSAGE") == 0)
			message = fields[i].value;

	if (options->foreground)
		fprintf(stderr, "pofs: %s\n", message);
	else
		syslog((level & G_LOG_LEVEL_DEBUG) != 0 ? LOG_DEBUG
		                                        : LOG_NOTICE,
		       "%s", message);

	return G_LOG_WRITER_HANDLED;
}

static void
log_fuse(enum fuse_log_level level, const char *format, va_list arguments)
{
	g_autofree char *text = g_strdup_vprintf(format, arguments);

	g_message("libfuse: %s", g_strchomp(text));
}

/* ---- the server ---------------------------------------------------------- */

static int
server_open_store(Server *server)
{
	StoreOptions options = {
		.map_size = (uint64_t)server->config.map_size_mib * MIB,
		.sync_ms = (unsigned)server->config.sync_ms,
		.dirty_limit = (uint64_t)server->config.dirty_limit_mib * MIB,
		.staged_limit = (uint64_t)server->config.staged_limit_mib * MIB,
		.staged_max = (uint64_t)server->config.staged_max_mib * MIB,
		.quarantine_max =
			(uint64_t)server->config.quarantine_max_mib * MIB,
		.journal_max = (uint64_t)server->config.journal_max_mib * MIB,
		.journal_age_s =
			(uint64_t)server->config.journal_age_days * S_PER_DAY,
	};
	StoreAccess access =
		server->options->read_only ? STORE_READ : STORE_WRITE;
	g_autofree char *reason = NULL;
	int r;

	r = store_open(server->options->store, access, &options, &server->store,
	               &reason);
	if (r < 0)
		fprintf(stderr, "pofs: %s\n", reason);

	return r;
}

/* A comma would end the option. */
static char *
fuse_option_escape(const char *value)
{
	g_autoptr(GString) escaped = g_string_new(value);

	g_string_replace(escaped, "\\", "\\\\", 0);
	g_string_replace(escaped, ",", "\\,", 0);
	return g_string_free(g_steal_pointer(&escaped), FALSE);
}

/* What libfuse passes to fusermount3; unused where the launcher mounts. */
static char *
fuse_options(const FsOptions *options)
{
	g_autofree char *name = fuse_option_escape(options->store);

	return g_strdup_printf("-ofsname=%s,subtype=pofs,nosuid,nodev,noexec"
	                       "%s%s",
	                       name, options->read_only ? ",ro" : "",
	                       options->allow_other ? ",allow_other" : "");
}

static int
server_open_fuse(Server *server)
{
	g_autofree char *options = fuse_options(server->options);
	char program[] = "pofs";
	char *argv[] = { program, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);

	server->fuse =
		fuse_session_new(&args, &FS_OPS, sizeof FS_OPS, &server->mount);
	fuse_opt_free_args(&args);
	return server->fuse != NULL ? 0 : -EINVAL;
}

static void
waits_due(void *user_data)
{
	Server *server = user_data;

	g_mutex_lock(&server->turn);
	fs_turn_expire(&server->mount);
	g_mutex_unlock(&server->turn);
}

static void
session_ended(void *user_data, uint64_t serial)
{
	Server *server = user_data;

	g_mutex_lock(&server->turn);
	fs_turn_session_ended(&server->mount, serial);
	g_mutex_unlock(&server->turn);
}

/* What watches time and clients. */
static int
server_open_liveness(Server *server, FsTimer **ret_timer, FsLater **ret_later)
{
	int r;

	r = fs_liveness_open(&server->liveness);
	if (r == 0)
		r = fs_timer_open(server->liveness, waits_due, server,
		                  ret_timer);
	if (r == 0)
		r = fs_later_open(server->liveness, ret_later);
	if (r < 0)
		fprintf(stderr, "pofs: epoll: %s\n", g_strerror(-r));

	return r;
}

static int
server_open(Server *server)
{
	FsTimer *timer = NULL;
	FsLater *later = NULL;
	FsMailbagLock *mailbags;
	FsMetrics *metrics;
	int r;

	r = server_open_store(server);
	if (r < 0)
		return r;

	r = server_open_liveness(server, &timer, &later);
	server->mount.wait_timer = timer;
	server->mount.later = later;
	if (r < 0)
		return r;

	r = server_open_fuse(server);
	if (r < 0)
		return r;

	metrics = fs_metrics_new();
	mailbags = fs_mailbag_lock_new(
		server->config.lock_wait_s * G_USEC_PER_SEC, metrics);
	server->mount = (FsMount){
		.store = server->store,
		.config = &server->config,
		.sessions = fs_session_table_new(server->liveness),
		.handles = fs_handle_table_new(server->store),
		.locks = fs_range_lock_new(),
		.mailbags = mailbags,
		.transactions = fs_transaction_table_new(mailbags),
		.lock_files = fs_lock_files_new(),
		.creators = fs_creators_new(),
		.metrics = metrics,
		.trace = fs_trace_new(server->options->store),
		.wait_timer = timer,
		.later = later,
		.edits = fs_edit_pool_new(),
		.turn = &server->turn,
		.notify = fs_notify_new(server->fuse),
		.verbose = server->options->verbose,
		.names_serial = &server->names_serial,
		.own_nodes = g_hash_table_new(NULL, NULL),
	};
	fs_session_table_watch(server->mount.sessions, session_ended, server);
	return 0;
}

/* Waits for what is being staged; nobody commits it. */
static void
edits_stop(FsMount *mount)
{
	if (mount->edits != NULL)
		g_thread_pool_free(mount->edits, FALSE, TRUE);
	mount->edits = NULL;
}

/* Returns the error of the last commit. */
static int
server_close(Server *server)
{
	FsMount *mount = &server->mount;
	int r;

	edits_stop(mount);
	fs_handle_table_free(mount->handles);
	g_clear_pointer(&mount->own_nodes, g_hash_table_unref);

	/* It answers whoever still waits for an fsync. */
	r = store_close(server->store);
	if (r < 0)
		g_critical("the last changes are lost: %s", g_strerror(-r));

	fs_later_close(mount->later);
	fs_transaction_table_free(mount->transactions);
	fs_lock_files_free(mount->lock_files);
	fs_notify_free(mount->notify);
	fs_range_lock_free(mount->locks);
	fs_mailbag_lock_free(mount->mailbags);
	fs_creators_free(mount->creators);
	fs_metrics_free(mount->metrics);
	fs_trace_free(mount->trace);
	fs_timer_close(mount->wait_timer);
	fs_session_table_free(mount->sessions);
	fs_liveness_close(server->liveness);
	if (server->fuse != NULL) {
		fuse_session_unmount(server->fuse);
		fuse_session_destroy(server->fuse);
	}

	return r;
}

static void
loop_woken(int signal)
{
	(void)signal;
}

/*
 * Takes one request and serves it. While one thread does so the other already
 * waits for the next, which halves the time that a lone client waits for us to
 * wake up. The turn is had before the next request is waited for: they are
 * served one at a time, in the order in which they came. Returns false when
 * the mount is over.
 */
static bool
loop_turn(Server *server, struct fuse_buf *request)
{
	int r = -ENODEV;

	g_mutex_lock(&server->receive);
	if (!fuse_session_exited(server->fuse))
		r = fuse_session_receive_buf(server->fuse, request);
	if (r > 0)
		g_mutex_lock(&server->turn);
	g_mutex_unlock(&server->receive);
	if (r <= 0)
		return r == -EINTR;

	fuse_session_process_buf(server->fuse, request);
	fs_turn_end(&server->mount);
	g_mutex_unlock(&server->turn);
	return true;
}

static void *
loop_run(void *user_data)
{
	Server *server = user_data;
	struct fuse_buf request = { .mem = NULL };
	sigset_t wake;

	sigemptyset(&wake);
	sigaddset(&wake, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);

	while (loop_turn(server, &request))
		continue;

	free(request.mem);
	fs_liveness_stop(server->liveness);
	return NULL;
}

/* Waits a moment for @thread to end. */
static bool
loop_ends(pthread_t thread)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += WAKE_INTERVAL_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return pthread_timedjoin_np(thread, NULL, &until) == 0;
}

/* A thread may be about to read, past its look at the end and before the
 * signal could interrupt it: so all are woken until they are gone. */
static void
loop_stop(Server *server, unsigned count)
{
	unsigned gone = 0;
	unsigned i;

	fuse_session_exit(server->fuse);
	while (gone < count) {
		for (i = gone; i < count; i++)
			pthread_kill(server->loops[i], SIGUSR1);
		if (loop_ends(server->loops[gone]))
			gone++;
	}
}

/* Starts the threads that serve requests. */
static int
loop_start(Server *server)
{
	unsigned i;
	int r = 0;

	for (i = 0; r == 0 && i < LOOPS; i++)
		r = pthread_create(&server->loops[i], NULL, loop_run, server);
	if (r == 0)
		return 0;

	fprintf(stderr, "pofs: thread: %s\n", g_strerror(r));
	loop_stop(server, i - 1);
	return -r;
}

/* What clients still had open when the mount ended. */
static void
handles_close(const FsMount *mount)
{
	FsHandle *handle;

	while ((handle = fs_handle_any(mount->handles)) != NULL) {
		fs_range_lock_drop_handle(mount->locks, handle->node, handle);
		fs_open_close(mount, handle);
	}
}

/* Who only reads has no sessions' changes to tell of, and may be one of many;
 * and mail is more important than to be asked about it. */
static void
server_listen(Server *server)
{
	const FsOptions *options = server->options;
	const FsMount *mount = &server->mount;
	int r;

	if (options->read_only)
		return;

	r = fs_control_open(server->liveness, options->store, &server->control);
	if (r < 0) {
		g_warning("%s/control: %s", options->store, g_strerror(-r));
		return;
	}

	server->status = (FsStatus){
		.store_path = options->store,
		.mount_point = options->mount_point,
		.store = server->store,
		.since_us = g_get_monotonic_time(),
	};
	server->survey = (FsSurvey){
		.turn = &server->turn,
		.store = server->store,
		.sessions = mount->sessions,
		.handles = mount->handles,
		.mailbags = mount->mailbags,
		.transactions = mount->transactions,
		.lock_files = mount->lock_files,
		.metrics = mount->metrics,
	};
	fs_control_add(server->control, "status", fs_status_answer,
	               &server->status);
	fs_control_add(server->control, "sessions", fs_survey_sessions,
	               &server->survey);
	fs_control_add(server->control, "locks", fs_survey_locks,
	               &server->survey);
	fs_control_add(server->control, "metrics", fs_survey_metrics,
	               &server->survey);
	fs_control_add(server->control, "break", fs_break_answer,
	               &server->mount);
	fs_control_add(server->control, "trace-start", fs_trace_answer_start,
	               &server->mount);
	fs_control_add(server->control, "trace-expect", fs_trace_answer_expect,
	               &server->mount);
	fs_control_add(server->control, "trace-stop", fs_trace_answer_stop,
	               &server->mount);
	fs_control_add(server->control, "quarantine-discard",
	               fs_quarantine_discard, server->store);
	fs_control_add_later(server->control, "edit", fs_edit_start,
	                     &server->mount);
}

static int
server_run(Server *server, FsLaunch *launch)
{
	g_autofree char *device = fs_launch_mount(launch);
	int r;

	if (device == NULL || fuse_session_mount(server->fuse, device) < 0)
		return -EIO;

	r = loop_start(server);
	if (r < 0)
		return r;

	server_listen(server);
	fs_launch_serving(launch);
	g_message("mounted store=%s mountpoint=%s", server->options->store,
	          server->options->mount_point);

	fs_liveness_run(server->liveness);
	fs_launch_stopping(launch);
	g_clear_pointer(&server->control, fs_control_close);

	/* Notices need somebody who answers, so they end before the loop. */
	fs_notify_stop(server->mount.notify);
	loop_stop(server, LOOPS);
	edits_stop(&server->mount);
	/* Closes that are still looked at; their handles are closed below. */
	fs_later_run(server->mount.later);
	fs_mailbag_lock_stop(server->mount.mailbags, -ENOTCONN);
	fs_undo_stop(&server->mount,
	             (FsReason){ FS_UNDONE_STOP, "the server ended" });
	handles_close(&server->mount);
	g_message("unmounted mountpoint=%s", server->options->mount_point);
	return 0;
}

static int
serve(void *user_data, FsLaunch *launch)
{
	Server *server = user_data;
	int closed;
	int r;

	g_mutex_init(&server->turn);
	g_mutex_init(&server->receive);
	r = server_open(server);
	if (r == 0)
		r = server_run(server, launch);

	closed = server_close(server);
	g_mutex_clear(&server->turn);
	g_mutex_clear(&server->receive);
	return r < 0 || closed < 0 ? 1 : 0;
}

/* ---- the program --------------------------------------------------------- */

/* Signals are waited for (liveness.h), not caught; SIGUSR1 only wakes. */
static void
signals_block(void)
{
	struct sigaction wake = { .sa_handler = loop_woken };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGPIPE);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	sigaction(SIGUSR1, &wake, NULL);
}

static int
mount_run(const FsOptions *options, const FsConfig *config)
{
	Server server = { .options = options, .config = *config };

	g_log_set_writer_func(log_write, &server, NULL);
	fuse_set_log_func(log_fuse);
	signals_block();
	return fs_launch_run(options, serve, &server);
}

static int
usage_error(const GError *error)
{
	fprintf(stderr, "pofs: %s (see pofs --help)\n", error->message);
	return 2;
}

static int
command_run(const FsOptions *options)
{
	g_autoptr(GError) error = NULL;
	FsConfig config;

	if (!fs_options_config(options, &config, &error)) {
		fprintf(stderr, "pofs: %s\n", error->message);
		return 1;
	}

	if (options->command == FS_COMMAND_MOUNT)
		return mount_run(options, &config);

	fs_config_print(&config, stdout);
	return 0;
}

int
main(int argc, char **argv)
{
	g_autoptr(FsOptions) options = NULL;
	g_autoptr(GError) error = NULL;

	if (!fs_options_parse(argc, argv, &options, &error))
		return usage_error(error);

	switch (options->command) {
	case FS_COMMAND_HELP:
		printf("%s", FS_OPTIONS_USAGE);
		return 0;
	case FS_COMMAND_VERSION:
		printf("pofs %s\n", POFS_VERSION);
		return 0;
	case FS_COMMAND_PRINT_CONFIG:
	case FS_COMMAND_MOUNT:
		break;
	}

	return command_run(options);
}
