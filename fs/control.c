/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a connection is served
 *
 * - The socket and its connections are behind one epoll descriptor of our own,
 *   edge-triggered, and that one is what the main thread's wait looks at.
 * - Each connection is read until its request is whole, answered, written
 *   until the answer is gone, and closed. Where it would block, it is left
 *   until the next event; where the answer takes its time, until it is there.
 * - One alarm closes those that take too long.
 */
#include "fs/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/log.h"
#include "fs/talk.h"
#include "fs/timer.h"

#define SOCKET_NAME "control"

typedef struct Command {
	FsControlHandler *handler; /* NULL: there is a starter */
	FsControlStarter *starter;
	void *user_data; /* borrowed */
	bool is_slow;    /* the handler is a worker's */
} Command;

struct FsControlReply {
	FsControl *control;
	FsTalk *talk; /* NULL: whoever asked has gone */
};

struct FsControl {
	FsLiveness *liveness; /* borrowed */
	FsLater *later;       /* borrowed */
	FsWorkers *workers;   /* borrowed */
	FsTimer *timer;       /* rings for talks_expire() */
	GHashTable *commands; /* name -> Command */
	GPtrArray *talks;     /* of owned FsTalk */
	int dir_fd;           /* the store's directory */
	int listen_fd;
	int epoll_fd;
};

static void
talk_free(void *data)
{
	FsTalk *talk = data;

	if (talk->reply != NULL)
		talk->reply->talk = NULL;
	fs_talk_free(talk);
}

/* ---- the socket ---------------------------------------------------------- */

/* Finds the command that a request of @version asks for. */
static const Command *
control_find(const FsControl *control, uint32_t version, const char *name,
             char **ret_error)
{
	const Command *command = g_hash_table_lookup(control->commands, name);

	if (version != FS_CONTROL_VERSION)
		*ret_error = g_strdup_printf("pofs " POFS_VERSION " speaks "
		                             "version %d of the control "
		                             "protocol, not %u",
		                             FS_CONTROL_VERSION, version);
	else if (command == NULL)
		*ret_error = g_strdup_printf("pofs " POFS_VERSION " does not "
		                             "know the command %s",
		                             name);
	return *ret_error == NULL ? command : NULL;
}

/* A question that a worker answers. */
typedef struct Slow {
	FsLater *later;        /* borrowed */
	FsControlReply *reply; /* owned until it is answered */
	FsControlHandler *handler;
	void *user_data;  /* borrowed */
	char *argument;   /* owned, as what comes of it: */
	char *error;      /* or NULL: */
	GVariant *result; /* not floating */
} Slow;

/* On the main thread. */
static void
slow_answer(void *user_data)
{
	Slow *slow = user_data;

	fs_control_reply(slow->reply, slow->error, slow->result);
	if (slow->result != NULL)
		g_variant_unref(slow->result);
	g_free(slow->error);
	g_free(slow->argument);
	g_free(slow);
}

/* By a worker. */
static void
slow_work(void *user_data)
{
	Slow *slow = user_data;
	GVariant *result =
		slow->handler(slow->user_data, slow->argument, &slow->error);

	g_assert((result == NULL) != (slow->error == NULL));
	slow->result = result != NULL ? g_variant_ref_sink(result) : NULL;
	fs_later_post(slow->later, slow_answer, slow);
}

static FsControlReply *
reply_new(FsControl *control, FsTalk *talk)
{
	FsControlReply *reply = g_new(FsControlReply, 1);

	*reply = (FsControlReply){ .control = control, .talk = talk };
	talk->reply = reply;
	talk->deadline_us = INT64_MAX;
	return reply;
}

static void
slow_start(FsControl *control, const Command *command, FsTalk *talk,
           const char *argument)
{
	Slow *slow = g_new(Slow, 1);

	*slow = (Slow){
		.later = control->later,
		.reply = reply_new(control, talk),
		.handler = command->handler,
		.user_data = command->user_data,
		.argument = g_strdup(argument),
	};
	fs_workers_post(control->workers, slow_work, slow);
}

static void
command_start(FsControl *control, const Command *command, FsTalk *talk,
              const char *argument)
{
	FsControlReply *reply = reply_new(control, talk);
	FsControlAsk ask = {
		.argument = argument,
		.fd = talk->sent_fd,
		.pid = talk->pid,
	};

	talk->is_starting = true;
	command->starter(command->user_data, &ask, reply);
	talk->is_starting = false;
}

