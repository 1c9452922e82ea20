/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <fuse_lowlevel.h>
#include <glib.h>

#include "fs/control.h"
#include "fs/launch.h"
#include "fs/liveness.h"
#include "fs/log.h"
#include "fs/loop.h"
#include "fs/manager.h"
#include "fs/op_undo.h"
#include "fs/ops.h"
#include "fs/options.h"
#include "fs/quarantine.h"
#include "fs/status.h"
#include "fs/survey.h"
#include "store/std_fds.h"

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
	GMutex turn;    /* see ops.h */
	FsLater *later; /* the mount's */
	FsTimer *pulse;
	int64_t awake_us;       /* when the main thread last had the turn */
	const FsLaunch *launch; /* borrowed */
	FsHealth health;
	FsMount mount; /* owns its parts, but for store and config */
	uint64_t names_serial;
} Server;

/* ---- the log ------------------------------------------------------------- */

static void
log_fuse(enum fuse_log_level level, const char *format, va_list arguments)
{
	g_autofree char *text = g_strdup_vprintf(format, arguments);

	fs_log(FS_EVENT_LIBRARY, FS_LOG_TEXT("domain", "libfuse"),
	       FS_LOG_TEXT("text", g_strchomp(text)));
}

/* ---- the server ---------------------------------------------------------- */

/* On the main thread. */
static void
store_ails(void *user_data)
{
	Server *server = user_data;

	if (server->store == NULL)
		return;

	g_mutex_lock(&server->turn);
	fs_health_suspect(&server->health);
	fs_turn_end(&server->mount);
	g_mutex_unlock(&server->turn);
}

/* On the committer's. */
static void
store_ailing(void *user_data)
{
	Server *server = user_data;

	fs_later_post(server->later, store_ails, server);
}

static int
server_open_store(Server *server)
{
	StoreOptions options = fs_config_store(&server->config);
	StoreAccess access =
		server->options->read_only ? STORE_READ : STORE_WRITE;
	g_autofree char *reason = NULL;
	int r;

	options.ailing = store_ailing;
	options.ailing_data = server;
	r = store_open(server->options->store, access, &options, &server->store,
	               &reason);
	if (r < 0)
		fs_log_failed("%s", reason);

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

/* How often a server says that it lives, before it is taken for dead. */
#define PULSES 4

/* And how often at least, in microseconds. */
#define PULSE_US (INT64_C(5) * G_USEC_PER_SEC)

/* How late the main thread may be on a machine that is merely busy. */
#define LATE_US G_USEC_PER_SEC

static int64_t
pulse_interval_us(const Server *server)
{
	int64_t watchdog_us = server->config.watchdog_s * G_USEC_PER_SEC;

	return watchdog_us > 0 ? MIN(watchdog_us / PULSES, PULSE_US) : PULSE_US;
}

/* On the main thread, with the turn, before anybody's time is found to be up: a
 * pulse that did not come shows that we were stopped, as a container is or a
 * machine, or kept from serving. */
static void
server_wake(Server *server)
{
	int64_t now_us = g_get_monotonic_time();
	int64_t asleep_us = now_us - server->awake_us;

	if (server->awake_us != 0 &&
	    asleep_us > pulse_interval_us(server) + LATE_US)
		fs_hold_excuse(&server->mount, asleep_us);
	server->awake_us = now_us;
}

static void
waits_due(void *user_data)
{
	Server *server = user_data;

	g_mutex_lock(&server->turn);
	server_wake(server);
	fs_turn_expire(&server->mount);
	g_mutex_unlock(&server->turn);
}

/* Who gets the turn shows that requests are served, for whoever serves one has
 * it. Where that takes for ever, nothing is said. */
static void
pulse_rang(void *user_data)
{
	Server *server = user_data;

	g_mutex_lock(&server->turn);
	server_wake(server);
	g_mutex_unlock(&server->turn);
	if (server->config.watchdog_s > 0)
		fs_launch_alive(server->launch);
	fs_timer_set(server->pulse,
	             g_get_monotonic_time() + pulse_interval_us(server));
}

static void
session_ended(void *user_data, uint64_t serial)
{
	Server *server = user_data;

	g_mutex_lock(&server->turn);
	fs_turn_session_ended(&server->mount, serial);
	g_mutex_unlock(&server->turn);
}

/* How many closes may be looked at side by side, each of which takes no time
 * unless the machine has none. */
#define WORKERS 8

/* Threads for what would keep others waiting. */
static int
server_open_threads(FsMount *mount)
{
	mount->edits = fs_edit_pool_new();
	mount->workers = fs_workers_new(WORKERS);
	return mount->edits != NULL && mount->workers != NULL ? 0 : -EAGAIN;
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
	if (r == 0)
		r = fs_timer_open(server->liveness, pulse_rang, server,
		                  &server->pulse);
	if (r < 0)
		fs_log_failed("epoll: %s", g_strerror(-r));

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

	r = server_open_liveness(server, &timer, &later);
	server->mount.wait_timer = timer;
	server->mount.later = server->later = later;
	if (r < 0)
		return r;

	r = server_open_store(server);
	if (r < 0)
		return r;

	server->health = (FsHealth){
		.store = server->store,
		.store_path = server->options->store,
	};

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
		.handles = fs_handle_table_new(
			server->store, fs_config_handles(&server->config)),
		.listings =
			fs_listings_new(fs_config_listings(&server->config)),
		.locks = fs_range_lock_new(fs_config_ranges(&server->config)),
		.mailbags = mailbags,
		.transactions = fs_transaction_table_new(mailbags),
		.lock_files = fs_lock_files_new(),
		.creators = fs_creators_new(),
		.numbers = fs_numbers_new(),
		.metrics = metrics,
		.health = &server->health,
		.trace = fs_trace_new(server->options->store),
		.wait_timer = timer,
		.later = later,
		.turn = &server->turn,
		.notify = fs_notify_new(server->fuse, later),
		.verbose = server->options->verbose,
		.names_serial = &server->names_serial,
		.own_nodes = g_hash_table_new(NULL, NULL),
	};
	fs_session_table_watch(server->mount.sessions, session_ended, server);
	fs_mailbag_lock_watch(mailbags, fs_hold_refused, &server->mount);
	return server_open_threads(&server->mount);
}

