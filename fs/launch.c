/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/log.h"
#include "fs/manager.h"
#include "fs/mount_point.h"
#include "fs/privileges.h"
#include "fs/sandbox.h"
#include "fs/starvation.h"
#include "fs/thread_group.h"

/* What the server and the launcher say to each other, a byte each. */
#define SAY_MOUNT    'm' /* the store is open: mount */
#define SAY_MOUNTED  'y'
#define SAY_FAILED   'n'
#define SAY_SERVING  's'
#define SAY_ALIVE    'a' /* it has just served, or could have */
#define SAY_STOPPING 'e' /* it ends, however long that takes */

/* How often the launcher looks after the server. */
#define LOOK_INTERVAL_MS 1000

struct FsLaunch {
	const FsOptions *options;
	FsMountPoint *point; /* owned */
	bool is_root;
	int fuse_fd;    /* /dev/fuse, as root */
	int channel;    /* to the other of launcher and server, as root */
	int verdict_fd; /* to the process in front; -1 in the foreground */
	pid_t launcher;
	pid_t server;
	int64_t watchdog_s;       /* 0: nobody watches */
	bool is_serving;          /* it has begun to */
	bool is_watched;          /* it serves, and is not about to end */
	bool is_stopping;         /* and the service manager knows */
	int64_t silent_s;         /* since the launcher heard of it */
	FsStarvation *starvation; /* the server's: owned, in the launcher */
};

static void
error_print(const char *what, int code)
{
	fs_log_failed("%s: %s", what, g_strerror(code));
}

/* Of what it can do without. */
static void
trouble_log(const char *what)
{
	fs_log(FS_EVENT_TROUBLE, FS_LOG_TEXT("what", what),
	       FS_LOG_TEXT("reason", g_strerror(errno)));
}

/* Passes a word on, or waits for one; a signal is no reason not to. */
static bool
say(int fd, char word)
{
	ssize_t size;

	do
		size = write(fd, &word, 1);
	while (size < 0 && errno == EINTR);
	return size == 1;
}

static bool
hear(int fd, char *ret_word)
{
	ssize_t size;

	do
		size = read(fd, ret_word, 1);
	while (size < 0 && errno == EINTR);
	return size == 1;
}

/* ---- in front ------------------------------------------------------------ */

/* Returns only in the child. */
static int
background_enter(FsLaunch *launch)
{
	int verdict[2];
	int status = 0;
	char word;
	pid_t child;

	if (pipe2(verdict, O_CLOEXEC) < 0)
		return -errno;

	child = fork();
	if (child < 0)
		return -errno;

	if (child == 0) {
		close(verdict[0]);
		launch->verdict_fd = verdict[1];
		setsid();
		return 0;
	}

	close(verdict[1]);
	if (hear(verdict[0], &word))
		_exit(0);

	/* It has said why. */
	waitpid(child, &status, 0);
	_exit(WIFEXITED(status) && WEXITSTATUS(status) != 0
	              ? WEXITSTATUS(status)
	              : 1);
}

/* The terminal is let go. */
static void
background_detach(FsLaunch *launch)
{
	int null_fd;

	if (launch->options->foreground)
		return;

	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null_fd >= 0; fd++)
		(void)dup2(null_fd, fd);
	if (null_fd > 2)
		close(null_fd);

	if (chdir("/") < 0)
		trouble_log("/");
}

/* The verdict is in: it serves. */
static void
background_settle(FsLaunch *launch)
{
	background_detach(launch);
	if (launch->verdict_fd < 0)
		return;

	if (!say(launch->verdict_fd, '\0'))
		trouble_log("the process in front");
	close(launch->verdict_fd);
	launch->verdict_fd = -1;
}

/* ---- the server ---------------------------------------------------------- */

/* Memory holds mail: no core dumps, no debuggers. Many clients are many
 * descriptors. */
