/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/talk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LENGTH_SIZE sizeof(uint32_t)

FsTalk *
fs_talk_new(int fd, pid_t pid)
{
	FsTalk *talk = g_new(FsTalk, 1);

	*talk = (FsTalk){
		.fd = fd,
		.pid = pid,
		.deadline_us = g_get_monotonic_time() + FS_CONTROL_TIME_US,
		.sent_fd = -1,
		.frame = g_byte_array_new(),
	};
	return talk;
}

void
fs_talk_free(FsTalk *talk)
{
	close(talk->fd);
	if (talk->sent_fd >= 0)
		close(talk->sent_fd);
	g_byte_array_unref(talk->frame);
	g_free(talk);
}

/* As recv(2), and keeps the file that comes along. */
static ssize_t
talk_receive(FsTalk *talk, void *data, size_t size)
{
	struct iovec part = { .iov_base = data, .iov_len = size };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	/* Room for one descriptor, and not for two. */
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(sizeof(int)),
	};
	ssize_t got = recvmsg(talk->fd, &message, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *first;

	first = got >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (first == NULL || first->cmsg_level != SOL_SOCKET ||
	    first->cmsg_type != SCM_RIGHTS)
		return got;

	if (talk->sent_fd >= 0)
		close(talk->sent_fd);
	memcpy(&talk->sent_fd, CMSG_DATA(first), sizeof(int));
	return got;
}

/* Reads until @size bytes are there. Errors: -EAGAIN, for the time being. */
static int
talk_read_upto(FsTalk *talk, guint size)
{
	while (talk->frame->len < size) {
		guint had = talk->frame->len;
		ssize_t got;

		g_byte_array_set_size(talk->frame, size);
		got = talk_receive(talk, talk->frame->data + had, size - had);
		g_byte_array_set_size(talk->frame,
		                      had + (got > 0 ? (guint)got : 0));
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ECONNRESET;
	}

	return 0;
}

int
fs_talk_read(FsTalk *talk, GVariant **ret_request)
{
	g_autoptr(GVariant) request = NULL;
	uint32_t size;
	int r;

	r = talk_read_upto(talk, LENGTH_SIZE);
	if (r < 0)
		return r;

	memcpy(&size, talk->frame->data, LENGTH_SIZE);
	size = GUINT32_FROM_LE(size);
	if (size > FS_CONTROL_REQUEST_MAX)
		return -EMSGSIZE;

	r = talk_read_upto(talk, LENGTH_SIZE + size);
	if (r < 0)
		return r;

	request = g_variant_ref_sink(g_variant_new_from_data(
		G_VARIANT_TYPE("(uss)"), talk->frame->data + LENGTH_SIZE, size,
		FALSE, NULL, NULL));
	if (!g_variant_is_normal_form(request))
		return -EBADMSG;

	*ret_request = g_steal_pointer(&request);
	return 0;
}

void
fs_talk_answer(FsTalk *talk, const char *error, GVariant *result)
{
	g_autoptr(GVariant) answer = g_variant_ref_sink(g_variant_new(
		"(sv)", error,
		result != NULL ? result : g_variant_new_string("")));
	uint32_t size = GUINT32_TO_LE((uint32_t)g_variant_get_size(answer));

	g_byte_array_set_size(talk->frame, 0);
	g_byte_array_append(talk->frame, (uint8_t *)&size, LENGTH_SIZE);
	g_byte_array_append(talk->frame, g_variant_get_data(answer),
	                    (guint)g_variant_get_size(answer));
	talk->is_answered = true;
	talk->deadline_us = g_get_monotonic_time() + FS_CONTROL_TIME_US;
}

int
fs_talk_write(FsTalk *talk)
{
	const GByteArray *frame = talk->frame;

	while (talk->done < frame->len) {
		ssize_t sent = send(talk->fd, frame->data + talk->done,
		                    frame->len - talk->done, MSG_NOSIGNAL);

		if (sent < 0)
			return -errno;
		talk->done += (size_t)sent;
	}

	return 0;
}

bool
fs_talk_is_left(const FsTalk *talk)
{
	struct pollfd end = { .fd = talk->fd };

	return poll(&end, 1, 0) > 0;
}
