/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/tool.h"

/* The protocol: see the daemon's control.h. */
#define SOCKET_NAME "control"
#define VERSION     1
#define LENGTH_SIZE sizeof(uint32_t)

/* Longest answer, in bytes: far more than a daemon's limits allow. */
#define ANSWER_MAX ((uint32_t)64 << 20)

/* How long the daemon may be silent: longer than it ever is. */
#define SILENCE_S 60

/* The way through /proc makes any directory fit into an address. */
static int
connect_through(int socket_fd, int dir_fd)
{
	const struct timeval silence = { .tv_sec = SILENCE_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)g_snprintf(address.sun_path, sizeof address.sun_path,
	                 "/proc/self/fd/%d/" SOCKET_NAME, dir_fd);
	(void)setsockopt(socket_fd, SOL_SOCKET, SO_SNDTIMEO, &silence,
	                 sizeof silence);
	(void)setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &silence,
	                 sizeof silence);
	if (connect(socket_fd, (const struct sockaddr *)&address,
	            sizeof address) < 0)
		return -errno;
	return 0;
}

static int
connect_store(const char *store, int *ret_fd, GError **error)
{
	int dir_fd = open(store, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd;
	int r;

	if (dir_fd < 0)
		return tool_fail(error, -errno, "%s: %s", store,
		                 g_strerror(errno));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = fd < 0 ? -errno : connect_through(fd, dir_fd);
	(void)close(dir_fd);
	if (r == 0) {
		*ret_fd = fd;
		return 0;
	}

	if (fd >= 0)
		(void)close(fd);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return tool_fail(error, -ENOTCONN, "pofs is not running for %s",
		                 store);
	return tool_fail(error, r, "cannot ask pofs about %s: %s", store,
	                 g_strerror(-r));
}

static int
send_all(int fd, const void *data, size_t size)
{
	const uint8_t *p = data;

	while (size > 0) {
		ssize_t sent = send(fd, p, size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		p += sent;
		size -= (size_t)sent;
	}
	return 0;
}

static int
receive_all(int fd, void *data, size_t size)
{
	uint8_t *p = data;

	while (size > 0) {
		ssize_t got = recv(fd, p, size, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ECONNRESET;
		p += got;
		size -= (size_t)got;
	}
	return 0;
}

/* Sends @data, with the open file @sent unless that is -1. */
static int
send_with(int fd, const void *data, size_t size, int sent)
{
	struct iovec part = {
		.iov_base = (void *)(uintptr_t)data,
		.iov_len = size,
	};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (sent >= 0) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &sent, sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int));
	}
	/* So few bytes into an empty socket go at once. */
	return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)size ? 0
	                                                            : -errno;
}

static int
send_request(int fd, const char *command, const char *argument, int sent)
{
	g_autoptr(GVariant) request = g_variant_ref_sink(
		g_variant_new("(uss)", (guint32)VERSION, command, argument));
	uint32_t size = GUINT32_TO_LE((uint32_t)g_variant_get_size(request));
	int r;

	r = send_with(fd, &size, LENGTH_SIZE, sent);
	if (r < 0)
		return r;
	return send_all(fd, g_variant_get_data(request),
	                g_variant_get_size(request));
}

/* Errors: -EBADMSG for what is no answer. */
static int
receive_answer(int fd, GVariant **ret_answer)
{
	g_autoptr(GVariant) answer = NULL;
	g_autofree void *data = NULL;
	uint32_t size;
	int r;

	r = receive_all(fd, &size, LENGTH_SIZE);
	if (r < 0)
		return r;
	size = GUINT32_FROM_LE(size);
	if (size > ANSWER_MAX)
		return -EBADMSG;
	data = g_malloc(size);
	r = receive_all(fd, data, size);
	if (r < 0)
		return r;

	answer = g_variant_ref_sink(g_variant_new_from_data(
		G_VARIANT_TYPE("(sv)"), data, size, FALSE, g_free, data));
	data = NULL;
	if (!g_variant_is_normal_form(answer))
		return -EBADMSG;
	*ret_answer = g_steal_pointer(&answer);
	return 0;
}

/* The result in @answer, if it is one. */
static int
open_answer(GVariant *answer, const char *type, GVariant **ret_result,
            GError **error)
{
	g_autoptr(GVariant) result = NULL;
	const char *sentence;

	g_variant_get(answer, "(&sv)", &sentence, &result);
	if (sentence[0] != '\0')
		return tool_fail(error, -EREMOTEIO, "%s", sentence);
	if (!g_variant_is_of_type(result, G_VARIANT_TYPE(type)))
		return tool_fail(error, -EBADMSG,
		                 "pofs gave an answer of another version");
	*ret_result = g_steal_pointer(&result);
	return 0;
}

/* Asks, with the open file @sent unless that is -1. */
static int
ask(const char *store, const char *command, const char *argument, int sent,
    const char *type, GVariant **ret_result, GError **error)
{
	const struct timeval for_ever = { .tv_sec = 0 };
	g_autoptr(GVariant) answer = NULL;
	int fd = -1;
	int r;

	if (!g_utf8_validate(argument, -1, NULL))
		return tool_misuse(error, "%s: %s is not UTF-8", command,
		                   argument);
	r = connect_store(store, &fd, error);
	if (r < 0)
		return r;
	if (sent >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever,
		                 sizeof for_ever);
	r = send_request(fd, command, argument, sent);
	if (r == 0)
		r = receive_answer(fd, &answer);
	(void)close(fd);
	if (r < 0)
		return tool_fail(error, r, "pofs does not answer for %s: %s",
		                 store, g_strerror(-r));
	return open_answer(answer, type, ret_result, error);
}

int
tool_live_ask(const char *store, const char *command, const char *argument,
              const char *type, GVariant **ret_result, GError **error)
{
	return ask(store, command, argument, -1, type, ret_result, error);
}

int
tool_live_catch_up(const char *store, GError **error)
{
	g_autoptr(GVariant) answer = NULL;
	g_autoptr(GError) problem = NULL;
	int r = tool_live_ask(store, "sync", "", "a{sv}", &answer, &problem);

	if (r == -ENOTCONN)
		return 0;
	if (r < 0)
		g_propagate_error(error, g_steal_pointer(&problem));
	return r;
}

/* A file in memory that nobody can change any more. */
static int
sealed_file(GBytes *bytes, int *ret_fd)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	int fd = memfd_create("poctl", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	gsize size;
	const char *data = g_bytes_get_data(bytes, &size);
	int r = fd < 0 ? -errno : 0;

	while (r == 0 && size > 0) {
		ssize_t written = write(fd, data, size);

		if (written < 0) {
			r = -errno;
		} else {
			data += written;
			size -= (gsize)written;
		}
	}
	if (r == 0 && fcntl(fd, F_ADD_SEALS, seals) < 0)
		r = -errno;
	if (r < 0 && fd >= 0)
		(void)close(fd);
	else
		*ret_fd = fd;
	return r;
}

int
tool_live_send(const char *store, const char *command, const char *argument,
               GBytes *bytes, const char *type, GVariant **ret_result,
               GError **error)
{
	int fd;
	int r;

	r = sealed_file(bytes, &fd);
	if (r < 0)
		return tool_fail(error, r, "cannot ask pofs about %s: %s",
		                 store, g_strerror(-r));
	r = ask(store, command, argument, fd, type, ret_result, error);
	(void)close(fd);
	return r;
}