/* Waits for what is being staged, which nobody commits, and for who is being
 * looked at. */
static void
threads_stop(FsMount *mount)
{
	if (mount->edits != NULL)
		g_thread_pool_free(mount->edits, FALSE, TRUE);
	mount->edits = NULL;
	g_clear_pointer(&mount->workers, fs_workers_free);
}

/* Returns the error of the last commit. */
static int
server_close(Server *server)
{
	FsMount *mount = &server->mount;
	int r;

	threads_stop(mount);
	fs_notify_stop(mount->notify);
	fs_handle_table_free(mount->handles);
	fs_listings_free(mount->listings);
	g_clear_pointer(&mount->own_nodes, g_hash_table_unref);

	/* It ends what still waits for the disk, which is answered below. */
	server->health.store = NULL;
	r = store_close(g_steal_pointer(&server->store));
	if (r < 0)
		fs_log(FS_EVENT_LOST,
		       FS_LOG_TEXT("store", server->options->store),
		       FS_LOG_TEXT("reason", g_strerror(-r)));

	fs_later_close(mount->later);
	fs_transaction_table_free(mount->transactions);
	fs_lock_files_free(mount->lock_files);
	fs_notify_free(mount->notify);
	fs_range_lock_free(mount->locks);
	fs_mailbag_lock_free(mount->mailbags);
	fs_creators_free(mount->creators);
	fs_numbers_free(mount->numbers);
	fs_metrics_free(mount->metrics);
	fs_trace_free(mount->trace);
	fs_timer_close(mount->wait_timer);
	fs_timer_close(server->pulse);
	fs_session_table_free(mount->sessions);
	fs_liveness_close(server->liveness);
	if (server->fuse != NULL) {
		fuse_session_unmount(server->fuse);
		fuse_session_destroy(server->fuse);
	}

	return r;
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

	r = fs_control_open(server->liveness, mount->later, mount->workers,
	                    options->store, &server->control);
	if (r < 0) {
		fs_log(FS_EVENT_TROUBLE, FS_LOG_TEXT("what", "control"),
		       FS_LOG_TEXT("reason", g_strerror(-r)));
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
	fs_control_add_slow(server->control, "sessions", fs_survey_sessions,
	                    &server->survey);
	fs_control_add(server->control, "locks", fs_survey_locks,
	               &server->survey);
	fs_control_add(server->control, "metrics", fs_survey_metrics,
	               &server->survey);
	fs_control_add(server->control, "break", fs_break_answer,
	               &server->mount);
	fs_control_add_slow(server->control, "trace-start",
	                    fs_trace_answer_start, &server->mount);
	fs_control_add_slow(server->control, "trace-expect",
	                    fs_trace_answer_expect, &server->mount);
	fs_control_add(server->control, "trace-stop", fs_trace_answer_stop,
	               &server->mount);
	fs_control_add(server->control, "quarantine-discard",
	               fs_quarantine_discard, server->store);
	fs_control_add_later(server->control, "edit", fs_edit_start,
	                     &server->mount);
	fs_control_add_later(server->control, "sync", fs_sync_start,
	                     &server->mount);
}

static void
ready_log(const Server *server)
{
	const FsOptions *options = server->options;
	StoreVitals vitals;

	if (!options->read_only && store_vitals(server->store, &vitals) == 0 &&
	    !vitals.was_clean)
		fs_log(FS_EVENT_UNCLEAN, FS_LOG_TEXT("store", options->store));
	fs_log(FS_EVENT_READY, FS_LOG_TEXT("store", options->store),
	       FS_LOG_TEXT("mountpoint", options->mount_point),
	       FS_LOG_TEXT("access",
	                   options->read_only ? "read-only" : "read-write"),
	       FS_LOG_TEXT("version", POFS_VERSION));
}

static int
server_run(Server *server, FsLaunch *launch)
{
	const char *mount_point = server->options->mount_point;
	g_autofree char *device = fs_launch_mount(launch);
	FsLoop *loop;
	int r;

	if (device == NULL || fuse_session_mount(server->fuse, device) < 0)
		return -EIO;

	r = server->config.sandbox ? fs_launch_confine(launch) : 0;
	if (r == 0)
		r = fs_loop_start(server->fuse, &server->mount,
		                  server->liveness, &loop);
	if (r < 0)
		return r;

	server_listen(server);
	/* First the log, where whoever waits for the rest may look. */
	ready_log(server);
	fs_launch_serving(launch);
	server->launch = launch;
	pulse_rang(server);

	fs_liveness_run(server->liveness);
	fs_launch_stopping(launch);
	fs_log(FS_EVENT_STOPPING, FS_LOG_TEXT("mountpoint", mount_point));
	g_clear_pointer(&server->control, fs_control_close);

	/* Notices need somebody who answers, so they end before the loop. */
	fs_notify_stop(server->mount.notify);
	fs_loop_stop(loop);
	threads_stop(&server->mount);
	/* What they leave to be done; handles are closed below. */
	fs_later_run(server->mount.later);
	fs_mailbag_lock_stop(server->mount.mailbags, -ENOTCONN);
	fs_undo_stop(&server->mount,
	             (FsReason){ FS_UNDONE_STOP, "the server ended" });
	handles_close(&server->mount);
	return 0;
}

static int
serve(void *user_data, FsLaunch *launch)
{
	Server *server = user_data;
	int closed;
	int r;

	g_mutex_init(&server->turn);
	fs_log_start();
	r = server_open(server);
	if (r == 0)
		r = server_run(server, launch);

	closed = server_close(server);
	if (r == 0 && closed == 0)
		fs_log(FS_EVENT_STOPPED,
		       FS_LOG_TEXT("mountpoint", server->options->mount_point));
	g_mutex_clear(&server->turn);
	return r < 0 || closed < 0 ? 1 : 0;
}

/* ---- the program --------------------------------------------------------- */

/* Signals are waited for (liveness.h), not caught; SIGUSR1 wakes (loop.h). A
 * limit on the size of files (ulimit -f) is an error like others. Who starts us
 * may ignore SIGCHLD, and then nobody is told how the server ended. */
static void
signals_block(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGPIPE);
	sigaddset(&signals, SIGXFSZ);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGCHLD, SIG_DFL);
}

