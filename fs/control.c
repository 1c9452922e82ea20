/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a connection is served
 *
 * - The socket and its connections are behind one epoll descriptor of our own,
 *   edge-triggered, and that one is what the main thread's wait looks at.
 * - Each connection is read until its request is whole, answered, written
 *   until the answer is gone, and closed. Where it would block, it is left
 *   until the next event.
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

#include "fs/timer.h"

#define SOCKET_NAME "control"
#define LENGTH_SIZE sizeof(uint32_t)

typedef struct Command {
	FsControlHandler *handler;
	void *user_data; /* borrowed */
} Command;

/* One connection. */
typedef struct Talk {
	int fd;
	int64_t deadline_us; /* of the request, then of the answer */
	uint8_t request[LENGTH_SIZE + FS_CONTROL_REQUEST_MAX];
	GByteArray *answer; /* owned; NULL until the request is whole */
	size_t done;        /* bytes read, then bytes written */
} Talk;

struct FsControl {
	FsLiveness *liveness; /* borrowed */
	FsTimer *timer;       /* rings for talks_expire() */
	GHashTable *commands; /* name -> Command */
	GPtrArray *talks;     /* of owned Talk */
	int dir_fd;           /* the store's directory */
	int listen_fd;
	int epoll_fd;
};

/* ---- one connection ------------------------------------------------------ */

static Talk *
talk_new(int fd)
{
	Talk *talk = g_new0(Talk, 1);

	talk->fd = fd;
	talk->deadline_us = g_get_monotonic_time() + FS_CONTROL_TIME_US;
	return talk;
}

static void
talk_free(void *data)
{
	Talk *talk = data;

	close(talk->fd);
	if (talk->answer != NULL)
		g_byte_array_unref(talk->answer);
	g_free(talk);
}

/* Reads until @size bytes are there. Errors: -EAGAIN, for the time being. */
static int
talk_read_upto(Talk *talk, size_t size)
{
	while (talk->done < size) {
		ssize_t got = recv(talk->fd, talk->request + talk->done,
		                   size - talk->done, 0);

		if (got < 0)
			return -errno;
		if (got == 0)
			return -ECONNRESET;
		talk->done += (size_t)got;
	}

	return 0;
}

/* Errors: -EAGAIN, -EMSGSIZE, -EBADMSG if it is no request. */
static int
talk_read(Talk *talk, GVariant **ret_request)
{
	g_autoptr(GVariant) request = NULL;
	uint32_t size;
	int r;

	r = talk_read_upto(talk, LENGTH_SIZE);
	if (r < 0)
		return r;

	memcpy(&size, talk->request, LENGTH_SIZE);
	size = GUINT32_FROM_LE(size);
	if (size > FS_CONTROL_REQUEST_MAX)
		return -EMSGSIZE;

	r = talk_read_upto(talk, LENGTH_SIZE + size);
	if (r < 0)
		return r;

	request = g_variant_ref_sink(g_variant_new_from_data(
		G_VARIANT_TYPE("(uss)"), talk->request + LENGTH_SIZE, size,
		FALSE, NULL, NULL));
	if (!g_variant_is_normal_form(request))
		return -EBADMSG;

	*ret_request = g_steal_pointer(&request);
	return 0;
}

/* Begins to answer with @error, or with @result if that is "". */
static void
talk_answer(Talk *talk, const char *error, GVariant *result)
{
	g_autoptr(GVariant) answer = g_variant_ref_sink(g_variant_new(
		"(sv)", error,
		result != NULL ? result : g_variant_new_string("")));
	uint32_t size = GUINT32_TO_LE((uint32_t)g_variant_get_size(answer));

	talk->answer = g_byte_array_new();
	g_byte_array_append(talk->answer, (uint8_t *)&size, LENGTH_SIZE);
	g_byte_array_append(talk->answer, g_variant_get_data(answer),
	                    (guint)g_variant_get_size(answer));
	talk->done = 0;
	talk->deadline_us = g_get_monotonic_time() + FS_CONTROL_TIME_US;
}