/* Has @request answered, now or later. */
static void
control_ask(FsControl *control, FsTalk *talk, GVariant *request)
{
	g_autofree char *error = NULL;
	GVariant *result = NULL;
	const Command *command;
	const char *argument;
	const char *name;
	uint32_t version;

	g_variant_get(request, "(u&s&s)", &version, &name, &argument);
	command = control_find(control, version, name, &error);
	if (command != NULL && command->starter != NULL) {
		command_start(control, command, talk, argument);
		return;
	}
	if (command != NULL && command->is_slow) {
		slow_start(control, command, talk, argument);
		return;
	}

	if (command != NULL)
		result = command->handler(command->user_data, argument, &error);
	g_assert((result == NULL) != (error == NULL));
	fs_talk_answer(talk, error != NULL ? error : "", result);
}

/* Goes on as far as the other side lets us. Returns 0 when it is over. */
static int
talk_go_on(FsControl *control, FsTalk *talk)
{
	g_autoptr(GVariant) request = NULL;
	int r;

	if (!talk->is_answered && talk->reply == NULL) {
		r = fs_talk_read(talk, &request);
		if (r < 0)
			return r;
		control_ask(control, talk, request);
	}

	if (talk->is_answered)
		return fs_talk_write(talk);

	/* Who waits for an answer may go away. */
	return fs_talk_is_left(talk) ? -ECONNRESET : -EAGAIN;
}

static void
timer_reset(FsControl *control)
{
	int64_t first_us = INT64_MAX;

	for (guint i = 0; i < control->talks->len; i++) {
		const FsTalk *talk = control->talks->pdata[i];

		first_us = MIN(first_us, talk->deadline_us);
	}

	fs_timer_set(control->timer, first_us);
}

static bool
peer_is_allowed(int fd, pid_t *ret_pid)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;

	*ret_pid = peer.pid;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;

	fs_log(FS_EVENT_CONTROL_REFUSED, FS_LOG_NUMBER("uid", peer.uid),
	       FS_LOG_NUMBER("pid", peer.pid));
	return false;
}

static int
epoll_add(const FsControl *control, int fd, FsTalk *talk)
{
	struct epoll_event wanted = {
		.events = EPOLLIN | EPOLLOUT | EPOLLET,
		.data.ptr = talk,
	};

	return epoll_ctl(control->epoll_fd, EPOLL_CTL_ADD, fd, &wanted) < 0
	               ? -errno
	               : 0;
}

/* Takes @fd, a new connection. */
static void
talk_begin(FsControl *control, int fd)
{
	FsTalk *talk;
	pid_t pid;

	if (!peer_is_allowed(fd, &pid)) {
		close(fd);
		return;
	}

	talk = fs_talk_new(fd, pid);
	g_ptr_array_add(control->talks, talk);
	if (epoll_add(control, fd, talk) < 0)
		g_ptr_array_remove_fast(control->talks, talk);
}

/* Whoever finds no room stays in the kernel's queue until a talk ends. */
static void
talks_accept(FsControl *control)
{
	while (control->talks->len < FS_CONTROL_TALKS_MAX) {
		int fd = accept4(control->listen_fd, NULL, NULL,
		                 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			break;
		talk_begin(control, fd);
	}

	timer_reset(control);
}

/* Ends @talk, which is over (0) or has failed. */
static void
talk_end(FsControl *control, FsTalk *talk, int r)
{
	if (r < 0)
		fs_log(FS_EVENT_CONTROL_CLOSED,
		       FS_LOG_TEXT("reason", g_strerror(-r)));
	g_ptr_array_remove_fast(control->talks, talk);
}

static void
control_event(void *user_data, int epoll_fd)
{
	FsControl *control = user_data;
	struct epoll_event events[FS_CONTROL_TALKS_MAX + 1];
	int count = epoll_wait(epoll_fd, events, G_N_ELEMENTS(events), 0);

	for (int i = 0; i < count; i++) {
		FsTalk *talk = events[i].data.ptr; /* NULL: the socket's own */
		int r = talk != NULL ? talk_go_on(control, talk) : -EAGAIN;

		if (r != -EAGAIN)
			talk_end(control, talk, r);
	}

	talks_accept(control);
}

static void
talks_expire(void *user_data)
{
	FsControl *control = user_data;
	int64_t now_us = g_get_monotonic_time();

	for (guint i = control->talks->len; i-- > 0;) {
		FsTalk *talk = control->talks->pdata[i];

		if (talk->deadline_us <= now_us)
			talk_end(control, talk, -ETIMEDOUT);
	}

	talks_accept(control);
}

/* ---- opening and closing ------------------------------------------------- */

/* Removes the socket of a daemon that crashed. */
static int
socket_remove(const FsControl *control)
{
	struct stat st;

	if (fstatat(control->dir_fd, SOCKET_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;

	return unlinkat(control->dir_fd, SOCKET_NAME, 0) < 0 ? -errno : 0;
}

/* The way through /proc makes any directory fit into an address. */
static int
socket_bind(const FsControl *control)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)g_snprintf(address.sun_path, sizeof address.sun_path,
	                 "/proc/self/fd/%d/" SOCKET_NAME, control->dir_fd);

	/* The mode that bind() gives the file. */
	if (fchmod(control->listen_fd, 0600) < 0 ||
	    bind(control->listen_fd, (const struct sockaddr *)&address,
	         sizeof address) < 0)
		return -errno;

	return listen(control->listen_fd, FS_CONTROL_TALKS_MAX) < 0 ? -errno
	                                                            : 0;
}

static int
control_listen(FsControl *control, const char *dir)
{
	int r;

	control->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (control->dir_fd < 0)
		return -errno;

	r = socket_remove(control);
	if (r < 0)
		return r;

	control->listen_fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->listen_fd < 0)
		return -errno;

	return socket_bind(control);
}