static void
process_harden(void)
{
	struct rlimit none = { 0 };
	struct rlimit files;

	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int
server_run(FsLaunch *launch, FsServe *serve, void *user_data)
{
	int status;

	if (fs_privileges_drop(launch->options->user, launch->point->store) < 0)
		return 1;

	/* After the change of user, which would undo it. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		error_print("prctl", errno);
		return 1;
	}
	if (getppid() != launch->launcher)
		return 1;

	process_harden();
	status = serve(user_data, launch);

	/* The launcher is gone: do its work, if we are allowed to. */
	if (getppid() != launch->launcher)
		fs_mount_point_unmount(launch->point);

	return status;
}

/* The launcher says itself why it has not done what it was asked for. */
static bool
launcher_ask(FsLaunch *launch, char question, char answer)
{
	char word = 0;

	if (say(launch->channel, question) && hear(launch->channel, &word))
		return word == answer;
	error_print("the launcher", errno);
	return false;
}

char *
fs_launch_mount(FsLaunch *launch)
{
	if (!launch->is_root)
		return g_strdup(launch->point->path);

	if (!launcher_ask(launch, SAY_MOUNT, SAY_MOUNTED))
		return NULL;

	fs_mount_point_adopt(launch->point);
	return g_strdup_printf("/dev/fd/%d", launch->fuse_fd);
}

int
fs_launch_confine(const FsLaunch *launch)
{
	int r = launch->is_root ? fs_sandbox_enter() : 0;

	if (r < 0)
		error_print("sandbox", -r);
	return r;
}

void
fs_launch_serving(FsLaunch *launch)
{
	if (launch->is_root) {
		background_detach(launch);
		if (!say(launch->channel, SAY_SERVING))
			trouble_log("the launcher");
		return;
	}

	process_harden();
	background_settle(launch);
	fs_manager_tell("READY=1");
}

/* Without waiting: a launcher that has stopped reads nothing. */
static void
launcher_tell(const FsLaunch *launch, char word)
{
	(void)send(launch->channel, &word, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void
fs_launch_alive(const FsLaunch *launch)
{
	if (launch->is_root)
		launcher_tell(launch, SAY_ALIVE);
	else
		fs_manager_tell_alive();
}

void
fs_launch_stopping(const FsLaunch *launch)
{
	if (launch->is_root)
		launcher_tell(launch, SAY_STOPPING);
	else
		fs_manager_tell("STOPPING=1");
}

/* ---- the launcher -------------------------------------------------------- */

static void
launcher_mount(FsLaunch *launch)
{
	g_autoptr(GError) error = NULL;
	char word = SAY_MOUNTED;

	/* Once; who asks again is not the server that we started. */
	if (launch->fuse_fd < 0)
		return;

	if (!fs_mount_point_mount(launch->point, launch->fuse_fd,
	                          launch->options->read_only, &error)) {
		fs_log_failed("%s", error->message);
		word = SAY_FAILED;
	}

	/* From now on only the server's death keeps requests waiting. */
	close(launch->fuse_fd);
	launch->fuse_fd = -1;
	if (!say(launch->channel, word))
		error_print("the server", errno);
}

static void
launcher_tell_alive(const FsLaunch *launch)
{
	if (launch->is_serving)
		fs_manager_tell_alive();
}

static void
launcher_tell_stopping(FsLaunch *launch)
{
	if (!launch->is_stopping)
		fs_manager_tell("STOPPING=1");
	launch->is_stopping = true;
}

/* Returns false when the server has hung up. */
static bool
launcher_hear(FsLaunch *launch)
{
	char word;

	if (!hear(launch->channel, &word))
		return false;

	launch->silent_s = 0;
	switch (word) {
	case SAY_MOUNT:
		launcher_mount(launch);
		break;
	case SAY_SERVING:
		launch->is_serving = true;
		launch->is_watched = launch->watchdog_s > 0;
		background_settle(launch);
		fs_manager_tell("READY=1");
		break;
	case SAY_STOPPING:
		launch->is_watched = false;
		launcher_tell_stopping(launch);
		break;
	case SAY_ALIVE:
		launcher_tell_alive(launch);
		break;
	default:
		break;
	}

	return true;
}

static void
launcher_pass_signal(FsLaunch *launch, int signal_fd)
{
	struct signalfd_siginfo signal;

	if (read(signal_fd, &signal, sizeof signal) != sizeof signal)
		return;

	launcher_tell_stopping(launch);
	(void)kill(launch->server, SIGTERM);
}

/* Looks after a server of which nothing was heard for another interval. Returns
 * true when it is to be waited for no longer.
 *
 * A killed server may not end by itself: a thread that sends a notice waits for
 * a directory's lock, whose holder waits for an answer that nobody will give,
 * and nothing tells of that; to unmount ends it. Nor does one that hangs, with
 * everybody who asks it for something.
 *
 * The looks are counted, and no clock is asked: a machine that was stopped for
 * a while goes on with a clock that has jumped, and with a server that had no
 * time to say anything. Nor does a look count while the server gets no
 * processor, and would work if it did. */
static bool
launcher_look(FsLaunch *launch)
{
	launcher_tell_alive(launch);
	if (!fs_starvation_look(launch->starvation))
		launch->silent_s += LOOK_INTERVAL_MS / 1000;
	if (fs_thread_group_is_ending(launch->server))
		return true;
	if (!launch->is_watched || launch->silent_s < launch->watchdog_s)
		return false;

	fs_log(FS_EVENT_HUNG, FS_LOG_NUMBER("silent-s", launch->silent_s));
	(void)kill(launch->server, SIGKILL);
	return true;
}

/* Until the server ends, or is not to be waited for.
 *
 * The service manager watches us, and we the server: how long that may hang is
 * for watchdog-s alone to say. */
static void
launcher_wait(FsLaunch *launch, int signal_fd, int server_fd)
{
	struct pollfd fds[] = {
		{ .fd = server_fd, .events = POLLIN },
		{ .fd = signal_fd, .events = POLLIN },
		{ .fd = launch->channel, .events = POLLIN },
	};

	while (true) {
		int ready = poll(fds, G_N_ELEMENTS(fds), LOOK_INTERVAL_MS);

		if (ready == 0 && launcher_look(launch))
			return;
		if (ready <= 0)
			continue;
		if ((fds[2].revents & (POLLIN | POLLHUP)) != 0 &&
		    !launcher_hear(launch))
			fds[2].fd = -1;
		if (fds[1].revents != 0)
			launcher_pass_signal(launch, signal_fd);
		if (fds[0].revents != 0)
			return;
	}
}

/* What a signal tells that nobody has sent. */
static const char *
signal_reason(int number)
{
	return number == SIGBUS ? "the database cannot be read: it is damaged "
	                          "or was cut off, or its disk fails or is full"
	                        : g_strsignal(number);
}

static int
launcher_end(FsLaunch *launch)
{
	int status = 0;

	/* Nobody hears any more what the server may still ask for. */
	close(launch->channel);
	fs_mount_point_unmount(launch->point);
	waitpid(launch->server, &status, 0);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);

	fs_log(FS_EVENT_KILLED, FS_LOG_NUMBER("signal", WTERMSIG(status)),
	       FS_LOG_TEXT("reason", signal_reason(WTERMSIG(status))));
	return 1;
}

static int
launcher_run(FsLaunch *launch)
{
	int server_fd = fs_thread_group_open(launch->server);
	g_autofree char *task_dir = NULL;
	sigset_t signals;
	int signal_fd;

	fs_log_start();
	fs_manager_start(true);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (server_fd < 0 || signal_fd < 0) {
		error_print("cannot watch the server", errno);
		(void)kill(launch->server, SIGTERM);
		return launcher_end(launch);
	}

	task_dir = g_strdup_printf("/proc/%d/task", launch->server);
	launch->starvation = fs_starvation_new(task_dir);
	launcher_wait(launch, signal_fd, server_fd);
	fs_starvation_free(launch->starvation);
	return launcher_end(launch);
}

static int
root_run(FsLaunch *launch, FsServe *serve, void *user_data)
{
	int channel[2];

	launch->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (launch->fuse_fd < 0) {
		error_print("/dev/fuse", errno);
		return 1;
	}

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) <
	    0) {
		error_print("socketpair", errno);
		return 1;
	}

	launch->launcher = getpid();
	launch->server = fork();
	if (launch->server < 0) {
		error_print("fork", errno);
		return 1;
	}

	if (launch->server == 0) {
		launch->channel = channel[1];
		close(channel[0]);
		if (launch->verdict_fd >= 0)
			close(launch->verdict_fd);
		return server_run(launch, serve, user_data);
	}

	launch->channel = channel[0];
	close(channel[1]);
	return launcher_run(launch);
}

int
fs_launch_run(const FsOptions *options, int64_t watchdog_s, FsServe *serve,
              void *user_data)
{
	g_autoptr(FsMountPoint) point = NULL;
	g_autoptr(GError) error = NULL;
	FsLaunch launch = {
		.options = options,
		.is_root = geteuid() == 0,
		.fuse_fd = -1,
		.channel = -1,
		.verdict_fd = -1,
		.watchdog_s = watchdog_s,
	};
	int r;

	if (!fs_mount_point_open(options->mount_point, options->store, &point,
	                         &error)) {
		fs_log_failed("%s", error->message);
		return 1;
	}

	if (options->user != NULL && !launch.is_root) {
		fs_log_failed("user= takes root");
		return 1;
	}

	launch.point = point;
	if (!options->foreground) {
		r = background_enter(&launch);
		if (r < 0) {
			error_print("cannot go to the background", -r);
			return 1;
		}
	}

	if (launch.is_root)
		return root_run(&launch, serve, user_data);

	fs_manager_start(false);
	return serve(user_data, &launch);
}