/* Errors: -EAGAIN, for the time being. */
static int
talk_write(Talk *talk)
{
	const GByteArray *answer = talk->answer;

	while (talk->done < answer->len) {
		ssize_t sent = send(talk->fd, answer->data + talk->done,
		                    answer->len - talk->done, MSG_NOSIGNAL);

		if (sent < 0)
			return -errno;
		talk->done += (size_t)sent;
	}

	return 0;
}

/* ---- the socket ---------------------------------------------------------- */

/* Asks the handler that @request names. */
static GVariant *
control_ask(const FsControl *control, GVariant *request, char **ret_error)
{
	const Command *command;
	const char *argument;
	const char *name;
	uint32_t version;

	g_variant_get(request, "(u&s&s)", &version, &name, &argument);
	if (version != FS_CONTROL_VERSION) {
		*ret_error = g_strdup_printf("pofs " POFS_VERSION " speaks "
		                             "version %d of the control "
		                             "protocol, not %u",
		                             FS_CONTROL_VERSION, version);
		return NULL;
	}

	command = g_hash_table_lookup(control->commands, name);
	if (command == NULL) {
		*ret_error = g_strdup_printf("pofs " POFS_VERSION " does not "
		                             "know the command %s",
		                             name);
		return NULL;
	}

	return command->handler(command->user_data, argument, ret_error);
}

/* Goes on as far as the other side lets us. Returns 0 when it is over. */
static int
talk_go_on(const FsControl *control, Talk *talk)
{
	g_autoptr(GVariant) request = NULL;
	g_autofree char *error = NULL;
	GVariant *result;
	int r;

	if (talk->answer == NULL) {
		r = talk_read(talk, &request);
		if (r < 0)
			return r;

		result = control_ask(control, request, &error);
		g_assert((result == NULL) != (error == NULL));
		talk_answer(talk, error != NULL ? error : "", result);
	}

	return talk_write(talk);
}

static void
timer_reset(FsControl *control)
{
	int64_t first_us = INT64_MAX;

	for (guint i = 0; i < control->talks->len; i++) {
		const Talk *talk = control->talks->pdata[i];

		first_us = MIN(first_us, talk->deadline_us);
	}

	fs_timer_set(control->timer, first_us);
}

static bool
peer_is_allowed(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;

	if (peer.uid == 0 || peer.uid == geteuid())
		return true;

	g_warning("control: refused uid=%u pid=%d", peer.uid, peer.pid);
	return false;
}

static int
epoll_add(const FsControl *control, int fd, Talk *talk)
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
	Talk *talk;

	if (!peer_is_allowed(fd)) {
		close(fd);
		return;
	}

	talk = talk_new(fd);
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
talk_end(FsControl *control, Talk *talk, int r)
{
	if (r < 0)
		g_message("control: closed a connection: %s", g_strerror(-r));
	g_ptr_array_remove_fast(control->talks, talk);
}

static void
control_event(void *user_data, int epoll_fd)
{
	FsControl *control = user_data;
	struct epoll_event events[FS_CONTROL_TALKS_MAX + 1];
	int count = epoll_wait(epoll_fd, events, G_N_ELEMENTS(events), 0);

	for (int i = 0; i < count; i++) {
		Talk *talk = events[i].data.ptr; /* NULL: the socket's own */
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
		Talk *talk = control->talks->pdata[i];

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
fs_control_open(FsLiveness *liveness, const char *dir, FsControl **ret_control)
{
	g_autoptr(FsControl) control = g_new0(FsControl, 1);
	int r;

	control->liveness = liveness;
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

void
fs_control_add(FsControl *control, const char *name, FsControlHandler *handler,
               void *user_data)
{
	Command *command = g_new(Command, 1);

	*command = (Command){ .handler = handler, .user_data = user_data };
	g_hash_table_insert(control->commands, (void *)(uintptr_t)name,
	                    command);
}

GVariant *
fs_control_text(const char *text)
{
	return g_variant_new_take_string(g_utf8_make_valid(text, -1));
}