static int
control_watch(FsControl *control)
{
	int r;

	r = fs_timer_open(control->liveness, talks_expire, control,
	                  &control->timer);
	if (r < 0)
		return r;

	control->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (control->epoll_fd < 0)
		return -errno;

	r = epoll_add(control, control->listen_fd, NULL);
	if (r < 0)
		return r;

	return fs_liveness_watch(control->liveness, control->epoll_fd,
	                         control_event, control);
}

int
fs_control_open(FsLiveness *liveness, FsLater *later, FsWorkers *workers,
                const char *dir, FsControl **ret_control)
{
	g_autoptr(FsControl) control = g_new0(FsControl, 1);
	int r;

	control->liveness = liveness;
	control->later = later;
	control->workers = workers;
	control->commands =
		g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	control->talks = g_ptr_array_new_with_free_func(talk_free);
	control->dir_fd = -1;
	control->listen_fd = -1;
	control->epoll_fd = -1;

	r = control_listen(control, dir);
	if (r < 0)
		return r;

	r = control_watch(control);
	if (r < 0)
		return r;

	*ret_control = g_steal_pointer(&control);
	return 0;
}

static void
fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void
fs_control_close(FsControl *control)
{
	if (control == NULL)
		return;

	if (control->listen_fd >= 0)
		(void)socket_remove(control);
	if (control->epoll_fd >= 0)
		fs_liveness_unwatch(control->liveness, control->epoll_fd);
	fs_timer_close(control->timer);
	g_ptr_array_unref(control->talks);
	g_hash_table_unref(control->commands);
	fd_close(control->epoll_fd);
	fd_close(control->listen_fd);
	fd_close(control->dir_fd);
	g_free(control);
}

/* ---- commands ------------------------------------------------------------ */

static void
command_add(FsControl *control, const char *name, const Command *command)
{
	g_hash_table_insert(control->commands, (void *)(uintptr_t)name,
	                    g_memdup2(command, sizeof *command));
}

void
fs_control_add(FsControl *control, const char *name, FsControlHandler *handler,
               void *user_data)
{
	command_add(control, name,
	            &(Command){ .handler = handler, .user_data = user_data });
}

void
fs_control_add_slow(FsControl *control, const char *name,
                    FsControlHandler *handler, void *user_data)
{
	command_add(control, name,
	            &(Command){ .handler = handler,
	                        .user_data = user_data,
	                        .is_slow = true });
}

void
fs_control_add_later(FsControl *control, const char *name,
                     FsControlStarter *starter, void *user_data)
{
	command_add(control, name,
	            &(Command){ .starter = starter, .user_data = user_data });
}

bool
fs_control_is_wanted(const FsControlReply *reply)
{
	return reply->talk != NULL;
}

void
fs_control_reply(FsControlReply *reply, const char *error, GVariant *result)
{
	g_autoptr(GVariant) owned =
		result != NULL ? g_variant_ref_sink(result) : NULL;
	FsControl *control = reply->control;
	FsTalk *talk = reply->talk;
	int r;

	g_free(reply);
	if (talk == NULL)
		return;

	talk->reply = NULL;
	fs_talk_answer(talk, error != NULL ? error : "", owned);
	if (talk->is_starting)
		return;

	r = fs_talk_write(talk);
	if (r != -EAGAIN)
		talk_end(control, talk, r);
	talks_accept(control);
}

GVariant *
fs_control_text(const char *text)
{
	return g_variant_new_take_string(g_utf8_make_valid(text, -1));
}