static int
mount_run(const FsOptions *options, const FsConfig *config)
{
	Server server = { .options = options, .config = *config };
	int status;

	fuse_set_log_func(log_fuse);
	signals_block();
	status = fs_launch_run(options, config->watchdog_s, serve, &server);
	fs_manager_stop();
	fs_log_stop();
	return status;
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

	fs_log_open(options->foreground, options->verbose);
	if (!fs_options_config(options, &config, &error)) {
		fs_log_failed("%s", error->message);
		return 1;
	}

	if (options->command == FS_COMMAND_MOUNT)
		return mount_run(options, &config);

	if (options->command == FS_COMMAND_PRINT_CONFIG)
		fs_config_print(&config, stdout);
	return 0;
}

int
main(int argc, char **argv)
{
	g_autoptr(FsOptions) options = NULL;
	g_autoptr(GError) error = NULL;

	std_fds_fill();
	if (!fs_options_parse(argc, argv, &options, &error))
		return usage_error(error);

	switch (options->command) {
	case FS_COMMAND_HELP:
		printf("%s", FS_OPTIONS_USAGE);
		return 0;
	case FS_COMMAND_VERSION:
		printf("pofs %s\n", POFS_VERSION);
		return 0;
	case FS_COMMAND_PRINT_EVENTS:
		fs_log_print(stdout);
		return 0;
	case FS_COMMAND_PRINT_CONFIG:
	case FS_COMMAND_PRETEND:
	case FS_COMMAND_MOUNT:
		break;
	}

	return command_run(options);
}
